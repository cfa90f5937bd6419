"""Days, their bounds and the run-date rule; settings."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from pulsebook.base.periods import Day, PeriodError, run_date_of, run_day, run_slot, slot_of, today
from pulsebook.base.redact import redact
from pulsebook.base.settings import SettingsError, settings
from pulsebook.warehouse import Warehouse


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_the_default_day_is_yesterday_in_the_business_time_zone():
    expected = datetime.now(ZoneInfo("Europe/Moscow")).date().toordinal() - 1
    assert run_day("").date.toordinal() == run_day().date.toordinal() == expected


@pytest.mark.parametrize("text", ["22.11.2026", "2026-11-2", "20261122", "2026-02-30", "yesterday", " 2026-11-22", 5])
def test_a_typo_in_a_date_fails_and_says_what_was_expected(text):
    with pytest.raises(PeriodError, match="such as 2026-11-22"):
        run_day(text)


def test_a_day_that_is_not_over_is_refused():
    with pytest.raises(PeriodError, match="a day that is over in Europe/Moscow"):
        run_day(str(today()))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Moscow", "2026-10-25", 24),
        ("America/Sao_Paulo", "2018-11-04", 23),  # its midnight did not exist
    ],
)
def test_bounds_are_the_instants_between_two_local_midnights(zone, day, hours):
    day = Day(date.fromisoformat(day), ZoneInfo(zone))
    assert day.hours == hours
    first, last = map(int, re.findall(r"toDateTime\((\d+)\)", day.bounds()))
    assert last - first == hours * 3600
    for instant, inside in ((first - 1, False), (first, True), (last - 1, True), (last, False)):
        assert (datetime.fromtimestamp(instant, UTC).astimezone(day.zone).date() == day.date) is inside


def test_a_look_back_starts_days_earlier_and_ends_with_the_day():
    day = Day(date(2026, 11, 20), ZoneInfo("Europe/Moscow"))
    assert day.bounds(days_before=29).split(" AND ")[0] == (day - 29).bounds().split(" AND ")[0]
    assert day.bounds(days_before=29).split(" AND ")[1] == day.bounds().split(" AND ")[1]


# Zones whose clocks change at midnight, by half an hour, by a whole day, around Ramadan
ZONES = ["Europe/Moscow", "Europe/Berlin", "Africa/Casablanca", "America/Sao_Paulo", "America/Havana", "Asia/Beirut"]
ZONES += ["Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "Asia/Kathmandu", "Africa/Cairo", "UTC"]
LAST = ["2026-11-22", "2026-03-29", "2026-04-10", "2018-11-20", "2011-12-31", "2012-01-02", "1995-01-10", "1971-03-01"]


@pytest.mark.parametrize("zone", ZONES)
def test_sql_says_the_day_of_an_instant_by_pythons_rules_alone(zone, server):
    for last in (Day(date.fromisoformat(text), ZoneInfo(zone)) for text in LAST):
        first, end = ((last - 40).start.timestamp(), last.end.timestamp())
        midnights = [int((last - ago).start.timestamp()) for ago in range(-1, 41)]
        near = {at + by for at in midnights for by in (-3600, -1, 0, 1, 1800, 82800, 86400) if first <= at + by < end}
        found = Warehouse(server).read(f"""
            SELECT at, toDate({last.date_of(days_before=40)}) AS day, toDate({last.date_of("at", days_before=40)}) AS same
            FROM (SELECT arrayJoin({sorted(near)}) AS at, toDateTime(at) AS time) WHERE {last.bounds(days_before=40)}
        """)
        assert set(found["at"]) == near and (found["day"] == found["same"]).all()
        for row in found.itertuples():
            assert row.day.date() == datetime.fromtimestamp(row.at, UTC).astimezone(last.zone).date(), row


def test_no_statement_leaves_the_rules_of_a_time_zone_to_the_server():
    """Only who makes sample tables may, a partition may begin at any time; and who compares the rules of both."""
    root = Path(__file__).parents[1]
    sources = [p for folder in ("notebooks", "pulsebook", "dags") for p in (root / folder).rglob("*.*")]
    sources = [
        p
        for p in sources
        if p.suffix in (".py", ".ipynb")
        and (p.parent.name, p.name) not in (("local", "sample_events.py"), ("doctor", "servers.py"))
    ]
    assert len(sources) > 50
    zoned = re.compile(
        r"\b(toDate|toDateTime|toHour|toMinute|toDayOfWeek|toYYYYMM\w*|toStartOf\w+|formatDateTime)\([^()]*(\([^()]*\)[^()]*)*, *'[^']*(zone|/)",
        re.I,
    )
    assert zoned.search("toDate(time, '{zone}')") and zoned.search("toStartOfDay(max(time), 'Europe/Moscow')")
    assert not [(p.name, found[0]) for p in sources if (found := zoned.search(p.read_text()))]


def test_a_look_back_before_clickhouses_time_begins_with_it():
    assert "time >= toDateTime(0) AND" in Day(date(1971, 1, 1), ZoneInfo("Europe/Moscow")).bounds(days_before=400)
    with pytest.raises(PeriodError, match="the calendar ends"):
        Day(date(1, 1, 1), ZoneInfo("UTC")) - 1
    with pytest.raises(PeriodError, match="the calendar ends"):
        Day(date(9999, 12, 31), ZoneInfo("UTC")).bounds()


@given(
    st.one_of(
        st.dates().map(str),
        st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat()),
        st.text(max_size=12),
        st.from_regex(r"\A\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:00)?([+-]\d{2}:\d{2}|Z)?)?\Z"),
    ),
    st.sampled_from(ZONES),
)
@example("0001-01-01", "Europe/Moscow")
@example("0001-01-01T00:00", "Pacific/Kiritimati")
@example("0001-01-01T00:00+23:45", "UTC")
@example("9999-12-31T23:45-12:00", "America/Havana")
@example("9999-12-31", "UTC")
@example("1970-01-01", "Europe/Moscow")
@tries(max_examples=120, deadline=None, derandomize=True)
def test_any_text_for_a_period_is_a_period_that_sql_can_bound_or_a_sentence(text, zone):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PULSEBOOK_TIMEZONE", zone)
        settings.cache_clear()
        for taken in (run_day, run_slot):
            try:
                period = taken(text)
            except PeriodError as error:
                assert re.match("(run_date|slot) must b", str(error))
            else:
                bounds = [int(second) for second in re.findall(r"toDateTime\((-?\d+)\)", period.bounds())]
                assert 0 <= bounds[0] <= bounds[1] < 2**32
    settings.cache_clear()


@given(st.datetimes(timezones=st.timezones()), st.sampled_from(ZONES))
@example(datetime(1, 1, 1, tzinfo=UTC), "America/Havana")
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "UTC")
@example(datetime(9999, 12, 31, 23, tzinfo=UTC), "Pacific/Kiritimati")
@tries(max_examples=80, deadline=None, derandomize=True)
def test_any_instant_has_a_day_and_a_slot_or_a_sentence(instant, zone):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PULSEBOOK_TIMEZONE", zone)
        settings.cache_clear()
        for said in (run_date_of, slot_of):
            try:
                assert re.match(r"\d{4}-\d\d-\d\d", said(instant))
            except PeriodError as error:
                assert "between 1972 and 2105" in str(error) and not 1972 <= instant.year <= 2105
    settings.cache_clear()


@pytest.mark.parametrize(
    "text", ["2026-11-22T14:15:00.5", "2026-11-22T14:15:01", "2026-11-22T14:20", "0001-01-01T00:00"]
)
def test_a_slot_begins_on_the_quarter_to_the_microsecond(text):
    with pytest.raises(PeriodError, match="slot must"):
        run_slot(text)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-11-23T00:00:00+00:00", "2026-11-22"),  # 03:00 in Moscow: the daily run
        ("2026-11-22T21:30:00+00:00", "2026-11-22"),  # after midnight in Moscow, before it in UTC
        ("2026-11-22T20:59:59+00:00", "2026-11-21"),
        ("2026-11-23T23:00:00-05:00", "2026-11-23"),
    ],
)
def test_a_run_reports_on_the_day_before_as_seen_from_the_business_zone(instant, day):
    assert run_date_of(datetime.fromisoformat(instant)) == day


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(PeriodError, match="time zone"):
        run_date_of(datetime(2026, 11, 23))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLICKHOUSE_URL", "me:s3cret@host", "PULSEBOOK_CLICKHOUSE_URL must look like http://user:password@host:8123"),
        (
            "CLICKHOUSE_URL",
            "http://host:8123/?user=me&password=s3cret",
            "PULSEBOOK_CLICKHOUSE_URL has user or password in its",
        ),
        ("SOURCE_URL", "http://host:8123/?x=1&pass%77ord=s3cret", "in its query: write http://user:password@host:8123"),
        ("TARGET_DATABASE", "a; DROP", "PULSEBOOK_TARGET_DATABASE must be a plain database name"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_never_shown(monkeypatch, name, value, says):
    monkeypatch.setenv(f"PULSEBOOK_{name}", value)
    with pytest.raises(SettingsError) as caught:
        settings()
    assert says in str(caught.value) and value not in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TIMEZONE", "Msk", "must be an IANA time zone such as Europe/Moscow"),
        *(("COUNTRY", value, "must be a country such as RU, .*") for value in ("Moscow", "DE-XX")),
        ("LANGUAGE", "fr", "Input should be 'en' or 'ru'"),
        ("TABLE_ENGINE", "Log", "must be MergeTree, .*"),
        ("TELEGRAM_THREAD_ID", "general", "Input should be a valid integer.*"),
        *(("QUERY_TIMEOUT", value, "Input should be greater than 0") for value in ("0", "-1")),
        *(("QUERY_TIMEOUT", value, "Input should be a finite number") for value in ("inf", "nan")),
    ],
)
def test_a_setting_that_is_no_secret_is_shown_where_it_cannot_be_used(monkeypatch, name, value, says):
    monkeypatch.setenv(f"PULSEBOOK_{name}", value)
    with pytest.raises(SettingsError, match=f"^PULSEBOOK_{name} {says}, found '{value}'$"):
        settings()


def test_a_server_may_be_given_settings_in_its_urls_query(monkeypatch):
    url = "http://me:s3cret@host:8123/?max_threads=2"
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", url)
    assert settings().clickhouse_url.get_secret_value() == url and settings().secrets == ["s3cret"]


def test_secrets_are_hidden_in_every_spelling(monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", "http://me:p%40ss%2Fw%22rd@host:8123")
    text = 'p@ss/w"rd p%40ss%2Fw%22rd p%40ss/w%22rd cEBzcy93InJk "p@ss/w\\"rd" http://x:other@h:1/'
    text += " http://h/?password=f1rst&x=1 http://h/?x=1&password=sec0nd <a href='/?x=1&amp;password=th1rd'>"
    hidden = redact(text)
    for spelling in ("p@ss", "p%40ss", "cEBzcy93InJk", "other", "f1rst", "sec0nd", "th1rd"):
        assert spelling not in hidden
    assert "p@ss" not in repr(settings())
