"""The run day and its SQL bounds in the business time zone. A typo in a date fails here.

    day = run_day("2026-11-22")
    day.bounds("time")     # "time >= toDateTime(1763758800) AND time < toDateTime(1763845200)"

Bounds are instants (seconds since 1970), so they mean the same whatever the zone of the server or of the column, and a
day of 23 or 25 hours is exactly that long.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pulsebook.settings import settings


class PeriodError(ValueError):
    """A date or a time cannot be used."""


@dataclass(frozen=True, order=True)
class Day:
    """A calendar day in a time zone; `str(day)` is its ISO form."""

    date: date
    zone: ZoneInfo

    def __str__(self) -> str:
        return self.date.isoformat()

    def __add__(self, days: int) -> "Day":
        return Day(self.date + timedelta(days=days), self.zone)

    def __sub__(self, days: int) -> "Day":
        return self + -days

    @property
    def start(self) -> datetime:
        """The first instant of the day."""
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=self.zone)

    @property
    def end(self) -> datetime:
        """The first instant after the day."""
        return (self + 1).start

    @property
    def hours(self) -> float:
        """Its length: 24, or 23 and 25 where clocks change."""
        return (self.end.timestamp() - self.start.timestamp()) / 3600

    def bounds(self, column: str = "time", *, days_before: int = 0) -> str:
        """SQL that is true for instants of this day (and of `days_before` days before it)."""
        start = (self - days_before).start
        return (
            f"{column} >= toDateTime({int(start.timestamp())}) AND {column} < toDateTime({int(self.end.timestamp())})"
        )


def today() -> Day:
    """The current day in the business time zone."""
    zone = settings().timezone
    return Day(datetime.now(zone).date(), zone)


def run_day(run_date: str = "") -> Day:
    """The day to work on: `run_date` as an ISO day, or yesterday when empty.

    Raises:
        PeriodError: not an ISO day, or a day that is not over yet.
    """
    if not run_date:
        return today() - 1
    if not isinstance(run_date, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", run_date):
        raise PeriodError(f"run_date must be an ISO day such as 2026-11-22, got {run_date!r}")
    try:
        day = Day(date.fromisoformat(run_date), settings().timezone)
    except ValueError as error:
        raise PeriodError(f"run_date must be a day of the calendar such as 2026-11-22, got {run_date!r}") from error
    if day >= today():
        raise PeriodError(
            f"run_date must be a day that is over in {day.zone.key}: {today() - 1} or earlier, got {run_date}"
        )
    return day


def run_date_of(instant: datetime) -> str:
    """The day that a run at `instant` reports on: yesterday, seen from the business time zone.

    `instant` is `dag_run.logical_date or dag_run.run_after`: Airflow's `ds` is a day in UTC, and absent for a run that
    was triggered without a date.
    """
    if instant.tzinfo is None:
        raise PeriodError(f"an instant must carry its time zone, got {instant.isoformat()}")
    return (instant.astimezone(settings().timezone).date() - timedelta(days=1)).isoformat()
