"""Tests of a slot: sums over several spans against their jitter, and against where the last hours were heading.

- level: the sum over 15 or 30 minutes, 1, 2 or 4 hours is too far from its expectation;
- jump: the sum of the last one, two or four slots is too far from the forecast that the slots before them give;
- together: the same for the sum of z over metrics that fail together;
- zeros: so many in a row are too unlikely.

Whatever a test says, the slot itself must deviate by `min_deviation` in the same direction.
"""

import numpy as np

from pulsebook.anomaly.model import Model
from pulsebook.anomaly.noise import forecast, tail_z
from pulsebook.anomaly.season import divide

LEVEL_Z = {1: 4.6, 2: 4.3, 4: 4.3, 8: 4.4, 16: 4.9}  # slots summed: how far from normal is wrong
JUMP_Z = {1: 4.1, 2: 4.1, 4: 4.3}  # the same against the forecast
RISE_FACTOR = 1.1  # activity is skewed: rises need more
TOGETHER_Z = {1: 4.3, 2: 4.3, 4: 4.5}  # the same for the sum of the z of metrics that fail together
TOGETHER_OWN_Z = 1.5  # of these, a metric is off that is so far off itself
TOGETHER_SOURCE_Z = 3.0  # and so are the metrics of its source: an outage of one does not put the other under suspicion
ZEROS_Z = 4.3
ZEROS_SLOTS = 32  # a run of zeros is counted back so far
WINDOW_DEVIATION = 0.5  # a longer sum deviates at least by this share of min_deviation
RECENT_DEVIATION = 0.8  # and the next shorter one at least by this: what is over is over
EARLIER = 1.2  # the deviation of a sum over hours is at most so many times that of its later half
LEAST_COUNTS = 5.0  # a deviation is at least so many counts; a rise also so many times the usual burst
NORMAL, LEVEL, JUMP, TOGETHER, ZEROS, RATIO, PERSISTS, MISSING, USUAL_GAP, UNKNOWN = range(10)
DROP, RISE = 0, 1
ALL = slice(None)


class Evidence:
    """The most significant test of each slot and stream, for each direction (2 × slots × streams)."""

    def __init__(self, shape: tuple[int, int]):
        self.score = np.zeros((2, *shape))  # |z| / threshold
        self.kind = np.full((2, *shape), NORMAL)
        self.span = np.ones((2, *shape), int)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.score, self.kind, self.span

    def add(self, side: int, score: np.ndarray, kind: int, span: np.ndarray | int, stream: int | slice = ALL) -> None:
        """Keep a test where it is more significant than those before (of one stream, or of all)."""
        better = np.nan_to_num(score) > self.score[side, :, stream]
        for array, news in zip(self.arrays, (score, kind, span), strict=True):
            array[side, :, stream] = np.where(better, news, array[side, :, stream])


class Sums:
    """Sums over a growing span that ends in each of `slots`: actual, expected, and the relative variance of wobble."""

    def __init__(self, model: Model, slots: np.ndarray):
        self.model, self.slots, self.span = model, slots, 0
        self.memory, self.wobble = model.noise.memory[slots], model.noise.wobble[slots]
        self.actual, self.expected, self.square, self.echo = np.zeros((4, *self.memory.shape))

    def grow(self, wanted: np.ndarray | bool = True) -> None:
        """One slot further back, where it is `wanted` and known."""
        at = self.slots - self.span
        count, expected = self.model.grid.count[np.maximum(at, 0)], self.model.expected[np.maximum(at, 0)]
        use = (at >= 0)[:, None] & ~np.isnan(count) & ~np.isnan(expected) & wanted
        expected = np.where(use, expected, 0.0)
        # the variance of a sum of AR(1) values, each slot's weight being its expectation
        self.square += expected**2 + 2 * expected * self.echo
        self.echo = self.memory * (self.echo + expected)
        self.actual += np.where(use, count, 0.0)
        self.expected += expected
        self.span += 1

    @property
    def variance(self) -> np.ndarray:
        return self.wobble**2 * divide(self.square, self.expected**2)

    @property
    def deviation(self) -> np.ndarray:
        return divide(self.actual, self.expected) - 1


