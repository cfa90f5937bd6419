"""Executes a notebook into the archive. Knows papermill, kernels and the archive; nothing of Airflow.

    record = run(Path("notebooks/etl/load.ipynb"), {"run_date": "2026-11-22"}, folder)

papermill writes after each cell; its output goes through a handler of ours that redacts and replaces atomically.
"""

import logging
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

import IPython  # noqa: F401 (its modules import each other: begun by the kernel's start and the page's at once, both fail)
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io
from traitlets.config import Config

from pulsebook.archive import index
from pulsebook.archive.ending import finish, mend_folder
from pulsebook.archive.notebook import left_early
from pulsebook.archive.record import Record
from pulsebook.archive.redact import redact, redact_notebook, register
from pulsebook.archive.store import replace
from pulsebook.guard import Guard
from pulsebook.parameters import ParameterError as ParameterError
from pulsebook.parameters import accepted, recorded
from pulsebook.settings import ROOT, place, settings

log = logging.getLogger(__name__)
SCHEME = "archive:"
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL")


def _without_secrets(entry: logging.LogRecord) -> bool:
    """For the log."""
    entry.msg, entry.args = redact(entry.getMessage()), ()
    return True


log.addFilter(_without_secrets)
kernel_log = logging.getLogger(f"{__name__}.kernel")
kernel_log.addFilter(_without_secrets)
kernel_log.setLevel(logging.INFO)  # at DEBUG nbclient writes down every message to and from the kernel


class NotebookFailed(RuntimeError):
    """A cell of the notebook failed; the message says which, why, and where the executed notebook lies."""


class Killed(BaseException):
    """The task was told to stop."""


def run(
    notebook: Path,
    parameters: dict,
    folder: Path,
    *,
    name: str = "",
    attempt: int = 1,
    map_index: int | None = None,
    airflow: dict | None = None,
    cell_timeout: float | None = None,
) -> Record:
    """Execute a notebook with parameters; its evidence goes to `folder/{name}-try{attempt}`.

    Of a mapped task, `map_index` is part of that name.

    Args:
        cell_timeout: seconds that one cell may take; None: no limit.

    A notebook that has nothing to do may end itself with `sys.exit(0)`: it is then `skipped`.

    Raises:
        ParameterError: before anything is executed. The record says so too.
        NotebookFailed: a cell failed, ran out of time, or the kernel died. The record says so too.
    """
    _know_secrets()
    mended = mend_folder(folder)
    record = Record.open(
        folder,
        name or notebook.stem,
        attempt,
        map_index,
        notebook=_shown(notebook),
        parameters=recorded(parameters),
        airflow=airflow or {},
    )
    status, error, secret = "killed", "the run was cut off", False
    try:
        parameters = accepted(notebook, parameters)
        with record.beating():
            _prepare_the_end()
            _show(record, *mended)
            executed = _execute(notebook, parameters, record.executed, cell_timeout)
        status, error = "skipped" if left_early(executed) else "succeeded", None
    except PapermillExecutionError as failure:
        status, error = "failed", f"{failure.ename}: {failure.evalue}"
    except CellTimeoutError:
        status, error = "timed out", f"took longer than {cell_timeout:g} s"
    except DeadKernelError:
        status, error = "kernel died", "the kernel died: out of memory, or killed from outside?"
    except BaseException as reason:
        status = "timed out" if "Timeout" in type(reason).__name__ else "killed" if _is_exit(reason) else "failed"
        error = f"{type(reason).__name__}: {reason}"
        secret = redact(error) != error
        if _is_exit(reason) or not secret:
            raise
    finally:
        finish(record, status, error)
        _show(record)
        log.info("%s: %s", status, record.executed)
    if error:
        raise NotebookFailed(f"{notebook.stem} {status}: {record.error}\nexecuted notebook: {record.executed}")
    return record


