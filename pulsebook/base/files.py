"""The few ways in which a file of the archive comes to be and changes, in a folder and in an object store alike.

    create(path, text)       where nothing was           change(path, function)   read, change and write, alone
    replace(path, text)      whatever was there          touch(path)              a sign of life: its time becomes now

Readers see a file whole: the old one or the new one. After a power failure too, where it was created, changed or is to be
`lasting`; what is neither (a notebook after each cell) does not wait for the disk. Reading, listing and deleting are those
of the path itself, a `Path` or for s3://… an `Object`. A folder has hard links, renames and locks; S3 has none of these, but
writes that the store refuses when the object exists, or is not the one that was read (`If-None-Match`, `If-Match`): nothing
is locked, so nobody who dies can leave a lock behind.
"""

import asyncio
import fcntl
import fnmatch
import itertools
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import cache
from pathlib import Path

from pulsebook.base.draft import draft, sync_folder
from pulsebook.base.redact import register

TYPES = {  # as what a browser is served an object
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".png": "image/png",
    ".json": "application/json", ".ipynb": "application/json", ".jsonl": "application/json",
}  # fmt: skip
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}  # somebody else was first
GONE = {"NoSuchKey", "404"}
SLOW = 60.0  # seconds that a write may still be under way after a signal has cut off who waited for it
_under_way: set[Future] = set()


class StoreError(OSError):
    """The object store refused, or cannot be reached."""


def create(path: Path, text: str) -> bool:
    """Write a file where there was none. False: there is one, and it stays as it is."""
    if not isinstance(path, Path):  # a request that was repeated may find what it wrote itself
        return _put(path, text.encode(), IfNoneMatch="*") or _get(path)[0] == text.encode()
    with draft(path, text.encode(), lasting=True) as file:
        try:
            os.link(file, path)  # appears whole, and only where nothing was
            return True
        except FileExistsError:
            return False


def replace(path: Path, content: str | bytes, *, lasting: bool = False) -> None:
    """Write a file; what is written holds no secret.

    Args:
        lasting: wait until it is on the disk, under its name.
    """
    data = content.encode() if isinstance(content, str) else content
    if not isinstance(path, Path):
        _put(path, data)
        return
    with draft(path, data, lasting=lasting) as file:
        os.replace(file, path)
    if lasting:
        sync_folder(path.parent)


def change(path: Path, function: Callable[[str | None], str | None]) -> str | None:
    """Write what a function makes of the file's text, and return that. None stands for no file.

    Of several that change a file at the same time each sees what the one before has written. The function may be called
    more than once. What is no UTF-8 comes to it as Python's `surrogateescape` spells it.

    Raises:
        OSError: there is a link that leads nowhere, or a folder.
    """
    for attempt in itertools.count():
        done, text = (_change if isinstance(path, Path) else _change_object)(path, function)
        if done:
            return text
        if not isinstance(path, Path):
            time.sleep(random.uniform(0, min(2.0, 0.02 * 2**attempt)))


def touch(path: Path) -> None:
    """Make the file's time now, unless somebody is changing it."""
    if isinstance(path, Path):
        os.utime(path)
    elif (known := _get(path))[0] is not None:
        _put(path, known[0], IfMatch=known[1])


def files(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that a pattern of several levels fits, in no order."""
    if isinstance(folder, Path):
        return list(folder.glob(pattern))
    parts, above = pattern.split("/"), len(folder.path.rstrip("/")) + 1
    found = [path[above:].split("/") for path in folder.fs.find(folder.path)]  # one listing, not one for every folder
    return [
        folder.joinpath(*names)
        for names in found
        if len(names) == len(parts) and all(map(fnmatch.fnmatchcase, names, parts))
    ]


def failures(folder: Path) -> tuple[type[Exception], ...]:
    """What reading, listing and writing there may raise."""
    if isinstance(folder, Path):
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return OSError, BotoCoreError


def _change(path: Path, function) -> tuple[bool, str | None]:
    try:
        file = open(path, encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115 (closed below)
    except FileNotFoundError:
        if path.is_symlink():  # nothing could be created there, for ever
            raise
        text = function(None)
        return text is None or create(path, text), text
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


def _change_object(path, function) -> tuple[bool, str | None]:
    data, tag = _get(path)
    before = None if data is None else data.decode(errors="surrogateescape")
    text = function(before)
    if text == before:
        return True, text
    if text is None:
        return _request(path, "delete_object", IfMatch=tag) is not None, None
    return _put(path, text.encode(), **({"IfMatch": tag} if tag else {"IfNoneMatch": "*"})), text


def _put(path, data: bytes, **only_if) -> bool:
    """Whether the object was written: not if the condition does not hold."""
    kind = TYPES.get(path.suffix, "application/octet-stream")
    how = {"ContentType": kind, "CacheControl": "no-cache", **only_if}
    return _request(path, "put_object", Body=data, **how) is not None


def _get(path) -> tuple[bytes | None, str]:
    """An object and the tag of this state of it; None and nothing if there is none."""
    answer = _request(path, "get_object")
    return (answer["Data"], answer["ETag"]) if answer else (None, "")


def _request(path, operation: str, **arguments) -> dict | None:
    """The answer of the store; None: the object is not there, or not as the condition wants it.

    A signal may cut off who waits for a write. The next request waits for it: an older write never comes last.
    """
    fs = path.fs
    _know_credentials(fs)
    bucket, key, _ = fs.split_path(path.path)
    wait(list(_under_way), timeout=SLOW)
    future = asyncio.run_coroutine_threadsafe(_answer(fs, operation, Bucket=bucket, Key=key, **arguments), fs.loop)
    _under_way.add(future)
    future.add_done_callback(_under_way.discard)
    try:
        return future.result()
    except Exception as error:
        code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
        if code in LOST | GONE:
            return None
        raise StoreError(
            f"{operation} of {path} failed: {error}. Are PULSEBOOK_OUTPUTS, AWS_ENDPOINT_URL and the credentials right, "
            "and does the store take conditional writes?"
        ) from None


async def _answer(fs, operation: str, **arguments) -> dict:
    answer = await fs._call_s3(operation, **arguments)  # underscore: fsspec's name for the awaitable one
    if operation == "get_object":
        async with answer["Body"] as body:
            answer["Data"] = await body.read()
    return answer


@cache
def _know_credentials(fs) -> None:
    """Have the store's credentials hidden, wherever they come from (variables, a file, the machine's role)."""

    async def found():
        await fs.set_session()
        credentials = await fs.session.get_credentials()
        return await credentials.get_frozen_credentials() if credentials else None

    if credentials := asyncio.run_coroutine_threadsafe(found(), fs.loop).result():
        register(credentials.secret_key)
        register(credentials.token or "")


os.register_at_fork(after_in_child=_under_way.clear)  # what the parent waits for
