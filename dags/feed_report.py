"""
### feed_report: yesterday's feed, to the team's chat

Daily at 11:00 in the business time zone, for the day before. Reads what `etl` has loaded; posts DAU, views, likes
and CTR with their changes and a chart of seven days. Days that `etl` has not loaded it counts from the event tables.

**A day by hand**: trigger with `run_date`. A day that was posted is not posted again: a retry, a cleared task or a
backfill does no harm. `resend` posts it once more.

#### Triage notes
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
    tags=["chat"],
) as dag:
    NotebookOperator(notebook="reports/feed_report.ipynb", parameters={"post": True})
