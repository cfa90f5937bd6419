"""`pulsebook check [NOTEBOOK …]`: what is wrong with notebooks and DAGs before they ship, one sentence each.

Files are read, nothing is executed. Without arguments it looks at all notebooks and DAGs; exit code 1: something is wrong.
"""

import dataclasses
import json
from pathlib import Path

from pulsebook.base.settings import ROOT, settings


def add_to(commands) -> None:
    """Add the command `check` to a parser's commands. What is parsed has `run(arguments)`, which returns an exit code."""
    check = commands.add_parser("check", help="what is wrong with notebooks and DAGs, without executing them", description=__doc__)  # fmt: skip
    check.add_argument("files", nargs="*", type=Path, metavar="NOTEBOOK", help="a notebook, also by its name below notebooks/, a DAG file, or a folder of them; none: all of the project")  # fmt: skip
    check.add_argument(
        "--json", action="store_true", help="print a list of objects: file, cell, line, rule, text, hint"
    )
    check.set_defaults(run=_check, refuse=check.error)


def _check(arguments) -> int:
    below = settings().notebooks
    asked = [(path if path.exists() else below / path).resolve() for path in arguments.files]
    for path in asked:
        if not path.exists() or path.is_file() and path.suffix not in (".ipynb", ".py"):
            arguments.refuse(f"expected notebooks, DAG files or folders, found {path}")
    found = findings(asked)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], ensure_ascii=False, indent=1))
        return 1 if any(not one.hint for one in found) else 0
    return show(found)


def findings(asked: list[Path]) -> list:
    """What is wrong with these notebooks, DAG files and folders; with none of them, with all of the project."""
    from pulsebook.cli import checks  # reads code with IPython: not where another command is run

    notebooks, dags = settings().notebooks.resolve(), (ROOT / "dags").resolve()
    found = list(checks.check(notebooks, dags))
    if asked:
        found = [one for one in found if any(_concerns(one, path, notebooks) for path in asked)]
        for path in asked:
            found += _elsewhere(path, notebooks)
    return found


def show(found: list) -> int:
    """Print findings; returns the exit code."""
    for one in found:
        print(one)
    wrong = sum(not one.hint for one in found)
    print(_outcome(wrong, len(found) - wrong))
    return 1 if wrong else 0


def _outcome(wrong: int, hints: int) -> str:
    said = "nothing is wrong" if not wrong else "1 thing is wrong" if wrong == 1 else f"{wrong} things are wrong"
    return said + (f", {hints} hint{'s' if hints > 1 else ''}" if hints else "")


def _concerns(finding, path: Path, notebooks: Path) -> bool:
    """Whether a finding is about a file or what is below it: it is there, or names it."""
    home = notebooks.parent
    place = home / finding.file if (home / finding.file).exists() else ROOT / finding.file
    if place == path or place.is_relative_to(path):
        return True
    return (
        path.is_relative_to(notebooks) and path.suffix == ".ipynb" and path.relative_to(home).as_posix() in finding.text
    )


def _elsewhere(path: Path, notebooks: Path) -> list:
    """What is wrong with notebooks that are not among the project's: no DAG is expected of them."""
    from pulsebook.cli import checks

    if path.is_relative_to(notebooks) or notebooks.is_relative_to(path):
        return []
    files = checks.notebook_files(path) if path.is_dir() else [path] if path.suffix == ".ipynb" else []
    return [one for file in files for one in checks.check_notebook(file)]
