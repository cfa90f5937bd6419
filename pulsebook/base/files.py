"""The few ways in which a file of the archive comes to be and changes, in a folder and in an object store alike.

    create(path, text)       where nothing was           change(path, function)   read, change and write, alone
    replace(path, text)      whatever was there          touch(path)              a heartbeat: its time becomes now

Readers see a file whole: the old one or the new one. After a power failure too, where it was created, changed or is to be
`lasting`; what is neither (a notebook while it runs) does not wait for the disk. Reading, listing and deleting are those
of the path itself, a `Path` or for s3://… an `Object`. How it is done is known to `pulsebook.base.folder` and
`pulsebook.base.bucket`.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pulsebook.base.folder import Folder
from pulsebook.base.store import Seen, Store

_FOLDER = Folder()


def store_of(path: Path) -> Store:
    """What keeps the file of a path. The one place that asks which kind it is."""
    if isinstance(path, Path):
        return _FOLDER
    from pulsebook.base.bucket import Bucket  # most of a second to import, which a folder does not need

    return Bucket()


def create(path: Path, text: str) -> bool:
    """Write a file where there was none. False: there is one, and it stays as it is."""
    return store_of(path).create(path, text)


def replace(path: Path, content: str | bytes, *, lasting: bool = False) -> None:
    """Write a file; what is written holds no secret.

    Args:
        lasting: wait until it is on the disk, under its name.
    """
    data = content.encode() if isinstance(content, str) else content
    store_of(path).replace(path, data, lasting=lasting)


def read(path: Path, seen: Seen) -> bytes:
    """The content of a file. An object store notes in `seen` what it is now, for a `change` to begin with."""
    return store_of(path).read(path, seen)


def change(path: Path, function: Callable[[str | None], str | None], seen: Seen | None = None) -> str | None:
    """Write what a function makes of the file's text, and return that. None stands for no file.

    Of several that change a file at the same time each sees what the one before has written. The function may be called
    more than once. What is no UTF-8 comes to it as Python's `surrogateescape` spells it.

    Args:
        seen: files as they were seen before: an object store tries that state first, without asking for it again, and notes
            what it has written.

    Raises:
        OSError: there is a link that leads nowhere, or a folder.
    """
    store, seen = store_of(path), {} if seen is None else seen
    for attempt in itertools.count():
        done, text = store.change(path, function, seen)
        if done:
            return text
        time.sleep(random.uniform(0, min(2.0, 0.02 * 2**attempt)))


def touch(path: Path) -> None:
    """Make the file's time now, unless somebody is changing it."""
    store_of(path).touch(path)


def files(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that a pattern of several levels fits, in no order."""
    return store_of(folder).files(folder, pattern)


def lists_by_level(folder: Path) -> bool:
    """Whether `files` looks into those folders alone that its pattern fits, and not at everything below."""
    return store_of(folder).lists_by_level


def failures(folder: Path) -> tuple[type[Exception], ...]:
    """What reading, listing and writing there may raise."""
    return store_of(folder).failures


def nearest(folder: Path) -> Path:
    """The folder, or where it is still to be made the nearest above it that is there."""
    return store_of(folder).nearest(folder)


def free_space(folder: Path) -> float | None:
    """GB that are free for a folder; None where there is no limit to be seen."""
    return store_of(folder).free_space(folder)


def make_room(file: Path, folders: Iterable[Path] = ()) -> str:
    """Set aside what lies in place of a file, or of some folders above it, and is none: a folder, a link that leads nowhere,
    a file that cannot be read. Returns what was wrong; empty where all is well."""
    return store_of(file).make_room(file, folders)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing is left."""
    store_of(folder).remove_if_empty(folder)
