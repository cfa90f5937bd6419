"""
### archive_prune: runs whose time is over leave the archive

Daily at 04:30 in the business time zone. Removes alert checks without an incident after 14 days and everything else after
400; what failed or raised an incident is kept twice as long (`pulsebook/archive/retention.py`). Touches nothing but files
of finished runs, and brings the index up to date.

**See first what would go**: `python -m pulsebook archive prune`, or trigger with `delete` off.

#### Triage notes
- *One failed run is harmless*: the next one removes what this one left. The index was updated before files were removed.
- *Permission denied*: a file belongs to another user. Let one user run Airflow and the command line.
- *Something is missing that should be there*: `python -m pulsebook archive verify` names it.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, task
from airflow.timetables.trigger import CronTriggerTimetable

from pulsebook.airflow.callbacks import tell_operations
from pulsebook.settings import settings

with DAG(
    dag_id="archive_prune",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("30 4 * * *", timezone=settings().timezone.key),
    start_date=datetime(2026, 1, 1, tzinfo=settings().timezone),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics",
        "retries": 1,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": tell_operations,
    },
    params={"delete": Param(True, type="boolean", description="off: only say in the log what would go")},
    tags=["daily"],
):

    @task
    def prune(params: dict | None = None) -> int:
        """Number of runs whose time was over."""
        import time

        from pulsebook.archive import retention

        over = retention.prune(settings().outputs, time.time(), delete=params["delete"])
        for run in over:
            print(f"{'removed' if params['delete'] else 'would go'}: {run.folder}")
        return len(over)

    prune()
