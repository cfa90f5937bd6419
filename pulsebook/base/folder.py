"""Files in a folder: hard links, renames and locks make each change whole."""

import errno
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pulsebook.base.draft import draft, sync_folder
from pulsebook.base.store import Seen

log = logging.getLogger(__name__)


class Folder:
    """`pulsebook.base.store.Store` for paths of this machine."""

    lists_by_level = True
    failures = (OSError,)

    def create(self, path: Path, text: str) -> bool:
        with draft(path, text.encode(), lasting=True) as file:
            try:
                os.link(file, path)  # appears whole, and only where nothing was
                return True
            except FileExistsError:
                return False

    def replace(self, path: Path, data: bytes, *, lasting: bool) -> None:
        with draft(path, data, lasting=lasting) as file:
            os.replace(file, path)
        if lasting:
            sync_folder(path.parent)

    def read(self, path: Path, seen: Seen) -> bytes:
        return path.read_bytes()

    def change(self, path: Path, function: Callable[[str | None], str | None], seen: Seen) -> tuple[bool, str | None]:
        try:
            file = open(path, encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            if path.is_symlink():  # nothing could be created there, for ever
                raise
            text = function(None)
            return text is None or self.create(path, text), text
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    return False, None  # replaced while we waited
            except FileNotFoundError:
                return False, None
            before = file.read()
            text = function(before)
            if text is None:
                path.unlink()
            elif text != before:
                with draft(path, text.encode(), lasting=True) as made:
                    os.replace(made, path)
            return True, text

    def touch(self, path: Path) -> None:
        os.utime(path)

    def files(self, folder: Path, pattern: str) -> list[Path]:
        return list(folder.glob(pattern))

    def nearest(self, folder: Path) -> Path:
        return next(place for place in (folder, *folder.parents) if place.exists())

    def free_space(self, folder: Path) -> float:
        return shutil.disk_usage(self.nearest(folder)).free / 1e9

    def make_room(self, file: Path, folders: Iterable[Path]) -> str:
        found = []
        for folder in folders:
            if os.path.lexists(folder) and not folder.is_dir():
                found.append(_set_aside(folder, f"{folder.name} is no folder"))
        try:
            with open(file, "rb"):
                pass
        except FileNotFoundError:
            if file.is_symlink():
                found.append(_set_aside(file, "it is a link that leads nowhere"))
        except OSError as error:
            found.append(_set_aside(file, error.strerror or str(error)))
        return "; ".join(found)

    def remove_if_empty(self, folder: Path) -> None:
        if not folder.is_dir() or any(folder.iterdir()):
            return
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):  # something has come there just now
                raise


def _set_aside(file: Path, why: str) -> str:
    to = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.damaged")
    with suppress(FileNotFoundError):  # somebody else was first
        os.rename(file, to)
        log.error("%s cannot be used: %s. It is called %s now", file, why, to.name)
    return why
