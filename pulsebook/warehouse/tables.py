"""Our tables: made, compared with what they must be and brought up to it, by name; their engines, and those of scratch tables."""

import re
from collections.abc import Mapping

from pulsebook.base.settings import settings
from pulsebook.warehouse.errors import RefusedError, WarehouseError

_RIGHT = re.compile(r"necessary to have (?:the )?grant ([A-Z][A-Z ]*?)(?:\(.*?\))? ON")
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


def alone(engine_full: str) -> str:
    """An engine clause as it stands in system.tables, without replication."""
    match = _REPLICATED.match(engine_full)
    if not match:
        return engine_full
    return f"{match[1]}({match[4] or ''})" + engine_full[match.end() :]


def ensure(
    warehouse,
    table: str,
    columns: Mapping[str, str],
    *,
    partition: str,
    order: str,
    newest: str = "",
    refill: bool = False,
) -> str:
    """See `Warehouse.ensure`."""
    try:
        found = warehouse.columns(table)
    except RefusedError:  # it is not there, as a rule; else these say why
        structure = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        _do(warehouse, f"CREATE DATABASE IF NOT EXISTS {table.rpartition('.')[0]}")
        _do(
            warehouse,
            f"CREATE TABLE IF NOT EXISTS {table} ({structure}) ENGINE = {engine(table, newest)} PARTITION BY {partition} ORDER BY {order}",
        )
        found = warehouse.columns(table)
    if found == dict(columns):
        return table
    altered = changes(table, found, columns, refill=refill)
    try:
        for change in altered:
            _do(warehouse, f"ALTER TABLE {table} {change}")
    except WarehouseError:
        if warehouse.columns(table).items() >= columns.items():  # another task was as fast
            return table
        raise
    if refill and altered:
        _do(warehouse, f"TRUNCATE TABLE {table}")
    return table


def changes(table: str, found: Mapping[str, str], columns: Mapping[str, str], *, refill: bool) -> list[str]:
    """What comes after ALTER TABLE to make a table with the columns `found` one with `columns`, as `ensure` does.

    Raises:
        WarehouseError: its rows stay, and something differs that cannot be changed.
    """
    return _to_refill(found, columns) if refill else _to_keep(table, found, columns)


def _to_refill(found: Mapping[str, str], columns: Mapping[str, str]) -> list[str]:
    """What makes of a table whose rows are made anew one with exactly these columns."""
    missing = [f"ADD COLUMN {name} {kind}" for name, kind in columns.items() if name not in found]
    other = [f"MODIFY COLUMN {name} {kind}" for name, kind in columns.items() if found.get(name, kind) != kind]
    return [*missing, *other, *(f"DROP COLUMN {name}" for name in found if name not in columns)]


def _to_keep(table: str, found: Mapping[str, str], columns: Mapping[str, str]) -> list[str]:
    """What a table whose rows stay needs: new columns, NULL in old rows; and NULL in new rows where a column is not written
    any more, since a zero would be a lie."""
    added = [name for name in columns if name not in found]
    changed = [name for name in columns if found.get(name, columns[name]) != columns[name]]
    gone = [name for name in found if name not in columns]
    strange = [name for name in gone if found[name] not in ("UInt64", "Nullable(UInt64)")]
    if strange or changed or any(not columns[name].startswith("Nullable") for name in added):
        raise WarehouseError(
            f"{table} must have the columns {dict(columns)}, found {dict(found)}. "
            "Rename it and run again: the table is then made anew."
        )
    return [
        *(f"ADD COLUMN {name} {columns[name]}" for name in added),
        *(f"MODIFY COLUMN {name} Nullable(UInt64)" for name in gone if found[name] == "UInt64"),
    ]


def _do(warehouse, statement: str) -> None:
    """Executes a statement about a table; names the right that is missing."""
    try:
        warehouse.execute(statement)
    except WarehouseError as error:
        if right := _RIGHT.search(str(error)):
            raise WarehouseError(
                f"{error}\nGrant it: GRANT {right[1]} ON {settings().target_database}.* TO … (all that is needed: docs/grants.md)"
            ) from None
        raise
