"""The life of an alert: opened, updated, resolved.

    >>> verdicts = pd.DataFrame({"metric": ["views"], "value": [400.0], "deviation": [-0.6], "anomaly": [True]})
    >>> incidents, events = advance([], 1795331700, verdicts, {"views": "feed"})
    >>> events[0].what, events[0].incident.id, events[0].incident.metrics
    ('opened', 'anomaly-1795331700', {'views': -0.6})

Pure: what becomes of the open incidents when the verdicts of the next slot are in. Metrics that go off together are one
incident; so are those that follow within the hour in the same direction. A source that sends no data is an incident of
its own, and says nothing about the others: missing data is neither an anomaly nor the end of one.

An incident says little: at first its message is edited while it grows, and that of a minor one also says its end where it
was short, or has an explanation. What is off again soon after such an end is the same incident, and an edit.
"""

from dataclasses import replace

import pandas as pd

from pulsebook.catalogue import POLICY, Policy
from pulsebook.incidents.incident import HOUR, QUARTER, Event, Incident

__all__ = ["HOUR", "QUARTER", "Event", "Incident", "advance"]


def advance(
    incidents: list[Incident],
    slot: int,
    verdicts: pd.DataFrame,
    source_of: dict[str, str],
    *,
    suppress: str = "",
    policy: Policy = POLICY,
) -> tuple[list[Incident], list[Event]]:
    """The incidents after a slot, those that are open or may come back, and the notifications to send.

    Args:
        incidents: what this gave of the slot before; of the first slot: none.
        slot: its start, in seconds since 1970.
        verdicts: one row per metric, as `anomaly.detect` gives them; `explanation` is optional.
        source_of: metric -> the source that it is counted from. One that is not in it (a ratio of two sources) can be off,
            but that it is missing says nothing of any source.
        suppress: `all` notifications wait (a slot that is checked late), or the `minor` ones (quiet hours): what is not
            critical.
        policy: when a notification is repeated or is an edit, what is clearly worse, what is critical, what ends an incident,
            how soon it can come back.
    """
    rows = verdicts.set_index("metric")
    absent = {m: source_of[m] for m in rows.index[rows["value"].isna() & rows["anomaly"]] if m in source_of}
    absent = {
        m: s for m, s in absent.items() if all(pd.isna(rows["value"][o]) for o in rows.index if source_of.get(o) == s)
    }
    off = {m: float(rows["deviation"][m]) for m in rows.index[rows["anomaly"] & rows["value"].notna()]}
    known = _watched(incidents, {*rows.index, *source_of.values()})
    held = _held(known, "anomaly")
    known = [_back(i, slot, {m: d for m, d in off.items() if m not in held}, policy) for i in known]
    known = [_seen(i, slot, dict.fromkeys(absent.values(), 0.0) if i.kind == "missing" else off) for i in known]
    known = _joined(known, "missing", slot, dict.fromkeys(absent.values(), 0.0))
    known = _joined(known, "anomaly", slot, off)
    known = [_calmed(i, slot, rows, source_of, policy) for i in known]
    explained = {*rows.index[rows["explanation"] != ""]} if "explanation" in rows else set()
    known = [_notified(i, slot, source_of, explained, suppress, policy) for i in known]
    kept = [i for i, _ in known if i.resolved is None or i.may_come_back(slot + QUARTER, policy)]
    return kept, [event for _, event in known if event]


def _watched(incidents: list[Incident], watched: set[str]) -> list[Incident]:
    """What is no longer watched leaves its incidents: nothing would ever end those."""
    left = [(i, {m: d for m, d in i.metrics.items() if m in watched}) for i in incidents]
    return [replace(i, metrics=metrics) for i, metrics in left if metrics]


def _held(incidents: list[Incident], kind: str) -> set[str]:
    """The metrics (or sources) of the open incidents of a kind."""
    return {name for i in incidents if i.kind == kind and i.resolved is None for name in i.metrics}


def _back(incident: Incident, slot: int, off: dict[str, float], policy: Policy) -> Incident:
    """An incident that has ended is open again where one of its metrics is off the same way again, soon enough."""
    is_back = incident.may_come_back(slot, policy) and any(d * off.get(m, 0) > 0 for m, d in incident.metrics.items())
    return replace(incident, resolved=None, normal=0) if is_back else incident


def _seen(incident: Incident, slot: int, off: dict[str, float]) -> Incident:
    """An incident in a slot in which these metrics are off: its own are noted."""
    mine = {m: d for m, d in off.items() if m in incident.metrics}
    if not mine or incident.resolved is not None:
        return incident
    worse = {m: d for m, d in mine.items() if abs(d) > abs(incident.metrics[m])}
    return replace(
        incident, last=slot, normal=0, metrics={**incident.metrics, **worse}, worst={**incident.worst, **dict.fromkeys(worse, slot)}
    )  # fmt: skip


