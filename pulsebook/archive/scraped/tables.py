"""The table that a data frame's HTML shows, as rows of texts, within bounds: what a cell claims to span is a claim of the data."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import nh3

from pulsebook.archive.steep import is_steep

CELLS, COLUMNS, TEXT = 20_000, 200, 1_000  # of one table that are read; characters of a cell
MARKUP = 2_000_000  # characters of HTML that are looked at
_PART = 50_000  # characters that are read before looking whether that is enough
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass
class Table:
    """Rows of texts; a cell that spans several places stands in each. `labels` counts the columns of the index."""

    head: list[list[str]] = field(default_factory=list)
    body: list[list[str]] = field(default_factory=list)
    labels: int = 0
    cut: bool = False  # there was more than is read


def first_table(markup: str) -> Table:
    """The first table of some HTML; empty where there is none, or where it cannot be read in time (then it is `cut`)."""
    start = markup.find("<table")
    head = markup[max(0, start) :][:MARKUP]
    reader = _Reader()
    if is_steep(head):
        return Table(cut=True)
    whole = nh3.clean(
        head,
        tags={"table", "thead", "tbody", "tfoot", "tr", "td", "th"},
        clean_content_tags={"script", "style", "title"},
        attributes={"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
    )  # what is left of it takes Python's parser time in proportion to its length
    for at in range(0, len(whole), _PART):
        if reader.over or reader.table.cut:
            break
        reader.feed(whole[at : at + _PART])
    reader.table.cut |= not reader.over and len(markup) > MARKUP
    return reader.table


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.table, self.over = Table(), False
        self._row, self._cell, self._in_head, self._below, self._cells = None, None, False, {}, 0

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell += data[: max(0, TEXT - len(self._cell))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.over or self.table.cut:
            return
        if tag == "thead":
            self._in_head = True
        elif tag == "tr":
            self._row, self._headers = [], 0
            self._cells += 1  # a row without cells is no end either
            self.table.cut |= self._cells >= CELLS
            self._carry()
        elif tag in ("td", "th") and self._row is not None:
            self._cell, self._is_header = "", tag == "th"
            self._span, self._rows = (_span(dict(attrs).get(of)) for of in ("colspan", "rowspan"))

    def handle_endtag(self, tag: str) -> None:
        if not self.over and not self.table.cut:
            self._close(tag)

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
