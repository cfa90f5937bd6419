"""Executes a notebook into the archive. Knows papermill, kernels and the archive; nothing of Airflow.

    record = run(Path("notebooks/etl/load.ipynb"), {"run_date": "2026-11-22"}, folder)

papermill writes after each cell; its output goes through a handler of ours that redacts and replaces atomically.
"""

import ast
import logging
import os
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
from pulsebook.archive.redact import (
    WithoutSecrets,
    holds_secret,
    redact,
    redact_notebook,
    redact_values,
    register_secrets_of,
)
from pulsebook.archive.store import replace
from pulsebook.guard import Guard
from pulsebook.kernel_output import KernelOutput
from pulsebook.settings import ROOT, place, settings

log = logging.getLogger(__name__)
SCHEME = "archive:"
kernel_log = logging.getLogger(f"{__name__}.kernel")
for logger in (log, kernel_log, logging.getLogger("papermill")):
    logger.addFilter(WithoutSecrets())
kernel_log.setLevel(logging.INFO)  # at DEBUG nbclient writes down every message to and from the kernel


class ParameterError(ValueError):
    """A parameter is not one of the notebook's, or has another type."""


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
    airflow: dict | None = None,
    cell_timeout: float | None = None,
) -> Record:
    """Execute a notebook with parameters; its evidence goes to `folder/{name}-try{attempt}`.

    Args:
        cell_timeout: seconds that one cell may take; None: no limit.

    A notebook that has nothing to do may end itself with `sys.exit(0)`: it is then `skipped`.

    Raises:
        ParameterError: before anything is executed.
        NotebookFailed: a cell failed, ran out of time, or the kernel died. The record says so too.
    """
    register_secrets_of(notebook, parameters)
    check_parameters(notebook, parameters)
    mend_folder(folder)
    record = Record.open(
        folder,
        name or notebook.stem,
        attempt,
        notebook=_shown(notebook),
        parameters=parameters,
        airflow=airflow or {},
    )
    status, error, secret = "killed", "the run was cut off", False
    try:
        with record.beating():
            _prepare_the_end()
            _show(record)
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
        secret = holds_secret(reason)
        if not secret:
            raise
        if _is_exit(reason):
            raise type(reason)(redact(str(reason))) from None
    finally:
        finish(record, status, error)
        _show(record)
        log.info("%s: %s", status, record.executed)
    if error:  # outside of what handles the first one: that is not shown beside it
        raise NotebookFailed(f"{notebook.stem} {status}: {record.error}\nexecuted notebook: {record.executed}")
    return record


def check_parameters(notebook: Path, parameters: dict) -> None:
    """Compare parameters with the notebook's parameters cell.

    Raises:
        ParameterError: an unknown name, or a value of another type than the cell's.
    """
    known = papermill.inspect_notebook(str(notebook))
    for name, value in parameters.items():
        if name not in known:
            raise ParameterError(f"{notebook.name} has no parameter {name}; it has {', '.join(known) or 'none'}")
        expected = known[name]["inferred_type_name"]
        if expected in (None, "None"):
            expected = type(ast.literal_eval(known[name]["default"])).__name__
        found = type(value).__name__
        if found != expected and not (expected == "float" and found == "int"):
            got = f"{found}: {redact_values(value, name)!r}"
            raise ParameterError(f"parameter {name} of {notebook.name} must be {expected}, got {got}")


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
        guard, output = Guard(), KernelOutput()
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
            environment = _kernel_environment(nb_man.nb.metadata.papermill["output_path"]) | guard.mark
            client.execute(env=environment, stdout=output.stdout, stderr=output.stderr)
        except BaseException:
            # papermill calls every cell completed: the one that was cut off is the last that has started
            started = [c for c in nb_man.nb.cells if c.metadata.papermill["start_time"]]
            if started:
                nb_man.cell_exception(started[-1])
            raise
        finally:
            guard.end()
            output.end()
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
        str(notebook),
        f"{SCHEME}{executed}",
        parameters=parameters,
        engine_name="pulsebook",
        progress_bar=False,
        cell_timeout=cell_timeout,
    )


def _kernel_environment(executed: str) -> dict[str, str]:
    """The task's environment without Airflow's own settings and connections, and with where the page will lie."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "AIRFLOW__", "_AIRFLOW"))}
    page = place(executed.removeprefix(SCHEME)).with_suffix(".html")
    if page.is_relative_to(settings().outputs):
        inherited["PULSEBOOK_EXECUTED_AS"] = str(page.relative_to(settings().outputs))
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def _prepare_the_end() -> None:
    """Load what makes the page while the kernel starts: after a kill Airflow leaves a task five seconds."""

    def load():
        from pulsebook.archive import diff_page, page  # noqa: F401 (both are needed at the end)

        page.prepare()

    threading.Thread(target=load, name="pages", daemon=True).start()


def _show(record: Record) -> None:
    """Enter the try into the archive's index. An index that cannot be written is reported and does not fail the run."""
    if not record.path.is_relative_to(settings().outputs):
        return
    try:
        index.update(settings().outputs, record)
    except Exception:
        log.exception("%s is not in the index", record.path)


def _is_exit(reason: BaseException) -> bool:
    return isinstance(reason, Killed | KeyboardInterrupt | SystemExit)


def _shown(notebook: Path) -> str:
    return str(notebook.relative_to(ROOT)) if notebook.is_relative_to(ROOT) else str(notebook)
