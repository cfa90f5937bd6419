"""Days, their bounds and the run-date rule; settings."""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from pulsebook.archive.redact import redact
from pulsebook.periods import Day, PeriodError, run_date_of, run_day, today
from pulsebook.settings import SettingsError, settings


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
