"""A day's events as rows of `daily_metrics` and `user_activity` (see `days`)."""

import hashlib
import random
from collections.abc import Callable, Sequence

import pandas as pd

from pulsebook.base.periods import QUARTER, Day
from pulsebook.base.settings import settings
from pulsebook.catalogue import EXPLAINED, METRICS, SOURCES, Count, select
from pulsebook.catalogue.checks import EVENT_COLUMNS
from pulsebook.catalogue.metrics import APP
from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.etl_tables import etl_table
from pulsebook.warehouse.events import Events, events

ORIGIN = {dimension.name: dimension for dimension in EXPLAINED}["source"]  # where users came from


def tables_of(source: Warehouse) -> list[Events]:
    """The event tables that days are counted from."""
    return [events(source, name) for name in SOURCES]


def fill(
    source: Warehouse, target: Warehouse, tables: list[Events], days: Sequence[Day], counted: pd.DataFrame | None = None
) -> None:
    """Replace consecutive days in both tables; `counted`: what `count_days` gave for them."""
    version = random.getrandbits(52) + 1  # a float holds it
    partitions = [f"'{day}'" for day in days]
    marks = f"""
        SELECT arrayJoin([{", ".join(f"toDate({partition})" for partition in partitions)}]) AS event_date, toUInt64(0) AS user_id,
            toUInt8(0) AS feed, toUInt8(0) AS messenger, '' AS origin, toUInt64({version}) AS version
    """
    target.replace_partitions(etl_table(target, "user_activity"), partitions, [_activity(tables, days), marks], source)
    if counted is None:
        counted = count_days(source, tables, days)
    long = (
        counted.assign(**{"day.version": float(version)}, **definitions(tables))
        .rename_axis("event_date")
        .reset_index()
        .melt("event_date", var_name="metric")
    )
    slots = _slots(source, tables, days)
    target.replace_partitions(etl_table(target, "daily_metrics"), partitions, pd.concat([long, slots]))


def count_days(source: Warehouse, tables: list[Events], days: Sequence[Day]) -> pd.DataFrame:
    """Consecutive days straight from the rows: every count of the catalogue whose columns are there, and what is known of the
    sources' rows, by day (index)."""
    (bounds, day_of), found = _span(days), [seen_days(source, tables, days, _selected)]
    if of_both := _of_both():
        frame = source.read(f"SELECT {day_of} AS day, {select(*of_both)} FROM ({_users(tables, bounds)}) GROUP BY day")
        found.append(frame.set_index("day"))
    counted = pd.concat(found, axis=1).reindex(pd.DatetimeIndex([str(day) for day in days])).astype("Float64")
    rows = [f"{table.source.name}.rows" for table in tables]
    counted[of_both] = counted[of_both].where((counted[rows] > 0).all(axis=1))
    return counted.astype(float)


def seen_days(
    source: Warehouse, tables: list[Events], days: Sequence[Day], counts: Callable[[Events], str] = lambda _: ""
) -> pd.DataFrame:
    """What the sources hold on consecutive days (index), one statement each: `feed.rows`, `feed.last_event` (seconds since 1970)
    and `feed.content`, a checksum that any change of a row changes; likewise of messages.

    Args:
        counts: SQL of more columns, which end with a comma, for each table.
    """
    (bounds, day_of), found = _span(days), []
    for table in tables:
        frame = source.read(f"""
            SELECT {day_of} AS day, {counts(table)} count() AS rows, toInt64(toUInt32(max(time))) AS last_event, {_content(table)} AS content
            FROM {table.table} WHERE {table.rows(bounds)} GROUP BY day
        """)
        own = {name: f"{table.source.name}.{name}" for name in ("rows", "last_event", "content")}
        found.append(frame.set_index("day").rename(columns=own))
    seen = pd.concat(found, axis=1, sort=True).reindex(pd.DatetimeIndex([str(day) for day in days])).astype("Float64")
    rows = [f"{table.source.name}.rows" for table in tables]
    return seen.fillna(dict.fromkeys(rows, 0)).astype(float)


