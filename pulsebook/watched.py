"""What is watched, as the detector takes it: the catalogue's metrics with an alert."""

from pulsebook.anomaly.streams import Stream
from pulsebook.catalogue import METRICS, Count, Ratio, watched


def streams() -> tuple[Stream, ...]:
    """One for each watched metric, in the catalogue's order, and the helpers of those.

    Counts of one group are also judged together; a ratio fails on its own. A helper tells a fault of its numerator from a
    change of the audience, and is there while both of its counts are watched.
    """
    counted = {metric.name for metric in watched() if isinstance(metric, Count)}
    helpers = (m for m in METRICS.values() if isinstance(m, Ratio) and m.helper and {*m.parts} <= counted)
    return (*(_stream(metric) for metric in watched()), *(_helper(ratio) for ratio in helpers))


def _stream(metric: Count | Ratio) -> Stream:
    given = metric.denominator if isinstance(metric, Ratio) else ""
    return Stream(metric.name, metric.parts[0], given=given, groups=metric.alert.groups)


def _helper(ratio: Ratio) -> Stream:
    return Stream(f"helper {ratio.name}", ratio.numerator, given=ratio.denominator, helper=True)
