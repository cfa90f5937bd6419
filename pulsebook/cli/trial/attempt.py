"""One try: the database, the gates, the steps before where their rows are gone, and the notebook in a process of its own."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pulsebook.archive import index_entries
from pulsebook.archive.record import Record
from pulsebook.base.environment import variables
from pulsebook.base.errors import PulsebookError
from pulsebook.base.names import period_of
from pulsebook.base.redact import redact
from pulsebook.base.settings import ROOT, settings
from pulsebook.chat import ledger
from pulsebook.cli.doctor import expected
from pulsebook.cli.run import dag_of
from pulsebook.cli.trial import database, environment, gate
from pulsebook.execution.guard import Guard
from pulsebook.parameters import known_of
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.etl_tables import STAGING


class NotTried(PulsebookError, RuntimeError):
    """A try has not come to its notebook."""


def made(notebook: Path, parameters: dict, outputs: Path) -> tuple[Record, set[str]]:
    """Execute a notebook without effect; returns its record, which is in an archive of its own, and the parameters that tell the
    tasks of its DAG that execute it apart.

    Raises:
        NotTried: a step before it has failed, or it could not be begun.
        WarehouseError: the database for tries cannot be used.
    """
    target, one_server, timeout = Warehouse.target(), settings().one_server, settings().query_timeout
    day = period_of(parameters)[:10]
    code = notebook.read_text(encoding="utf-8")
    with ExitStack() as stack:
        dag = stack.enter_context(_dag_of(notebook))
        name = stack.enter_context(database.ready(target))
        ours, words = {table.name for table in expected.tables(settings().notebooks)}, {*re.findall(r"\w+", code)}
        received = database.receive(
            target, name, (ours | words) - {ledger.TABLE}, day
        )  # what was posted is shown again
        entry = stack.enter_context(gate.opened(target.url, name, timeout))
        source = "" if one_server else stack.enter_context(gate.opened(Warehouse.source().url, "", timeout))
        surroundings = environment(name, entry, source, outputs)
        missing = sorted(table for table in ours & words if table.startswith(STAGING) and not received.get(table))
        tasks = dag()
        siblings = [task for task in tasks if settings().notebooks / task["notebook"] == notebook]
        own = _likeliest(siblings, parameters)
        for task in tasks if missing else ():
            if task["task_id"] in own["after"]:
                print(f"first {task['notebook']}: {missing[0]} has no rows of {day}", flush=True)
                if _executed(task["notebook"], _fitting(task, parameters), surroundings):
                    raise NotTried(f"{task['notebook']}, a step before {notebook.name}, failed: see above")
        exit_code = _executed(notebook, own["parameters"] | parameters, surroundings)
    records = [Record.load(path) for path in index_entries.records_of(outputs) if path.stem == f"{notebook.stem}-try1"]
    if not records:
        raise NotTried(f"{notebook.name} was not begun (exit code {exit_code})")
    given = [task["parameters"] for task in siblings]
    telling = {name for one in given for name in one if any(other.get(name) != one[name] for other in given)}
    return max(records, key=lambda record: record.started), telling


def _executed(notebook: Path | str, parameters: dict, surroundings: dict[str, str]) -> int:
    """`pulsebook run` in other surroundings; it ends with this process, however that ends. Returns the exit code."""
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}={_spelt(value)}")]
    guard = Guard(Path(tempfile.mkdtemp(prefix="pulsebook-try-")))
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "pulsebook", "run", str(notebook), *given],
            env=surroundings | guard.mark,
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        guard.watch(child.pid)
        _, problems = child.communicate()
        print(problems if child.returncode else "", end="", file=sys.stderr)
        return child.returncode
    finally:
        guard.end()


def _spelt(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def _dag_of(notebook: Path) -> Iterator[Callable[[], list[dict]]]:
    """What its DAG executes (see `pulsebook.airflow.tasks`), as a function that waits for it: loading Airflow takes seconds.

    Raises:
        NotTried: by the function: the DAG cannot be loaded.
    """
    file = ROOT / "dags" / f"{dag_of(notebook)}.py"
    if not file.exists():
        yield list
        return
    words = [sys.executable, "-m", "pulsebook.airflow.tasks", str(file)]
    surroundings = {"AIRFLOW_HOME": tempfile.gettempdir()} | variables()
    asked = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)

    def tasks() -> list[dict]:
        said, problem = asked.communicate()
        if asked.returncode:
            raise NotTried(f"{file.name} cannot be loaded:\n{redact(problem[-2000:])}")
        return json.loads(said.splitlines()[-1])

    try:
        yield tasks
    finally:
        asked.kill()
        asked.communicate()


def _likeliest(tasks: list[dict], given: dict) -> dict:
    """Of the tasks that execute a notebook that whose parameters the given ones agree with most."""

    def agreeing(task: dict) -> int:
        return sum(given.get(name) == value for name, value in task["parameters"].items())

    return max(tasks, key=agreeing, default={"parameters": {}, "after": []})


def _fitting(task: dict, given: dict) -> dict:
    """The parameters of a task where the user has given some: those that its notebook declares."""
    known = known_of(settings().notebooks / task["notebook"])
    return task["parameters"] | {name: value for name, value in given.items() if name in known}
