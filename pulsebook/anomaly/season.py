"""What is normal for a slot: its share of the week, times the level of the last two days.

Everything here is causal and bounded: the expectation of a slot uses only slots before it, at most `REACH_DAYS` back,
and each row of an array is computed on its own. So a slot's expectation is bitwise the same whether it is computed
alone or with a year of others.
"""

import numpy as np

from pulsebook.anomaly.grid import CELLS_PER_DAY, SLOTS_PER_HOUR, Grid

MEMORY_DAYS = 28  # days of habits behind an expectation
SAME_WEEKDAY_WEIGHT = 6.0  # the same weekday counts this much, other days of its kind (working day, weekend) once
LONE_WEEKDAY_WEIGHT = 3.0  # as long as it was seen once: if that was a bad day, the others outvote it
LEVEL_DAYS = 7  # a share is taken of the mean of so many days before
RECENT_HOURS = 48  # the level follows the median of actual / expected over so many hours
REACH_DAYS = MEMORY_DAYS + LEVEL_DAYS + RECENT_HOURS // 24 + 1
HABIT_SPREAD, HABIT_BURST = 0.1, 3.0  # spread of a share between days: relative, and variance per count
LEVEL_SPREAD, LEVEL_BURST = 0.07, 2.0  # the same for an hour's actual / expected
LEVEL_PRIOR = 100.0  # weight of "the level has not moved", as an inverse variance (a spread of 10 %)
REJECT = 4.0  # values so many spreads away from the median count nothing, nearer ones gradually more


