"""How much a count may jitter: count noise, and a wobble that lasts.

The count X of a slot with expectation e has variance burst·e + (wobble·e)²: `burst` is the variance per count (1 for
independent events, more where one person causes several), `wobble` the relative spread of what moves all counts of a
slot together. The wobble of a slot resembles the slot before (correlation `memory`).
"""

from dataclasses import dataclass

import numpy as np

from pulsebook.anomaly.season import sum_in_turn

FIT_DAYS = 10
FIT_SLOTS = FIT_DAYS * 96
PRIOR_WOBBLE, PRIOR_MEMORY = 0.065, 0.85
PRIOR_SPREAD = 0.0025  # how far wobble² of an app may be from the prior
WOBBLE_RANGE, MEMORY_RANGE, BURST_RANGE = (0.03, 0.3), (0.5, 0.96), (0.6, 1e9)
LAGS = (1, 2, 3, 4)
REJECT, KEPT = (
    2.5,
    0.9113,
)  # residuals further off than so many standard deviations are incidents; the part of a normal variance within
FIT_STEPS = 5
ROW, ROW_REJECT = 4, 3.0
FILTER_SLOTS = 10  # slots behind the estimate of the current wobble
DAY_STEP = 0.04  # habits change at midnight: how far the first slot of a day may be from the last, relative
INCIDENT_Z, INCIDENT_SLOTS = 4.5, 16
DAILY_SURPRISE = 2.69  # the median of the greatest of 96 normal |z|
TAIL_SLACK, TAIL_MOST, TAIL_POWER = 1.04, 1.6, 1.75  # a heavier tail grows further out
MIN_ALIKE = 0.1  # the least correlation between surprises of metrics
SURPRISE = 3.5  # slots further off than this do not tell the wobble


@dataclass(frozen=True)
class Noise:
    """Parameters per slot and stream, each slots × streams."""

    burst: np.ndarray
    wobble: np.ndarray
    memory: np.ndarray
    tail: np.ndarray  # how much further than a normal z the rare surprises reach, 1 or more
    together: np.ndarray  # slots × groups: standard deviation of the sum of a group's surprises

    def of(self, slots: np.ndarray) -> "Noise":
        return Noise(*(array[slots] for array in vars(self).values()))


def surprises(
    count: np.ndarray, residual: np.ndarray, expected: np.ndarray, midnight: np.ndarray, noise: Noise
) -> np.ndarray:
    """z of each slot against its forecast; infinite in what looks like an incident, NaN for hours after it and where unknown."""
    mean, variance = forecast(residual, expected, midnight, noise, np.arange(len(count)))
    z = tail_z(count, expected * (1 + mean), variance / (1 + mean) ** 2, noise.burst)
    incident = np.abs(z) > INCIDENT_Z
    near = incident.cumsum(axis=0)
    near[INCIDENT_SLOTS:] -= near[:-INCIDENT_SLOTS].copy()
    return np.where(incident, np.inf, np.where(near > 0, np.nan, z))


def heaviness(z: np.ndarray) -> np.ndarray:
    """How much heavier than a normal tail that of each stream is (streams): by the median over days of the greatest.

    Days of incidents are left out; but where fewer than five of ten are without, that is the nature of the stream.
    """
    z = np.abs(z.reshape(FIT_DAYS, -1, z.shape[1]))
    known = np.isfinite(z)
    greatest = np.where(known.sum(axis=1) >= 72, np.where(known, z, 0.0).max(axis=1), np.nan)
    few = (~np.isnan(greatest)).sum(axis=0) < 5
    greatest[:, few] = np.where(np.isinf(z).any(axis=1), INCIDENT_Z, DAILY_SURPRISE)[:, few]
    own = np.nanmedian(greatest, axis=0) / DAILY_SURPRISE
    return np.clip(own / TAIL_SLACK, 1.0, TAIL_MOST) ** TAIL_POWER


