"""`{target_db}.slot_metrics`: what is watched, counted every 15 minutes; of a slot that was counted again the newest count.

`count_slots` counts them, `write_slots` writes them; `slot_rows` reads them, `by_slot` makes a table of some metrics of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

import pandas as pd

from pulsebook.base.periods import QUARTER, Day, Slot
from pulsebook.base.settings import settings
from pulsebook.catalogue import SOURCES, Ratio, metric
from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.days import pieces, sizes
from pulsebook.warehouse.events import Events, events

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


def count_slots(
    source: Warehouse,
    target: Warehouse,
    needed: Mapping[str, Sequence[str]],
    first: Slot,
    last: Slot,
    sparse_rows: float,
) -> pd.DataFrame:
    """Count the slots from one to another in the event tables: one statement for each source, or some for a long time.

    Where a source has no rows its counts are missing, not zero: unless so few rows are usual at that time of the day (median of
    the 7 days before) that none may be chance.

    Args:
        needed: the counts by source.
        sparse_rows: a source with usually fewer rows in a slot may have an empty one by chance.

    Returns:
        A column for each count, NaN where it is missing; index: starts of the slots in seconds since 1970.
    """
    slots = pd.RangeIndex(first.epoch, last.epoch + QUARTER, QUARTER, name="slot")
    before = slot_rows(target, (first - 7 * 96).start, first.start)
    before = before.pivot_table(index="slot", columns="metric", values="value", aggfunc="last")
    tables = {name: events(source, name) for name in needed}
    spans, frames = [*slot_pieces(source, [*tables.values()], first, last)], []
    for name, counts in needed.items():
        rows, volume = tables[name], SOURCES[name].volume
        found = pd.concat(
            source.read(f"""
                SELECT toInt64(intDiv(toUInt32(time), {QUARTER}) * {QUARTER}) AS slot, {rows.select(*counts)}
                FROM {rows.table}
                WHERE {rows.rows(end.bounds(first=begin))}
                GROUP BY slot
            """)
            for begin, end in spans
        )
        found = found.set_index("slot").astype(float)
        known = pd.concat([before.reindex(columns=[volume])[volume], found[volume]])
        usual = pd.DataFrame({day: known.reindex(slots - day * 86400).to_numpy() for day in range(1, 8)}, slots).median(
            axis=1
        )
        frame = found.reindex(slots)
        frame[(usual < sparse_rows) & frame[volume].isna()] = 0.0
        frames.append(frame)
    return pd.concat(frames, axis=1)


def long_slots(table: pd.DataFrame) -> pd.DataFrame:
    """A table of slots (index: their starts in seconds since 1970; a column for each metric) as rows: columns slot, metric, value
    and, of a ratio, its denominator as `base`."""
    long = table.stack().rename("value").rename_axis(["slot", "metric"]).reset_index()
    base = {entry.name: entry.denominator for entry in map(metric, table) if isinstance(entry, Ratio)}
    long["base"] = [
        table.at[s, base[m]] if m in base else None for s, m in zip(long["slot"], long["metric"], strict=True)
    ]
    return long


def write_slots(target: Warehouse, long: pd.DataFrame) -> int:
    """Write such rows as counted just now to the table, which is there; returns how many there are."""
    slots, now = pd.to_datetime(long["slot"], unit="s", utc=True), pd.Timestamp.now("UTC").floor("s")
    return target.write(long.assign(slot=slots, collected=now), slot_table())


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
