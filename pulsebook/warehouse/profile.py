"""A user's profile: the value of every dimension, of the latest action.

Events are grouped by user and by the columns that profiles are made of. That is nearly always one group for each user, and
takes two thirds of the time of an aggregate that follows the latest profile row by row; of a user's groups that with the
latest action counts. While it is looked for all values travel as one text, which takes a third of the memory of one each. Of
several actions within one millisecond a hash of it decides, so that every run decides alike. A value that is missing is ''.
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


def of_groups(time: str) -> str:
    """SQL: the profile of a group, and `latest_key`, by which they are ordered; `time`: the column of its latest action."""
    key = f"toUInt64(round(toFloat64({time}) * 1000)) * 4194304 + cityHash64(group_profile) % 4194304 AS latest_key"
    return f"{_packed(dimension.value for dimension in DIMENSIONS)} AS group_profile, {key}"


def none() -> str:
    """SQL: the same columns, of whoever has no profile."""
    return "'' AS group_profile, toUInt64(0) AS latest_key"


def stored() -> str:
    """SQL: the profile of a row of our tables."""
    return f"{_packed(types())} AS stored_profile"


def named(profile: str) -> str:
    """SQL: the columns of a profile in our tables, of the column that holds it."""
    return ", ".join(
        f"unhex(splitByChar(',', {profile})[{place}]) AS {name}" for place, name in enumerate(types(), start=1)
    )


def _packed(values) -> str:
    """SQL: texts as one, whatever they hold."""
    return f"arrayStringConcat([{', '.join(f'hex({value})' for value in values)}], ',')"
