"""The kernel's own limits for this process and all that it starts: which folders it may read, which it may write.

Linux calls it Landlock (https://docs.kernel.org/userspace-api/landlock.html; from 5.13 on, where it is built in). A thread
that is there already goes on unlimited: call it before the engine is started. No new TCP connection can be made either,
where the kernel can say so (6.7). Nothing of it can be taken back.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38
_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_FILE = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15  # what can be allowed for a file: also truncate, ioctl
_CONNECT_TCP = 2


def _version(libc: ctypes.CDLL) -> int:
    return libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def available() -> bool:
    """Whether this kernel can do it."""
    return sys.platform == "linux" and _version(ctypes.CDLL(None)) > 0


def confine(read: Iterable[Path], write: Iterable[Path], connect: bool = False) -> bool:
    """Limit this thread, and what it starts, to what lies below these paths; paths that do not exist are passed over.

    `connect`: whether TCP connections may be made. Returns False, having done nothing, where the kernel cannot do it.
    """
    if not available():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = _version(libc)
    everything = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    attributes = struct.pack("QQ", everything, 0 if connect else _CONNECT_TCP)[: 16 if version >= 4 else 8]
    ruleset = _done(
        libc, libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    )
    try:
        for paths, rights in ((read, _EXECUTE | _READ | _READ_DIR), (write, everything)):
            for path in filter(Path.exists, paths):
                _allow(libc, ruleset, path, rights & everything)
        _done(libc, libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        _done(libc, libc.syscall(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return True


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & _FILE, opened)
        _done(
            libc, libc.syscall(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
        )
    finally:
        os.close(opened)


def _done(libc: ctypes.CDLL, result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
