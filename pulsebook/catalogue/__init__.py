"""The catalogue: what is counted, by what it is sliced, and when people are notified. The analysts' room.

    >>> METRICS["views"].label("ru")
    'Просмотры'
    >>> select("views", "ctr")
    "countIf(action = 'view') AS views, countIf(action = 'like') AS likes"
    >>> [dimension.name for dimension in DIMENSIONS]
    ['os', 'gender', 'age']

Each thing stands here once and takes part in everything: a `Metric` in SQL, texts, charts, tables and alerts, a `Dimension`
in the ETL's columns, tasks, slices and proof. Data, checked when it is imported (`CatalogueError` names the entry and says
what to do); no I/O.
"""

from pulsebook.base.quiet_hours import QuietHours
from pulsebook.catalogue.alerts import KNOWN_DAYS, POLICY, Alert, Correction, Policy
from pulsebook.catalogue.checks import CatalogueError
from pulsebook.catalogue.dimensions import DIMENSIONS, EXPLAINED, UNKNOWN, Dimension, dimension
from pulsebook.catalogue.metrics import METRICS, Count, Ratio, counts_of, metric, per_user, select, watched
from pulsebook.catalogue.sources import SOURCES, Source

__all__ = [
    "DIMENSIONS", "EXPLAINED", "KNOWN_DAYS", "METRICS", "POLICY", "SOURCES", "UNKNOWN",
    "Alert", "CatalogueError", "Correction", "Count", "Dimension", "Policy", "QuietHours", "Ratio", "Source",
    "counts_of", "dimension", "metric", "per_user", "select", "watched",
]  # fmt: skip
