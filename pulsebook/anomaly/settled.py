"""Two other explanations of what habits do not expect: a day of the other kind, and a new level.

A working day may behave like a weekend, or the reverse: the shape of its last hours, whatever its level, fits the habits
of the other kind of day clearly better than its own. A metric may be at a new level: for hours it has been off by about
the same share. Where one of them holds, a slot is *settled*: it is also judged against that explanation, at the level of
the slots just before, and is an anomaly only if it is off by that too.
"""

from dataclasses import dataclass

import numpy as np

from pulsebook.anomaly.grid import CELLS_PER_DAY, Grid
from pulsebook.anomaly.model import GUESS_DAYS, Model
from pulsebook.anomaly.season import divide, usual_rate

LOCAL_SLOTS = 12  # slots behind the level that an explanation takes as given
LEVELS = 0.3, 4.0  # beyond them nothing is explained: an outage stays one
SHAPE_SLOTS = 24  # slots whose shape tells the kind of a day
SHAPE_EVIDENCE = 15.0  # by how much the other kind fits better: a difference of squared z, summed over those slots
SHAPE_FIT = 2.5  # and how well it fits at least: mean squared z
WORST_FIT = 20.0  # what does not fit at all counts no more than this
NEW_SLOTS, NEW_PARTS = 16, 4  # slots of a new level, and the parts of it that are all off
NEW_DEVIATION, NEW_FIT = 0.08, 1.6  # by so much the same way; how well one level fits them: mean squared z
STEADY = 1.25  # the last part is off at most so many times as far as all: what still grows is no level yet
HOLD_SLOTS = 24  # it holds so long after it was found last, while it is off the same way …
HOLD_FIT, HOLD_SHARE = 4.0, 0.5  # … fits so well, and the last part is off by this share of it
SINCE_SLOTS, SINCE_SPAN = 192, 6  # its begin is looked for so far back, in means over so many slots
KNOWN_SHARE = 0.75  # of the slots that an explanation rests on
NONE, DAY_OFF, WORKING_DAY, NEW_LEVEL = range(4)
EXPLANATIONS = ("", "day off", "working day", "new level")  # the same in words


@dataclass(frozen=True)
class Settled:
    """Slots × metrics each, for all slots of the grid; 0 before those that were asked for."""

    kind: np.ndarray  # which explanation holds: NONE, DAY_OFF, …
    rate: np.ndarray  # the count per exposure that it expects, or else the habits do
    level: np.ndarray  # how far from the habits the last `NEW_SLOTS` were, a signed share
    lasts: np.ndarray  # for how many slots a new level has held


