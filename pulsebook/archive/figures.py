"""The numbers that a notebook's summary shows, each under a label that the same number has in another run.

    figures(notebook)              # {"users": "18,321", "views · female": "54213", …}
    moved("18,321", "18,900")      # "+579 (+3.2 %)"

In text a number is labelled by the words around it, up to the next comma or semicolon; in a table by its row and column.
Dates and times are no numbers: they differ from run to run.
"""

import itertools
import re
from html.parser import HTMLParser

from nbformat import NotebookNode

from pulsebook.archive.notebook import summary

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[\d:.+]*)?:?|\b\d\d:\d\d(?::\d\d)?\b:?")
_NUMBER = re.compile(
    r"(?<![\w.\-−])[-+−]?(?:\d{1,3}(?:[,\u00a0\u202f]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?)(?:e[-+]\d+)?(?:\s?%)?(?![\w%])"
)
_NOTHING = ("", "NaN", "None", "<NA>", "NaT", "–")


def figures(notebook: NotebookNode) -> dict[str, str]:
    """Numbers of the summary by label, as written. What a table shows for a missing number counts too."""
    found = {}
    for output in (output for cell in summary(notebook) for output in cell.get("outputs", [])):
        data = output.get("data", {})
        pairs = _of_table(data["text/html"]) if "<table" in data.get("text/html", "") else None
        for label, number in _of_text(output.get("text") or data.get("text/plain", "")) if pairs is None else pairs:
            labels = itertools.chain([label], (f"{label} ({n})" for n in itertools.count(2)))
            found[next(free for free in labels if free not in found)] = number
    return found


def value(text: str) -> float | None:
    """A number as written, as a number; None for anything else."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    bare = re.sub(r"[\s\u00a0\u202f%]", "", text).replace("−", "-")
    return float(re.sub(r",(?=\d{3}(?:\D|$))", "", bare).replace(",", "."))


def moved(before: str | None, after: str | None) -> str:
    """How a number changed; empty where that cannot be said."""
    old, new = value(before or ""), value(after or "")
    if old is None or new is None or old == new:
        return ""
    if "%" in (after or ""):
        return f"{_signed(new - old)} pp"
    share = f" ({_signed(round((new - old) / abs(old) * 100, 1))} %)" if old else ""
    return f"{_signed(new - old)}{share}"


def _signed(change: float) -> str:
    return f"{change:+,.0f}" if change == int(change) else f"{change:+,.4g}"


def _of_text(text: str) -> list[tuple[str, str]]:
    found = []
    for part in re.split(r"[,;]\s+|\n", _DATE.sub("", text)):
        for number in _NUMBER.finditer(part):
            before, after = (_NUMBER.sub("…", side) for side in (part[: number.start()], part[number.end() :]))
            label = " ".join(f"{before} # {after}".split())
            found.append((label.removeprefix("# ").removesuffix(" #"), number[0]))
    return found


def _of_table(markup: str) -> list[tuple[str, str]]:
    """Cells of a data frame. Its own index labels the rows; where that only counts, the columns of text do."""
    table = _Table()
    table.feed(markup)
    names = [" ".join(filter(None, dict.fromkeys(column))) for column in zip(*table.head, strict=False)]
    rows = [dict(enumerate(row)) for row in table.body if len(row) == len(names)]
    if not rows:
        return []
    keys = list(range(table.labels))
    if [row[0] for row in rows] == [str(n) for n in range(len(rows))]:
        keys = _keys(rows, list(range(table.labels, len(names))))
    shown = [key for key in keys if len({row[key] for row in rows}) > 1]
    values = [at for at in range(table.labels, len(names)) if at not in keys]
    found = []
    for row in rows:
        label = " ".join(filter(None, (row[key] for key in shown)))
        for at in values:
            if value(row[at]) is not None or row[at] in _NOTHING or row[at] in ("True", "False"):
                name = "" if len(values) == 1 and value(names[at]) is not None else names[at]
                found.append((" · ".join(filter(None, (label, name))) or "#", row[at]))
    return found


def _keys(rows: list[dict], columns: list[int]) -> list[int]:
    """The columns that tell rows apart: all of text, and from the left as many others as it takes."""

    def is_text(at: int) -> bool:
        return any(value(row[at]) is None and row[at] not in (*_NOTHING, "True", "False") for row in rows)

    keys = [at for at in columns if is_text(at)]
    for at in (at for at in columns if at not in keys):
        if len({tuple(row[key] for key in keys) for row in rows}) == len(rows):
            break
        keys.append(at)
    return sorted(keys)


class _Table(HTMLParser):
    """The first table of a data frame's HTML: rows of texts; `labels` counts the columns of its index."""

    def __init__(self):
        super().__init__()
        self.head, self.body, self.labels = [], [], 0
        self._row, self._cell, self._in_head, self._below, self._over = None, None, False, {}, False

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "thead":
            self._in_head = True
        elif tag == "tr":
            self._row, self._headers = [], 0
            self._carry()
        elif tag in ("td", "th") and self._row is not None:
            self._cell, self._is_header = "", tag == "th"
            self._span, self._rows = int(given.get("colspan", 1)), int(given.get("rowspan", 1))

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag == "thead":
            self._in_head = False
        elif tag == "table":
            self._over = True
        elif tag in ("td", "th") and self._cell is not None:
            if self._rows > 1:
                self._below[len(self._row)] = [self._rows - 1, self._cell.strip()]
            self._headers += self._is_header
            self._row += [self._cell.strip()] * self._span
            self._cell = None
            self._carry()
        elif tag == "tr" and self._row is not None and not self._over:
            (self.head if self._in_head else self.body).append(self._row)
            if not self._in_head:
                self.labels = max(self.labels, self._headers)
            self._row = None

    def _carry(self):
        """Put in what a cell of an earlier row spans."""
        while (below := self._below.get(len(self._row))) and below[0]:
            below[0] -= 1
            self._headers += 1
            self._row.append(below[1])
