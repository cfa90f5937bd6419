"""Labelled synthetic history of an app, for the alert benchmark and for tests.

Each seed draws an app (profile, weekend, growth, wobble, bursts); the same seed is the same app at each scale, with
noise of its own. A change (a day off, a new level) is no fault, but a surprise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

WARMUP_DAYS, DAYS = 28, 84
FEED, MESSENGER, ALL = (0, 2, 3), (1, 5), (0, 1, 2, 3, 5)
CHANGE_DAYS = 2
KINDS = ("outage", "messenger out", "drop50", "drop30", "drop20", "spike", "bleed", "ctr", "one metric", "missing")
TAIL_FREEDOM = 4  # of a restless app
WANDER, WANDER_MEMORY = 0.05, 0.97


@dataclass(frozen=True)
class Fault:
    kind: str
    start: int
    end: int
    metrics: tuple[int, ...]
    sign: int
    day: bool


@dataclass(frozen=True)
class Change:
    kind: str  # shift, or day off: one of the other kind
    start: int
    end: int


@dataclass(frozen=True)
class History:
    frame: pd.DataFrame
    faults: tuple[Fault, ...]
    changes: tuple[Change, ...]


def history(seed: int, dau: int, faulty: bool, variant: str = "") -> History:
    """A history of `WARMUP_DAYS` + `DAYS`.

    Args:
        seed: of the app.
        dau: its scale.
        faulty: with a fault every day and a half; else clean, with a level shift and up to two days off.
        variant: `changing`: clean, but with four days of the other kind, two level shifts and a clock change; `restless`:
            clean, but what moves it has heavy tails and wanders for hours.
    """
    app = np.random.default_rng([seed, 1])
    draw = np.random.default_rng([seed, dau, faulty])
    days = WARMUP_DAYS + DAYS
    if variant == "changing":
        index = pd.date_range("2026-08-03", periods=days * 96 + 4, freq="15min", tz="Europe/Berlin")
    else:
        index = pd.date_range("2026-06-01", periods=days * 96, freq="15min", tz="Europe/Moscow")
    n = len(index)
    hour = np.arange(96) / 4
    wall = index.tz_localize(None)
    day = (wall.normalize() - wall[0]).days.to_numpy()
    cell = (wall.hour * 4 + wall.minute // 15).to_numpy()
    clock = day + cell / 96  # days since the first midnight

    def profile(night, peak, noon):
        curve = night + np.exp(-(((hour - peak + 12) % 24 - 12) ** 2) / 18) + noon * np.exp(-((hour - 12.5) ** 2) / 10)
        return curve / curve.mean()

    night, peak, noon = app.uniform(0.12, 0.4), app.uniform(18.5, 21), app.uniform(0.3, 0.8)
    work, rest = profile(night, peak, noon), profile(night * 1.2, peak + 0.5, noon * 0.7) * app.uniform(0.85, 1.15)
    by_weekday = np.exp(app.normal(0, 0.03, 7))
    other = np.zeros(days, bool)  # days of the other kind
    changes = []
    if variant == "changing":
        other[_changing_days(app)] = True
        changes += [
            Change("day off", *np.flatnonzero(day == number)[[0, -1]] + [0, 1]) for number in np.flatnonzero(other)
        ]
    elif not faulty:
        for number in app.choice(np.arange(WARMUP_DAYS, days), 2, replace=False):
            if number % 7 < 5:
                other[number] = True
                changes.append(Change("day off", number * 96, number * 96 + 96))
    free = (np.arange(days) % 7 >= 5) ^ other
    # habits of a day begin and end gradually, around midnight
    shape = np.where(free[day], rest[cell], work[cell]) * np.interp(
        clock - 0.5, np.arange(days), by_weekday[np.arange(days) % 7]
    )
    level = np.exp(np.cumsum(np.full(n, app.uniform(-0.002, 0.008) / 96)))
    views_level = np.ones(n)
    if variant == "changing":
        level *= np.where(other, app.uniform(0.85, 1.1, days), 1.0)[day]
        for at, what in zip(
            (int(app.uniform(45, 50) * 96), int(app.uniform(85, 90) * 96)), (level, views_level), strict=True
        ):
            what[at:] *= app.choice([0.75, 0.85, 1.2, 1.3])
            changes.append(Change("shift", at, at + CHANGE_DAYS * 96))
    elif not faulty:
        at = int(app.uniform(0.35, 0.65) * n)
        level[at:] *= app.choice([0.75, 0.85, 1.2, 1.3])
        changes.append(Change("shift", at, at + CHANGE_DAYS * 96))

    def wobble(spread, memory=0.85):
        steps = draw.normal(0, spread * np.sqrt(1 - memory**2), n)
        steps[0] = draw.normal(0, spread)
        if variant == "restless":
            steps *= np.sqrt(TAIL_FREEDOM / draw.chisquare(TAIL_FREEDOM, n))  # of a t distribution
        out = np.empty(n)
        state = 0.0
        for i, step in enumerate(steps):
            state = memory * state + step
            out[i] = state
        return np.exp(out - spread**2 / 2)

    spread = app.uniform(0.05, 0.08)
    shared = app.uniform(0.3, 0.8)
    both = wobble(spread * np.sqrt(shared) * 0.6)
    if variant == "restless":
        both = both * wobble(WANDER, WANDER_MEMORY)
    feed = both * wobble(spread * np.sqrt(shared) * 0.8)
    own = spread * np.sqrt((1 - shared) / 2)  # once for users, once more for what each does
    by_day = np.exp(np.interp(clock - 0.5, np.arange(days), draw.normal(0, 0.02, days)))
    feed_users = dau * 0.027 * shape * level * by_day * feed * wobble(own)
    views_each = 13 * wobble(own) * np.exp(0.1 * np.sin(2 * np.pi * clock + app.uniform(0, 6))) * views_level
    likes_each = app.uniform(0.17, 0.24) * wobble(app.uniform(0.02, 0.05))
    chat = app.uniform(0.1, 0.25)
    messenger_users = dau * 0.027 * chat * shape**0.8 * level * by_day * both * wobble(spread * 0.8)
    messages_each = app.uniform(1.8, 3) * wobble(own)

    faults = _faults(draw, n) if faulty else ()
    factor = np.ones((6, n))  # per watched metric: users, messenger users, views, likes, (ctr), messages
    for fault in faults:
        _apply(fault, factor, draw)
    feed_burst, like_burst, message_burst = app.uniform(3, 10), app.uniform(1.2, 2.5), app.uniform(1.5, 4)

    def counts(mean, burst):
        mean = np.maximum(mean, 1e-9)
        lam = draw.gamma(mean / (burst - 1), burst - 1) if burst > 1 else mean
        return draw.poisson(lam).astype(float)

    users = counts(feed_users * factor[0], 1.0)
    views = counts(feed_users * factor[2] * views_each, feed_burst)
    likes = np.minimum(counts(views * likes_each * factor[3] / np.maximum(factor[2], 1e-9), like_burst), views)
    senders = counts(messenger_users * factor[1], 1.0)
    messages = counts(messenger_users * factor[5] * messages_each, message_burst)
    table = np.stack([users, senders, views, likes, messages], axis=1)
    for fault in faults:
        if fault.kind == "missing":
            columns = [{0: 0, 1: 1, 2: 2, 3: 3, 5: 4}[m] for m in fault.metrics if m != 4]
            table[fault.start : fault.end, columns] = np.nan
    frame = pd.DataFrame(
        table, index=index, columns=["feed_users", "messenger_users", "views", "likes", "messages_sent"]
    )
    return History(frame, faults, tuple(changes))


def _changing_days(app) -> list[int]:
    """Three working days and a Saturday, a week or more apart from each other and from the shifts."""
    weeks = app.permutation([4, 5, 8, 9, 10, 14, 15])[:4]
    return [7 * week + (5 if at == 0 else int(app.integers(0, 5))) for at, week in enumerate(weeks)]


def _faults(draw, n) -> tuple[Fault, ...]:
    faults = []
    kinds = list(KINDS)
    at = WARMUP_DAYS * 96 + 40
    turn = 0
    while at < n - 200:
        if turn % len(kinds) == 0:
            draw.shuffle(kinds)
        kind = kinds[turn % len(kinds)]
        start = at + int(draw.integers(0, 96))
        length = {"spike": 1, "missing": int(draw.integers(1, 5)), "bleed": int(draw.integers(24, 40))}.get(
            kind, int(draw.integers(6, 17))
        )
        area = (ALL, FEED, MESSENGER)[draw.choice(3, p=[0.4, 0.4, 0.2])]
        sign = -1
        if kind == "spike":
            sign = 1
        elif kind == "ctr":
            area, sign = (3, 4), int(draw.choice([-1, -1, 1]))
        elif kind in ("outage", "messenger out"):
            area = MESSENGER if kind == "messenger out" else (ALL, FEED)[draw.integers(2)]
        elif kind == "one metric":
            area = (int(draw.choice([0, 1, 2, 5])),)
        hour = start % 96 / 4
        faults.append(Fault(kind, start, start + length, area, sign, 8 <= hour < 23.5))
        turn += 1
        at += 144
    return tuple(faults)


def _apply(fault: Fault, factor: np.ndarray, draw) -> None:
    span = slice(fault.start, fault.end)
    touched = [m for m in fault.metrics if m != 4]
    if fault.kind in ("outage", "messenger out"):
        change = 0.0
    elif fault.kind.startswith("drop"):
        change = 1 - int(fault.kind[4:]) / 100
    elif fault.kind == "spike":
        change = draw.uniform(2, 4)
    elif fault.kind == "bleed":
        change = 1 - draw.uniform(0.4, 0.6) * np.minimum(np.arange(fault.end - fault.start) / 16, 1)
    elif fault.kind == "ctr":
        change = draw.uniform(0.4, 0.65) if fault.sign < 0 else draw.uniform(1.5, 1.9)
    elif fault.kind == "one metric":
        change = draw.uniform(0.45, 0.65)
    else:
        return
    for metric in touched:
        factor[metric, span] *= change
    if touched == [2]:  # likes go with the views
        factor[3, span] *= change
