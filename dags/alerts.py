"""
### alerts: is the last quarter of an hour normal?

Every 15 minutes: `collect` counts the slot that has just ended into `slot_metrics`, `check` compares it with what was to
be expected and tells the team's chat what is new: an incident opened, worse, still there after 4 hours, over. Beside them `watch`
looks whether the day's reports have come.

**A slot by hand**: trigger with `slot` (its start). One before a slot that was checked already is only shown in its notebook:
nothing is posted, no incident is kept. Slots that were missed while Airflow was down are counted and checked
by the next run; what was over by then comes in one summary. In `quiet_hours` (of the form, else of
`PULSEBOOK_QUIET_HOURS`, else of the catalogue's `POLICY`) only critical incidents are told.

**Reports that do not come**: from `PULSEBOOK_LATE_AT` on `watch` looks whether the day's reports are in the ledger, whatever becomes
of `collect` and `check`.

#### Triage notes
- *One failed run is harmless*: the next one covers its slot. Two in a row: open the notebook named in the message.
- *Too many or too few alerts*: replay a period in `notebooks/alerts/backtest.ipynb` and set the metric's
  `Alert(sensitivity=…)` in `pulsebook/catalogue/metrics.py`; days that are known to be unusual go into `KNOWN_DAYS`
  in `pulsebook/catalogue/alerts.py`, where `POLICY` says what is told again, what is critical, what ends an incident.
- *No data: …*: the source's loading has stopped. Its metrics are judged again when data are back.
"""

from airflow.sdk import Param

from pulsebook.airflow import every_quarter_hour
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.base.quiet_hours import FORM

QUIET = Param(
    "",
    type="string",
    pattern=FORM,
    description="then only critical incidents are told, such as 23:00-08:00; none: never; empty: as set",
)

with every_quarter_hour(file=__file__, doc=__doc__, params={"quiet_hours": QUIET}, tags=["alerts", "chat"]) as dag:
    collect = NotebookOperator(notebook="alerts/collect.ipynb")
    check = NotebookOperator(
        notebook="alerts/check.ipynb", parameters={"post": True, "quiet": "{{ params.quiet_hours }}"}
    )

    NotebookOperator(notebook="alerts/watch.ipynb", parameters={"post": True})

    collect >> check
