"""Which process works on a try: its host and number, and what tells it from a later one with the same number.

    >>> worker = own()  # its host, its pid, and `process`: boot, namespace of numbers, clock ticks
    >>> is_gone(**worker)  # False also where that cannot be known from here
    False

A number is given to another process sooner or later. The kernel's note of when a process began is what stays its own; the
boot and the namespace of numbers say where that holds: two containers may have one host name. Without `/proc` there is no
such note (`process` is None), and only the number counts.
"""

import math
import os
import platform
import re
from functools import cache
from pathlib import Path

PROC = Path("/proc")
BAD_CLOCK = 60.0  # seconds that a process may seem to have begun after what it wrote


def own() -> dict:
    """The process that asks."""
    return {"host": platform.node(), "pid": os.getpid(), "process": mark(os.getpid())}


def mark(pid: int) -> str | None:
    """What is a process's own besides its number; None where that cannot be known, or there is no such process."""
    machine, ticks = _machine(), _ticks(pid)
    return f"{machine} {ticks}" if machine and ticks else None


def is_gone(host: str, pid: int, process: str | None, since: float = math.inf) -> bool:
    """Whether the process that wrote something `since` (seconds since 1970) surely is no more.

    Of other hosts, of a namespace that is not ours and of the time before a restart this cannot be said.
    """
    if host != platform.node() or pid <= 0:
        return False
    if process and process.rpartition(" ")[0] != _machine():
        return False
    if not _exists(pid):
        return True
    if process:
        return mark(pid) not in (process, None)
    began = _began(pid)  # what was written before marks were
    return began is not None and began > since + BAD_CLOCK


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid)[:1] not in (["Z"], ["X"])


def _state(pid: int) -> list[str]:
    """What the kernel says of a process after its name; nothing where it says nothing."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ticks(pid: int) -> str | None:
    state = _state(pid)
    return state[19] if len(state) > 19 else None


def _began(pid: int) -> float | None:
    ticks = _ticks(pid)
    booted = re.search(r"^btime (\d+)$", (PROC / "stat").read_text(), re.M) if ticks else None
    return int(booted[1]) + int(ticks) / os.sysconf("SC_CLK_TCK") if booted else None


@cache
def _machine() -> str | None:
    """This start of this machine, and the namespace of its process numbers."""
    try:
        boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self' / 'ns' / 'pid')}"
    except OSError:
        return None
