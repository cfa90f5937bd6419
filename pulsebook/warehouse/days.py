"""What happened on each day, in small tables of our own: a report reads the raw events of its own day, and no older ones.

- `daily_metrics`: every count of the catalogue, NULL where its source has no rows; `feed.rows`, `feed.last_event` (seconds
  since 1970) and `feed.content` (a checksum of the rows), likewise of messages; `dau.…`, the users of the quarter of an hour that begins there.
- `user_activity`: who acted, in which product, and the origin of their first action of the day.

A day's partition of each is replaced in one step and carries the version of its writing: as `day.version` in the one, in a row
with a version in the other (of users it is 0). Where the two differ, a run was killed in between or two wrote side by side: the
day counts as missing. So does one that was counted by other definitions (`day.counts`, `day.actions`). Whoever needs a day that
is missing fills it from the source.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

import pandas as pd

from pulsebook.base.periods import Day
from pulsebook.catalogue import counts_of
from pulsebook.catalogue.metrics import APP
from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.day_rows import definitions, fill, tables_of
from pulsebook.warehouse.etl_tables import etl_table
from pulsebook.warehouse.events import Events

FORGOTTEN = "forgotten"  # origin in the row with the version of a day whose users are no longer kept
MOST_ROWS, MOST_DAYS = 20_000_000, 31  # that one statement reads; a single day may have more rows
MARK = date(1970, 1, 2)  # its partition says that the days before `day.filled` (days since then) are filled


def metrics_by_day(target: Warehouse, day: Day, days: int) -> pd.DataFrame:
    """The metrics of the last `days` days up to `day` (index): a column for each, NaN where its source has no rows."""
    rows = target.read(f"""
        SELECT event_date AS day, metric, value
        FROM {etl_table(target, "daily_metrics")}
        WHERE event_date > '{day - days}' AND event_date <= '{day}' AND NOT startsWith(metric, 'dau.')
    """)
    table = rows.pivot_table(index="day", columns="metric", values="value", aggfunc="first", dropna=False)
    table = table.rename_axis(columns=None).reindex(pd.date_range(end=str(day), periods=days)).astype(float)
    whole = [name for name in table if (table[name] % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "int64"))


def fill_days(source: Warehouse, target: Warehouse, days: Iterable[Day], counted: pd.DataFrame | None = None) -> None:
    """Count these days from the source, each from its own events, and replace them in both tables.

    Args:
        counted: what `count_days` gave for them, of a single day.
    """
    wanted = {day.date: day for day in days}
    if not wanted:
        return
    tables, first, last = tables_of(source), wanted[min(wanted)], wanted[max(wanted)]
    rows = sizes(source, tables, last, first.date) if len(wanted) > 1 else {}
    for piece in pieces(wanted, rows):
        fill(source, target, tables, [wanted[one] for one in piece], counted)


def require_days(source: Warehouse, target: Warehouse, day: Day, days: int, quiet_hours: float = 0.0) -> None:
    """Fill the days that are missing among the last `days` up to `day`, and those that were not finished when they were filled.

    Args:
        quiet_hours: that may lie between the last event of a finished day and midnight; 0: as the catalogue says.
    """
    tables, found = tables_of(source), metrics_by_day(target, day, days)
    known = _known(target, tables, (day - days).date)
    counted = {*known.index[known["whole"] & known["actions"] & known["counts"]]}

    def is_finished(one: Day, table: Events) -> bool:
        seen = [found.loc[str(one)].get(f"{table.source.name}.{name}", float("nan")) for name in ("rows", "last_event")]
        return not table.source.unfinished(table.table, one, *seen, quiet_hours)

    last = [day - ago for ago in range(days)]
    done = {one for one in last if one.date in counted and all(is_finished(one, table) for table in tables)}
    fill_days(source, target, {*last} - done)


def require_finished(
    source: Warehouse, day: Day, seen: Mapping, names: Iterable[str], quiet_hours: float, refusal: str
) -> None:
    """Check that the day is finished in every source that these metrics are counted from.

    Args:
        seen: the day's row of `metrics_by_day`.
        quiet_hours, refusal: see `Events.require_finished`.

    Raises:
        UnfinishedDay: it is not.
    """
    kinds = {count.source for count in counts_of(*names)}
    for table in tables_of(source):
        if kinds & {table.source.name, APP}:
            rows = {name: seen[f"{table.source.name}.{name}"] for name in ("rows", "last_event")}
            table.require_finished(day, rows, quiet_hours, refusal)


def require_history(source: Warehouse, target: Warehouse, day: Day, days: int) -> None:
    """Fill `user_activity` up to `day`, from the source's first event on; the users of the last `days` days are there, too.

    The source is searched for days with events once; from then on it is known which days are missing.
    """
    tables, metrics = tables_of(source), etl_table(target, "daily_metrics")
    mark = target.read(f"SELECT metric, value FROM {metrics} WHERE event_date = '{MARK}'").set_index("metric")["value"]
    actions, known = definitions(tables)["day.actions"], _known(target, tables)
    searched = mark.get("day.actions") == actions
    if searched:
        since = MARK + timedelta(days=int(mark["day.filled"]))
        wanted = {since + timedelta(days=n) for n in range((day.date - since).days + 1)} | {
            *known.index[~known["whole"]]
        }
        wanted |= {(day - ago).date for ago in range(days)}
    else:
        wanted = {*sizes(source, tables, day)}
    recent = known.index > (day - days).date
    kept = known["whole"] & known["actions"] & (known["users"] | ~recent)
    fill_days(source, target, [Day(one, day.zone) for one in wanted - {*known.index[kept]} if one <= day.date])
    if not searched:
        values = {"day.filled": float(((day + 1).date - MARK).days), "day.actions": actions}
        rows = pd.DataFrame({"event_date": MARK, "metric": list(values), "value": list(values.values())})
        target.replace_partitions(metrics, [f"'{MARK}'"], rows)


def pieces(days: Iterable[date], rows: Mapping[date, int]) -> Iterator[list[date]]:
    """Days that follow one another, as many as one statement may read, of so many rows each."""
    piece: list[date] = []
    for day in sorted(days):
        together = sum(rows.get(one, 0) for one in [*piece, day])
        if piece and (day - piece[-1] > timedelta(days=1) or together > MOST_ROWS or len(piece) == MOST_DAYS):
            yield piece
            piece = []
        piece.append(day)
    if piece:
        yield piece


def sizes(source: Warehouse, tables: list[Events], day: Day, first: date | None = None) -> dict[date, int]:
    """How many rows the source has on each day up to `day`, from `first` or its first event on."""
    found: dict[date, int] = {}
    for table in tables:
        since = first
        if since is None:
            until = f"time < toDateTime({int(day.end.timestamp())})"
            begun = source.scalar(f"SELECT toInt64(toUInt32(min(time))) FROM {table.table} WHERE {table.rows(until)}")
            since = pd.Timestamp(begun, unit="s", tz=day.zone.key).date() if begun else day.date
        before = (day.date - since).days
        rows = source.read(f"""
            SELECT {day.date_of(days_before=before)} AS day, count() AS total
            FROM {table.table} WHERE {table.rows(day.bounds(days_before=before))} GROUP BY day
        """)
        for one, total in zip(map(_date, rows["day"]), rows["total"].astype(int), strict=True):
            found[one] = found.get(one, 0) + total
    return found


def _known(target: Warehouse, tables: list[Events], after: date = MARK) -> pd.DataFrame:
    """What is known of the days that are there (index: dates), later than one: whether they are `whole`, of one writing; counted
    by today's definitions of `actions` and of `counts`; and whether the `users` are still kept."""
    metrics, activity = etl_table(target, "daily_metrics"), etl_table(target, "user_activity")
    rows = target.read(f"""
        SELECT event_date, metric, value FROM {metrics} WHERE startsWith(metric, 'day.') AND event_date > '{after}'
    """)
    now = definitions(tables)
    table = rows.pivot_table(index="event_date", columns="metric", values="value")
    table = table.reindex(columns=["day.version", *now])
    acted = target.read(f"""
        SELECT event_date, toFloat64(version) AS version, origin FROM {activity} WHERE version != 0 AND event_date > '{after}'
    """)
    acted = acted.set_index("event_date")
    table, acted = (part.set_axis(pd.Index([*map(_date, part.index)], dtype=object)) for part in (table, acted))
    table = table.reindex(table.index.union(acted.index))
    acted = acted.reindex(table.index)
    return pd.DataFrame(
        {
            "whole": table["day.version"] == acted["version"],
            "actions": table["day.actions"] == now["day.actions"],
            "counts": table["day.counts"] == now["day.counts"],
            "users": acted["origin"] != FORGOTTEN,
        }
    )


def _date(moment: pd.Timestamp) -> date:
    return moment.date()
