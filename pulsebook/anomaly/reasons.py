"""The reason of a verdict in words."""

import numpy as np

from pulsebook.anomaly.rules import JUMP, LEVEL, MISSING, NORMAL, PERSISTS, RATIO, TOGETHER, UNKNOWN, USUAL_GAP, ZEROS
from pulsebook.anomaly.settled import EXPLANATIONS, NEW_LEVEL, NONE, Settled
from pulsebook.anomaly.verdicts import OUTAGES_ONLY_DAYS, WEEKS_DAYS, Verdicts


def reasons(verdicts: Verdicts, explained: Settled, age: np.ndarray) -> list[str]:
    """One sentence per slot and metric, in the order of the rows; `age` is the days of history before each slot."""
    texts = {NORMAL: "normal", UNKNOWN: "nothing to compare with"}
    notes = [_note(days) for days in age]
    return [
        (texts.get(kind) or _reason(verdicts, row, metric)) + _explanation(explained, row, metric) + notes[row]
        for (row, metric), kind in np.ndenumerate(verdicts.kind)
    ]


def _reason(verdicts: Verdicts, row: int, metric: int) -> str:
    kind, span = int(verdicts.kind[row, metric]), int(verdicts.span[row, metric])
    deviation, score = verdicts.deviation[row, metric], verdicts.score[row, metric]
    way = "drop" if deviation < 0 else "rise"
    off = f"{way}: {abs(deviation):.0%} {'below' if deviation < 0 else 'above'} expected"
    far = f"{score:.1f} times the limit"
    return {
        LEVEL: f"{off}; over the last {_time(span)}, {far}",
        JUMP: f"{off}; sudden: against the slots before, {far}",
        TOGETHER: f"{off}; sudden, together with other metrics: {far}",
        ZEROS: f"{off}; {span} zero slot{'s' * (span > 1)} in a row",
        RATIO: f"{off}; out of proportion to its companion metric, {far}",
        PERSISTS: f"{off}; still off since the alarm {_time(span)} ago",
        MISSING: f"missing: no data for {span} slot{'s' * (span > 1)} in a row",
        USUAL_GAP: "missing, as often at this time: counted as zero",
    }[kind]


def _explanation(explained: Settled, row: int, metric: int) -> str:
    kind = int(explained.kind[row, metric])
    if kind == NONE:
        return ""
    level = f", {explained.level[row, metric]:+.0%}" if kind == NEW_LEVEL else ""
    return f"; taken for a {EXPLANATIONS[kind]}{level}"


def _time(slots: int) -> str:
    return f"{slots / 4:g} h" if slots >= 4 else f"{15 * slots} minutes"


def _note(days: float) -> str:
    if days < OUTAGES_ONLY_DAYS:
        return f"; only {days:.1f} days of history: outages only"
    return f"; only {days:.0f} days of history: wider limits" if days < WEEKS_DAYS else ""
