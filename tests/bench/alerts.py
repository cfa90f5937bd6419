"""The alert benchmark: the detector and four usual rules on labelled synthetic history.

    python -m tests.bench.alerts [--seeds tuning|test] [--count 6]

Each seed draws an app (profile, weekend, growth, wobble, bursts) at three scales, DAU 500, 20 thousand and 2 million,
and two histories of it: a clean one (with a level shift and holidays, which are changes but no faults) and one with a
fault every day and a half. Constants of the detector were tuned on the tuning seeds only; the figures are of the test
seeds.

A fault is found when a metric that it touches is an anomaly in the right direction. False alarms are episodes (runs of
anomalies of one metric, pauses up to an hour) that touch no fault and no change. Messages are the same over all
metrics together.
"""

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pulsebook.anomaly import detect, detect_all, watched

SCALES = {"500": 500, "20k": 20_000, "2M": 2_000_000}
SEEDS = {"tuning": range(100, 140), "test": range(900, 940)}
WARMUP_DAYS, DAYS = 28, 84
FEED, MESSENGER, ALL = (0, 2, 3), (1, 5), (0, 1, 2, 3, 5)
PAUSE = 4  # slots: alarms nearer than this are one episode
AFTERMATH = 4  # slots after a fault in which alarms are its echo
CHANGE_DAYS = 2
KINDS = ("outage", "messenger out", "drop50", "drop30", "drop20", "spike", "bleed", "ctr", "one metric", "missing")


@dataclass(frozen=True)
class Fault:
    kind: str
    start: int
    end: int
    metrics: tuple[int, ...]
    sign: int
    day: bool


@dataclass(frozen=True)
class History:
    frame: pd.DataFrame
    faults: tuple[Fault, ...]
    changes: tuple[tuple[int, int], ...]  # a level shift or a holiday: slots from, to


def history(seed: int, dau: int, faulty: bool) -> History:
    """A history of `WARMUP_DAYS` + `DAYS`; the same seed is the same app, but its own noise for each scale."""
    app = np.random.default_rng([seed, 1])
    draw = np.random.default_rng([seed, dau, faulty])
    days = WARMUP_DAYS + DAYS
    n = days * 96
    hour = np.arange(96) / 4
    day = np.arange(n) // 96

    def profile(night, peak, noon):
        curve = night + np.exp(-(((hour - peak + 12) % 24 - 12) ** 2) / 18) + noon * np.exp(-((hour - 12.5) ** 2) / 10)
        return curve / curve.mean()

    night, peak, noon = app.uniform(0.12, 0.4), app.uniform(18.5, 21), app.uniform(0.3, 0.8)
    work, rest = profile(night, peak, noon), profile(night * 1.2, peak + 0.5, noon * 0.7) * app.uniform(0.85, 1.15)
    by_weekday = np.exp(app.normal(0, 0.03, 7))
    holiday = np.zeros(days, bool)
    changes = []
    if not faulty:
        for number in app.choice(np.arange(WARMUP_DAYS, days), 2, replace=False):
            if number % 7 < 5:
                holiday[number] = True
                changes.append((number * 96, number * 96 + 96))
    free = (np.arange(days) % 7 >= 5) | holiday
    # habits of a day begin and end gradually, around midnight
    shape = np.where(free[day], rest[np.arange(n) % 96], work[np.arange(n) % 96]) * np.interp(
        np.arange(n) / 96 - 0.5, np.arange(days), by_weekday[np.arange(days) % 7]
    )
    level = np.exp(np.cumsum(np.full(n, app.uniform(-0.002, 0.008) / 96)))
    if not faulty:
        at = int(app.uniform(0.35, 0.65) * n)
        level[at:] *= app.choice([0.75, 0.85, 1.2, 1.3])
        changes.append((at, at + CHANGE_DAYS * 96))

    def wobble(spread, memory=0.85):
        steps = draw.normal(0, spread * np.sqrt(1 - memory**2), n)
        steps[0] = draw.normal(0, spread)
        out = np.empty(n)
        state = 0.0
        for i, step in enumerate(steps):
            state = memory * state + step
            out[i] = state
        return np.exp(out - spread**2 / 2)

    spread = app.uniform(0.05, 0.08)
    shared = app.uniform(0.3, 0.8)
    both = wobble(spread * np.sqrt(shared) * 0.6)
    feed = both * wobble(spread * np.sqrt(shared) * 0.8)
    own = spread * np.sqrt((1 - shared) / 2)  # once for users, once more for what each does
    by_day = np.exp(np.interp(np.arange(n) / 96 - 0.5, np.arange(days), draw.normal(0, 0.02, days)))
    feed_users = dau * 0.027 * shape * level * by_day * feed * wobble(own)
    views_each = 13 * wobble(own) * np.exp(0.1 * np.sin(2 * np.pi * np.arange(n) / 96 + app.uniform(0, 6)))
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
    index = pd.date_range("2026-06-01", periods=n, freq="15min", tz="Europe/Moscow")
    frame = pd.DataFrame(
        table, index=index, columns=["feed_users", "messenger_users", "views", "likes", "messages_sent"]
    )
    return History(frame, faults, tuple(changes))


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


