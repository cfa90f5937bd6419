"""
### feed_report: yesterday's feed, to the team's chat

Daily at 11:00 in the business time zone, for the day before; where the feed is not complete yet it waits, until 12:00. Reads
what `etl` has loaded; posts DAU, views, likes and CTR with their changes and a chart of seven days. Days that `etl` has not
loaded it counts from the event tables.

**A day by hand**: trigger with `run_date`. A day that was posted is not posted again: a retry, a cleared task or a
backfill does no harm. `resend` posts it once more.

#### Triage notes
- *It waits* (`up_for_reschedule`): the source is late. It goes on by itself, and uses no retry for it.
- *The day is missing or unfinished*: nothing was posted. Clear the task when the source is complete.
- *Uncertain*: Telegram took the message but did not answer. Look into the chat; if it is not there, trigger with `resend`.
- *Telegram refused*: the message names the reason; a wrong token or chat is set in the environment or the Connection.
"""

from datetime import timedelta

from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.operator import NotebookOperator

with daily(
    "11:00",
    file=__file__,
    doc=__doc__,
    run_date="day to report on",
    params={"resend": Param(False, type="boolean", description="post the day once more")},
    timeout=timedelta(minutes=30),
    deadline="12:00",
    max_active_runs=2,
    tags=["chat"],
) as dag:
    NotebookOperator(notebook="reports/feed_report.ipynb", parameters={"post": True}, waits_for=["feed"])
