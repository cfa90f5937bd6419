"""What slots that were corrected say of alerts: which they would not raise any more, and which they would have raised.

The same verdicts and the same rules as in a check (`advance`), over the slots as they were and as they are. An incident is the
same where it is of one kind, shares a metric, and lies in the same time. Pure.

    >>> dip = pd.DataFrame({"slot": pd.to_datetime([1795331700], unit="s", utc=True), "metric": ["views"], "value": [400.0],
    ...                     "deviation": [-0.6], "anomaly": [True]})
    >>> before, now = (raised(verdicts, [], {"views": "feed"}) for verdicts in (dip, dip.assign(anomaly=False)))
    >>> [(incident.id, would) for incident, would in notes({i.id: (i, True) for i in before}, before, now)]
    [('anomaly-1795331700', False)]
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from pulsebook.incidents import Incident, advance


def raised(verdicts: pd.DataFrame, incidents: list[Incident], source_of: Mapping[str, str]) -> list[Incident]:
    """The incidents that checks of these slots would raise, as they are seen last.

    Args:
        verdicts: of slots that follow one another, as `anomaly.detect_all` gives them.
        incidents: those that were open before the first.
        source_of: as for `advance`.
    """
    before, found = {incident.id for incident in incidents}, {}
    for at, of_slot in verdicts.groupby("slot"):
        incidents, _ = advance(incidents, int(at.timestamp()), of_slot, {**source_of})
        found |= {incident.id: incident for incident in incidents if incident.id not in before}
    return [*found.values()]


def notes(
    known: Mapping[str, tuple[Incident, bool]], before: Sequence[Incident], now: Sequence[Incident]
) -> list[tuple[Incident, bool]]:
    """What has to be noted: incidents, and whether the slots as they are now would raise them. Only what the correction has
    changed, and what is not noted yet.

    Args:
        known: incidents by id, and whether it is known of them that they are raised.
        before, now: what the slots raise as they were, and as they are.
    """
    found = []
    for incident, is_raised in known.values():
        would_be = _is_among(incident, now)
        if would_be != is_raised and would_be != _is_among(incident, before):
            found.append((incident, would_be))
    incidents = [*before, *(incident for incident, _ in known.values())]
    return found + [(incident, True) for incident in now if not _is_among(incident, incidents)]


def _is_among(incident: Incident, others: Iterable[Incident]) -> bool:
    return any(
        incident.kind == other.kind
        and incident.metrics.keys() & other.metrics.keys()
        and incident.opened <= other.last
        and other.opened <= incident.last
        for other in others
    )
