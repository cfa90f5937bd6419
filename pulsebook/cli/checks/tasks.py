"""DAGs and notebooks beside each other: what a DAG gives, what a notebook takes, and who executes it."""

import ast
import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pulsebook.base.spelling import meant
from pulsebook.cli.checks.code import FOREIGN, LOCAL, imported
from pulsebook.cli.checks.dag import Dag, Task
from pulsebook.cli.checks.notebook import Finding, Notebook
from pulsebook.parameters.cell import Parameter

PERIODS = ("run_date", "slot")  # a run gives them to whatever notebook declares them


def findings(dag: Dag, notebooks: Mapping[str, Notebook | None], dags: Iterable[Path]) -> Iterator[Finding]:
    """What is wrong with a DAG and what it gives its notebooks, which are given by their names below `notebooks/`; None: it
    cannot be read."""
    yield from _imports(dag, dags)
    taken: dict[str, dict[str, Parameter]] = {}
    for task in dag.tasks:
        if not matched(task, notebooks):
            yield dag.finding("notebook", _absent(task.shown, notebooks), task.line)
        elif task.is_certain:
            notebook = notebooks[task.shown]
            known = notebook.declared if notebook else None
            if known is not None:
                taken[task.shown] = known
                yield from _given(dag, task, known, notebook.name)
    certain = all(task.is_certain and task.shown in taken for task in dag.tasks)
    yield from _params(dag, taken, certain)


def matched(task: Task, names: Iterable[str]) -> set[str]:
    """The notebooks that a task may execute."""
    return {name for name in names if fnmatch.fnmatchcase(name, task.notebook)}


def without_dag(notebook: Notebook) -> Iterator[Finding]:
    """What is wrong with a notebook that no DAG executes: it must say that people do, and run on its defaults."""
    if not notebook.by_hand:
        yield notebook.finding(
            "no DAG",
            "expected a DAG that executes this notebook, found none: name it in a file of dags/, or write `Run it by hand` "
            "into its first cell",
        )
    cell = notebook.parameters
    for statement in cell.statements.body if cell else []:
        if isinstance(statement, ast.AnnAssign) and statement.value is None:
            yield notebook.finding(
                "parameters",
                f"parameter {ast.unparse(statement.target)} has no default, and no DAG gives it a value: give it a default",
                cell,
                statement.lineno,
            )


def _imports(dag: Dag, dags: Iterable[Path]) -> Iterator[Finding]:
    siblings = {"dags", *(path.stem for path in dags if path != dag.path)}
    lines = set()
    for module, line in imported(dag.tree):
        if line in lines or not module.strip("."):
            continue
        if module.startswith(".") or module.partition(".")[0] in siblings:
            text = f"a DAG imports no other DAG, found {module}: move what they share into pulsebook/"
        elif module == LOCAL or module.startswith(f"{LOCAL}."):
            text = f"expected no import of {LOCAL}, found one: {FOREIGN[LOCAL]}"
        else:
            continue
        lines.add(line)
        yield dag.finding("imports", text, line)


def _absent(name: str, there: Iterable[str]) -> str:
    close = meant(name, there) or ": put it there, or name one that is there"
    return f"expected the notebook {name} in the folder of notebooks, found none{close}"


def _given(dag: Dag, task: Task, known: dict[str, Parameter], notebook: str) -> Iterator[Finding]:
    for name, value in task.given.named.items():
        if name not in known:
            yield dag.finding(
                "parameters",
                f"{notebook} has no parameter {name}; it has {', '.join(known) or 'none'}{_meant(name, known)}",
                value.lineno,
            )
        elif not _fits(value, known[name]):
            yield dag.finding(
                "parameters",
                f"parameter {name} of {notebook} must be {known[name].type.text}, found {ast.unparse(value)}",
                value.lineno,
            )
    if task.given.is_open or dag.params.is_open:
        return
    here = {*task.given.named, *dag.params.named, *PERIODS}
    for name, parameter in known.items():
        if parameter.default is None and name not in here:
            yield dag.finding(
                "parameters",
                f"parameter {name} of {notebook} has no default, and nothing gives it a value here: add it to "
                "`parameters`, or give it a default",
                task.line,
            )
    if dag.period and dag.period not in known:
        yield dag.finding(
            "parameters",
            f"a run of this DAG is about a {dag.period}, and {notebook} has no such parameter: declare "
            f'`{dag.period}: str = ""` there',
            task.line,
        )


def _params(dag: Dag, taken: dict[str, dict[str, Parameter]], certain: bool) -> Iterator[Finding]:
    known = {*dag.params.named, *PERIODS[: 1 if dag.period == "run_date" else 2]}
    for name, line in dag.templates():
        if name not in known | {dag.period} and not dag.params.is_open:
            yield dag.finding(
                "parameters", f"the DAG has no parameter {name}, found it in a template{_meant(name, known)}", line
            )
    everything = {name for parameters in taken.values() for name in parameters}
    for name, value in dag.params.named.items():
        if name in everything or not certain or dag.mentions(name):
            continue
        yield dag.finding(
            "parameters",
            f"no notebook of this DAG has the DAG's parameter {name}, and nothing here reads it{_meant(name, everything)}",
            value.lineno,
        )


def _meant(name: str, known: Iterable[str]) -> str:
    return meant(name, known, 0.75) or ": leave it out, or declare it there"


def _fits(value: ast.expr, parameter: Parameter) -> bool:
    """Whether a value that is written out is what the notebook declares; what only a run tells may be."""
    try:
        written = ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return True
    if isinstance(written, str) and "{" in written:
        return True
    plain = list(written) if isinstance(written, tuple) else written
    return parameter.type.fits(parameter.type.of_template(plain))
