"""The watch of the daily reports: what is expected, what is late and what both chats hear of it, from the ledger alone."""

from datetime import date, datetime

import pandas as pd
import pytest

from pulsebook.archive import lookup
from pulsebook.base.periods import Day, Slot
from pulsebook.base.settings import SettingsError
from pulsebook.chat import reports as watch
from pulsebook.chat.ledger import COLUMNS, Ledger
from pulsebook.incidents.store import Store
from pulsebook.warehouse import Warehouse
from tests.alert_notebooks import ZONE, on_the_page, run

DAY = Day(date(2026, 11, 15), ZONE)  # a Sunday: what was posted about it comes on Monday
MONDAY = DAY + 1


def at(day: Day, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZONE)


def slot_until(clock: str, day: Day = MONDAY) -> Slot:
    return Slot(int(at(day, clock).timestamp()) - 900, ZONE)


@pytest.fixture
def posted(configured, execute, monkeypatch):
    """States in the ledger that a report was posted; today is that Monday."""
    monkeypatch.setattr(watch, "today", lambda: MONDAY)
    table = Ledger().table

    def state(about: object, came: datetime, *, key="feed_report/{}", task="feed_report.feed_report", statuses=("sending", "sent"), title="Feed"):  # fmt: skip
        key = key.format(about)
        for status in statuses:
            values = (key, "text 1", "page team", f"{key} {came}", status, "1", f"{title} · a day", "", task)
            told = ", ".join(f"'{value}'" for value in values)
            execute(f"INSERT INTO {table} ({', '.join(COLUMNS)}) SELECT toDateTime({int(came.timestamp())}), {told}, NULL")  # fmt: skip

    def week(clock: str = "11:01", until: Day = DAY - 1, days: int = 7, **how):
        for ago in range(days):
            state(until - ago, at(until - ago + 1, clock), **how)

    state.week = week
    return state


def late(now: str = "11:30", day: Day = MONDAY) -> list[str]:
    known = watch.reports(day - 1).values()
    return [report.name for report in known if report.is_late(day - 1, at(day, now))]


# -- what is expected, and until when


def test_a_new_installation_expects_nothing(posted):
    assert watch.reports(DAY) == {} and late() == []
    posted.week(days=3)
    assert late() == []


def test_a_report_that_came_on_most_days_of_the_week_is_expected_at_the_time_of_the_setting(posted, configured):
    posted.week(days=4)
    assert late("11:29") == [] and late("11:30") == ["feed_report"] == late("23:45")
    configured(late_at="12:15")
    assert late("12:00") == [] and late("12:15") == ["feed_report"]
    posted(DAY, at(MONDAY, "11:20"))
    assert late("23:45") == []


def test_one_that_is_no_longer_made_is_told_until_the_week_has_forgotten_it(posted):
    posted.week(until=DAY - 3)
    assert [late(day=DAY + n) for n in range(-1, 4)] == [["feed_report"]] * 4 + [[]]


@pytest.mark.parametrize("statuses", [("sending", "uncertain"), ("sending",)])
def test_what_may_have_arrived_or_is_being_sent_is_not_called_late(statuses, posted):
    posted.week()
    posted(DAY, at(MONDAY, "11:00"), statuses=statuses)
    assert late() == []


@pytest.mark.parametrize("status", ["failed", "withdrawn"])
def test_what_failed_has_not_come(status, posted):
    posted.week()
    posted(DAY, at(MONDAY, "11:00"), statuses=("sending", status))
    assert late() == ["feed_report"]


@pytest.mark.parametrize(
    "how",
    [
        dict(task=""),  # by hand
        dict(task="other.feed_report"),
        dict(key="failure/feed_report/{}"),
        dict(key="app_report/{}/rest", task="app_report.rest_of_it"),  # an answer to it
        dict(key="feed_report/{}|again"),  # sent once more
        dict(key="alerts/views-{}"),
        dict(key="alerts/{}T10:15", task="alerts.check"),
    ],
)
def test_only_what_a_task_posts_under_the_key_of_its_dag_and_a_day_is_a_report(how, posted):
    posted.week(**how)
    assert late() == []


def test_days_that_were_filled_later_make_no_habit_and_one_by_hand_is_there(posted):
    for ago in range(1, 8):
        posted(DAY - ago, at(DAY - 1, "15:00"))  # a backfill
    assert late() == []
    posted.week(key="app_report/{}", task="app_report.app_report")
    assert late() == ["app_report"]
    posted(DAY, at(MONDAY, "11:10"), key="app_report/{}", task="")
    assert late() == []


def test_several_reports_of_a_dag_are_watched_each_by_itself(posted):
    for part in ("devices", "cities"):
        posted.week(key=f"app/{{}}/{part}", task=f"app.{part}")
    posted(DAY, at(MONDAY, "11:01"), key="app/{}/cities", task="app.cities")
    assert late() == ["app/devices"]


