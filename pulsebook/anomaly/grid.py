"""History as arrays: consecutive quarter hours of real time, and the wall-clock cell of each.

Two axes of time are kept apart. *Slots* are consecutive quarter hours, for whatever follows a sequence. *Cells* are
quarter hours of the wall clock, 96 to a day, for whatever follows habits: on the 25-hour day of a clock change four
cells hold two slots each, on the 23-hour day four cells stay empty.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pulsebook.anomaly.streams import Streams

SLOT_SECONDS = 900
SLOTS_PER_HOUR = 4
CELLS_PER_DAY = 96


@dataclass(frozen=True)
class Grid:
    """Slots in a row; `count` and `exposure` are slots × streams, NaN where missing."""

    streams: Streams
    groups: dict[str, list[int]]  # streams that fail together, by their place
    index: pd.DatetimeIndex
    count: np.ndarray
    exposure: np.ndarray
    age: np.ndarray  # days of history before each slot

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def quarter(self) -> np.ndarray:
        """Quarter hours since 1970 in UTC (on a naive index: of the wall clock)."""
        return _quarters(self.index)

    @cached_property
    def cell(self) -> np.ndarray:
        """The wall-clock cell of each slot, counted from the midnight before the first: `cell // 96` is the day."""
        wall = _quarters(self.index.tz_localize(None))
        return wall - wall[0] // CELLS_PER_DAY * CELLS_PER_DAY

    @cached_property
    def midnight(self) -> np.ndarray:
        """Whether a slot is the first of its day."""
        day = self.cell // CELLS_PER_DAY
        return np.concatenate([[False], day[1:] != day[:-1]])

    def of_metrics(self) -> "Grid":
        """Without the helpers."""
        metrics = len(self.streams.metrics)
        return replace(self, count=self.count[:, :metrics], exposure=self.exposure[:, :metrics])

    @property
    def days(self) -> int:
        return int(self.cell.max()) // CELLS_PER_DAY + 1

    @property
    def weekday(self) -> np.ndarray:
        """Of each day; Monday is 0."""
        return (np.arange(self.days) + self.index[0].weekday()) % 7

    def first_slot(self, day: int) -> int:
        """The first slot of a day (0 for days before the first)."""
        return int(np.argmax(self.cell >= day * CELLS_PER_DAY)) if day > 0 else 0


def checked(history: pd.DataFrame, needed: tuple[str, ...]) -> pd.DataFrame:
    """The columns of `history` that are `needed`, in their order there, as floats.

    Raises:
        ValueError: what was expected, what was found, what to do.
    """
    if not isinstance(history, pd.DataFrame) or not isinstance(history.index, pd.DatetimeIndex):
        found = type(history.index if isinstance(history, pd.DataFrame) else history).__name__
        raise ValueError(
            f"history must be a DataFrame indexed by slot start (DatetimeIndex), got {found}; set the index"
        )
    if absent := [column for column in needed if column not in history.columns]:
        raise ValueError(
            f"history must have columns {', '.join(needed)}; found {', '.join(map(str, history.columns)) or 'none'}:"
            f" add {', '.join(absent)} (NaN where unknown)"
        )
    if twice := [column for column in needed if list(history.columns).count(column) > 1]:
        raise ValueError(f"history must have each column once, found {', '.join(twice)} twice or more: drop the others")
    index = history.index
    if index.hasnans or not index.is_unique or not index.is_monotonic_increasing:
        fault = "NaT" if index.hasnans else "unsorted slots" if index.is_unique else "duplicate slots"
        where = index[index.duplicated()][:1] if fault == "duplicate slots" else index[1:][np.diff(index.asi8) < 0][:1]
        raise ValueError(
            f"the index of history must hold each slot once, in order; found {fault} {' '.join(map(str, where))}"
            ": drop duplicates and sort the index"
        )
    off = index.as_unit("us").asi8 % (SLOT_SECONDS * 1_000_000) != 0
    if off.any():
        raise ValueError(f"slots must start on a quarter hour, found {index[off][0]}: floor the index to 15 minutes")
    columns = history.loc[:, [column for column in history.columns if column in needed]]
    try:
        values = columns.astype("float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"history must hold numbers (NaN = missing): {error}; convert the columns") from error
    bad = ~(values.isna() | (np.isfinite(values) & (values >= 0)))
    if bad.any(axis=None):
        column = bad.any().idxmax()
        where = bad[column].idxmax()
        raise ValueError(
            f"counts must be 0 or more and finite, found {column} = {values.loc[where, column]} at {where}: correct it"
        )
    return values


def checked_slot(slot, index: pd.DatetimeIndex) -> pd.Timestamp:
    """`slot` as a timestamp in the zone of the index.

    Raises:
        ValueError: not a time, not on a quarter hour, or a zone on one side only.
    """
    try:
        moment = pd.Timestamp(slot)
    except (TypeError, ValueError) as error:
        raise ValueError(f"slot must be the start of a slot such as 2026-11-22 10:15, got {slot!r}") from error
    if moment is pd.NaT or moment.as_unit("ns").value % (SLOT_SECONDS * 10**9):
        raise ValueError(f"slot must start on a quarter hour such as 2026-11-22 10:15, got {slot!r}: floor it")
    if (moment.tz is None) != (index.tz is None):
        raise ValueError(f"slot and history must both have a time zone or both none, got {slot!r} and {index.tz}")
    return moment if index.tz is None else moment.tz_convert(index.tz)


def grid(values: pd.DataFrame, streams: Streams, first: pd.Timestamp, last: pd.Timestamp, start: pd.Timestamp) -> Grid:
    """The slots from `first` to `last`; `start` is where history begins, also if that is before `first`."""
    zone = first.tz
    if zone is None:
        index = pd.date_range(first, last, freq="15min")
    else:
        index = pd.date_range(first.tz_convert("UTC"), last.tz_convert("UTC"), freq="15min").tz_convert(zone)
    quarter = _quarters(index)
    at = _quarters(values.index) - quarter[0]
    inside = (at >= 0) & (at < len(index))
    columns = np.full((len(index), values.shape[1]), np.nan)
    columns[at[inside]] = values.to_numpy()[inside]
    by_name = dict(zip(values.columns, columns.T, strict=True))
    count = np.stack([by_name[stream.count] for stream in streams.all], axis=1)
    alone = np.ones(len(index))
    exposure = np.stack([by_name[stream.given] if stream.given else alone for stream in streams.all], axis=1)
    age = (quarter - _quarters(pd.DatetimeIndex([start]))[0]) / CELLS_PER_DAY
    return Grid(streams, streams.groups(values.columns), index, count, exposure, age)


def _quarters(index: pd.DatetimeIndex) -> np.ndarray:
    return index.as_unit("s").asi8 // SLOT_SECONDS
