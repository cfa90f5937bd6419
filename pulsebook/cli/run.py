"""`pulsebook run NOTEBOOK [-p NAME=VALUE]`: execute a notebook by hand, for real, under the rules of a task.

Its parameters are checked, it works in a kernel of its own, and what it did is archived as a run of its DAG that is called
`by_hand__…`. A message that the DAG has posted for the day is not posted again.
"""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from pulsebook.base.names import folder_of, period_of
from pulsebook.base.periods import run_date_of, slot_of
from pulsebook.base.settings import ROOT, settings


def add_to(commands) -> None:
    """Add the command `run` to a parser's commands."""
    run = commands.add_parser("run", help="execute a notebook by hand, into the archive", description=__doc__)
    add_arguments(run)
    run.set_defaults(run=_run, refuse=run.error)


def add_arguments(command) -> None:
    """Have a command take a notebook and its parameters."""
    command.add_argument("notebook", help="a path, or its name below notebooks/ such as etl/load.ipynb")
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be repeated")  # fmt: skip


def notebook_of(given: str) -> Path:
    """The notebook that a path or a name below `notebooks/` names.

    Raises:
        FileNotFoundError: there is none.
    """
    for path in (Path(given), settings().notebooks / given):
        if path.is_file():
            return path.resolve()
    raise FileNotFoundError(f"there is no notebook {given}, neither here nor below {settings().notebooks}")


def parameters_of(given: list[str], notebook: Path) -> dict:
    """The parameters of a command line as what the notebook declares, with its day or slot where none is given.

    Raises:
        ValueError: one is not NAME=VALUE.
    """
    from pulsebook.parameters import from_templates, known_of

    if odd := [text for text in given if not text.partition("=")[1]]:
        raise ValueError(f"-p must be NAME=VALUE such as run_date=2026-11-22, got {odd[0]!r}")
    known, now = known_of(notebook), datetime.now(UTC)
    periods = {"run_date": run_date_of, "slot": slot_of}
    found = {name: of(now) for name, of in periods.items() if name in known and known[name].type.fits("")}
    return found | from_templates(notebook, dict(text.split("=", 1) for text in given))


def dag_of(notebook: Path) -> str:
    """The DAG that executes a notebook; its own name where none does."""
    from pulsebook.cli.checks import executing  # reads code with IPython: not where another command is run

    below = settings().notebooks.resolve()
    name = notebook.relative_to(below).as_posix() if notebook.is_relative_to(below) else notebook.name
    files = executing(ROOT / "dags", [name]).get(name, [notebook])
    return files[0].stem


def _run(arguments) -> int:
    from pulsebook import runner  # papermill takes a second

    logging.getLogger().setLevel(logging.INFO)
    try:
        notebook = notebook_of(arguments.notebook)
        parameters = parameters_of(arguments.parameters, notebook)
    except (FileNotFoundError, ValueError) as error:
        arguments.refuse(str(error))
    folder = folder_of(
        settings().outputs,
        dag_of(notebook),
        period_of(parameters),
        f"by_hand__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}",
    )
    try:
        record = runner.run(notebook, parameters, folder)
    except (runner.NotebookFailed, runner.ParameterError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{record.status}: {record.headline or ''}\nexecuted notebook: {record.executed}\npage: {record.html}")
    return 0
