"""
### etl: yesterday's feed and messages, per user, sliced by every dimension

Daily at 03:00 in the business time zone, for the day before; where the day is not complete in both sources yet it waits,
until 12:00. Reads `feed_actions` and `message_actions`, appends the day to `metrics_by_dimension`. A re-run replaces the day
and nothing else.

**Run a day by hand**: trigger with `run_date`. **Fill days**: a backfill; a run at day D works on D-1.

#### Triage notes
- *It waits* (`up_for_reschedule`): the source's loading is late. It goes on by itself, and uses no retry for it.
- *The day is empty or unfinished*: it is past 12:00, or a day by hand. Nothing was written. Clear the run when it is complete.
- *Totals differ in `load`*: events arrived after the extracts. Clear the run from `extract_feed` and `extract_messages`.
- *No connection*: two retries cover ten minutes. Then see whether the server named in the message is up.
- The executed notebook named in the task log shows how far the step came.
"""

from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.catalogue import DIMENSIONS, SOURCES

UNFINISHED = Param(False, type="boolean", description="also process an empty or unfinished day")

with daily(
    "03:00",
    file=__file__,
    doc=__doc__,
    params={"allow_unfinished": UNFINISHED},
    deadline="12:00",
    max_active_runs=3,
) as dag:
    # each waits for both: counted hours apart the two would not be of one state of the source
    extract_feed = NotebookOperator(notebook="etl/extract_feed.ipynb", waits_for=SOURCES)
    extract_messages = NotebookOperator(notebook="etl/extract_messages.ipynb", waits_for=SOURCES)
    merge_users = NotebookOperator(notebook="etl/merge_users.ipynb")
    slices = [
        NotebookOperator(task_id=f"slice_{d.name}", notebook="etl/slice.ipynb", parameters={"dimension": d.name})
        for d in DIMENSIONS
    ]
    load = NotebookOperator(notebook="etl/load.ipynb")

    [extract_feed, extract_messages] >> merge_users >> slices >> load
