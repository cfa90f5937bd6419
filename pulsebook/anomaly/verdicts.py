"""From tests to verdicts: which metric is off, in which range it would not be, and why."""

from dataclasses import dataclass

import numpy as np

from pulsebook.anomaly.grid import Grid
from pulsebook.anomaly.model import GUESS_DAYS, Model, model
from pulsebook.anomaly.noise import FILTER_SLOTS, quantile
from pulsebook.anomaly.rules import (
    DROP,
    JUMP_Z,
    LEAST_COUNTS,
    LEVEL_Z,
    MISSING,
    NORMAL,
    PERSISTS,
    RATIO,
    RISE,
    RISE_FACTOR,
    TOGETHER,
    UNKNOWN,
    USUAL_GAP,
    ZEROS,
    ZEROS_SLOTS,
    Evidence,
    add_jumps,
    add_levels,
    zeros_score,
)
from pulsebook.anomaly.season import divide
from pulsebook.anomaly.settled import HOLD_SLOTS, NEW_LEVEL, NONE, Settled, settled
from pulsebook.anomaly.streams import Streams

BLAME_Z = 2.5  # a metric is blamed when it is itself so far off
RATIO_EXTRA = 1.15  # helpers come on top of the metrics' own tests, so they need more
SURE = 1.15  # a score that triggers by itself; a weaker one, from 1 on, needs company:
COMPANY, COMPANY_SLOTS = 0.8, 2  # such a score in the same direction among so many slots before
PERSIST_SLOTS = 32  # an anomaly that was found persists for up to so many slots while one is
PERSIST_DEVIATION, PERSIST_Z = 0.8, 2.0  # still off: this share of min_deviation, and this far in one slot
OUTAGES_ONLY_DAYS, SHORT_DAYS, WEEKS_DAYS = 2, 7, 21
SHORT_FACTOR, WEEKS_FACTOR = 1.3, 1.15  # limits are wider with less than 7 and 21 days of history
SHORT_DEVIATION = 2.0  # as long as habits are a guess, min_deviation is so much more
GUESS_DISCOUNT = 0.25  # below 2 days of history, the part of the expectation to rely on
GAP_DAYS, GAP_SLOTS, GAP_SHARE = 28, 4, 0.25  # gaps are usual when so many days have one within ± 1 hour
REACH_SLOTS = PERSIST_SLOTS + COMPANY_SLOTS + max(ZEROS_SLOTS, FILTER_SLOTS, HOLD_SLOTS) + 4


@dataclass(frozen=True)
class Verdicts:
    """Slots × metrics each, for the slots from `first` on."""

    value: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray
    score: np.ndarray
    anomaly: np.ndarray
    kind: np.ndarray  # why: NORMAL, LEVEL, …
    span: np.ndarray  # slots that the decisive test looked at


def judge(grid: Grid, first: int, sensitivity: np.ndarray, min_deviation: np.ndarray) -> tuple[Verdicts, Settled]:
    """Verdicts on the slots from `first` on, and what explains them; each depends on the slots up to it only."""
    since = max(first - REACH_SLOTS, 0)
    now = model(grid, since)
    slots = np.arange(max(first - PERSIST_SLOTS - COMPANY_SLOTS, 0), len(grid))
    explained = settled(now, since)
    verdicts, held = _judged(now, slots, sensitivity, min_deviation), explained.kind[slots]
    if held.any():
        other = _judged(now.expecting(explained.rate), slots, sensitivity, min_deviation)
        back = (held == NEW_LEVEL) & (np.abs(verdicts.deviation) <= np.abs(other.deviation))
        held = np.where(~verdicts.anomaly & (other.anomaly | back), NONE, held)  # habits explain it as well
        pairs = zip(vars(verdicts).values(), vars(other).values(), strict=True)
        verdicts = Verdicts(*(np.where(held == NONE, own, others) for own, others in pairs))
    last = slots >= first
    verdicts = Verdicts(*(array[last] for array in vars(verdicts).values()))
    explained = Settled(held[last], *(array[first:] for array in (explained.rate, explained.level, explained.lasts)))
    return verdicts, explained


