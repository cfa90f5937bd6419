"""`first_days`: on which day each user acted first, and where they came from. It is made from `user_activity`, and brought up to
date by whoever reads it, so that nothing depends on the order in which days were loaded.

A partition holds the users whose first day it is, and one row with a version of its own and its basis: the version of that
day in `user_activity` and the version of the partition before. Where a day was loaded anew, came later, or a run was killed, the
basis does not fit any more, and everything from there on is made anew.
"""

import random
from datetime import date

from pulsebook.base.periods import today
from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.day_rows import digest
from pulsebook.warehouse.days import FORGOTTEN, MOST_ROWS, pieces
from pulsebook.warehouse.etl_tables import etl_table


def first_days(target: Warehouse) -> str:
    """The table, up to date with `user_activity`; its rows with version 0 are the users."""
    table, activity = etl_table(target, "first_days"), etl_table(target, "user_activity")
    acted = target.read(f"SELECT event_date, version FROM {activity} WHERE version != 0 ORDER BY event_date")
    acted = dict(zip(acted["event_date"].dt.date, map(int, acted["version"]), strict=True))
    built = target.read(f"SELECT event_date, version, basis FROM {table} WHERE version != 0")
    built = {row.event_date.date(): (int(row.version), int(row.basis)) for row in built.itertuples()}
    before, stale = 0, [*acted]
    for day, version in acted.items():
        own, basis = built.get(day, (0, 0))
        if basis != digest(version, before):
            break
        before, stale = own, stale[1:]
    for day in built.keys() - acted.keys():
        target.execute(f"ALTER TABLE {table} DROP PARTITION '{day}'")
    for days in pieces(stale, _sizes(target, activity, stale)):
        before = _build(target, table, activity, {day: acted[day] for day in days}, before)
    return table


def forget_days(target: Warehouse, keep: int) -> list[date]:
    """Remove the users of the days that are over `keep` days ago from `user_activity`, once `first_days` knows them; returns
    these days."""
    activity = etl_table(target, "user_activity")
    old = target.read(
        f"SELECT event_date FROM {activity} WHERE version != 0 AND origin != '{FORGOTTEN}' AND event_date < '{today() - keep}' "
        "ORDER BY event_date"
    )["event_date"]
    if len(old):
        first_days(target)
    for day in old.dt.date:
        mark = f"""
            SELECT event_date, user_id, feed, messenger, '{FORGOTTEN}' AS origin, version
            FROM {activity} WHERE event_date = '{day}' AND version != 0
        """
        target.replace_partition(activity, f"'{day}'", mark)
    return [*old.dt.date]


def _build(target: Warehouse, table: str, activity: str, versions: dict[date, int], before: int) -> int:
    """Make the partitions of these days anew; returns the version of the last one."""
    first, last = min(versions), max(versions)
    of_days = f"event_date >= '{first}' AND event_date <= '{last}' AND version = 0"
    known = f"FROM {table} WHERE event_date < '{first}' AND version = 0"
    forgotten = f"SELECT event_date FROM {activity} WHERE version != 0 AND origin = '{FORGOTTEN}'"
    users = target.scalar(f"SELECT count() {known}") + target.scalar(f"SELECT count() FROM {activity} WHERE {of_days}")
    parts = 1 + int(users) // MOST_ROWS
    selects = []
    for number in range(parts):
        part = f"cityHash64(user_id) % {parts} = {number}"
        selects.append(f"""
            SELECT first_day AS event_date, user AS user_id, first_origin AS origin, toUInt64(0) AS version, toUInt64(0) AS basis
            FROM
            (
                SELECT user, min(day) AS first_day, argMin(day_origin, day) AS first_origin
                FROM
                (
                    SELECT event_date AS day, user_id AS user, origin AS day_origin FROM {activity}
                    WHERE {of_days} AND {part} AND user_id NOT IN (SELECT user_id {known} AND {part})
                    UNION ALL
                    SELECT event_date AS day, user_id AS user, origin AS day_origin FROM {table}
                    WHERE {of_days} AND {part} AND event_date IN ({forgotten})
                        AND user_id NOT IN (SELECT user_id {known} AND {part})
                )
                GROUP BY user
            )
        """)
    marks = []
    for day, version in versions.items():
        own, basis = random.getrandbits(63) + 1, digest(version, before)
        marks.append(
            f"SELECT toDate('{day}') AS event_date, toUInt64(0) AS user_id, '' AS origin, toUInt64({own}) AS version, "
            f"toUInt64({basis}) AS basis"
        )
        before = own
    target.replace_partitions(table, [f"'{day}'" for day in versions], [*selects, " UNION ALL ".join(marks)])
    return before


def _sizes(target: Warehouse, activity: str, days: list[date]) -> dict[date, int]:
    """How many users were active on each of these days."""
    if len(days) < 2:
        return {}
    found = target.read(
        f"SELECT event_date, count() AS users FROM {activity} WHERE event_date >= '{days[0]}' GROUP BY event_date"
    )
    return dict(zip(found["event_date"].dt.date, map(int, found["users"]), strict=True))
