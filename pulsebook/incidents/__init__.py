"""The life of an alert: opened, updated, resolved.

    incidents, events = advance(incidents, slot, verdicts)

Pure: what becomes of the open incidents when the verdicts of the next slot are in. Metrics that go off together are one
incident; so are those that follow within the hour in the same direction. A source that sends no data is an incident of
its own, and says nothing about the others: missing data is neither an anomaly nor the end of one.
"""

from dataclasses import asdict, dataclass, field, replace

import pandas as pd

QUARTER, HOUR = 900, 3600  # seconds
REPEAT = 4 * HOUR  # while it lasts, a word every so often
NORMAL_SLOTS = 3  # so many normal slots in a row end an incident
WORSE, WORSE_BY = 1.5, 0.15  # clearly worse: deviation grown by this factor and at least so much
CRITICAL = 0.5  # |deviation| from which an incident is critical


@dataclass(frozen=True)
class Incident:
    """An alert and what is known of it. Times are slot starts in seconds since 1970; deviations are signed shares."""

    id: str
    kind: str  # anomaly, or missing
    opened: int
    last: int  # the last slot in which it was seen
    metrics: dict[str, float]  # metric -> deviation farthest from normal; of `missing`: source -> 0
    worst: dict[str, int] = field(default_factory=dict)  # metric -> slot of that deviation
    normal: int = 0  # normal slots in a row
    told: int | None = None  # slot of the last message; None: not told yet
    told_metrics: dict[str, float] = field(default_factory=dict)  # what that message said
    resolved: int | None = None

    @property
    def critical(self) -> bool:
        return self.kind == "missing" or max(map(abs, self.metrics.values())) >= CRITICAL

    @property
    def seconds(self) -> int:
        """How long it has lasted: from the start of its first slot to the end of its last."""
        return self.last + QUARTER - self.opened

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Event:
    """What there is to tell. `what`: opened, still, worse, spread, resolved, or missed (over before it was told)."""

    what: str
    incident: Incident


def advance(
    incidents: list[Incident], slot: int, verdicts: pd.DataFrame, source_of: dict[str, str], *, hold: str = ""
) -> tuple[list[Incident], list[Event]]:
    """The open incidents after a slot, and what there is to tell.

    Args:
        incidents: those that were open before the slot.
        slot: its start, in seconds since 1970.
        verdicts: one row per metric, as `anomaly.detect` gives them.
        source_of: metric -> the source that it is counted from.
        hold: `all` tells nothing yet (a slot that is checked late), `minor` only what is critical (quiet hours).
    """
    rows = verdicts.set_index("metric")
    absent = {m: source_of[m] for m in rows.index[rows["value"].isna() & rows["anomaly"]]}
    absent = {
        m: s for m, s in absent.items() if all(pd.isna(rows["value"][o]) for o in rows.index if source_of[o] == s)
    }
    off = {m: float(rows["deviation"][m]) for m in rows.index[rows["anomaly"] & rows["value"].notna()]}
    known = [_seen(i, slot, dict.fromkeys(absent.values(), 0.0) if i.kind == "missing" else off) for i in incidents]
    known = _joined(known, "missing", slot, dict.fromkeys(absent.values(), 0.0))
    known = _joined(known, "anomaly", slot, off)
    known = [_calmed(i, slot, rows, source_of) for i in known]
    told = [_told(i, slot, source_of, hold) for i in known]
    return [i for i, _ in told if i.resolved is None], [e for _, e in told if e]


def _seen(incident: Incident, slot: int, off: dict[str, float]) -> Incident:
    """An incident in a slot in which these metrics are off: its own are noted."""
    mine = {m: d for m, d in off.items() if m in incident.metrics}
    if not mine:
        return incident
    worse = {m: d for m, d in mine.items() if abs(d) > abs(incident.metrics[m])}
    return replace(
        incident, last=slot, normal=0, metrics={**incident.metrics, **worse}, worst={**incident.worst, **dict.fromkeys(worse, slot)}
    )  # fmt: skip


def _joined(incidents: list[Incident], kind: str, slot: int, off: dict[str, float]) -> list[Incident]:
    """New metrics go to the incident of this hour that moves in the same direction, or make one of their own."""
    new = {m: d for m, d in off.items() if not any(m in i.metrics for i in incidents if i.kind == kind)}
    if not new:
        return incidents
    result = list(incidents)
    for place, incident in enumerate(result):
        recent = incident.kind == kind and slot - incident.last <= HOUR
        mine = {m: d for m, d in new.items() if recent and any(d * e >= 0 for e in incident.metrics.values())}
        if mine:
            result[place] = replace(
                incident, last=slot, normal=0, metrics={**incident.metrics, **mine}, worst={**incident.worst, **dict.fromkeys(mine, slot)}
            )  # fmt: skip
            new = {m: d for m, d in new.items() if m not in mine}
    if new:
        result.append(Incident(f"{kind}-{slot}", kind, slot, slot, new, dict.fromkeys(new, slot)))
    return result


def _calmed(incident: Incident, slot: int, rows: pd.DataFrame, source_of: dict[str, str]) -> Incident:
    """Counts normal slots; one in which a metric of the incident is missing does not count."""
    if incident.last == slot:
        return incident
    if incident.kind == "missing":
        unknown = any(rows["value"].isna()[m] for m in rows.index if source_of[m] in incident.metrics)
    else:
        unknown = any(pd.isna(rows["value"].get(m)) for m in incident.metrics)
    if unknown:
        return incident
    normal = incident.normal + 1
    return replace(incident, normal=normal, resolved=slot if normal >= NORMAL_SLOTS else None)


def _told(incident: Incident, slot: int, source_of: dict[str, str], hold: str) -> tuple[Incident, Event | None]:
    """Whether there is something to tell, and the incident once it is told."""
    what = ""
    if incident.resolved is not None:
        what = "resolved" if incident.told is not None else "missed"
    elif incident.last != slot:
        what = ""  # calm at the moment
    elif incident.told is None:
        what = "opened"
    elif _sources(incident.metrics, source_of) - _sources(incident.told_metrics, source_of):
        what = "spread"
    elif any(_clearly_worse(d, incident.told_metrics.get(m, d)) for m, d in incident.metrics.items()):
        what = "worse"
    elif slot - incident.told >= REPEAT:
        what = "still"
    held = hold == "all" or hold == "minor" and not incident.critical
    if not what or held and incident.resolved is None:
        return incident, None
    incident = replace(incident, told=slot, told_metrics=dict(incident.metrics))
    return incident, Event(what, incident)


def _clearly_worse(now: float, told: float) -> bool:
    return abs(now) >= WORSE * abs(told) and abs(now) - abs(told) >= WORSE_BY


def _sources(metrics: dict[str, float], source_of: dict[str, str]) -> set[str]:
    return {source_of.get(m, m) for m in metrics}
