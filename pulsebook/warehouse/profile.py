"""A user's profile: the value of every dimension, of the latest action.

Of several actions within one millisecond a hash of the values decides, so that every run decides alike. In the names of
columns `row_…` is of one event, `latest_…` of the latest; a value that is missing is ''.
"""

from pulsebook.catalogue import DIMENSIONS


def columns() -> tuple[str, ...]:
    """The columns of an event table that profiles are made of."""
    return tuple(dict.fromkeys(column for dimension in DIMENSIONS for column in dimension.columns))


def types() -> dict[str, str]:
    """The columns of a profile in our tables."""
    return {dimension.name: "String" for dimension in DIMENSIONS}


def of_rows() -> str:
    """SQL after WITH: the values of a row, and `action_key`, by which actions are ordered."""
    values = ", ".join(f"{dimension.value} AS row_{dimension.name}" for dimension in DIMENSIONS)
    hashed = ", ".join(f"row_{name}" for name in types())
    key = f"toUInt64(round(toFloat64(time) * 1000)) * 4194304 + cityHash64({hashed}) % 4194304 AS action_key"
    return f"{values}, {key}"


def latest() -> str:
    """SQL: the columns of a user's latest action among rows with `of_rows`, and its key `latest`."""
    values = ", ".join(f"argMax(row_{name}, action_key) AS latest_{name}" for name in types())
    return f"{values}, max(action_key) AS latest"


def none() -> str:
    """SQL: the same columns, of whoever has no profile."""
    return ", ".join([*(f"'' AS latest_{name}" for name in types()), "toUInt64(0) AS latest"])


def latest_of_latest() -> str:
    """SQL: the same columns, among rows that have them already."""
    values = ", ".join(f"argMax(latest_{name}, latest) AS last_{name}" for name in types())
    return f"{values}, max(latest) AS last"


def named(prefix: str = "latest") -> str:
    """SQL: those columns under their names in our tables."""
    return ", ".join([*(f"{prefix}_{name} AS {name}" for name in types()), f"{prefix} AS latest"])