class _Client(PapermillNotebookClient):
    """papermill's client whose kernel does not outlive the task."""

    def __init__(self, *args, guard: Guard, **kwargs):
        super().__init__(*args, **kwargs)
        self.guard = guard

    def papermill_execute_cells(self):
        self.guard.watch(self.km.provisioner.pgid or self.km.provisioner.pid)
        try:
            super().papermill_execute_cells()
        except BaseException:
            self.shutdown_kernel = "immediate"  # it is busy with a cell that nobody waits for
            raise


class _Engine(NBClientEngine):
    """papermill's engine with a kernel over IPC (TCP ports are raced for) and an honest end after a kill."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, cell_timeout=None, **_):
        sockets = tempfile.mkdtemp(prefix="pb-")  # short: a socket's path has at most 107 characters
        # seconds: ending, one ipykernel in thirty hangs (its threads wait for each other); SIGTERM follows after half of them
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k", "shutdown_wait_time": 2.0}})
        guard = Guard()
        client = _Client(
            nb_man,
            guard=guard,
            kernel_name=kernel_name,
            timeout=cell_timeout,
            startup_timeout=60,
            log=kernel_log,
            config=config,
            resources={"metadata": {"path": str(ROOT)}},
        )
        try:
            client.execute(env=_kernel_environment(nb_man.nb.metadata.papermill["output_path"]) | guard.mark)
        except BaseException:
            # papermill calls every cell completed: the one that was cut off is the last that has started
            started = [c for c in nb_man.nb.cells if c.metadata.papermill["start_time"]]
            if started:
                nb_man.cell_exception(started[-1])
            raise
        finally:
            guard.end()
            shutil.rmtree(sockets, ignore_errors=True)


class _Handler:
    """papermill's way to a file of the archive."""

    def read(self, path):
        return place(path.removeprefix(SCHEME)).read_text(encoding="utf-8")

    def write(self, text, path):
        replace(place(path.removeprefix(SCHEME)), redact_notebook(text))

    def listdir(self, path):
        return [str(p) for p in place(path.removeprefix(SCHEME)).iterdir()]

    def pretty_path(self, path):
        return path.removeprefix(SCHEME)


papermill_engines.register("pulsebook", _Engine)
papermill_io.register(SCHEME, _Handler())


def _execute(notebook: Path, parameters: dict, executed: Path, cell_timeout: float | None) -> NotebookNode:
    return papermill.execute_notebook(
        _literal(notebook),
        _literal(f"{SCHEME}{executed}"),
        parameters=parameters,
        engine_name="pulsebook",
        progress_bar=False,
        cell_timeout=cell_timeout,
    )


def _literal(path) -> str:
    """A path for papermill, which takes braces in it for names of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel_environment(executed: str) -> dict[str, str]:
    """The task's environment without Airflow's own settings and connections, and with where the page will lie."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "AIRFLOW__", "_AIRFLOW"))}
    page = place(executed.removeprefix(SCHEME)).with_suffix(".html")
    if page.is_relative_to(settings().outputs):
        inherited["PULSEBOOK_EXECUTED_AS"] = str(page.relative_to(settings().outputs))
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def _know_secrets() -> None:
    """Have values hidden whose variables' names say that they are secret."""
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= 8 and not value.startswith(("/", "~")):
            register(value)


def _prepare_the_end() -> None:
    """Load what makes the page while the kernel starts: after a kill Airflow leaves a task five seconds."""

    def load():
        from pulsebook.archive import diff_page, page  # noqa: F401 (both are needed at the end)

        page.prepare()

    threading.Thread(target=load, name="pages", daemon=True).start()


def _show(record: Record, *others: Record) -> None:
    """Enter tries into the archive's index. An index that cannot be written is reported and does not fail the run."""
    if not record.path.is_relative_to(settings().outputs):
        return
    try:
        index.update(settings().outputs, *others, record)
    except Exception:
        log.exception("%s is not in the index", record.path)


def _is_exit(reason: BaseException) -> bool:
    return isinstance(reason, Killed | KeyboardInterrupt | SystemExit)


def _shown(notebook: Path) -> str:
    return str(notebook.relative_to(ROOT)) if notebook.is_relative_to(ROOT) else str(notebook)
