"""`pulsebook try NOTEBOOK [-p NAME=VALUE]`: execute a notebook as Airflow would, without effect, and compare it with what is archived.

It works in a database of its own with what it reads of the target's tables, in an archive of its own, and without a token: its
messages are shown, and posted nowhere. Tables of the source and of the target cannot be changed meanwhile.
"""

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pulsebook.base.environment import variables
from pulsebook.base.names import period_of
from pulsebook.base.settings import ROOT
from pulsebook.base.texts import ago
from pulsebook.cli import run

HOME = ROOT / ".local" / "try"  # the archive of the last try stays there until the next one


def add_to(commands) -> None:
    """Add the command `try` to a parser's commands."""
    action = commands.add_parser("try", help="execute a notebook without effect, and compare", description=__doc__)
    run.add_arguments(action)
    action.add_argument("--html", type=Path, metavar="FILE", help="write the comparison as a page, with pictures")
    action.set_defaults(run=_try, refuse=action.error)


@contextmanager
def alone() -> Iterator[None]:
    """One try at a time; what the last one has left is removed.

    Raises:
        BlockingIOError: another one goes on.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back when this process ends, however it does
        shutil.rmtree(HOME / "outputs", ignore_errors=True)
        yield


def _try(arguments) -> int:
    from pulsebook.cli.trial import attempt, outcome  # reading code and executing it takes most of a second
    from pulsebook.warehouse import WarehouseError

    try:
        notebook = run.notebook_of(arguments.notebook)
        parameters = run.parameters_of(arguments.parameters, notebook)
    except (FileNotFoundError, ValueError) as error:
        arguments.refuse(str(error))
    try:
        with alone():
            print(
                f"trying {notebook.name} for {period_of(parameters)}, saved {ago(notebook.stat().st_mtime)}", flush=True
            )
            record, telling = attempt.made(notebook, parameters, HOME / "outputs")
            return outcome.shown(record, notebook, telling, arguments.html)
    except BlockingIOError:
        print(f"another try goes on here ({HOME / 'lock'}): wait for its end", file=sys.stderr)
    except (attempt.NotTried, WarehouseError) as error:
        print(error, file=sys.stderr)
    return 1


def clean() -> list[str]:
    """Remove what the last try has left: its archive, and tables if it was killed; returns what was removed."""
    from pulsebook.cli.trial import database
    from pulsebook.warehouse import Warehouse

    outputs = HOME / "outputs"
    if not outputs.exists():
        return []
    tables = database.clean(Warehouse.target())
    with alone():
        return [str(outputs), *(f"{database.name()}.{table}" for table in tables)]


def environment(database: str, target: str, source: str, outputs: Path) -> dict[str, str]:
    """The environment of a try: that of this process with other places, and nothing to post with.

    Args:
        target, source: URLs of the gates.
    """
    ours = ("PULSEBOOK_TELEGRAM_", "AIRFLOW_CONN_", "AIRFLOW__")
    inherited = {name: value for name, value in variables().items() if not name.startswith(ours)}
    local = ",".join(filter(None, (inherited.get("NO_PROXY", inherited.get("no_proxy")), "127.0.0.1")))
    return inherited | {
        "PULSEBOOK_CLICKHOUSE_URL": target,
        "PULSEBOOK_SOURCE_URL": source,
        "PULSEBOOK_TARGET_DATABASE": database,
        "PULSEBOOK_TABLE_ENGINE": "MergeTree",
        "PULSEBOOK_OUTPUTS": str(outputs),
        "PULSEBOOK_ARCHIVE_URL": "",
        "PULSEBOOK_TELEGRAM_TOKEN": "",  # also where `.env` has one
        "PULSEBOOK_TELEGRAM_CHAT_ID": "",
        "NO_PROXY": local,
        "no_proxy": local,
    }
