"""
### archive_prune: runs whose time is over leave the archive

Daily at 04:30 in the business time zone. Removes alert checks without an incident after 14 days and everything else after
400; what failed or raised an incident is kept twice as long (`pulsebook/archive/retention.py`). Touches nothing but files
of finished runs, and brings the index up to date.

**See first what would go**: `pulsebook archive prune`, or trigger with `delete` off.

#### Triage notes
- *One failed run is harmless*: the next one removes what this one left. The index was updated before files were removed.
- *Permission denied*: a file belongs to another user. Let one user run Airflow and the command line.
- *Something is missing that should be there*: `pulsebook archive verify` names it.
"""

from airflow.sdk import Param, task

from pulsebook.airflow import daily
from pulsebook.base.settings import settings

DELETE = Param(True, type="boolean", description="off: only say in the log what would go")

with daily("04:30", file=__file__, doc=__doc__, run_date=None, params={"delete": DELETE}, retries=1) as dag:

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
