"""A user's profile: the value of every dimension, of the latest action.

Of several actions within one millisecond a hash of the values decides, so that every run decides alike. In the names of
columns `row_…` is of one event, `latest_…` of the latest.
"""

from pulsebook.catalogue import DIMENSIONS

COLUMNS = tuple(
    dict.fromkeys(column for dimension in DIMENSIONS for column in dimension.columns)
)  # of the event tables
TYPES = {dimension.name: "String" for dimension in DIMENSIONS}  # '' where a value is missing
LATEST = ", ".join(f"argMax(row_{name}, action_key) AS latest_{name}" for name in TYPES)
LATEST_KEY = "max(action_key) AS latest"
NAMED = ", ".join(f"latest_{name} AS {name}" for name in TYPES)
NONE = ", ".join(f"'' AS latest_{name}" for name in TYPES)


def row_values() -> str:
    """SQL after WITH: the values of a row, and `action_key`, by which actions are ordered."""
    values = ", ".join(f"{dimension.value} AS row_{dimension.name}" for dimension in DIMENSIONS)
    hashed = ", ".join(f"row_{name}" for name in TYPES)
    key = f"toUInt64(round(toFloat64(time) * 1000)) * 4194304 + cityHash64({hashed}) % 4194304 AS action_key"
    return f"{values}, {key}"
