"""A user's profile: the value of every dimension, of the latest action.

Events are grouped by user and by the columns that profiles are made of. That is nearly always one group for each user, and
takes two thirds of the time of an aggregate that follows the latest values row by row; of a user's groups the one with the
greatest `latest` counts. Of several actions within one millisecond a hash of the values decides, so that every run decides
alike. A value that is missing is ''.
"""

from pulsebook.catalogue import DIMENSIONS


def columns() -> tuple[str, ...]:
    """The columns of an event table that profiles are made of."""
    return tuple(dict.fromkeys(column for dimension in DIMENSIONS for column in dimension.columns))


def keys() -> str:
    """SQL: what events are grouped by."""
    return ", ".join(dict.fromkeys(("user_id", *columns())))


def types() -> dict[str, str]:
    """The columns of a profile in our tables."""
    return {dimension.name: "String" for dimension in DIMENSIONS}


def values(time: str) -> str:
    """SQL: the values of rows with `columns`, and the key by which they are ordered; `time`: of the latest action."""
    found = [f"{dimension.value} AS value_{place}" for place, dimension in enumerate(DIMENSIONS)]
    drawn = f"cityHash64({', '.join(_values())}) % 4194304"
    return f"{', '.join(found)}, toUInt64(round(toFloat64({time}) * 1000)) * 4194304 + {drawn} AS value_key"


def none() -> str:
    """SQL: the same columns, of whoever has no profile."""
    return ", ".join(f"'' AS {value}" for value in _values()) + ", toUInt64(0) AS value_key"


def named() -> str:
    """SQL: the columns of a profile in our tables and `latest`, its key, of rows with `values`."""
    named = [f"{value} AS {name}" for value, name in zip(_values(), types(), strict=True)]
    return f"{', '.join(named)}, value_key AS latest"


def latest() -> str:
    """SQL: of rows of our tables, grouped by user, the latest profile."""
    return ", ".join(f"argMax({name}, latest) AS {name}" for name in types())


def _values() -> list[str]:
    # not the names: ClickHouse would put them in place of the columns that other dimensions read
    return [f"value_{place}" for place in range(len(DIMENSIONS))]
