"""What waits for somebody: the bytes of a result between the engine and a client, in bounded temporary files.

The engine's side writes from a thread, the client's side reads from the event loop, and neither holds the other up: a
result that fits is complete, and its statement over, before the client has read a byte. When `waiting` bytes are unread
the writer waits for the reader, which has to be quick then (`patience` seconds and one more for each `PACE` bytes that it
read), or both get an error: it is too slow. While other statements wait in line less may be unread, and while they wait
for nothing but the place of this one, the reader has `HURRY` seconds. However many results wait, some room is left.
"""

import asyncio
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pulsebook.base.errors import PulsebookError
from pulsebook.local.failure import Failure

IN_MEMORY = 64 << 10  # bytes of a part that stay in memory; more go to a file
PART = 32 << 20  # bytes of a part: its file is gone when it is read
PACE = 1 << 20  # bytes a second that a client must read while it holds its statement up
LEAST = 2 << 20  # bytes that may always be unread: more than an answer holds back
QUEUED = 32 << 20  # bytes that may be unread while others are in line
HURRY = 1.0  # seconds of patience while others need this statement's place


class Room:
    """Bytes that all spools of a server may hold at a time."""

    def __init__(self, folder: Path, total: int = 4 << 30):
        """`folder`: where the temporary files lie, under no name."""
        self.folder, self.total, self.taken = folder, total, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was room; then it is taken."""
        with self._lock:
            if self.taken + size > self.total:
                return False
            self.taken += size
            return True

    @property
    def free(self) -> int:
        return self.total - self.taken

    def give(self, size: int) -> None:
        with self._lock:
            self.taken -= size

    def file(self) -> tempfile.SpooledTemporaryFile:
        return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=self.folder)


class Closed(PulsebookError):
    """Nobody wants the rest."""


class Spool:
    """Bytes in the order in which they were written, each read once. Made within the event loop of its reader.

    `whole`: nothing is read before all is written.
    """

    def __init__(self, room: Room, waiting: int = 256 << 20, patience: float = 20, whole: bool = False):
        self.room, self.waiting, self.patience, self.whole = room, waiting, patience, whole
        self.written = self.read_bytes = 0
        self.complete = self.closed = False
        self.error: Exception | None = None
        self.on_wait: Callable[[], None] | None = None  # called in the event loop while the writer waits for its reader
        self.in_line: Callable[[], bool] = lambda: False  # whether other statements are in line
        self.needed: Callable[[], bool] = lambda: False  # whether one of them needs the place of this one
        self._parts: deque = deque()  # [file, bytes written to it, bytes read from it]
        self._changed = threading.Condition()
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    # the engine's side

    def write(self, data: bytes) -> None:
        """Add bytes; waits while there is no room for them. Raises Closed, or Failure where the reader is too slow."""
        with self._changed:
            self._wait_for_room(len(data))
            if not self._parts or self._parts[-1][1] >= PART:
                self._parts.append([self.room.file(), 0, 0])
            part = self._parts[-1]
            part[0].seek(part[1])
            part[0].write(data)
            part[1] += len(data)
            self.written += len(data)
        self._wake_reader()

    def finish(self, error: Exception | None = None) -> None:
        """Nothing more comes: all is there, or an error took the rest."""
        self.error = self.error or error
        self.complete = True
        self._wake_reader()

    def _wait_for_room(self, size: int) -> None:
        waited = 0.0
        while not self.closed:
            unread = self.written - self.read_bytes
            if unread + size <= self._most() and self.room.take(size):
                return
            if waited > (min(HURRY, self.patience) if self.needed() else self.patience) + self.read_bytes / PACE:
                self._drop_unread()
                raise Failure(
                    159,
                    "TIMEOUT_EXCEEDED",
                    f"the client reads too slowly: {unread} bytes of the result waited for it, and no more are kept. "
                    "Read faster, or ask for less (LIMIT, columns, a compressed answer)",
                )
            if self.on_wait:
                self._loop.call_soon_threadsafe(self.on_wait)
            begin = time.monotonic()
            self._changed.wait(0.5)
            waited += time.monotonic() - begin
        raise Closed

    def _most(self) -> int:
        """Bytes that may be unread now. Of what is free each result leaves a part to others."""
        most = min(self.waiting, max(self.room.free if self.whole else self.room.free // 4, LEAST))
        return min(most, QUEUED) if self.in_line() and not self.whole else most

    def _drop_unread(self) -> None:
        self.room.give(self.written - self.read_bytes)
        self.read_bytes = self.written
        for part in self._parts:
            part[0].close()
        self._parts.clear()

    def _wake_reader(self) -> None:
        self._loop.call_soon_threadsafe(self._news.set)

    # the client's side

    async def wait_for(self, size: int) -> None:
        """Wait until so many bytes were written, or all."""
        while self.written < size and not self.complete:
            self._news.clear()
            if self.written < size and not self.complete:
                await self._news.wait()

    async def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end. Raises the error that took the rest, after what came before."""
        await self.wait_for(self.read_bytes + 1)
        with self._changed:
            if self.read_bytes < self.written:
                return self._next(size)
        if self.error:
            raise self.error
        return b""

    def _next(self, size: int) -> bytes:
        part = self._parts[0]
        part[0].seek(part[2])
        data = part[0].read(min(size, part[1] - part[2]))
        part[2] += len(data)
        if part[2] == part[1] and (part[1] >= PART or self.complete):
            self._parts.popleft()[0].close()
        self.read_bytes += len(data)
        self.room.give(len(data))
        self._changed.notify()
        return data

    def close(self) -> None:
        """Nobody wants the rest: what waits is gone, and a writer learns so."""
        with self._changed:
            if self.closed:
                return
            self.closed = True
            self._drop_unread()
            self._changed.notify_all()
