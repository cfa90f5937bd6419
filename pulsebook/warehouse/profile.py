"""A user's profile: the value of every dimension, of the latest action.

While it is looked for all values travel as one text, which takes a third of the memory of one each. Of several actions
within one millisecond a hash of it decides, so that every run decides alike. A value that is missing is ''.
"""

from pulsebook.catalogue import DIMENSIONS


def columns() -> tuple[str, ...]:
    """The columns of an event table that profiles are made of."""
    return tuple(dict.fromkeys(column for dimension in DIMENSIONS for column in dimension.columns))


def types() -> dict[str, str]:
    """The columns of a profile in our tables."""
    return {dimension.name: "String" for dimension in DIMENSIONS}


def of_rows() -> str:
    """SQL after WITH: an event's profile, and `action_key`, by which events are ordered."""
    key = "toUInt64(round(toFloat64(time) * 1000)) * 4194304 + cityHash64(row_profile) % 4194304 AS action_key"
    return f"{_packed(dimension.value for dimension in DIMENSIONS)} AS row_profile, {key}"


def latest() -> str:
    """SQL: the profile of a user's latest action among rows with `of_rows`, and its key `latest`."""
    return "argMax(row_profile, action_key) AS latest_profile, max(action_key) AS latest"


def none() -> str:
    """SQL: the same columns, of whoever has no profile."""
    return "'' AS latest_profile, toUInt64(0) AS latest"


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