def add_levels(evidence: Evidence, model: Model, slots: np.ndarray, limit: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Add the level tests to `evidence`; returns z of the slot alone. `limit` widens the thresholds."""
    sums = Sums(model, slots)
    burst = model.noise.burst[slots]
    alone = None
    shorter = divide(model.grid.count[slots], model.expected[slots]) - 1
    for span, threshold in LEVEL_Z.items():
        while sums.span < span:
            sums.grow()
        # what was further off earlier, and is over, counts no further than what lasts
        most = EARLIER * np.abs(shorter)
        lasting = sums.expected * np.clip(1 + sums.deviation, 1 - most, 1 + most)
        actual = sums.actual if span <= 4 else np.where(sums.expected > 0, lasting, sums.actual)
        z = tail_z(actual, sums.expected, sums.variance, burst)
        alone = z if alone is None else alone
        far = np.abs(sums.deviation) >= floor * (WINDOW_DEVIATION if span > 1 else 1.0)
        far &= (sums.deviation * shorter > 0) & (np.abs(shorter) >= RECENT_DEVIATION * floor)
        drop, rise = _real(actual, sums.expected, burst)
        evidence.add(DROP, np.where(far & drop, -z / (threshold * limit), 0.0), LEVEL, span)
        evidence.add(RISE, np.where(far & rise, z / (RISE_FACTOR * threshold * limit), 0.0), LEVEL, span)
        shorter = divide(actual, sums.expected) - 1
    return alone


def add_jumps(evidence: Evidence, model: Model, slots: np.ndarray, limit: np.ndarray, floor: np.ndarray) -> tuple:
    """Add the jump tests, of streams and of groups; returns the forecast of the wobble: mean and variance."""
    grid, noise = model.grid, model.noise.of(slots)
    now = None
    for span, threshold in JUMP_Z.items():
        start = np.maximum(slots - span + 1, 0)
        mean, variance = forecast(model.residual, model.expected, grid.midnight, noise, start)
        now = (mean, variance) if now is None else now
        actual, expected, usual, square, echo = np.zeros((5, *mean.shape))
        for step in range(span):
            at = np.minimum(start + step, slots)
            use = ~np.isnan(model.residual[at]) & (start + step <= slots)[:, None]
            weight = np.where(use, model.expected[at], 0.0)
            actual += np.where(use, grid.count[at], 0.0)
            usual += weight
            expected += weight * (1 + mean)
            square += weight**2 * variance + 2 * weight * echo
            echo = noise.memory * (echo + weight * variance)
            mean = noise.memory * mean
            variance = noise.memory**2 * variance + noise.wobble**2 * (1 - noise.memory**2)
        z = tail_z(actual, expected, divide(square, expected**2), noise.burst)
        far = np.abs(divide(actual, usual) - 1) >= floor * (WINDOW_DEVIATION if span > 1 else 1.0)
        drop = far & _real(actual, np.minimum(expected, usual), noise.burst)[DROP]
        rise = far & _real(actual, np.maximum(expected, usual), noise.burst)[RISE]
        evidence.add(DROP, np.where(drop, -z / (threshold * limit), 0.0), JUMP, span)
        evidence.add(RISE, np.where(rise, z / (RISE_FACTOR * threshold * limit), 0.0), JUMP, span)
        known = np.nan_to_num(z)
        sums = {
            group: sum(known[:, stream] for stream in members) / spread
            for (group, members), spread in zip(grid.groups.items(), noise.together.T, strict=True)
        }
        for group, both in sums.items():
            for stream in grid.groups[group]:
                own, wide = z[:, stream], limit[:, stream] * TOGETHER_Z[span]
                source = sums[grid.streams.all[stream].groups[0]]
                for side, sign, real, factor in ((DROP, -1, drop, 1.0), (RISE, 1, rise, RISE_FACTOR)):
                    found = real[:, stream] & (sign * own >= TOGETHER_OWN_Z) & (sign * source >= TOGETHER_SOURCE_Z)
                    score = np.where(found, sign * both / (factor * wide), 0.0)
                    evidence.add(side, score, TOGETHER, span, stream)
    return now


def _real(actual: np.ndarray, expected: np.ndarray, burst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether a drop, and a rise, is one of enough counts."""
    excess = actual - expected
    return excess <= -LEAST_COUNTS, excess >= LEAST_COUNTS * np.maximum(burst, 1.0)


def zeros_score(model: Model, slots: np.ndarray, limit: np.ndarray, discount: np.ndarray, gaps: bool) -> tuple:
    """How unlikely the zeros in a row up to each slot are (with missing slots as zeros, if `gaps`), and how many.

    `discount` is the part of the expectation to rely on.
    """
    alive = np.ones((len(slots), model.rate.shape[1]), bool)
    expected, length = np.zeros(alive.shape), np.zeros(alive.shape, int)
    for back in range(ZEROS_SLOTS):
        at = np.maximum(slots - back, 0)
        count = model.grid.count[at]
        alive &= (slots >= back)[:, None] & ((count == 0) | (gaps & np.isnan(count)))
        expected += np.where(alive, np.nan_to_num(model.expected[at]), 0.0)
        length += alive
    variance = model.noise.wobble[slots] ** 2
    z = tail_z(np.zeros_like(expected), expected * discount, variance, model.noise.burst[slots])
    return np.where(expected > 0, -z / (ZEROS_Z * limit), 0.0), length
