"""The alert benchmark: the detector, four usual rules and two libraries on labelled histories, and what a team would read.

    python -m tests.bench.alerts [--seeds tuning|test] [--count 6] [--real FOLDER]

Each seed is an app at three scales, DAU 500, 20 thousand and 2 million (`tests.bench.histories`), as five histories:
clean, clean but restless, with days of the other kind and new levels, with a fault every day and a half, and the same
from the eighth day of an app's life. `--real` adds real series (`tests.bench.series` says which and whence). Constants
of the detector were tuned on the tuning seeds only; the figures are of the test seeds.

A fault is found when a metric that it touches is an anomaly in the right direction. False alarms are episodes (runs of
anomalies of one metric, pauses up to an hour) that touch no fault and no change. Messages are those that the incidents
give with the catalogue's policy, by what caused the incident.
"""

import argparse
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pulsebook.anomaly import detect, detect_all, watched
from pulsebook.incidents import advance
from tests.bench.histories import KINDS, WARMUP_DAYS, History, history
from tests.bench.rivals import installed
from tests.bench.series import real

SCALES = {"500": 500, "20k": 20_000, "2M": 2_000_000}
SEEDS = {"tuning": range(100, 140), "test": range(900, 940)}
PAUSE = 4  # slots: alarms nearer than this are one episode
AFTERMATH = 4  # slots after a fault in which alarms are its echo
YOUNG_DAYS = 8  # before the first fault of a young app
AGES = (7, 14, 21, 28)  # false alarms of an app's first weeks are counted up to these days


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


def flags_of_detector(verdicts: pd.DataFrame) -> np.ndarray:
    """-1, 0 or 1 per slot and metric; 2 = missing."""
    flag = np.where(verdicts["value"].isna(), 2, np.sign(verdicts["deviation"].fillna(0.0))) * verdicts["anomaly"]
    return flag.to_numpy(int).reshape(-1, verdicts["metric"].nunique())


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