def settled(now: Model, since: int) -> Settled:
    """The explanations of the slots from `since` on, each by the slots before it."""
    grid, day = now.grid, now.grid.cell // CELLS_PER_DAY
    slots = np.arange(grid.first_slot(int(day[since])), len(grid))
    metrics = len(grid.streams.metrics)
    exposure = grid.exposure[:, :metrics]
    other = _other_rate(grid, max(int(slots[0]) - SHAPE_SLOTS, 0))
    usual, others = (Windows(now, slots, rate * exposure) for rate in (now.rate[:, :metrics], other))

    fit = others.fit(SHAPE_SLOTS)
    evidence = SHAPE_SLOTS * (usual.fit(SHAPE_SLOTS) - fit)
    alike = np.zeros(evidence.shape, bool)
    for at, members in enumerate(_deciding(grid)):
        known = ~np.isnan(evidence[:, members])
        mean = divide(np.where(known, evidence[:, members], 0.0).sum(axis=1), known.sum(axis=1))
        alike[:, at] = (mean >= SHAPE_EVIDENCE) & ~(fit[:, members] > SHAPE_FIT).any(axis=1)
    alike = _till_midnight(alike, np.searchsorted(day[slots], day[slots])) & ~np.isnan(other[slots])

    deviation = usual.level(NEW_SLOTS) - 1
    parts = [usual.level(NEW_SLOTS // NEW_PARTS, back=part * NEW_SLOTS // NEW_PARTS) - 1 for part in range(NEW_PARTS)]
    same = np.min(np.sign(deviation) * parts, axis=0) >= NEW_DEVIATION
    same &= np.abs(parts[0]) <= STEADY * np.abs(deviation)
    level_fit, way = usual.fit(NEW_SLOTS), np.sign(np.nan_to_num(deviation))
    moved = same & (level_fit <= NEW_FIT) & (grid.age[slots, None] >= GUESS_DAYS)
    still = (
        (way * deviation >= NEW_DEVIATION) & (way * parts[0] >= HOLD_SHARE * way * deviation) & (level_fit <= HOLD_FIT)
    )
    moved = _held(way * moved, way * still)

    free = np.where(grid.weekday[day[slots]] < 5, DAY_OFF, WORKING_DAY)[:, None]
    local = np.where(alike, others.level(LOCAL_SLOTS), usual.level(LOCAL_SLOTS))
    kind = np.where(alike, free, np.where(moved, NEW_LEVEL, NONE))
    kind = np.where((local >= LEVELS[0]) & (local <= LEVELS[1]), kind, NONE)
    explained = np.where(alike, other[slots], now.rate[slots, :metrics]) * local
    explained = np.where(kind == NONE, now.rate[slots, :metrics], explained)
    lasts = _lasts(now, slots, kind == NEW_LEVEL, deviation)
    before = ((int(slots[0]), 0), (0, 0))
    return Settled(*(np.pad(a, before) for a in (kind, explained, deviation, lasts)))


def _held(found: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Whether a new level, up (1) or down (-1), was `found` in one of the last `HOLD_SLOTS` and is `still` there."""
    at = np.arange(len(found))[:, None]
    last = [np.maximum.accumulate(np.where(found == way, at, -HOLD_SLOTS), axis=0) for way in (-1, 1)]
    return (at - np.where(still < 0, *last) < HOLD_SLOTS) & (still != 0)


def _lasts(now: Model, slots: np.ndarray, new: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """For how many slots means over `SINCE_SPAN` have been off by half the deviation or more, where the level is new."""
    since = np.arange(slots[0] - SINCE_SLOTS + 1, len(now.grid))
    mean = np.full((len(since), new.shape[1]), np.nan)
    known = since >= 0
    mean[known] = Windows(now, since[known], now.expected[:, : new.shape[1]]).level(SINCE_SPAN) - 1
    rows, metrics = np.nonzero(new)
    means = mean[rows[:, None] + np.arange(SINCE_SLOTS)[::-1], metrics[:, None]]  # the latest first
    off = np.sign(deviation[new])[:, None] * means >= np.abs(deviation[new])[:, None] / 2
    result = np.zeros(new.shape, int)
    result[new] = np.cumprod(off, axis=1).sum(axis=1) + SINCE_SPAN // 2 - 1
    return result


def _other_rate(grid: Grid, since: int) -> np.ndarray:
    """What days of the other kind would make usual (slots × metrics); NaN before the day of slot `since`."""
    grid = grid.of_metrics()
    first_day = int(grid.cell[since]) // CELLS_PER_DAY
    result = np.full(grid.count.shape, np.nan)
    known = grid.cell >= first_day * CELLS_PER_DAY
    result[known] = usual_rate(grid, first_day, other=True)[grid.cell[known] - first_day * CELLS_PER_DAY]
    return result


def _deciding(grid: Grid) -> list[list[int]]:
    """Of each metric the streams that tell the kind of its day together: its largest group, or itself alone."""
    streams = grid.streams.all[: len(grid.streams.metrics)]
    return [max((grid.groups[name] for name in s.groups), key=len, default=[at]) for at, s in enumerate(streams)]


def _till_midnight(found: np.ndarray, midnight: np.ndarray) -> np.ndarray:
    """What the slots of a day alone have told holds for the rest of it; `midnight` is the place of its first slot."""
    at = np.arange(len(found))
    found = found & (at >= midnight + SHAPE_SLOTS)[:, None]
    return np.maximum.accumulate(np.where(found, at[:, None], -1), axis=0) >= midnight[:, None]


class Windows:
    """How the metrics in the slots before each of `slots` compare with what is `expected` (slots of the grid × metrics)."""

    def __init__(self, now: Model, slots: np.ndarray, expected: np.ndarray):
        metrics = expected.shape[1]
        known = ~np.isnan(now.grid.count[:, :metrics]) & (expected > 0)
        self.count, self.expected = (np.where(known, a[:, :metrics], 0.0) for a in (now.grid.count, expected))
        self.known, self.slots = known.astype(float), slots
        self.burst, self.wobble = (a[slots, :metrics, None] for a in (now.noise.burst, now.noise.wobble))

    def _before(self, values: np.ndarray, n: int, back: int = 0) -> np.ndarray:
        """Of each of `slots` the `n` slots before it, but for the last `back` (slots × metrics × n)."""
        padded = np.concatenate([np.zeros((n + back, values.shape[1])), values])
        return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, n, axis=0)[self.slots])

    def level(self, n: int, back: int = 0) -> np.ndarray:
        """Actual / expected over `n` slots; NaN where too few are known."""
        count, expected, known = (
            self._before(a, n, back).sum(axis=-1) for a in (self.count, self.expected, self.known)
        )
        return np.where(known >= KNOWN_SHARE * n, divide(count, expected), np.nan)

    def fit(self, n: int) -> np.ndarray:
        """Mean squared z of `n` slots around their level."""
        count, expected, known = (self._before(a, n) for a in (self.count, self.expected, self.known))
        expected = expected * self.level(n)[:, :, None]
        z2 = divide((count - expected) ** 2, self.burst * expected + (self.wobble * expected) ** 2)
        return np.minimum(divide(np.nan_to_num(z2).sum(axis=-1), known.sum(axis=-1)), WORST_FIT)
