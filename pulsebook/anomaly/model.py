"""What to expect of each slot and how much it may jitter, for all streams at once."""

from dataclasses import dataclass

import numpy as np

from pulsebook.anomaly.grid import CELLS_PER_DAY, Grid
from pulsebook.anomaly.noise import (
    FIT_SLOTS,
    PRIOR_MEMORY,
    PRIOR_WOBBLE,
    Noise,
    fit,
    heaviness,
    surprises,
    togetherness,
)
from pulsebook.anomaly.season import REACH_DAYS, divide, expectation

DAYS_NEEDED = REACH_DAYS + FIT_SLOTS // CELLS_PER_DAY + 3  # history before a slot that can matter to it
GUESS_DAYS, GUESS_WOBBLE = 9, 0.15


@dataclass(frozen=True)
class Model:
    """Each slots × streams; valid from the slot that `model` was asked for."""

    grid: Grid
    rate: np.ndarray  # expected count per exposure
    expected: np.ndarray  # expected count, given the exposure
    residual: np.ndarray  # count / expected - 1
    noise: Noise

    def expecting(self, rate: np.ndarray) -> "Model":
        """The same with other rates of the metrics (slots × metrics)."""
        return Model(self.grid, *_expected(self.grid, rate), self.noise)


def model(grid: Grid, start: int) -> Model:
    """The model of the slots from `start` on. Jitter is fitted anew for each day, to the 10 days before it."""
    day = grid.cell // CELLS_PER_DAY
    since = max(grid.first_slot(int(day[start])) - FIT_SLOTS, 0)
    rate = expectation(grid, since)
    _guess_first_day(grid, rate, since)
    rate, expected, residual = _expected(grid, rate)

    prior = [np.full(grid.count.shape, value) for value in (1.0, PRIOR_WOBBLE, PRIOR_MEMORY, 1.0)]
    noise = Noise(*prior, np.tile([float(len(group)) for group in grid.groups.values()], (len(grid), 1)))
    gap = np.full((FIT_SLOTS, grid.count.shape[1]), np.nan)
    counts, residuals, expectations = (np.concatenate([gap, a]) for a in (grid.count, residual, expected))
    midnights = np.concatenate([np.zeros(FIT_SLOTS, bool), grid.midnight])
    for number in range(max(int(day[start]), 1), grid.days):
        now = day == number
        window = slice(grid.first_slot(number), grid.first_slot(number) + FIT_SLOTS)
        one = Noise(*fit(residuals[window], expectations[window]), np.ones(1), np.ones(1))
        z = surprises(counts[window], residuals[window], expectations[window], midnights[window], one)
        # before a weekend was seen and left behind, habits themselves are a guess
        wobble = np.maximum(one.wobble, GUESS_WOBBLE if grid.age[now][0] < GUESS_DAYS else 0.0)
        noise.burst[now], noise.wobble[now], noise.memory[now] = one.burst, wobble, one.memory
        noise.tail[now], noise.together[now] = heaviness(z), togetherness(z, list(grid.groups.values()))
    return Model(grid, rate, expected, residual, noise)


def _expected(grid: Grid, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rate, expected count and residual of each stream, by the rates of the metrics."""
    rate = np.concatenate(
        [rate, *(divide(rate[:, [h.count]], rate[:, [h.given]]) for h in grid.streams.helpers)], axis=1
    )
    expected = rate * grid.exposure
    residual = np.where(grid.age[:, None] < 1, np.nan, divide(grid.count, expected) - 1)  # a guess teaches no jitter
    return rate, expected, residual


def _guess_first_day(grid: Grid, rate: np.ndarray, since: int) -> None:
    """Before a day of history the median so far must do: it tells an outage, no more."""
    known = rate.shape[1]
    for slot in range(max(since, 1), int(np.searchsorted(grid.age, 1.0))):
        unknown = np.isnan(rate[slot])
        if not unknown.any():
            continue
        seen = divide(grid.count[:slot, :known], grid.exposure[:slot, :known])[:, unknown]
        seen = np.where(np.isnan(seen).all(axis=0), -1.0, seen)
        rate[slot, unknown] = np.where((seen < 0).all(axis=0), np.nan, np.nanmedian(seen, axis=0))
