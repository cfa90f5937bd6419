"""The table that a data frame's HTML shows, as rows of texts, within bounds: what a cell claims to span is a claim of the data."""

import html
import re
from dataclasses import dataclass, field

from pulsebook.archive.htmltokens import Token, tokens

CELLS, COLUMNS, TEXT = 20_000, 200, 1_000  # of one table that are read; characters of a cell
MARKUP = 2_000_000  # characters of HTML that are looked at
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass
class Table:
    """Rows of texts; a cell that spans several places stands in each. `labels` counts the columns of the index."""

    head: list[list[str]] = field(default_factory=list)
    body: list[list[str]] = field(default_factory=list)
    labels: int = 0
    cut: bool = False  # there was more than is read


def first_table(markup: str) -> Table:
    """The first table of some HTML; empty where there is none."""
    reader = _Reader()
    for token in tokens(markup[:MARKUP]):
        if reader.over or reader.table.cut:
            break
        reader.take(token)
    reader.table.cut |= not reader.over and len(markup) > MARKUP
    return reader.table


class _Reader:
    def __init__(self):
        self.table, self.over = Table(), False
        self._row, self._cell, self._in_head, self._below, self._cells = None, None, False, {}, 0

    def take(self, token: Token) -> None:
        name = token.name
        if token.kind == "text" and self._cell is not None:
            self._cell += html.unescape(token.source[: 10 * TEXT])[: max(0, TEXT - len(self._cell))]
        elif token.kind == "open" and name == "thead":
            self._in_head = True
        elif token.kind == "open" and name == "tr":
            self._row, self._headers = [], 0
            self._cells += 1  # a row without cells is no end either
            self.table.cut |= self._cells >= CELLS
            self._carry()
        elif token.kind == "open" and name in ("td", "th") and self._row is not None:
            self._cell, self._is_header = "", name == "th"
            self._span, self._rows = (_span(token.attributes.get(of)) for of in ("colspan", "rowspan"))
        elif token.kind == "close":
            self._close(name)

    def _close(self, name: str) -> None:
        if name == "thead":
            self._in_head = False
        elif name == "table":
            self.over = True
        elif name in ("td", "th") and self._cell is not None:
            if self._rows > 1:
                self._below[len(self._row)] = [self._rows - 1, self._cell.strip()]
            self._headers += self._is_header
            self._put(self._cell.strip(), self._span)
            self._cell = None
            self._carry()
        elif name == "tr" and self._row is not None:
            (self.table.head if self._in_head else self.table.body).append(self._row)
            if not self._in_head:
                self.table.labels = max(self.table.labels, self._headers)
            self._row = None

    def _carry(self) -> None:
        """Put in what a cell of an earlier row spans."""
        while not self.table.cut and (below := self._below.get(len(self._row))) and below[0]:
            below[0] -= 1
            self._headers += 1
            self._put(below[1], 1)

    def _put(self, text: str, times: int) -> None:
        room = min(COLUMNS - len(self._row), CELLS - self._cells)
        self.table.cut |= times > room
        self._row += [text] * min(times, room)
        self._cells += min(times, room)


def _span(given: str | None) -> int:
    """How many places a cell takes: 1 where that is no number of them."""
    found = _WHOLE.match((given or "").strip())
    return max(1, int(found[0])) if found and found[0] == given.strip() else 1
