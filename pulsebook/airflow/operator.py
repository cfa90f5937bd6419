"""The operator that runs a notebook, and the macro that gives a run its day.

NotebookOperator(notebook="etl/load.ipynb", parameters={"run_date": RUN_DATE})
"""

import os
from contextlib import nullcontext
from pathlib import Path

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk.bases.operatorlink import BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pulsebook.airflow.connections import connections
from pulsebook.archive.record import folder_of
from pulsebook.guard import ending_with
from pulsebook.periods import PeriodError, run_date_of, run_day, run_slot, slot_of
from pulsebook.settings import settings

RUN_DATE = "{{ run_date(dag, dag_run, params) }}"  # needs user_defined_macros={"run_date": run_date}
REVIEW = "/pulsebook"  # where the review plugin serves executed notebooks
SLOT = "{{ slot(dag, dag_run, params) }}"  # needs user_defined_macros={"slot": slot}


def run_date(dag, dag_run, params) -> str:
    """The day that a run reports on: the parameter, or yesterday as seen from when the run was due."""
    return _given("run_date", run_day, dag, dag_run, params) or run_date_of(dag_run.logical_date or dag_run.run_after)


def slot(dag, dag_run, params) -> str:
    """The slot that a run checks: the parameter, or the one that had just ended when the run was due."""
    return _given("slot", run_slot, dag, dag_run, params) or slot_of(dag_run.logical_date or dag_run.run_after)


def _given(name: str, check, dag, dag_run, params) -> str:
    """A parameter of the run. What no retry mends fails at once: a name that the DAG does not know, a period that cannot be."""
    if unknown := (dag_run.conf or {}).keys() - dag.params.keys():
        raise AirflowFailException(
            f"the DAG has the parameters {', '.join(dag.params)}, got {', '.join(sorted(unknown))}"
        )
    try:
        check(given := params.get(name) or "")
    except PeriodError as error:
        raise AirflowFailException(str(error)) from None
    return given


def folder_for(ti, parameters: dict) -> Path:
    """The folder of a task's run in the archive."""
    period = parameters.get("run_date") or parameters.get("slot") or "undated"
    return folder_of(settings().outputs, ti.dag_id, period, ti.run_id)


class NotebookLink(BaseOperatorLink):
    """A button on the task's details: the executed notebook of exactly that try."""

    name = "Executed notebook"

    def get_link(self, operator, *, ti_key) -> str:
        return f"{REVIEW}/{ti_key.dag_id}/{ti_key.run_id}/{ti_key.task_id}?try_number={ti_key.try_number}"


class NotebookOperator(PapermillOperator):
    """Executes a notebook of `notebooks/` and archives it as
    `{outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}`, with a page and a run record beside it.

    The task is named after the notebook unless `task_id` says otherwise. An unknown parameter, or one of another type
    than in the notebook's parameters cell, fails the task before a kernel starts. A notebook that ends itself with
    `sys.exit(0)` skips the task, and what waits for it.
    """

    operator_extra_links = (NotebookLink(),)

    def __init__(self, *, notebook: str, parameters: dict | None = None, cell_timeout: float | None = None, **kwargs):
        kwargs.setdefault("task_id", Path(notebook).stem)
        # Output and kernel are derived when the task runs; the provider wants an input and an output all the same.
        super().__init__(input_nb=notebook, output_nb="archive", parameters=parameters or {}, **kwargs)
        self.cell_timeout = cell_timeout

    def execute(self, context):
        from pulsebook import runner  # papermill costs over a second: not at DAG import

        ti = context["ti"]
        with connections(), _ending_with_its_supervisor():
            record = runner.run(
                settings().notebooks / self.input_nb,
                self.parameters,
                folder_for(ti, self.parameters),
                name=ti.task_id,
                attempt=ti.try_number,
                airflow={
                    "dag_id": ti.dag_id,
                    "run_id": ti.run_id,
                    "task_id": ti.task_id,
                    "try_number": ti.try_number,
                    "log_url": getattr(ti, "log_url", None),
                },
                cell_timeout=self.cell_timeout,
                kernel_name=self.kernel_name,
            )
        if record.status == "skipped":
            raise AirflowSkipException(
                f"the notebook ended itself: nothing to do; executed notebook: {record.executed}"
            )
        return str(record.executed)

    def on_kill(self) -> None:
        """Called in the signal handler: raising here stops the kernel and lets the record be written."""
        from pulsebook.runner import Killed

        raise Killed("the task was told to stop")


def _ending_with_its_supervisor():
    """Airflow gives a task whose worker has died to another one, and lets the first go on beside it: here it ends."""
    from airflow.sdk.execution_time import comms, task_runner

    supervised = isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), comms.CommsDecoder)
    return ending_with(os.getppid()) if supervised else nullcontext()  # `airflow dags test` runs tasks in itself
