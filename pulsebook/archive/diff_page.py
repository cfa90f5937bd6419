"""The comparison of two runs as a page: side by side, one file that needs nothing else."""

import html
from itertools import groupby
from urllib.parse import quote

from pulsebook.archive import diff
from pulsebook.archive.diff import Change, Comparison
from pulsebook.archive.figures import moved
from pulsebook.archive.page import facts_of, outcome, page
from pulsebook.archive.record import Record

AROUND = 3  # unchanged lines shown beside a changed one
Row = tuple[str | None, str | None]  # markup of a line before and after; None where there is no such line


def render(found: Comparison, links: tuple[str, str] = ("", "")) -> str:
    """The page of a comparison.

    Args:
        links: addresses of the earlier and the later run's page.
    """
    name = found.later.path.stem.rpartition("-try")[0]
    runs = (found.earlier, found.later)
    sides = "".join(_side(*side) for side in zip(("before", "after"), runs, links, strict=True))
    about = "".join(f"<section>{facts_of(record)}</section>" for record in runs)
    return page(
        f"{name} · {found.earlier.period} and {found.later.period}",
        f"<header><h1>{html.escape(name)}: two runs compared</h1></header><div class=sides>{sides}</div>",
        _parameters(found),
        _numbers(found),
        _pictures(found),
        f"<h2>Code</h2>{_code(found) if found.code else '<p class=same>The code is the same.</p>'}",
        f"<footer><h2>About these runs</h2><div class=sides>{about}</div></footer>",
    )


def links(earlier: Record, later: Record) -> tuple[str, str]:
    """The addresses of both runs' pages as seen from the later one's folder; both are of the same DAG."""
    parts = [quote(part, safe="") for part in earlier.html.parts[-3:]]
    return f"../../{'/'.join(parts)}", quote(later.html.name, safe="")


def _side(word: str, record: Record, link: str) -> str:
    address = f"<p><a href='{html.escape(link)}'>executed notebook</a></p>" if link else ""
    return f"<section><h3>{word}</h3>{outcome(record)}{address}</section>"


def _parameters(found: Comparison) -> str:
    if not found.parameters:
        return ""
    return f"<h2>Parameters</h2>{_table(found.parameters)}"


def _numbers(found: Comparison) -> str:
    if not found.numbers:
        return "<h2>Numbers of the summaries</h2><p class=same>Neither summary shows a number.</p>"
    both = [c for c in found.numbers if None not in (c.before, c.after)]
    parts = [f"<h2>Numbers of the summaries</h2><p class=same>{diff.count(found.numbers)}</p>"]
    parts += [_table([c for c in both if not c.same])]
    for title, rest in (
        ("the same", [c for c in both if c.same]),
        ("in one of them only", [c for c in found.numbers if c not in both]),
    ):
        if rest:
            parts.append(f"<details><summary>{len(rest)} {title}</summary>{_table(rest)}</details>")
    return "".join(parts)


def _table(changes: list[Change]) -> str:
    if not changes:
        return ""
    rows = "".join(_row(change) for change in changes)
    return f"<div class='wide left'><table><thead><tr><th></th><th>before</th><th>after</th><th>change</th></tr></thead>{rows}</table></div>"


def _row(change: Change) -> str:
    said = moved(change.before, change.after)
    kind = "" if change.same else " class=changed"
    sign = " class=up" if said.startswith("+") else " class=down" if said else ""
    before, after = (html.escape("–" if text is None else text) for text in (change.before, change.after))
    return f"<tr><th>{html.escape(change.label)}</th><td>{before}</td><td{kind}>{after}</td><td{sign}>{said}</td></tr>"


def _pictures(found: Comparison) -> str:
    if not found.pictures:
        return ""
    parts = []
    for picture in found.pictures:
        note = " <span class=same>(the same)</span>" if picture.same else ""
        sides = "".join(
            f"<div><img src='{data}' alt=''></div>" if data else "<div class=same>no such picture</div>"
            for data in (picture.before, picture.after)
        )
        parts.append(f"<h3>{html.escape(picture.label)}{note}</h3><div class='sides output'>{sides}</div>")
    return f"<h2>Pictures</h2>{''.join(parts)}"


def _code(found: Comparison) -> str:
    parts = []
    for heading, rows in _cells(found):
        shown = "".join(_line(row) for row in _without_distant(rows))
        parts.append(f"<h3>{html.escape(heading)}</h3><div class=wide><table class=diff>{shown}</table></div>")
    return "".join(parts)


def _line(row: Row | None) -> str:
    if row is None:
        return "<tr class=gap><td>⋯</td><td>⋯</td></tr>"
    left, right = (text or "" for text in row)
    return f"<tr><td>{left}</td><td>{right}</td></tr>"


def _cells(found: Comparison) -> list[tuple[str, list[Row]]]:
    """The cells that differ: where, and their lines side by side."""
    old, cells = found.sources[0].cells, []
    for op in found.code:
        if op.op == "addrange":
            cells += [
                ("new cell", [(None, _mark("ins", line)) for line in cell.source.splitlines()]) for cell in op.valuelist
            ]
        elif op.op == "removerange":
            removed = old[op.key : op.key + op.length]
            cells += [
                ("removed cell", [(_mark("del", line), None) for line in cell.source.splitlines()]) for cell in removed
            ]
        else:
            (source,) = (inner for inner in op.diff if inner.key == "source")
            cells.append((f"cell {op.key + 1}", _lines(old[op.key].source.splitlines(keepends=True), source)))
    return cells


def _lines(old: list[str], source) -> list[Row]:
    """The lines of a cell whose source nbdime has compared."""
    if source.op == "replace":
        removed = [(_mark("del", line), None) for line in old]
        return removed + [(None, _mark("ins", line)) for line in source.value.splitlines()]
    rows, at = [], 0
    for op in source.diff:
        rows += [(html.escape(line), html.escape(line)) for line in old[at : op.key]]
        at = op.key
        if op.op == "addrange":
            rows += [(None, _mark("ins", line)) for line in op.valuelist]
        elif op.op == "removerange":
            rows += [(_mark("del", line), None) for line in old[at : at + op.length]]
            at += op.length
        else:
            rows.append(_within(old[at], op.diff))
            at += 1
    return rows + [(html.escape(line), html.escape(line)) for line in old[at:]]


def _within(line: str, ops: list) -> Row:
    """A changed line: what was taken out marked on the left, what was put in on the right."""
    left = right = ""
    at = 0
    for op in ops:
        left, right = left + html.escape(line[at : op.key]), right + html.escape(line[at : op.key])
        at = op.key
        if op.op == "addrange":
            right += _mark("ins", "".join(op.valuelist))
        else:
            left += _mark("del", line[at : at + op.length])
            at += op.length
    return left + html.escape(line[at:]), right + html.escape(line[at:])


def _mark(tag: str, text: str) -> str:
    return f"<{tag}>{html.escape(text)}</{tag}>"


def _without_distant(rows: list[Row]) -> list[Row | None]:
    """The rows with None in place of unchanged ones that are far from every change."""
    changed = [n for n, (left, right) in enumerate(rows) if left != right]
    near = {n for at in changed for n in range(at - AROUND, at + AROUND + 1)}
    shown = []
    for kept, group in groupby(enumerate(rows), key=lambda numbered: numbered[0] in near):
        shown += [row for _, row in group] if kept else [None]
    return shown
