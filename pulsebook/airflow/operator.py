"""The operator that runs a notebook.

A notebook that declares `run_date` or `slot` is given the run's (see `given`). The macros RUN_DATE and SLOT put them into other
templates; they need `user_defined_macros={"run_date": run_date, "slot": slot}` in the DAG.
"""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from airflow.configuration import conf
from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk.bases.operatorlink import BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from jinja2.nativetypes import NativeEnvironment

from pulsebook.airflow.connections import connections
from pulsebook.airflow.given import run_date, slot, with_given  # noqa: F401 (the macros, which DAG files import from here)
from pulsebook.airflow.templates import rendered
from pulsebook.airflow.waiting import EVERY, Gate, TaskTry, time_of_day
from pulsebook.base.names import folder_of, period_of
from pulsebook.base.settings import settings
from pulsebook.execution.guard import ending_with

RUN_DATE = "{{ run_date(dag, dag_run, params) }}"
TIMEOUT = conf.gettimedelta("core", "default_task_execution_timeout", fallback=None) or timedelta(hours=2)
REVIEW = "/pulsebook"  # where the review plugin serves executed notebooks
SLOT = "{{ slot(dag, dag_run, params) }}"
REFUSED = {  # what the provider's operator takes and this one could not honour
    "input_nb": "name the notebook with `notebook`",
    "output_nb": "the archive names the executed notebook",
    "language_name": "name a kernel with `kernel_name`",
    "kernel_conn_id": "notebooks run in kernels of the worker's own, see `kernel_name`",
    "nbconvert": "a page is always made",
    "nbconvert_args": "a page is always made, without options",
}


def map_index_of(ti) -> int | None:
    """Which of a mapped task's instances it is; None: the task is not mapped."""
    index = getattr(ti, "map_index", None)
    return index if index is not None and index >= 0 else None


class NotebookLink(BaseOperatorLink):
    """A button on the task's details: the executed notebook of exactly that try."""

    name = "Executed notebook"

    def get_link(self, operator, *, ti_key) -> str:
        step = "/".join(quote(name, safe="+:~") for name in (ti_key.dag_id, ti_key.run_id, ti_key.task_id))
        index = map_index_of(ti_key)
        of_map = "" if index is None else f"&map_index={index}"
        return f"{REVIEW}/{step}?try_number={ti_key.try_number}{of_map}"


