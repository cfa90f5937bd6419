"""What differs between the messages of two tries: their lines side by side. Lines that differ in numbers alone belong together.

>>> (found,) = changes(["<b>Feed</b>\\nDAU: 612\\nCTR: 20 %"], ["<b>Feed</b>\\nDAU: 650"])
>>> found.lines
[('Feed', 'Feed'), ('DAU: 612', 'DAU: 650'), ('CTR: 20 %', None)]
>>> found.count
'1 vanished, 1 differs, 1 the same'
"""

import html
import re
from dataclasses import dataclass

from pulsebook.archive.code_diff import Line, aligned
from pulsebook.base.words import say

LINES = 500  # of one message that are compared
_NUMBER = re.compile(r"[▲▼=＝]?\s?[-+−]?\d[\d.,:\u00a0\u202f]*(?:\s?(?:%|pp|п\.п\.))?|–")


@dataclass(frozen=True)
class MessageChange:
    """A message in two tries: its lines, None where there is no such line."""

    lines: list[Line]

    @property
    def same(self) -> bool:
        return all(before == after for before, after in self.lines)

    @property
    def count(self) -> str:
        """How many lines appeared, vanished, differ, are the same."""
        came, gone = (sum(line[at] is None for line in self.lines) for at in (0, 1))
        same = sum(before == after for before, after in self.lines)
        differ = len(self.lines) - came - gone - same
        differing = say("{} differs" if differ == 1 else "{} differ", differ)
        said = {
            say("{} appeared", came): came,
            say("{} vanished", gone): gone,
            differing: differ,
            say("{} the same", same): same,
        }
        return ", ".join(words for words, number in said.items() if number)


def changes(old: list[str], new: list[str]) -> list[MessageChange]:
    """Messages, as Telegram's HTML, paired by what they have in common, in the order of the later try."""
    pairs = aligned([*map(_plain, old)], [*map(_plain, new)], _shape)
    return [MessageChange(aligned(_lines(before), _lines(after), _shape)) for before, after in pairs]


def _plain(message: str) -> str:
    """The text of a message, without its marks and with its links' words alone."""
    return html.unescape(re.sub(r"<[^<>]*>", "", message))


def _lines(message: str | None) -> list[str]:
    return [line.rstrip() for line in (message or "").splitlines()[:LINES] if line.strip()]


def _shape(text: str) -> str:
    return _NUMBER.sub("#", text)
