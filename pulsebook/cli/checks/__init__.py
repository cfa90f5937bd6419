"""What is wrong with notebooks and DAGs, as their files say it: nothing is executed, no server is asked, no Airflow imported.

>>> [finding for finding in check(Path("notebooks"), Path("dags")) if not finding.hint]
[]
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pulsebook.cli.checks import code, held, skeleton, tasks
from pulsebook.cli.checks.dag import Dag
from pulsebook.cli.checks.notebook import Finding, Notebook, Unreadable, read

__all__ = ["Finding", "check", "check_notebook", "dag_files", "executing", "notebook_files"]


def check(notebooks: Path, dags: Path) -> Iterator[Finding]:
    """What is wrong with the notebooks of a folder, the DAG files of another, and what they give each other, each once."""
    yield from dict.fromkeys(_all(notebooks, dags))


def check_notebook(path: Path) -> Iterator[Finding]:
    """What is wrong with one notebook, wherever it is; whether a DAG executes it is not asked."""
    try:
        yield from _of_notebook(read(path, str(path)))
    except Unreadable as error:
        yield _unreadable(str(path), error)


def executing(dags: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """The DAG files of a folder that execute notebooks, by the notebooks' names below `notebooks/`. A file that is no Python is
    passed over: `check` reports it."""
    names, found = list(names), {}
    for path in dag_files(dags):
        try:
            own = Dag(path, path.name).tasks
        except SyntaxError:
            continue
        for name in {name for task in own for name in tasks.matched(task, names)}:
            found.setdefault(name, []).append(path)
    return found


def _all(notebooks: Path, dags: Path) -> Iterator[Finding]:
    files, named = dag_files(dags), _namer(notebooks, dags)
    there = {path.relative_to(notebooks).as_posix(): path for path in notebook_files(notebooks)}
    known, executed = [], set()
    for path in files:
        try:
            known.append(Dag(path, named(path)))
        except (SyntaxError, ValueError) as error:
            text = f"expected Python, found an error: {getattr(error, 'msg', error)}"
            yield Finding(named(path), None, getattr(error, "lineno", None), "syntax", text)
            executed |= there.keys()  # nobody knows
    executed |= {name for dag in known for task in dag.tasks for name in tasks.matched(task, there)}
    found: dict[str, Notebook | None] = {}
    for name, path in there.items():
        try:
            found[name] = read(path, named(path))
        except Unreadable as error:
            found[name] = None
            yield _unreadable(named(path), error)
            continue
        yield from _of_notebook(found[name])
        if name not in executed:
            yield from tasks.without_dag(found[name])
    for dag in known:
        yield from tasks.findings(dag, found, files)


def _of_notebook(notebook: Notebook) -> Iterator[Finding]:
    for rules in (skeleton, code, held):
        yield from rules.findings(notebook)


def _unreadable(name: str, error: Unreadable) -> Finding:
    return Finding(name, None, None, "notebook", f"expected a notebook that can be read, found {error}")


def notebook_files(folder: Path) -> list[Path]:
    """The notebooks below a folder, without the copies that Jupyter keeps."""
    return sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def dag_files(folder: Path) -> list[Path]:
    """The DAG files below a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _namer(notebooks: Path, dags: Path) -> Callable[[Path], str]:
    """How a path is called: from the folder on in which both are."""
    home = notebooks.parent
    return lambda path: path.relative_to(home if path.is_relative_to(home) else dags.parent).as_posix()
