"""The sample data tell the story that they promise: counted in pandas, from the rows alone."""

import io
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import requests

from pulsebook.local import sample
from pulsebook.local.sample import SampleError

ZONE = ZoneInfo("Europe/Moscow")
UNTIL = datetime(2026, 11, 24, 10, 7, tzinfo=ZONE)
DAU = 800
OUT_OF_THE_ORDINARY = ["2026-11-03", "2026-11-08", "2026-11-24"]  # the city outage, the campaign, the unfinished day
PROFILE = ["gender", "age", "country", "city", "os", "source", "exp_group"]


@pytest.fixture(scope="module")
def read(server):
    def run(statement: str) -> str:
        answer = requests.post(server, data=statement.encode(), timeout=120)
        assert answer.ok, answer.text
        return answer.text.strip()

    return run


@pytest.fixture(scope="module")
def done(server, read):
    yield sample.fill(sample.http(server), 25, DAU, 7, UNTIL, ZONE.key, "sampled")
    read("DROP DATABASE sampled")


def frame(read, table: str, zone: str = ZONE.key) -> pd.DataFrame:
    text = read(f"SELECT *, toUInt32(time) AS at FROM {table} FORMAT CSVWithNames")
    rows = pd.read_csv(io.StringIO(text), keep_default_na=False)
    rows["time"] = pd.to_datetime(rows.pop("at"), unit="s", utc=True).dt.tz_convert(zone)
    local = rows.time.dt.tz_localize(None)
    days = local.dt.normalize()
    rows["day"] = days.map({day: f"{day:%Y-%m-%d}" for day in days.unique()})
    rows["clock"] = local - days  # what the clock on the wall shows
    return rows


@pytest.fixture(scope="module")
def feed(read, done):
    return frame(read, "sampled.feed_actions")


@pytest.fixture(scope="module")
def messages(read, done):
    return frame(read, "sampled.message_actions")


def usual(days: pd.Series | pd.DataFrame):
    return days.drop(OUT_OF_THE_ORDINARY)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(server, read):
    sums = []
    for name, seed in (("sampled_one", 7), ("sampled_again", 7), ("sampled_other", 8)):
        sample.fill(sample.http(server), 1, DAU, seed, UNTIL, ZONE.key, name)
        tables = (f"{name}.feed_actions", f"{name}.message_actions")
        sums.append([read(f"SELECT count(), sum(cityHash64(*)) FROM {table}") for table in tables])
        read(f"DROP DATABASE {name}")
    assert sums[0] == sums[1]
    assert sums[0][0] != sums[2][0] and sums[0][1] != sums[2][1]


def test_a_longer_sample_only_adds_older_days(server, read, done):
    sample.fill(sample.http(server), 2, DAU, 7, UNTIL, ZONE.key, "sampled_short")
    for table in ("feed_actions", "message_actions"):
        common = f"toDate(time, '{ZONE.key}') >= '2026-11-22'"
        short, long = (
            read(f"SELECT count(), sum(cityHash64(*)) FROM {name}.{table} WHERE {common}")
            for name in ("sampled_short", "sampled")
        )
        assert short == long and short == read(f"SELECT count(), sum(cityHash64(*)) FROM sampled_short.{table}")
    read("DROP DATABASE sampled_short")


def test_days_reach_from_the_first_to_now_and_no_further(done, feed, messages):
    assert (str(done.first_day), str(done.last_day)) == ("2026-10-30", "2026-11-23")
    assert (done.feed_rows, done.message_rows) == (len(feed), len(messages))
    for rows in (feed, messages):
        assert sorted(rows.day.unique()) == [f"{day:%Y-%m-%d}" for day in pd.date_range("2026-10-30", "2026-11-24")]
        assert UNTIL - timedelta(minutes=30) < rows.time.max() <= UNTIL


def test_every_full_day_has_rows_in_its_first_and_its_last_second(feed, messages):
    for rows in (feed, messages):
        for moment in ("00:00:00", "23:59:59"):
            assert rows[rows.clock == pd.Timedelta(moment)].day.nunique() >= 25