def _joined(incidents: list[Incident], kind: str, slot: int, off: dict[str, float]) -> list[Incident]:
    """New metrics go to the incident of this hour that moves in the same direction, or make one of their own."""
    held = _held(incidents, kind)
    new = {m: d for m, d in off.items() if m not in held}
    if not new:
        return incidents
    result = list(incidents)
    for place, incident in enumerate(result):
        recent = incident.kind == kind and incident.resolved is None and slot - incident.last <= HOUR
        mine = {m: d for m, d in new.items() if recent and any(d * e >= 0 for e in incident.metrics.values())}
        if mine:
            result[place] = replace(
                incident, last=slot, normal=0, metrics={**incident.metrics, **mine}, worst={**incident.worst, **dict.fromkeys(mine, slot)}
            )  # fmt: skip
            new = {m: d for m, d in new.items() if m not in mine}
    if new:
        result.append(Incident(f"{kind}-{slot}", kind, slot, slot, new, dict.fromkeys(new, slot)))
    return result


def _calmed(incident: Incident, slot: int, rows: pd.DataFrame, source_of: dict[str, str], policy: Policy) -> Incident:
    """Counts normal slots; one in which a metric of the incident is missing does not count."""
    if incident.last == slot or incident.resolved is not None:
        return incident
    if incident.kind == "missing":
        unknown = any(rows["value"].isna()[m] for m in rows.index if source_of.get(m) in incident.metrics)
    else:
        unknown = any(pd.isna(rows["value"].get(m)) for m in incident.metrics)
    if unknown:
        return incident
    normal, long = incident.normal + 1, incident.seconds > policy.long_hours * HOUR
    enough = policy.long_normal_slots if long else policy.normal_slots
    return replace(incident, normal=normal, resolved=slot if normal >= enough else None)


def _notified(
    incident: Incident, slot: int, source_of: dict[str, str], explained: set[str], suppress: str, policy: Policy
) -> tuple[Incident, Event | None]:
    """The incident once its notification is sent, and that; None where there is nothing to say, or not yet."""
    what, first = "", incident.opened if incident.first_told is None else incident.first_told
    is_early = slot - first <= policy.edit_hours * HOUR
    if incident.resolved is not None and incident.resolved < slot:
        what = ""  # it has ended before
    elif incident.resolved is not None:
        what = "resolved" if incident.told is not None else "missed"
    elif incident.last != slot:
        what = ""  # calm at the moment
    elif incident.told is None:
        what = "opened"
    elif _sources(incident.metrics, source_of) - _sources(incident.told_metrics, source_of):
        what = "spread"
    elif any(_clearly_worse(d, incident.told_metrics.get(m, d), policy) for m, d in incident.metrics.items()):
        what = "worse"
    elif incident.said_over:
        what = "again"
    elif is_early and incident.metrics.keys() - incident.told_metrics.keys():
        what = "more"
    elif any(h > (incident.told - first) / HOUR for h in _due(policy, (slot - first) / HOUR)):
        what = "still"
    suppressed = suppress == "all" or (suppress == "minor" and not incident.is_critical(policy))
    if not what or (suppressed and incident.resolved is None):
        return incident, None
    is_short = incident.told == incident.first_told and not _due(policy, (slot - first) / HOUR)
    is_calm = (is_short or explained & incident.metrics.keys()) and not incident.is_critical(policy)
    is_edit = is_early and what in ("spread", "worse", "more") or what == "again"
    is_edit = is_edit and not _turned_critical(incident, policy) or what == "resolved" and bool(is_calm)
    begins = what == "opened" or incident.said_over and what != "resolved"
    told = slot if begins or not is_edit else incident.told
    first_told = slot if begins else incident.first_told
    before, said_over = incident.told_metrics, is_edit and what == "resolved"
    incident = replace(
        incident, told=told, told_metrics=dict(incident.metrics), first_told=first_told, said_over=said_over
    )
    return incident, Event(what, incident, is_edit, before)


def _turned_critical(incident: Incident, policy: Policy) -> bool:
    """Whether it was minor when it was told: nobody's phone rings at an edit."""
    return incident.is_critical(policy) and not replace(incident, metrics=incident.told_metrics).is_critical(policy)


def _due(policy: Policy, hours: float) -> list[float]:
    """The hours after the first message of an incident at which a word was due, up to so many."""
    if policy.repeat_hours is None:
        return [h for h in policy.still_hours if h <= hours]
    return [n * policy.repeat_hours for n in range(1, int(hours / policy.repeat_hours) + 1)]


def _clearly_worse(now: float, before: float, policy: Policy) -> bool:
    return abs(now) >= policy.worse * abs(before) and abs(now) - abs(before) >= policy.worse_by


def _sources(metrics: dict[str, float], source_of: dict[str, str]) -> set[str]:
    return {source_of.get(m, m) for m in metrics}
