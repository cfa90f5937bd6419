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
from pulsebook.warehouse.partitions import insert, scratch_table

ACTED = {  # who acted on a day; the quarters of an hour in which they did are bits, that of the time t is bit t / 900 % 128
    "event_date": "Date", "user_id": "UInt64", "feed": "UInt8", "messenger": "UInt8", "origin": "String", "slots": "UInt64",
    "more_slots": "UInt64",
}  # fmt: skip
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
    if counted is None:
        counted = count_days(source, tables, days)
    activity = etl_table(target, "user_activity")
    with scratch_table(target, activity, ", ".join(map(" ".join, ACTED.items())), "Log") as acted:
        insert(target, acted, ACTED, _acted(tables, days), source)
        users, slots = _users(target, acted, days)
        rows = f"SELECT event_date, user_id, feed, messenger, origin, toUInt64(0) AS version FROM {acted}"
        marks = f"""
            SELECT arrayJoin([{", ".join(f"toDate({partition})" for partition in partitions)}]) AS event_date, toUInt64(0) AS user_id,
                toUInt8(0) AS feed, toUInt8(0) AS messenger, '' AS origin, toUInt64({version}) AS version
        """
        target.replace_partitions(activity, partitions, [rows, marks])
    of_both = users.where((counted[[f"{table.source.name}.rows" for table in tables]] > 0).all(axis=1))
    long = (
        pd.concat([counted, of_both], axis=1)
        .assign(**{"day.version": float(version)}, **definitions(tables))
        .rename_axis("event_date")
        .reset_index()
        .melt("event_date", var_name="metric")
    )
    target.replace_partitions(etl_table(target, "daily_metrics"), partitions, pd.concat([long, slots]))


def count_days(source: Warehouse, tables: list[Events], days: Sequence[Day]) -> pd.DataFrame:
    """Consecutive days straight from the rows: every count of the catalogue of one source whose columns are there, and what is
    known of the sources' rows, by day (index)."""
    return seen_days(source, tables, days, _selected)


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


def _acted(tables: list[Events], days: Sequence[Day]) -> str:
    """SQL: a row for each day and user who acted, with the columns `ACTED`."""
    bounds, day_of = _span(days)
    quarter = f"intDiv(toUInt32(time), {QUARTER}) % 128"
    halves = {"slots": f"{quarter} < 64", "more_slots": f"{quarter} >= 64"}
    bits = [f"groupBitOr(bitShiftLeft(toUInt64({half}), {quarter} % 64)) AS of_{name}" for name, half in halves.items()]
    found = []
    for table in tables:
        product = {name: f"toUInt8({int(name == table.source.name)})" for name in SOURCES}
        found.append(f"""
            SELECT toUInt64(user_id) AS user, {day_of} AS day, {product["feed"]} AS in_feed, {product["messages"]} AS in_messenger,
                {ORIGIN.value if table.has(ORIGIN.value) else "''"} AS came_from, toUInt32(min(time)) AS first, {", ".join(bits)}
            FROM {table.table} WHERE {table.rows(bounds)} GROUP BY user, day, came_from
        """)
    key = "toUInt64(first) * 256 + cityHash64(came_from) % 256"  # of two in one second always the same
    return f"""
        SELECT day AS event_date, user AS user_id, max(in_feed) AS feed, max(in_messenger) AS messenger,
            argMin(came_from, {key}) AS origin, {", ".join(f"groupBitOr(of_{name}) AS {name}" for name in halves)}
        FROM ({" UNION ALL ".join(found)})
        GROUP BY day, user
    """


def _users(target: Warehouse, acted: str, days: Sequence[Day]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is counted from the users who acted: the counts of both sources by day (index), and the users of each quarter of an
    hour, as rows of `daily_metrics`."""
    counts = [select(*_of_both())] if _of_both() else []
    bits = {number: ("slots", "more_slots")[number // 64] for number in range(128)}
    counts += [f"sum(bitAnd(bitShiftRight({name}, {n % 64}), 1)) AS slot_{n}" for n, name in bits.items()]
    found = target.read(
        f"SELECT day, {', '.join(counts)} FROM (SELECT *, event_date AS day, user_id AS user FROM {acted}) GROUP BY day"
    )
    found = found.set_index("day").reindex(pd.DatetimeIndex([str(day) for day in days]))
    slots = []
    for day in days:
        first = int(day.start.timestamp()) // QUARTER
        users = found.loc[str(day), [f"slot_{(first + n) % 128}" for n in range(128)]]
        at = {f"dau.{(first + n) * QUARTER}": float(count) for n, count in enumerate(users) if count > 0}
        slots.append(
            pd.DataFrame({"event_date": pd.Timestamp(str(day)), "metric": list(at), "value": list(at.values())})
        )
    return found[_of_both()].astype(float), pd.concat(slots)


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
