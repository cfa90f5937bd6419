"""The run day and the 15-minute slot in the business time zone, and their SQL bounds. A typo in a date fails here.

    >>> run_day("2026-11-22").bounds("time")  # in Moscow
    'time >= toDateTime(1795294800) AND time < toDateTime(1795381200)'

Bounds are instants (seconds since 1970), so they mean the same whatever the zone of the server or of the column, and a
day of 23 or 25 hours is exactly that long. Which day an instant belongs to is said by Python's rules of time zones alone,
also in SQL (`Day.date_of`): those that a server was built with may be of another year.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pulsebook.base.errors import PulsebookError
from pulsebook.base.settings import settings

EPOCH = date(1970, 1, 1)
EARLIEST = date(1971, 1, 1)  # ClickHouse's DateTime begins with 1970, and notebooks look back


class PeriodError(PulsebookError, ValueError):
    """A date or a time cannot be used."""


@dataclass(frozen=True, order=True)
class Day:
    """A calendar day in a time zone; `str(day)` is its ISO form."""

    date: date
    zone: ZoneInfo

    def __str__(self) -> str:
        return self.date.isoformat()

    def __add__(self, days: int) -> "Day":
        try:
            return Day(self.date + timedelta(days=days), self.zone)
        except OverflowError:
            raise PeriodError(f"there is no day {days:+} days from {self}: the calendar ends before") from None

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
        first, end = max(_epoch(self - days_before), 0), _epoch(self + 1)
        return f"{column} >= toDateTime({first}) AND {column} < toDateTime({end})"

    def date_of(self, column: str = "time", *, days_before: int = 0) -> str:
        """SQL: the Date of instants that lie within `bounds` of the same arguments.

        `column` is a DateTime or seconds since 1970. Days are counted from the first, anew after each that is longer or
        shorter than 24 hours.
        """
        if not days_before:
            return f"toDate('{self}')"
        runs: list[list[int]] = []  # first instant, number of the first day, how many days
        for day in (self - ago for ago in range(days_before, -1, -1)):
            start, number = _epoch(day), (day.date - EPOCH).days
            if runs and start == runs[-1][0] + runs[-1][2] * 86400:
                runs[-1][2] += 1
            else:
                runs.append([start, number, 1])
        at = f"toUInt32({column})"
        counted = [f"{n} + least(intDiv({at} - {start}, 86400), {days - 1})" for start, n, days in runs]
        later = [f"{at} >= {start}, {sql}, " for (start, _, _), sql in zip(runs[1:], counted[1:], strict=True)]
        found = f"multiIf({''.join(reversed(later))}{counted[0]})" if later else counted[0]
        return f"toDate(toUInt16({found}))"


def _epoch(day: Day) -> int:
    """The first instant of a day, in seconds since 1970."""
    return int(day.start.timestamp())


def today() -> Day:
    """The current day in the business time zone."""
    zone = settings().timezone
    return Day(datetime.now(zone).date(), zone)


def run_day(run_date: str = "") -> Day:
    """The day to work on: `run_date` as an ISO day, or yesterday when empty.

    Raises:
        PeriodError: not an ISO day, a day before 1971, or one that is not over yet.
    """
    if not run_date:
        return today() - 1
    if not isinstance(run_date, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", run_date):
        raise PeriodError(f"run_date must be an ISO day such as 2026-11-22 (empty: yesterday), got {run_date!r}")
    try:
        day = Day(date.fromisoformat(run_date), settings().timezone)
    except ValueError as error:
        raise PeriodError(f"run_date must be a day of the calendar such as 2026-11-22, got {run_date!r}") from error
    if day.date < EARLIEST:
        raise PeriodError(f"run_date must be a day from {EARLIEST} on, got {run_date}")
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
    _check(instant)
    return str(Day(instant.astimezone(settings().timezone).date(), settings().timezone) - 1)


def _check(instant: datetime) -> None:
    """An instant that a run can be of: it has a zone, and its year is no slip."""
    if instant.tzinfo is None:
        raise PeriodError(f"an instant must carry its time zone, got {instant.isoformat()}")
    if not EARLIEST.year < instant.year < 2106:  # a day on, and all zones are within the years of ClickHouse's DateTime
        raise PeriodError(f"a run must be of a time between 1972 and 2105, got {instant.isoformat()}")


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
    if start.year <= EARLIEST.year:
        raise PeriodError(f"slot must be a time from {EARLIEST.year + 1} on, got {slot!r}")
    start = start if start.tzinfo else start.replace(tzinfo=zone)
    epoch = int(start.timestamp())
    if epoch % QUARTER or start.microsecond:
        raise PeriodError(f"slot must begin on a quarter of an hour such as 2026-11-22T14:15, got {slot!r}")
    if epoch + QUARTER > datetime.now(UTC).timestamp():
        raise PeriodError(f"slot must be over: {slot_of(datetime.now(UTC))} or earlier, got {slot!r}")
    return Slot(epoch, zone)


def slot_of(instant: datetime) -> str:
    """The slot that has just ended at an instant, as `run_slot` takes it."""
    _check(instant)
    return str(Slot((int(instant.timestamp()) // QUARTER - 1) * QUARTER, settings().timezone))
