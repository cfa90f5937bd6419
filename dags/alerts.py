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

from pulsebook.airflow import every_quarter_hour
from pulsebook.airflow.operator import NotebookOperator

with every_quarter_hour(file=__file__, doc=__doc__, tags=["alerts", "chat"]) as dag:
    collect = NotebookOperator(notebook="alerts/collect.ipynb")
    check = NotebookOperator(notebook="alerts/check.ipynb", parameters={"post": True})

    collect >> check
