"""Replacing a partition atomically, scratch tables, and what dead runs left behind."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from pulsebook.warehouse.errors import WarehouseError
from pulsebook.warehouse.kinds import identifier, quoted
from pulsebook.warehouse.tables import alone

SCRATCH = re.compile(r"__scratch_[0-9a-f]{12}$")  # ends the names of scratch tables


def replace(warehouse, table: str, given: list[str], rows: str | list[str] | pd.DataFrame, source) -> int:
    """See `Warehouse.replace_partitions`."""
    with scratch_table(warehouse, table) as scratch:
        columns = warehouse.columns(table)
        if isinstance(rows, pd.DataFrame):
            warehouse.write(rows, scratch)
            rows = []
        for select in [rows] if isinstance(rows, str) else rows:
            insert(warehouse, scratch, columns, select, source, said=table)
        partitions = _partitions(warehouse, scratch)
        expected = {_partition_text(partition): partition for partition in given}
        if partitions.keys() - expected.keys():
            raise WarehouseError(
                f"rows for {table} fall into {sorted(partitions)}, expected only {', '.join(expected)}"
            )
        for text, partition in expected.items():
            if text in partitions:
                warehouse.execute(f"ALTER TABLE {table} REPLACE PARTITION {partition} FROM {scratch}")
            else:  # ClickHouse does not replace from an empty partition
                warehouse.execute(f"ALTER TABLE {table} DROP PARTITION {partition}")
    return sum(partitions.values())


def insert(warehouse, table: str, columns: dict[str, str], select: str, source=None, *, said: str = "") -> None:
    """Append the rows of a SELECT, on `source` where it is another server, to a table with these columns.

    Args:
        said: what errors call the table.

    Raises:
        WarehouseError: a name is not the table's, or one of the table's is missing; nothing was written.
    """
    names = _matched(said or table, columns, (source or warehouse).types(select))
    if source is None or source.url == warehouse.url:
        warehouse.execute(f"INSERT INTO {table} ({', '.join(map(identifier, names))}) {select}")
    else:
        _stream(warehouse, source, select, table, {name: columns[name] for name in names})


def drop_stale(warehouse, database: str, prefix: str, days: int) -> list[str]:
    """See `Warehouse.drop_stale`."""
    parts = warehouse.read(
        f"SELECT table, partition FROM system.parts WHERE database = '{database}' AND startsWith(table, '{prefix}') AND active "
        f"GROUP BY table, partition HAVING max(modification_time) < now() - {days} * 86400"
    )
    for table, partition in parts.itertuples(index=False):
        literal = partition if partition.startswith("(") else f"'{partition}'"
        warehouse.execute(f"ALTER TABLE {database}.{table} DROP PARTITION {literal}")
    scratch = warehouse.read(
        f"SELECT name FROM system.tables WHERE database = '{database}' AND match(name, '{SCRATCH.pattern}') "
        f"AND metadata_modification_time < now() - {days} * 86400"
    )
    for table in scratch["name"]:
        warehouse.execute(f"DROP TABLE IF EXISTS {database}.{table}")
    return [*(parts["table"] + " " + parts["partition"]), *scratch["name"]]


def copy_of(warehouse, table: str, copy: str) -> None:
    """Make an empty table of the same structure, which is not replicated."""
    warehouse.execute(f"CREATE TABLE {copy} AS {table}{_unreplicated(warehouse, table)}")


@contextmanager
def scratch_table(warehouse, table: str, columns: str = "", engine: str = "") -> Iterator[str]:
    """A table of this run alone, beside `table` and by default of the same structure; gone afterwards."""
    scratch = f"{table}__scratch_{uuid.uuid4().hex[:12]}"
    if columns:
        warehouse.execute(f"CREATE TABLE {scratch} ({columns}) ENGINE = {engine}")
    else:
        copy_of(warehouse, table, scratch)
    try:
        yield scratch
    finally:
        warehouse.execute(f"DROP TABLE IF EXISTS {scratch}")


def _partitions(warehouse, table: str) -> dict[str, int]:
    """Rows by partition, as ClickHouse spells partitions."""
    database, _, name = table.rpartition(".")
    rows = warehouse._rows(
        f"SELECT partition, sum(rows) FROM system.parts "
        f"WHERE database = '{database}' AND table = '{name}' AND active AND rows > 0 GROUP BY partition"
    )
    return {partition: int(total) for partition, total in rows}


def _partition_text(partition: str) -> str:
    """A partition literal in the spelling of system.parts: one value bare, a tuple without spaces."""
    return re.sub(r",\s+", ",", partition) if partition.startswith("(") else partition.strip("'")


def _unreplicated(warehouse, table: str) -> str:
    """The ENGINE clause that a scratch table needs: where `table` is replicated a copy of it must not be."""
    database, _, name = table.rpartition(".")
    of = f"database = {quoted(database)} AND name = {quoted(name)}"
    for (full,) in warehouse._rows(f"SELECT engine_full FROM system.tables WHERE {of}"):
        if full.startswith("Replicated"):
            return f" ENGINE = {alone(full)}"
    return ""


def _matched(table: str, columns: dict[str, str], given: dict[str, str]) -> list[str]:
    """The names of a SELECT, which must be those of the table's columns."""
    strange = [name for name in given if name not in columns]
    missing = [name for name, kind in columns.items() if name not in given and not kind.startswith("Nullable")]
    if strange or missing:
        said = [f"{name} is no column of it" for name in strange] + [f"{name} is missing" for name in missing]
        raise WarehouseError(
            f"the statement for {table} must give its columns by name ({', '.join(columns)}): {'; '.join(said)}; "
            f"it gives {', '.join(given)}"
        )
    return list(given)


def _stream(warehouse, source, select: str, table: str, columns: dict[str, str]) -> None:
    """Rows of `select` on another server into columns (types by name, in the order of the SELECT). Native matches them by
    name, and takes only their own types: they are cast."""
    # In two steps, since ClickHouse puts an alias in place of a column of the same name
    cast = ", ".join(
        f"CAST({identifier(name)}, {quoted(kind)}) AS __wire{i}" for i, (name, kind) in enumerate(columns.items())
    )
    named = ", ".join(f"__wire{i} AS {identifier(column)}" for i, column in enumerate(columns))
    select = f"SELECT {named} FROM (SELECT {cast} FROM ({select}\n))"
    target = f"{table} ({', '.join(map(identifier, columns))})"
    with source._post(f"{select} FORMAT Native", None, stream=True) as answer:
        warehouse._post(f"INSERT INTO {target} FORMAT Native", answer.iter_content(1 << 20), stream=False)