def test_the_feed_is_as_busy_as_the_app(feed):
    days = usual(feed.groupby("day").agg(users=("user_id", "nunique"), views=("action", lambda a: (a == "view").sum())))
    assert days.users.between(0.85 * DAU, 1.15 * DAU).all() and abs(days.users.mean() / DAU - 1) < 0.04
    assert (days["views"] / days.users).between(28, 40).all()
    counts = feed.groupby(["day", "action"]).user_id.count().unstack()
    assert usual(counts["like"] / counts["view"]).between(0.19, 0.235).all()
    assert 0.2 < counts["like"].sum() / counts["view"].sum() < 0.225


def test_nobody_likes_what_they_have_not_seen(feed):
    keys = ["day", "user_id", "post_id"]
    viewed = feed.loc[feed.action == "view", keys].drop_duplicates()
    liked = feed.loc[feed.action == "like", keys]
    assert len(liked.merge(viewed)) > 0.999 * len(liked)  # the outage may swallow a view and leave the like


def test_the_day_has_its_night_and_its_evening_and_weekends_are_busier(feed):
    slots = feed[~feed.day.isin(OUT_OF_THE_ORDINARY)].assign(slot=feed.time.dt.floor("15min"))
    users = slots.groupby("slot").user_id.nunique()
    hourly = users.groupby(users.index.hour).mean()
    assert hourly[4] / hourly[19] == pytest.approx(170 / 750, rel=0.3)
    assert hourly[12] / hourly[19] == pytest.approx(600 / 750, rel=0.15)
    assert 0.6 * 750 / 18_500 < hourly[19] / DAU < 1.4 * 750 / 18_500
    days = usual(feed.groupby("day").user_id.nunique())
    weekend = pd.to_datetime(days.index).day_of_week >= 5
    assert days[weekend].mean() > 1.01 * days[~weekend].mean()


def test_messages_are_almost_constant_and_few_people_write_them(feed, messages):
    days = usual(messages.groupby("day").agg(n=("time", "size"), senders=("user_id", "nunique")))
    receivers = usual(messages.groupby("day").receiver_id.nunique())
    assert days.n.between(0.45 * DAU, 0.95 * DAU).all() and abs(days.n.mean() / DAU - 0.7) < 0.05
    assert abs(days.n.sum() / days.senders.sum() - 6) < 1
    assert 0.09 * DAU < days.senders.mean() < 0.16 * DAU
    assert 0.05 * DAU < receivers.mean() < 0.11 * DAU
    bump = days.senders.rolling(3).max() / days.senders.rolling(3).min()
    assert (bump.dropna() > 1.1).mean() > 0.9  # in any three days, one has markedly more senders
    both = set(zip(feed.day, feed.user_id, strict=True)) & set(zip(messages.day, messages.user_id, strict=True))
    assert 0.005 < len(both) / (DAU * 25) < 0.03


def test_users_are_who_the_app_says_they_are(feed):
    users = feed.drop_duplicates("user_id")
    assert (users.gender == 1).mean() == pytest.approx(0.55, abs=0.03)
    assert (users.os == "Android").mean() == pytest.approx(0.65, abs=0.03)
    assert 0 < (users.os == "").mean() < 0.01
    assert (users.country == "Russia").mean() == pytest.approx(0.87, abs=0.02)
    assert set(users.source) == {"ads", "organic"} and 0.35 < (users.source == "ads").mean() < 0.55
    assert users.exp_group.value_counts(normalize=True).reindex(range(5)).between(0.18, 0.22).all()
    assert users.age.between(14, 84).all() and 17 <= users.age.mode()[0] <= 23
    posts = feed.groupby("day").post_id.max().iloc[:-1].diff().dropna()
    assert posts.between(25, 60).all()  # 200 a day for 18,500 users, fewer for fewer