def definitions(tables: list[Events]) -> dict[str, float]:
    """What the tables are counted by, as numbers that change with it."""
    zone, of_both = settings().timezone.key, [METRICS[name].sql for name in _of_both()]
    rows = [(table.table, table.rows("1")) for table in tables]
    said = {
        "day.actions": [zone, rows, [ORIGIN.value if table.has(ORIGIN.value) else "" for table in tables]],
        "day.counts": [zone, rows, [_selected(table) for table in tables], of_both],
        "day.content": [zone, rows, [_content(table) for table in tables]],
    }
    return {name: float(digest(text) % 2**52) for name, text in said.items()}


def digest(*values: object) -> int:
    """64 bits that tell values apart, the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest())


def _activity(tables: list[Events], days: Sequence[Day]) -> str:
    """SQL: a row for each day and user who acted."""
    bounds, day_of = _span(days)
    acted = []
    for table in tables:
        origin = ORIGIN.value if table.has(ORIGIN.value) else "''"
        key = f"toUInt64(toUInt32(time)) * 256 + cityHash64({origin}) % 256"  # of two in one second always the same
        product = {name: f"toUInt8({int(name == table.source.name)})" for name in SOURCES}
        acted.append(f"""
            SELECT toUInt64(user_id) AS user, {day_of} AS day, {product["feed"]} AS in_feed, {product["messages"]} AS in_messenger,
                min({key}) AS first_key, argMin({origin}, {key}) AS first_origin
            FROM {table.table} WHERE {table.rows(bounds)} GROUP BY user, day
        """)
    return f"""
        SELECT day AS event_date, user AS user_id, max(in_feed) AS feed, max(in_messenger) AS messenger,
            argMin(first_origin, first_key) AS origin, toUInt64(0) AS version
        FROM ({" UNION ALL ".join(acted)})
        GROUP BY day, user
    """


def _slots(source: Warehouse, tables: list[Events], days: Sequence[Day]) -> pd.DataFrame:
    """The users of each quarter of an hour, as rows of `daily_metrics`."""
    bounds, day_of = _span(days)
    found = source.read(f"""
        SELECT {day_of} AS event_date, intDiv(toUInt32(time), {QUARTER}) * {QUARTER} AS slot, {select("dau")}
        FROM ({_users(tables, bounds)}) GROUP BY event_date, slot
    """)
    metric = "dau." + found["slot"].astype(str)
    return pd.DataFrame({"event_date": found["event_date"], "metric": metric, "value": found["dau"].astype(float)})


def _users(tables: list[Events], bounds: str) -> str:
    """SQL: user and time of every action."""
    return " UNION ALL ".join(
        f"SELECT toUInt64(user_id) AS user, time FROM {t.table} WHERE {t.rows(bounds)}" for t in tables
    )


def _span(days: Sequence[Day]) -> tuple[str, str]:
    """SQL: bounds of consecutive days, and the day of a time within them."""
    before = len(days) - 1
    return days[-1].bounds(days_before=before), days[-1].date_of(days_before=before)


def _selected(table: Events) -> str:
    counts = [name for name, count in _counts(table.source.name).items() if table.has(count.sql)]
    return f"{table.select(*counts)}," if counts else ""


def _content(table: Events) -> str:
    """SQL: a checksum of rows, whatever their order; a float holds it."""
    columns = sorted(table.columns.intersection(EVENT_COLUMNS))
    values = ", ".join(f"assumeNotNull({column}), isNull({column})" for column in columns)
    return f"toInt64(sum(cityHash64({values})) % {2**52})"


def _of_both() -> list[str]:
    return [*_counts(APP)]


def _counts(source: str) -> dict[str, Count]:
    """The counts of a source that are counted from events, by name."""
    counts = (metric for metric in METRICS.values() if isinstance(metric, Count))
    return {count.name: count for count in counts if count.source == source and count.sql}
