"""
### feed_report: yesterday's feed, to the team's chat

Daily at 11:00 in the business time zone, for the day before. Reads `feed_actions`; posts DAU, views, likes and CTR with
their changes and a chart of seven days.

**A day by hand**: trigger with `run_date`. A day that was posted is not posted again: a retry, a cleared task or a
backfill does no harm. `resend` posts it once more.

#### Triage notes
- *The day is missing or unfinished*: nothing was posted. Clear the task when the source is complete.
- *Uncertain*: Telegram took the message but did not answer. Look into the chat; if it is not there, trigger with `resend`.
- *Telegram refused*: the message names the reason; a wrong token or chat is set in the environment or the Connection.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

from pulsebook.airflow.callbacks import tell_operations
from pulsebook.airflow.operator import RUN_DATE, NotebookOperator, run_date
from pulsebook.settings import settings

with DAG(
    dag_id="feed_report",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 11 * * *", timezone=settings().timezone.key),
    start_date=datetime(2026, 1, 1, tzinfo=settings().timezone),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": tell_operations,
    },
    params={
        "run_date": Param(
            None, type=["null", "string"], format="date", description="day to report on; empty: yesterday"
        ),
        "resend": Param(False, type="boolean", description="post the day once more"),
    },
    user_defined_macros={"run_date": run_date},
    render_template_as_native_obj=True,
    tags=["daily", "chat"],
):
    NotebookOperator(
        notebook="reports/feed_report.ipynb",
        parameters={
            "run_date": RUN_DATE,
            "post": True,
            "resend": "{{ dag_run.run_id if params.resend else '' }}",  # a retry of the same run posts nothing twice
        },
    )
