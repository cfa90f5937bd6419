"""ClickHouse's types, taken apart: `kind("Map(String, Decimal(9, 2))")` is `Kind("Map", ("String", "Decimal(9, 2)"))`."""

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]|[^'`(),]+", re.S)
_FIELD = re.compile(r"(`(?:[^`\\]|\\.)*`|\w+)\s+(\S.*)", re.S)  # an element of a named Tuple
_NAME = re.compile(r"('(?:[^'\\]|\\.)*')\s*=\s*(-?\d+)", re.S)  # an element of an Enum
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}


class Kind(NamedTuple):
    """A type: its name and its arguments as they are written."""

    name: str
    arguments: tuple[str, ...]


@lru_cache(maxsize=1000)
def kind(text: str) -> Kind:
    """Takes a type apart at its outermost parentheses."""
    name, _, rest = text.strip().partition("(")
    arguments, depth = [""] if rest else [], 0
    for token in _TOKEN.findall(rest.rstrip().removesuffix(")")):
        depth += (token == "(") - (token == ")")
        if token == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += token
    return Kind(name.strip(), tuple(argument.strip() for argument in arguments))


def unwrapped(text: str) -> tuple[str, bool]:
    """A type without LowCardinality, Nullable and SimpleAggregateFunction, and whether it takes NULL."""
    nullable = False
    while (outer := kind(text)).name in ("Nullable", "LowCardinality", "SimpleAggregateFunction"):
        nullable |= outer.name == "Nullable"
        text = outer.arguments[-1]
    return text.strip(), nullable


def fields(tuple_kind: Kind) -> list[tuple[str | None, str]]:
    """Names (None where they have none) and types of a Tuple's elements."""
    found = [(_FIELD.fullmatch(argument), argument) for argument in tuple_kind.arguments if argument]
    return [(literal(match[1]), match[2]) if match else (None, argument) for match, argument in found]


def names(enum_kind: Kind) -> list[str]:
    """The names of an Enum's values."""
    return [literal(_NAME.fullmatch(argument)[1]) for argument in enum_kind.arguments]


def zone(time_kind: Kind) -> str | None:
    """The time zone of a DateTime or DateTime64, None where it has none of its own."""
    last = time_kind.arguments[-1] if time_kind.arguments else ""
    return literal(last) if last.startswith("'") else None


def literal(text: str) -> str:
    """What a quoted text or name says; one without quotes says itself."""
    if text[:1] not in ("'", "`"):
        return text
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[1]), text[1:-1], flags=re.S)


def quoted(text: str) -> str:
    """A text as a literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """A name of a column as ClickHouse's SQL takes any."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
