"""Sample data: both source tables, filled inside the engine with a seeded story (`story`) of known incidents.

    python -m pulsebook.local.sample --url http://127.0.0.1:8123 --days 30 --dau 20000 --seed 1

The same seed and the same `--until` give the same rows. A user is the same person in both tables; ids tell the
community apart: 1000 + 3n lives in the feed (one in 60 writes messages too), 1001 + 3n in the messenger, and 1002 + 3n
only ever receives. The SQL is understood by every ClickHouse from 18.16 on.
"""

import argparse
import logging
import math
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import requests

from pulsebook.base.errors import PulsebookError
from pulsebook.local.story import (
    CAMPAIGN_CHANCE,
    CLOSED_CITIES,
    HABITS,
    MESSENGER_STAY,
    SLOT,
    TALKATIVE,
    VISITS,
    Day,
    Incident,
    Story,
)

log = logging.getLogger(__name__)

RECEIVER_COLUMNS = ("receiver_id", "reciever_id")
FEED, MESSENGER, SILENT = 1000, 1001, 1002  # the id of user n of a community is this + 3n
PARALLEL = 2  # days filled at a time
GREETERS = 3  # of a day's newcomers so many come at 00:00:00 sharp, and as many leave at 23:59:59
SHARES = 8  # in which users are made: each is a block of the table in memory, and as many cores can read at once
SPIKE = {"feed_spike": 2.5, "messenger_spike": 4.4}  # times the visits: some of the usual ones reach into the next slot

SEEN = "gender, age_seen, country, city, os_seen, source, exp_group"
PROFILE = "gender Int8, age Int16, country String, city String, os String, source String, exp_group Int8"

# Country, city, share of the users in per mille.
PLACES = [
    *(("Russia", city, share) for city, share in {
        "Moscow": 130, "Saint Petersburg": 70, "Novosibirsk": 27, "Yekaterinburg": 26, "Kazan": 24, "Chelyabinsk": 24,
        "Nizhny Novgorod": 24, "Samara": 24, "Omsk": 24, "Rostov-on-Don": 24, "Ufa": 24, "Krasnoyarsk": 23, "Perm": 23,
        "Voronezh": 23, "Volgograd": 22, "Krasnodar": 22, "Saratov": 20, "Tyumen": 20, "Tolyatti": 19, "Izhevsk": 19,
        "Barnaul": 18, "Irkutsk": 18, "Ulyanovsk": 18, "Khabarovsk": 18, "Vladivostok": 17, "Yaroslavl": 17,
        "Makhachkala": 16, "Tomsk": 16, "Orenburg": 15, "Kemerovo": 15, "Ryazan": 14, "Astrakhan": 13, "Penza": 13,
        "Lipetsk": 12, "Kirov": 11, "Tula": 11, "Kaliningrad": 10, "Murmansk": 6,
    }.items()),
    ("Ukraine", "Kyiv", 30), ("Ukraine", "Kharkiv", 14), ("Ukraine", "Odesa", 11),
    ("Belarus", "Minsk", 14), ("Belarus", "Gomel", 6), ("Kazakhstan", "Almaty", 14), ("Kazakhstan", "Astana", 10),
    ("Azerbaijan", "Baku", 12), ("Finland", "Helsinki", 6), ("Turkey", "Istanbul", 5), ("Latvia", "Riga", 3),
    ("Cyprus", "Limassol", 2), ("Estonia", "Tallinn", 2), ("Switzerland", "Geneva", 1),
]  # fmt: skip


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
    tape = Tape(story, seed, database, receiver_column)

    def fill_day(day: Day) -> Day:
        execute(tape.feed(day, until))
        execute(tape.messages(day, until))
        return day

    execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    if not replace:
        _refuse_to_overwrite(execute, database)
    for statement in tape.tables():
        execute(statement)
    try:
        for share in range(SHARES):
            execute(tape.users(share))
        said = started
        with ThreadPoolExecutor(PARALLEL) as pool:
            for day in pool.map(fill_day, story.days_told):
                if time.monotonic() - said > 2:
                    said = time.monotonic()
                    log.info("filled up to %s", day.date)
    finally:
        execute(f"DROP TABLE IF EXISTS {tape.people}")
    feed_rows, message_rows = (int(execute(f"SELECT count() FROM {database}.{table}")) for table in TABLES)
    seconds = time.monotonic() - started
    return Sample(feed_rows, message_rows, story.first_day, story.last_day, until, seconds, story.incidents)