def test_one_that_is_made_after_that_time_is_late_a_quarter_of_an_hour_after_its_usual_time(posted):
    posted.week("12:02")
    posted(DAY - 7, at(DAY - 6, "09:00"))  # once by hand, earlier
    assert late("12:15") == [] and late("12:17") == ["feed_report"]


def test_days_that_came_late_do_not_move_the_time_while_two_of_the_week_were_on_time(posted):
    posted.week("12:40", days=5)
    for ago in (6, 7):
        posted(DAY - ago, at(DAY - ago + 1, "11:01"))
    assert late("11:30") == ["feed_report"]


def test_only_a_check_of_today_after_that_time_looks(posted, configured):
    assert watch.watched_day(slot_until("11:30")) == DAY == watch.watched_day(slot_until("23:45"))
    for clock, day in (("11:15", MONDAY), ("00:00", MONDAY), ("11:30", DAY), ("11:30", MONDAY + 1)):
        assert watch.watched_day(slot_until(clock, day)) is None
    configured(late_at="none")
    assert watch.watched_day(slot_until("23:45")) is None


@pytest.mark.parametrize("value", ["", "noon", "24:00", "9:30", "11:30:00"])
def test_a_time_that_is_none_is_told(value, configured):
    with pytest.raises(
        SettingsError, match=f"PULSEBOOK_LATE_AT must be a time of day such as 11:30 .*, found '{value}'"
    ):
        configured(late_at=value)


def test_the_week_counts_what_came_in_time_and_says_when_the_latest_came(posted):
    posted.week(until=DAY - 7)
    assert watch.reports(DAY)["feed_report"].week(DAY) == (0, None), "dead for a week, and told all the same"
    posted.week(until=DAY - 2, days=5)
    posted(DAY - 1, at(DAY, "11:47"))
    known = watch.reports(DAY)["feed_report"]
    assert known.was_expected(DAY) and known.week(DAY) == (5, at(DAY, "11:47"))
    posted(DAY, at(MONDAY, "11:30"))
    assert watch.reports(DAY)["feed_report"].week(DAY) == (6, at(DAY, "11:47"))
    assert not watch.reports(DAY + 14).get("feed_report", watch.Report("")).was_expected(DAY + 14)


# -- what a look tells


@pytest.fixture
def look(posted, configured, fill):
    """Runs the notebook of a slot as a task of Airflow, in a warehouse that never had a slot; returns its variables."""

    def events(**until: str):
        """Fills the source with one event at a time of that Sunday for each table."""
        profile = dict(gender=1, age=20, country="Russia", city="Moscow", os="iOS", source="ads", exp_group=1)
        frames = {name: pd.DataFrame([dict(user_id=1, time=int(at(DAY, until[name]).timestamp()), **profile)]) for name in until}  # fmt: skip
        fill(frames["feed"].assign(post_id=1, action="view"), frames["messages"].assign(receiver_id=2))

    def run_watch(clock: str = "11:30", day: Day = MONDAY, by_hand: bool = False, post: bool = True):
        slot = slot_until(clock, day)
        configured(executed_as="" if by_hand else f"alerts/{slot}/scheduled__1/watch-try1.html")
        return run("watch", slot=str(slot), post=post)

    run_watch.events = events
    events(feed="23:59", messages="23:50")
    return run_watch


def told() -> list[tuple[str, str]]:
    return [(message["chat"], message["text"]) for message in on_the_page() if "/week " not in message["id"]]


def test_a_report_that_is_missing_is_told_once_to_the_team_and_to_operations(look, posted):
    posted.week()
    look("11:15")
    assert told() == []
    for clock in ("11:30", "11:45", "14:00"):
        look(clock)
    operations, team = told()
    assert operations == (
        "operations",
        "<b>✗ Not posted by 11:30: feed_report · 2026-11-15</b>\nThe day's events are there.\n"
        "feed_report: is the DAG paused, its run lost, a task dead?",
    )
    assert team == (
        "team",
        "⏳ Today's report <b>Feed</b> is late: the day's events are there. Operations have been told.",
    )


@pytest.fixture
def waits(monkeypatch):
    """States in the archive's index that a task of each DAG waits for that Sunday."""

    def state(*dags: str):
        tries = {f"{dag}/{DAY}/scheduled__1/{dag}-try1": {"dag": dag, "status": "waiting"} for dag in dags}
        monkeypatch.setattr(lookup, "entries_of", lambda outputs, day: tries if day == str(DAY) else {})

    return state


APP = dict(key="app_report/{}", task="app_report.app_report", title="App")


