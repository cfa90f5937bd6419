"""The anomaly detector: is a 15-minute slot of the app's metrics normal? Pure functions over a history, no I/O.

    >>> history = pd.DataFrame({"views": 1000.0}, index=pd.date_range("2026-10-20", "2026-11-22 10:15", freq="15min"))
    >>> history.loc["2026-11-22 10:15"] = 400.0
    >>> verdicts = detect(history, "2026-11-22 10:15", streams=[Stream("views", "views")])
    >>> verdicts[["metric", "value", "expected", "deviation", "anomaly"]]
      metric  value  expected  deviation  anomaly
    0  views  400.0    1000.0       -0.6     True

`history` is a frame indexed by slot start (quarter hours; with a time zone or naive) with a column for each count that
the streams name: NaN = missing; a slot that is not in the index is missing too. Other columns are ignored. What is
watched, and what fails together, is declared by `Stream`s; without them it is what `pulsebook.anomaly.watched.streams` gives.

How: a slot is expected to have its habitual share of the week times the level of the last two days (`season`), may
jitter as much as it did in the last 10 days (`noise`), and is off when a sum over 15 minutes to 4 hours, or the jump
from the slots before, cannot be jitter (`rules`), nor a day off or a new level (`settled`).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from pulsebook.anomaly.grid import SLOT_SECONDS, Grid, checked, checked_slot, grid
from pulsebook.anomaly.model import DAYS_NEEDED
from pulsebook.anomaly.reasons import reasons
from pulsebook.anomaly.settled import EXPLANATIONS, NEW_LEVEL
from pulsebook.anomaly.streams import Stream, Streams
from pulsebook.anomaly.verdicts import judge

__all__ = ["Stream", "detect", "detect_all"]

MIN_DEVIATION = 0.15
PerMetric = float | Mapping[str, float]


def detect(
    history: pd.DataFrame,
    slot,
    sensitivity: PerMetric = 1.0,
    *,
    min_deviation: PerMetric = MIN_DEVIATION,
    streams: Iterable[Stream] | None = None,
) -> pd.DataFrame:
    """Judge the slot that starts at `slot` by the history up to it; later rows are ignored.

    Args:
        history: see the module; 28 days or more are best. With less than 21 days limits are wider, with less than 2
            only outages are found.
        slot: start of the slot: a timestamp or its text, with a time zone if `history` has one.
        sensitivity: thresholds are divided by it: 1.2 alarms sooner, 0.8 later. One number or one per metric.
        min_deviation: the least |deviation| that can be an anomaly, as a share: one number or one per metric.
        streams: what is watched; None: the app's metrics (`pulsebook.anomaly.watched.streams`).

    Returns:
        One row per stream that is no helper, in their order: `metric`, its name; `value` (count, or count / given;
        NaN = missing); `expected`; `low` and `high`, between which this slot alone would be normal; `deviation` =
        value / expected - 1 (a drop is negative); `score` = how far the most significant test in that direction is,
        1 = its threshold, from 1.15 on an anomaly by itself, below only beside another, or with other metrics; `anomaly`; `reason` in words;
        `explanation`: what `expected` follows instead of the habits: "day off" or "working day" (the day behaves like one,
        which it is not), "new level", or "" (the habits); of a new level, `level`: its change against the habits as a
        signed share, and `since`: the slot in which it began, within two days (else NaN and NaT).

    Raises:
        ValueError: the history, the slot, a setting or the streams are not as described; says what to do.
    """
    watched = _watched(streams)
    values = checked(history, watched.columns)
    slot = checked_slot(slot, values.index)
    settings = _settings(watched, sensitivity, min_deviation)
    values = values.loc[:slot]
    start = values.index[0] if len(values) else slot
    first = max(start, (slot - pd.Timedelta(days=DAYS_NEEDED)).normalize())
    slots = grid(values, watched, first, slot, start)
    return _frame(slots, len(slots) - 1, *settings)


def detect_all(
    history: pd.DataFrame,
    sensitivity: PerMetric = 1.0,
    *,
    min_deviation: PerMetric = MIN_DEVIATION,
    streams: Iterable[Stream] | None = None,
) -> pd.DataFrame:
    """The same for every slot from the first of `history` to the last, with a column `slot` before the others.

    Equal to `detect` called for each slot with the future cut off, and hundreds of times faster.
    """
    watched = _watched(streams)
    values = checked(history, watched.columns)
    settings = _settings(watched, sensitivity, min_deviation)
    if values.empty:
        raise ValueError("history is empty: pass at least one slot")
    slots = grid(values, watched, values.index[0], values.index[-1], values.index[0])
    result = _frame(slots, 0, *settings)
    result.insert(0, "slot", slots.index.repeat(len(watched.metrics)))
    return result


def _watched(streams: Iterable[Stream] | None) -> Streams:
    if streams is None:
        from pulsebook.anomaly.watched import streams as app  # which declares streams, so that it imports this package

        streams = app()
    return Streams(streams)


def _frame(slots: Grid, first: int, sensitivity: np.ndarray, min_deviation: np.ndarray) -> pd.DataFrame:
    verdicts, explained = judge(slots, first, sensitivity, min_deviation)
    columns = {"metric": np.tile(np.array(slots.streams.metrics, dtype=object), len(slots) - first)}
    for name in ("value", "expected", "low", "high", "deviation", "score", "anomaly"):
        columns[name] = getattr(verdicts, name).ravel()
    columns["reason"] = reasons(verdicts, explained, slots.age[first:])
    columns["explanation"] = np.array(EXPLANATIONS, dtype=object)[explained.kind.ravel()]
    new = explained.kind == NEW_LEVEL
    columns["level"] = np.where(new, explained.level, np.nan).ravel()
    begun = pd.DatetimeIndex(((slots.quarter[first:, None] - explained.lasts) * SLOT_SECONDS).ravel().astype("M8[s]"))
    if slots.index.tz is not None:
        begun = begun.tz_localize("UTC").tz_convert(slots.index.tz)
    columns["since"] = begun.where(new.ravel())
    return pd.DataFrame(columns)


def _settings(watched: Streams, sensitivity: PerMetric, min_deviation: PerMetric) -> tuple[np.ndarray, np.ndarray]:
    return (
        _per_metric(watched.metrics, "sensitivity", sensitivity, 1.0),
        _per_metric(watched.metrics, "min_deviation", min_deviation, MIN_DEVIATION),
    )


def _per_metric(metrics: tuple[str, ...], name: str, given: PerMetric, default: float) -> np.ndarray:
    """One positive number per metric."""
    if isinstance(given, Mapping):
        if unknown := sorted(set(given) - set(metrics)):
            raise ValueError(f"{name} must name metrics among {', '.join(metrics)}; found {', '.join(unknown)}")
        numbers = [given.get(metric, default) for metric in metrics]
    else:
        numbers = [given] * len(metrics)
    if not all(isinstance(n, int | float | np.number) and 0 < n < np.inf for n in numbers):
        raise ValueError(f"{name} must be a positive number, or one per metric as a dict; got {given!r}")
    return np.array(numbers, dtype=float)
