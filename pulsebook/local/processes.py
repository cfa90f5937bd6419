"""Processes that outlive the command that starts them, and their end: of them and of all that they have started.

    >>> group = ProcessGroup(Path("up"))
    >>> member = group.start("sleeper", ["sleep", "60"], dict(os.environ), cwd=Path.cwd())
    >>> ProcessGroup.load(Path("up")).stop()  # how many processes were ended
    1

Each member runs in a session of its own, and all that it starts inherits a mark in the environment. Where there is /proc,
whatever carries the mark is found, also when the one that started it is dead and it has left the session; elsewhere the
members' process groups are ended. A process that only took over the number of a dead one is left alone.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pulsebook.base.errors import PulsebookError
from pulsebook.base.files import replace

MARK = "PULSEBOOK_CREW"
PROC = Path("/proc")


class ProcessError(PulsebookError, RuntimeError):
    """A process did not start, or did not end; the message says which and what it said last."""


@dataclass
class Member:
    """One process: its number, and when it began, where that is what tells it from another with the same number."""

    name: str
    pid: int
    began: str = ""


@dataclass
class ProcessGroup:
    """Some processes, remembered in `folder/crew.json` as soon as they start; their output goes to `folder/{name}.log`."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    members: list[Member] = field(default_factory=list)
    facts: dict = field(default_factory=dict)  # what else is to be remembered: addresses

    @classmethod
    def load(cls, folder: Path) -> "ProcessGroup | None":
        """The group that was started from this folder and not stopped since."""
        file = folder / "crew.json"
        if not file.exists():
            return None
        kept = json.loads(file.read_text("utf-8"))
        return cls(folder, kept["mark"], [Member(**m) for m in kept["members"]], kept["facts"])

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {"mark": self.mark, "members": [asdict(m) for m in self.members], "facts": self.facts}
        replace(self.folder / "crew.json", json.dumps(kept, indent=1))

    def start(self, name: str, command: list[str], environment: dict[str, str], cwd: Path) -> subprocess.Popen:
        """Start a process; it goes on when this one ends."""
        self.save()  # the mark comes first: by it a process is found even if we die before its number is written down
        with open(self.log(name), "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Airflow gives its processes titles; SPT_NOENV keeps that from overwriting what /proc shows
                env={**environment, MARK: self.mark, "SPT_NOENV": "1"},
                cwd=cwd,
                start_new_session=True,
            )
        while PROC.is_dir() and process.poll() is None and not self._is_marked(process.pid):
            time.sleep(0.005)  # for a moment a new program has no environment yet
        self.members.append(Member(name, process.pid, "" if PROC.is_dir() else _began(process.pid)))
        self.save()
        return process

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def dead(self) -> list[str]:
        """Names of the members that have ended."""
        return [m.name for m in self.members if not self._runs(m)]

    def wait_for(self, happens: Callable[[], object], seconds: float, what: str):
        """Wait until something is true and return it, for as long as all members live.

        Raises:
            ProcessError: a member has ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not (value := happens()):
            for name in self.dead():
                said = self.log(name).read_text("utf-8", "replace").strip().splitlines()[-15:]
                raise ProcessError(
                    "\n".join([f"{name} has ended; this is the end of its log, {self.log(name)}:", *said])
                )
            if time.monotonic() > deadline:
                raise ProcessError(f"expected within {seconds:g} s: {what}; the logs are in {self.folder}")
            time.sleep(0.25)
        return value

    def stop(self, *last: str, grace: float = 6.0) -> int:
        """End all processes, the members named in `last` after all others; returns how many there were.

        Who is in a member's session is asked at once; after half of the `grace` whatever is left is asked, and killed
        after all of it. So a notebook's kernel is ended by its task, which then writes down how it ended. The file is
        removed when none is left.

        Raises:
            ProcessError: some are left all the same.
        """
        spared = {m.pid for m in self.members if m.name in last}
        ended = self._end(spared, grace) | self._end(set(), grace)
        (self.folder / "crew.json").unlink(missing_ok=True)
        return len(ended)

    def processes(self) -> dict[int, int]:
        """Process numbers of all that is there, each with its session."""
        if not PROC.is_dir():
            return {m.pid: m.pid for m in self.members if self._runs(m)}
        found = {}
        for pid in map(int, filter(str.isdigit, os.listdir(PROC))):
            if self._is_marked(pid):
                with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                    found[pid] = os.getsid(pid)
        return found

    def _end(self, spared: set[int], grace: float) -> set[int]:
        """End all but the sessions `spared`."""
        asked: dict[int, signal.Signals] = {}
        sessions, began = {m.pid for m in self.members}, time.monotonic()
        empty = 0
        while empty < 2:  # twice: for a moment a process that has just started carries no mark
            left = {pid: session for pid, session in self.processes().items() if session not in spared}
            empty = 0 if left else empty + 1
            passed = time.monotonic() - began
            if left and passed > grace + 5:
                raise ProcessError(f"expected to end all processes, but could not end {sorted(left)}")
            for pid, session in left.items():
                how = signal.SIGTERM if passed < grace else signal.SIGKILL
                if asked.get(pid) != how and (session in sessions or passed > grace / 2):
                    asked[pid] = how
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, how) if PROC.is_dir() else os.killpg(pid, how)
            time.sleep(0.05)
        return set(asked)

    def _runs(self, member: Member) -> bool:
        if PROC.is_dir():
            return self._is_marked(member.pid)
        return member.began != "" and member.began == _began(member.pid)

    def _is_marked(self, pid: int) -> bool:
        try:
            return f"{MARK}={self.mark}".encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False  # ended meanwhile, or somebody else's


def _began(pid: int) -> str:
    """When a process began, as `ps` tells it; empty where there is none or where it has ended and waits to be reaped."""
    said = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.split()
    return " ".join(said[1:]) if said and not said[0].startswith("Z") else ""