@pytest.mark.parametrize(
    ("waiting", "ends", "end_of_the_line"),
    [
        ((), ("20:10", "20:59"), "(Feed until 20:10, Messenger until 20:59). Of App operations have been told, the rest comes by itself."),
        (("app_report",), ("23:59", "20:59"), "(Messenger until 20:59). They come by themselves."),
        (("app_report",), ("23:59", "23:59"), "the day's events are there. They come by themselves."),  # it waits for etl
    ],
)  # fmt: skip
def test_all_that_are_missing_are_one_line_that_says_what_they_wait_for(
    waiting, ends, end_of_the_line, look, posted, waits
):
    look.events(**dict(zip(("feed", "messages"), ends, strict=True)))
    waits("feed_report", *waiting)
    posted.week()
    posted.week(**APP)
    look("14:00")  # the first one after a morning without Airflow
    (_, operations), (_, team) = told()
    assert team.startswith("⏳ Today's reports <b>App, Feed</b> are late: ") and team.endswith(end_of_the_line)
    app = "waits, and comes by itself" if waiting else "is the DAG paused, its run lost, a task dead?"
    assert operations.startswith("<b>✗ Not posted by 14:00: app_report, feed_report · 2026-11-15</b>\n")
    assert operations.endswith(f"\napp_report: {app}\nfeed_report: waits, and comes by itself")


def test_without_any_event_it_says_so_in_both_languages(look, posted, waits, configured, execute, databases):
    for table in ("feed_actions", "message_actions"):
        execute(f"TRUNCATE TABLE {databases[0]}.{table}")
    posted.week(title="Лента")
    configured(language="ru")
    waits("feed_report")
    look()
    assert [text for _, text in told()] == [
        "<b>✗ К 11:30 не отправлено: feed_report · 2026-11-15</b>\n"
        "События за день есть не все (Лента: нет, Мессенджер: нет).\nfeed_report: ждёт и придёт сам",
        "⏳ Сегодняшний отчёт <b>Лента</b> опаздывает: события за день есть не все (Лента: нет, Мессенджер: нет). "
        "Он придёт сам.",
    ]


@pytest.mark.parametrize(
    ("language", "operations_hear", "team_hears"),
    [("en", "The source does not answer.", "the source does not answer. Operations have been told."),
     ("ru", "Источник не отвечает.", "источник не отвечает. Дежурные знают.")],
)  # fmt: skip
def test_a_source_that_is_away_keeps_no_word_back(language, operations_hear, team_hears, look, posted, configured):
    posted.week()
    configured(language=language, source_url="http://127.0.0.1:1")
    look()
    (_, operations), (_, team) = told()
    assert operations.split("\n")[1] == operations_hear and team.endswith(f": {team_hears}")


@pytest.mark.parametrize("how", [dict(by_hand=True), dict(post=False), dict(day=DAY), dict(clock="11:00")])
def test_a_look_by_hand_in_the_past_or_too_early_tells_nothing(how, look, posted):
    posted.week()
    look(**how)
    assert told() == []


def test_a_look_at_a_slot_before_one_that_was_checked_tells_nothing(look, posted):
    Store().close(slot_until("14:00").epoch)
    posted.week()
    look("12:00")
    assert told() == []


def test_what_is_there_is_not_told_and_a_look_asks_the_ledger_once(look, posted, monkeypatch):
    posted.week(until=DAY)
    statements, read = [], Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, *a, **k: statements.append(sql) or read(self, sql, *a, **k)
    )
    look("11:45", day=MONDAY)
    look("12:00")
    assert told() == []
    assert sum("match(key" in sql for sql in statements) == 2 and not [s for s in statements if "last_event" in s]


def test_where_the_word_to_the_team_fails_the_next_look_tells_it(look, posted, monkeypatch):
    from pulsebook import chat

    posted.week()
    post = chat.post

    def failing(key, text, *given, to="team", **how):
        if to == "team":
            raise chat.Undelivered("given up")
        return post(key, text, *given, to=to, **how)

    with monkeypatch.context() as patch:
        patch.setattr(chat, "post", failing)
        with pytest.raises(chat.Undelivered):
            look()
    look("11:45")
    assert [place for place, _ in told()] == ["operations", "team"]


def test_on_mondays_operations_are_told_once_how_the_week_went(look, posted, monkeypatch):
    posted.week(until=DAY - 2, days=6)
    posted(DAY - 1, at(DAY, "11:47"))
    posted(DAY, at(MONDAY, "11:00"))
    for clock in ("11:15", "11:30", "11:45"):
        look(clock)
    (message,) = on_the_page()
    assert message["chat"] == "operations" and message["text"] == (
        "<b>Reports of the week 9 November – 15 November</b>\nfeed_report: on time 6 of 7 days, latest 15 Nov 11:47"
    )
    monkeypatch.setattr(watch, "today", lambda: MONDAY + 1)
    posted(MONDAY, at(MONDAY + 1, "11:00"))
    look("11:30", MONDAY + 1)
    assert len(on_the_page()) == 1, "on Mondays alone"
