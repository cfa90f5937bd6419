"""Runs of another DAG that a notebook asks for by its facts: one for each day, started once for each change, and waited for
without a worker.

The notebook states `change` of a slice `day=2026-11-20`: a number that is the same for the same change.
"""

from airflow.sdk import task
from airflow.sdk.bases.sensor import PokeReturnValue

from pulsebook.airflow.given import due
from pulsebook.archive.record import Record
from pulsebook.base.settings import place

OVER = ("success", "failed")


@task(task_id="runs")
def runs_of(executed: str, dag_run=None) -> list[dict]:
    """The runs that an executed notebook asks for, as `TriggerDagRunOperator` takes them. Their ids name who asks, the day and
    the change: asked for again they are the same runs."""
    facts = Record.load(place(executed).with_suffix(".json")).facts or []
    changes = {fact["slice"].removeprefix("day="): fact["value"] for fact in facts if fact["metric"] == "change"}
    asked = due(dag_run).date()
    return [
        {"trigger_run_id": f"recount__{asked}__{day}__{change:x}", "conf": {"run_date": day}}
        for day, change in changes.items()
    ]


@task.sensor(mode="reschedule", poke_interval=30, trigger_rule="none_failed")
def are_over(dag_id: str, runs: list[dict], ti=None) -> PokeReturnValue:
    """Whether these runs have ended, well or not: who failed has told it itself."""
    states = [ti.get_dagrun_state(dag_id=dag_id, run_id=run["trigger_run_id"]) for run in runs]
    return PokeReturnValue(all(state in OVER for state in states))