def expectation(grid: Grid, since: int) -> np.ndarray:
    """Expected count per exposure of each metric (slots × metrics), NaN where unknown and before slot `since`."""
    grid = grid.of_metrics()
    first_day = max(int(grid.cell[since]) // CELLS_PER_DAY - RECENT_HOURS // 24 - 1, 0)
    rate = np.full_like(grid.count, np.nan)
    known = grid.cell >= first_day * CELLS_PER_DAY
    rate[known] = usual_rate(grid, first_day)[grid.cell[known] - first_day * CELLS_PER_DAY]
    rate *= recent_level(grid, rate * grid.exposure, since)
    rate[:since] = np.nan
    return rate


def usual_rate(grid: Grid, first_day: int, other: bool = False) -> np.ndarray:
    """The habitual rate (count per exposure) of each cell from `first_day` on (cells × streams).

    Each earlier day of the same kind gives its rate over the cell ±15 minutes, as a share of the level of that day;
    their robust weighted mean times the level of this day is the habit. In the first week levels are unknown and all
    days count alike. With `other`, by the days of the other kind, which all count alike; NaN in the first week.
    """
    days, streams = grid.days, grid.count.shape[1]
    seen = ~np.isnan(grid.count) & ~np.isnan(grid.exposure)
    totals = np.zeros((2, days * CELLS_PER_DAY, streams))
    np.add.at(totals[0], grid.cell, np.where(seen, grid.count, 0.0))
    np.add.at(totals[1], grid.cell, np.where(seen, grid.exposure, 0.0))
    level = daily_level(divide(*totals).reshape(days, CELLS_PER_DAY, streams))

    # The first and the last cell of a day stand alone: habits can change abruptly between two days.
    totals = totals.reshape(2, days, CELLS_PER_DAY, streams)
    around = totals.copy()
    around[:, :, 1:-1] += totals[:, :, :-2] + totals[:, :, 2:]
    counts, exposures = around
    rates = divide(counts, exposures)
    shares = rates / level[:, None]

    # lags last, so that reductions run over contiguous rows of a fixed length
    rates, shares, exposures = (np.ascontiguousarray(a.transpose(1, 2, 0)) for a in (rates, shares, exposures))
    result = np.full((days - first_day, CELLS_PER_DAY, streams), np.nan)
    for day in range(first_day, days):
        early = day < LEVEL_DAYS
        lags, weights = _days_like(grid.weekday[day], day, other)
        if not len(lags) or (early and other):
            continue
        past = day - lags
        today = np.ones((streams, 1)) if early else level[day][:, None]
        values = (rates if early else shares)[:, :, past]
        centre = _mean(rates[:, :, past]) if early else today
        spread = np.sqrt(HABIT_SPREAD**2 + divide(HABIT_BURST, exposures[:, :, past] * centre)) * (
            centre if early else 1
        )
        result[day - first_day] = robust_mean(values, weights, spread) * today[:, 0]
    return result.reshape(-1, streams)


def _mean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    return divide(np.sum(np.where(known, values, 0.0), axis=-1, keepdims=True), np.sum(known, axis=-1, keepdims=True))


def _days_like(weekday: int, day: int, other: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lags of the earlier days that tell the habits of this one (or of the other kind of day), and their weights."""
    lags = np.arange(1, min(MEMORY_DAYS, day) + 1)
    same_kind = ((weekday - lags) % 7 >= 5) == (weekday >= 5)
    if other:
        return lags[~same_kind], np.ones((~same_kind).sum())
    same = SAME_WEEKDAY_WEIGHT if day >= 2 * 7 else LONE_WEEKDAY_WEIGHT
    weights = np.where(lags % 7 == 0, same, np.where(same_kind, 1.0, 0.0))
    if day <= LEVEL_DAYS:
        weights = np.where(same_kind, 3.0, 1.0)
    return lags[weights > 0], weights[weights > 0]


def daily_level(rate: np.ndarray) -> np.ndarray:
    """Mean rate of the 7 days before each day (days × streams); each cell without its highest and lowest day.

    The first week, having no week before it, takes the level of the day after it.
    """
    days, cells, streams = rate.shape
    total, valid, least, most = np.zeros((4, days, cells, streams))
    least += np.inf
    most -= np.inf
    for lag in range(1, min(LEVEL_DAYS, days - 1) + 1):
        past, known = rate[:-lag], ~np.isnan(rate[:-lag])
        total[lag:] += np.where(known, past, 0.0)
        valid[lag:] += known
        np.fmin(least[lag:], past, out=least[lag:])
        np.fmax(most[lag:], past, out=most[lag:])
    trim = valid >= 5
    mean = divide(total - np.where(trim, least, 0.0) - np.where(trim, most, 0.0), valid - 2 * trim)
    level = divide(sum_in_turn(np.nan_to_num(mean), axis=1), np.sum(~np.isnan(mean), axis=1))
    if days > LEVEL_DAYS:
        level[:LEVEL_DAYS] = level[LEVEL_DAYS]
    return np.where(level > 0, level, np.nan)


def recent_level(grid: Grid, base: np.ndarray, since: int) -> np.ndarray:
    """Actual / usual over the last 48 full hours, for every slot (slots × streams), renewed each hour.

    A robust mean, weighted by precision, with a prior at 1: some hours of an outage do not move it, a new level is
    accepted after a day.
    """
    # Hours are those of real time, so that they do not depend on where the history begins.
    hour = grid.quarter // SLOTS_PER_HOUR
    hour = hour - hour[0]
    sums = np.zeros((2, hour[-1] + 1, base.shape[1]))
    both = ~np.isnan(grid.count) & ~np.isnan(base)
    np.add.at(sums[0], hour, np.where(both, grid.count, 0.0))
    np.add.at(sums[1], hour, np.where(both, base, 0.0))
    ratio = np.concatenate([np.full((RECENT_HOURS, base.shape[1]), np.nan), divide(*sums)])
    usual = np.concatenate([np.zeros((RECENT_HOURS, base.shape[1])), sums[1]])

    first = int(hour[since])
    window = np.lib.stride_tricks.sliding_window_view
    ratios = np.ascontiguousarray(window(ratio[first:-1], RECENT_HOURS, axis=0))
    usual = np.ascontiguousarray(window(usual[first:-1], RECENT_HOURS, axis=0))
    spread = np.sqrt(LEVEL_SPREAD**2 + divide(LEVEL_BURST, usual))
    precision = np.where(np.isnan(ratios), 0.0, 1 / spread**2)
    found = np.nan_to_num(robust_mean(ratios, precision, spread), nan=1.0)
    weight = np.nansum(precision, axis=-1)
    level = (found * weight + LEVEL_PRIOR) / (weight + LEVEL_PRIOR)
    result = np.full_like(base, np.nan)
    result[since:] = level[hour[since:] - first]
    return result


def robust_mean(values: np.ndarray, weights: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis with Tukey's biweight around the weighted median; NaN counts nothing.

    One step from the median keeps its resistance and most of the mean's precision (Mosteller and Tukey 1977, ch. 10).
    """
    known = ~(np.isnan(values) | np.isnan(spread))
    weights = np.where(known, weights, 0.0)
    order = np.argsort(values, axis=-1)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    middle = np.argmax(reached >= reached[..., -1:] / 2, axis=-1)[..., None]
    median = np.take_along_axis(values, np.take_along_axis(order, middle, axis=-1), axis=-1)
    values = np.where(known, values, 0.0)
    distance = (values - median) / (REJECT * spread)
    distance *= distance
    weights *= np.square(1 - np.where(distance < 1, distance, 1.0))
    values *= weights
    return divide(np.sum(values, axis=-1), np.sum(weights, axis=-1))


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is no whole."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def sum_in_turn(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The sum over an axis before the streams, one value after the other.

    That is how numpy adds rows; a lone column it would add in pairs, with another last digit.
    """
    return values.sum(axis=axis) if values.shape[-1] > 1 else values.cumsum(axis=axis).take(-1, axis=axis)
