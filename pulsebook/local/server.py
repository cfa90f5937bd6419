"""The embedded warehouse: ClickHouse's engine (chDB) behind ClickHouse's HTTP interface, on loopback.

    python -m pulsebook.local.server --path .local/warehouse --port 8123

    with running(folder) as url:
        requests.post(url, data="SELECT 1")

Each request has a connection of its own to the one engine of this process, so settings end with the request and a long
query does not hold up others. Results stream; the first megabyte is held back (all of it with `wait_end_of_query=1`),
so that an error within it is an HTTP status. A later error is written after the result, as ClickHouse does, and the
transfer is broken off. An acknowledged insert is in files: a killed process loses nothing of it (a power cut may).
"""

import argparse
import base64
import ctypes
import fcntl
import functools
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

os.environ.setdefault("TZ", "UTC")  # one zone for the engine and for the header that names it
import chdb  # noqa: E402
import uvicorn  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.concurrency import run_in_threadpool  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

HELD_BACK = 1 << 20  # bytes of a result that wait for a possible error
SPOOLED = 16 << 20  # bytes of a complete result kept in memory; the rest goes to a temporary file
STATEMENT_HEAD = 1 << 18  # bytes of a body within which the statement of an insert must end
PARALLEL = 16  # statements at a time; more wait in line
NOT_SETTINGS = {
    "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "wait_end_of_query", "buffer_size", "compress", "decompress", "enable_http_compression",
    "http_zlib_compression_level", "client_protocol_version", "quota_key", "role",
}  # fmt: skip
STATUS = {516: 403, 193: 403, 192: 403, 497: 403, 164: 403, 60: 404, 81: 404, 394: 500}  # by ClickHouse's code
BAD_REQUEST = {6, 16, 26, 27, 36, 38, 41, 43, 46, 47, 50, 53, 62, 69, 70, 72, 73, 115, 117, 130, 215, 377, 457}

