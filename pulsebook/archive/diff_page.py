"""The comparison of two tries as a page: side by side, one file that needs nothing else."""

import html
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby
from urllib.parse import quote

from pulsebook.archive import diff
from pulsebook.archive.code_diff import CellChange, Line
from pulsebook.archive.diff import Change, Comparison, shown
from pulsebook.archive.page import facts_of, outcome, page, try_of
from pulsebook.archive.record import Record
from pulsebook.archive.surroundings import note
from pulsebook.base.names import step_of
from pulsebook.base.words import number as written
from pulsebook.base.words import say

FIRST = 40  # numbers that changed, shown at once
AROUND = 3  # unchanged lines shown beside a changed one
WITHIN, WORDS = 60_000, 80  # pairs of words that are compared to mark changes within lines; words of such a line


def render(found: Comparison, links: tuple[str, str] = ("", "")) -> str:
    """The page of a comparison.

    Args:
        links: addresses of the earlier and the later try's page.
    """
    name = step_of(found.later.path.stem)
    tries = (found.earlier, found.later)
    sides = "".join(_side(*side) for side in zip((say("before"), say("after")), tries, links, strict=True))
    about = "".join(f"<section>{facts_of(record)}</section>" for record in tries)
    return page(
        say("{} · {} and {}", name, found.earlier.period, found.later.period),
        f"<h1>{say('{}: two runs compared', html.escape(name))}</h1>",
        f"<div class=sides>{sides}</div>",
        "".join(note(sentence) for sentence in found.left_out),
        _parameters(found),
        _numbers(found),
        _messages(found),
        _pictures(found),
        f"<h2>{say('Catalogue')}</h2>{_code(found.catalogue)}" if found.catalogue else "",
        f"<h2>{say('Code')}</h2>{_code(found.code) if found.code else _same('The code is the same.')}",
        footer=f"<h2>{say('About these runs')}</h2><div class=sides>{about}</div>",
    )


def links(earlier: Record, later: Record) -> tuple[str, str]:
    """The addresses of both tries' pages as seen from the later one's folder; both are of the same DAG."""
    parts = [quote(part, safe="") for part in earlier.html.parts[-3:]]
    return f"../../{'/'.join(parts)}", quote(later.html.name, safe="")


def _side(word: str, record: Record, link: str) -> str:
    address = f"<p><a href='{html.escape(link)}'>{say('executed notebook')}</a></p>" if link else ""
    return f"<section><h2>{word}</h2>{outcome(record)}<p>{html.escape(try_of(record))}</p>{address}</section>"


def _same(sentence: str) -> str:
    return f"<p class=same>{say(sentence)}</p>"


def _parameters(found: Comparison) -> str:
    if not found.parameters:
        return ""
    return f"<h2>{say('Parameters')}</h2>{_table(found.parameters)}"


def _numbers(found: Comparison) -> str:
    title = say("Facts") if found.by_facts else say("Numbers of the summaries")
    if not found.numbers:
        return f"<h2>{title}</h2>{_same('There is no number to compare.')}"
    same = [c for c in found.numbers if c.same]
    parts = [f"<h2>{title}</h2><p class=same>{diff.count(found.numbers)}</p>"]
    changed = [c for c in found.numbers if not c.same]
    parts.append(_table(changed[:FIRST]))
    for said, rest in (("{} more that changed", changed[FIRST:]), ("{} the same", same)):
        if rest:
            parts.append(f"<details><summary>{say(said, len(rest))}</summary>{_table(rest)}</details>")
    return "".join(parts)


def _messages(found: Comparison) -> str:
    parts, room = [], WITHIN
    for number, message in enumerate(found.messages, 1):
        parts.append(
            f"<h2>{say('Message')} {number if len(found.messages) > 1 else ''}</h2><p class=same>{message.count}</p>"
        )
        if not message.same:
            table, room = _sides(message.lines, room)
            parts.append(table)
    return "".join(parts)


def _table(changes: list[Change]) -> str:
    if not changes:
        return ""
    rows = "".join(_row(change) for change in changes)
    head = "".join(f"<th>{word}</th>" for word in (say("before"), say("after"), say("change")))
    return f"<div class='wide left'><table><thead><tr><td></td>{head}</tr></thead>{rows}</table></div>"


