"""The week before, loaded: reports show seven days, of which the DAG itself loads yesterday.

    python -m pulsebook.local.week 2026-11-22

loads one day as a person would, notebook by notebook (`pulsebook run`), into the archive of the DAG `etl`.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pulsebook.base.names import folder_of
from pulsebook.base.periods import Day, run_day, today
from pulsebook.base.settings import ROOT, settings
from pulsebook.catalogue import DIMENSIONS
from pulsebook.local.shared import phase

STEPS = [
    *((name, {}) for name in ("extract_feed", "extract_messages", "merge_users")),
    *(("slice", {"dimension": dimension.name}) for dimension in DIMENSIONS),
    ("load", {}),
]
FINAL = "metrics_by_dimension"
DAYS = 7  # before yesterday: until the morning the report that is due is of the last of them, and shows seven days


def missing(execute: Callable[[str], str]) -> list[Day]:
    """The days of the week before yesterday that are not loaded."""
    database, wanted = settings().target_database, [today() - ago for ago in range(DAYS + 1, 1, -1)]
    if execute(f"EXISTS TABLE {database}.{FINAL}").strip() != "1":
        return wanted
    loaded = execute(f"SELECT DISTINCT event_date FROM {database}.{FINAL} FORMAT TSV").split()
    return [day for day in wanted if str(day) not in loaded]


def load(execute: Callable[[str], str], environment: dict[str, str]) -> None:
    """Load what is missing of the week, two days at a time.

    Raises:
        RuntimeError: a notebook failed; the message holds the end of what it said.
    """
    if not (days := missing(execute)):
        return

    def one(day: Day) -> None:
        command = [sys.executable, "-m", "pulsebook.local.week", str(day)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{day} was not loaded:\n{(done.stdout + done.stderr).strip()[-3000:]}")
        print(f"  {day} is loaded", flush=True)

    with phase(f"loading {len(days)} days before yesterday", "a minute"), ThreadPoolExecutor(2) as pool:
        list(pool.map(one, days))


def main() -> int:
    from pulsebook import runner  # papermill takes a second

    day = str(run_day(sys.argv[1]))
    folder = folder_of(settings().outputs, "etl", day, f"by_hand__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}")
    for name, own in STEPS:
        task = "_".join([name, *own.values()])
        runner.run(settings().notebooks / "etl" / f"{name}.ipynb", {"run_date": day, **own}, folder, name=task)
    return 0


if __name__ == "__main__":
    sys.exit(main())