def togetherness(z: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """The standard deviation of the sum of the surprises of each group (groups)."""
    z = np.where(np.isfinite(z), z, 0.0)
    products = sum_in_turn(z[:, :, None] * z[:, None, :])
    size = np.sqrt(np.diagonal(products))
    alike = np.clip(_ratio(products, size[:, None] * size), MIN_ALIKE, 1.0)
    return np.array([np.sqrt(alike[np.ix_(group, group)].sum()) for group in groups])


def fit(residual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """burst, wobble and memory of each stream (3 × streams) from `FIT_SLOTS` slots of actual / expected - 1.

    Moments of residuals: what neighbouring slots share is wobble, the rest is count noise. What is too far off, a slot
    or an hour, is an incident and teaches nothing. A prior bears what few counts cannot tell.
    """
    valid = ~np.isnan(residual) & (expected > 0)
    r = np.where(valid, residual, 0.0)
    e = np.where(valid, expected, 1.0)
    enough = valid.sum(axis=0) >= 48
    scaled = np.sort(np.where(valid, np.abs(r) * np.sqrt(e), np.inf), axis=0)
    middle = scaled[valid.sum(axis=0) // 2 * enough, np.arange(r.shape[1])]
    burst = np.clip((1.4826 * np.where(enough, middle, 1.0)) ** 2, *BURST_RANGE)
    wobble2 = np.full(r.shape[1], PRIOR_WOBBLE**2)
    memory = np.full(r.shape[1], PRIOR_MEMORY)
    for _ in range(FIT_STEPS):
        variance = burst / e + wobble2
        near = (
            valid
            & (np.abs(r) < REJECT * np.sqrt(variance))
            & ~_in_a_row(r * (valid * e), valid * e, burst, wobble2, memory)
        )
        c = np.where(near, r, 0.0)
        shared = []
        for lag in LAGS:
            weight = np.where(near[lag:] & near[:-lag], 1 / (variance[lag:] * variance[:-lag]), 0.0)
            weights = sum_in_turn(weight)
            shared.append((_ratio(sum_in_turn(weight * c[lag:] * c[:-lag]), weights * KEPT), _ratio(1.0, weights)))
        # neighbouring products are not independent: twice the variance
        error = 2 * shared[0][1] + 1e-12
        trust = PRIOR_SPREAD**2 / (PRIOR_SPREAD**2 + error)
        prior = [PRIOR_WOBBLE**2 * PRIOR_MEMORY**lag for lag in LAGS]
        shared = [trust * value + (1 - trust) * guess for (value, _), guess in zip(shared, prior, strict=True)]
        memory = np.clip(_ratio(sum(shared[1:]), np.maximum(sum(shared[:-1]), 1e-9)), *MEMORY_RANGE)
        wobble2 = sum(value / memory**lag for lag, value in zip(LAGS[:3], shared[:3], strict=True)) / 3
        wobble2 = np.clip(wobble2, WOBBLE_RANGE[0] ** 2, WOBBLE_RANGE[1] ** 2)
        weight = np.where(near, 1 / (e * variance) ** 2, 0.0)
        burst = _ratio(sum_in_turn(weight * (c**2 / KEPT - wobble2) * e), sum_in_turn(weight))
        burst = np.clip(np.where(enough, burst, 1.0), *BURST_RANGE)
    return np.stack([burst, np.sqrt(wobble2), memory])


def _in_a_row(
    excess: np.ndarray, usual: np.ndarray, burst: np.ndarray, wobble2: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """Slots of an hour whose sum is too far off."""
    n = ROW
    excess, usual = (np.concatenate([np.zeros((1, a.shape[1])), a]).cumsum(axis=0) for a in (excess, usual))
    excess, usual = excess[n:] - excess[:-n], usual[n:] - usual[:-n]
    shared = (n + 2 * sum((n - lag) * memory**lag for lag in range(1, n))) / n**2
    off = np.abs(excess) > ROW_REJECT * np.sqrt(burst * usual + wobble2 * shared * usual**2)
    result = np.zeros((len(off) + n - 1, off.shape[1]), bool)
    for step in range(n):
        result[step : step + len(off)] |= off
    return result


def forecast(
    residual: np.ndarray, expected: np.ndarray, midnight: np.ndarray, noise: Noise, slots: np.ndarray
) -> tuple:
    """The wobble to expect in each of `slots`, given the slots before it: mean and variance (slots × streams).

    `noise` has one row, or one for each of `slots`; the other arrays have one for each slot of the grid. A Kalman
    filter over the last `FILTER_SLOTS`, for a wobble that follows an AR(1) process; what is too far off to be wobble
    is left out, so that an incident does not become the new normal, nor its end a surprise.
    """
    burst, wobble2, memory = noise.burst, noise.wobble**2, noise.memory
    mean, variance = np.zeros((2, len(slots), residual.shape[1]))
    variance += wobble2
    for back in range(FILTER_SLOTS, 0, -1):
        at = slots - back
        inside = (at >= 0)[:, None]
        at = np.maximum(at, 0)
        seen, usual = residual[at], expected[at]
        usable = inside & ~np.isnan(seen) & (usual > 0)
        usual = np.where(usable, usual, 1.0)
        surprise = np.where(usable, seen - mean, 0.0)
        total = variance + burst / usual
        gain = np.where(usable & (surprise**2 < SURPRISE**2 * total), variance / total, 0.0)
        mean = memory * (mean + gain * surprise)
        variance = memory**2 * (1 - gain) * variance + wobble2 * (1 - memory**2)
        variance = variance + DAY_STEP**2 * midnight[np.maximum(slots - back + 1, 0), None]
    return mean, variance


def tail_z(count: np.ndarray, mean: np.ndarray, variance: np.ndarray, burst: np.ndarray) -> np.ndarray:
    """Where `count` lies in a negative binomial with `mean` and burst·mean + variance·mean², as a standard normal z.

    The tail by Peizer and Pratt 1968 (for the binomial: Johnson, Kemp, Kotz, Univariate Discrete Distributions, 3.6),
    exact to about 0.01 far into it.
    """
    mean = np.maximum(mean, 1e-9)
    below = count < mean
    unit = np.minimum(burst, 1.0)  # a burst below 1 (likes given views) is a Poisson tail in units of it
    m = mean / unit
    size = 1 / np.maximum(variance + (burst / unit - 1) / m, 1e-7)
    edge = np.maximum(count + np.where(below, 0.5, -0.5), 0.0) / unit
    x = np.maximum(edge, 1e-3) - 0.5
    n = x + size
    q = m / (m + size)
    p = 1 - q
    d = x + 2 / 3 - (n + 1 / 3) * q + 0.02 * (p / (x + 1) - q / size + (p - 0.5) / (n + 1))
    rest = np.maximum(size - 0.5, 1e-3)
    inner = (1 + p * _g((x + 0.5) / (n * q)) + q * _g(rest / (n * p))) / ((n + 1 / 6) * p * q)
    z = d * np.sqrt(np.maximum(inner, 0.0))
    nothing = -np.sqrt(2 * size * np.log1p(m / size))  # no count is less likely than none
    return np.where(below, np.clip(z, nothing, 0.0), np.maximum(z, 0.0))


def quantile(mean: np.ndarray, variance: np.ndarray, burst: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The count at `z` of the distribution of `tail_z`, about (Wilson and Hilferty 1931)."""
    spread = (variance + burst / np.maximum(mean, 1e-9)) / 9
    return mean * np.maximum(1 - spread + z * np.sqrt(spread), 0.0) ** 3


def _g(u: np.ndarray) -> np.ndarray:
    near = np.abs(u - 1) < 1e-3
    u = np.where(near, 0.5, np.maximum(u, 1e-12))
    return np.where(near, 0.0, (1 - u**2 + 2 * u * np.log(u)) / (1 - u) ** 2)


def _ratio(part, whole):
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
