"""The way to ClickHouse that a tried notebook is given: a server on loopback that hands statements on, and keeps the credentials.

    >>> with opened(Warehouse.target().url, "test_try") as gate:  # what the kernel's settings say
    ...     print(gate)
    http://try:...@127.0.0.1:...

A statement that writes into the given database alone goes through as it is. Every other is sent with `readonly=2`: the
real server refuses what would change anything, in whatever way it is written. Only who knows the address' password is let in.
"""

import secrets
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from pulsebook.cli.trial import writes
from pulsebook.warehouse import Warehouse, http

JUDGED = 1 << 20  # bytes of a statement; a longer one may only read, or insert
BLOCK = 1 << 16  # bytes that are handed on at a time
OWN_PARAMETERS = {"readonly", "user", "password"}  # these and headers of a connection are not handed on
OWN_HEADERS = {
    *("host", "connection", "keep-alive", "content-length", "transfer-encoding", "expect", "date", "server"),
    *("authorization", "x-clickhouse-user", "x-clickhouse-key"),
}


@contextmanager
def opened(url: str, database: str, timeout: float = 600.0) -> Iterator[str]:
    """A gate before a server, as a URL; closed afterwards.

    Args:
        url: the server, credentials included.
        database: the one whose tables may be changed; empty: none.
    """
    gate = _Gate(("127.0.0.1", 0), _Request)
    gate.upstream, gate.database, gate.timeout, gate.password = urlsplit(url), database, timeout, secrets.token_hex(16)
    gate.reading = _reading(url)
    threading.Thread(target=gate.serve_forever, args=(0.05,), name="gate", daemon=True).start()
    try:
        yield f"http://try:{gate.password}@127.0.0.1:{gate.server_port}"
    finally:
        gate.shutdown()
        gate.server_close()


def _reading(url: str) -> dict[str, str]:
    """The parameters with which a server only reads. A user who may only read may not say so again."""
    limited = Warehouse(url).scalar("SELECT max(value) FROM system.settings WHERE name = 'readonly'")
    return {"readonly": "2"} if limited == "0" else {}


class _Gate(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Hand a statement on that a server only lets read."""
        self._handle(iter(()))

    def do_POST(self):
        """Hand a statement on."""
        self._handle(self._blocks())

    def log_message(self, *_) -> None:
        """Say nothing: statements are the notebook's to show."""

    def _handle(self, blocks: Iterator[bytes]) -> None:
        """Judge the statement, send it to the server, hand its answer back."""
        self.close_connection = True
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True, errors="surrogateescape"))
        if not self._is_known(asked):
            return self._say(
                403, "expected the user and the password that `pulsebook try` gives in PULSEBOOK_CLICKHOUSE_URL"
            )
        head, rest = _begun(blocks)
        sql = asked.get("query") or head.decode("utf-8", "surrogateescape")
        whole = not rest and not ("query" in asked and head)  # a body after a statement goes on with it, or is its rows
        writing = writes.writes_only(sql, self.server.database, whole)
        if not writing and not writes.reads(sql):
            return self._say(500, self._refusal(sql), code=164)
        try:
            only = {} if writing else self.server.reading
            with self._sent(asked, only, chain([head], rest) if rest else head) as answer:
                self._hand_back(answer)
        except requests.RequestException as error:
            self._say(500, f"no answer from the server behind `pulsebook try`: {type(error).__name__}")

    def _is_known(self, asked: dict) -> bool:
        scheme, _, basic = self.headers.get("Authorization", "").partition(" ")
        given = [self.headers.get("X-ClickHouse-Key", ""), asked.get("password", "")]
        if scheme.lower() == "basic":
            given.append(b64decode(basic).decode("utf-8", "replace").partition(":")[2])
        return any(secrets.compare_digest(one.encode(), self.server.password.encode()) for one in given)

    def _blocks(self) -> Iterator[bytes]:
        """The body as it arrives."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self._read(size)
            self.rfile.readline()

    def _read(self, size: int) -> Iterator[bytes]:
        while size > 0 and (block := self.rfile.read(min(size, BLOCK))):
            size -= len(block)
            yield block
        if size > 0:
            raise ConnectionError("the client left in the middle of its statement")

    def _sent(self, asked: dict, only: dict, data) -> requests.Response:
        """The server's answer to what was asked, with its own credentials and settings."""
        upstream = self.server.upstream
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
        headers.setdefault("Accept-Encoding", "identity")
        known = dict(parse_qsl(upstream.query, keep_blank_values=True))
        given = {name: value for name, value in asked.items() if name not in OWN_PARAMETERS}
        query = urlencode(known | given | only, errors="surrogateescape")
        return requests.request(
            self.command,
            http.without_user(upstream, query),
            data=data,
            headers=headers | http.credentials(upstream),
            stream=True,
            timeout=(http.CONNECT_TIMEOUT, self.server.timeout),
        )

    def _hand_back(self, answer: requests.Response) -> None:
        """An answer in pieces: one that breaks off is seen to do so."""
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for block in answer.raw.stream(BLOCK, decode_content=False):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")

    def _say(self, status: int, text: str, code: int = 516) -> None:
        body = f"Code: {code}. {text}\n".encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refusal(self, sql: str) -> str:
        where = f"only tables of {self.server.database} are" if self.server.database else "nothing is"
        return (
            f"While a notebook is tried, {where} changed on this server. Expected a statement that reads, or one that names "
            f"each table it changes as {self.server.database or 'database'}.table; found: {' '.join(sql.split())[:200]}"
        )


def _begun(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes] | None]:
    """The beginning of a body, and what follows: None if that was all of it."""
    head = b""
    for block in blocks:
        head += block
        if len(head) > JUDGED:
            return head, blocks
    return head, None