def _row(change: Change) -> str:
    said = change.moved
    kind = "" if change.same else " class=changed"
    is_up = said.startswith("+") or change.before is None
    sign = " class=up" if is_up else " class=down" if said else ""
    before, after = (html.escape(shown(text)) for text in (change.before, change.after))
    return f"<tr><th>{html.escape(change.label)}</th><td>{before}</td><td{kind}>{after}</td><td{sign}>{said}</td></tr>"


def _pictures(found: Comparison) -> str:
    if not found.pictures:
        return ""
    parts = []
    for picture in found.pictures:
        said = f" <span class=same>({say('the same')})</span>" if picture.same else ""
        both = ((say("before"), picture.before), (say("after"), picture.after))
        sides = "".join(_picture(given, f"{picture.label}, {word}") for word, given in both)
        parts.append(f"<h3>{html.escape(picture.label)}{said}</h3><div class='sides output'>{sides}</div>")
    return f"<h2>{say('Pictures')}</h2>{''.join(parts)}"


def _picture(given: str | None, alt: str) -> str:
    if given is None:
        return f"<div class=same>{say('no such picture')}</div>"
    if given.startswith("data:image/"):
        return f'<div><img src="{html.escape(given)}" alt="{html.escape(alt)}"></div>'
    return f"<div>{note(given)}</div>"


def _code(changed: Sequence[CellChange]) -> str:
    parts, room = [], WITHIN
    for cell in changed:
        table, room = _sides(cell.lines, room)
        parts.append(f"<h3>{html.escape(cell.heading)}</h3>{table}{_left_out(cell)}")
    return "".join(parts)


def _sides(lines: Sequence[Line], room: int) -> tuple[str, int]:
    """Lines side by side, and what is left of the room for comparing words."""
    rows = []
    for line in _without_distant(lines):
        markup, cost = _line(line, room)
        room -= cost
        rows.append(markup)
    return f"<div class=wide><table class=diff>{''.join(rows)}</table></div>", room


def _left_out(cell: CellChange) -> str:
    return note(say("{} more lines of it are not shown.", written(f"{cell.left_out:,}"))) if cell.left_out else ""


def _line(line: Line | None, room: int) -> tuple[str, int]:
    """A row of the table, and what it took of the room for comparing words."""
    if line is None:
        return "<tr class=gap><td>⋯</td><td>⋯</td></tr>", 0
    before, after = line
    if before == after:
        left, right, cost = html.escape(before), html.escape(after), 0
    elif before is None or after is None:
        left, right, cost = _mark("del", before or ""), _mark("ins", after or ""), 0
    else:
        left, right, cost = _within(before, after, room)
    return f"<tr><td>{left}</td><td>{right}</td></tr>", cost


def _within(before: str, after: str, room: int) -> tuple[str, str, int]:
    """A changed line: what was taken out marked on the left, what was put in on the right; and the pairs of words."""
    old, new = (re.findall(r"\w+|\s+|.", text) for text in (before, after))
    cost = len(old) * len(new)
    if max(len(old), len(new)) > WORDS or cost > room:
        return _mark("del", before), _mark("ins", after), 0
    left = right = ""
    for what, start, end, begin, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = "".join(old[start:end]), "".join(new[begin:stop])
        left += html.escape(gone) if what == "equal" else _mark("del", gone)
        right += html.escape(come) if what == "equal" else _mark("ins", come)
    return left, right, cost


def _mark(tag: str, text: str) -> str:
    return f"<{tag}>{html.escape(text)}</{tag}>" if text else ""


def _without_distant(rows: Sequence[Line]) -> list[Line | None]:
    """The lines with None in place of unchanged ones that are far from every change."""
    changed = [number for number, (left, right) in enumerate(rows) if left != right]
    near = {number for at in changed for number in range(at - AROUND, at + AROUND + 1)}
    kept = []
    for is_near, group in groupby(enumerate(rows), key=lambda numbered: numbered[0] in near):
        kept += [row for _, row in group] if is_near else [None]
    return kept
