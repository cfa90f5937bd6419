"""The start page of JupyterLab, in Markdown: the notebooks, the catalogue, the docs, as the tree has them now."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pulsebook.base.settings import ROOT, settings
from pulsebook.cli.checks import executing, notebook_files
from pulsebook.cli.checks.notebook import Unreadable, read

NAME = "start.md"
HOW = """`%pulsebook try` in any cell executes the notebook that is open, as it was saved, writes nothing that lasts, and compares
it with what is in the archive; `%pulsebook try -p run_date=2026-11-20` does so for a day. `%pulsebook check` says what is wrong
with it before it ships, `%pulsebook run` executes it into the archive."""


def page() -> str:
    """The page."""
    parts = [
        "# Pulsebook",
        HOW,
        "## Notebooks",
        _table(("notebook", "DAG", "what it does"), _notebooks()),
        "## The catalogue",
        _table(("file", "what it holds"), _modules(Path(__file__).parents[1] / "catalogue")),
        "## Docs",
        _table(("page", "sections"), _docs(ROOT)),
        *_results(),
    ]
    return "\n\n".join(parts) + "\n"


def _notebooks() -> Iterator[tuple[str, ...]]:
    folder = settings().notebooks
    names = [path.relative_to(folder).as_posix() for path in notebook_files(folder)]
    executed = executing(ROOT / "dags", names)
    for name in names:
        try:
            cells = read(folder / name, name).cells
            title, _, text = cells[0].source.partition("\n") if cells else (name, "", "")
        except Unreadable:
            title, text = name, "cannot be read: `pulsebook check` says why"
        dags = ", ".join(_link(path, path.stem) for path in executed.get(name, [])) or "by hand"
        yield _link(folder / name, title.lstrip("# ")), dags, text


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        except SyntaxError:
            said = "is no Python at the moment"
        yield _link(path, path.name), said.partition("\n\n")[0]


def _docs(folder: Path) -> Iterator[tuple[str, str]]:
    for path in (*folder.glob("*.md"), *sorted((folder / "docs").glob("*.md"))):
        text = path.read_text("utf-8")
        title = text.strip().partition("\n")[0].lstrip("# ")
        yield _link(path, title), " · ".join(re.findall(r"^## (.+)", text, re.M))


def _results() -> Iterator[str]:
    outputs = settings().outputs
    pages = {"archive": outputs / "index.html", "chat": outputs / "chat" / "index.html"}
    there = [_link(path, name) for name, path in pages.items() if path.is_relative_to(ROOT) and path.is_file()]
    if there:
        yield "## Results"
        yield " · ".join(there)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in (head, ("---",) * len(head), *rows))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _link(path: Path, text: str) -> str:
    """A link as JupyterLab opens it; a file outside of the project has none."""
    return f"[{text}]({path.relative_to(ROOT).as_posix()})" if path.is_relative_to(ROOT) else text
