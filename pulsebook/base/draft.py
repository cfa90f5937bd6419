"""A file in the making: written beside its place, and put there whole.

    >>> with draft(Path("numbers.json"), b"{}") as file:
    ...     os.replace(file, "numbers.json")

What is `lasting` has reached the disk before it gets its name: after a power failure a file is the old one or the new one,
never an empty one. That the new name itself is on the disk takes `sync_folder` afterwards.
"""

import errno
import os
import re
import uuid
from contextlib import contextmanager
from pathlib import Path

NAME = re.compile(r"\..+\.[0-9a-f]{8}", re.S)
UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}  # of file systems that cannot sync a folder


@contextmanager
def draft(path: Path, data: bytes, *, lasting: bool = False):
    """A file beside `path` that holds the data; what is still there afterwards is removed."""
    _make(path.parent, lasting)
    file = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(file, "wb") as opened:
            opened.write(data)
            if lasting:
                opened.flush()
                os.fsync(opened.fileno())
        yield file
    finally:
        file.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(opened)


def _make(folder: Path, lasting: bool) -> None:
    new = []
    for place in (folder, *folder.parents) if lasting else ():
        if place.exists():
            break
        new.append(place)
    folder.mkdir(parents=True, exist_ok=True)
    for place in new:
        sync_folder(place.parent)
