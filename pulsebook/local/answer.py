"""A result on its way to the client: what of it is held back, and what happens when an error or the client ends it."""

import asyncio
import secrets

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from pulsebook.local.bodies import packed_as
from pulsebook.local.failure import text_of
from pulsebook.local.work import Desk, Work

SENT = 256 << 10  # bytes that go to a client at a time
ANOTHER_FRAME = ("", "gzip", "lz4", "xz")  # encodings of which clients read more than one frame
PATIENCE = 30  # seconds that a client may read nothing


class Answer(Response):
    """A result as it comes out of its spool. An error after its start is written after the rows, and breaks it off."""

    def __init__(self, desk: Desk, work: Work, receive):
        super().__init__()
        del self.headers["content-length"]
        self.desk, self.work, self.spool = desk, work, work.spool
        self.tag = secrets.token_hex(8)
        self._left = asyncio.create_task(_left(receive))

    async def begun(self, size: int) -> None:
        """Wait for so many bytes of the result, or all; an error until then is raised, and a client that left, too."""
        begun = asyncio.create_task(self.spool.wait_for(size))
        try:
            await asyncio.wait({begun, self._left}, return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                raise ClientDisconnect
            if self.spool.complete and self.spool.error:
                raise self.spool.error
        except BaseException:
            self.end()
            raise
        finally:
            begun.cancel()

    async def __call__(self, scope, receive, send) -> None:
        try:
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while data := await self._next():
                await self._send(send, {"type": "http.response.body", "body": data, "more_body": True})
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except (ClientDisconnect, TimeoutError):
            scope["state"]["abort"]()
        except Exception as error:
            await self._send(send, {"type": "http.response.body", "body": self._last(error), "more_body": True})
            scope["state"]["break_off"]()
        finally:
            self.end()

    def _last(self, error: Exception) -> bytes:
        """The error as ClickHouse writes it after rows; after packed ones, whose frame is complete, in one of its own."""
        text, tag = f"{text_of(error)}\n".encode(), self.tag.encode()
        last = b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (tag, text, len(text), tag)
        encoding = self.headers.get("Content-Encoding", "")
        return packed_as(encoding, last)[0] if encoding in ANOTHER_FRAME else b""

    async def _next(self) -> bytes:
        reading = asyncio.create_task(self.spool.read(SENT))
        await asyncio.wait({reading, self._left}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            raise ClientDisconnect
        return reading.result()

    async def _send(self, send, message: dict) -> None:
        async with asyncio.timeout(PATIENCE):
            await send(message)
        if self._left.done() and message.get("more_body"):
            raise ClientDisconnect

    def end(self) -> None:
        self._left.cancel()
        self.desk.abandon(self.work)


async def _left(receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
