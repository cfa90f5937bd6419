"""Writing a frame: all its rows or none, and each value as it is.

Every value is checked on the way out. Rows go to a scratch table first; there the server is asked whether it would hold
what was meant (ranges differ between its versions, and only it knows the clocks of its own zone). Then they move to the
table in one statement and one block: of several, those before the one that the table refuses would stay.
"""

from dataclasses import replace

import pandas as pd
from pandahouse import to_clickhouse

from pulsebook.base.spelling import meant
from pulsebook.warehouse import bulk
from pulsebook.warehouse.errors import RefusedError, WarehouseError
from pulsebook.warehouse.http import through, with_settings
from pulsebook.warehouse.kinds import identifier, kind, unwrapped
from pulsebook.warehouse.partitions import scratch_table
from pulsebook.warehouse.unfit import UnfitError, shown
from pulsebook.warehouse.wire import Wire, as_text, wire

# In the URL, since old servers do not go by the SETTINGS of the SELECT there
ONE_BLOCK = {"max_threads": 1, "min_insert_block_size_rows": 10**12, "min_insert_block_size_bytes": 0}
COMPOSITES = ("Array", "Tuple", "Map", "Nested")


def write(warehouse, frame: pd.DataFrame, table: str) -> int:
    """Append the rows of a frame to a table, all of them or none; returns how many. See `Warehouse.write`."""
    types = warehouse.columns(table)
    _named(frame, table, types)
    if not len(frame):
        return 0
    wires = {column: _wire(frame[column], types[column]) for column in frame.columns}
    cells = {f"c{i}": _cells(frame[c], wires[c], types[c], table) for i, c in enumerate(frame.columns)}
    database = table.rpartition(".")[0]
    structure = ", ".join(["n UInt64", *(f"{name} String" for name in cells)])
    with scratch_table(warehouse, table, structure, "Memory") as scratch:
        sent = pd.DataFrame({"n": range(len(frame)), **cells})
        with through(warehouse, retry=False):
            connection = {"database": database or "default"}
            to_clickhouse(sent, scratch.rpartition(".")[2], index=False, chunksize=len(sent), connection=connection)
        columns = ", ".join(map(identifier, frame.columns))
        values = ", ".join(wires[c].decode(f"c{i}") for i, c in enumerate(frame.columns))
        try:
            _held(warehouse, frame, wires, types, table, scratch)
            at_once = replace(warehouse, url=with_settings(warehouse.url, ONE_BLOCK))
            at_once.execute(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {scratch}")
        except RefusedError as error:
            for i, column in enumerate(frame.columns):
                row = _refused(warehouse, wires[column].decode(f"c{i}"), scratch, len(frame))
                if row is not None:
                    problem = f"{shown(frame[column].iloc[row])} does not fit into {types[column]}"
                    where = _where(column, types[column], table, row)
                    raise WarehouseError(f"{problem}: {where}\n{error}") from None
            raise
    return len(frame)


def _named(frame: pd.DataFrame, table: str, types: dict[str, str]) -> None:
    """Each column has one name, a text, that the table knows."""
    if odd := [name for name in frame.columns if not isinstance(name, str)]:
        found = ", ".join(f"{name!r} ({type(name).__name__})" for name in odd)
        raise WarehouseError(
            f"columns of a frame for {table} must be named by text, as the table's are ({', '.join(types)}); found {found}"
        )
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise WarehouseError(f"the frame for {table} has more than one column {', '.join(twice)}")
    if unknown := [name for name in frame.columns if name not in types]:
        close = meant(unknown[0], types)
        raise WarehouseError(f"table {table} has no column {', '.join(unknown)}; it has {', '.join(types)}{close}")
    if len(frame) and not len(frame.columns):
        raise WarehouseError(f"the frame for {table} has {len(frame)} rows and no columns (its index is not written)")


def _wire(values: pd.Series, of: str) -> Wire:
    """How a column travels: lists and dicts by their elements, or all of them as ClickHouse's text."""
    if kind(unwrapped(of)[0]).name in COMPOSITES and values.map(lambda v: isinstance(v, str)).any():
        return wire(of, whole=as_text)
    return wire(of)


def _cells(values: pd.Series, of: Wire, type_: str, table: str) -> pd.Series:
    at_once = bulk.cells(values, type_, of)
    if at_once is not None:
        return pd.Series(at_once, dtype=object)
    cells = []
    for row, value in enumerate(values):
        try:
            cells.append(of.encode(value))
        except UnfitError as error:
            raise WarehouseError(f"{error}: {_where(values.name, type_, table, row)}") from None
    return pd.Series(cells, dtype=object)


def _where(column: str, type_: str, table: str, row: int) -> str:
    return f"in column {column} ({type_}), row {row} (.iloc[{row}]), for {table}; nothing was written"


def _held(warehouse, frame: pd.DataFrame, wires: dict[str, Wire], types, table: str, scratch: str) -> None:
    """The server holds what was meant.

    Raises:
        WarehouseError: names the first value that it would hold as another.
    """
    checks = {i: wires[c].check(f"c{i}") for i, c in enumerate(frame.columns) if wires[c].check}
    if not checks:
        return
    first = ", ".join(f"minIf(n + 1, NOT {check})" for check in checks.values())
    found = warehouse._rows(f"SELECT {first} FROM {scratch}")[0]
    for i, row in zip(checks, map(int, found), strict=True):
        if row:
            column = frame.columns[i]
            held = f"SELECT toString({wires[column].decode(f'c{i}')}) FROM {scratch} WHERE n = {row - 1}"
            raise WarehouseError(
                f"{shown(frame[column].iloc[row - 1])} does not fit into {types[column]}: the server would make it "
                f"{warehouse._rows(held)[0][0]}, {_where(column, types[column], table, row - 1)}"
            )


def _refused(warehouse, value: str, scratch: str, rows: int) -> int | None:
    """The first row whose value the server cannot make of its cell; None where it can of all."""

    def fails(first: int, end: int) -> bool:
        try:
            warehouse._rows(f"SELECT sum(ignore({value})) FROM {scratch} WHERE n >= {first} AND n < {end}")
        except RefusedError:
            return True
        return False

    first, end = 0, rows
    if not fails(first, end):
        return None
    while end - first > 1:
        middle = (first + end) // 2
        first, end = (first, middle) if fails(first, middle) else (middle, end)
    return first
