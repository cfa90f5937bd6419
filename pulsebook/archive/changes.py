"""What changed between two tries, one thing at a time: paired by name, facts by how much it matters.

>>> from pulsebook.base.facts import Fact
>>> old, new = [Fact("21", "views", "", 1200), Fact("21", "ctr", "", 0.2, "%")], [Fact("22", "views", "", 1500)]
>>> for change in of_facts(old, new):
...     print(change.label, change.before, change.after, change.moved)
ctr 20 % None vanished
views 1,200 1,500 +300 (+25 %)
"""

import math
from dataclasses import dataclass

from pulsebook.archive import scraped
from pulsebook.archive.labels import called
from pulsebook.base.facts import Fact
from pulsebook.base.words import number, say

MISSING = "–"
SAME = 1e-9  # broken numbers that differ by less, as a share, are the same: sums in another order


@dataclass(frozen=True)
class Change:
    """One thing in two tries, as shown there (a picture: its `data:` address); None where it is absent."""

    label: str
    before: str | None
    after: str | None
    same: bool
    moved: str = ""  # by how much, or that it appeared or vanished; empty where that cannot be said

    @property
    def one_sided(self) -> bool:
        return None in (self.before, self.after)


def of_texts(old: dict[str, str], new: dict[str, str]) -> list[Change]:
    """Things as written, by label: what both hold, in the order of the later one; what only the earlier one holds stands
    after what it stood after."""
    after, last = {}, None  # by a label of the later one: what follows it in the earlier one only
    for label in old:
        if label in new:
            last = label
        else:
            after.setdefault(last, []).append(label)
    labels = after.get(None, [])
    for label in new:
        labels += [label, *after.get(label, [])]
    return [_of_text(label, old.get(label), new.get(label)) for label in labels]


def _of_text(label: str, before: str | None, after: str | None) -> Change:
    value = scraped.value(before or "")
    same = before == after or (value is not None and value == scraped.value(after or ""))
    moved = say("appeared") if before is None else say("vanished") if after is None else scraped.moved(before, after)
    return Change(label, before, after, same, moved)


def of_facts(old: list[Fact], new: list[Fact]) -> list[Change]:
    """Facts by name, those first that matter most: a metric that appeared or vanished, then what moved furthest.

    A move is measured against the largest value of its metric, in whichever part: of a slice it counts as much as it is of all.
    """
    before, after = _by_name(old), _by_name(new)
    largest: dict[str, float] = {}
    for fact in (*old, *new):
        largest[fact.metric] = max(largest.get(fact.metric, 0), abs(fact.value or 0))
    weighed = []
    for name in dict.fromkeys((*after, *before)):
        sides = before.get(name), after.get(name)
        weighed.append((_weight(*sides, largest[name[0]]), _of_fact(called(*name), *sides)))
    return [change for _, change in sorted(weighed, key=lambda found: -found[0])]


def _by_name(facts: list[Fact]) -> dict[tuple[str, ...], Fact]:
    """Facts by metric and part, and by period where that is another one than the first one's."""
    return {(f.metric, f.slice, *([f.period] if f.period != facts[0].period else ())): f for f in facts}


def _weight(before: Fact | None, after: Fact | None, largest: float) -> float:
    known = before or after
    if None in (before, after) and not known.slice:
        return math.inf
    old, new = ((fact.value if fact else None) or 0 for fact in (before, after))
    return abs(new - old) / largest if largest else 0.0


def _of_fact(label: str, before: Fact | None, after: Fact | None) -> Change:
    if before is None:
        return Change(label, None, _shown(after), False, say("appeared"))
    if after is None:
        return Change(label, _shown(before), None, False, say("vanished"))
    old, new = before.value, after.value
    if None in (old, new):
        return Change(label, _shown(before), _shown(after), old == new)
    exact = isinstance(old, int) and isinstance(new, int)
    if old == new or not exact and math.isclose(old, new, rel_tol=SAME):
        return Change(label, _shown(before), _shown(after), True)
    size = 100 if after.unit == "%" else 1
    share = f" ({_signed((new - old) / abs(old) * 100, 3)} %)" if old else ""
    moved = _signed((new - old) * size, 4)
    moved = say("{} pp", moved) if size > 1 else moved
    return Change(label, _shown(before, new), _shown(after, old), False, f"{moved}{share}")


def _shown(fact: Fact, beside: float | None = None) -> str:
    """A value as it is shown: rounded, unless it would then read as the one beside it."""
    if fact.value is None:
        return MISSING
    shown = _written(fact.value, fact.unit)
    return shown if beside is None or shown != _written(beside, fact.unit) else number(repr(fact.value))


def _written(value: float, unit: str) -> str:
    if unit == "%":
        return f"{_rounded(value * 100, 4)} %"
    return number(f"{value:,}") if isinstance(value, int) else _rounded(value, 6)


def _rounded(value: float, digits: int) -> str:
    """A number with so many digits that tell, and all of those before the point."""
    return number(f"{value:,.0f}" if 10 ** (digits - 1) <= abs(value) < 1e15 else f"{value:.{digits}g}")


def _signed(change: float, digits: int) -> str:
    return f"{'+' if change > 0 else '-'}{_rounded(abs(change), digits)}"
