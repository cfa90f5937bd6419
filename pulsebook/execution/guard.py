"""Ends a kernel and whatever it has started as soon as the task is over, however the task ends: also after kill -9.

A small process beside the task reads a pipe that only the task holds. When the pipe closes, the guard kills the kernel's
process group and, where there is /proc, every process that carries the task's mark in its environment: those that have
left the group too. Then it removes the folder of the kernel's sockets.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)
MARK = "PULSEBOOK_GUARDED"  # the variable that all processes of one try inherit

# Runs without site-packages: it starts in some 15 ms.
_PROGRAM = f"""
import os, shutil, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
mark = f"{MARK}={{sys.argv[1]}}".encode()
groups = [int(line) for line in sys.stdin]
def marked():
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            with open(f"/proc/{{pid}}/environ", "rb") as f:
                if mark in f.read().split(b"\\0"):
                    yield int(pid)
        except OSError:
            continue  # ended meanwhile, or somebody else's
def kill(how, number):
    try:
        how(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
for group in groups:
    kill(os.killpg, group)
for _ in range(50):
    pids = list(marked())
    for pid in pids:
        kill(os.kill, pid)
    if not pids:
        break
    time.sleep(0.02)
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


class Guard:
    """Watches one kernel, whose sockets are in a folder; `mark` goes into the kernel's environment."""

    def __init__(self, folder: Path):
        self._name = uuid.uuid4().hex
        self.mark = {MARK: self._name}
        unmarked = {k: v for k, v in os.environ.items() if k != MARK}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, self._name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # whoever reads the task's output must not wait for the guard
            stderr=subprocess.DEVNULL,
            env=unmarked,
            start_new_session=True,
            text=True,
        )

    def watch(self, group: int) -> None:
        """Tell the guard the kernel's process group."""
        self._process.stdin.write(f"{group}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Kill what is left and wait for the guard (at most 3 seconds). How the run has ended does not depend on it."""
        try:
            self._process.stdin.close()
            self._process.wait(3)
        except (BrokenPipeError, subprocess.TimeoutExpired) as problem:
            log.warning("the guard was killed, or is slow: %s", problem)


@contextmanager
def ending_with(parent: int):
    """Within this context the process is asked to stop (SIGTERM) within a second after its parent is gone."""
    over = threading.Event()

    def watch():
        while not over.wait(1.0):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield
    finally:
        over.set()
