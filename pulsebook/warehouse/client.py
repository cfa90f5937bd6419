"""One ClickHouse server."""

import json
import logging
import time
from dataclasses import dataclass, field

import pandahouse.http
import pandas as pd
import requests
import urllib3
from pandahouse import read_clickhouse

from pulsebook.base.settings import settings
from pulsebook.base.spelling import meant
from pulsebook.warehouse import http, partitions, tables, unknown, writing
from pulsebook.warehouse.errors import RefusedError, WarehouseError
from pulsebook.warehouse.reading import from_text, from_wire, to_wire
from pulsebook.warehouse.statement import DESCRIBED, Statement, StatementError, statement

log = logging.getLogger(__name__)


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
        return http.address(self.url)

    # -- reading

    def read(self, sql: str) -> pd.DataFrame:
        """The rows of one statement: a SELECT, or SHOW, DESCRIBE, EXISTS, EXPLAIN, CHECK.

        Integers without NULL arrive as their numpy type, with NULL as pandas' nullable `Int64`/`UInt64`, those of 128
        and 256 bits as int; floats as float64; Bool as bool; Date and DateTime as datetime64 (zoned where the column
        is); text, Enum, UUID and addresses as str with None for NULL; Decimal as `decimal.Decimal`; arrays and other
        types as ClickHouse's text. Text that is not UTF-8 holds its bytes as Python's "surrogateescape".

        A `;` and comments may follow; FORMAT and INTO OUTFILE are refused. An error names the statement's own line.
        """
        started = time.perf_counter()
        own = self._statement(sql)
        frame = self._selected(own) if own.selects else self._shown(own)
        log.info("read %s rows in %.2f s: %s", len(frame), time.perf_counter() - started, _first_line(sql))
        return frame

    def _selected(self, own: Statement) -> pd.DataFrame:
        types = self._types(own)
        # ClickHouse puts an alias in place of a column of the same name: ours must be nobody's name
        wire = ", ".join(f"{to_wire(name, kind)} AS __wire{i}" for i, (name, kind) in enumerate(types.items()))
        try:
            with http.through(self, retry=True):
                frame = read_clickhouse(http.braces(f"SELECT {wire} FROM ({own.text}\n)"))
            if list(frame.columns) != [f"__wire{i}" for i in range(len(types))]:
                raise ValueError(f"found columns {list(frame.columns)}")
            columns = {n: from_wire(frame[f"__wire{i}"], k) for i, (n, k) in enumerate(types.items())}
        except RefusedError as error:
            raise self._refused(own.text, error.answer) from None
        except (urllib3.exceptions.HTTPError, ValueError, TypeError, LookupError) as error:
            problem = f"the answer broke off or cannot be read as {types}: {error}"
            raise WarehouseError(self._message(own.text, problem)) from None
        return pd.DataFrame(columns, index=range(len(frame)))

    def _shown(self, own: Statement) -> pd.DataFrame:
        """The rows of a statement that cannot stand within another."""
        ending = "\nFORMAT JSONCompact"
        try:
            answer = self._answer(own.text + ending)
        except RefusedError as error:
            said = own.in_own_words(error.answer, ("", ending))
            raise self._refused(own.text, said) from None
        columns = {}
        for i, column in enumerate(answer["meta"]):
            values = [row[i] for row in answer["data"]]
            texts = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
            columns[column["name"]] = from_text(pd.Series(texts, dtype=object), column["type"])
        return pd.DataFrame(columns, index=range(len(answer["data"])))

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
        try:
            return {name: kind for name, kind, *_ in self._rows(f"DESCRIBE TABLE {table}")}
        except RefusedError as error:
            raise self._refused(f"DESCRIBE TABLE {table}", error.answer) from None

    def types(self, sql: str) -> dict[str, str]:
        """Column names and types of a SELECT's rows, in order."""
        return self._types(self._statement(sql))

    def require(self, table: str, columns: tuple[str, ...]) -> dict[str, str]:
        """Check that a table exists and has these columns; returns names and types of all that it has.

        Raises:
            WarehouseError: names what is missing.
        """
        found = self.columns(table)
        if missing := [c for c in columns if c not in found]:
            close = meant(missing[0], found) or ": is this the right source database?"
            raise WarehouseError(f"table {table} lacks {', '.join(missing)}; it has {', '.join(found)}{close}")
        return found

    def _statement(self, sql: str) -> Statement:
        try:
            return statement(sql)
        except StatementError as error:
            raise WarehouseError(self._message(sql, str(error))) from None

    def _types(self, own: Statement) -> dict[str, str]:
        before, after = DESCRIBED
        try:
            rows = self._answer(f"{before}{own.text}{after}")["data"]
        except RefusedError as error:
            said = own.in_own_words(error.answer)
            raise self._refused(own.text, said) from None
        types = {name: kind for name, kind, *_ in rows}
        if len(types) < len(rows):
            names = [name for name, *_ in rows]
            twice = ", ".join(sorted({name for name in names if names.count(name) > 1}))
            raise WarehouseError(self._message(own.text, f"several columns are called {twice}: name each (AS …)"))
        return types

    def _rows(self, sql: str) -> list[list]:
        """The rows of a statement, in short: as JSON has them."""
        return self._answer(f"{sql} FORMAT JSONCompact")["data"]

    def _answer(self, sql: str) -> dict:
        """The answer to a statement that ends in FORMAT JSONCompact, since types may be written on many lines."""
        with http.through(self, retry=True):
            return json.loads(pandahouse.http.execute(http.braces(sql)))

    # -- writing

    def ensure(
        self, table: str, columns: dict[str, str], *, partition: str, order: str, newest: str = "", refill: bool = False
    ) -> str:
        """Make one of our tables, `database.name`, where it is not there, and bring one of before up to these columns;
        returns its name.

        Args:
            columns: types by name, spelt as ClickHouse spells them.
            partition, order, newest: see `engine`; they are those of a new table.
            refill: its rows are made anew all the time: where its columns differ they are changed and the table emptied.
                Otherwise columns that are Nullable are added, NULL in old rows, and a count that is no longer among the
                columns stays, Nullable and unwritten.

        Raises:
            WarehouseError: something else differs, or a right is missing; says which.
        """
        return tables.ensure(self, table, columns, partition=partition, order=order, newest=newest, refill=refill)

    def execute(self, sql: str) -> None:
        """Run a statement that returns nothing: DDL or INSERT … SELECT."""
        started = time.perf_counter()
        try:
            with http.through(self, retry=False):
                pandahouse.http.execute(http.braces(sql))
        except RefusedError as error:
            raise self._refused(sql, error.answer) from None
        log.info("done in %.2f s: %s", time.perf_counter() - started, _first_line(sql))

    def write(self, frame: pd.DataFrame, table: str) -> int:
        """Append the rows of a frame to a table, all of them or none; returns how many.

        Columns are matched by name; the index is not written. None, NaN and NaT become NULL, which a column that is not
        Nullable refuses. Lists, tuples and arrays go into Array and Tuple, dicts into Map and named Tuple; other types
        take ClickHouse's text of a value. What is read back equals what was given: `values` says how for each type.

        Raises:
            WarehouseError: names column, row, value and range of what a column cannot hold as it is, or the columns
                that cannot be matched; nothing was written.
        """
        return writing.write(self, frame, table)

    def replace_partition(
        self, table: str, partition: str, selects: str | list[str], source: "Warehouse | None" = None
    ) -> int:
        """Make a partition of a table hold exactly the rows of `selects`, in one atomic step; returns how many rows.

        The rows gather in a scratch table of the same structure; readers see the old partition until the new one is
        whole. A run that dies leaves the table as it was. Where `source` is another server, the rows stream through
        this process in Native format, in constant memory.

        Args:
            partition: its literal, as in `ALTER TABLE … DROP PARTITION`: `'2026-11-22'` or `('2026-11-22', 'os')`.
            selects: one SELECT or several; each gives the table's columns, by name, and only rows of the partition. A column
                that may be NULL can be left out.

        Raises:
            WarehouseError: a name is not the table's, or one of the table's is missing; nothing was replaced.
        """
        return partitions.replace(self, table, [partition], selects, source)

    def replace_partitions(
        self, table: str, given: list[str], rows: str | list[str] | pd.DataFrame, source: "Warehouse | None" = None
    ) -> int:
        """`replace_partition` for several partitions at once, at most 100, each replaced in a step of its own: one that gets
        no rows is dropped. The rows may be a frame's, too."""
        return partitions.replace(self, table, given, rows, source)

    def drop_stale(self, database: str, prefix: str, days: int) -> list[str]:
        """Drop partitions of tables named `prefix…` that were last written over `days` days ago, and the scratch
        tables that runs which died left behind; returns their names."""
        return partitions.drop_stale(self, database, prefix, days)

    # -- talking

    def _post(self, statement: str, data, stream: bool) -> requests.Response:
        return http.post(self.url, self.timeout, statement, data, stream)

    def _refused(self, sql: str, answer: str) -> RefusedError:
        """The error that the server's answer to a statement is, with what there is in place of an unknown name."""
        about = unknown.hint(lambda query: [row[0] for row in self._rows(query)], sql, answer)
        return RefusedError(self._message(sql, answer + about), answer)

    def _message(self, statement: str, problem: str) -> str:
        return http.message(self.url, statement, problem)


def _first_line(sql: str) -> str:
    return " ".join(sql.split())[:120].encode("utf-8", "backslashreplace").decode()  # a log may take nothing else
