"""The run day and the 15-minute slot in the business time zone, and their SQL bounds. A typo in a date fails here.

    day = run_day("2026-11-22")
    day.bounds("time")     # "time >= toDateTime(1763758800) AND time < toDateTime(1763845200)"

Bounds are instants (seconds since 1970), so they mean the same whatever the zone of the server or of the column, and a
day of 23 or 25 hours is exactly that long.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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


def unfinished(day: Day, what: str, rows: int, last_event: int, quiet_hours: float) -> str:
    """What is wrong with a day's rows, empty where nothing is: there are none, or the last event (seconds since 1970)
    lies more than `quiet_hours` before midnight. Such a day is still being loaded: reporting it would turn missing
    data into a drop."""
    if not rows:
        return f"{what} has no rows on {day}"
    quiet = (day.end.timestamp() - last_event) / 3600
    if quiet > quiet_hours:
        return (
            f"{what} looks unfinished on {day}: its last event is {quiet:.1f} hours before midnight, "
            f"expected at most {quiet_hours:g}"
        )
    return ""


def run_date_of(instant: datetime) -> str:
    """The day that a run at `instant` reports on: yesterday, seen from the business time zone.

    `instant` is `dag_run.logical_date or dag_run.run_after`: Airflow's `ds` is a day in UTC, and absent for a run that
    was triggered without a date.
    """
    if instant.tzinfo is None:
        raise PeriodError(f"an instant must carry its time zone, got {instant.isoformat()}")
    return (instant.astimezone(settings().timezone).date() - timedelta(days=1)).isoformat()


QUARTER = 900  # seconds of a slot; every zone's offset is a multiple, so slots begin on the quarter everywhere


@dataclass(frozen=True, order=True)
class Slot:
    """15 minutes; `epoch` is its start in seconds since 1970, `str(slot)` its start in ISO form with offset."""

    epoch: int
    zone: ZoneInfo

    def __str__(self) -> str:
        return self.start.isoformat()

    def __add__(self, slots: int) -> "Slot":
        return Slot(self.epoch + slots * QUARTER, self.zone)

    def __sub__(self, slots: int) -> "Slot":
        return self + -slots

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime.fromtimestamp(self.epoch, self.zone)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        return (self + 1).start

    def bounds(self, column: str = "time", *, first: "Slot | None" = None) -> str:
        """SQL that is true for instants of this slot, or from the slot `first` on to the end of this one."""
        return f"{column} >= toDateTime({(first or self).epoch}) AND {column} < toDateTime({self.epoch + QUARTER})"


def run_slot(slot: str = "") -> Slot:
    """The slot to work on: its start as ISO text (in the business time zone where it has no offset), or the slot that
    has just ended when empty.

    Raises:
        PeriodError: not an ISO time on the quarter of an hour, or a slot that is not over yet.
    """
    zone = settings().timezone
    if not slot:
        return run_slot(slot_of(datetime.now(UTC)))
    try:
        start = datetime.fromisoformat(slot)
    except (TypeError, ValueError):
        raise PeriodError(f"slot must be an ISO time such as 2026-11-22T14:15, got {slot!r}") from None
    epoch = int((start if start.tzinfo else start.replace(tzinfo=zone)).timestamp())
    if epoch % QUARTER:
        raise PeriodError(f"slot must begin on a quarter of an hour such as 2026-11-22T14:15, got {slot!r}")
    if epoch + QUARTER > datetime.now(UTC).timestamp():
        raise PeriodError(f"slot must be over: {slot_of(datetime.now(UTC))} or earlier, got {slot!r}")
    return Slot(epoch, zone)


def slot_of(instant: datetime) -> str:
    """The slot that has just ended at an instant, as `run_slot` takes it."""
    if instant.tzinfo is None:
        raise PeriodError(f"an instant must carry its time zone, got {instant.isoformat()}")
    return str(Slot((int(instant.timestamp()) // QUARTER - 1) * QUARTER, settings().timezone))
