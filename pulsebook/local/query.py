"""What a request asks for: its statement, settings, parameters and external tables, from URL, headers and body."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pulsebook.local.bodies import BODY, received, too_large, unpacked
from pulsebook.local.failure import Failure
from pulsebook.local.spool import Room
from pulsebook.local.statement import Statement

STATEMENT = 1 << 20  # bytes of a query, data not counted, that max_query_size can be raised to
ADDED = 8 << 10  # bytes that we may add to a query for the engine: where its result goes, a comment
SMALL = 4 << 10  # bytes of a query that the event loop itself reads
FIELD = 16 << 20  # bytes of a field of a multipart body
FIELDS = 20_000  # of a multipart body
NOT_SETTINGS = {
    "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "wait_end_of_query", "buffer_size", "compress", "decompress", "enable_http_compression",
    "http_zlib_compression_level", "client_protocol_version", "quota_key", "role", "close_session",
}  # fmt: skip
_TABLE_PARTS = ("_format", "_types", "_structure")


@dataclass
class Table:
    """An external table: rows that come with a query and exist for it alone."""

    name: str
    structure: str  # `a UInt8, b String`
    format: str
    rows: io.IOBase


@dataclass
class Query:
    """All that a request asks for. Close it: it holds temporary files."""

    given: dict[str, str]
    statement: Statement
    data: io.IOBase | None = None  # of an insert: positioned at their first byte
    format: str = "TabSeparated"
    database: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    held: ExitStack = field(default_factory=ExitStack)

    def asks(self, flag: str) -> bool:
        return self.given.get(flag, "").lower() in ("1", "true")

    def close(self) -> None:
        self.held.close()


async def read(request: Request, room: Room, longest: int, readers: Executor) -> Query:
    """The whole request; its body has arrived then.

    Args:
        longest: bytes that its query may have where it does not set max_query_size.
        readers: threads in which long queries are read.

    Raises:
        Failure: it cannot be read, or is too large.
    """
    given = parameters(request)
    encoding = request.headers.get("Content-Encoding", "").lower()
    chunks = unpacked(request.stream(), encoding)
    with ExitStack() as held:
        tables, in_parts = [], request.headers.get("Content-Type", "").lower().startswith("multipart/form-data")
        if in_parts:
            fields, files = await _parts(request, chunks, held)
            given = {**fields, **given}
            tables = [_table(name, rows, given) for name, rows in files]
        in_url = given.get("query", "").encode("utf-8", "surrogateescape")
        if request.method == "POST" and not in_parts:
            body = await received(request.stream(), encoding, room, _line(in_url))
            held.callback(body.close)
            text, size = body.file, body.size
        else:
            text, size = io.BytesIO(in_url), len(in_url)
        most = _longest(given, longest)
        if size <= SMALL:
            statement, data = _statement(text, size, most)
        else:
            loop = asyncio.get_running_loop()
            statement, data = await loop.run_in_executor(readers, _statement, text, size, most)
        used = {table.name + part for table in tables for part in _TABLE_PARTS}
        settings = {k: v for k, v in given.items() if k not in NOT_SETTINGS | used and not k.startswith("param_")}
        if len(statement.source) + ADDED > most:  # it was measured: what we add does not count
            settings = {**settings, "max_query_size": str(most + ADDED)}
        return Query(
            given,
            statement,
            data,
            given.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
            given.get("database") or header(request, "X-ClickHouse-Database", None),
            settings,
            {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")},
            tables,
            held.pop_all(),
        )


def parameters(request: Request) -> dict[str, str]:
    """Those of the URL; bytes that are not UTF-8 stay what they were (as surrogates)."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="surrogateescape", max_num_fields=FIELDS)
    except ValueError as error:
        raise Failure(36, "BAD_ARGUMENTS", f"The URL has too many parameters: {error}") from None
    return dict(pairs)


def header(request: Request, name: str, default: str | None) -> str | None:
    """A header as ClickHouse reads it: UTF-8, of which Starlette makes Latin-1."""
    value = request.headers.get(name)
    return default if value is None else value.encode("latin-1").decode("utf-8", "replace")


def _longest(given: dict[str, str], default: int) -> int:
    """Bytes that the query may have: max_query_size, where 0 is no limit, up to our own."""
    text = given.get("max_query_size", "")
    size = int(text[:20]) if text.isdecimal() and text.isascii() else default  # the engine says what else is wrong
    return min(size or STATEMENT, STATEMENT)


def _line(in_url: bytes) -> bytes:
    """The query of the URL as what the body goes on from: on a line of its own, as at ClickHouse."""
    return in_url + b"\n" if in_url and not in_url.endswith(b"\n") else in_url


def _statement(text: io.IOBase, size: int, most: int) -> tuple[Statement, io.IOBase | None]:
    """The statement that a text of so many bytes holds, examined; and where it is an insert with data, these."""
    text.seek(0)
    source, data = text.read(most + 1), None
    insert = Statement(source).insert
    if insert is not None and insert.data is not None and insert.data <= most:
        text.seek(insert.data)
        source, data = source[: insert.data], text
    elif size > most:
        raise Failure(
            62,
            "SYNTAX_ERROR",
            f"Syntax error: Max query size exceeded: the query has more than {most} bytes (can be increased with the "
            f"`max_query_size` setting, up to {STATEMENT}); send data as an INSERT or an external table",
        )
    statement = Statement(source)
    statement.examine()
    return statement, data


async def _parts(
    request: Request, chunks: AsyncIterator[bytes], held: ExitStack
) -> tuple[dict[str, str], list[tuple[str, io.IOBase]]]:
    """Fields and files of a multipart body."""
    parser = MultiPartParser(request.headers, _bounded(chunks), max_files=1000, max_fields=FIELDS, max_part_size=FIELD)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Failure(36, "BAD_ARGUMENTS", f"The multipart body cannot be read: {error!r}") from None
    fields, files = {}, []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            held.callback(value.file.close)
            files.append((name, value.file))
        else:
            fields[name] = value
    return fields, files


async def _bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > BODY:
            raise too_large(f"a body of more than {BODY} bytes (unpacked)", "send fewer rows")
        yield chunk


def _table(name: str, rows: io.IOBase, given: dict[str, str]) -> Table:
    """An external table from its file and the parameters `{name}_structure` or `{name}_types`, and `{name}_format`."""
    if not re.fullmatch(r"\w+", name):
        raise Failure(36, "BAD_ARGUMENTS", f"The name of an external table must be a word, got {name[:50]!r}")
    structure = given.get(f"{name}_structure")
    if types := given.get(f"{name}_types"):
        structure = structure or ", ".join(f"_{i} {type}" for i, type in enumerate(_split(types), 1))
    if not structure:
        raise Failure(36, "BAD_ARGUMENTS", f"Neither {name}_structure nor {name}_types says what columns {name} has")
    return Table(name, structure, given.get(f"{name}_format", "TabSeparated"), rows)


def _split(types: str) -> list[str]:
    """`Decimal(9, 2), String` at the commas outside of brackets."""
    parts, depth = [""], 0
    for sign in types:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]
