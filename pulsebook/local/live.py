"""Events that keep arriving: the sample's story goes on, from where the rows end up to now, every few seconds.

    python -m pulsebook.local.live --url http://127.0.0.1:8123 --plan .local/warehouse/sample.json

The rows are those that the sample would have had, had it been made later: the same users, habits and profiles, the same
seed, no further incidents. After a pause, however long, the gap is filled first. How far the rows reach is read from the
tables each time, and what is added to a day comes in whole or not at all: nothing is lost or written twice by a restart.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import requests

from pulsebook.base.files import replace
from pulsebook.local import sample
from pulsebook.local.sample import SampleError
from pulsebook.local.sample_events import TABLES, Events
from pulsebook.local.sample_people import SHARES, People
from pulsebook.local.story import Story

log = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds from one batch of events to the next
PATIENCE = 30  # batches that may fail one after another, for want of a server, before the process gives up


@dataclass(frozen=True)
class Plan:
    """What a sample was made from: enough to go on with its story. Kept in a file beside the data."""

    days: int
    dau: int
    seed: int
    until: str  # ISO instant at which the fill ended
    timezone: str
    database: str
    receiver_column: str = "receiver_id"
    filled: bool = False  # False: the fill was begun and has not come to its end

    @classmethod
    def load(cls, file: Path) -> "Plan | None":
        return cls(**json.loads(file.read_text("utf-8"))) if file.exists() else None

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, json.dumps(asdict(self), indent=1))


def prepare(execute: Callable[[str], str], file: Path, days: int, dau: int, timezone: str, database: str) -> Plan:
    """The sample that `file` names, filled now where it is not yet; a fill that was cut off is begun anew.

    Raises:
        SampleError: the tables hold rows that are not of this sample.
    """
    plan = Plan.load(file)
    if plan and plan.filled and plan.database == database and all(_holds_rows(execute, database, t) for t in TABLES):
        return plan
    ours = plan is not None and not plan.filled and plan.database == database
    begun = Plan(days, dau, 1, datetime.now(UTC).isoformat(timespec="seconds"), timezone, database)
    if not ours:
        for table in TABLES:
            if _holds_rows(execute, database, table):
                raise SampleError(
                    f"{database}.{table} must hold the sample that {file} tells of, but holds other rows;"
                    " nothing is added to them. Move the warehouse's folder away, or choose another database"
                )
    begun.save(file)
    until = datetime.fromisoformat(begun.until)
    print(sample.fill(execute, days, dau, begun.seed, until, timezone, database, begun.receiver_column, replace=True))
    plan = Plan(**{**asdict(begun), "filled": True})
    plan.save(file)
    return plan


def _holds_rows(execute: Callable[[str], str], database: str, table: str) -> bool:
    if execute(f"EXISTS TABLE {database}.{table}").strip() != "1":
        return False
    return execute(f"SELECT 1 FROM {database}.{table} LIMIT 1").strip() == "1"


class Live:
    """Goes on with the story of a plan. A day is made as a whole in tables in memory (`…_ahead`), and moved as time passes."""

    def __init__(self, execute: Callable[[str], str], plan: Plan):
        self.execute, self.plan = execute, plan
        self.zone = ZoneInfo(plan.timezone)
        self.began = datetime.fromisoformat(plan.until).astimezone(self.zone)
        self.work = f"{plan.database}_ahead"
        self._prepared: date | None = None  # the day in the tables in memory

    def advance(self, now: datetime) -> datetime:
        """Write what has happened up to and including the second `now`; returns the instant to which the rows reached.

        Raises:
            SampleError, requests.RequestException: the next call makes up for it.
        """
        now = now.astimezone(self.zone).replace(microsecond=0)
        reached = {table: self._latest(table) for table in TABLES}
        day = (min(reached.values()) + timedelta(seconds=1)).date()
        while day <= now.date():
            self._prepare(day)
            for table, latest in reached.items():
                self.execute(
                    # one thread and one block: the part of a day appears at once
                    f"INSERT INTO {self.plan.database}.{table} SELECT * FROM {self.work}.{table}"
                    f" WHERE time > toDateTime({int(latest.timestamp())}) AND time <= toDateTime({int(now.timestamp())})"
                    " SETTINGS max_threads = 1, min_insert_block_size_rows = 100000000, min_insert_block_size_bytes = 0"
                )
            day += timedelta(days=1)
        return min(reached.values())

    def close(self) -> None:
        """Remove the tables in memory."""
        self.execute(f"DROP DATABASE IF EXISTS {self.work}")
        self._prepared = None

    def _latest(self, table: str) -> datetime:
        latest = int(self.execute(f"SELECT toUInt32(max(time)) FROM {self.plan.database}.{table}"))
        if not latest:
            raise SampleError(f"{self.plan.database}.{table} must hold the sample, but is empty: fill it anew")
        return datetime.fromtimestamp(latest, self.zone)

    def _prepare(self, date: date) -> None:
        """Have the whole day in memory."""
        if self._prepared == date and self.execute(f"EXISTS TABLE {self.work}.{TABLES[-1]}").strip() == "1":
            return
        more = max(0, (date - self.began.date()).days)
        story = Story(self.plan.days, self.plan.dau, self.plan.seed, self.began, self.zone, more)
        people = People(story, self.plan.seed, self.work)
        events = Events(story, people, self.work, self.plan.receiver_column)
        day = next(day for day in story.days if day.date == date)
        self.execute(f"CREATE DATABASE IF NOT EXISTS {self.work}")
        for statement in events.tables("ENGINE = Memory"):
            self.execute(statement)
        for share in range(SHARES):
            self.execute(people.fill(share))
        end = story.midnight(date + timedelta(days=1))
        self.execute(events.feed(day, end))
        self.execute(events.messages(day, end))
        self.execute(f"DROP TABLE {people.table}")
        self._prepared = date


def keep_alive(
    url: str, plan: Plan, interval: float = INTERVAL, stopped: Callable[[float], bool] | None = None
) -> None:
    """Let events arrive until `stopped(seconds)`, which waits that long, says so; without one, for ever.

    Raises:
        SampleError, requests.RequestException: the server has refused or been away `PATIENCE` times one after another.
    """
    live, failed, wait = Live(sample.http(url), plan), 0, stopped or time.sleep
    while True:
        try:
            reached = live.advance(now := datetime.now(UTC))
            if now - reached > timedelta(minutes=30):
                log.info("filled the gap from %s to %s", reached, now.astimezone(live.zone).replace(microsecond=0))
            failed = 0
        except (SampleError, requests.RequestException) as error:
            failed += 1
            log.warning("no events were added (%d in a row): %s", failed, error)
            if failed >= PATIENCE:
                raise
        if wait(interval):
            return live.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.live", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8123", help="the server (default: %(default)s)")
    parser.add_argument("--password-file", type=Path, help="of its user default")
    parser.add_argument("--plan", type=Path, required=True, help="the file that tells what the sample was made from")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds (default: %(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = Plan.load(arguments.plan)
    if not plan or not plan.filled:
        print(
            f"{arguments.plan} must tell of a sample that was filled; fill one first: make warehouse", file=sys.stderr
        )
        return 1
    keep_alive(sample.with_password(arguments.url, arguments.password_file), plan, arguments.interval)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
