"""Pictures of an incident: each of its metrics beside what was expected and the same slots a week ago."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pandas as pd

from pulsebook.anomaly import watched
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


def days_before(history: pd.DataFrame, metric: str, slots: pd.DatetimeIndex, days: int) -> np.ndarray:
    """A metric in the same slots of an earlier day, by the clock; NaN where there is none.

    Args:
        history: index: slots; a column for each metric, a ratio too.
    """
    local = slots.tz_localize(None) - pd.Timedelta(days=days)
    first = np.ones(len(local), bool)  # of an hour that the clocks repeat
    return history[metric].reindex(local.tz_localize(slots.tz, ambiguous=first, nonexistent="shift_forward")).to_numpy()


def with_week_ago(verdicts: pd.DataFrame, history: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The verdicts on a metric by slot, and in `week_ago` its value in the slot a week before, NaN where there is none.

    Args:
        verdicts: as `anomaly.detect_all` gives them.
        history: as for `days_before`.
    """
    slots = verdicts[verdicts["metric"] == metric].set_index("slot")
    return slots.assign(week_ago=days_before(history, metric, slots.index, 7))


def draw(
    title: str, incident: Iterable[str], slot: datetime, verdicts: pd.DataFrame, history: pd.DataFrame, language: str
) -> bytes:
    """A PNG with a panel for each of the metrics that are off most in a slot; what it takes is as for `metrics_of` and
    `with_week_ago`, with verdicts on the slot among others."""
    from pulsebook.present import charts  # over a second: only where something is drawn

    picture = charts.Picture(title, columns=1)
    for metric in metrics_of(incident, watched.source_of(), verdicts[verdicts["slot"] == slot]):
        charts.band(picture.panel(label(metric, language)), with_week_ago(verdicts, history, metric), metric, language)
    return picture.png()