TABLES = ("feed_actions", "message_actions")


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


class Tape:
    """The statements that turn a story into rows.

    Nothing is drawn by rand(): every choice is a hash of who, when, what for and the seed, so a choice can be made
    anywhere, in any order, and comes out the same.
    """

    def __init__(self, story: Story, seed: int, database: str, receiver_column: str):
        self.story, self.seed, self.database, self.receiver_column = story, seed, database, receiver_column
        self.people = f"{database}.sample_users"
        self.known = list(accumulate(story.newcomers))  # users of the feed up to and including day 0, 1, 2, …
        self.messenger_per_day = story.messenger_newcomers

    def tables(self, engine: str = "") -> list[str]:
        """Make the tables anew, those of the events with the `engine` given, or as they are kept."""
        drops = [f"DROP TABLE IF EXISTS {name}" for name in (*(f"{self.database}.{t}" for t in TABLES), self.people)]
        # A day is one part that is never merged again, and whoever asks for a slot reads an hour or two of it. Ordered
        # by time alone, the same rows take nearly three times the space.
        kept = (
            engine
            or f"""ENGINE = MergeTree
                PARTITION BY toYYYYMMDD(time, '{self.story.zone.key}') ORDER BY (toStartOfHour(time), user_id)"""
        )
        return [
            *drops,
            f"""
            CREATE TABLE {self.database}.feed_actions
                (user_id UInt32, post_id UInt32, action String, time DateTime, {PROFILE}) {kept}
            """,
            f"""
            CREATE TABLE {self.database}.message_actions
                (user_id UInt32, {self.receiver_column} UInt32, time DateTime, {PROFILE}) {kept}
            """,
            f"""
            CREATE TABLE {self.people}
                (user_id UInt32, feeds UInt8, talks UInt8, born Int32, leaves Int32, chance Float64,
                 {PROFILE}, changes_at UInt32, next_age Int16, next_os String) ENGINE = Memory
            """,
        ]

    def users(self, share: int) -> str:
        """One share of everyone who ever acts: first and last possible day, chance to come between, and the profile.

        One in 17 has a profile that changes, most of them in the course of the first day, the others in the weeks
        that follow.
        """
        story, draw = self.story, self._draw
        messenger_users = self.messenger_per_day * (story.numbers + MESSENGER_STAY)
        campaign_end = FEED + 3 * self.known[story.campaign_day]
        invited = f"feeds AND user_id >= {campaign_end - 3 * story.campaign} AND user_id < {campaign_end}"
        habits = list(accumulate(round(share * 100) for share, _, _ in HABITS))
        shares = list(accumulate(share for _, _, share in PLACES))
        begin = int(story.midnight(story.begin).timestamp())
        return f"""
        INSERT INTO {self.people}
        SELECT
            user_id, feeds, NOT feeds OR {draw("talks")} % {TALKATIVE} = 0, born,
            born + multiIf(
                invited, 30,
                feeds, toInt32(floor(-log({self._uniform("stay")}) * {[stay for _, _, stay in HABITS]}[habit])),
                {draw("stay")} % {MESSENGER_STAY + 1}),
            multiIf(
                invited, {CAMPAIGN_CHANCE},
                feeds, {[chance for _, chance, _ in HABITS]}[habit],
                0.15 + {draw("chance")} % 400 / 1000),
            {draw("gender")} % 100 < 55,
            age,
            {[country for country, _, _ in PLACES]}[place],
            {[city for _, city, _ in PLACES]}[place],
            os,
            if(invited OR {draw("source")} % 100 < 42, 'ads', 'organic'),
            {draw("exp_group")} % 5,
            multiIf(
                {draw("changes")} % 25 = 0, {begin} + born * 86400 + 36000 + {draw("moment")} % 36000,
                {draw("changes")} % 50 = 1, {begin} + born * 86400 + {draw("moment")} % (45 * 86400),
                4294967295),
            age + 1,
            if(os = 'Android', 'iOS', 'Android')
        FROM (
            SELECT
                *,
                {invited} AS invited,
                arrayFirstIndex(share -> share > {draw("habit")} % 100, {habits}) AS habit,
                arrayFirstIndex(share -> share > {draw("place")} % 1000, {shares}) AS place,
                14 + toInt32(least(70, floor(-6.5 * log({self._uniform("age")} * {self._uniform("age too")})))) AS age,
                multiIf({draw("no os")} % 300 = 0, '', {draw("os")} % 100 < 65, 'Android', 'iOS') AS os
            FROM (
                SELECT
                    toUInt32({FEED} + 3 * number) AS user_id, 1 AS feeds,
                    toInt32(length(arrayFilter(known -> known <= number, {self.known}))) AS born
                FROM numbers({self.known[-1]}) WHERE number % {SHARES} = {share}
                UNION ALL
                SELECT
                    toUInt32({MESSENGER} + 3 * number) AS user_id, 0 AS feeds,
                    toInt32(toInt64(intDiv(number, {self.messenger_per_day})) - {MESSENGER_STAY}) AS born
                FROM numbers({messenger_users}) WHERE number % {SHARES} = {share}
            )
        )
        """

    def feed(self, day: Day, until: datetime) -> str:
        """A day's rows of the feed: a view every few seconds of a visit, and likes right after some of the views."""
        per_day = self.story.posts_per_day
        newest = (day.number + 14) * per_day  # the post at midnight; the older, up to a week, the less it is seen
        block = min(max(self.story.dau * 20, 65_536), 1_048_576)  # half a day, so that two cores write
        first = FEED + 3 * (self.known[day.number] - self.story.newcomers[day.number])
        likes = f"views * {_literal(day.ctr)}[slot + 1] * (0.5 + {self._draw('taste', 'visit')} % 1001 / 1000)"
        return f"""
        INSERT INTO {self.database}.feed_actions
            (user_id, post_id, action, time, gender, age, country, city, os, source, exp_group)
        SELECT
            user_id,
            {newest} + intDiv(started * {per_day}, 86400)
                - intDiv(luck % 4096 * (intDiv(luck, 4096) % 4096) * {7 * per_day}, 16777216),
            if(step < views, 'view', 'like'),
            toDateTime(toUInt32({day.midnight} + at)),
            {SEEN}
        FROM (
            SELECT *, {self._at(day, "feed_spike", "if(view = 0, 0, view * pace + luck % pace) + 2 * (step >= views)")} AS at
            FROM (
                SELECT *, intHash64(visit + view) AS luck
                FROM (
                    SELECT
                        *,
                        arrayJoin(range(views + likes)) AS step,
                        toInt32(if(step < views, step, intDiv(toUInt32(step - views) * views, greatest(likes, 1)))) AS view
                    FROM (
                        SELECT *, toUInt32(least(views, floor({likes} + {self._uniform("like", "visit")}))) AS likes
                        FROM (
                            SELECT *, {self._count(day.views, 90)} AS views
                            FROM ({self._visits(day, "feeds", first, day.feed_weights, "feed_spike", day.visits)})
                        )
                    )
                )
            )
        )
        WHERE {self._real(day, until, "feed_outage")}
        SETTINGS min_insert_block_size_rows = {block}, min_insert_block_size_bytes = 0
        """

    def messages(self, day: Day, until: datetime) -> str:
        """A day's messages: each visit is a conversation with one receiver, who may well never answer or come."""
        per_day = self.messenger_per_day
        month_ago = day.number - 40
        feed_known = self.known[month_ago] if month_ago >= 0 else 0
        pick = f"intDiv({self._draw('receiver', 'listener', day.number)}, 20)"
        return f"""
        INSERT INTO {self.database}.message_actions
            (user_id, {self.receiver_column}, time, gender, age, country, city, os, source, exp_group)
        SELECT user_id, receiver, toDateTime(toUInt32({day.midnight} + at)), {SEEN}
        FROM (
            SELECT
                *,
                {self._at(day, "messenger_spike", "step * pace * 3 + if(step = 0, 0, intHash64(visit + step) % pace)")} AS at,
                multiIf(
                    listener % 20 < 12, {MESSENGER} + 3 * ({per_day * (month_ago + MESSENGER_STAY)} + {pick} % {40 * per_day}),
                    listener % 20 < 17, {FEED} + 3 * ({feed_known} + {pick} % {self.known[day.number] - feed_known}),
                    {SILENT} + 3 * ({pick} % {self.story.dau // 20})) AS receiver
            FROM (
                SELECT
                    *,
                    arrayJoin(range({self._count(day.messages, 60)})) AS step,
                    {self._draw("listener", "visit")} % {day.receivers} AS listener
                FROM ({self._visits(day, "talks", self._first_writer(day), day.message_weights, "messenger_spike")})
            )
        )
        WHERE {self._real(day, until)} AND receiver != user_id
        """

    def _first_writer(self, day: Day) -> int:
        return MESSENGER + 3 * self.messenger_per_day * (day.number + MESSENGER_STAY)

    def _visits(self, day: Day, who: str, first: int, weights: list[float], spike: str, times: int = 1) -> str:
        """One row per visit of the users who come on the day: `visit` (its hash), `slot`, `started`, `pace`, `extra`.

        `first` is the id of the day's first newcomer. An `extra` visit is one that a spike adds.
        """
        span = day.within(self.story.every_incident[spike])
        slot, factor = (span[0] // SLOT, SPIKE[spike]) if span else (-1, 1)
        weights = [weight * (factor if number == slot else 1) for number, weight in enumerate(weights)]
        shares = [round(share / sum(weights) * 2**32) for share in accumulate(weights)]
        closed = self.story.every_incident["city_outage"].start.date() == day.date
        return f"""
            SELECT
                *,
                {day.midnight} + started >= changes_at AS changed,
                if(changed, next_age, age) AS age_seen,
                if(changed, next_os, os) AS os_seen,
                toInt32(arrayFirstIndex(share -> share > visit % 4294967296, {shares})) - 1 AS slot,
                slot = {slot} AND {self._draw("extra", "visit")} % 1000 >= {round(1000 / factor)} AS extra,
                toInt32(multiIf(
                    user_id >= {first} AND user_id < {first + 3 * GREETERS}, 0,
                    user_id >= {first} AND user_id < {first + 6 * GREETERS}, {day.seconds - 1},
                    slot * {SLOT} + {self._draw("start", "visit")} % {SLOT})) AS started,
                toInt32(8 + {self._draw("pace", "visit")} % 20) AS pace
            FROM (
                SELECT
                    *,
                    arrayJoin(range(toUInt32({times} * arrayFirstIndex(
                        share -> share > {self._draw("visits", "user_id", day.number)} % 100, {list(VISITS)})))) AS nth,
                    {self._draw("visit", "user_id", day.number, "nth", f"'{who}'")} AS visit
                FROM {self.people}
                WHERE {who} AND (born = {day.number} OR born < {day.number} AND leaves >= {day.number}
                    AND {self._uniform("comes", "user_id", day.number)} < chance * if(feeds, {day.mood:.4f}, {day.bustle:.4f}))
                    {"AND city NOT IN " + str(CLOSED_CITIES) if closed else ""}
            )
        """

    def _at(self, day: Day, spike: str, passed: str) -> str:
        """Seconds since midnight, `passed` after the start; what would reach into the next day is mirrored back."""
        at = f"{day.seconds - 1} - abs(toInt64({day.seconds - 1} - (started + {passed})))"
        if span := day.within(self.story.every_incident[spike]):
            at = f"if(extra, {span[0]} + (started + {passed}) % {SLOT}, {at})"  # a spike stays within its slot
        return at

    def _real(self, day: Day, until: datetime, outage: str = "") -> str:
        span = day.within(self.story.every_incident.get(outage))
        lost = f" AND NOT (at >= {span[0]} AND at < {span[1]})" if span else ""
        return f"at <= {int(until.timestamp()) - day.midnight}{lost}"

    def _count(self, mean: float, most: int) -> str:
        """A number of at least 1, geometric around `mean`."""
        slope = 1 / math.log1p(1 / (mean - 1)) if mean > 1 else 0
        return f"toUInt32(1 + least({most - 1}, floor(-log({self._uniform('count', 'visit')}) * {slope:.4f})))"

    def _draw(self, purpose: str, *keys: object) -> str:
        """SQL of a random UInt64 that depends on the purpose, the keys (the user, if none is given) and the seed."""
        return f"cityHash64({', '.join(map(str, keys or ('user_id',)))}, '{purpose}', {self.seed})"

    def _uniform(self, purpose: str, *keys: object) -> str:
        """SQL of a random number above 0, up to 1."""
        return f"((1 + {self._draw(purpose, *keys)} % 1000000) / 1000000)"


def _literal(numbers: list[float]) -> str:
    return "[" + ", ".join(f"{number:.4f}" for number in numbers) + "]"


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
