"""What is read of a notebook that states no facts, as versions of before wrote them: out of the text and tables that it shows.

The numbers of its summary, each under a label that the same number has in another try.

    >>> from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
    >>> shown = new_output("stream", text="18,321 users, CTR 21.3 %")
    >>> figures(new_notebook(cells=[new_markdown_cell("## Summary"), new_code_cell(outputs=[shown])]))
    {'users': '18,321', 'CTR': '21.3 %'}
    >>> moved("18,321", "18,900")
    '+579 (+3.2 %)'

In text a number is labelled by the words around it, up to the next comma or semicolon; in a table by its row and column.
Dates and times are no numbers: they differ from try to try.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from nbformat import NotebookNode

from pulsebook.archive.document import text
from pulsebook.archive.notebook import bundle, outputs, summary, text_of
from pulsebook.archive.scraped.tables import first_table
from pulsebook.base import words

NUMBERS, TEXT = 2_000, 200_000  # numbers of one notebook that are read; characters of one output
HEAD = 100_000  # characters of an output in which a headline is looked for
AROUND = 200  # characters beside a number that can be its label
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[\d:.+]*)?:?|\b\d\d:\d\d(?::\d\d)?\b:?")
_NUMBER = re.compile(
    r"(?<![\w.\-−])[-+−]?(?:\d{1,3}(?:[,\u00a0\u202f]\d{3}){1,10}(?:\.\d+)?|\d+(?:[.,]\d+)?)(?:e[-+]\d+)?(?:\s?%)?(?![\w%])"
)
_MESSAGE = re.compile(r"<p style='white-space: pre-wrap'>(.*)</p>", re.S)  # as `preview` showed one
_NOTHING = ("", "NaN", "None", "<NA>", "NaT", "–")


def figures(notebook: NotebookNode) -> dict[str, str]:
    """Numbers of the summary by label, as written. What a table shows for a missing number counts too."""
    return read(notebook)[0]


def read(notebook: NotebookNode) -> tuple[dict[str, str], str]:
    """The same, and what was left out of it: a sentence, or nothing."""
    found, seen, left_out = {}, Counter(), ""
    for output in (output for cell in summary(notebook) for output in cell.get("outputs", [])):
        pairs, cut = _of_output(output)
        if cut:
            left_out = words.say("A long output of the summary is read in part.")
        for label, number in pairs:
            if len(found) == NUMBERS:
                return found, words.say(
                    "Only the first {} numbers of the summary are compared.", words.number(f"{NUMBERS:,}")
                )
            seen[label] += 1
            while (free := label if seen[label] == 1 else f"{label} ({seen[label]})") in found:
                seen[label] += 1
            found[free] = number
    return found, left_out


def headline(notebook: NotebookNode) -> str | None:
    """The first line of text that the summary shows, at most 300 characters."""
    for output in (output for cell in summary(notebook) for output in outputs(cell)):
        shown = text_of(output)
        if lines := [line for line in shown[:HEAD].splitlines() if line.strip()]:
            return lines[0].strip()[:300]
    return None


def message(output: NotebookNode) -> str | None:
    """The message to the chat that an output shows; None where it shows none."""
    found = _MESSAGE.fullmatch(text(bundle(output).get("text/html", "")))
    return found[1] if found else None


def value(text: str) -> float | None:
    """A number as written, as a number; None for anything else, and for what is too large to be one."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    bare = re.sub(r"[\s\u00a0\u202f%]", "", text).replace("−", "-")
    number = float(re.sub(r",(?=\d{3}(?:\D|$))", "", bare).replace(",", "."))
    return number if math.isfinite(number) else None


def moved(before: str | None, after: str | None) -> str:
    """How a number changed; empty where that cannot be said."""
    old, new = value(before or ""), value(after or "")
    if old is None or new is None or old == new:
        return ""
    if "%" in (after or ""):
        return words.say("{} pp", _signed(new - old))
    share = f" ({_signed(round((new - old) / abs(old) * 100, 1))} %)" if old else ""
    return f"{_signed(new - old)}{share}"


def _signed(change: float) -> str:
    return words.number(f"{change:+,.0f}" if change == int(change) else f"{change:+,.4g}")


def _of_output(output: NotebookNode) -> tuple[Iterator[tuple[str, str]], bool]:
    """Labels and numbers of an output, and whether it is longer than what is read."""
    markup = bundle(output).get("text/html")
    if markup and "<table" in (markup := text(markup)):
        return _of_table(markup)
    plain = text_of(output)
    return _of_text(plain[:TEXT]), len(plain) > TEXT


def _of_text(plain: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"[,;]\s+|\n", _DATE.sub("", plain)):
        for number in _NUMBER.finditer(part):
            start, end = number.span()
            before = _NUMBER.sub("…", part[max(0, start - AROUND) : start])
            after = _NUMBER.sub("…", part[end : end + AROUND])
            label = " ".join(f"{before} # {after}".split())
            yield label.removeprefix("# ").removesuffix(" #"), number[0]


def _of_table(markup: str) -> tuple[list[tuple[str, str]], bool]:
    """Cells of a data frame. Its own index labels the rows; where that only counts, the columns of text do."""
    table = first_table(markup)
    names = [" ".join(filter(None, dict.fromkeys(column))) for column in zip(*table.head, strict=False)]
    rows = [dict(enumerate(row)) for row in table.body if len(row) == len(names)]
    if not rows:
        return [], table.cut
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
    return found, table.cut


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
