"""What is normal for a slot: its share of the week, times the level of the last two days.

Everything here is causal and bounded: the expectation of a slot uses only slots before it, at most
`MEMORY_DAYS` back, and each row of an array is computed on its own. So a slot's expectation is bitwise the same
whether it is computed alone or with a year of others.

Two axes of time are kept apart. *Slots* are consecutive quarter hours of real time, for whatever follows a sequence.
*Cells* are quarter hours of the wall clock, 96 to a day, for whatever follows habits: on the 25-hour day of a clock
change four cells hold two slots each, on the 23-hour day four cells stay empty.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SLOT_SECONDS = 900
SLOTS_PER_HOUR = 4
CELLS_PER_DAY = 96
MEMORY_DAYS = 28  # days of habits behind an expectation
SAME_WEEKDAY_WEIGHT = 6  # the same weekday counts this much, other days of its kind (working day, weekend) once
LEVEL_DAYS = 7  # a share is taken of the mean of so many days before
RECENT_HOURS = 48  # the level follows the median of actual / expected over so many hours
HABIT_SPREAD, HABIT_COUNT_SPREAD = 0.1, 3.0  # spread of a share between days: relative, and variance per count
LEVEL_SPREAD, LEVEL_COUNT_SPREAD = 0.06, 2.0  # the same for an hour's actual / expected
CLIP = 2.0  # beyond so many spreads from the median a value counts as if at that distance
LEVEL_PRIOR = 100.0  # weight of "the level has not moved", in inverse variance (a spread of 10 %)


@dataclass(frozen=True)
class Calendar:
    """Consecutive slots, and the wall-clock cell of each (`cell // 96` is the day, day 0 that of the first slot)."""

    index: pd.DatetimeIndex
    cell: np.ndarray
    weekday: np.ndarray  # of each day

    @classmethod
    def spanning(cls, first: pd.Timestamp, last: pd.Timestamp) -> "Calendar":
        utc = pd.date_range(first.tz_convert("UTC"), last.tz_convert("UTC"), freq="15min") if first.tz else None
        index = pd.date_range(first, last, freq="15min") if utc is None else utc.tz_convert(first.tz)
        wall = index if utc is None else index.tz_localize(None)
        quarter = wall.as_unit("s").asi8 // SLOT_SECONDS
        start = quarter[0] // CELLS_PER_DAY  # days since 1970-01-01, a Thursday
        days = quarter.max() // CELLS_PER_DAY - start + 1
        return cls(index, quarter - start * CELLS_PER_DAY, (np.arange(days) + start + 3) % 7)

    @property
    def days(self) -> int:
        return len(self.weekday)

    def first_slot(self, day: int) -> int:
        """The first slot of a day (0 for days before the first)."""
        return int(np.argmax(self.cell >= day * CELLS_PER_DAY)) if day > 0 else 0


def expectation(calendar: Calendar, count: np.ndarray, exposure: np.ndarray, since: int = 0) -> np.ndarray:
    """Expected counts per slot and stream (slots × streams), NaN where unknown and before slot `since`.

    `count` is what was seen (NaN = missing) and `exposure` what it grows with: 1 for a plain count, the views for
    likes. A rate is count / exposure.
    """
    first_day = max(int(calendar.cell[since]) // CELLS_PER_DAY - RECENT_HOURS // 24 - 1, 0)
    usual = usual_rate(calendar, count, exposure, first_day)
    known = calendar.cell >= first_day * CELLS_PER_DAY
    base = np.full_like(count, np.nan)
    base[known] = usual[calendar.cell[known] - first_day * CELLS_PER_DAY] * exposure[known]
    expected = base * recent_level(count, base, since)
    expected[:since] = np.nan
    return expected


def usual_rate(calendar: Calendar, count: np.ndarray, exposure: np.ndarray, first_day: int) -> np.ndarray:
    """The habitual rate of each cell from `first_day` on (cells × streams).

    Each of the 28 days before gives its rate over the cell ±15 minutes as a share of the level of that day; the
    shares are averaged with weights, those far from their weighted median drawn in; times the level of this day.
    """
    days, streams = calendar.days, count.shape[1]
    seen = ~np.isnan(count) & ~np.isnan(exposure)
    counts, exposures = np.zeros((2, days * CELLS_PER_DAY, streams))
    np.add.at(counts, calendar.cell, np.where(seen, count, 0.0))
    np.add.at(exposures, calendar.cell, np.where(seen, exposure, 0.0))
    level = daily_level(divide(counts, exposures).reshape(days, CELLS_PER_DAY, streams))

    around = np.zeros((2, *counts.shape))
    for total, cells in zip(around, (counts, exposures), strict=True):
        total += cells
        total[1:] += cells[:-1]
        total[:-1] += cells[1:]
    counts, exposures = around.reshape(2, days, CELLS_PER_DAY, streams)
    share = divide(counts, exposures) / level[:, None]

    day = np.arange(first_day, days)[:, None]
    lag = np.arange(1, MEMORY_DAYS + 1)
    weight = alike(calendar.weekday, day, lag)
    past = np.maximum(day - lag, 0)
    # -> days × cells × streams × lags, each row contiguous
    shares, exposures = (np.ascontiguousarray(np.moveaxis(grid[past], 1, -1)) for grid in (share, exposures))
    weight = np.broadcast_to(weight[:, None, None], shares.shape)
    today = level[first_day:, None, :, None]
    spread = np.sqrt(HABIT_SPREAD**2 + divide(HABIT_COUNT_SPREAD, exposures * today))
    return (clipped_mean(shares, weight, spread) * level[first_day:, None]).reshape(-1, streams)


def alike(weekday: np.ndarray, day: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """The integer weight of each earlier day (days × lags); in the first week all days count."""
    past = day - lag
    same_kind = (weekday[day] >= 5) == (weekday[np.maximum(past, 0)] >= 5)
    weight = np.where(lag % 7 == 0, SAME_WEEKDAY_WEIGHT, np.where(same_kind | (day <= 7), 1, 0))
    return np.where(past >= 0, weight, 0)


def daily_level(rate: np.ndarray) -> np.ndarray:
    """Mean rate of the 7 days before each day (days × streams); each cell without its highest and lowest day.

    The first day has no days before it and takes the level of the second.
    """
    days, cells, streams = rate.shape
    padded = np.concatenate([np.full((LEVEL_DAYS, cells, streams), np.nan), rate])
    week = np.sort(np.lib.stride_tricks.sliding_window_view(padded, LEVEL_DAYS, axis=0)[:days], axis=-1)
    valid = np.sum(~np.isnan(week), axis=-1, keepdims=True)
    rank = np.arange(LEVEL_DAYS)
    trim = (valid >= 5).astype(int)
    kept = (rank >= trim) & (rank < valid - trim)
    mean = divide(np.sum(np.where(kept, week, 0.0), axis=-1), np.sum(kept, axis=-1))
    level = divide(np.nansum(mean, axis=1), np.sum(~np.isnan(mean), axis=1))
    level[:1] = level[1:2] if days > 1 else np.nan
    return np.where(level > 0, level, np.nan)


def recent_level(count: np.ndarray, base: np.ndarray, since: int) -> np.ndarray:
    """Actual / usual over the last 48 full hours, for every slot (slots × streams), renewed each hour.

    A mean with weights by inverse variance and a prior at 1, hours far from the median drawn in: two hours of an
    outage move it little, and a new level is accepted after a day.
    """
    slots, streams = count.shape
    hours = -(-slots // SLOTS_PER_HOUR)
    padded = np.zeros((2, hours * SLOTS_PER_HOUR, streams))
    both = ~np.isnan(count) & ~np.isnan(base)
    padded[0, :slots] = np.where(both, count, 0.0)
    padded[1, :slots] = np.where(both, base, 0.0)
    actual, usual = padded.reshape(2, hours, SLOTS_PER_HOUR, streams).sum(axis=2)
    ratio = np.concatenate([np.full((RECENT_HOURS, streams), np.nan), divide(actual, usual)])
    usual = np.concatenate([np.zeros((RECENT_HOURS, streams)), usual])

    first = since // SLOTS_PER_HOUR
    window = np.lib.stride_tricks.sliding_window_view
    ratios = np.ascontiguousarray(window(ratio[first:-1], RECENT_HOURS, axis=0))
    usual = np.ascontiguousarray(window(usual[first:-1], RECENT_HOURS, axis=0))
    spread = np.sqrt(LEVEL_SPREAD**2 + divide(LEVEL_COUNT_SPREAD, usual))
    precision = np.where(np.isnan(ratios), 0.0, 1 / spread**2)
    near = clipped(ratios, np.ones(1, int), spread)
    level = (np.sum(precision * near, axis=-1) + LEVEL_PRIOR) / (np.sum(precision, axis=-1) + LEVEL_PRIOR)
    result = np.full_like(count, np.nan)
    result[first * SLOTS_PER_HOUR :] = np.repeat(level, SLOTS_PER_HOUR, axis=0)[: slots - first * SLOTS_PER_HOUR]
    return result
