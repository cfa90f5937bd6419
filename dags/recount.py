"""
### recount: what has changed since it was told is corrected

Daily at 05:00 in the business time zone, for the 14 days before yesterday (`days`). `recount` compares the source with what was
loaded; `reload` starts a run of `etl` for each day that has changed, or was missing, and `loaded` waits for these without a worker.
Then `correct` replies to the messages whose numbers have moved; `recheck` counts the slots of these days anew and notes in `incidents`
which alerts they would not have raised, or would have.

**Older days**: trigger with `run_date` (the days before it) or more `days`. A second run says nothing twice.

#### Triage notes
- *no longer countable*: the source has dropped the day. Its tables stay as they are.
- *The source does not hold what was loaded* in `recheck`: the slots of that day are left as they are. A later run looks again.
- *unfinished*: the source holds only a part of the day now, perhaps since it is being loaded. A later run looks again.
- *`loaded` runs out of time*: is `etl` switched on? Its runs are called `recount__…`. Clear `loaded`.
- *Uncertain*: Telegram took a reply but did not answer. Look into the chat; if it is not there, trigger with `resend`.
"""

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param

from pulsebook.airflow import daily
from pulsebook.airflow.again import are_over, runs_of
from pulsebook.airflow.operator import NotebookOperator

PARAMS = {
    "days": Param(14, type="integer", minimum=1, maximum=60, description="how many days before it"),
    "resend": Param(False, type="boolean", description="send replies once more that may not have arrived"),
}

with daily("05:00", file=__file__, doc=__doc__, run_date="the days before it", params=PARAMS, tags=["chat"]) as dag:
    recount = NotebookOperator(notebook="etl/recount.ipynb")
    runs = runs_of(recount.output)
    reload = TriggerDagRunOperator.partial(
        task_id="reload", trigger_dag_id="etl", logical_date=None, skip_when_already_exists=True
    ).expand_kwargs(runs)
    loaded = are_over.override(task_id="loaded", timeout=timedelta(hours=6).total_seconds())("etl", runs)
    correct = NotebookOperator(notebook="reports/correct.ipynb", parameters={"post": True}, trigger_rule="none_failed")
    recheck = NotebookOperator(notebook="alerts/recheck.ipynb", trigger_rule="none_failed")

    reload >> loaded >> [correct, recheck]
