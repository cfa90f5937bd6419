"""Whether the reports of a day have come, as the ledger says; which are expected nobody lists: those that came before.

A report is what a task posts under the key of its DAG and a day, with its own id behind where its DAG has several:
`feed_report/2026-11-22`, `app/2026-11-22/devices`. It is on time when it comes on the day after, until PULSEBOOK_LATE_AT; one
that is not made before then, within a quarter of an hour after its usual time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from pulsebook.base.periods import QUARTER, Day, Slot, today
from pulsebook.base.quiet_hours import NONE
from pulsebook.base.settings import settings
from pulsebook.chat.ledger import Ledger

WEEK = 7  # days
MOST = 4  # of the days of a week: on so many it came, so it is expected
USUAL = 1  # the second earliest time of a week is the usual one: the earliest may be of a run by hand
DAYS = 2 * WEEK + 1
_KEY = re.compile(r"(?P<dag>[^|]+)/(?P<day>\d{4}-\d\d-\d\d)(?P<part>/[^/|]+)?")


@dataclass
class Report:
    """One report, with when it came for each day (ISO) of two weeks: `came` whoever posted it, `own` by its own task."""

    name: str  # its DAG, and where that has several its own
    title: str = ""  # how its last message begins
    came: dict[str, datetime] = field(default_factory=dict)
    own: dict[str, datetime] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        """The DAG whose report it is."""
        return self.name.partition("/")[0]

    def times(self, week: Day) -> list[str]:
        """The times of day, sorted, at which its task posted it on the day after, in the week that ends with a day."""
        days = [week - ago for ago in range(WEEK)]
        own = [(self.own[str(day)], day + 1) for day in days if str(day) in self.own]
        return sorted(f"{at:%H:%M}" for at, due in own if at.date() == due.date)

    def is_expected(self, day: Day) -> bool:
        """Whether it came on most days of the week before."""
        return len(self.times(day - 1)) >= MOST

    def due(self, day: Day) -> datetime:
        """Until when it comes, to be on time."""
        late_at = settings().late_at
        usual = max([late_at, *self.times(day - 1)[USUAL : USUAL + 1]])
        patience = timedelta(seconds=QUARTER if usual > late_at else 0)
        return datetime.combine((day + 1).date, time.fromisoformat(usual), day.zone) + patience

    def is_late(self, day: Day, now: datetime) -> bool:
        """Whether it has not come though it is due."""
        return str(day) not in self.came and self.is_expected(day) and now >= self.due(day)

    def was_expected(self, last: Day) -> bool:
        """Whether it came on most days of the week that ends with a day, or of the week before."""
        return self.is_expected(last + 1) or self.is_expected(last - WEEK + 1)

    def week(self, last: Day) -> tuple[int, datetime | None]:
        """Of the week that ends with a day: on how many days it was on time, and when it came latest in its day (None: never)."""
        came = {day: self.came[str(day)] for day in (last - ago for ago in range(WEEK)) if str(day) in self.came}
        latest = max(came, key=lambda day: came[day] - day.start, default=None)
        return sum(at <= self.due(day) for day, at in came.items()), came.get(latest)


def watched_day(slot: Slot) -> Day | None:
    """The day whose reports must have come by the end of a slot; None: not yet, never, or the slot is not one of today."""
    late_at, now = settings().late_at, slot.end
    day = Day(now.date(), slot.zone)
    return day - 1 if late_at != NONE and day == today() and f"{now:%H:%M}" >= late_at else None


def reports(day: Day) -> dict[str, Report]:
    """By name, in its order, what was posted about the days up to this one: one statement."""
    found: dict[str, Report] = {}
    for key, task, at, headline in _posted(day):
        if not (parts := _KEY.fullmatch(key)):
            continue
        dag, about, part = parts["dag"], parts["day"], parts["part"] or ""
        report = found.setdefault(dag + part, Report(dag + part))
        report.title = headline.partition(" · ")[0]
        came = report.came.setdefault(about, datetime.fromtimestamp(at, day.zone))
        if task == f"{dag}.{part[1:]}" or task.startswith(f"{dag}.") and not part:
            report.own.setdefault(about, came)
    return dict(sorted(found.items()))


def _posted(day: Day) -> Iterator[tuple[str, str, int, str]]:
    """What was sent under keys of days, or may have been: key, task, second since 1970, headline; oldest first."""
    ledger = Ledger()
    rows = ledger.warehouse.read(f"""
        SELECT key, max(ifNull(task, '')) AS owner, toInt64(toUInt32(min(at))) AS second, any(headline) AS text
        FROM {ledger.table}
        WHERE at >= toDateTime({int((day - DAYS).start.timestamp())}) AND part IN ('text 1', 'pictures 1')
            AND match(key, '^[^|]+/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(/[^/|]+)?$')
        GROUP BY key, claim
        HAVING countIf(status IN ('failed', 'withdrawn')) = 0
        ORDER BY second
    """)
    return rows.itertuples(index=False, name=None)
