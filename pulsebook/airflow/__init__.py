"""What DAGs need of Airflow; the only place that imports it.

    >>> from pulsebook.airflow.operator import NotebookOperator
    >>> with daily("11:00", file="dags/feed_report.py", doc="The report on the feed.", tags=["chat"]) as dag:
    ...     report = NotebookOperator(notebook="reports/feed_report.ipynb", parameters={"post": True})
    >>> dag.dag_id, dag.task_ids
    ('feed_report', ['feed_report'])

Airflow looks for DAGs only in files that hold the word `dag`: keep the `as dag`.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

from pulsebook.airflow import pings
from pulsebook.airflow.waiting import time_of_day
from pulsebook.base.settings import settings


def daily(
    at: str,
    *,
    run_date: str | None = "day to process",
    params: dict | None = None,
    tags: list[str] | None = None,
    retries: int = 2,
    retry_delay: timedelta = timedelta(minutes=5),
    timeout: timedelta = timedelta(hours=2),
    deadline: str | None = None,
    **how,
) -> DAG:
    """A DAG that runs once a day.

    Args:
        at: its time in the business zone, such as `11:00`.
        run_date: what its parameter of that name means, where it is given; None: it has none.
        params: its other parameters.
        tags: beside `daily`.
        timeout: how long one try of a task may take.
        deadline: until when its tasks wait for what they name in `waits_for`, a later time of the same day.
        how: `file` (the DAG's `__file__`: it is named after it), `doc` and, if need be, `max_active_runs`.

    Raises:
        ValueError: `at` or `deadline` is no time of day, or the deadline is not the later one.
    """
    due = time_of_day(at, "a daily DAG")
    if deadline and time_of_day(deadline, "a deadline") <= due:
        raise ValueError(f"the deadline must be later than {at}, on the same day, got {deadline}")
    return _dag(
        f"{due.minute} {due.hour} * * *",
        params=_period("run_date", "date", run_date) | (params or {}),
        tags=["daily", *(tags or [])],
        tries={"retries": retries, "retry_delay": retry_delay, "execution_timeout": timeout, "deadline": deadline},
        **how,
    )


def every_quarter_hour(
    *,
    slot: str | None = "start of the slot",
    params: dict | None = None,
    tags: list[str] | None = None,
    retries: int = 1,
    retry_delay: timedelta = timedelta(minutes=1),
    timeout: timedelta = timedelta(minutes=10),
    **how,
) -> DAG:
    """A DAG that runs every 15 minutes; what it takes is as for `daily`, with `slot` for `run_date`."""
    return _dag(
        "*/15 * * * *",
        params=_period("slot", "date-time", slot) | (params or {}),
        tags=tags or [],
        tries={"retries": retries, "retry_delay": retry_delay, "execution_timeout": timeout},
        **how,
    )


def _period(name: str, kind: str, meaning: str | None) -> dict[str, Param]:
    if meaning is None:
        return {}
    of_run = {"run_date": "the day before the Logical Date", "slot": "the last one that was over at the Logical Date"}[
        name
    ]
    meaning = f"{meaning}, whatever the Logical Date; empty: {of_run} ({settings().timezone.key}). Of a backfill: empty"
    return {name: Param(None, type=["null", "string"], format=kind, description=meaning)}


def _dag(schedule: str, *, file: str, doc: str, params: dict, tags: list[str], tries: dict, max_active_runs: int = 1):
    from pulsebook.airflow.callbacks import notify_operations  # it imports the operator

    zone = settings().timezone
    return DAG(
        dag_id=Path(file).stem,
        doc_md=doc,
        schedule=CronTriggerTimetable(schedule, timezone=zone.key),
        start_date=datetime(2026, 1, 1, tzinfo=zone),
        catchup=False,
        max_active_runs=max_active_runs,
        default_args={"owner": "analytics", "on_failure_callback": notify_operations, **pings.of_tasks(), **tries},
        params=params,
        render_template_as_native_obj=True,
        tags=tags,
        **pings.of_dag(),
    )
