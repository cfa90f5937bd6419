"""What differs between the code of two notebooks: cells paired by what they have in common, their lines side by side.

    >>> for change in changes(["a = 1", "b = 2"], ["a = 1", "b = 3", "c = 4"]):
    ...     print(change)
    CellChange(heading='cell 2', lines=(('b = 2', 'b = 3'),), left_out=0)
    CellChange(heading='new cell', lines=((None, 'c = 4'),), left_out=0)

It ends within a second or two whatever it is given: what would take longer is set side by side without a search for what
fits, and what is too much is counted, not shown.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from pulsebook.base.words import number as written
from pulsebook.base.words import say

EFFORT = 60_000  # for one comparison: pairs of equal lines that are looked at, and what searching long cells takes
PAIRS = 2_000  # of cells whose words are compared
CELLS, LINES, LINE = 200, 3_000, 1_000  # that are shown: cells, lines of all of them, characters of a line
WORDS, ALIKE = 300, 0.4  # words of a cell that count, the share of them that makes two cells one
Line = tuple[str | None, str | None]  # a line before and after; None where there is no such line
Pair = tuple[int | None, int | None]  # numbers of a cell before and after


@dataclass(frozen=True)
class CellChange:
    """A cell that differs."""

    heading: str  # cell 3 (its number before), new cell, removed cell
    lines: tuple[Line, ...]
    left_out: int = 0  # lines that are not among these


def changes(old: list[str], new: list[str]) -> list[CellChange]:
    """The cells that differ, in the order of the later notebook; what was removed stands where it stood."""
    found, room, effort = [], LINES, _Effort()
    pairs = []
    for start, end, begin, stop in _different(old, new, effort):
        pairs += _paired(old, new, range(start, end), range(begin, stop), effort)
    for number, (before, after) in enumerate(pairs):
        if room <= 0 or number == CELLS:
            return [*found, CellChange(say("{} more cells that differ", written(f"{len(pairs) - number:,}")), ())]
        lines = _lines("" if before is None else old[before], "" if after is None else new[after], effort)
        shown = tuple((_cut(left), _cut(right)) for left, right in lines[:room])
        found.append(CellChange(_heading(before, after), shown, len(lines) - len(shown)))
        room -= len(shown)
    return found


def aligned(old: list[str], new: list[str], shape: Callable[[str], str]) -> list[Line]:
    """Texts side by side: those of one shape belong together, and of the others those that are alike."""
    rows, before, after, effort = [], 0, 0, _Effort()
    for start, end, begin, stop in _different([*map(shape, old)], [*map(shape, new)], effort):
        rows += zip(old[before:start], new[after:begin], strict=True)
        pairs = _paired(old, new, range(start, end), range(begin, stop), effort)
        rows += [(None if a is None else old[a], None if b is None else new[b]) for a, b in pairs]
        before, after = end, stop
    return [*rows, *zip(old[before:], new[after:], strict=True)]


def _heading(before: int | None, after: int | None) -> str:
    if before is None:
        return say("new cell")
    return say("removed cell") if after is None else say("cell {}", before + 1)


class _Effort:
    """What a comparison may still take."""

    def __init__(self):
        self.alignment, self.pairs = EFFORT, PAIRS

    def aligns(self, old: list[str], new: list[str]) -> bool:
        """Whether a search for what is equal fits in; it may look at each pair of equal items again and again."""
        longest = max(len(old), len(new))
        if longest**2 // 20 > self.alignment:
            return False
        counts = Counter(new)
        cost = longest**2 // 20 + sum(counts[item] for item in old)
        self.alignment -= cost * (fits := cost <= self.alignment)
        return fits

    def compares(self, pairs: int) -> bool:
        """Whether so many pairs of cells can be compared by their words."""
        self.pairs -= pairs * (fits := pairs <= self.pairs)
        return fits


def _lines(before: str, after: str, effort: _Effort) -> list[Line]:
    old, new = before.splitlines(), after.splitlines()
    rows, at = [], 0
    for start, end, begin, stop in _different(old, new, effort):
        rows += [(line, line) for line in old[at:start]]
        both = min(end - start, stop - begin)
        rows += zip(old[start : start + both], new[begin : begin + both], strict=True)
        rows += [(line, None) for line in old[start + both : end]]
        rows += [(None, line) for line in new[begin + both : stop]]
        at = end
    return rows + [(line, line) for line in old[at:]]


def _different(old: list[str], new: list[str], effort: _Effort) -> list[tuple[int, int, int, int]]:
    """The ranges that differ: `old[start:end]` became `new[begin:stop]`."""
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    middle = old[first : len(old) - last], new[first : len(new) - last]
    if not any(middle):
        return []
    if not all(middle) or not effort.aligns(*middle):
        return [(first, len(old) - last, first, len(new) - last)]
    found = SequenceMatcher(None, *middle, autojunk=False).get_opcodes()
    return [tuple(first + at for at in places) for what, *places in found if what != "equal"]


def _common(old: list[str], new: list[str]) -> int:
    """How many items at the beginning are the same."""
    for at, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            return at
    return min(len(old), len(new))


def _paired(old: list[str], new: list[str], gone: range, come: range, effort: _Effort) -> list[Pair]:
    """Cells of two ranges, those paired that are alike, in order: the pairs with the most in common."""
    if not gone or not come or not effort.compares(len(gone) * len(come)):
        return [(at, None) for at in gone] + [(None, at) for at in come]
    words = {
        side: [_words(text[at]) for at in places] for side, text, places in (("old", old, gone), ("new", new, come))
    }
    best = [[0.0] * (len(come) + 1) for _ in range(len(gone) + 1)]  # of the cells from here on
    alike = [[_alike(a, b) for b in words["new"]] for a in words["old"]]
    for i in reversed(range(len(gone))):
        for j in reversed(range(len(come))):
            together = alike[i][j] + best[i + 1][j + 1] if alike[i][j] >= ALIKE else 0.0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(gone) and j < len(come):
        if alike[i][j] >= ALIKE and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            pairs.append((gone[i], come[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((gone[i], None))
            i += 1
        else:
            pairs.append((None, come[j]))
            j += 1
    return pairs + [(at, None) for at in gone[i:]] + [(None, at) for at in come[j:]]


def _words(source: str) -> Counter:
    return Counter(re.findall(r"\w+|[^\w\s]", source[: 20 * WORDS])[:WORDS])


def _alike(one: Counter, other: Counter) -> float:
    """The share of words that both have."""
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def _cut(line: str | None) -> str | None:
    if line is None or len(line) <= LINE:
        return line
    return line[:LINE] + say("… {} more characters", written(f"{len(line) - LINE:,}"))