def _judged(now: Model, slots: np.ndarray, sensitivity: np.ndarray, min_deviation: np.ndarray) -> Verdicts:
    """Verdicts on `slots` by one expectation."""
    grid, streams, metrics = now.grid, now.grid.streams, len(now.grid.streams.metrics)
    evidence = Evidence((len(slots), len(streams.all)))

    age = grid.age[slots, None]
    young = age < OUTAGES_ONLY_DAYS
    wide = np.select([age < SHORT_DAYS, age < WEEKS_DAYS], [SHORT_FACTOR, WEEKS_FACTOR], 1.0)
    limit = wide * now.noise.tail[slots] / _per_stream(streams, sensitivity, 1 / RATIO_EXTRA)
    unsure = np.where(age < GUESS_DAYS, SHORT_DEVIATION, 1.0)
    floor, min_deviation = unsure * _per_stream(streams, min_deviation, 1.0), unsure * min_deviation
    with_tests = np.where(young, np.inf, limit)
    alone = add_levels(evidence, now, slots, with_tests, floor)
    forecast = add_jumps(evidence, now, slots, with_tests, floor)
    discount = np.where(young, GUESS_DISCOUNT, 1.0)
    zeros, length = zeros_score(now, slots, limit, discount, gaps=False)
    evidence.add(DROP, zeros, ZEROS, length)

    value = divide(grid.count, grid.exposure)[slots, :metrics]
    expected = now.rate[slots, :metrics]
    deviation = divide(value, expected) - 1
    _blame(evidence, streams, deviation, alone, np.abs(grid.count - now.expected)[slots])
    side = np.where(deviation > 0, RISE, DROP)
    score, kind, span, company = (
        np.where(side == RISE, a[RISE, :, :metrics], a[DROP, :, :metrics])
        for a in (*evidence.arrays, _company(evidence.score))
    )
    sure = company | (score >= SURE) | (value == 0) | (kind == TOGETHER)  # which is company already
    triggered = (score >= 1) & sure & (np.abs(deviation) >= min_deviation)

    still = np.abs(deviation) >= PERSIST_DEVIATION * min_deviation
    still &= np.abs(alone[:, :metrics]) >= PERSIST_Z * limit[:, :metrics]
    gone = (np.isnan(grid.count) | np.isnan(grid.exposure))[slots, :metrics]
    persists = _persists(triggered, side, still, gone)
    silent, usual_gap, gap_score = _missing(now, slots, gone, limit, discount)

    kind = np.where(triggered, kind, np.where(persists > 0, PERSISTS, np.where(np.isnan(deviation), UNKNOWN, NORMAL)))
    kind = np.where(silent, MISSING, np.where(usual_gap, USUAL_GAP, kind))
    span = np.where(persists > 0, persists, np.where(silent, gap_score[1], span))
    anomaly = triggered | (persists > 0) | silent
    score = np.where(gone, np.where(usual_gap, gap_score[0], np.nan), score)
    low, high = _range(now, slots, forecast, SURE * limit, min_deviation)
    # What is off together with the slots before it may be within the range of a slot alone; given them, it is not.
    edge = PERSIST_DEVIATION * min_deviation
    low = np.where(anomaly & (side == DROP) & (value >= low), expected * (1 - edge), low)
    high = np.where(anomaly & (side == RISE) & (value <= high), expected * (1 + edge), high)
    return Verdicts(value, expected, low, high, deviation, score, anomaly, kind, span)


def _per_stream(streams: Streams, metrics: np.ndarray, factor: float) -> np.ndarray:
    """A number per metric as one per stream; a helper takes the smallest of its two metrics, times `factor`."""
    helpers = [min(metrics[at] for at in helper.metrics) * factor for helper in streams.helpers]
    return np.concatenate([metrics, helpers])


def _blame(evidence: Evidence, streams: Streams, deviation: np.ndarray, alone: np.ndarray, counts: np.ndarray) -> None:
    """Pass what a helper shows on to the one of its two metrics that deviates more."""
    off = np.nan_to_num(np.abs(deviation))
    for stream, count, given in streams.helpers:
        for metric, other, flip in ((count, given, False), (given, count, True)):
            for side in (DROP, RISE):
                score = evidence.score[1 - side if flip else side, :, stream]
                span = evidence.span[1 - side if flip else side, :, stream]
                same_way = (alone[:, metric] if side == RISE else -alone[:, metric]) >= BLAME_Z
                same_way &= counts[:, metric] >= LEAST_COUNTS
                score = np.where(same_way & (off[:, metric] > off[:, other]), score, 0.0)
                evidence.add(side, score, RATIO, span, metric)


