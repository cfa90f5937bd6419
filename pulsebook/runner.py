"""Executes a notebook into the archive. Knows papermill, kernels and the archive; nothing of Airflow.

    >>> import nbformat
    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> nbformat.write(new_notebook(cells=[new_code_cell("1 + 1")]), "sum.ipynb")
    >>> record = run(Path("sum.ipynb"), {}, Path("outputs"))
    >>> record.status, record.executed.name
    ('succeeded', 'sum-try1.ipynb')

While it runs, the notebook is written every two seconds where there is something to see (`pulsebook.execution.archive_io`).
"""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import IPython  # noqa: F401 (its modules import each other: begun by the kernel's start and the page's at once, both fail)
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from papermill.iorw import load_notebook_node
from papermill.translators import translate_parameters

from pulsebook.archive import index, origin, waiting
from pulsebook.archive.ending import close_stale_in, finish
from pulsebook.archive.notebook import left_early
from pulsebook.archive.record import Record
from pulsebook.base import files, magic
from pulsebook.base.errors import PulsebookError
from pulsebook.base.names import is_try_of
from pulsebook.base.redact import (
    WithoutSecrets,
    holds_secret,
    redact,
    register_literals_of,
    register_secrets_of,
)
from pulsebook.base.settings import ROOT, place, settings
from pulsebook.base.words import say
from pulsebook.execution.archive_io import SCHEME
from pulsebook.execution.client import Client as _Client  # noqa: F401 (the name of old)
from pulsebook.execution.engine import DEFAULT, Engine, KernelMissing, kernel_of  # noqa: F401 (one of what `run` raises)
from pulsebook.execution.failures import CellFailed, CellTimedOut, KernelDied
from pulsebook.execution.outputs import Limits
from pulsebook.parameters import ParameterError as ParameterError
from pulsebook.parameters import accepted, recorded

log = logging.getLogger(__name__)
kernel_log = logging.getLogger(f"{__name__}.kernel")
for logger in (log, kernel_log, logging.getLogger("papermill")):
    logger.addFilter(WithoutSecrets())
kernel_log.setLevel(logging.INFO)  # at DEBUG nbclient writes down every message to and from the kernel


class NotebookFailed(PulsebookError, RuntimeError):
    """A cell of the notebook failed; the message says which, why, and where the executed notebook lies."""


class FailedForGood(NotebookFailed):
    """A cell failed by its code or a statement: no retry repairs that."""


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
    kernel_name: str | None = None,
    log_output: bool = False,
    waited: Record | None = None,
) -> Record:
    """Execute a notebook with parameters; its evidence goes to `folder/{name}-try{attempt}`.

    Of a mapped task, `map_index` is part of that name.

    Args:
        cell_timeout: seconds that one cell may take; None: no limit.
        kernel_name: the kernel to take; default: the notebook's own, or where it names none this environment's Python.
        log_output: whether texts that a cell has put out are logged, without secrets, when it is over.
        waited: the record of this try, where it has waited for its day.

    A notebook that has nothing to do may end itself with `sys.exit(0)`, `exit()` or `quit()`: it is then `skipped`. A cell
    tagged `raises-exception` may fail. The kernel works in the notebook's folder, or where `PULSEBOOK_WORKING_FOLDER` says.

    Raises:
        ParameterError: before anything is executed. The record says so too.
        NotebookFailed: a cell failed, ran out of time, or the kernel died; FailedForGood where no retry repairs it. The
            record says so too.
        KernelMissing: the kernel is not installed. The record says so too.
    """
    register_secrets_of(parameters)
    found = files.files(folder, "*")
    name = name or notebook.stem
    others = [path for path in found if is_try_of(path.stem, name, map_index) and not (waited and path == waited.path)]
    closed = close_stale_in(folder, others)
    known = {"notebook": origin.source(notebook), "parameters": recorded(parameters), "airflow": airflow or {}}
    if waited:
        record = waiting.resumed(waited, **known)
    else:
        record = Record.open(folder, name, attempt, map_index, found=found, **known)
    status, error, secret, lasting, executed = "killed", say("the run was cut off"), False, False, None
    try:
        parameters = accepted(notebook, parameters)
        content = load_notebook_node(str(notebook))
        register_literals_of(content)
        with record.heartbeat(), ThreadPoolExecutor(1) as beside:  # the kernel waits for no index
            beside.submit(_show, record, *closed)
            _prepare_the_end()
            executed, kernel = _prepared(content, notebook, parameters, record.executed, kernel_name)
            _execute(executed, kernel, notebook, record.executed, cell_timeout=cell_timeout, log_output=log_output)
        status, error = "skipped" if left_early(executed) else "succeeded", None
    except CellFailed as failure:
        status, error, lasting = "failed", str(failure), failure.lasting
    except CellTimedOut as late:
        status, error = "timed out", str(late)
    except (KernelDied, DeadKernelError) as death:
        status, error = "kernel died", str(death)
    except BaseException as reason:
        status = "timed out" if "Timeout" in type(reason).__name__ else "killed" if _is_exit(reason) else "failed"
        error = f"{type(reason).__name__}: {say(str(reason))}"
        secret = holds_secret(reason)
        if not secret:
            raise
        if _is_exit(reason):
            raise type(reason)(redact(str(reason))) from None
    finally:
        seen = finish(record, status, error, executed=executed)
        _show(record, seen=seen, page=executed is None)
        log.info("%s: %s", status, record.executed)
    if error:  # outside of what handles the first one: that is not shown beside it
        failed = FailedForGood if lasting else NotebookFailed
        raise failed(f"{notebook.stem} {say(status)}: {record.error}\nexecuted notebook: {record.executed}")
    return record


