"""What a request asks for: its statement, settings, parameters and external tables, from URL, headers and body."""

import io
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pulsebook.local.bodies import BODY, Body, received, too_large, unpacked
from pulsebook.local.failure import Failure
from pulsebook.local.spool import Room
from pulsebook.local.statement import Statement

HEAD = 1 << 20  # bytes of a body within which the statement of an insert must end
STATEMENT = 16 << 20  # bytes of a statement that is no insert with data
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


async def read(request: Request, room: Room) -> Query:
    """The whole request; its body has arrived then. Raises Failure."""
    given = parameters(request)
    encoding = request.headers.get("Content-Encoding", "").lower()
    chunks = unpacked(request.stream(), encoding)
    with ExitStack() as held:
        tables, body = [], None
        if request.headers.get("Content-Type", "").lower().startswith("multipart/form-data"):
            fields, files = await _parts(request, chunks, held)
            given = {**fields, **given}
            tables = [_table(name, rows, given) for name, rows in files]
        elif request.method == "POST":
            body = await received(request.stream(), encoding, room)
            held.callback(body.close)
        statement, data = _statement(given.get("query", "").encode("utf-8", "surrogateescape"), body)
        used = {table.name + part for table in tables for part in _TABLE_PARTS}
        return Query(
            given,
            statement,
            data,
            given.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
            given.get("database") or header(request, "X-ClickHouse-Database", None),
            {k: v for k, v in given.items() if k not in NOT_SETTINGS | used and not k.startswith("param_")},
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


def _statement(in_url: bytes, body: Body | None) -> tuple[Statement, io.IOBase | None]:
    """The statement, from URL and body as one text; and where it is an insert with data, these."""
    if body is None or not body.size:
        statement = Statement(in_url)
        insert = statement.insert
        ends = insert is not None and insert.data is not None and not in_url[insert.data :].strip()
        return statement, io.BytesIO() if ends else None  # an insert without a row is one all the same
    before = in_url + b"\n" if in_url else b""
    body.file.seek(0)
    head = before + body.file.read(HEAD)
    insert = Statement(head).insert
    if insert is not None and insert.data is not None:
        if body.size > HEAD and insert.data >= len(head):
            raise too_large(f"the data of an insert begin after {HEAD} bytes", "send its statement in the URL")
        body.file.seek(max(insert.data - len(before), 0))
        return Statement(head[: insert.data]), body.file
    if body.size > STATEMENT:
        raise too_large(f"a statement of more than {STATEMENT} bytes", "send data as an external table or an INSERT")
    return Statement(head + body.file.read()), None


async def _parts(
    request: Request, chunks: AsyncIterator[bytes], held: ExitStack
) -> tuple[dict[str, str], list[tuple[str, io.IOBase]]]:
    """Fields and files of a multipart body."""
    parser = MultiPartParser(
        request.headers, _bounded(chunks), max_files=1000, max_fields=FIELDS, max_part_size=STATEMENT
    )
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