def _company(score: np.ndarray) -> np.ndarray:
    """Whether one of the slots just before was suspicious too, in the same direction (2 × slots × streams)."""
    suspicious = np.pad(score >= COMPANY, ((0, 0), (COMPANY_SLOTS, 0), (0, 0)))
    return np.any([suspicious[:, back : back + score.shape[1]] for back in range(COMPANY_SLOTS)], axis=0)


def _persists(triggered: np.ndarray, side: np.ndarray, still: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """For how many slots a metric that triggered has been off without pause (0: it is not, or triggers itself)."""
    persists = np.zeros(triggered.shape, int)
    alive = ~triggered & ~gone & still
    for back in range(1, min(PERSIST_SLOTS, len(triggered) - 1) + 1):
        earlier_side, earlier_gone, earlier_still, trigger = (
            np.concatenate([np.zeros_like(a[:back]), a[:-back]]) for a in (side, gone, still, triggered)
        )
        alive &= earlier_gone | (earlier_side == side)
        persists = np.where(alive & trigger & (persists == 0), back, persists)
        alive &= (earlier_still | earlier_gone) & (persists == 0)
    return persists


def _missing(now: Model, slots: np.ndarray, gone: np.ndarray, limit: np.ndarray, discount: np.ndarray) -> tuple:
    """Which missing values are an anomaly, and which are usual at their time of the day.

    A source without rows leaves a gap. In a small app's night that happens every day: there a gap counts like a zero.
    """
    metrics = gone.shape[1]
    score, length = (a[:, :metrics] for a in zeros_score(now, slots, limit, discount, gaps=True))
    missing = (np.isnan(now.grid.count) | np.isnan(now.grid.exposure))[:, :metrics]
    lacking = np.concatenate([np.zeros((1, metrics), int), missing.cumsum(axis=0)])

    def known(first: np.ndarray, until: np.ndarray) -> np.ndarray:
        return (until - first)[:, None] - (lacking[until] - lacking[first])

    gaps, alive = np.zeros((2, *gone.shape), int)
    for back in range(1, GAP_DAYS + 1):
        first = slots - 96 * back - GAP_SLOTS
        inside, first = (first >= 0)[:, None], np.maximum(first, 0)
        seen = known(first, np.minimum(first + 2 * GAP_SLOTS + 1, slots))
        alive += inside & (seen > 0)
        gaps += inside & (seen > 0) & (seen <= 2 * GAP_SLOTS)
    usual = (gaps >= np.maximum(3, GAP_SHARE * alive)) & (score < 1)
    begun = known(np.maximum(slots - GAP_DAYS * 96, 0), slots) > 0
    return gone & begun & ~usual, gone & begun & usual, (score, length)


def _range(now: Model, slots: np.ndarray, forecast: tuple, limit: np.ndarray, min_deviation: np.ndarray) -> tuple:
    """Between which values a slot alone would not be an anomaly."""
    metrics = min_deviation.shape[1]
    limit, expected, exposure, burst, wobble = (
        a[:, :metrics]
        for a in (
            limit,
            now.expected[slots],
            now.grid.exposure[slots],
            now.noise.burst[slots],
            now.noise.wobble[slots],
        )
    )
    mean, variance = (a[:, :metrics] for a in forecast)
    low, high = (
        (
            quantile(expected, wobble**2, burst, factor * LEVEL_Z[1] * limit),
            quantile(expected * (1 + mean), variance, burst, factor * JUMP_Z[1] * limit),
        )
        for factor in (-1, RISE_FACTOR)
    )
    low = np.minimum(np.maximum(*low), expected * (1 - min_deviation))
    high = np.maximum(np.minimum(*high), expected * (1 + min_deviation))
    high = np.maximum(high, expected + LEAST_COUNTS * np.maximum(burst, 1.0))
    return divide(low, exposure), divide(high, exposure)
