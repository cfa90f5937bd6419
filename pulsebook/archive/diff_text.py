"""The comparison of two tries for a terminal."""

from collections.abc import Iterable

from pulsebook.archive import diff
from pulsebook.archive.code_diff import CellChange, Line
from pulsebook.base.words import number as written
from pulsebook.base.words import say

SHOWN = 100  # numbers that differ, and those that only one of the two has: as many are shown


def render(found: diff.Comparison) -> str:
    """The comparison for a terminal."""
    lines = _columns([(say("from"), diff.describe(found.earlier)), (say("to"), diff.describe(found.later))], indent="")
    changed = [c for c in found.parameters if not c.same]
    if changed:
        lines += [
            "",
            say("parameters"),
            *_columns([(c.label, diff.shown(c.before), diff.shown(c.after)) for c in changed]),
        ]
    title = say("facts") if found.by_facts else say("numbers of the summaries")
    lines += ["", f"{title}: {diff.count(found.numbers)}"]
    changed = [(c.label, diff.shown(c.before), diff.shown(c.after), c.moved) for c in found.numbers if not c.same]
    lines += _columns(changed[:SHOWN])
    lines += ["  " + say("… {} more", written(f"{len(changed) - SHOWN:,}"))] if len(changed) > SHOWN else []
    for number, message in enumerate(found.messages, 1):
        lines += ["", f"{say('message')} {number}: {message.count}", *_sides(message.lines)]
    lines += ["", f"{say('pictures')}: {diff.count(found.pictures)}" if found.pictures else say("no pictures")]
    lines += [*found.left_out, ""]
    lines += [say("catalogue"), *_code(found.catalogue), ""] if found.catalogue else []
    lines += [say("code"), *_code(found.code)] if found.code else [say("the code is the same")]
    return "\n".join(map(_printable, lines))


def _code(changed: Iterable[CellChange]) -> list[str]:
    lines = []
    for cell in changed:
        lines.append(f"  {cell.heading}")
        lines += _sides(cell.lines)
        if cell.left_out:
            lines.append("  " + say("… {} more lines", written(f"{cell.left_out:,}")))
    return lines


def _sides(rows: Iterable[Line]) -> list[str]:
    """The lines that differ, each with the side that it stands on."""
    differ = (row for row in rows if row[0] != row[1])
    return [f"  {mark} {line}" for row in differ for mark, line in zip("<>", row, strict=True) if line is not None]


def _printable(line: str) -> str:
    """A line that a terminal takes for text."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in line)


def _columns(rows: list[tuple], indent: str = "  ") -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
