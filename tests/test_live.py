"""Live events continue the sample: the same rows that a later sample would have, whatever was cut off in between."""

import io
import random
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pulsebook.local import live, sample
from pulsebook.local.live import Live, Plan
from pulsebook.local.sample import TABLES, SampleError

ZONE = ZoneInfo("Europe/Moscow")
UNTIL = datetime(2026, 11, 24, 10, 7, 3, tzinfo=ZONE)
SEED = 7


@pytest.fixture
def filled(server, execute):
    """Fills a database up to an instant; returns what live events need to go on. All are dropped afterwards."""
    made = []

    def fill(database: str, until: datetime = UNTIL, days: int = 2, dau: int = 100) -> Plan:
        made.append(database)
        sample.fill(sample.http(server), days, dau, SEED, until, ZONE.key, database)
        return Plan(days, dau, SEED, until.isoformat(), ZONE.key, database, filled=True)

    yield fill
    for database in made:
        execute(f"DROP DATABASE {database}")
        execute(f"DROP DATABASE IF EXISTS {database}_ahead")


@pytest.fixture
def rows(execute):
    """Number and checksum of the rows of both tables."""
    return lambda database: [execute(f"SELECT count(), sum(cityHash64(*)) FROM {database}.{t}") for t in TABLES]


def frame(execute, table: str) -> pd.DataFrame:
    read = pd.read_csv(io.StringIO(execute(f"SELECT *, toUInt32(time) AS at FROM {table} FORMAT CSVWithNames")))
    read["time"] = pd.to_datetime(read.pop("at"), unit="s", utc=True).dt.tz_convert(ZONE)
    read["slot"] = read.time.dt.floor("15min")
    read["day"] = read.time.dt.strftime("%Y-%m-%d")
    return read


def test_a_sample_that_goes_on_is_the_sample_made_later(server, filled, rows):
    plan, later = filled("live_on"), UNTIL + timedelta(hours=9)
    filled("live_later", later)
    event = Live(sample.http(server), plan)
    event.advance(UNTIL)
    event.advance(UNTIL + timedelta(minutes=1))
    Live(sample.http(server), plan).advance(later - timedelta(minutes=3))  # another process, after a pause
    event.advance(later - timedelta(hours=2))  # a clock that goes back adds nothing
    for _ in range(2):
        event.advance(later)
    assert rows("live_on") == rows("live_later")


def test_small_steps_and_one_leap_over_days_give_the_same_rows(server, filled, rows, execute):
    plan, end, chance = filled("live_steps"), UNTIL + timedelta(days=1, hours=15), random.Random(1)
    leap = filled("live_leap")
    now, steps = UNTIL, Live(sample.http(server), plan)
    while now < end:
        now = min(end, now + timedelta(seconds=chance.choice([1, 10, 6_000, 30_000])))
        steps.advance(now)
        if chance.random() < 0.2:
            steps = Live(sample.http(server), plan)
    Live(sample.http(server), leap).advance(end)
    assert rows("live_steps") == rows("live_leap")
    assert int(execute("SELECT toUInt32(max(time)) FROM live_steps.feed_actions")) <= end.timestamp()
    steps.close()
    assert "live_steps_ahead" not in execute("SHOW DATABASES").split()


def test_days_that_came_live_look_like_the_days_of_the_sample(server, filled, execute):
    plan = filled("live_days", days=9, dau=800)
    Live(sample.http(server), plan).advance(datetime(2026, 11, 27, 23, 59, 59, tzinfo=ZONE))
    feed, messages = frame(execute, "live_days.feed_actions"), frame(execute, "live_days.message_actions")
    told = ["2026-11-15", "2026-11-16", "2026-11-17", "2026-11-19", "2026-11-22", "2026-11-23"]  # without incidents
    came = ["2026-11-25", "2026-11-26", "2026-11-27"]

    daily = pd.DataFrame({
        "users": feed.groupby("day").user_id.nunique(),
        "rows": feed.groupby("day").size(),
        "ctr": (feed.action == "like").groupby(feed.day).sum() / (feed.action == "view").groupby(feed.day).sum(),
        "messages": messages.groupby("day").size(),
        "senders": messages.groupby("day").user_id.nunique(),
    })  # fmt: skip
    before, after = daily.loc[told], daily.loc[came]
    assert ((after > before.min() * 0.85) & (after < before.max() * 1.15)).all().all(), daily

    def profile(days):  # feed users per slot, by hour of the day
        slots = feed[feed.day.isin(days)].groupby("slot").user_id.nunique()
        assert len(slots) == 96 * len(days), "not a slot without rows"
        return slots.groupby(slots.index.hour).mean()

    ratio = profile(came) / profile(told)
    assert ratio.between(0.7, 1.35).all() and abs(ratio.mean() - 1) < 0.1, ratio

    day_of_the_seam = feed[feed.day == "2026-11-24"].groupby("slot").size()
    assert len(day_of_the_seam) == 96
    around = [day_of_the_seam.loc[f"2026-11-24 {at}"] for at in ("09:30", "09:45", "10:00", "10:15", "10:30")]
    assert max(around) < 1.8 * min(around), "where the sample ends and live events begin"

    old, new = feed[feed.day < "2026-11-24"], feed[feed.day == "2026-11-27"]
    back = new[new.user_id.isin(old.user_id)]
    assert 0.5 < back.user_id.nunique() / new.user_id.nunique() < 0.95, "most are users that were there before"
    same = ["user_id", "gender", "country", "city", "source", "exp_group"]
    assert not pd.concat([old, back])[same].drop_duplicates().user_id.duplicated().any(), "and who they were"


