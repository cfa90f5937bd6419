"""What the catalogue holds stands nowhere else: no aggregate, table, filter or spelling of it in the SQL of a notebook."""

import ast
import re
from collections.abc import Iterator

from pulsebook.catalogue import DIMENSIONS, METRICS, SOURCES, Count
from pulsebook.cli.checks.notebook import Finding, Notebook

GENERIC = ("", "count()")  # aggregates that say nothing of what is counted
RECEIVER = r"\{[^{}]*receiver[^{}]*\}"  # in a notebook: {receiver}, or an expression of that name
SPELLINGS = {  # other ways to write an aggregate that people know from elsewhere
    r"uniqExact\((.*)\)": ("count(DISTINCT {0})",),
    r"countIf\((.*)\)": ("sum({0})", "sumIf(1, {0})", "sum(if({0}, 1, 0))"),
}


def pattern(sql: str) -> str:
    """Matches an SQL text however its blanks, quotes and cases are."""
    written = re.sub(r"\{receiver\}", "\0", sql)
    tokens = re.findall(r"\w+|[^\w\s]", written)
    quoted = [RECEIVER if token == "\0" else "['\"]" if token in "'\"" else re.escape(token) for token in tokens]
    joined = r"\s*".join(quoted)
    return rf"(?<!\w){joined}" + (r"(?!\w)" if tokens[-1].isidentifier() else "")


def _ways(sql: str) -> list[str]:
    """An aggregate, and the other spellings of it."""
    found = [sql]
    for known, others in SPELLINGS.items():
        if match := re.fullmatch(known, sql):
            found += [other.format(match[1]) for other in others]
    return found


def _metrics() -> dict[str, tuple[str, str]]:
    """Aggregates of the catalogue, each with the metrics that it is (on several sources, or for other users)."""
    same: dict[str, list[Count]] = {}
    for entry in METRICS.values():
        if isinstance(entry, Count) and entry.sql not in GENERIC:
            same.setdefault(entry.sql, []).append(entry)
    return {
        f"metric {' or '.join(entry.name for entry in entries)}": (
            "|".join(map(pattern, _ways(sql))),
            f"take {' or '.join(map(_selected, entries))}",
        )
        for sql, entries in same.items()
    }


def _selected(entry: Count) -> str:
    rows = f'events(source, "{entry.source}").' if entry.source in SOURCES else ""
    return f'{rows}select("{entry.name}")'


HELD = {  # what it is -> its pattern, and what to write instead
    **_metrics(),
    **{f"table of {s.name}": (pattern(s.table), f'take events(source, "{s.name}").table') for s in SOURCES.values()},
    **{
        f"rows of {s.name}": (pattern(s.rows), f'take events(source, "{s.name}").rows(…)')
        for s in SOURCES.values()
        if s.rows
    },
    **{
        f"spelling {spelt}": (pattern(spelt), f'take events(source, "{s.name}").receiver')
        for s in SOURCES.values()
        for spelt in s.receivers
    },
    **{f"dimension {d.name}": (pattern(d.sql), "take Dimension.value or .shown") for d in DIMENSIONS if d.sql},
    "a count of actions": (r"\w*If\s*\([^()]*\baction\b[^()]*\)?", "add a metric to pulsebook/catalogue/metrics.py"),
    "a filter of actions": (r"\baction\s*(=|!=|\bIN\b|\bNOT\s+IN\b)", "add a metric to pulsebook/catalogue/metrics.py"),
}


def held(text: str) -> list[tuple[str, int, str, str]]:
    """What of the catalogue a text holds: its name, where it begins, the words there, and what to write instead."""
    found, taken = [], set()
    for what, (known, instead) in HELD.items():
        for match in re.finditer(known, text, re.I):
            if match.start() not in taken:  # a filter within an aggregate is a part of it
                taken.update(range(*match.span()))
                found.append((what, match.start(), match[0], instead))
    return found


def findings(notebook: Notebook) -> Iterator[Finding]:
    """What of the catalogue stands in the texts of a notebook's code."""
    for cell in notebook.code:
        for node, text in texts(cell.statements):
            for what, start, words, instead in held(text):
                line = min(node.lineno + text[:start].count("\n"), node.end_lineno)
                shown = re.sub(r"\s+", " ", words)
                yield notebook.finding(
                    "catalogue", f"the catalogue holds this once ({what}), found `{shown}`: {instead}", cell, line
                )


def texts(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """The texts of code, those with expressions as they are written; none that only describe (docstrings)."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        inner = list(ast.iter_child_nodes(node))
        match node:
            case ast.Expr(value=ast.Constant()):
                inner = []
            case ast.Constant(value=str(text)):
                yield node, text
            case ast.JoinedStr(values=parts):
                yield node, "".join(map(_part, parts))
                inner = [part for part in parts if isinstance(part, ast.FormattedValue)]
        waiting += reversed(inner)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return "{" + re.sub(r"[{}\n]", " ", ast.unparse(part.value)) + "}"
