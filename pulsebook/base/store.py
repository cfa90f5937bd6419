"""What a place for files must be able to do, whether it is a folder or a bucket. `pulsebook.base.files` says what each means."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from pulsebook.base.errors import PulsebookError


class StoreError(PulsebookError, OSError):
    """The object store refused, or cannot be reached."""


Seen = dict[str, tuple[bytes | None, str]]  # files as they were last seen, by path: content (None: no file) and tag


class Store(Protocol):
    """A kind of place. It keeps no state: every path brings its own."""

    lists_by_level: bool
    failures: tuple[type[Exception], ...]

    def create(self, path: Path, text: str) -> bool: ...

    def replace(self, path: Path, data: bytes, *, lasting: bool) -> None: ...

    def read(self, path: Path, seen: Seen) -> bytes: ...

    def change(self, path: Path, function: Callable[[str | None], str | None], seen: Seen) -> tuple[bool, str | None]:
        """Try once. False: somebody else was first."""

    def touch(self, path: Path) -> None: ...

    def files(self, folder: Path, pattern: str) -> list[Path]: ...

    def nearest(self, folder: Path) -> Path: ...

    def free_space(self, folder: Path) -> float | None: ...

    def make_room(self, file: Path, folders: Iterable[Path]) -> str: ...

    def remove_if_empty(self, folder: Path) -> None: ...