# Formats whose results stream, with the lines that head them; others (JSON, Parquet, …) are one document: not streamed.
HEADER_LINES = dict.fromkeys(
    ("tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "jsoneachrow", "rowbinary", "native"), 0
)
HEADER_LINES |= dict.fromkeys(("tabseparatedwithnames", "tsvwithnames", "csvwithnames"), 1)
HEADER_LINES |= dict.fromkeys(("tabseparatedwithnamesandtypes", "tsvwithnamesandtypes", "csvwithnamesandtypes"), 2)

_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*$", re.I)
_SELECTS = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(SELECT|WITH)\b", re.I | re.S)
_INSERT = re.compile(
    rb"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:[\w.]|`(?:[^`\\]|\\.)*`|\"[^\"]*\")+\s*(?:\((?:[^()`\"]|`(?:[^`\\]|\\.)*`|\"[^\"]*\")*\)\s*)?"
    rb"(?:SETTINGS\s+[^;]*?\s)?\s*(?P<how>FORMAT\s+(?P<format>\w+)|VALUES)[ \t]*;?\r?\n?",
    re.I,
)


class Engine:
    """The chDB engine on a data folder: hands out a connection per statement."""

    def __init__(self, path: Path, config: Path | None = None):
        """`config`: a configuration file of ClickHouse's: users, clusters, limits."""
        self.path = f"{path}?config-file={config}" if config else str(path)
        self._keeper = chdb.connect(self.path)  # keeps the engine up between requests
        self._turn = threading.BoundedSemaphore(PARALLEL)

    @contextmanager
    def connection(self, settings: dict[str, str]):
        with self._turn:
            connection = chdb.connect(self.path)
            try:
                for name, value in settings.items():
                    if name == "database":
                        connection.query(f"USE `{value.replace('`', '')}`")
                    elif not re.fullmatch(r"\w+", name):
                        raise RuntimeError(f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)")
                    else:
                        literal = value.replace("\\", "\\\\").replace("'", "\\'")
                        connection.query(f"SET {name} = '{literal}'")
                yield connection
            finally:
                connection.close()

    def results(self, statement: str, format: str, settings: dict, params: dict) -> Iterator[bytes]:
        """The answer of a statement in chunks."""
        with self.connection(settings) as connection:
            named = _FORMAT.search(statement)
            kind = (named[1] if named else format).lower()
            if not _SELECTS.match(statement) or kind not in HEADER_LINES:
                yield connection.query(statement, format, params=params or None).bytes()
                return
            header = None
            with connection.send_query(statement, format, params=params or None) as stream:
                for chunk in stream:
                    chunk = chunk.bytes()
                    if header is None:
                        header = b"".join(chunk.splitlines(keepends=True)[: HEADER_LINES[kind]])
                        yield chunk
                    else:  # chDB begins every chunk with the header
                        yield chunk.removeprefix(header)
            if header is None:  # and a stream of no rows leaves it out
                yield connection.query(statement, format, params=params or None).bytes()


class Interface:
    """ClickHouse's HTTP interface over an engine."""

    def __init__(self, engine: Engine, user: str, password: str):
        self.engine, self.user, self.password = engine, user, password
        self.app = Starlette(
            routes=[Route("/ping", self.ping), Route("/", self.handle, methods=["GET", "POST"])],
        )

    async def ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def handle(self, request: Request) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        try:
            self._authenticate(request)
            response = await self._answer(request)
        except Exception as error:  # the boundary: whatever the engine raises is the client's answer
            response = _failure(error)
        response.headers["X-ClickHouse-Query-Id"] = query_id
        response.headers["X-ClickHouse-Timezone"] = os.environ["TZ"]
        response.headers.setdefault("X-ClickHouse-Summary", "{}")
        return response

    def _authenticate(self, request: Request) -> None:
        if not self.password:
            return
        user, key = request.query_params.get("user"), request.query_params.get("password")
        user, key = _header(request, "X-ClickHouse-User", user), _header(request, "X-ClickHouse-Key", key)
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            user, _, key = base64.b64decode(credentials).decode("utf-8", "replace").partition(":")
        known = (user or "default") == self.user
        if not hmac.compare_digest((key or "").encode(), self.password.encode()) or not known:
            name = re.sub(r"[^\w.@-]", "?", user or "default")
            raise RuntimeError(
                f"Code: 516. DB::Exception: {name}: Authentication failed: password is incorrect, "
                "or there is no user with such name. (AUTHENTICATION_FAILED)"
            )

    async def _answer(self, request: Request) -> Response:
        given = dict(request.query_params)
        statement = given.get("query", "")
        format = given.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
        settings = {k: v for k, v in given.items() if k not in NOT_SETTINGS and not k.startswith("param_")}
        params = {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")}
        if database := given.get("database") or request.headers.get("X-ClickHouse-Database"):
            settings = {"database": database, **settings}
        if request.method == "GET":
            if not statement:
                return PlainTextResponse("Ok.\n")
            if settings.get("readonly") != "1":
                settings["readonly"] = "2"  # whatever the URL says
        body = _decoded(request)
        head = b""
        async for chunk in body:
            head += chunk
            if len(head) >= STATEMENT_HEAD:
                break
        whole = statement.encode() + b"\n" + head if statement else head
        if (insert := _INSERT.match(whole)) and request.method == "POST":
            data = whole[insert.end() :] if len(whole) > insert.end() else b""
            target = whole[: insert.start("how")].decode()
            kind = (insert["format"] or b"Values").decode()
            return await self._insert(target, kind, data, body, settings)
        async for chunk in body:
            whole += chunk
        results = self.engine.results(whole.decode(), format, settings, params)
        complete = given.get("wait_end_of_query") == "1"
        start = await run_in_threadpool(_begin, results, complete)
        return StreamingResponse(
            _with_error_at_the_end(start, results),
            media_type="text/plain; charset=UTF-8" if "arquet" not in format else "application/octet-stream",
            headers={"X-ClickHouse-Format": format},
        )

    async def _insert(self, target: str, kind: str, data: bytes, body: AsyncIterator[bytes], settings) -> Response:
        connection = self.engine.connection(settings)
        inserter = None
        opened = await run_in_threadpool(connection.__enter__)
        try:
            inserter = await run_in_threadpool(opened.send_insert, target, kind)
            if data:
                await run_in_threadpool(inserter.append, data)
            async for chunk in body:
                await run_in_threadpool(inserter.append, chunk)
            done = await run_in_threadpool(inserter.finish)
            inserter = None
            rows = getattr(done, "rows_written", 0)
            return Response(headers={"X-ClickHouse-Summary": json.dumps({"written_rows": str(rows)})})
        finally:
            if inserter is not None:
                await run_in_threadpool(inserter.cancel)
            await run_in_threadpool(connection.__exit__, None, None, None)


def _header(request: Request, name: str, default: str | None) -> str | None:
    """A header as ClickHouse reads it: UTF-8, of which Starlette makes Latin-1."""
    value = request.headers.get(name)
    return default if value is None else value.encode("latin-1").decode("utf-8", "replace")


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    """The body, decompressed as its Content-Encoding says; one that ends within a frame is an error, not a short body."""
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding in ("", "identity"):
        async for chunk in request.stream():
            if chunk:
                yield chunk
        return
    if encoding in ("gzip", "deflate"):
        new_decoder = functools.partial(zlib.decompressobj, 47)
    elif encoding == "zstd":
        import zstandard

        new_decoder = zstandard.ZstdDecompressor().decompressobj
    elif encoding == "lz4":
        import lz4.frame

        new_decoder = lz4.frame.LZ4FrameDecompressor
    else:
        raise RuntimeError(f"Code: 117. DB::Exception: Unknown Content-Encoding {encoding[:20]}. (INCORRECT_DATA)")
    decoder = None
    async for chunk in request.stream():
        while chunk:
            if decoder is None or decoder.eof:  # a body may be several frames
                decoder = new_decoder()
            if data := decoder.decompress(chunk):
                yield data
            chunk = decoder.unused_data if decoder.eof else b""
    if decoder is not None and not decoder.eof:
        raise RuntimeError(f"Code: 117. DB::Exception: The {encoding} body ends too early. (INCORRECT_DATA)")


def _begin(results: Iterator[bytes], complete: bool):
    """The start of a result, up to `HELD_BACK` bytes or complete; an error within it is raised here."""
    start = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 (the caller closes it)
    for chunk in results:
        start.write(chunk)
        if not complete and start.tell() >= HELD_BACK:
            break
    start.seek(0)
    return start


def _with_error_at_the_end(start, results: Iterator[bytes]) -> Iterator[bytes]:
    try:
        with start:
            while chunk := start.read(HELD_BACK):
                yield chunk
        try:
            yield from results
        except Exception as error:
            yield ("\n" + _text(error) + "\n").encode()
            raise ConnectionAbortedError("error in mid-result: the transfer is broken off") from None
    finally:
        results.close()


def _text(error: Exception) -> str:
    text = str(error).strip()
    return text[text.find("Code: ") :] if "Code: " in text else f"Code: 1002. DB::Exception: {text}"


def _failure(error: Exception) -> Response:
    text = _text(error)
    code = int(re.match(r"Code: (\d+)", text)[1])
    status = STATUS.get(code, 400 if code in BAD_REQUEST else 500)
    return PlainTextResponse(text + "\n", status, headers={"X-ClickHouse-Exception-Code": str(code)})


class FolderTaken(RuntimeError):
    """Another server owns the data folder."""


def own(folder: Path, port: int):
    """Take the folder for this process; the lock ends with it, however it ends. Returns the open lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "owner.json", "a+")  # noqa: SIM115 (held for the life of the process)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = json.loads(lock.read() or "{}")
        raise FolderTaken(
            f"{folder} is in use by process {owner.get('pid')} (port {owner.get('port')}, since {owner.get('since')}); "
            "stop that one or choose another --path"
        ) from None
    lock.truncate(0)
    json.dump({"pid": os.getpid(), "port": port, "since": datetime.now().isoformat(timespec="seconds")}, lock)
    lock.flush()
    return lock


@contextmanager
def running(path: Path | str, port: int = 0, password: str = "", config: Path | None = None) -> Iterator[str]:
    """A server as a child process for as long as the block lasts; yields its URL, with credentials if there are any."""
    command = [sys.executable, "-m", "pulsebook.local.server", "--path", str(path), "--port", str(port), "--child"]
    command += ["--config", str(config)] if config else []
    environment = {**os.environ, "PULSEBOOK_LOCAL_PASSWORD": password}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    try:
        said = []
        while line := server.stdout.readline():
            said.append(line)
            if match := re.search(r"on http://(127\.0\.0\.1:\d+)", line):
                break
        else:
            raise RuntimeError(f"the embedded warehouse did not start: {''.join(said[-5:]).strip()}")
        threading.Thread(target=server.stdout.read, daemon=True).start()  # keeps its pipe from filling up
        host = match[1]
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{host}/ping", timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://default:{password}@{host}" if password else f"http://{host}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.server", description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, required=True, help="data folder")
    parser.add_argument("--port", type=int, default=8123, help="0: any free one (default: 8123)")
    parser.add_argument("--user", default="default")
    parser.add_argument("--config", type=Path, help="configuration file of ClickHouse's: users, clusters, limits")
    parser.add_argument("--child", action="store_true", help="end when the parent process ends (Linux)")
    arguments = parser.parse_args()
    if arguments.child and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", arguments.port))
        port = listener.getsockname()[1]
        lock = own(arguments.path, port)
    except (OSError, FolderTaken) as error:
        print(f"cannot start on port {arguments.port}: {error}", file=sys.stderr)
        return 1
    engine = Engine(arguments.path / "data", arguments.config)
    interface = Interface(engine, arguments.user, os.environ.get("PULSEBOOK_LOCAL_PASSWORD", ""))
    config = uvicorn.Config(
        interface.app, log_level="critical", access_log=False, timeout_graceful_shutdown=2, lifespan="off"
    )
    print(f"Pulsebook warehouse on http://127.0.0.1:{port} (data in {arguments.path})", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    lock.close()
    os._exit(0)  # statements still running are abandoned, as at a kill


if __name__ == "__main__":
    sys.exit(main())
