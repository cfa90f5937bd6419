"""The small tables of days: whatever happened to them, a report's numbers are those of the raw rows."""

import random
import re
import threading
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import pytest

from pulsebook.base.periods import run_day
from pulsebook.base.settings import ROOT
from pulsebook.cli import main
from pulsebook.warehouse import Warehouse, days
from pulsebook.warehouse.days import fill_days, require_days, require_history
from pulsebook.warehouse.first_days import first_days, forget_days
from tests.etl import before_the_catalogue, quick

ZONE = ZoneInfo("Europe/Moscow")
FIRST, LAST = date(2026, 10, 1), date(2026, 11, 20)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
USERS = 40


class Killed(BaseException):
    """A process has ended in the middle of its work."""


class Workers:
    """Jobs that work side by side: at each statement that writes, chance says whose turn it is."""

    def __init__(self, patch: pytest.MonkeyPatch, chance: random.Random):
        self.chance, self.own, plain = chance, threading.local(), Warehouse.execute
        self.reached = threading.Semaphore(0)  # a worker has come to a statement, or to its end

        def execute(warehouse, sql):
            if hasattr(self.own, "turn"):
                self._wait()
            return plain(warehouse, sql)

        patch.setattr(Warehouse, "execute", execute)

    def _wait(self) -> None:
        if self.own.left:
            self.reached.release()
            self.own.turn.acquire()
            self.own.left -= 1
        if not self.own.left:
            raise Killed

    def run(self, *jobs, kill=()) -> None:
        """`kill`: after how many statements each of the first jobs is killed."""
        turns, alive, failed = [threading.Semaphore(0) for _ in jobs], {*range(len(jobs))}, []

        def work(number):
            self.own.turn, self.own.left = turns[number], (*kill, *[10**9] * len(jobs))[number]
            self.own.turn.acquire()
            try:
                jobs[number]()
            except Killed:
                pass
            except BaseException as error:
                failed.append(error)
            alive.discard(number)
            self.reached.release()

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(jobs))]
        for thread in threads:
            thread.start()
        while alive:
            turns[self.chance.choice(sorted(alive))].release()
            self.reached.acquire()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]


@pytest.fixture
def workers(monkeypatch, configured):
    """Workers with a chance of their own, by seed."""
    return lambda seed: Workers(monkeypatch, random.Random(seed))


