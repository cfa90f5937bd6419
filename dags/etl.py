"""
### etl: yesterday's feed and messages, per user, sliced by os, gender and age

Daily at 03:00 in the business time zone, for the day before. Reads `feed_actions` and `message_actions`, appends the
day to `metrics_by_dimension`. A re-run replaces the day and nothing else.

**Run a day by hand**: trigger with `run_date`. **Fill days**: a backfill; a run at day D works on D-1.

#### Triage notes
- *The day is empty or unfinished*: the source's loading is late. Nothing was written. Clear the run when it is complete.
- *Totals differ in `load`*: events arrived after the extracts. Clear the run from `extract_feed` and `extract_messages`.
- *No connection*: two retries cover ten minutes. Then see whether the server named in the message is up.
- The executed notebook named in the task log shows how far the step came.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

from pulsebook.airflow.callbacks import tell_operations
from pulsebook.airflow.operator import RUN_DATE, NotebookOperator, run_date
from pulsebook.settings import settings

DIMENSIONS = ("os", "gender", "age")

with DAG(
    dag_id="etl",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 3 * * *", timezone=settings().timezone.key),
    start_date=datetime(2026, 1, 1, tzinfo=settings().timezone),
    catchup=False,
    max_active_runs=3,
    default_args={
        "owner": "analytics",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": tell_operations,
    },
    params={
        "run_date": Param(None, type=["null", "string"], format="date", description="day to process; empty: yesterday"),
        "allow_unfinished": Param(False, type="boolean", description="also process an empty or unfinished day"),
    },
    user_defined_macros={"run_date": run_date},
    render_template_as_native_obj=True,
    tags=["daily"],
):
    source = {"run_date": RUN_DATE, "allow_unfinished": "{{ params.allow_unfinished }}"}
    extract_feed = NotebookOperator(notebook="etl/extract_feed.ipynb", parameters=source)
    extract_messages = NotebookOperator(notebook="etl/extract_messages.ipynb", parameters=source)
    merge_users = NotebookOperator(notebook="etl/merge_users.ipynb", parameters={"run_date": RUN_DATE})
    slices = [
        NotebookOperator(
            task_id=f"slice_{dimension}",
            notebook="etl/slice.ipynb",
            parameters={"run_date": RUN_DATE, "dimension": dimension},
        )
        for dimension in DIMENSIONS
    ]
    load = NotebookOperator(notebook="etl/load.ipynb", parameters={"run_date": RUN_DATE})

    [extract_feed, extract_messages] >> merge_users >> slices >> load
