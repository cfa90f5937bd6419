"""The database that a tried notebook writes into: made, filled with what it may read, and emptied again."""

import getpass
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pulsebook.archive import process
from pulsebook.base.settings import settings
from pulsebook.cli.doctor.servers import STRANGER, code
from pulsebook.warehouse import Warehouse, WarehouseError
from pulsebook.warehouse.etl_tables import STAGING
from pulsebook.warehouse.kinds import identifier, quoted
from pulsebook.warehouse.partitions import SCRATCH, copy_of

MARK = "pulsebook_try"  # a table that says whose try it is, and that all beside it may be dropped
_COLUMNS = {"user": "String", "host": "String", "pid": "UInt32", "process": "String", "began": "DateTime('UTC')"}
LINKED = 500  # partitions in one statement: a year of days in a fifth of the time that a statement each takes
FORGOTTEN = timedelta(hours=12)  # after which a try of another machine is taken for dead


class Occupied(WarehouseError):
    """The database cannot be used now: somebody else tries a notebook, or it holds tables that no try has made."""


def name() -> str:
    """The database for tries: `PULSEBOOK_TRY_DATABASE`, or the target's name and `_try`."""
    return settings().try_database or f"{settings().target_database}_try"


@contextmanager
def ready(target: Warehouse) -> Iterator[str]:
    """The database for tries, empty; emptied again afterwards.

    Raises:
        Occupied: somebody else's try goes on, or there are tables that no try has made.
        WarehouseError: a right is missing.
    """
    database = name()
    try:
        target.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    except WarehouseError as error:
        if code(error) in STRANGER:
            raise WarehouseError(f"{error}\nIs the password in PULSEBOOK_CLICKHOUSE_URL right?") from None
        raise WarehouseError(
            f"{error}\n`pulsebook try` works in a database of its own. Give the user of the target all rights on {database}, "
            "or name another in PULSEBOOK_TRY_DATABASE (docs/grants.md)"
        ) from None
    clean(target)
    mark = f"{database}.{MARK}"
    try:
        target.execute(f"CREATE TABLE {mark} ({', '.join(f'{n} {k}' for n, k in _COLUMNS.items())}) ENGINE = TinyLog")
    except WarehouseError:
        _refuse_if_busy(target, database)
        raise
    worker = process.own()
    target.execute(
        f"INSERT INTO {mark} VALUES ({quoted(getpass.getuser())}, {quoted(platform.node())}, {os.getpid()}, "
        f"{quoted(worker['process'] or '')}, '{datetime.now(UTC):%Y-%m-%d %H:%M:%S}')"
    )
    try:
        yield database
    finally:
        _empty(target, database)


def clean(target: Warehouse) -> list[str]:
    """Drop what tries that were killed have left; returns the tables' names.

    Raises:
        Occupied: see `ready`.
    """
    database = name()
    found = _tables(target, database)
    if not found:
        return []
    if MARK not in found:
        raise Occupied(
            f"database {database} on {target.address} holds tables that no try has made ({', '.join(found[:5])}): name "
            "one for tries alone in PULSEBOOK_TRY_DATABASE"
        )
    _refuse_if_busy(target, database)
    return _empty(target, database)


def _refuse_if_busy(target: Warehouse, database: str) -> None:
    rows = target.read(f"SELECT * FROM {database}.{MARK}").to_dict("records")
    for row in rows:
        began = row["began"].to_pydatetime()
        gone = process.is_gone(row["host"], row["pid"], row["process"] or None, began.timestamp())
        if not gone and (row["host"] == platform.node() or datetime.now(UTC) - began < FORGOTTEN):
            raise Occupied(
                f"{row['user']} tries a notebook in {database} on {target.address} since {began:%H:%M} UTC (process "
                f"{row['pid']} on {row['host']}): wait for its end, or name another database in PULSEBOOK_TRY_DATABASE"
            )


def _empty(target: Warehouse, database: str) -> list[str]:
    """Drop all tables; the one that says that they may be dropped is the last."""
    found = sorted(_tables(target, database), key=lambda table: table == MARK)
    for table in found:
        target.execute(f"DROP TABLE IF EXISTS {database}.{identifier(table)}")
    return found


def _tables(target: Warehouse, database: str) -> list[str]:
    return list(target.read(f"SELECT name FROM system.tables WHERE database = {quoted(database)}")["name"])


def receive(target: Warehouse, database: str, tables: set[str], day: str) -> dict[str, int]:
    """Give the database copies of tables of the target database, without copying a row: parts are linked.

    Args:
        tables: names; those that the target lacks, or that hold no rows of their own, are left out.
        day: of staging tables only this day's partitions are received.

    Returns:
        How many partitions each has received.
    """
    own, received = settings().target_database, {}
    engines = target.read(f"SELECT name, engine FROM system.tables WHERE database = {quoted(own)}")
    there = {
        row.name for row in engines.itertuples() if row.engine.endswith("MergeTree") and not SCRATCH.search(row.name)
    }
    for table in sorted(tables & there):
        copy_of(target, f"{own}.{identifier(table)}", f"{database}.{identifier(table)}")
        parts = target.read(
            f"SELECT DISTINCT partition, partition_id FROM system.parts WHERE database = {quoted(own)} "
            f"AND table = {quoted(table)} AND active ORDER BY partition_id"
        )
        if table.startswith(STAGING):
            parts = parts[parts["partition"].str.contains(day, regex=False)]
        linked = [
            f"REPLACE PARTITION ID {quoted(part)} FROM {own}.{identifier(table)}" for part in parts["partition_id"]
        ]
        for n in range(0, len(linked), LINKED):
            target.execute(f"ALTER TABLE {database}.{identifier(table)} {', '.join(linked[n : n + LINKED])}")
        received[table] = len(parts)
    return received
