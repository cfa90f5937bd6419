"""Values on their way to a table: what a cell of a frame becomes, and the SQL that makes the column's value of it.

A cell travels as text: a mark, `=` for a value and `-` for NULL, and what `values.carrier` makes of it (for NULL that of
some value, since old servers compute also what `if` then leaves out). An Array's elements are cells again, each after a
separator that is nobody else's; a Tuple is an Array of its elements, a Map a Tuple of its keys and its values.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd

from pulsebook.warehouse import kinds
from pulsebook.warehouse.kinds import quoted
from pulsebook.warehouse.scalars import Wire, scalar
from pulsebook.warehouse.unfit import UnfitError, shown

NULL = "-"
SEPARATORS = "|;/!~^&@#$%"  # by depth; in no carried text
LISTS = (list, tuple, np.ndarray, pd.Series, pd.api.extensions.ExtensionArray)


def wire(kind: str, depth: int = 0, whole: Callable[[str], Wire] | None = None) -> Wire:
    """How values of a column of this type travel; `whole` says it where not by their elements."""
    bare, nullable = kinds.unwrapped(kind)
    name = kinds.kind(bare).name
    if depth >= len(SEPARATORS):
        raise UnfitError(f"{kind} lies {depth} levels deep, {len(SEPARATORS)} can be written")
    if whole:
        plain = whole(bare)
    elif name == "Array":
        plain = _array(bare, depth)
    elif name == "Tuple":
        plain = _tuple(bare, depth)
    elif name == "Map":
        plain = _map(bare, depth)
    else:
        plain = scalar(bare) or as_text(bare)
    return _marked(plain, kind, nullable)


def as_text(kind: str) -> Wire:
    """Values of any type as ClickHouse's own text of them, which is what `Warehouse.read` gives."""

    def encode(value) -> str:
        if not isinstance(value, str):
            raise UnfitError(f"{shown(value)} is {type(value).__name__}, and {kind} takes ClickHouse's text of a value")
        return value.encode("utf-8", "surrogateescape").hex()

    def decode(text: str) -> str:
        return f"CAST(unhex({text}), {quoted(kind)})"

    return Wire(encode, decode, lambda text: f"toString({decode(text)}) = unhex({text})", "")


def missing(value) -> bool:
    """None, NaN, NaT and NA."""
    return value.is_nan() if isinstance(value, Decimal) else pd.isna(value) is True


def _marked(plain: Wire, kind: str, nullable: bool) -> Wire:
    """From a carried text to a cell: the mark before it, and NULL."""

    def encode(value) -> str:
        if not missing(value):
            return "=" + plain.encode(value)
        if not nullable:
            raise UnfitError(f"{shown(value)} is NULL, and {kind} takes no NULL")
        return NULL + plain.blank

    def decode(cell: str) -> str:
        value = plain.decode(f"substring({cell}, 2)")
        return f"if({_is_null(cell)}, NULL, {value})" if nullable else value

    def check(cell: str) -> str:
        right = plain.check(f"substring({cell}, 2)")
        return f"({_is_null(cell)} OR {right})" if nullable else f"({right})"

    return Wire(encode, decode, plain.check and check, (NULL if nullable else "=") + plain.blank)


def _is_null(cell: str) -> str:
    return f"substring({cell}, 1, 1) = '{NULL}'"


def _parts(text: str, depth: int) -> str:
    return f"arrayPopFront(splitByChar('{SEPARATORS[depth]}', {text}))"


def _array(kind: str, depth: int) -> Wire:
    element, of = wire(kinds.kind(kind).arguments[0], depth + 1), f"x{depth}"

    def encode(value) -> str:
        if not isinstance(value, LISTS):
            raise UnfitError(f"{shown(value)} is {type(value).__name__}, and {kind} takes lists")
        return "".join(SEPARATORS[depth] + element.encode(v) for v in value)

    def decode(text: str) -> str:
        return f"arrayMap({of} -> {element.decode(of)}, {_parts(text, depth)})"

    def check(text: str) -> str:
        return f"arrayAll({of} -> {element.check(of)}, {_parts(text, depth)})"

    return Wire(encode, decode, element.check and check, "")


def _tuple(kind: str, depth: int) -> Wire:
    fields = kinds.fields(kinds.kind(kind))
    names, elements = [name for name, _ in fields], [wire(of, depth + 1) for _, of in fields]

    def encode(value) -> str:
        if isinstance(value, dict) and None not in names and value.keys() == set(names):
            value = [value[name] for name in names]
        if not isinstance(value, LISTS) or len(value) != len(elements):
            raise UnfitError(f"{shown(value)} does not fit into {kind}: it takes {len(elements)} values")
        return joined(e.encode(v) for e, v in zip(elements, value, strict=True))

    def joined(cells) -> str:
        return "".join(SEPARATORS[depth] + cell for cell in cells)

    def part(text: str, place: int) -> str:
        return f"splitByChar('{SEPARATORS[depth]}', {text})[{place + 2}]"

    def decode(text: str) -> str:
        values = ", ".join(e.decode(part(text, i)) for i, e in enumerate(elements))
        return f"CAST(tuple({values}), {quoted(kind)})"

    def check(text: str) -> str:
        return " AND ".join(e.check(part(text, i)) for i, e in enumerate(elements) if e.check)

    checked = any(e.check for e in elements)
    return Wire(encode, decode, check if checked else None, joined(e.blank for e in elements))


def _map(kind: str, depth: int) -> Wire:
    keys, values = kinds.kind(kind).arguments
    pair = _tuple(f"Tuple(Array({keys}), Array({values}))", depth)
    key = wire(keys)

    def encode(value) -> str:
        if isinstance(value, list) and all(isinstance(v, tuple) and len(v) == 2 for v in value):  # as pyarrow has them
            value = {k: v for k, v in value} if len({key.encode(k) for k, _ in value}) == len(value) else value
        if not isinstance(value, dict):
            raise UnfitError(f"{shown(value)} does not fit into {kind}: it takes dicts, each key once")
        if len({key.encode(k) for k in value}) < len(value):
            raise UnfitError(f"{shown(value)} does not fit into {kind}: two of its keys are the same there")
        return pair.encode([list(value), list(value.values())])

    return Wire(encode, lambda text: f"CAST({pair.decode(text)}, {quoted(kind)})", pair.check, pair.blank)