@pytest.mark.slow
def test_a_feeder_that_is_killed_and_started_again_loses_and_doubles_nothing(server, filled, rows, execute, tmp_path):
    start = datetime.now(ZONE) - timedelta(days=7)
    plans = [filled("live_killed", start), filled("live_twin", start)]
    plans[0].save(tmp_path / "sample.json")
    command = [sys.executable, "-m", "pulsebook.local.live", "--url", server, "--plan", str(tmp_path / "sample.json")]

    def latest(database: str = "live_killed") -> int:
        return int(execute(f"SELECT toUInt32(max(time)) FROM {database}.feed_actions"))

    for days in (1, 4):  # killed while it fills the gap
        feeder = subprocess.Popen([*command, "--interval", "0.5"])
        while latest() < (start + timedelta(days=days)).timestamp() and feeder.poll() is None:
            time.sleep(0.02)
        feeder.kill()
        feeder.wait()
    feeder = subprocess.Popen([*command, "--interval", "0.5"])
    Live(sample.http(server), plans[1]).advance(datetime.now(ZONE))
    reached, deadline = latest("live_twin"), time.monotonic() + 60
    while latest() < reached and feeder.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert feeder.poll() is None and reached <= latest() <= time.time(), "it reaches the present, and no further"
    feeder.kill()
    feeder.wait()
    time.sleep(1)  # what the server was about to do for it
    end = datetime.now(ZONE)
    for plan in plans:
        Live(sample.http(server), plan).advance(end)
    assert rows("live_killed") == rows("live_twin")


def test_a_fill_that_was_cut_off_is_begun_anew_and_other_rows_are_never_touched(
    server, filled, execute, rows, tmp_path
):
    file, calls = tmp_path / "warehouse" / "sample.json", 0
    ask = [file, 2, 100, ZONE.key, "live_cut"]

    def dying(statement: str) -> str:
        nonlocal calls
        calls += "INSERT INTO live_cut.feed_actions" in statement
        if calls > 1:
            raise ConnectionError("the server went away")
        return sample.http(server)(statement)

    with pytest.raises(ConnectionError):
        live.prepare(dying, *ask)
    assert not Plan.load(file).filled
    plan = live.prepare(sample.http(server), *ask)
    assert plan.filled and plan == Plan.load(file)
    first = rows("live_cut")
    assert live.prepare(sample.http(server), *ask) == plan and rows("live_cut") == first, "what is there stays"

    execute("DROP DATABASE live_cut")
    filled("live_cut", days=1)  # somebody else's, of which the file knows nothing
    file.unlink()
    with pytest.raises(SampleError, match="live_cut.feed_actions must hold the sample .* but holds other rows"):
        live.prepare(sample.http(server), *ask)


def test_a_feeder_adds_what_has_happened_since_its_last_batch(server, filled, rows, monkeypatch):
    plan, twin = filled("live_fed"), filled("live_twin")
    batches = [UNTIL + timedelta(hours=2 * n) for n in (1, 2, 10)]
    times, seen = iter(batches), []

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(times).astimezone(tz)

    monkeypatch.setattr(live, "datetime", Clock)
    live.keep_alive(server, plan, 5, lambda seconds: seen.append(rows("live_fed")) or len(seen) == len(batches))
    monkeypatch.undo()
    expected = []
    for now in batches:
        Live(sample.http(server), twin).advance(now)
        expected.append(rows("live_twin"))
    assert seen == expected and seen[0] != seen[1] != seen[2]


def test_a_server_that_stays_away_ends_the_feeder_with_an_error(monkeypatch, caplog):
    monkeypatch.setattr(live, "PATIENCE", 3)
    plan = Plan(1, 100, 1, datetime.now(UTC).isoformat(), ZONE.key, "nowhere", filled=True)
    waits = []
    with pytest.raises(OSError):
        live.keep_alive("http://127.0.0.1:1", plan, 5, lambda seconds: waits.append(seconds))
    assert waits == [5, 5] and "no events were added (3 in a row)" in caplog.text


def test_a_feeder_without_a_filled_sample_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["live", "--plan", str(tmp_path / "sample.json")])
    assert live.main() == 1 and "make warehouse" in capsys.readouterr().err
    replace(Plan(1, 100, 1, UNTIL.isoformat(), ZONE.key, "x"), filled=False).save(tmp_path / "sample.json")
    assert live.main() == 1
