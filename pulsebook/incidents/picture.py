"""Pictures of an incident: each of its metrics beside what was expected and the same slots a week ago."""

from collections.abc import Iterable

import pandas as pd

from pulsebook.present.numbers import label

MOST = 2  # metrics in a picture


def metrics_of(incident: Iterable[str], source_of: dict[str, str], verdicts: pd.DataFrame) -> list[str]:
    """The metrics that a picture of an incident shows, those that are off most first.

    Args:
        incident: its metrics; where data are missing, its sources.
        source_of: watched metric -> its source.
        verdicts: of the slot, as `anomaly.detect` gives them.
    """
    scores = verdicts.set_index("metric")["score"].fillna(0.0)
    own = {*incident}
    shown = [metric for metric in verdicts["metric"] if metric in own or source_of.get(metric) in own]
    return sorted(shown, key=lambda metric: -scores[metric])[:MOST]


def with_week_ago(verdicts: pd.DataFrame, history: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The verdicts on a metric by slot, and in `week_ago` its value in the slot a week before, NaN where there is none.

    Args:
        verdicts: as `anomaly.detect_all` gives them.
        history: index: slots; a column for each metric, a ratio too.
    """
    slots = verdicts[verdicts["metric"] == metric].set_index("slot")
    return slots.assign(week_ago=history[metric].shift(freq=pd.Timedelta(days=7)).reindex(slots.index))


def draw(title: str, metrics: list[str], verdicts: pd.DataFrame, history: pd.DataFrame, language: str) -> bytes:
    """A PNG with a panel for each metric; what it takes is as for `with_week_ago`."""
    from pulsebook.present import charts  # over a second: only where something is drawn

    picture = charts.Picture(title, columns=1)
    for metric in metrics:
        charts.band(picture.panel(label(metric, language)), with_week_ago(verdicts, history, metric), metric, language)
    return picture.png()