def _prepared(
    content: NotebookNode, notebook: Path, parameters: dict, executed: Path, kernel: str | None
) -> tuple[NotebookNode, str]:
    """The notebook with its parameters, and the name of its kernel."""
    _refuse_magic(content)
    name, language = kernel_of(content, kernel)
    how = {"parameters": parameters, "kernel_name": name, "language": language, "prepare_only": True}
    return papermill.execute_notebook(_literal(notebook), _literal(f"{SCHEME}{executed}"), **how), name


def _execute(prepared: NotebookNode, kernel: str, notebook: Path, executed: Path, **how) -> None:
    output = f"{SCHEME}{executed}"
    Engine.execute_notebook(
        prepared,
        kernel,
        output_path=output,
        folder=ROOT / settings().working_folder if settings().working_folder else notebook.resolve().parent,
        environment=_kernel_environment(output),
        limits=Limits(int(settings().cell_output_limit * 1e6), int(settings().notebook_output_limit * 1e6)),
        fork=settings().kernel_fork,
        **how,
    )


def _refuse_magic(content: NotebookNode) -> None:
    if settings().in_lab:  # the notebook that asked: its magic does nothing in a run
        return
    for number, cell in enumerate(content.cells, 1):
        if cell.cell_type == "code" and (found := magic.lines(cell.source)):
            raise CellFailed(
                f"nothing was executed: cell {number} holds `{found[0][1]}`, which is for JupyterLab: take that line out",
                lasting=True,
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
    return inherited


def rehearse() -> None:
    """Do once what takes a process long at its first run, for those that are forked from this one. Nothing is executed."""
    _prepare_pages()
    kernel_of(new_notebook())  # jupyter_client looks into all installed packages
    translate_parameters(DEFAULT, "python", {"run_date": ""}, "")  # papermill imports what lays out the injected cell
    origin.versions()


def _prepare_the_end() -> None:
    """Load what makes the page while the kernel starts: after a kill Airflow leaves a task five seconds."""
    threading.Thread(target=_prepare_pages, name="pages", daemon=True).start()


def _prepare_pages() -> None:
    from pulsebook.archive import diff_page, page  # noqa: F401 (both are needed at the end)

    page.prepare()


def _show(record: Record, *others: Record, **how) -> None:
    """Enter tries into the archive's index. An index that cannot be written is reported and does not fail the run."""
    if not record.path.is_relative_to(settings().outputs):
        return
    try:
        index.update(settings().outputs, *others, record, **how)
    except Exception:
        log.exception("%s is not in the index", record.path)


def _is_exit(reason: BaseException) -> bool:
    return isinstance(reason, Killed | KeyboardInterrupt | SystemExit)
