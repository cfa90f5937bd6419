"""Bodies of requests: unpacked as Content-Encoding says and bounded in bytes, also while they are unpacked.

And how an answer is packed; results are packed by the engine itself.
"""

import asyncio
import functools
import gzip
import lzma
import zlib
from collections.abc import AsyncIterator, Iterator

from pulsebook.local.failure import TOO_LARGE, Failure
from pulsebook.local.spool import Room

BODY = 2 << 30  # bytes of an unpacked body
ENCODINGS = ("zstd", "gzip", "deflate", "lz4", "br", "xz")  # of answers, the best first
PIECE = 1 << 20  # bytes that are unpacked at a time
ZSTD_FEED = 512  # packed bytes that go to zstd at a time: a block of three can make 128 KiB


class Body:
    """A body that has arrived: a temporary file, with the room that it takes. Close it."""

    def __init__(self, room: Room):
        self.room, self.size = room, 0
        self.file = room.file()

    def add(self, data: bytes) -> None:
        if self.size + len(data) > BODY:
            raise too_large(f"a body of more than {BODY} bytes (unpacked)", "insert it in parts")
        if not self.room.take(len(data)):
            raise Failure(
                TOO_LARGE,
                "TOO_MANY_ROWS_OR_BYTES",
                f"the {self.room.total} bytes for what is under way are in use; try again",
                503,
            )
        self.size += len(data)
        self.file.write(data)

    def close(self) -> None:
        self.room.give(self.size)
        self.size = 0
        self.file.close()


def too_large(what: str, instead: str) -> Failure:
    return Failure(TOO_LARGE, "TOO_MANY_ROWS_OR_BYTES", f"Limit exceeded: {what}; {instead}", 413)


async def received(chunks: AsyncIterator[bytes], encoding: str, room: Room, before: bytes = b"") -> Body:
    """The whole body, after `before`; what is larger than a pipe's worth is unpacked and filed in threads. Raises Failure."""
    body = Body(room)
    try:
        body.add(before)
        async for piece in unpacked(chunks, encoding):
            if len(piece) < 1 << 14:
                body.add(piece)
            else:
                await asyncio.to_thread(body.add, piece)
        return body
    except BaseException:
        body.close()
        raise


async def unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """A body in bounded pieces; one that ends within a frame, or is none, is a Failure and not a short body."""
    if encoding in ("", "identity"):
        async for chunk in chunks:
            if chunk:
                yield chunk
        return
    unpacker = _Unpacker(encoding)
    async for chunk in chunks:
        pieces = unpacker.feed(chunk)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
    unpacker.end()


def accepted(header: str) -> str:
    """The best encoding that an Accept-Encoding names; empty where it names none of ours."""
    names = {part.partition(";")[0].strip().lower() for part in header.split(",")}
    return next((name for name in ENCODINGS if name in names), "")


def packed_as(encoding: str, text: bytes) -> tuple[bytes, str]:
    """A short text packed, and with what: as it is where that can only be done by the engine."""
    if encoding == "zstd":
        import zstandard

        return zstandard.compress(text), encoding
    if encoding == "lz4":
        import lz4.frame

        return lz4.frame.compress(text), encoding
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "xz": lzma.compress}.get(encoding)
    return (pack(text), encoding) if pack else (text, "")


class _Unpacker:
    """Unpacks frame after frame."""

    def __init__(self, encoding: str):
        self.encoding, self.decoder = encoding, None
        if encoding in ("gzip", "deflate"):
            self.new = functools.partial(zlib.decompressobj, 47)
        elif encoding == "zstd":
            import zstandard

            self.new = zstandard.ZstdDecompressor().decompressobj
        elif encoding == "lz4":
            import lz4.frame

            self.new = lz4.frame.LZ4FrameDecompressor
        else:
            raise Failure(
                117, "INCORRECT_DATA", f"Unknown Content-Encoding {encoding[:20]}; send gzip, deflate, zstd or lz4"
            )

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The pieces of what a chunk holds; none of them is empty."""
        more = False
        while chunk or more:
            if self.decoder is None or self.decoder.eof:  # a body may be several frames
                self.decoder = self.new()
            try:
                piece, chunk, more = self._step(chunk)
            except Exception as error:
                raise Failure(117, "INCORRECT_DATA", f"The body is no {self.encoding}: {error}") from None
            if piece:
                yield piece

    def _step(self, chunk: bytes) -> tuple[bytes, bytes, bool]:
        """A piece, what is left of the chunk, and whether the decoder holds more of it."""
        decoder = self.decoder
        if self.encoding == "zstd":
            piece = decoder.decompress(chunk[:ZSTD_FEED])
            return piece, (decoder.unused_data if decoder.eof else b"") + chunk[ZSTD_FEED:], False
        piece = decoder.decompress(chunk, PIECE)
        if decoder.eof:
            return piece, decoder.unused_data or b"", False
        if self.encoding == "lz4":
            return piece, b"", not decoder.needs_input
        return piece, decoder.unconsumed_tail, len(piece) == PIECE

    def end(self) -> None:
        if self.decoder is not None and not self.decoder.eof:
            raise Failure(117, "INCORRECT_DATA", f"The {self.encoding} body ends too early")
