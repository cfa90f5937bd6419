"""One try: the database, the gates, the steps before where their rows are gone, and the notebook in a process of its own."""

import json
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from pulsebook.archive import index_runs
from pulsebook.archive.record import Record
from pulsebook.base.names import period_of
from pulsebook.base.settings import ROOT, settings
from pulsebook.cli.doctor import expected
from pulsebook.cli.run import dag_of
from pulsebook.cli.trial import database, environment, gate
from pulsebook.execution.guard import Guard
from pulsebook.parameters import from_templates, known_of
from pulsebook.warehouse import Warehouse

STAGING = re.compile(r"\bstaging_\w+")  # tables with a step's rows for the next one
LEDGER = "chat_messages"  # is not received: what has been posted is shown again


class NotTried(RuntimeError):
    """A try has not come to its notebook."""


def made(notebook: Path, parameters: dict, outputs: Path) -> Record:
    """Execute a notebook without effect; returns its record, which is in an archive of its own.

    Raises:
        NotTried: a step before it has failed, or it could not be begun.
        WarehouseError: the database for tries cannot be used.
    """
    target, one_server, timeout = Warehouse.target(), settings().one_server, settings().query_timeout
    day = period_of(parameters)[:10]
    code = notebook.read_text(encoding="utf-8")
    with ExitStack() as stack:
        name = stack.enter_context(database.ready(target))
        tables = {table.name for table in expected.tables(settings().notebooks)} | {*re.findall(r"\w+", code)}
        received = database.receive(target, name, tables - {LEDGER}, day)
        entry = stack.enter_context(gate.opened(target.url, name, timeout))
        source = "" if one_server else stack.enter_context(gate.opened(Warehouse.source().url, "", timeout))
        surroundings = environment(name, entry, source, outputs)
        missing = [table for table in STAGING.findall(code) if not received.get(table)]
        for step, given in steps_before(notebook, parameters) if missing else ():
            print(f"first {step}: {missing[0]} has no rows of {day}", flush=True)
            if _executed(step, given, surroundings):
                raise NotTried(f"{step}, a step before {notebook.name}, failed: see above")
        code = _executed(notebook, parameters, surroundings)
    records = [Record.load(path) for path in index_runs.records_of(outputs) if path.stem == f"{notebook.stem}-try1"]
    if not records:
        raise NotTried(f"{notebook.name} was not begun (exit code {code})")
    return max(records, key=lambda record: record.started)


def _executed(notebook: Path | str, parameters: dict, surroundings: dict[str, str]) -> int:
    """`pulsebook run` in other surroundings; it ends with this process, however that ends. Returns the exit code."""
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}={_spelt(value)}")]
    guard = Guard(Path(tempfile.mkdtemp(prefix="pulsebook-try-")))
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "pulsebook", "run", str(notebook), *given],
            env=surroundings | guard.mark,
            start_new_session=True,
        )
        guard.watch(child.pid)
        return child.wait()
    finally:
        guard.end()


def _spelt(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def steps_before(notebook: Path, parameters: dict) -> list[tuple[str, dict]]:
    """The notebooks that its DAG executes before this one, in order, each with its parameters.

    Raises:
        NotTried: the DAG cannot be loaded.
    """
    file = ROOT / "dags" / f"{dag_of(notebook)}.py"
    if not file.exists():
        return []
    asked = subprocess.run(
        [sys.executable, "-m", "pulsebook.airflow.tasks", str(file)], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise NotTried(f"{file.name} cannot be loaded, so that the steps before are not known:\n{asked.stderr[-2000:]}")
    tasks = {task["task_id"]: task for task in json.loads(asked.stdout.splitlines()[-1])}
    own = [task for task in tasks.values() if settings().notebooks / task["notebook"] == notebook]
    wanted = {name for task in own[:1] for name in task["after"]}
    before = []
    for task in (task for name, task in tasks.items() if name in wanted):
        known = known_of(settings().notebooks / task["notebook"])
        own = {name: value for name, value in parameters.items() if name in known}
        before.append(
            (task["notebook"], from_templates(settings().notebooks / task["notebook"], own | task["parameters"]))
        )
    return before