def test_a_profile_is_one_and_the_same_in_both_tables_but_for_a_few_that_change_for_good(feed, messages):
    acted = pd.concat([feed, messages])
    assert (acted.groupby("user_id")[["gender", "country", "city", "source", "exp_group"]].nunique() == 1).all().all()
    acted = acted.sort_values("time", kind="stable")
    profiles = acted.groupby("user_id")[["age", "os"]].nunique()
    changed = profiles[(profiles > 1).any(axis=1)]
    assert 0.005 < len(changed) / len(profiles) < 0.06 and (changed <= 2).all().all()
    assert acted.groupby(["user_id", "day"]).age.nunique().gt(1).sum() >= 5  # in the course of a day


def test_users_come_stay_and_disappear(feed):
    active = feed[["user_id", "day"]].drop_duplicates()
    active["number"] = (pd.to_datetime(active.day) - pd.Timestamp("2026-10-30")).dt.days
    first = active.groupby("user_id").number.min()
    pairs = active.merge(first.rename("first"), left_on="user_id", right_index=True)
    newcomers = pairs[pairs["first"].between(12, 18)]  # late enough that most are new indeed
    size = newcomers.user_id.nunique()
    back = [(newcomers.number - newcomers["first"] == later).sum() / size for later in (1, 5)]
    assert 0.2 < back[0] < 0.4 and back[1] < back[0]
    assert active[active.number <= 3].user_id.isin(active[active.number >= 15].user_id).mean() < 0.9


def test_some_receivers_act_today_some_did_before_and_some_never(feed, messages):
    acted = pd.concat([feed, messages])[["user_id", "day"]]
    receivers = set(messages[messages.day == "2026-11-23"].receiver_id)
    today, ever = set(acted[acted.day == "2026-11-23"].user_id), set(acted.user_id)
    assert receivers & today and receivers & (ever - today) and receivers - ever
    assert (messages.user_id != messages.receiver_id).all()


def within(rows: pd.DataFrame, incident, shift: timedelta = timedelta(0)) -> pd.DataFrame:
    return rows[(rows.time >= incident.start + shift) & (rows.time < incident.end + shift)]


def test_the_incidents_are_in_the_numbers_and_only_those_of_these_days(done, feed, messages):
    told = {incident.name: incident for incident in done.incidents}
    assert list(told) == ["city_outage", "ads_campaign", "messenger_spike", "feed_spike", "feed_outage"]
    ago = {name: (done.last_day - incident.start.date()).days for name, incident in told.items()}
    assert ago == {"city_outage": 20, "ads_campaign": 15, "messenger_spike": 5, "feed_spike": 3, "feed_outage": 2}
    for incident in told.values():
        assert incident.name in str(done) and f"{incident.start:%Y-%m-%d %H:%M}" in str(done)

    outage = told["feed_outage"]
    assert outage.end - outage.start == timedelta(minutes=45)
    assert within(feed, outage).empty and len(within(feed, outage, timedelta(hours=-1))) > 500
    assert len(within(messages, outage)) > 0

    for rows, name, low, high in ((feed, "feed_spike", 1.8, 3.2), (messages, "messenger_spike", 2.5, 7)):
        around = [timedelta(minutes=m) for m in (-60, -45, -30, -15, 30, 45, 60)]
        normal = np.mean([len(within(rows, told[name], shift)) for shift in around])
        assert low < len(within(rows, told[name])) / normal < high

    closed = ["Moscow", "Saint Petersburg", "Novosibirsk", "Yekaterinburg"]
    for rows in (feed, messages):
        there = rows.city.isin(closed)
        assert not there[within(rows, told["city_outage"]).index].any()
        assert there[within(rows, told["city_outage"], timedelta(days=-1)).index].any()

    ads = feed[feed.source == "ads"]
    invited, before = ads[ads.day == "2026-11-08"].user_id, ads[ads.day < "2026-11-08"].user_id
    newcomers = set(invited) - set(before)
    assert 0.2 * DAU < len(newcomers) < 0.32 * DAU
    assert len(newcomers & set(ads[ads.day == "2026-11-09"].user_id)) / len(newcomers) < 0.15


