"""`{target_db}.slot_metrics`: what is watched, counted every 15 minutes; of a slot that was counted again the newest count.

`slot_rows` reads them, `by_slot` makes a table of some metrics of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

import pandas as pd

from pulsebook.base.periods import Day, Slot
from pulsebook.base.settings import settings
from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.days import pieces, sizes
from pulsebook.warehouse.events import Events

COLUMNS = {
    "slot": "DateTime",
    "metric": "String",
    "value": "Nullable(Float64)",  # NULL: the source had no rows
    "base": "Nullable(Float64)",  # of a ratio: its denominator
    "collected": "DateTime",
}


def slot_table() -> str:
    """Its name; `ensure_slot_table` makes it."""
    return f"{settings().target_database}.slot_metrics"


def ensure_slot_table(target: Warehouse) -> str:
    """The table, made where it is missing."""
    return target.ensure(slot_table(), COLUMNS, partition="toYYYYMM(slot)", order="(slot, metric)", newest="collected")


def slot_pieces(source: Warehouse, tables: list[Events], first: Slot, last: Slot) -> Iterator[tuple[Slot, Slot]]:
    """The slots from one to another in pieces (first and last of each) that one statement may read, as days are
    filled in."""
    since, until = (Day(slot.start.date(), slot.zone) for slot in (first, last))
    days = [since.date + timedelta(days=n) for n in range((until.date - since.date).days + 1)]
    rows = sizes(source, tables, until, since.date) if len(days) > 1 else {}
    for piece in pieces(days, rows):
        begins, ends = (int(at.timestamp()) for at in (Day(piece[0], first.zone).start, Day(piece[-1], first.zone).end))
        yield max(first, Slot(begins, first.zone)), min(last, Slot(ends, first.zone) - 1)


def slot_rows(target: Warehouse, first: datetime, end: datetime) -> pd.DataFrame:
    """What was counted of the slots from the one at `first` on, to the last before `end`: columns slot (its start in
    seconds since 1970), metric, value (NaN where the source had no rows)."""
    return target.read(f"""
        SELECT toInt64(toUInt32(slot)) AS slot, metric, value
        FROM {slot_table()} FINAL
        WHERE slot >= toDateTime({int(first.timestamp())}) AND slot < toDateTime({int(end.timestamp())})
    """)


def by_slot(rows: pd.DataFrame, metrics: Sequence[str], zone: tzinfo) -> pd.DataFrame:
    """Those rows as the detector takes them: a column for each of these metrics; index: starts of the slots in `zone`, from
    the first one on that has a value. Empty where none has."""
    table = rows.pivot_table(index="slot", columns="metric", values="value", aggfunc="last", dropna=False)
    table = table.reindex(columns=metrics).astype(float)
    table.index = pd.to_datetime(table.index, unit="s", utc=True).tz_convert(zone)
    known = table.notna().any(axis=1)
    return table.loc[known.idxmax() :] if known.any() else table.iloc[:0]
