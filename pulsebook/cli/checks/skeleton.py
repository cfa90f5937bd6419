"""The skeleton of a notebook: title, parameters, sections, summary; and nothing in its file that does not belong into git."""

import ast
import re
from collections.abc import Iterator

from pulsebook.base.settings import settings
from pulsebook.cli.checks.notebook import Finding, Notebook

FEWEST, MOST = 10, 20  # cells
KEPT = {"kernelspec": {"display_name", "language", "name"}, "language_info": {"name"}}  # metadata of a notebook
TAGS = ("parameters", "raises-exception")
LEAVES = ("## Save", "## Deliver")  # where a notebook leaves something behind
STRIP = "`make format` takes it out"


def findings(notebook: Notebook) -> Iterator[Finding]:
    """What is wrong with the cells of a notebook and their order."""
    yield from _title(notebook)
    yield from _parameters(notebook)
    yield from _sections(notebook)
    yield from _summary(notebook)
    yield from _ids(notebook)
    yield from _saved_in_lab(notebook) if settings().in_lab else _saved(notebook)
    if not FEWEST <= (count := len(notebook.cells)) <= MOST:
        how = "split an idea from its check, or show a result" if count < FEWEST else "move what is shared below, or split it"  # fmt: skip
        yield notebook.finding("cells", f"expected {FEWEST} to {MOST} cells, found {count}: {how}", hint=True)


def _title(notebook: Notebook) -> Iterator[Finding]:
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.kind != "markdown" or not re.match(r"# \S", first.source):
        found = f"a {first.kind} cell that begins {first.source[:30]!r}" if first else "no cell"
        yield notebook.finding(
            "title", f"the first cell must be a text that begins with `# Title`, found {found}: put one there", first
        )


def _parameters(notebook: Notebook) -> Iterator[Finding]:
    tagged = [cell for cell in notebook.cells if "parameters" in cell.tags]
    if not tagged:
        yield notebook.finding(
            "parameters cell",
            "expected one cell tagged `parameters`, found none: tag the cell of the parameters, right below the title",
        )
    for cell in tagged[1:]:
        yield notebook.finding(
            "parameters cell",
            f"expected one cell tagged `parameters`, found another one after cell {tagged[0].number}, which papermill "
            "ignores: put the parameters into one cell",
            cell,
        )
    if tagged and (not notebook.code or tagged[0] is not notebook.code[0]):
        where = f"code in cell {notebook.code[0].number} before it" if notebook.code else "no code at all"
        yield notebook.finding(
            "parameters cell",
            f"the cell tagged `parameters` must be the first code cell, found {where}: move it below the title",
            tagged[0],
        )


def _sections(notebook: Notebook) -> Iterator[Finding]:
    sections = [
        (cell, cell.source.splitlines()[0].rstrip())
        for cell in notebook.cells
        if cell.kind == "markdown" and cell.source.startswith("## ")
    ]
    if not sections or sections[0][1] != "## Load":
        found = f"{sections[0][1]!r}" if sections else "none"
        cell = sections[0][0] if sections else None
        yield notebook.finding("sections", f"the first section must be `## Load`, found {found}: name it so", cell)
    if not notebook.by_hand and not any(title in LEAVES for _, title in sections):
        yield notebook.finding(
            "sections",
            "expected a section `## Save` or `## Deliver`, found neither: head the cells that write or post with it",
        )


def _summary(notebook: Notebook) -> Iterator[Finding]:
    last = notebook.cells[-1] if notebook.cells else None
    heads = [c.source for c in notebook.cells if c.kind == "markdown" and re.match(r"#{1,2} ", c.source)]
    if last is None or last.kind != "code" or not heads or not re.match(r"## Summary\b", heads[-1]):
        section = heads[-1].splitlines()[0] if heads else "none"
        found = f"a {last.kind} cell in the section {section!r}" if last else "no cell"
        yield notebook.finding(
            "summary",
            f"the last cell must be the code of the section `## Summary`, found {found}: end with the headline and the "
            "numbers, which the archive and the index show",
            last,
        )
    elif notebook.is_python:
        calls = [
            node
            for node in ast.walk(last.statements)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ]
        how = "summary(day, {'views': views}) of `pulsebook.present.summary`"
        if not calls:
            yield notebook.finding(
                "summary", f"the summary must state its numbers by a call such as {how}, found none: add it", last
            )
        elif not any(isinstance(call.value.func, ast.Name) and call.value.func.id == "summary" for call in calls):
            said = f"the summary states no facts, so comparisons read its text: a call such as {how} states them"
            yield notebook.finding("summary", said, last, hint=True)


def _ids(notebook: Notebook) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = cell.content.get("id")
        if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
            yield notebook.finding(
                "cell id", f"each cell needs an id, found {name!r}: `make format` numbers the cells anew", cell
            )
        elif name in seen:
            yield notebook.finding(
                "cell id",
                f"each cell needs an id of its own, found {name!r} of cell {seen[name]} again: `make format` numbers "
                "the cells anew",
                cell,
            )
        else:
            seen[name] = cell.number


def _saved_in_lab(notebook: Notebook) -> Iterator[Finding]:
    """One word about what JupyterLab leaves in a notebook that is open."""
    if any(cell.content.get("outputs") for cell in notebook.code):
        yield notebook.finding(
            "outputs", "there are outputs, as JupyterLab saves them: `make format` takes them out", hint=True
        )


def _saved(notebook: Notebook) -> Iterator[Finding]:
    for cell in notebook.code:
        if cell.content.get("outputs"):
            yield notebook.finding("outputs", f"expected no outputs, found some: {STRIP}", cell)
        if (count := cell.content.get("execution_count")) is not None:
            yield notebook.finding("outputs", f"expected no execution count, found {count}: {STRIP}", cell)
    for cell in notebook.cells:
        for key in sorted(cell.metadata.keys() - {"tags"}):
            yield notebook.finding("metadata", f"a cell's metadata hold tags alone, found {key!r}: take it out", cell)
        for tag in cell.tags:
            if tag not in TAGS:
                yield notebook.finding(
                    "tags",
                    f"a tag must be one of {', '.join(TAGS)}, found {tag!r}: nothing reads it, take it out",
                    cell,
                )
    for key, value in notebook.metadata.items():
        inner = value.keys() if isinstance(value, dict) else ()
        for extra in [f"{key}.{name}" for name in inner if name not in KEPT[key]] if key in KEPT else [key]:
            yield notebook.finding(
                "metadata", f"a notebook's metadata hold kernelspec and language alone, found {extra!r}: take it out"
            )