# The usual rules: each takes counts with CTR (slots × metrics) and returns -1, 0 or 1.


def iqr5(x):
    past = np.stack([_lag(x, k) for k in range(1, 6)])
    low, high = np.nanquantile(past, 0.25, axis=0), np.nanquantile(past, 0.75, axis=0)
    return _sign(x, low - 3 * (high - low), high + 3 * (high - low))


def sigma7(x):
    past = np.stack([_lag(x, 96 * k) for k in range(1, 8)])
    return _sign(
        x,
        np.nanmean(past, axis=0) - 3 * np.nanstd(past, axis=0),
        np.nanmean(past, axis=0) + 3 * np.nanstd(past, axis=0),
    )


def yesterday(x):
    return _sign(x, _lag(x, 96) * 0.7, _lag(x, 96) * 1.3)


def robust_z(x):
    past = np.stack([_lag(x, 672 * k + s) for k in range(1, 5) for s in (-1, 0, 1)])
    middle = np.nanmedian(past, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(past - middle), axis=0)
    return _sign(x, middle - 4 * spread, middle + 4 * spread)


def _lag(x, slots):
    return np.concatenate([np.full((slots, x.shape[1]), np.nan), x[:-slots]])


def _sign(x, low, high):
    return (x > high).astype(int) - (x < low)


BASELINES = {"IQR n=5": iqr5, "3 sigma, 7 days": sigma7, "yesterday ±30 %": yesterday, "robust z": robust_z}


def flags_of_detector(frame: pd.DataFrame) -> np.ndarray:
    """-1, 0 or 1 per slot and metric; 2 = missing."""
    found = detect_all(frame)
    flag = np.where(found["value"].isna(), 2, np.sign(found["deviation"].fillna(0.0))) * found["anomaly"]
    return flag.to_numpy(int).reshape(-1, len(watched.names()))


def flags_of_baseline(rule, frame: pd.DataFrame) -> np.ndarray:
    x = frame.to_numpy()
    ctr = np.divide(x[:, 3], x[:, 2], out=np.full(len(x), np.nan), where=x[:, 2] > 0)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # slots without a past
        return rule(np.column_stack([x[:, :4], ctr, x[:, 4]]))


