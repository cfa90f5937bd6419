"""Executes a notebook into the archive. Knows papermill, kernels and the archive; nothing of Airflow.

    record = run(Path("notebooks/etl/load.ipynb"), {"run_date": "2026-11-22"}, folder)

papermill writes after each cell; its output goes through a handler of ours that redacts and replaces atomically.
"""

import ast
import logging
import os
import shutil
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io
from traitlets.config import Config

from pulsebook.archive.record import Record, write_atomically
from pulsebook.archive.redact import redact
from pulsebook.settings import ROOT

log = logging.getLogger(__name__)
SCHEME = "archive:"


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

    Raises:
        ParameterError: before anything is executed.
        NotebookFailed: a cell failed, ran out of time, or the kernel died. The record says so too.
    """
    check_parameters(notebook, parameters)
    record = Record.open(
        folder, name or notebook.stem, attempt, notebook=_shown(notebook), parameters=parameters, airflow=airflow or {}
    )
    status, error = "killed", "the run was cut off"
    try:
        _execute(notebook, parameters, record.executed, cell_timeout)
        status, error = "succeeded", None
    except PapermillExecutionError as failure:
        status, error = "failed", _what_failed(record.executed, failure)
    except CellTimeoutError:
        status, error = "timed out", f"a cell took longer than {cell_timeout:g} s"
    except DeadKernelError:
        status, error = "kernel died", "the kernel died: out of memory, or killed from outside?"
    except BaseException as reason:
        status = "timed out" if "Timeout" in type(reason).__name__ else "killed" if _is_exit(reason) else "failed"
        error = redact(f"{type(reason).__name__}: {reason}")
        raise
    finally:
        _render(record)
        record.close(status, error)
        log.info("%s: %s", status, record.executed)
    if error:
        raise NotebookFailed(redact(f"{notebook.stem} {status}: {error}\nexecuted notebook: {record.executed}"))
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
            raise ParameterError(f"parameter {name} of {notebook.name} must be {expected}, got {found}: {value!r}")


class _Engine(NBClientEngine):
    """papermill's engine with a kernel over IPC (TCP ports are raced for) and an honest end after a kill."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, cell_timeout=None, **_):
        sockets = tempfile.mkdtemp(prefix="pb-")  # short: a socket's path has at most 107 characters
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}})
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            timeout=cell_timeout,
            startup_timeout=60,
            log=log,
            config=config,
            resources={"metadata": {"path": str(ROOT)}},
        )
        try:
            client.execute(env=_kernel_environment())
        except BaseException:
            # papermill calls every cell completed: the one that was cut off is the last that has started
            started = [c for c in nb_man.nb.cells if c.metadata.papermill["start_time"]]
            if started:
                nb_man.cell_exception(started[-1])
            raise
        finally:
            shutil.rmtree(sockets, ignore_errors=True)


class _Handler:
    """papermill's way to a file of the archive."""

    def read(self, path):
        return Path(path.removeprefix(SCHEME)).read_text(encoding="utf-8")

    def write(self, text, path):
        write_atomically(Path(path.removeprefix(SCHEME)), text)

    def listdir(self, path):
        return [str(p) for p in Path(path.removeprefix(SCHEME)).iterdir()]

    def pretty_path(self, path):
        return path.removeprefix(SCHEME)


papermill_engines.register("pulsebook", _Engine)
papermill_io.register(SCHEME, _Handler())


def _execute(notebook: Path, parameters: dict, executed: Path, cell_timeout: float | None) -> None:
    papermill.execute_notebook(
        str(notebook),
        f"{SCHEME}{executed}",
        parameters=parameters,
        engine_name="pulsebook",
        progress_bar=False,
        cell_timeout=cell_timeout,
    )


def _kernel_environment() -> dict[str, str]:
    """The task's environment without Airflow's own settings and connections."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "AIRFLOW__", "_AIRFLOW"))}
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def _what_failed(executed: Path, failure: PapermillExecutionError) -> str:
    cells = nbformat.read(executed, as_version=4).cells
    heading = ""
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("#"):
            heading = cell.source.lstrip().splitlines()[0].lstrip("# ")
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            break
    return redact(f"cell [{failure.exec_count}] under “{heading}”: {failure.ename}: {failure.evalue}")


def _render(record: Record) -> None:
    """The page beside the notebook. A page that cannot be made is reported and does not fail the run."""
    if not record.executed.exists():
        return
    try:
        page, _ = HTMLExporter(template_name="lab").from_filename(str(record.executed))
        write_atomically(record.html, page)
    except Exception:
        log.exception("no HTML for %s", record.executed)


def _is_exit(reason: BaseException) -> bool:
    return isinstance(reason, Killed | KeyboardInterrupt | SystemExit)


def _shown(notebook: Path) -> str:
    return str(notebook.relative_to(ROOT)) if notebook.is_relative_to(ROOT) else str(notebook)
