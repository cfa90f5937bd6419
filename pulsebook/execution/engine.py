"""papermill's engine: a kernel over IPC (TCP ports are raced for), and an honest end after a kill."""

import logging
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

from pulsebook.base.errors import PulsebookError
from pulsebook.execution.archive_io import Manager
from pulsebook.execution.client import Client
from pulsebook.execution.guard import Guard
from pulsebook.execution.kernel_output import KernelOutput
from pulsebook.execution.outputs import Limits, NotebookOutputs
from pulsebook.execution.sockets import sockets, sweep

DEFAULT = "python3"  # the kernel of this environment
log = logging.getLogger("pulsebook.runner.kernel")


class KernelMissing(PulsebookError, RuntimeError):
    """The kernel that a notebook asks for is not installed here."""


class Engine(NBClientEngine):
    """Executes a notebook; a cell that fails is raised as `CellFailed`."""

    @classmethod
    def execute_notebook(cls, nb: NotebookNode, kernel_name: str, output_path: str, **how) -> None:
        """As papermill's, with our account of it. However it ends, the notebook holds what was put out."""
        manager = Manager(nb, output_path=output_path, progress_bar=False)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **how)
        finally:
            manager.notebook_complete()

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,
        kernel_name: str,
        *,
        folder: Path,
        environment: dict[str, str],
        limits: Limits,
        fork: bool = True,
        cell_timeout: float | None = None,
        log_output: bool = False,
        **_,
    ):
        """Called by papermill.

        Args:
            folder: where the kernel works.
            environment: the kernel's variables.
            limits: of what cells may put out.
            fork: whether the kernel may be forked (see `fork_server`).
            cell_timeout: seconds that one cell may take; None: no limit.
            log_output: whether what a cell has put out is logged when it is over.
        """
        sweep()
        with sockets() as place:
            guard, output = Guard(place), KernelOutput()
            # seconds: ending, one ipykernel in thirty hangs (its threads wait for each other); SIGTERM follows after half
            connection = {"transport": "ipc", "ip": f"{place}/k", "connection_file": f"{place}/kernel.json"}
            client = Client(
                nb_man,
                guard=guard,
                kept=NotebookOutputs(limits),
                cell_timeout=cell_timeout,
                fork=fork,
                log_output=log_output,
                kernel_name=kernel_name,
                startup_timeout=60,
                log=log,
                config=Config({"KernelManager": {**connection, "shutdown_wait_time": 2.0}}),
                resources={"metadata": {"path": str(folder)}},
            )
            try:
                client.execute(env=environment | guard.mark, stdout=output.stdout, stderr=output.stderr)
                if client.failure:
                    raise client.failure
            except BaseException:
                # papermill calls every cell completed: the one that was cut off is the last that has started
                started = [c for c in nb_man.nb.cells if c.metadata.papermill["start_time"]]
                if started:
                    nb_man.cell_exception(started[-1])
                raise
            finally:
                guard.end()
                output.end()


def kernel_of(notebook: NotebookNode, named: str | None = None) -> tuple[str, str]:
    """Name and language of the kernel that executes a notebook.

    Args:
        named: takes the place of the notebook's own; a Python notebook that names none runs on this environment's.

    Raises:
        KernelMissing: it is not installed; the message says what to do.
    """
    spec, language = (
        notebook.metadata.get("kernelspec") or {},
        (notebook.metadata.get("language_info") or {}).get("name"),
    )
    language = spec.get("language") or language or "python"
    name = named or spec.get("name") or (DEFAULT if language == "python" else "")
    manager = KernelSpecManager()
    try:
        if not name:
            raise NoSuchKernel(language)
        return name, manager.get_kernel_spec(name).language or language
    except NoSuchKernel:
        raise KernelMissing(
            f"the notebook asks for the kernel {name or f'of the language {language}'!r}, which is not installed here; "
            f"there are {', '.join(sorted(manager.find_kernel_specs()))}. Install it (python -m ipykernel install "
            f"--user --name …, in its environment), or name another: kernel_name={DEFAULT!r}"
        ) from None


papermill_engines.register("pulsebook", Engine)
