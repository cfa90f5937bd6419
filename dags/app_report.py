"""
### app_report: the whole app, to the team's chat

Daily at 11:00 in the business time zone, for the day before, or as soon as `etl` has loaded the day: it waits until 12:00.
Reads what `etl` has loaded, and its day in `feed_actions`; posts users, activity and where they are, with two pictures. Days
that `etl` has not loaded it counts from the event tables: at its first run all of them, once. At 12:00 it goes without *Where*,
which `rest` posts as a reply where `etl` loads the day until 18:00.

**A day by hand**: trigger with `run_date`. A day that was posted is not posted again: a retry, a cleared task or a
backfill does no harm. `resend` posts it once more.

#### Triage notes
- *It waits* (`up_for_reschedule`): a source, or `etl`, is late. It goes on by itself, and uses no retry for it.
- *The day is missing or unfinished*: nothing was posted. Clear the task when the source is complete.
- *`rest` is skipped*: the message said all, as on most days. Cleared after a late `etl` it posts what was left out.
- *Uncertain*: Telegram took the message but did not answer. Look into the chat; if it is not there, trigger with `resend`.
- *Telegram refused*: the message names the reason; a wrong token or chat is set in the environment or the Connection.
"""

from datetime import timedelta

from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.catalogue import SOURCES

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
    app_report = NotebookOperator(
        notebook="reports/app_report.ipynb", parameters={"post": True}, waits_for=[*SOURCES, "etl"]
    )
    rest = NotebookOperator(
        task_id="rest",
        notebook="reports/app_report.ipynb",
        parameters={"post": True, "rest": True},
        waits_for=["etl"],
        deadline="18:00",
    )

    app_report >> rest
