"""ClickHouse through pandahouse: read a frame, execute, write a frame, replace a partition atomically.

    source, target = Warehouse.source(), Warehouse.target()
    target.read("SELECT event_date, sum(views) AS views FROM test.metrics_by_dimension GROUP BY event_date")
    target.replace_partition("test.staging_feed", "'2026-11-22'", "SELECT ...", source)

pandahouse (2018) does the talking. What it cannot do is closed here:

- every column type, NULL, nan and any text: values travel as hexadecimal text between the statement and the frame, so
  there is nothing to escape, and the frame's dtypes come from ClickHouse's own types;
- an error in mid-result is an error: the server is asked to hold a result until it is complete, and what arrives is
  compared with the columns that were announced;
- timeouts, retries of reads, and credentials in a header instead of the URL: through `_Http`, which stands in for the
  `requests` module that pandahouse calls;
- writes that are whole or not at all: rows go to a scratch table first and move in one statement.

Every failure is a `WarehouseError` that shows the statement and ClickHouse's message and never a password.
"""

import json
import logging
import re
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np
import pandahouse.http
import pandas as pd
import requests
import urllib3
from pandahouse import read_clickhouse, to_clickhouse

from pulsebook.settings import settings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10  # seconds to get a connection
READ_ATTEMPTS = 3  # of a read that fails with nothing wrong in it
STATEMENT_SHOWN = 600  # characters of a statement in an error


class WarehouseError(RuntimeError):
    """ClickHouse refused a statement, answered with an error, or could not be reached."""


class _Http:
    """Stands in for the `requests` module inside pandahouse: adds timeout and credentials, checks the answer."""

    def __init__(self, warehouse: "Warehouse", retry: bool):
        self.warehouse, self.retry = warehouse, retry

    def post(self, url, params=None, data=None, files=None, stream=False):
        statement = params["query"]
        for attempt in range(1, READ_ATTEMPTS + 1 if self.retry else 2):
            try:
                return self.warehouse._post(statement, data, stream)
            except _Passing:
                if not self.retry or attempt == READ_ATTEMPTS:
                    raise
                time.sleep(0.5 * attempt)


class _Passing(WarehouseError):
    """A read may succeed when it is tried again: there was no connection, or the server listed its tables while another
    run dropped one, on which servers of 2018 fail ("Table … doesn't exist", or its file cannot be opened)."""


@contextmanager
def _pandahouse_through(http: _Http):
    """pandahouse names `requests` as a module global: the one seam it has."""
    original, pandahouse.http.requests = pandahouse.http.requests, http
    try:
        yield
    finally:
        pandahouse.http.requests = original


