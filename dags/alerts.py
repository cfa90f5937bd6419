"""
### alerts: is the last quarter of an hour normal?

Every 15 minutes: `collect` counts the slot that has just ended into `slot_metrics`, `check` compares it with what was to
be expected and tells the team's chat what is new: an incident opened, worse, still there after 4 hours, over.

**A slot by hand**: trigger with `slot` (its start). Slots that were missed while Airflow was down are counted and checked
by the next run; what was over by then comes in one summary.

#### Triage notes
- *One failed run is harmless*: the next one covers its slot. Two in a row: open the notebook named in the message.
- *Too many or too few alerts*: replay a period in `notebooks/alerts/backtest.ipynb` and set the metric's `sensitivity` in
  `pulsebook/metrics.py`; days that are known to be unusual go into `KNOWN_DAYS` there.
- *No data in …*: the source's loading has stopped. Its metrics are judged again when data are back.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Param
from airflow.timetables.trigger import CronTriggerTimetable

from pulsebook.airflow.callbacks import tell_operations
from pulsebook.airflow.operator import SLOT, NotebookOperator, slot
from pulsebook.settings import settings

with DAG(
    dag_id="alerts",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("*/15 * * * *", timezone=settings().timezone.key),
    start_date=datetime(2026, 1, 1, tzinfo=settings().timezone),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics",
        "retries": 1,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=10),
        "on_failure_callback": tell_operations,
    },
    params={
        "slot": Param(
            None, type=["null", "string"], format="date-time", description="start of the slot; empty: the last"
        ),
    },
    user_defined_macros={"slot": slot},
    render_template_as_native_obj=True,
    tags=["alerts", "chat"],
):
    collect = NotebookOperator(notebook="alerts/collect.ipynb", parameters={"slot": SLOT})
    check = NotebookOperator(notebook="alerts/check.ipynb", parameters={"slot": SLOT, "post": True})

    collect >> check
