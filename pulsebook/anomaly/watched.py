"""What is watched: the catalogue's metrics with an alert, as the detector and the alert notebooks take them."""

from pulsebook.anomaly.streams import Stream
from pulsebook.catalogue import METRICS, SOURCES, Count, Ratio, counts_of, watched


def streams() -> tuple[Stream, ...]:
    """One for each watched metric, in the catalogue's order, and the helpers of those.

    Counts of one group are also judged together; a ratio fails on its own. A helper tells a fault of its numerator from a
    change of the audience, and is there while both of its counts are watched.
    """
    counted = {metric.name for metric in watched() if isinstance(metric, Count)}
    helpers = (m for m in METRICS.values() if isinstance(m, Ratio) and m.helper and {*m.parts} <= counted)
    return (*(_stream(metric) for metric in watched()), *(_helper(ratio) for ratio in helpers))


def names() -> list[str]:
    """The watched metrics, in the catalogue's order."""
    return [metric.name for metric in watched()]


def needed() -> dict[str, list[str]]:
    """The counts that are computed every 15 minutes, by source: those of the watched metrics, and the source's volume."""
    found = {name: [count.name for count in counts_of(*names()) if count.source == name] for name in SOURCES}
    return {name: list(dict.fromkeys([*counts, SOURCES[name].volume])) for name, counts in found.items() if counts}


def source_of() -> dict[str, str]:
    """Watched metric -> its source. A ratio of two sources has none: that it is missing says nothing of either."""
    sources = {name: {count.source for count in counts_of(name)} for name in names()}
    return {name: found.pop() for name, found in sources.items() if len(found) == 1}


def sensitivities(factor: float = 1.0) -> dict[str, float]:
    """Of each watched metric, times a factor."""
    return {metric.name: metric.alert.sensitivity * factor for metric in watched()}


def min_deviations() -> dict[str, float]:
    """Of each watched metric: the least change that can be an anomaly, as a share."""
    return {metric.name: metric.alert.min_deviation for metric in watched()}


def _stream(metric: Count | Ratio) -> Stream:
    given = metric.denominator if isinstance(metric, Ratio) else ""
    return Stream(metric.name, metric.parts[0], given=given, groups=metric.alert.groups)


def _helper(ratio: Ratio) -> Stream:
    return Stream(f"helper {ratio.name}", ratio.numerator, given=ratio.denominator, helper=True)
