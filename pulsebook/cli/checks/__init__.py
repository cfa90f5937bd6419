"""What is wrong with notebooks and DAGs, as their files say it: nothing is executed, no server is asked, no Airflow imported.

for finding in check(ROOT / "notebooks", ROOT / "dags"):
    print(finding)
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pulsebook.cli.checks import code, held, skeleton, tasks
from pulsebook.cli.checks.dag import Dag
from pulsebook.cli.checks.notebook import Finding, Notebook, Unreadable, read

__all__ = ["Finding", "check", "check_notebook", "dag_files", "notebook_files"]


def check(notebooks: Path, dags: Path) -> Iterator[Finding]:
    """What is wrong with the notebooks of a folder, the DAG files of another, and what they give each other."""
    files = dag_files(dags)
    named = _namer(notebooks, dags)
    read_dags = []
    for path in files:
        try:
            read_dags.append(Dag(path, named(path)))
        except SyntaxError as error:
            text = f"expected Python, found an error: {error.msg}"
            yield Finding(named(path), None, error.lineno, "syntax", text)
    executed = {path for dag in read_dags for task in dag.tasks for path in tasks.matched(task, notebooks)}
    for path in notebook_files(notebooks):
        may_be_executed = path in executed or len(read_dags) < len(files)
        yield from check_notebook(path, named(path), needs_dag=not may_be_executed)
    for dag in read_dags:
        yield from tasks.findings(dag, notebooks, files, named)


def check_notebook(path: Path, name: str, *, needs_dag: bool = False) -> Iterator[Finding]:
    """What is wrong with one notebook; with `needs_dag` also that it does not say that people run it."""
    try:
        notebook: Notebook = read(path, name)
    except Unreadable as error:
        yield Finding(name, None, None, "notebook", f"expected a notebook that can be read, found {error}")
        return
    yield from skeleton.findings(notebook)
    yield from code.findings(notebook)
    yield from held.findings(notebook)
    if needs_dag and not notebook.by_hand:
        yield tasks.without_dag(notebook)


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
