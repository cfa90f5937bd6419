"""A connection to the engine, for one statement or for a session.

A result goes through a named pipe that the engine itself writes, in the format and packed as asked: totals, extremes
and documents of any size are its work, and nothing of it stays in this process's memory. An error of a connection's
settings, tables or statement is raised as the engine words it.
"""

import io
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import chdb

from pulsebook.local.confinement import Refusals
from pulsebook.local.failure import Failure, code_of
from pulsebook.local.pipe import Pipe
from pulsebook.local.query import FIELD, Query
from pulsebook.local.spool import Spool
from pulsebook.local.statement import Statement

CHUNK = 1 << 20  # bytes of an insert's data that go to the engine at a time
QUERY_SIZE = "SELECT getSetting('max_query_size') FORMAT TSVRaw"


class Connection:
    """A connection to the engine: its settings, database and temporary tables last as long as it does."""

    def __init__(self, path: str, pipes: Path, kill: Callable[[str], None], refusals: Refusals | None):
        """
        Args:
            path: as the engine was started with.
            pipes: a folder for named pipes.
            kill: ends the statement of the connection of a number.
            refusals: what statements may not use; None: nothing is refused.
        """
        self._pipes, self._kill, self._refusals = pipes, kill, refusals
        self._chdb = chdb.connect(path)  # it may be used by one thread at a time
        self.number = uuid.uuid4().hex  # of itself the engine gives each statement an id that nobody outside knows
        with suppress(RuntimeError):  # a configuration may let nobody change settings
            self._do("SET implicit_select = 0")  # as a server has it: chDB takes `foo` for `SELECT foo`

    def close(self) -> None:
        self._chdb.close()

    def configure(self, database: str | None, settings: dict[str, str]) -> None:
        if database:
            self._do(f"USE {quoted(database, '`')}")
        for name, value in settings.items():
            if not name.isidentifier() or not name.isascii():
                raise Failure(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
            self._do(f"SET {name} = {quoted(value)}")

    def state(self, settings: dict[str, str]) -> tuple[str, dict[str, str | None]]:
        """The database, and of these settings the values that were set."""
        names = ", ".join(quoted(name) for name in settings) or "''"
        found = self._do(f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names}) FORMAT TSVRaw")
        values = dict(line.split("\t", 1) for line in found.bytes().decode("utf-8", "surrogateescape").splitlines())
        return self._one("SELECT currentDatabase()"), {name: values.get(name) for name in settings}

    def restore(self, state: tuple[str | None, dict[str, str | None]]) -> None:
        database, settings = state
        if database:
            self._do(f"USE {quoted(database, '`')}")
        for name, value in settings.items():
            if name.isidentifier() and name.isascii():
                self._do(f"SET {name} = {'DEFAULT' if value is None else quoted(value)}")

    def query_size(self) -> int:
        """Bytes that a query may have, as far as settings say; 0: any number."""
        return int(self._do(QUERY_SIZE).bytes())

    def run(self, query: Query, spool: Spool, packed: str = "") -> dict[str, int]:
        """Execute; the result goes to the spool, packed with that method. Returns what was read and written."""
        if self._refusals:
            for table in query.tables:
                self._refusals.check_table(table.structure, table.format, table.rows)
            self._refusals.check(query.statement, query.params, query.data)
        made = []
        try:
            for table in query.tables:
                self._do(f"CREATE TEMPORARY TABLE {table.name} ({table.structure})")
                made.append(table.name)
                self._insert(b"INSERT INTO " + table.name.encode(), table.format, table.rows)
            insert = query.statement.insert
            if query.data is not None and insert.selects:
                raise Failure(
                    48,
                    "NOT_IMPLEMENTED",
                    "The engine takes no data for INSERT … SELECT … FROM input(); send the rows as an external table",
                )
            if query.data is not None and not query.params:
                return self._insert(query.statement.source[: insert.head], insert.format, query.data)
            statement = query.statement
            if query.data is not None:
                statement = Statement(statement.source + _at_most(query.data, FIELD))
            if statement.reads and not statement.several:
                return self._read(statement, query, spool, packed)
            return self._execute(statement.source, query, spool)
        finally:
            for name in made:
                self._do(f"DROP TEMPORARY TABLE IF EXISTS {name}")

    def _read(self, statement: Statement, query: Query, spool: Spool, packed: str) -> dict[str, int]:
        pipe = Pipe(self._pipes / self.number, lambda: self._kill(self.number), spool)
        source, at = statement.source, statement.output_at
        clause = f" INTO OUTFILE {quoted(str(pipe.path))} TRUNCATE COMPRESSION '{packed or 'none'}'".encode()
        try:
            done = self._chdb.query(source[:at] + clause + source[at:], query.format, params=query.params or None)
        except RuntimeError as error:
            if code_of(error) != 62 or spool.written:
                raise
            if statement.selects:
                self._syntax_error(source, query)
            return self._execute(source, query, spool)  # it takes no such clause, or not there
        finally:
            pipe.end()
        if spool.error:
            raise spool.error
        return _counted(done)

    def _syntax_error(self, source: bytes, query: Query) -> None:
        """Raise what the engine says to the user's own words; a stream ends before it has begun."""
        with self._chdb.send_query(source, query.format, params=query.params or None):
            pass

    def _execute(self, source: bytes, query: Query, spool: Spool) -> dict[str, int]:
        mark = f"\n/* {self.number} */"  # by which it can be killed
        if query.statement.insert is None or query.statement.insert.selects:
            source += mark.encode()
        try:
            done = self._chdb.query(source, query.format, params=query.params or None)
        except RuntimeError as error:
            raise RuntimeError(str(error).replace(mark, "")) from None  # the user's words only
        if data := done.bytes():
            spool.write(data)
        return _counted(done)

    def _insert(self, target: bytes, format: str, data: io.IOBase) -> dict[str, int]:
        inserter = self._chdb.send_insert(target, format)
        try:
            while chunk := data.read(CHUNK):
                inserter.append(chunk)
            done = inserter.finish()
        finally:
            inserter.cancel()
        return _numbers(done.rows_written, done.bytes_written, done.elapsed)

    def _one(self, statement: str) -> str:
        return self._do(f"{statement} FORMAT TSVRaw").bytes().decode().removesuffix("\n")

    def _do(self, statement: str):
        return self._chdb.query(statement.encode("utf-8", "surrogateescape"), "TSVRaw")


def quoted(text: str, quote: str = "'") -> str:
    """A literal, or an identifier with "`" as its quote. Surrogates are the bytes that they stand for."""
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def escaped(text: str) -> str:
    """A value of a query parameter: as it stands in a tab-separated file."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _at_most(data: io.IOBase, size: int) -> bytes:
    found = data.read(size + 1)
    if len(found) > size:
        raise Failure(396, "TOO_MANY_ROWS_OR_BYTES", f"an insert with parameters may have {size} bytes of data", 413)
    return found


def _counted(done) -> dict[str, int]:
    """What a result counts."""
    read = {"read_rows": done.storage_rows_read(), "read_bytes": done.storage_bytes_read()}
    numbers = _numbers(done.rows_written(), done.bytes_written(), done.elapsed())
    if not numbers["written_rows"]:
        numbers |= {"result_rows": done.rows_read(), "result_bytes": done.bytes_read()}
    return read | numbers


def _numbers(rows: int, size: int, seconds: float) -> dict[str, int]:
    """Of an insert: its result is what it has written."""
    written = {"written_rows": rows, "written_bytes": size}
    return written | {"result_rows": rows, "result_bytes": size, "elapsed_ns": int(seconds * 1e9)}
