"""Facts: what a notebook states for programs, in the same output that shows it to people.

>>> fact = Fact.of("2026-11-22", "views", "os=iOS", 120, "views")
>>> fact
Fact(period='2026-11-22', metric='views', slice='os=iOS', value=120, unit='views')
>>> Statement("iOS: 120 views", facts=[fact])  # in a notebook: `display` of it
iOS: 120 views
>>> read({"facts": [asdict(fact), {"metric": "damaged"}]}) == [fact]
True
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real

from pulsebook.base.texts import short

KIND = "application/vnd.pulsebook+json"  # of what is stated, among the forms of an output
MOST, LARGEST, NAME = 2_000, 200_000, 200  # facts of one notebook; their characters; characters of a name
EXACT = 2**64  # larger whole numbers are kept as floating-point ones


@dataclass(frozen=True)
class Fact:
    """A number of a day or slot. `slice`: of which part, such as `os=iOS`; empty: of all. `value`: None where it is not known."""

    period: str
    metric: str
    slice: str
    value: int | float | None
    unit: str = ""

    @classmethod
    def of(cls, period, metric, slice, value, unit="") -> "Fact":
        """A fact of anything that pandas or ClickHouse calls a number. What is no finite number is not known.

        Raises:
            TypeError: the value is no number.
        """
        return cls(named(period), named(metric), named(slice), _number(value, metric), named(unit))


_FIELDS = {field.name for field in fields(Fact)}


class Statement:
    """A text for people and what it states, as one output of a notebook; without a notebook, `display` prints the text."""

    def __init__(self, text: str, html: str = "", **stated):
        self.text, self.html = text, html
        self.stated = stated | {"facts": [asdict(fact) for fact in stated["facts"]]} if "facts" in stated else stated

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """The forms of the output, as IPython asks for them."""
        return {"text/plain": self.text, KIND: self.stated} | ({"text/html": self.html} if self.html else {})


def read(stated) -> list[Fact]:
    """The facts of what an output states, whatever it holds: what is no fact is passed over."""
    given = stated.get("facts") if isinstance(stated, dict) else None
    return [Fact(**one) for one in given[:MOST] if _is_fact(one)] if isinstance(given, list) else []


def within(found: Iterable[Fact]) -> list[Fact]:
    """As many of some facts, from the first, as a notebook keeps."""
    kept, room = [], LARGEST
    for fact in found:
        room -= len(json.dumps(asdict(fact)))
        if len(kept) == MOST or room < 0:
            break
        kept.append(fact)
    return kept


def named(given) -> str:
    """A name as facts have it: on one line, short, with nothing that a file cannot hold. What had to be changed for that ends
    with a checksum: different names stay different."""
    text = str(given)
    if (name := short(text, NAME)) == text:
        return name
    return f"{name}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _number(value, of) -> int | float | None:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Integral) or type(value).__name__ in ("bool", "bool_"):
        if abs(int(value)) <= EXACT:
            return int(value)
    elif not isinstance(value, Real) and type(value).__name__ != "Decimal":
        raise TypeError(f"a fact is a number; {of} is {value!r:.80}")
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_fact(given) -> bool:
    if not isinstance(given, dict) or given.keys() != _FIELDS:
        return False
    texts = [given[name] for name in ("period", "metric", "slice", "unit")]
    value = given["value"]
    known = type(value) is int and abs(value) <= EXACT or type(value) is float and math.isfinite(value)
    return (value is None or known) and all(isinstance(text, str) and len(text) <= NAME + 9 for text in texts)