def test_a_flash_mob_doubles_the_feed_while_the_app_still_grows(server, read):
    execute = sample.http(server)

    def without_messages(statement: str) -> str:  # they take half of the time and have no flash mob
        return "" if "INSERT INTO sampled_mob.message_actions" in statement else execute(statement)

    done = sample.fill(without_messages, 48, 150, 7, UNTIL, ZONE.key, "sampled_mob")
    views = frame(read, "sampled_mob.feed_actions").query("action == 'view'").groupby("day").size()
    read("DROP DATABASE sampled_mob")
    mob = done.incidents[0]
    assert (mob.name, mob.end - mob.start) == ("flash_mob", timedelta(days=7))
    before, during, after = views.iloc[:2].mean(), views.iloc[2:9].mean(), views.iloc[9:12].mean()
    assert 1.6 < during / before < 2.9 and 1.5 < during / after < 2.4


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23)])
def test_days_are_local_also_when_the_clock_is_changed(server, read, day, hours):
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    until = start + timedelta(days=1, hours=1)
    sample.fill(sample.http(server), 1, DAU, 7, until, zone.key, "sampled_clock", "reciever_id")
    for table in ("feed_actions", "message_actions"):
        rows = frame(read, f"sampled_clock.{table}", zone.key)
        rows = rows[rows.day == day]
        passed = (rows.time - pd.Timestamp(start)).dt.total_seconds()
        assert passed.min() == 0 and passed.max() == hours * 3600 - 1
        assert (passed // 3600).nunique() >= hours - 3  # few write at night
    assert "reciever_id" in rows
    read("DROP DATABASE sampled_clock")


def test_rows_are_never_overwritten_unasked_and_replaced_when_asked(server, read):
    fill = [sample.http(server), 1, 100, 7, UNTIL, ZONE.key, "sampled_kept"]
    first = sample.fill(*fill)
    with pytest.raises(SampleError, match=r"sampled_kept.feed_actions must be empty or absent, but holds [\d,]+ rows"):
        sample.fill(*fill)
    assert int(read("SELECT count() FROM sampled_kept.feed_actions")) == first.feed_rows
    again = sample.fill(*fill, replace=True)
    assert (
        again.rows
        == first.rows
        == int(
            read(
                "SELECT (SELECT count() FROM sampled_kept.feed_actions) + (SELECT count() FROM sampled_kept.message_actions)"
            )
        )
    )
    assert read("SHOW TABLES FROM sampled_kept").split() == ["feed_actions", "message_actions"]
    read("DROP DATABASE sampled_kept")


@pytest.mark.parametrize(
    "wrong",
    [
        dict(days=0),
        dict(dau=5),
        dict(seed=-1),
        dict(timezone="Moscow"),
        dict(database="a b"),
        dict(receiver_column="x"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SampleError, match="must be"):
        sample.fill(lambda sql: pytest.fail("nothing may be executed"), **wrong)


def test_the_command_line_fills_and_says_what_it_built_in(server, read, capsys, monkeypatch):
    words = f"sample --url {server} --days 3 --dau 100 --until 2026-11-24T10:07 --database sampled_cli".split()
    monkeypatch.setattr("sys.argv", words)
    assert sample.main() == 0
    said = capsys.readouterr().out
    assert "feed_outage      2026-11-21 11:00 to 2026-11-21 11:45" in said and "10:07:00 MSK" in said
    assert sample.main() == 1 and "--replace" in capsys.readouterr().err
    read("DROP DATABASE sampled_cli")


def test_a_malformed_instant_is_refused_with_the_rule(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sample", "--until", "22.11.2026"])
    with pytest.raises(SystemExit):
        sample.main()
    assert "must be an ISO instant such as 2026-11-22T15:07" in capsys.readouterr().err
