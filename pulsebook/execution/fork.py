"""How a fork of the server becomes the kernel that a task asks for: with what that task has, and with nothing by chance."""

import ctypes
import gc
import importlib
import json
import logging
import multiprocessing.process
import os
import random
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from pulsebook.execution.guard import MARK

NOBODY = "0" * 32  # a server's own mark: of no guard, and as long as any (see `guard`)
READY = b"ready"  # how a fork answers; with other words it refuses


def become(connection: socket.socket, set_by_imports: dict[str, str]) -> list[str]:
    """Make this fork the kernel that is asked for; returns its arguments. What stands in the way is told, and is its end."""
    try:
        os.setsid()
        said, (request, stdout, stderr, life), *_ = socket.recv_fds(connection, 16, 4)
        with open(request, encoding="utf-8") as file:
            wanted = json.load(file)
        os.chdir(wanted["cwd"])
        _refuse_shadows(wanted["cwd"])
        _show(wanted["command"], wanted["env"][MARK])
        for number, stream in ((1, stdout), (2, stderr)):
            os.dup2(stream, number)
            os.close(stream)
        from pulsebook.base.environment import exchange

        exchange(set_by_imports | wanted["env"])
        _forget()
        os.set_inheritable(life, False)
        threading.Thread(target=_end_with, args=(life,), name="task", daemon=True).start()
        connection.send(READY)
        connection.close()
    except BaseException as problem:
        with suppress(OSError):
            connection.send(f"{type(problem).__name__}: {problem}".encode()[:1000])
        os._exit(1)
    sys.orig_argv = wanted["command"]
    sys.argv = [importlib.util.find_spec("ipykernel_launcher").origin, *wanted["arguments"]]
    return [*wanted["arguments"], "--IPKernelApp.parent_handle=1"]  # its own way to end with a parent is not for forks


def _refuse_shadows(folder: str) -> None:
    """A module beside the notebook takes the place of an installed one of its name: too late where that is imported."""
    for name in {name.removesuffix(".py") for name in os.listdir(folder)} & sys.modules.keys():
        origin = getattr(sys.modules[name].__spec__, "origin", None)
        for own in (Path(folder, f"{name}.py"), Path(folder, name, "__init__.py")):
            if own.is_file() and not (origin and os.path.exists(origin) and own.samefile(origin)):
                raise ImportError(f"{own} takes the place of a module that is imported already")


def _show(command: list[str], mark: str) -> None:
    """Write the kernel's command and the guard's mark where /proc shows those of this process and of all that it forks: else
    it would show the server's, in which the guard finds nothing.
    """
    stat = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    begin, end, variables, last = map(int, stat[45:49])  # arg_start to env_end of proc(5)
    ctypes.memmove(begin, os.fsencode("\0".join(command)).ljust(end - begin, b"\0"), end - begin - 1)
    at = variables + ctypes.string_at(variables, last - variables).index(f"{MARK}={NOBODY}".encode())
    ctypes.memmove(at, f"{MARK}={mark}".encode(), len(f"{MARK}={mark}"))


def _forget() -> None:
    """What a process has by chance or by where it was started."""
    import numpy

    random.seed()
    numpy.random.seed()
    multiprocessing.process.current_process().authkey = os.urandom(32)
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()
    importlib.invalidate_caches()


def _end_with(life: int) -> None:
    """The task holds the other end of this pipe: a kernel whose task is gone ends."""
    os.read(life, 1)
    os._exit(1)


def leave(shared: set[str]) -> None:
    """The end of a kernel after all that `atexit` does: what the notebook and modules of its own hold is closed and finalized.

    The modules that it shares with its server are not taken apart, as Python would: that copies all their memory at last.
    """
    names = vars(sys.modules["__main__"])
    for name in [name for name in sys.modules if name not in shared]:
        del sys.modules[name]
    for name in reversed(list(names)):  # what was made last goes first
        names.pop(name, None)
    gc.collect()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)
