"""The comparison of two tries for a terminal."""

from pulsebook.archive import diff
from pulsebook.archive.code_diff import CellChange
from pulsebook.archive.figures import moved

ONE_SIDED = 20  # numbers that only one of the two has, as many are shown


def render(found: diff.Comparison) -> str:
    """The comparison for a terminal."""
    lines = [f"from  {diff.describe(found.earlier)}", f"to    {diff.describe(found.later)}"]
    changed = [c for c in found.parameters if not c.same]
    if changed:
        lines += ["", "parameters", *_columns([(c.label, diff.shown(c.before), diff.shown(c.after)) for c in changed])]
    lines += ["", f"numbers of the summaries: {diff.count(found.numbers)}"]
    changed = [c for c in found.numbers if not c.same and None not in (c.before, c.after)]
    lines += _columns([(c.label, c.before, c.after, moved(c.before, c.after)) for c in changed])
    lines += _one_sided(found.numbers)
    lines += ["", f"pictures: {diff.count(found.pictures)}" if found.pictures else "no pictures"]
    lines += [*found.left_out, ""]
    lines += ["code", *_code(found.code)] if found.code else ["the code is the same"]
    return "\n".join(map(_printable, lines))


def _one_sided(numbers: list[diff.Change]) -> list[str]:
    """The numbers that only one of the two has: the first of them."""
    rows = [
        ("new" if c.before is None else "gone", c.label, c.before or c.after)
        for c in numbers
        if None in (c.before, c.after)
    ]
    more = [f"  … {len(rows) - ONE_SIDED:,} more in one of them only"] if len(rows) > ONE_SIDED else []
    return _columns(rows[:ONE_SIDED]) + more if rows else []


def _code(changed: list[CellChange]) -> list[str]:
    lines = []
    for cell in changed:
        lines.append(f"  {cell.heading}")
        for before, after in cell.lines:
            if before != after:
                lines += [f"  {mark} {line}" for mark, line in (("<", before), (">", after)) if line is not None]
        if cell.left_out:
            lines.append(f"  … {cell.left_out:,} more lines")
    return lines


def _printable(line: str) -> str:
    """A line that a terminal takes for text."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in line)


def _columns(rows: list[tuple]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
