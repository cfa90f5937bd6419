"""Sample data: both source tables, filled inside the engine with a seeded story (`story`) of known incidents.

    python -m pulsebook.local.sample --url http://127.0.0.1:8123 --days 30 --dau 20000 --seed 1

The same seed and the same `--until` give the same rows. A user is the same person in both tables; ids tell the
community apart: 1000 + 3n lives in the feed (one in 60 writes messages too), 1001 + 3n in the messenger, and 1002 + 3n
only ever receives. The SQL is understood by every ClickHouse from 18.16 on.
"""

import argparse
import logging
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import requests

from pulsebook.base.errors import PulsebookError
from pulsebook.local.sample_events import RECEIVER_COLUMNS, TABLES, Events
from pulsebook.local.sample_people import SHARES, People
from pulsebook.local.story import Day, Incident, Story

log = logging.getLogger(__name__)

PARALLEL = 2  # days filled at a time


class SampleError(PulsebookError):
    """The sample cannot be made as asked; the message says what to change."""


@dataclass(frozen=True)
class Sample:
    """What was written. `last_day` is the last full day; the rows go on up to `until` on the day after it."""

    feed_rows: int
    message_rows: int
    first_day: date
    last_day: date
    until: datetime
    seconds: float
    incidents: tuple[Incident, ...]

    @property
    def rows(self) -> int:
        return self.feed_rows + self.message_rows

    def __str__(self) -> str:
        lines = [
            f"{self.feed_rows:,} feed actions and {self.message_rows:,} messages in {self.seconds:.1f} s"
            f" ({self.rows / self.seconds / 1e6:.1f} million rows a second)",
            f"full days {self.first_day} to {self.last_day}, then up to {self.until:%Y-%m-%d %H:%M:%S %Z}",
            "built-in incidents:" if self.incidents else "no built-in incidents in so few days",
        ]
        for incident in self.incidents:
            span = f"{incident.start:%Y-%m-%d %H:%M} to {incident.end:%Y-%m-%d %H:%M}"
            lines.append(f"  {incident.name:<16} {span}  {incident.what}")
        return "\n".join(lines)


def fill(
    execute: Callable[[str], str],
    days: int = 30,
    dau: int = 20_000,
    seed: int = 1,
    until: datetime | None = None,
    timezone: str = "Europe/Moscow",
    database: str = "simulator",
    receiver_column: str = "receiver_id",
    replace: bool = False,
) -> Sample:
    """Create and fill `feed_actions` and `message_actions` with `days` full days and today up to `until` (now).

    `execute` runs one statement and returns the answer as text (TabSeparated); it is called from two threads. `dau` is
    the number of feed users on a usual day. Days are local days of `timezone`; an `until` without a zone is local too.
    SampleError: an argument makes no sense, or a table holds rows already and `replace` is off.
    """
    started = time.monotonic()
    zone = _checked(days, dau, seed, timezone, database, receiver_column)
    until = (until or datetime.now(UTC)).replace(microsecond=0)
    until = until.replace(tzinfo=zone) if until.tzinfo is None else until.astimezone(zone)
    story = Story(days, dau, seed, until, zone)
    people = People(story, seed, database)
    events = Events(story, people, database, receiver_column)

    def fill_day(day: Day) -> Day:
        execute(events.feed(day, until))
        execute(events.messages(day, until))
        return day

    execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    if not replace:
        _refuse_to_overwrite(execute, database)
    for statement in events.tables():
        execute(statement)
    try:
        for share in range(SHARES):
            execute(people.fill(share))
        said = started
        with ThreadPoolExecutor(PARALLEL) as pool:
            for day in pool.map(fill_day, story.days):
                if time.monotonic() - said > 2:
                    said = time.monotonic()
                    log.info("filled up to %s", day.date)
    finally:
        execute(f"DROP TABLE IF EXISTS {people.table}")
    feed_rows, message_rows = (int(execute(f"SELECT count() FROM {database}.{table}")) for table in TABLES)
    seconds = time.monotonic() - started
    return Sample(feed_rows, message_rows, story.first_day, story.last_day, until, seconds, story.incidents)


def _checked(days: int, dau: int, seed: int, timezone: str, database: str, receiver_column: str) -> ZoneInfo:
    for name, value, low, high in (
        ("days", days, 1, 1000),
        ("dau", dau, 100, 10_000_000),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not low <= value <= high:
            raise SampleError(f"{name} must be a whole number from {low:,} to {high:,}, got {value:,}")
    if not re.fullmatch(r"[A-Za-z_]\w*", database):
        raise SampleError(f"database must be a plain name such as simulator, got {database!r}")
    if receiver_column not in RECEIVER_COLUMNS:
        raise SampleError(f"receiver column must be {' or '.join(RECEIVER_COLUMNS)}, got {receiver_column!r}")
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise SampleError(f"timezone must be a name such as Europe/Moscow, got {timezone!r}") from error


def _refuse_to_overwrite(execute: Callable[[str], str], database: str) -> None:
    for table in TABLES:
        if execute(f"EXISTS TABLE {database}.{table}").strip() == "1":
            rows = int(execute(f"SELECT count() FROM {database}.{table}"))
            if rows:
                raise SampleError(
                    f"{database}.{table} must be empty or absent, but holds {rows:,} rows;"
                    " choose another database, or replace them all with --replace"
                )


def http(url: str) -> Callable[[str], str]:
    """An `execute` for a ClickHouse server at `url`."""

    def execute(statement: str) -> str:
        response = requests.post(url, data=statement.encode(), timeout=600)
        if not response.ok:
            raise SampleError(f"ClickHouse refused a statement: {response.text.strip()[:1000]}")
        return response.text

    return execute


def with_password(url: str, file: Path | None) -> str:
    """The server's URL for its user `default` with the password that a file holds; as it is where there is no file."""
    if file is None:
        return url
    return url.replace("://", f"://default:{quote(file.read_text('utf-8').strip(), safe='')}@", 1)


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        rule = f"must be an ISO instant such as 2026-11-22T15:07 or 2026-11-22T15:07+03:00, got {text!r}"
        raise argparse.ArgumentTypeError(rule) from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.sample", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8123", help="the server (default: %(default)s)")
    parser.add_argument("--password-file", type=Path, help="of its user default")
    parser.add_argument("--days", type=int, default=30, help="full days before today (default: %(default)s)")
    parser.add_argument("--dau", type=int, default=20_000, help="feed users on a usual day (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=_instant, help="last instant, ISO (default: now)")
    parser.add_argument("--timezone", default="Europe/Moscow", help="zone of the days (default: %(default)s)")
    parser.add_argument("--database", default="simulator")
    parser.add_argument("--receiver-column", default="receiver_id", choices=RECEIVER_COLUMNS)
    parser.add_argument("--replace", action="store_true", help="drop what the two tables hold")
    arguments = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        url = with_password(arguments.pop("url"), arguments.pop("password_file"))
        print(fill(http(url), **arguments))
    except (SampleError, requests.RequestException) as error:
        print(f"no sample: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
