"""The comparison of two tries for a terminal."""

from collections.abc import Iterable

from pulsebook.archive import diff
from pulsebook.archive.code_diff import CellChange, Line

SHOWN = 100  # numbers that differ, and those that only one of the two has: as many are shown


def render(found: diff.Comparison) -> str:
    """The comparison for a terminal."""
    lines = [f"from  {diff.describe(found.earlier)}", f"to    {diff.describe(found.later)}"]
    changed = [c for c in found.parameters if not c.same]
    if changed:
        lines += ["", "parameters", *_columns([(c.label, diff.shown(c.before), diff.shown(c.after)) for c in changed])]
    lines += ["", f"{'facts' if found.by_facts else 'numbers of the summaries'}: {diff.count(found.numbers)}"]
    changed = [(c.label, diff.shown(c.before), diff.shown(c.after), c.moved) for c in found.numbers if not c.same]
    lines += _columns(changed[:SHOWN])
    lines += [f"  … {len(changed) - SHOWN:,} more"] if len(changed) > SHOWN else []
    for number, message in enumerate(found.messages, 1):
        lines += ["", f"message {number}: {message.count}", *_sides(message.lines)]
    lines += ["", f"pictures: {diff.count(found.pictures)}" if found.pictures else "no pictures"]
    lines += [*found.left_out, ""]
    lines += ["catalogue", *_code(found.catalogue), ""] if found.catalogue else []
    lines += ["code", *_code(found.code)] if found.code else ["the code is the same"]
    return "\n".join(map(_printable, lines))


def _code(changed: Iterable[CellChange]) -> list[str]:
    lines = []
    for cell in changed:
        lines.append(f"  {cell.heading}")
        lines += _sides(cell.lines)
        if cell.left_out:
            lines.append(f"  … {cell.left_out:,} more lines")
    return lines


def _sides(rows: Iterable[Line]) -> list[str]:
    """The lines that differ, each with the side that it stands on."""
    differ = (row for row in rows if row[0] != row[1])
    return [f"  {mark} {line}" for row in differ for mark, line in zip("<>", row, strict=True) if line is not None]


def _printable(line: str) -> str:
    """A line that a terminal takes for text."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in line)


def _columns(rows: list[tuple]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
