"""Files in an object store: each write is one conditional request.

S3 has no hard links, renames or locks, but writes that the store refuses when the object exists, or is not the one that was
read (`If-None-Match`, `If-Match`): nothing is locked, so nobody who dies can leave a lock behind.
"""

import asyncio
import fnmatch
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import cache

from botocore.exceptions import BotoCoreError

from pulsebook.base.objects import Object
from pulsebook.base.redact import register
from pulsebook.base.store import Seen, StoreError

TYPES = {  # as what a browser is served an object
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".png": "image/png",
    ".json": "application/json", ".ipynb": "application/json", ".jsonl": "application/json",
}  # fmt: skip
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}  # somebody else was first
GONE = {"NoSuchKey", "404"}
SLOW = 60.0  # seconds that a write may still be under way after a signal has cut off who waited for it
_left_alone: set[Future] = set()  # requests that nobody waits for any more


class Bucket:
    """`pulsebook.base.store.Store` for objects."""

    lists_by_level = False
    failures = (OSError, BotoCoreError)

    def create(self, path: Object, text: str) -> bool:
        # a request that was repeated may find what it wrote itself
        return _put(path, text.encode(), IfNoneMatch="*") is not None or _get(path)[0] == text.encode()

    def replace(self, path: Object, data: bytes, *, lasting: bool) -> None:
        _put(path, data)

    def read(self, path: Object, seen: Seen) -> bytes:
        data, _ = seen[str(path)] = _get(path)
        if data is None:
            raise FileNotFoundError(str(path))
        return data

    def change(self, path: Object, function: Callable[[str | None], str | None], seen: Seen) -> tuple[bool, str | None]:
        state = seen.pop(str(path), None)
        data, tag = state or _get(path)
        before = None if data is None else data.decode(errors="surrogateescape")
        text = function(before)
        if text == before:
            return state is None, text  # what was seen before may be another one now
        if text is None:
            return _request(path, "delete_object", IfMatch=tag) is not None, None
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        written = _put(path, text.encode(), **condition)
        if written:
            seen[str(path)] = text.encode(), written["ETag"]
        return written is not None, text

    def touch(self, path: Object) -> None:
        data, tag = _get(path)
        if data is not None:
            _put(path, data, IfMatch=tag)

    def files(self, folder: Object, pattern: str) -> list[Object]:
        parts, (above, _, name) = pattern.split("/"), folder.path.rstrip("/").rpartition("/")
        start = len(folder.path.rstrip("/")) + 1
        # one listing, not one for every folder; by prefix: without one, an empty answer is asked about twice more
        listed = folder.fs.find(above, prefix=f"{name}/") if above else folder.fs.find(name)
        found = [path[start:].split("/") for path in listed]
        return [
            folder.joinpath(*names)
            for names in found
            if len(names) == len(parts) and all(map(fnmatch.fnmatchcase, names, parts))
        ]

    def nearest(self, folder: Object) -> Object:
        return folder

    def free_space(self, folder: Object) -> None:
        return None

    def make_room(self, file: Object, folders: Iterable[Object]) -> str:
        return ""

    def remove_if_empty(self, folder: Object) -> None:
        pass


def _put(path, data: bytes, **only_if) -> dict | None:
    """The store's answer; None: not written, the condition does not hold."""
    kind = TYPES.get(path.suffix, "application/octet-stream")
    how = {"ContentType": kind, "CacheControl": "no-cache", **only_if}
    return _request(path, "put_object", Body=data, **how)


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
    wait(list(_left_alone), timeout=SLOW)
    future = asyncio.run_coroutine_threadsafe(_answer(fs, operation, Bucket=bucket, Key=key, **arguments), fs.loop)
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
    finally:
        if not future.done():
            _left_alone.add(future)
            future.add_done_callback(_left_alone.discard)


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


os.register_at_fork(after_in_child=_left_alone.clear)  # what the parent waits for