def messages(verdicts: pd.DataFrame, sources: dict[str, str], since: int = WARMUP_DAYS * 96) -> list[int]:
    """Of each message from slot `since` on: the slot in which its incident opened."""
    slots = pd.DatetimeIndex(verdicts["slot"].unique())
    rows = len(verdicts) // len(slots)
    off = verdicts["anomaly"].to_numpy().reshape(-1, rows).any(axis=1)
    quarter = slots.as_unit("s").asi8
    incidents, opened = [], []
    for at in range(since, len(slots)):
        if not off[at] and not incidents:
            continue
        these = verdicts.iloc[at * rows : (at + 1) * rows]
        incidents, events = advance(incidents, int(quarter[at]), these, sources)
        opened += [int((event.incident.opened - quarter[0]) // 900) for event in events if not event.is_edit]
    return opened


@dataclass
class Score:
    """Sums over histories of one scale."""

    found: dict = field(default_factory=dict)  # (kind, day) -> list of delays in slots (NaN = never)
    faults: int = 0
    false: int = 0
    changed: Counter = field(default_factory=Counter)  # kind of change -> alarms
    changes: Counter = field(default_factory=Counter)
    true: int = 0
    weeks: float = 0.0
    echoes: int = 0
    messages: Counter = field(default_factory=Counter)  # cause -> messages

    def add(self, case: History, flags: np.ndarray, opened: list[int] = (), since: int = WARMUP_DAYS * 96) -> None:
        """`flags` are slots × metrics; `opened` is what `messages` gives."""
        flags = flags.copy()
        flags[:since] = 0
        self.weeks += (len(flags) - since) / 672
        self.changes.update(change.kind for change in case.changes)
        self.faults += len(case.faults)
        for fault in case.faults:
            want = 2 if fault.kind == "missing" else fault.sign
            hit = (flags[fault.start : fault.end + 2 * (fault.kind != "spike"), fault.metrics] == want).any(axis=1)
            delay = float(np.argmax(hit)) if hit.any() else np.nan
            self.found.setdefault((fault.kind, fault.day), []).append(delay)
        for metric in range(flags.shape[1]):
            for first, last in episodes(flags[:, metric] != 0):
                faults = [f for f in case.faults if first < f.end + AFTERMATH and last >= f.start]
                changes = [c.kind for c in case.changes if first < c.end and last >= c.start]
                if any(f.start <= first < f.end for f in faults):
                    self.true += 1
                elif faults:
                    self.echoes += 1
                elif changes:
                    self.changed[changes[0]] += 1
                else:
                    self.false += 1
        for at in opened:
            of_fault = ["fault" for f in case.faults if f.start <= at < f.end + AFTERMATH]
            self.messages[(*of_fault, *(c.kind for c in case.changes if c.start <= at < c.end), "else")[0]] += 1

    def recall(self, kind: str, slots: float, days=(True, False)) -> float:
        delays = [d for day in days for d in self.found.get((kind, day), [])]
        return float(np.mean([d < slots for d in delays])) if delays else np.nan

    def per(self, kind: str) -> float:
        """Alarms per change of a kind."""
        return self.changed[kind] / self.changes[kind] if self.changes[kind] else np.nan


def run(seeds, baselines, scales=SCALES) -> dict:
    """(name, kind of history, scale) -> its score."""
    scores = {}

    def score(*key) -> Score:
        return scores.setdefault(key, Score())

    for seed in seeds:
        for scale, dau in scales.items():
            cases = {variant: history(seed, dau, False, variant) for variant in ("changing", "restless")}
            cases |= {"clean": history(seed, dau, False), "faulty": history(seed, dau, True)}
            for kind, case in cases.items():
                verdicts = detect_all(case.frame)
                flags = flags_of_detector(verdicts)
                score("pulsebook.anomaly", kind, scale).add(case, flags, messages(verdicts, watched.source_of()))
                for name, rule in baselines.items():
                    score(name, kind, scale).add(case, flags_of_baseline(rule, case.frame))
                if kind == "clean":
                    for start, age in zip((2, *AGES), AGES, strict=False):
                        score("pulsebook.anomaly", f"to day {age}", scale).add(
                            case, flags[: age * 96], since=start * 96
                        )
            young = _young(cases["faulty"])
            score("pulsebook.anomaly", "young", scale).add(
                young, flags_of_detector(detect_all(young.frame)), since=YOUNG_DAYS * 96
            )
    return scores


def _young(case: History) -> History:
    """The same app and its faults, begun `YOUNG_DAYS` before the first of them, up to its day 30."""
    cut, end = (WARMUP_DAYS - YOUNG_DAYS) * 96, (WARMUP_DAYS - YOUNG_DAYS + 30) * 96
    faults = [type(f)(f.kind, f.start - cut, f.end - cut, f.metrics, f.sign, f.day) for f in case.faults if f.end < end]
    return History(case.frame.iloc[cut:end], tuple(faults), ())


def report(scores: dict) -> None:
    print(
        f"{'':18}{'DAU':>5} {'false alarms a week':>20}{'':10}{'alarms per':>14}  found within 1 / 2 slots / at all, %"
    )
    print(
        f"{'':18}{'':>5} {'clean':>7}{'restless':>9}{'changes':>8}{'faults':>8}{'day off':>8}{'shift':>7}  "
        + "".join(f"{k:^13}" for k in KINDS)
    )
    for name, scale in dict.fromkeys((name, scale) for name, _, scale in scores):
        clean, restless, changing, faulty = (
            scores[name, kind, scale] for kind in ("clean", "restless", "changing", "faulty")
        )
        false = [s.false / s.weeks for s in (clean, restless, changing, faulty)]
        print(
            f"{name:18}{scale:>5} {false[0]:7.2f}{false[1]:9.2f}{false[2]:8.2f}{false[3]:8.2f}"
            f"{changing.per('day off'):8.2f}{changing.per('shift'):7.2f}  {_recalls(faulty, (1, 2, np.inf))}"
        )


def _recalls(score: Score, within: tuple, days=(True, False)) -> str:
    return "".join("{:^13}".format("/".join(_percent(score.recall(k, slots, days)) for slots in within)) for k in KINDS)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.0f}"


def details(scores: dict, name: str = "pulsebook.anomaly") -> None:
    """Of the detector alone."""
    print("\nby day (8:00–23:30) and by night: found within 2 slots / at all, %")
    for scale in SCALES:
        for label, days in (("day", (True,)), ("night", (False,))):
            print(f"{label:18}{scale:>5} {'':47}  {_recalls(scores[name, 'faulty', scale], (2, np.inf), days)}")
    print("\nmessages: a fault / a day off / a shift; a week: of the rest while there are faults / changes / nothing")
    for scale in SCALES:
        faulty, changing, clean = (scores[name, kind, scale] for kind in ("faulty", "changing", "clean"))
        each = [faulty.messages["fault"] / faulty.faults]
        each += [changing.messages[kind] / changing.changes[kind] for kind in ("day off", "shift")]
        rest = [s.messages["else"] / s.weeks for s in (faulty, changing, clean)]
        print(f"{scale:>5}  " + " / ".join(f"{n:.2f}" for n in each) + ";  " + " / ".join(f"{n:.2f}" for n in rest))
    print(
        f"\nfalse alarms a week in an app's first days (up to day {', '.join(map(str, AGES))}); with faults from day 8"
    )
    for scale in SCALES:
        young = [scores[name, kind, scale] for kind in (*(f"to day {age}" for age in AGES), "young")]
        print(f"{scale:>5}  " + " / ".join(f"{s.false / s.weeks:.2f}" for s in young))
    echoes = {scale: scores[name, "faulty", scale].echoes for scale in SCALES}
    precision = {
        scale: f"{s.true / (s.true + s.false):.2f}" for scale in SCALES for s in [scores[name, "faulty", scale]]
    }
    print(f"\nechoes after faults: {echoes}; precision {precision}")


def speed() -> float:
    """Median milliseconds of processor time of `detect` on the full history of a seed."""
    frame = history(1, 20_000, False).frame
    times = []
    for at in range(WARMUP_DAYS * 96, len(frame), 401):
        start = time.process_time()
        detect(frame.iloc[: at + 1], frame.index[at])
        times.append(1000 * (time.process_time() - start))
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="recall and false alarms of the detector beside four usual rules and two libraries"
    )
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--count", type=int, default=6, help="seeds to run, of 40")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--real", default="", help="folder with real series")
    options = parser.parse_args()
    began = time.perf_counter()
    if options.count:
        scores = run(SEEDS[options.seeds][: options.count], {} if options.no_baselines else BASELINES | installed())
        report(scores)
        details(scores)
    if options.real:
        real(options.real)
    print(f"detect: {speed():.1f} ms a slot; {time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