class NotebookOperator(PapermillOperator):
    """Executes a notebook of `notebooks/` and archives it as
    `{outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}`, with a page and a run record beside it (of a mapped task
    `{task_id}-map{i}-try{n}`).

    The task is named after the notebook unless `task_id` says otherwise; mapped over parameters it needs one:

        >>> days = [{"run_date": "2026-11-21"}, {"run_date": "2026-11-22"}]
        >>> loads = NotebookOperator.partial(task_id="load", notebook="etl/load.ipynb").expand(parameters=days)

    Where `parameters` does not give it, a notebook's `run_date` or `slot` is the run's, and any other parameter that the DAG
    has by the same name is the DAG's; `resend` is the run's id where it was asked for.

    A template in a parameter gives text. Text is taken for what the notebook's parameters cell declares where that is beyond
    doubt (`"3"` for an int); for a parameter that is text it stays text. An unknown parameter, or one of another type, fails
    the task before a kernel starts, without a retry; nor is tried again what is wrong in code or SQL itself (a name, a column
    or a module that is not there, a syntax error, a kernel that is not installed), or a message that may have arrived. A
    notebook that ends itself with `sys.exit(0)` skips the task, and what waits for it. With `waits_for` (sources of the catalogue, `etl`: see `waiting`) the scheduled run of a day waits until its day
    is there, until `deadline` in the business zone: its own, or the DAG's. With `log_output` the task's log shows the texts that a cell has put out, when it is over. A task always has
    an `execution_timeout`: its own, the DAG's or TIMEOUT.
    """

    operator_extra_links = (NotebookLink(),)

    def __init__(
        self,
        *,
        notebook: str,
        parameters: dict | None = None,
        cell_timeout: float | None = None,
        execution_timeout: timedelta | None = TIMEOUT,
        waits_for: Iterable[str] = (),
        deadline: str | None = None,
        look_every: timedelta = EVERY,
        **kwargs,
    ):
        _refuse(name for name in REFUSED if kwargs.pop(name, None))
        kwargs.setdefault("task_id", Path(notebook).stem)
        # Output and kernel are derived when the task runs; the provider wants an input and an output all the same.
        super().__init__(
            input_nb=notebook,
            output_nb="archive",
            parameters=parameters or {},
            execution_timeout=execution_timeout or TIMEOUT,
            **kwargs,
        )
        _refuse(
            name for name in REFUSED if name not in ("input_nb", "output_nb") and getattr(self, name)
        )  # default_args
        self.cell_timeout = cell_timeout
        if waits_for and not deadline:
            raise ValueError(f"{self.task_id} waits for {', '.join(waits_for)}: give it, or its DAG, a deadline")
        self.gate = Gate((*waits_for,), time_of_day(deadline, "a deadline"), look_every) if waits_for else None

    def render_template(self, content, context, jinja_env=None, seen_oids=None):
        """As Airflow does, but that digits stay text also where the DAG renders native objects."""
        jinja_env = jinja_env or self.get_template_env()
        if isinstance(content, str) and isinstance(jinja_env, NativeEnvironment):
            return rendered(jinja_env.from_string(content), context)
        return super().render_template(content, context, jinja_env, seen_oids)

    def execute(self, context):
        from pulsebook.parameters import from_templates

        ti, notebook = context["ti"], settings().notebooks / self.input_nb
        with connections(), _ending_with_its_supervisor():
            self.parameters = with_given(notebook, self.parameters, context)
            parameters = from_templates(notebook, self.parameters)
            folder = folder_of(settings().outputs, ti.dag_id, period_of(parameters), ti.run_id)
            tried = TaskTry(folder, ti.task_id, ti.try_number, map_index_of(ti), _origin(ti))
            waited = self.gate.hold(context["dag_run"], tried, notebook, parameters) if self.gate else None

            from pulsebook import runner  # kernels, IPython, the archive: neither at DAG import nor for a look

            try:
                record = runner.run(
                    notebook,
                    parameters,
                    folder,
                    name=tried.name,
                    attempt=tried.number,
                    map_index=tried.map_index,
                    airflow=tried.airflow,
                    waited=waited,
                    cell_timeout=self.cell_timeout,
                    kernel_name=self.kernel_name,
                    log_output=self.log_output,
                )
            except (runner.ParameterError, runner.KernelMissing, runner.FailedForGood) as error:  # no retry repairs it
                raise AirflowFailException(str(error)) from None
        if record.status == "skipped":
            raise AirflowSkipException(
                f"the notebook ended itself: nothing to do; executed notebook: {record.executed}"
            )
        return str(record.executed)

    def on_kill(self) -> None:
        """Called in the signal handler: raising here stops the kernel and lets the record be written."""
        from pulsebook.runner import Killed

        raise Killed("the task was told to stop")


def _origin(ti) -> dict:
    """What a record says of Airflow."""
    names = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": map_index_of(ti)}
    return names | {"try_number": ti.try_number, "log_url": getattr(ti, "log_url", None)}


def _refuse(given) -> None:
    """Raises ValueError: an argument was given that would do nothing."""
    for name in given:
        raise ValueError(f"NotebookOperator takes no {name}: {REFUSED[name]}; leave it out")


def _ending_with_its_supervisor():
    """Airflow gives a task whose worker has died to another one, and lets the first go on beside it: here it ends."""
    from airflow.sdk.execution_time import comms, task_runner

    supervised = isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), comms.CommsDecoder)
    return ending_with(os.getppid()) if supervised else nullcontext()  # `airflow dags test` runs tasks in itself
