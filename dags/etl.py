"""
### etl: yesterday's feed and messages, per user, sliced by every dimension

Daily at 03:00 in the business time zone, for the day before. Reads `feed_actions` and `message_actions`, appends the
day to `metrics_by_dimension`. A re-run replaces the day and nothing else.

**Run a day by hand**: trigger with `run_date`. **Fill days**: a backfill; a run at day D works on D-1.

#### Triage notes
- *The day is empty or unfinished*: the source's loading is late. Nothing was written. Clear the run when it is complete.
- *Totals differ in `load`*: events arrived after the extracts. Clear the run from `extract_feed` and `extract_messages`.
- *No connection*: two retries cover ten minutes. Then see whether the server named in the message is up.
- The executed notebook named in the task log shows how far the step came.
"""

from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.catalogue import DIMENSIONS

UNFINISHED = Param(False, type="boolean", description="also process an empty or unfinished day")

with daily("03:00", file=__file__, doc=__doc__, params={"allow_unfinished": UNFINISHED}, max_active_runs=3) as dag:
    extract_feed = NotebookOperator(notebook="etl/extract_feed.ipynb")
    extract_messages = NotebookOperator(notebook="etl/extract_messages.ipynb")
    merge_users = NotebookOperator(notebook="etl/merge_users.ipynb")
    slices = [
        NotebookOperator(task_id=f"slice_{d.name}", notebook="etl/slice.ipynb", parameters={"dimension": d.name})
        for d in DIMENSIONS
    ]
    load = NotebookOperator(notebook="etl/load.ipynb")

    [extract_feed, extract_messages] >> merge_users >> slices >> load
