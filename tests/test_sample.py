"""The sample data tell the story that they promise."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pulsebook.local import sample
from pulsebook.local.sample import SampleError

ZONE = ZoneInfo("Europe/Moscow")
UNTIL = datetime(2026, 11, 24, 10, 7, tzinfo=ZONE)
DAY = "toDate(time, 'Europe/Moscow')"


@pytest.fixture(scope="module")
def filled(server):
    import requests

    def read(sql):
        answer = requests.post(server, data=sql)
        assert answer.ok, answer.text
        return answer.text.strip()

    done = sample.fill(sample.http(server), 25, 800, 7, UNTIL, ZONE.key, "tape")
    yield done, read
    read("DROP DATABASE tape")


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(server, filled):
    _, read = filled
    sums = []
    for name, seed in (("tape_again", 7), ("tape_other", 8)):
        sample.fill(sample.http(server), 25, 800, seed, UNTIL, ZONE.key, name)
    for name in ("tape", "tape_again", "tape_other"):
        tables = (f"{name}.feed_actions", f"{name}.message_actions")
        sums.append([read(f"SELECT count(), sum(cityHash64(*)) FROM {table}") for table in tables])
    assert sums[0] == sums[1] != sums[2]
    read("DROP DATABASE tape_again")
    read("DROP DATABASE tape_other")


def test_days_reach_from_the_first_to_now_and_no_further(filled):
    done, read = filled
    for table in ("feed_actions", "message_actions"):
        first, last, end = read(f"SELECT min({DAY}), max({DAY}), max(toUInt32(time)) FROM tape.{table}").split("\t")
        assert (first, last) == (str(done.first_day), "2026-11-24") and int(end) <= UNTIL.timestamp()
    assert str(done.last_day) == "2026-11-23"


def test_the_proportions_are_those_of_the_app(filled):
    _, read = filled
    ctr = read(
        f"SELECT countIf(action = 'like') / countIf(action = 'view') FROM tape.feed_actions GROUP BY {DAY}"
    ).split()
    assert len(ctr) == 26 and all(0.18 < float(rate) < 0.245 for rate in ctr)
    share = "SELECT avg(gender = 1), avg(os = 'Android'), avg(country = 'Russia') FROM (SELECT user_id, any(gender) gender, any(os) os, any(country) country FROM tape.feed_actions GROUP BY user_id)"
    female, android, russia = map(float, read(share).split("\t"))
    assert 0.51 < female < 0.59 and 0.60 < android < 0.70 and 0.83 < russia < 0.91
    users = read(
        f"SELECT uniqExact(user_id) FROM tape.feed_actions WHERE {DAY} IN ('2026-11-22', '2026-11-23') GROUP BY {DAY}"
    ).split()
    assert all(650 < int(n) < 1000 for n in users)


def test_hard_cases_are_in_it(filled):
    _, read = filled
    acted = "SELECT user_id FROM tape.feed_actions UNION ALL SELECT user_id FROM tape.message_actions"
    assert int(read(f"SELECT uniqExact(receiver_id) FROM tape.message_actions WHERE receiver_id NOT IN ({acted})")) > 0
    assert int(read("SELECT count() FROM tape.feed_actions WHERE os = ''")) > 0
    changed = (
        f"SELECT count() FROM (SELECT user_id FROM tape.feed_actions GROUP BY user_id, {DAY} HAVING uniqExact(age) > 1)"
    )
    assert int(read(changed)) > 0


def test_the_incidents_are_in_the_numbers(filled):
    done, read = filled
    told = {i.name: i for i in done.incidents}
    assert set(told) == {"city_outage", "ads_campaign", "messenger_spike", "feed_spike", "feed_outage"}

    def within(incident, shift=0):
        start, end = (int(t.timestamp()) + shift for t in (incident.start, incident.end))
        return f"time >= toDateTime({start}) AND time < toDateTime({end})"

    outage, spike, city = told["feed_outage"], told["feed_spike"], told["city_outage"]
    assert read(f"SELECT count() FROM tape.feed_actions WHERE {within(outage)}") == "0"
    assert int(read(f"SELECT count() FROM tape.message_actions WHERE {within(outage)}")) > 0
    usual, risen = (
        int(read(f"SELECT uniqExact(user_id) FROM tape.feed_actions WHERE {within(spike, s)}")) for s in (-3600, 0)
    )
    assert 1.6 * usual < risen < 3.4 * usual
    moscow = [
        int(read(f"SELECT count() FROM tape.feed_actions WHERE city = 'Moscow' AND {within(city, s)}"))
        for s in (-86400, 0)
    ]
    assert moscow[0] > 0 and moscow[1] == 0


def test_rows_are_never_overwritten_unasked(server, filled):
    with pytest.raises(SampleError, match="must be empty or absent, but holds"):
        sample.fill(sample.http(server), 2, 500, 7, UNTIL, ZONE.key, "tape")


@pytest.mark.parametrize(
    "wrong", [dict(days=0), dict(dau=5), dict(timezone="Moscow"), dict(database="a b"), dict(receiver_column="x")]
)
def test_arguments_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SampleError, match="must be"):
        sample.fill(lambda sql: pytest.fail("nothing may be executed"), **wrong)