@dataclass(frozen=True)
class Warehouse:
    """One ClickHouse server, as `http://user:password@host:8123/?setting=value`."""

    url: str = field(repr=False)
    timeout: float = 600.0

    @classmethod
    def source(cls) -> "Warehouse":
        """The server with the event tables; only ever read."""
        return cls(settings().source_url.get_secret_value(), settings().query_timeout)

    @classmethod
    def target(cls) -> "Warehouse":
        """The server with our own tables."""
        return cls(settings().clickhouse_url.get_secret_value(), settings().query_timeout)

    @property
    def address(self) -> str:
        """The URL as it may be shown: host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port}"

    # -- reading

    def read(self, sql: str) -> pd.DataFrame:
        """The rows of a SELECT.

        Integers without NULL arrive as their numpy type, with NULL as pandas' nullable `Int64`/`UInt64`; floats as
        float64; Bool as bool; Date and DateTime as datetime64 (zoned where the column is); text, Enum and UUID as str
        with None for NULL; Decimal as `decimal.Decimal`; arrays and other types as ClickHouse's text.
        """
        started = time.perf_counter()
        sql = _bare(sql)
        types = self._types(sql)
        # ClickHouse puts an alias in place of a column of the same name: ours must be nobody's name
        wire = ", ".join(f"{_to_wire(name, kind)} AS __wire{i}" for i, (name, kind) in enumerate(types.items()))
        try:
            with _pandahouse_through(_Http(self, retry=True)):
                frame = read_clickhouse(_braces(f"SELECT {wire} FROM ({sql}\n)"))
            if list(frame.columns) != [f"__wire{i}" for i in range(len(types))]:
                raise ValueError(f"found columns {list(frame.columns)}")
            columns = {n: _from_wire(frame[f"__wire{i}"], k) for i, (n, k) in enumerate(types.items())}
        except (urllib3.exceptions.HTTPError, ValueError, TypeError, LookupError) as error:
            raise WarehouseError(
                self._message(sql, f"the answer broke off or cannot be read as {types}: {error}")
            ) from None
        frame = pd.DataFrame(columns, index=range(len(frame)))
        log.info("read %s rows in %.2f s: %s", len(frame), time.perf_counter() - started, _first_line(sql))
        return frame

    def row(self, sql: str) -> dict:
        """The only row of a SELECT, as Python values by column name."""
        frame = self.read(sql)
        if len(frame) != 1:
            raise WarehouseError(self._message(sql, f"expected one row, found {len(frame)}"))
        return {name: getattr(value := frame[name].iloc[0], "item", lambda v=value: v)() for name in frame}

    def scalar(self, sql: str):
        """The only value of a SELECT with one row and one column."""
        (value,) = self.row(sql).values()
        return value

    def columns(self, table: str) -> dict[str, str]:
        """Column names and types of a table, in order.

        Raises:
            WarehouseError: there is no such table, or no right to see it.
        """
        return self._described(f"DESCRIBE TABLE {table}")

    def require(self, table: str, columns: tuple[str, ...]) -> None:
        """Check that a table exists and has these columns.

        Raises:
            WarehouseError: names what is missing.
        """
        found = self.columns(table)
        if missing := [c for c in columns if c not in found]:
            raise WarehouseError(
                f"table {table} lacks {', '.join(missing)}; it has {', '.join(found)}: is this the right source database?"
            )

    def _types(self, sql: str) -> dict[str, str]:
        return self._described(f"DESCRIBE TABLE ({sql}\n)")

    def _described(self, statement: str) -> dict[str, str]:
        """The first two columns of an answer: a name and a text. As JSON, since types may be written on many lines."""
        with _pandahouse_through(_Http(self, retry=True)):
            answer = pandahouse.http.execute(_braces(f"{statement} FORMAT JSONCompact"))
        return {name: text for name, text, *_ in json.loads(answer)["data"]}

    # -- writing

    def execute(self, sql: str) -> None:
        """Run a statement that returns nothing: DDL or INSERT … SELECT."""
        started = time.perf_counter()
        with _pandahouse_through(_Http(self, retry=False)):
            pandahouse.http.execute(_braces(sql))
        log.info("done in %.2f s: %s", time.perf_counter() - started, _first_line(sql))

    def write(self, frame: pd.DataFrame, table: str) -> int:
        """Append the rows of a frame to a table, all of them or none; returns how many.

        Columns are matched by name. None, NaN and NaT become NULL, which a column that is not Nullable refuses.
        """
        types = self.columns(table)
        unknown = [c for c in frame.columns if c not in types]
        if unknown:
            raise WarehouseError(f"table {table} has no column {', '.join(unknown)}; it has {', '.join(types)}")
        if frame.empty:
            return 0
        plain = [_unwrapped(types[c]) for c in frame.columns]
        wire = pd.DataFrame(
            {
                f"c{i}": pd.Series([_to_hex(value, kind) for value in frame[c]], dtype=object)
                for i, (c, (kind, _)) in enumerate(zip(frame.columns, plain, strict=True))
            }
        )
        for i, (column, (_, nullable)) in enumerate(zip(frame.columns, plain, strict=True)):
            if not nullable and (wire[f"c{i}"] == _NULL).any():
                raise WarehouseError(
                    f"column {column} of {table} is {types[column]} and takes no NULL, but the frame has one"
                )
        database, _, _ = table.rpartition(".")
        with self._scratch(table, ", ".join(f"{c} String" for c in wire), "Memory") as scratch:
            with _pandahouse_through(_Http(self, retry=False)):
                connection = {"database": database or "default"}
                to_clickhouse(wire, scratch.rpartition(".")[2], index=False, chunksize=len(wire), connection=connection)
            names = ", ".join(map(_identifier, frame.columns))
            values = ", ".join(_cast(f"c{i}", types[c]) for i, c in enumerate(frame.columns))
            self.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {scratch}")
        return len(frame)

    def replace_partition(
        self, table: str, partition: str, selects: str | list[str], source: "Warehouse | None" = None
    ) -> int:
        """Make a partition of a table hold exactly the rows of `selects`, in one atomic step; returns how many rows.

        The rows gather in a scratch table of the same structure; readers see the old partition until the new one is
        whole. A run that dies leaves the table as it was. Where `source` is another server, the rows stream through
        this process in Native format, in constant memory.

        Args:
            partition: its literal, as in `ALTER TABLE … DROP PARTITION`: `'2026-11-22'` or `('2026-11-22', 'os')`.
            selects: one SELECT or several; each gives the table's columns, in order, and only rows of the partition.
        """
        with self._scratch(table) as scratch:
            for select in [selects] if isinstance(selects, str) else selects:
                if source is None or source.url == self.url:
                    self.execute(f"INSERT INTO {scratch} {select}")
                else:
                    self._stream(source, select, scratch)
            partitions = self._partitions(scratch)
            expected = _partition_text(partition)
            if partitions.keys() - {expected}:
                raise WarehouseError(f"rows for {table} fall into {sorted(partitions)}, expected only {expected}")
            if partitions:
                self.execute(f"ALTER TABLE {table} REPLACE PARTITION {partition} FROM {scratch}")
            else:  # ClickHouse does not replace from an empty partition
                self.execute(f"ALTER TABLE {table} DROP PARTITION {partition}")
        return sum(partitions.values())

    def drop_stale(self, database: str, prefix: str, days: int) -> list[str]:
        """Drop partitions of tables named `prefix…` that were last written over `days` days ago, and the scratch
        tables that runs which died left behind; returns their names."""
        parts = self.read(
            f"SELECT table, partition FROM system.parts WHERE database = '{database}' AND startsWith(table, '{prefix}') AND active "
            f"GROUP BY table, partition HAVING max(modification_time) < now() - {days} * 86400"
        )
        for table, partition in parts.itertuples(index=False):
            literal = partition if partition.startswith("(") else f"'{partition}'"
            self.execute(f"ALTER TABLE {database}.{table} DROP PARTITION {literal}")
        scratch = self.read(
            f"SELECT name FROM system.tables WHERE database = '{database}' AND match(name, '__scratch_[0-9a-f]{{12}}$') "
            f"AND metadata_modification_time < now() - {days} * 86400"
        )
        for table in scratch["name"]:
            self.execute(f"DROP TABLE IF EXISTS {database}.{table}")
        return [*(parts["table"] + " " + parts["partition"]), *scratch["name"]]

    def _partitions(self, table: str) -> dict[str, int]:
        """Rows by partition, as ClickHouse spells partitions."""
        database, _, name = table.rpartition(".")
        frame = self.read(
            f"SELECT partition, sum(rows) AS total FROM system.parts "
            f"WHERE database = '{database}' AND table = '{name}' AND active AND rows > 0 GROUP BY partition"
        )
        return dict(zip(frame["partition"], frame["total"].astype(int), strict=True))

    @contextmanager
    def _scratch(self, table: str, columns: str = "", engine: str = ""):
        """A table of this run alone, beside `table` and by default of the same structure; gone afterwards."""
        scratch = f"{table}__scratch_{uuid.uuid4().hex[:12]}"
        if columns:
            self.execute(f"CREATE TABLE {scratch} ({columns}) ENGINE = {engine}")
        else:
            self.execute(f"CREATE TABLE {scratch} AS {table}{self._unreplicated(table)}")
        try:
            yield scratch
        finally:
            self.execute(f"DROP TABLE IF EXISTS {scratch}")

    def _unreplicated(self, table: str) -> str:
        """The ENGINE clause that a scratch table needs: where `table` is replicated a copy of it must not be."""
        database, _, name = table.rpartition(".")
        of = f"database = {quoted(database)} AND name = {quoted(name)}"
        full = self._described(f"SELECT name, engine_full FROM system.tables WHERE {of}").get(name, "")
        return f" ENGINE = {_alone(full)}" if full.startswith("Replicated") else ""

    def _stream(self, source: "Warehouse", select: str, table: str) -> None:
        """Rows of `select` on another server into `table`. Native matches columns by name: they are named and cast."""
        columns, given = self.columns(table), source._types(select)
        if len(columns) != len(given):
            raise WarehouseError(f"{table} has {len(columns)} columns, but the statement gives {len(given)}: {given}")
        # In two steps, since ClickHouse puts an alias in place of a column of the same name
        cast = ", ".join(
            f"CAST({_identifier(name)}, {quoted(kind)}) AS __wire{i}"
            for i, (name, kind) in enumerate(zip(given, columns.values(), strict=True))
        )
        named = ", ".join(f"__wire{i} AS {_identifier(column)}" for i, column in enumerate(columns))
        select = f"SELECT {named} FROM (SELECT {cast} FROM ({select}\n))"
        with source._post(f"{select} FORMAT Native", None, stream=True) as answer:
            self._post(f"INSERT INTO {table} FORMAT Native", answer.iter_content(1 << 20), stream=False)

    # -- talking

    def _post(self, statement: str, data, stream: bool) -> requests.Response:
        """POST one statement; the only place where bytes leave. Raises `WarehouseError`, with nothing secret in it."""
        parts = urlsplit(self.url)
        host = f"{parts.hostname}:{parts.port}"
        params = {"query": statement} if data is not None else {}
        params["wait_end_of_query"] = 1  # an error in mid-result becomes a status, not a row
        headers = {"Accept-Encoding": "identity"}  # pandahouse reads the raw stream
        if parts.username is not None:
            # As bytes: ClickHouse expects UTF-8, and of text the client would make Latin-1 or fail
            headers["X-ClickHouse-User"] = unquote(parts.username).encode()
            headers["X-ClickHouse-Key"] = unquote(parts.password or "").encode()
        try:
            response = requests.post(
                urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")),
                params=params,
                data=data if data is not None else statement.encode(),
                headers=headers,
                stream=stream,
                timeout=(CONNECT_TIMEOUT, self.timeout),
            )
        except requests.ConnectionError as error:
            raise _Passing(
                self._message(statement, f"no connection ({type(error).__name__}): is the server up, is the URL right?")
            ) from None
        except requests.Timeout:
            raise WarehouseError(
                self._message(statement, f"no answer within {self.timeout:g} s (PULSEBOOK_QUERY_TIMEOUT)")
            ) from None
        except requests.RequestException as error:
            raise WarehouseError(self._message(statement, f"broken answer ({type(error).__name__})")) from None
        if not response.ok or "X-ClickHouse-Exception-Code" in response.headers:
            text = response.text.strip()[:2000]
            passing = "system.tables" in statement and re.match(r"Code: (60|107)\b", text)
            raise (_Passing if passing else WarehouseError)(self._message(statement, text))
        return response

    def _message(self, statement: str, problem: str) -> str:
        parts = urlsplit(self.url)
        text = f"ClickHouse at {self.address}: {problem}\nin: {_shortened(statement)}"
        for secret in filter(None, (parts.password, unquote(parts.password or ""))):
            text = text.replace(secret, "***")
        return text


_REPLICATED = re.compile(
    r"Replicated(\w*MergeTree)(?:\(('(?:[^'\\]|\\.)*'), *('(?:[^'\\]|\\.)*')(?:, *(.*?))?\))?(?=\s|$)"
)


def engine(table: str, newest: str = "") -> str:
    """SQL: the engine of one of our tables, as PULSEBOOK_TABLE_ENGINE wants it.

    Args:
        newest: of rows with the same key only the one with the largest value in this column counts.
    """
    kind, _, arguments = settings().table_engine.replace("{table}", table.replace(".", "/")).partition("(")
    arguments = [arguments.removesuffix(")")] if arguments else []
    if newest:
        kind, arguments = kind.replace("MergeTree", "ReplacingMergeTree"), [*arguments, newest]
    return f"{kind}({', '.join(arguments)})" if arguments else kind


def _alone(engine_full: str) -> str:
    """An engine clause as it stands in system.tables, without replication."""
    match = _REPLICATED.match(engine_full)
    if not match:
        return engine_full
    return f"{match[1]}({match[4] or ''})" + engine_full[match.end() :]


def _bare(sql: str) -> str:
    return sql.strip().rstrip(";")


def _braces(sql: str) -> str:
    """pandahouse formats statements with str.format: braces are doubled to come through as they are."""
    return sql.replace("{", "{{").replace("}", "}}")


def _shortened(sql: str) -> str:
    return sql if len(sql) <= STATEMENT_SHOWN else sql[:STATEMENT_SHOWN] + " …"


def _first_line(sql: str) -> str:
    return " ".join(sql.split())[:120]


def _partition_text(partition: str) -> str:
    """A partition literal in the spelling of system.parts: one value bare, a tuple without spaces."""
    return re.sub(r",\s+", ",", partition) if partition.startswith("(") else partition.strip("'")


_NULL = "-"  # on the wire; an empty text would be an empty line, which pandas skips
_INTEGER = re.compile(r"U?Int(8|16|32|64)")
_ZONED = re.compile(r"DateTime(?:64)?\((?:\d+, )?'(.*)'\)")
_WRAPPED = re.compile(r"(Nullable|LowCardinality)\((.*)\)")


def _unwrapped(kind: str) -> tuple[str, bool]:
    """A ClickHouse type without LowCardinality and Nullable, and whether it was Nullable."""
    nullable = False
    while match := _WRAPPED.fullmatch(kind):
        nullable |= match[1] == "Nullable"
        kind = match[2]
    return kind, nullable


def _to_wire(name: str, kind: str) -> str:
    """SQL that turns a column into what cannot be misread: an integer, or '=' and hexadecimal text, '-' for NULL."""
    quoted = _identifier(name)
    if _INTEGER.fullmatch(kind):
        return quoted
    bare, nullable = _unwrapped(kind)
    if _ZONED.match(bare):
        quoted = f"toTimeZone({quoted}, 'UTC')"
    text = f"concat('=', hex(toString({quoted})))"
    if nullable or bare == "Nothing":
        return f"ifNull(CAST({text}, 'Nullable(String)'), '{_NULL}')"
    return f"CAST({text}, 'String')"


def _from_wire(wire: pd.Series, kind: str) -> pd.Series:
    if _INTEGER.fullmatch(kind):
        return wire.astype(kind.lower())
    kind, nullable = _unwrapped(kind)
    text = pd.Series([_from_hex(cell) for cell in wire], dtype=object)
    if _INTEGER.fullmatch(kind):
        return pd.Series(pd.array([None if v is None else int(v) for v in text], dtype=kind))
    if kind.startswith("Float"):
        return text.astype(float)
    if kind == "Bool":
        return text.map({"true": True, "false": False, None: None}).astype("boolean" if nullable else "bool")
    if zone := _ZONED.match(kind):
        return pd.to_datetime(text, format="ISO8601", utc=True).dt.tz_convert(zone[1])
    if kind.startswith("Date"):
        return pd.to_datetime(text, format="ISO8601")
    if kind.startswith("Decimal"):
        return text.map(lambda v: None if v is None else Decimal(v)).astype(object)
    return text


def _from_hex(cell: str) -> str | None:
    if cell == _NULL:
        return None
    if not cell.startswith("="):
        raise ValueError(f"expected '=' and hexadecimal text, found {cell[:80]!r}")
    return bytes.fromhex(cell[1:]).decode("utf-8", "surrogateescape")


def _to_hex(value, kind: str) -> str:
    """A cell of a frame for the wire: '=' and hexadecimal text as ClickHouse reads the type, or '-' for NULL."""
    if not isinstance(value, list | tuple | dict) and pd.isna(value):
        return _NULL
    if isinstance(value, bool | np.bool_):
        value = int(value)
    if isinstance(value, int | np.integer) and not _fits(int(value), kind):  # ClickHouse would wrap it around
        raise WarehouseError(f"{value} does not fit into {kind}")
    if isinstance(value, datetime):
        moment = pd.Timestamp(value)
        if kind.startswith("Date") and not kind.startswith("DateTime"):
            value = moment.date()
        elif moment.tz is not None:  # an instant, whatever the zone of the column or the server
            value = f"{moment.timestamp():.6f}" if kind.startswith("DateTime64") else int(moment.timestamp())
        elif not kind.startswith("DateTime64"):
            value = moment.floor("s")
    return "=" + str(value).encode("utf-8", "surrogateescape").hex()


def _fits(value: int, kind: str) -> bool:
    if not (match := _INTEGER.fullmatch(kind)):
        return True
    bits = int(match[1])
    return 0 <= value < 2**bits if kind.startswith("U") else -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


# What stands in for NULL while it is cast: old servers cast every row, also those that `if` then leaves out
_PLACEHOLDERS = {
    "Date": "1970-01-01",
    "DateTime": "1970-01-02 00:00:00",
    "DateTime64": "1970-01-02 00:00:00",
    "UUID": "00000000-0000-0000-0000-000000000000",
}
_ENUM = re.compile(r"Enum(?:8|16)\(('(?:[^'\\]|\\.)*')")


def _cast(wire: str, kind: str) -> str:
    """SQL that reads a wire column back as the column's own type."""
    text = f"unhex(substring({wire}, 2))"
    bare, nullable = _unwrapped(kind)
    if bare == "String":
        return f"if({wire} = '{_NULL}', NULL, {text})" if nullable else text
    plain = f"CAST({text}, {quoted(bare)})"
    if not nullable:
        return plain
    placeholder = quoted(_PLACEHOLDERS.get(re.split(r"\W", bare)[0], "0"))
    if first := _ENUM.match(bare):
        placeholder = first[1]
    return f"if({wire} = '{_NULL}', NULL, CAST(if({wire} = '{_NULL}', {placeholder}, {text}), {quoted(bare)}))"


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted(text: str) -> str:
    """A text as a literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