def episodes(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True with pauses of at most `PAUSE` slots: first and last slot."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    cuts = np.flatnonzero(np.diff(at) > PAUSE)
    return list(zip(at[np.r_[0, cuts + 1]], at[np.r_[cuts, len(at) - 1]], strict=True))


@dataclass
class Score:
    """Sums over histories of one scale."""

    found: dict  # (kind, day) -> list of delays in slots (NaN = never)
    false: int = 0
    changed: int = 0
    changes: int = 0
    true: int = 0
    messages: int = 0
    weeks: float = 0.0
    echoes: int = 0

    def add(self, history: History, flags: np.ndarray) -> None:
        flags = flags.copy()
        flags[: WARMUP_DAYS * 96] = 0
        self.weeks += DAYS / 7
        self.changes += len(history.changes)
        self.messages += len(episodes(flags.any(axis=1)))
        for fault in history.faults:
            want = 2 if fault.kind == "missing" else fault.sign
            hit = (flags[fault.start : fault.end + 2 * (fault.kind != "spike"), fault.metrics] == want).any(axis=1)
            delay = float(np.argmax(hit)) if hit.any() else np.nan
            self.found.setdefault((fault.kind, fault.day), []).append(delay)
        for metric in range(len(watched.names())):
            for first, last in episodes(flags[:, metric] != 0):
                faults = [f for f in history.faults if first < f.end + AFTERMATH and last >= f.start]
                if any(f.start <= first < f.end for f in faults):
                    self.true += 1
                elif faults:
                    self.echoes += 1
                elif any(first < end and last >= start for start, end in history.changes):
                    self.changed += 1
                else:
                    self.false += 1

    def recall(self, kind: str, slots: float, days=(True, False)) -> float:
        delays = [d for day in days for d in self.found.get((kind, day), [])]
        return float(np.mean([d < slots for d in delays])) if delays else np.nan


def run(seeds, judges, scales=SCALES) -> dict:
    scores = {(name, scale): Score({}) for name in judges for scale in scales}
    for seed in seeds:
        for scale, dau in scales.items():
            for faulty in (False, True):
                case = history(seed, dau, faulty)
                for name, judge in judges.items():
                    scores[name, scale].add(case, judge(case.frame))
    return scores


def report(scores: dict) -> None:
    print(f"{'':18}{'DAU':>5} {'false':>7}{'preci-':>7}{'mess.':>7}{'per':>7}  found within 1 / 2 slots / at all, %")
    print(f"{'':18}{'':>5} {'/week':>7}{'sion':>7}{'/week':>7}{'change':>7}  " + "".join(f"{k:^13}" for k in KINDS))
    for (name, scale), score in scores.items():
        cells = "".join(
            "{:^13}".format("/".join(_percent(score.recall(kind, slots)) for slots in (1, 2, np.inf))) for kind in KINDS
        )
        precision = score.true / max(score.true + score.false, 1)
        print(
            f"{name:18}{scale:>5} {score.false / score.weeks:7.2f}{precision:7.2f}{score.messages / score.weeks:7.1f}"
            f"{score.changed / max(score.changes, 1):7.2f}  {cells}"
        )


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.0f}"


def by_daylight(scores: dict, name: str) -> None:
    print("\nby day (8:00–23:30) and by night: found within 2 slots / at all, %")
    for (judge, scale), score in scores.items():
        if judge == name:
            for label, days in (("day", (True,)), ("night", (False,))):
                cells = "".join(
                    "{:^13}".format("/".join(_percent(score.recall(k, slots, days)) for slots in (2, np.inf)))
                    for k in KINDS
                )
                print(f"{label:18}{scale:>5} {'':28}  {cells}")


def speed() -> float:
    """Median milliseconds of `detect` on the full history of a seed."""
    frame = history(1, 20_000, False).frame
    times = []
    for at in range(WARMUP_DAYS * 96, len(frame), 401):
        start = time.perf_counter()
        detect(frame.iloc[: at + 1], frame.index[at])
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description="recall and false alarms of the detector beside four usual rules")
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--count", type=int, default=6, help="seeds to run, of 40")
    parser.add_argument("--no-baselines", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    judges = {"pulsebook.anomaly": flags_of_detector}
    if not options.no_baselines:
        judges |= {name: lambda frame, rule=rule: flags_of_baseline(rule, frame) for name, rule in BASELINES.items()}
    scores = run(SEEDS[options.seeds][: options.count], judges)
    report(scores)
    by_daylight(scores, "pulsebook.anomaly")
    echoes = {scale: score.echoes for (name, scale), score in scores.items() if name == "pulsebook.anomaly"}
    print(f"\nechoes after faults: {echoes}")
    print(f"detect: {speed():.1f} ms a slot; {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
