"""Clients by the hundred for a server under test, in a process of their own: its figures are not those of a busy test.

    python tests/server_load.py nothing                       # a server that does nothing, to compare with; prints its URL
    python tests/server_load.py pings http://127.0.0.1:8123 http://127.0.0.1:9000
    python tests/server_load.py honest 250 http://127.0.0.1:8123
    python tests/server_load.py hostile 250 http://127.0.0.1:8123

Each goes on until its standard input ends, and prints then what it has found as one line of JSON.
"""

import asyncio
import gzip
import itertools
import json
import os
import sys
import time
from collections import Counter
from urllib.parse import quote, urlsplit

ENDLESS = "SELECT number FROM system.numbers"
LARGE = "SELECT repeat('x', 1000) FROM numbers(20000)"  # 20 MB: more than sockets hold
PATIENCE = 90  # seconds that an honest client waits for its answer


class Peer:
    """One connection to a server."""

    def __init__(self, url: str):
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 16)
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    def send(self, body: bytes, path: str = "/", method: str = "POST", length: int | None = None, headers: str = ""):
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}"
        self.writer.write(f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body)

    async def answer(self) -> bytes:
        """The body of an answer with status 200 that is whole."""
        status = await self.reader.readline()
        headers = {}
        while line := (await self.reader.readline()).strip():
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
        else:
            body = await self.reader.readexactly(int(headers[b"content-length"]))
        if b" 200 " not in status:
            raise RuntimeError((status + body)[:300].decode("utf-8", "replace"))
        return body


class Honest:
    """Clients that ask, read, and know what the answer must be."""

    def __init__(self, url: str):
        self.url, self.answered, self.failed, self.longest = url, Counter(), [], 0.0

    async def client(self, number: int, stop: asyncio.Event) -> None:
        for turn in itertools.count():
            kind = (self.select, self.insert, self.large, self.session)[(number + turn) % 4]
            begin = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    await kind(number, turn)
            except Exception as error:
                self.failed.append(f"{kind.__name__} of {number}: {error!r}")
                return
            self.answered[kind.__name__] += 1
            self.longest = max(self.longest, time.monotonic() - begin)
            if await _over(stop, 0.5):
                return

    async def _ask(self, statement: str, expected: str, path: str = "/") -> None:
        async with Peer(self.url) as peer:
            peer.send(statement.encode(), path)
            found = await peer.answer()
        if found != expected.encode():
            raise ValueError(f"{statement[:60]}: expected {expected[:60]!r}, got {found[:200]!r} of {len(found)} bytes")

    async def select(self, number: int, turn: int) -> None:
        await self._ask(f"SELECT sum(number) + {number} FROM numbers(1000)", f"{499500 + number}\n")

    async def insert(self, number: int, turn: int) -> None:
        await self._ask(f"INSERT INTO t FORMAT TSV\n{number}\t{turn}\n", "")

    async def large(self, number: int, turn: int) -> None:
        await self._ask("SELECT number FROM numbers(20000)", "".join(f"{n}\n" for n in range(20000)))

    async def session(self, number: int, turn: int) -> None:
        path = f"/?session_id=load-{os.getpid()}-{number}&session_timeout=600"
        await self._ask(f"SET max_block_size = {1000 + turn}", "", path)
        await self._ask("SELECT toString(getSetting('max_block_size'))", f"{1000 + turn}\n", path)

    def figures(self) -> dict:
        return {"answered": self.answered, "failed": self.failed, "longest": self.longest}


class Hostile:
    """Clients that do what nobody should do."""

    def __init__(self, url: str):
        self.url, self.tries = url, Counter()

    async def client(self, number: int, stop: asyncio.Event) -> None:
        kinds = (self.silent, self.leaver, self.slow, self.half, self.wrong, self.idle)
        kind = kinds[number % len(kinds)]
        while not stop.is_set():
            try:
                await kind(stop)
            except (OSError, EOFError, TimeoutError, RuntimeError):
                self.tries["dropped or refused"] += 1  # as it should be
            self.tries[kind.__name__] += 1
            await _over(stop, 0.2)

    async def silent(self, stop: asyncio.Event) -> None:
        async with Peer(self.url) as peer:
            peer.writer.transport.pause_reading()
            peer.send(LARGE.encode())
            await _over(stop, 10)

    async def leaver(self, stop: asyncio.Event) -> None:
        async with Peer(self.url) as peer:
            peer.send(ENDLESS.encode())
            await _first(peer, stop)
        await _over(stop, 2)

    async def slow(self, stop: asyncio.Event) -> None:
        async with Peer(self.url) as peer:
            peer.send(b"SELECT number FROM numbers(100000)")
            for _ in range(50):
                if not await _first(peer, stop) or await _over(stop, 0.2):
                    break

    async def half(self, stop: asyncio.Event) -> None:
        async with Peer(self.url) as peer:
            peer.send(b"INSERT INTO t", length=99)
            await _over(stop, 5)

    async def idle(self, stop: asyncio.Event) -> None:
        async with Peer(self.url):
            await _over(stop, 5)

    async def wrong(self, stop: asyncio.Event) -> None:
        junk = gzip.compress(bytes(4 << 20))
        for body, headers, path in (
            (b"\x1f\x8b junk", "Content-Encoding: gzip\r\n", "/"),
            (junk[:-9], "Content-Encoding: gzip\r\n", "/"),
            (b"/* " * 20000, "", "/"),
            (b"(" * 20000, "", "/"),
            (b"(" * (2 << 20), "", "/"),
            (b"SELECT " + b"a" * 100_000, "", "/"),
            (b"", "", "/?query=" + quote("DROP TABLE t")),
        ):
            async with Peer(self.url) as peer:
                peer.send(body, path, headers=headers, method="POST" if body else "GET")
                await _first(peer, stop)

    def figures(self) -> dict:
        return {"tries": self.tries}


async def _first(peer: Peer, stop: asyncio.Event) -> bytes:
    """A few bytes, or none where the time is over."""
    reading = asyncio.ensure_future(peer.reader.read(100))
    over = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({reading, over}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else b""
    finally:
        reading.cancel()
        over.cancel()


async def _over(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; whether the time is over."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _until_input_ends() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: os.read(0, 100) or (loop.remove_reader(sys.stdin), stop.set()))
    return stop


async def crowd(clients: Honest | Hostile, number: int) -> dict:
    stop = await _until_input_ends()
    await asyncio.gather(*(clients.client(n, stop) for n in range(number)))
    return clients.figures()


async def pings(urls: list[str]) -> dict[str, list[float]]:
    """Seconds that each URL takes to answer a ping, side by side five times a second."""
    stop, found = await _until_input_ends(), {url: [] for url in urls}
    while not await _over(stop, 0.2):
        for url in urls:
            begin = time.monotonic()
            async with asyncio.timeout(60), Peer(url) as peer:
                peer.send(b"", "/ping", "GET")
                if await peer.answer() != b"Ok.\n":
                    raise ValueError(f"{url} answers a ping with something else")
            found[url].append(time.monotonic() - begin)
    return found


async def nothing() -> dict:
    """A server that answers everything with Ok."""
    stop = await _until_input_ends()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOk.\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
    return {}


def main(role: str, *arguments: str) -> None:
    if role == "pings":
        found = asyncio.run(pings(list(arguments)))
    elif role == "nothing":
        found = asyncio.run(nothing())
    else:
        clients = {"honest": Honest, "hostile": Hostile}[role](arguments[1])
        found = asyncio.run(crowd(clients, int(arguments[0])))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