def happened(day: date, chance: random.Random) -> tuple[list[dict], list[dict]]:
    """Events of a day in feed and messenger; the last of each shortly before midnight."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp())
    newest = 5 + USERS * (day - FIRST).days // len(DAYS)  # users come one after another, and some come back

    def event(at):
        origin = chance.choice(["ads", "organic", ""])
        return dict(user_id=chance.randint(1, newest), time=at, source=origin)

    times = [midnight + chance.randint(0, 86399) // 3 for _ in range(chance.randint(3, 9))] + [midnight + 86000]
    feed = [event(at) | dict(post_id=chance.randint(1, 5), action=chance.choice(["view", "like"])) for at in times]
    return feed, [event(at + 7) | dict(receiver_id=chance.randint(1, 60)) for at in times[::2] + times[-1:]]


class Source:
    """What the source holds, by day."""

    def __init__(self, fill, chance: random.Random, holes: int = 0):
        self.fill, self.chance = fill, chance
        without = chance.sample(DAYS[1:-1], holes)
        self.of = {day: happened(day, chance) for day in DAYS if day not in without}
        self.holes = without
        self.put()

    def put(self) -> None:
        self.fill(*self.frames())

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return tuple(pd.DataFrame([row for rows in self.of.values() for row in rows[n]]) for n in (0, 1))

    def correct(self, day: date) -> None:
        """Other events; often some fewer, so that first days move."""
        self.of[day] = happened(day, self.chance)
        self.put()


def report(day: date, until: str = "## Posts and hours") -> dict:
    """The cells of the report on the app down to a heading; returns their variables."""
    cells = nbformat.read(ROOT / "notebooks/reports/app_report.ipynb", 4).cells
    end = next(number for number, cell in enumerate(cells) if cell.source.startswith(until))
    code = [cell.source for cell in cells[:end] if cell.cell_type == "code"]
    variables = {"display": lambda *_: None}
    exec(compile("\n".join([code[0], f"run_date = '{day}'", *code[1:]]), "app_report", "exec"), variables)
    return variables


def compare(found: dict, frames: tuple[pd.DataFrame, pd.DataFrame], day: date) -> None:
    """With what pandas counts from the raw rows."""
    feed, messages = (
        frame.assign(day=pd.to_datetime(frame["time"], unit="s", utc=True).dt.tz_convert(ZONE).dt.date)
        for frame in frames
    )
    rows = pd.concat([feed, messages])
    rows = rows[rows["day"] <= day]
    active = {one: set(group) for one, group in rows.groupby("day")["user_id"]}
    first = rows.groupby("user_id")["day"].min()
    ago = lambda n: day - timedelta(days=n)  # noqa: E731
    within = lambda newest, oldest: set().union(*(active.get(ago(n), set()) for n in range(newest, oldest + 1)))  # noqa: E731
    new = lambda one: set(first[first == one].index)  # noqa: E731
    both = {one for one in active if (feed["day"] == one).any() and (messages["day"] == one).any()}
    dau = found["users"]["dau"]
    assert dau.dropna().to_dict() == {pd.Timestamp(ago(n)): len(active[ago(n)]) for n in range(14) if ago(n) in both}
    came = found["new_users"].sum(axis=1).where(found["new_users"].notna().all(axis=1))
    assert came.dropna().to_dict() == {pd.Timestamp(ago(n)): len(new(ago(n))) for n in range(7) if ago(n) in both}
    newest = rows[rows["user_id"].isin(new(day)) & (rows["day"] == day)]
    origin = newest.sort_values("time", kind="stable").groupby("user_id")["source"].first()
    unique = newest.groupby("user_id")["time"].agg(lambda at: (at == at.min()).sum() == 1)
    if unique.all():  # else a hash decides
        counted = origin.replace("", "unknown").value_counts().to_dict()
        assert found["new_users"].iloc[-1][lambda n: n > 0].to_dict() == counted
    expected = {}
    for name, end in {"": 0, "_before": 7}.items():
        week, before = within(end, end + 6), within(end + 7, end + 13)
        recent = set(first[(first > ago(end + 7)) & (first <= ago(end))].index)
        expected |= {
            f"wau{name}": len(week), f"mau{name}": len(within(end, end + 29)),
            f"returned{name}": len(week - before - recent), f"lost{name}": len(before - week),
        }  # fmt: skip
    assert found["periods"] == expected
    begun = rows["day"].min()
    assert found["begun"] == pd.Timestamp(begun)
    for age in range(1, 15):
        cohorts = [ago(n) for n in range(age, 30) if ago(n) >= begun + timedelta(days=28)]
        size = sum(len(new(one)) for one in cohorts)
        kept = sum(len(new(one) & active.get(one + timedelta(days=age), set())) for one in cohorts)
        assert found["retention"].get(age) == pytest.approx(kept / size if size else float("nan"), nan_ok=True)


def places() -> tuple[Warehouse, Warehouse]:
    return Warehouse.source(), Warehouse.target()


def load(*chosen: date):
    """What `load` does for days."""
    return lambda: fill_days(*places(), [run_day(str(day)) for day in chosen])


def prepare(day: date):
    """What the report on the app does before it counts."""

    def made():
        require_days(*places(), run_day(str(day)), 14)
        require_history(*places(), run_day(str(day)), 37)
        first_days(places()[1])

    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_whatever_happened_to_the_tables_the_numbers_are_those_of_the_raw_rows(seed, fill, workers, monkeypatch):
    """Days loaded in random order and side by side, holes filled later, days corrected, runs killed between any two statements."""
    chance, own = random.Random(seed), workers(seed)
    monkeypatch.setattr(days, "MOST_DAYS", 7)  # several pieces
    source = Source(fill, chance, holes=3)
    order = chance.sample(DAYS, len(DAYS))
    if chance.random() < 0.5:  # else the first report fills its history itself
        for day in order[:6]:
            own.run(load(day), load(*chance.sample(DAYS, 2)))
    for _ in range(3):
        day = chance.choice(DAYS[30:])
        while day in source.holes:
            day = chance.choice(DAYS[30:])
        dies = chance.randint(1, 60)
        own.run(prepare(day), load(chance.choice(DAYS)), kill=[dies])
        compare(report(day), source.frames(), day)
        wrong = chance.sample(source.holes, 1) if source.holes else chance.sample(DAYS, 2)
        for one in wrong:
            source.holes = [hole for hole in source.holes if hole != one]
            source.correct(one)
            own.run(load(one), prepare(day), kill=[chance.randint(1, 14)])
            own.run(load(one), prepare(day), load(*chance.sample(wrong, 1)), load(chance.choice(DAYS)))
    compare(report(LAST), source.frames(), LAST)


@pytest.mark.slow
def test_a_kill_between_any_two_statements_is_noticed_by_the_next_reader(fill, workers):
    source, own = Source(fill, random.Random(1)), workers(1)
    own.run(prepare(LAST))
    old, new, finished = 0, 0, []
    while not finished:
        day, before = DAYS[30 + (old + new) % 20], source.frames()
        source.correct(day)
        job = load(day)
        own.run(lambda job=job, day=day: (job(), finished.append(day)), kill=[1 + old + new])
        found = report(LAST)
        try:
            compare(found, source.frames(), LAST)
            new += 1
        except AssertionError:  # nothing of the day was replaced yet: it is as before, until it is loaded
            compare(found, before, LAST)
            old += 1
            load(day)()
    assert old > 3 and new > 3, "from the first replacement on the reader fills the day"


def test_users_are_kept_as_long_as_is_set_and_their_first_days_for_good(fill, configured, databases, execute):
    source = Source(fill, random.Random(2))
    prepare(LAST)()
    keep = (run_day("").date - LAST).days + 32
    forgotten = forget_days(places()[1], keep)
    assert forgotten and forgotten == [day for day in DAYS if day < run_day("").date + timedelta(days=1 - keep)]
    left = f"SELECT min(event_date) FROM {databases[1]}.user_activity WHERE version = 0"
    assert execute(left).strip() == str(forgotten[-1] + timedelta(days=1)) and forget_days(places()[1], keep) == []
    compare(report(LAST), source.frames(), LAST)
    source.correct(DAYS[35])
    load(DAYS[35])()
    compare(report(LAST), source.frames(), LAST)
    gone = forgotten[-1]  # an earlier report needs these days again: they are filled from the source
    compare(report(gone), source.frames(), gone)


@pytest.mark.slow
def test_a_kill_while_first_days_are_made_is_noticed(fill, workers, monkeypatch):
    """Also where another reader, with an older view, writes its partitions after it."""
    source, own, chance = Source(fill, random.Random(8)), workers(8), random.Random(8)
    monkeypatch.setattr(days, "MOST_DAYS", 7)

    def moved(day: date) -> None:
        """A user who is active on the last days, and on this one alone before."""
        for one in (DAYS[2], DAYS[9], LAST - timedelta(days=3), LAST):
            feed, messages = source.of[one]
            rows = [row for row in feed if row["user_id"] != 999]
            source.of[one] = (rows + [rows[0] | {"user_id": 999}] * (one >= DAYS[40] or one == day), messages)
        source.put()
        load(DAYS[2], DAYS[9])()

    moved(LAST)
    own.run(prepare(LAST))
    update = lambda: first_days(places()[1])  # noqa: E731
    for number, dies in enumerate((8, 12, 17, 24, 31, 38)):
        moved((DAYS[2], DAYS[9], LAST)[number % 3])
        own.run(update, kill=[dies])
        own.run(update, update, load(DAYS[20]), kill=[chance.randint(5, 40)])
        compare(report(LAST), source.frames(), LAST)


@pytest.mark.slow
def test_a_user_is_forgotten_in_every_table(fill, configured, databases, execute, capsys):
    source, target = Source(fill, random.Random(7)), databases[1]
    report(LAST)
    quick(LAST)
    rows = {t: execute(f"SELECT count() FROM {target}.{t}") for t in ("user_activity", "first_days", "staging_users")}
    user = int(
        execute(f"SELECT user_id FROM {target}.user_activity WHERE version = 0 AND event_date = '{LAST}' LIMIT 1")
    )
    assert main(["forget", str(user)]) == 0
    said = dict(re.findall(r"^(\w+): ([\d,]+) rows$", capsys.readouterr().out, re.M))
    for table, before in rows.items():
        assert int(said[table]) > 0 and int(execute(f"SELECT count() FROM {target}.{table}")) == int(before) - int(
            said[table]
        )
        assert execute(f"SELECT count() FROM {target}.{table} WHERE user_id = {user}") == "0\n"
    compare(report(LAST), tuple(frame[frame["user_id"] != user] for frame in source.frames()), LAST)
    versions = f"SELECT count() FROM {target}.user_activity WHERE version != 0"
    before = execute(versions)
    assert main(["forget", "0"]) == 0 and execute(versions) == before, "rows that hold versions are no user's"


def test_the_first_report_in_a_database_of_the_version_before_is_right(fill, configured, databases, execute):
    source, target = Source(fill, random.Random(5)), databases[1]
    for statement in before_the_catalogue(target, str(LAST)):
        execute(statement)
    for table, columns in (
        ("staging_user_days", "event_date Date, user_id UInt64, day Date, feed UInt8, messenger UInt8"),
        ("staging_first_days", "event_date Date, user_id UInt64, first_day Date, source String"),
    ):
        execute(
            f"CREATE TABLE {target}.{table} ({columns}) ENGINE = MergeTree PARTITION BY event_date ORDER BY user_id"
        )
        execute(f"INSERT INTO {target}.{table} (event_date, user_id) VALUES ('{LAST}', 1), ('{LAST}', 999)")
    compare(report(LAST), source.frames(), LAST)
    compare(report(DAYS[40]), source.frames(), DAYS[40])


def test_a_report_reads_no_older_events_than_its_own_day_where_the_day_before_was_reported(
    fill, configured, monkeypatch
):
    source = Source(fill, random.Random(6))
    report(DAYS[-2])
    asked, midnight = [], int(run_day(str(LAST)).start.timestamp())
    post = Warehouse._post
    monkeypatch.setattr(Warehouse, "_post", lambda *given, **more: asked.append(given[1]) or post(*given, **more))
    read = Warehouse.read
    monkeypatch.setattr(Warehouse, "read", lambda self, sql: asked.append(sql) or read(self, sql))
    execute = Warehouse.execute
    monkeypatch.setattr(Warehouse, "execute", lambda self, sql: asked.append(sql) or execute(self, sql))
    found = report(LAST)
    events = [sql for sql in asked if re.search(r"FROM \S+\.(feed|message)_actions", sql)]
    assert events and all(set(re.findall(r"time >= toDateTime\((\d+)\)", sql)) == {str(midnight)} for sql in events)
    compare(found, source.frames(), LAST)
    asked.clear()
    load(LAST)()
    report(LAST)
    after = [sql for sql in asked if re.search(r"FROM \S+\.(feed|message)_actions", sql)]
    assert len(after) <= len(events), "a day that was loaded is not counted again"


def test_a_day_of_the_window_that_was_not_finished_is_asked_again(fill, configured):
    source = Source(fill, random.Random(3))
    whole = source.of[DAYS[-3]]
    source.of[DAYS[-3]] = ([row for row in whole[0] if row["time"] % 86400 < 3600], whole[1][:1])
    source.put()
    report(DAYS[-4])
    load(DAYS[-3])()
    source.of[DAYS[-3]] = whole
    source.put()
    compare(report(LAST), source.frames(), LAST)


def test_other_definitions_count_the_days_anew(fill, configured, monkeypatch):
    source = Source(fill, random.Random(4))
    compare(report(LAST), source.frames(), LAST)
    configured(timezone="Europe/Kaliningrad")  # an hour later
    monkeypatch.setattr("tests.test_days.ZONE", ZoneInfo("Europe/Kaliningrad"))
    compare(report(LAST), source.frames(), LAST)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
def test_the_users_of_each_quarter_of_an_hour_also_of_days_of_25_and_23_hours(zone, fill, configured, databases):
    """Three days in one statement, one of them longer or shorter; Kolkata has none, and midnights at half past an hour of UTC."""
    configured(timezone=zone)
    for day in (date(2026, 10, 25), date(2026, 3, 29)):
        days = [run_day(str(day)) + n for n in (-1, 0, 1)]
        chance, first, end = random.Random(3), int(days[0].start.timestamp()), int(days[-1].end.timestamp())
        times = [*range(first, end, 900), *(chance.randrange(first, end) for _ in range(2_000)), end - 1]
        rows = pd.DataFrame({"user_id": [chance.randint(1, 40) for _ in times], "time": times, "source": "ads"})
        feed, messages = (
            rows.assign(post_id=1, action="view"),
            rows.iloc[::5].assign(user_id=lambda r: r["user_id"] + 30),
        )
        fill(feed, messages.assign(receiver_id=1))
        fill_days(*places(), days)
        both = pd.concat([feed, messages])
        expected = both.groupby(both["time"] // 900 * 900)["user_id"].nunique()
        found = places()[1].read(f"""
            SELECT event_date, toInt64(substring(metric, 5)) AS slot, value FROM {databases[1]}.daily_metrics
            WHERE startsWith(metric, 'dau.') AND event_date >= '{days[0]}' AND event_date <= '{days[-1]}' ORDER BY slot
        """)
        assert dict(zip(found["slot"], found["value"], strict=True)) == expected.to_dict()
        at = pd.to_datetime(found["slot"], unit="s", utc=True).dt.tz_convert(zone)
        assert (at.dt.tz_localize(None).dt.normalize() == found["event_date"]).all()
