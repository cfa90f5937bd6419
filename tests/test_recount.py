"""What was told and has changed since is corrected where it was told: recount, load, reply, against pandas over the raw rows."""

import json
import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import pytest

from pulsebook import chat, runner
from pulsebook.base.names import folder_of
from pulsebook.base.periods import Day, run_day
from pulsebook.base.settings import ROOT
from pulsebook.catalogue import METRICS
from pulsebook.chat import page, reported
from pulsebook.chat.ledger import Ledger
from pulsebook.present.summary import facts
from tests.bot_api import bot_api
from tests.conftest import fresh_names
from tests.etl import STEPS, quick
from tests.world import final_table, local, raw_rows

ZONE = ZoneInfo("Europe/Moscow")
DAY = date(2026, 11, 20)
TWO, ONE = DAY - timedelta(days=2), DAY - timedelta(days=1)
RUN = DAY + timedelta(days=1)


def executed(notebook: str, **parameters) -> dict:
    """The cells of a notebook in this process; returns their variables."""
    code = [c.source for c in nbformat.read(ROOT / f"notebooks/{notebook}.ipynb", 4).cells if c.cell_type == "code"]
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    variables = {"display": lambda *_: None}
    exec(compile("\n".join([code[0], given, *code[1:]]), notebook, "exec"), variables)
    return variables


def recount(run_date: date = RUN, days: int = 5) -> dict[str, str]:
    """The days that are not as they were loaded, with what the notebook says of them."""
    found = executed("etl/recount", run_date=str(run_date), days=days)
    states = found["states"]
    assert {*found["changes"]} == {*states.index[states.isin(["changed", "missing"])]}
    return states[~states.isin(["as loaded", "never loaded"])].to_dict()


def correct(run_date: date = RUN, **parameters) -> dict:
    return executed("reports/correct", run_date=str(run_date), days=5, post=True, post_as="recount", **parameters)


@pytest.fixture
def chatted(configured):
    """What stands on the page of the chat, oldest first."""
    log = configured().outputs / "chat" / "messages.jsonl"
    return lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture(scope="module")
def database_names():
    """Those of all tests here: what a day was counted by has the names of its tables."""
    return fresh_names()


@pytest.fixture(scope="module")
def told(execute, database_names, tmp_path_factory):
    """A folder, and databases, for what `world` makes once: `keep` it, and give it `back`."""
    folder = tmp_path_factory.mktemp("told")

    def copied(of: str, to: str) -> None:
        execute(f"CREATE DATABASE IF NOT EXISTS {to}")
        for table in execute(f"SHOW TABLES FROM {of}").split():
            execute(f"CREATE TABLE {to}.{table} AS {of}.{table}")
            execute(f"INSERT INTO {to}.{table} SELECT * FROM {of}.{table}")

    def keep(page: Path) -> None:
        shutil.copytree(page, folder / "chat")
        for name in database_names:
            copied(name, f"{name}_told")

    def back(page: Path) -> bool:
        if not (folder / "chat").exists():
            return False
        shutil.copytree(folder / "chat", page)
        for name in database_names:
            copied(f"{name}_told", name)
        return True

    yield SimpleNamespace(keep=keep, back=back)
    for name in database_names:
        execute(f"DROP DATABASE IF EXISTS {name}_told")


@pytest.fixture
def world(fill, configured, told):
    """Two days loaded and the last one told; returns the rows of feed and messages."""
    (feed, messages), page = raw_rows(DAY, ZONE), configured().outputs / "chat"
    if not told.back(page):
        fill(feed, messages)
        for day in (ONE, DAY):
            quick(day)
        for report in ("feed_report", "app_report"):
            executed(f"reports/{report}", run_date=str(DAY), post=True, post_as=report)
        told.keep(page)
    assert recount() == {}, "as it was loaded"
    return feed, messages


def of_day(rows: pd.DataFrame, day: date = DAY) -> pd.DataFrame:
    return rows[local(rows, ZONE).dt.date == day]


def numbers(feed: pd.DataFrame, messages: pd.DataFrame, day: date = DAY) -> dict[str, float]:
    """The metrics of a day over raw rows."""
    feed, messages = of_day(feed, day), of_day(messages, day)
    views, likes = ((feed["action"] == action).sum() for action in ("view", "like"))
    users = feed["user_id"].nunique()
    return {
        "dau": len({*feed["user_id"], *messages["user_id"]}), "feed_users": users, "views": views, "likes": likes,
        "ctr": likes / views, "views_per_user": views / users, "likes_per_user": likes / users,
        "posts": feed.loc[feed["action"] == "view", "post_id"].nunique(), "messages_sent": len(messages),
        "messenger_users": messages["user_id"].nunique(), "messages_per_sender": len(messages) / messages["user_id"].nunique(),
    }  # fmt: skip


def later(rows: pd.DataFrame, count: int, user: int) -> pd.DataFrame:
    """The rows and so many more of the day, of users who were not there, each a second after another."""
    own = of_day(rows).head(count)
    return pd.concat(
        [rows, own.assign(user_id=user + pd.RangeIndex(count) // 3, time=own["time"] + 1)], ignore_index=True
    )


@pytest.mark.slow
def test_late_events_are_loaded_and_told_once_where_the_numbers_were_told(world, fill, final, chatted):
    before, (feed, messages) = numbers(*world), world
    feed = later(feed, 90, 1000)
    fill(feed, messages)
    assert recount() == {str(DAY): "changed"}
    quick(DAY)
    pd.testing.assert_frame_equal(final(DAY), final_table(feed, messages, DAY, ZONE))
    correct()
    now, replies = numbers(feed, messages), {reply["reply_to"]: reply["text"] for reply in chatted()[2:]}
    assert len(chatted()) == 4 and replies.keys() == TOLD.keys()
    for message, text in replies.items():
        first, *lines = text.split("\n")
        assert first == "<b>Correction of 20 November</b>: events arrived late; the tables are corrected"
        assert {line.split(": ")[0] for line in lines} == {
            METRICS[name].en for name in TOLD[message] if is_worth(before[name], now[name], name)
        }
    text = replies["team feed_report/2026-11-20"]
    grown = (now["views"] / before["views"] - 1) * 100
    assert f"\nViews: {before['views']} → <b>{now['views']}</b> (+{grown:.1f}\xa0%)\n" in text
    points = (now["ctr"] - before["ctr"]) * 100
    assert f"\nCTR: {before['ctr']:.1%} → ".replace("%", "\xa0%") in text and f"(+{points:.1f}\xa0pp)" in text

    assert recount() == {} and correct()["messages"] == [] and len(chatted()) == 4, "a second time nothing is said"
    later_report = executed("reports/feed_report", run_date=str(RUN))
    for name, panel in zip(("feed_users", "views", "likes", "ctr"), later_report["picture"].figure.axes, strict=True):
        (marked,) = [line for line in panel.lines if line.get_label() == "corrected since"]
        assert [*marked.get_xdata()] == [5] and marked.get_ydata() == pytest.approx([now[name]])
    assert "corrected since" in [text.get_text() for text in panel.get_legend().get_texts()]

    more = later(feed, 60, 2000)  # and once more
    fill(more, messages)
    assert recount() == {str(DAY): "changed"}
    quick(DAY)
    correct()
    assert f"\nViews: {now['views']} → <b>{numbers(more, messages)['views']}</b> " in chatted()[4]["text"]
    assert {reply["reply_to"] for reply in chatted()[4:]} == TOLD.keys()


@pytest.mark.slow
def test_a_reply_leads_to_the_comparison_of_the_two_loads_of_its_day(fill, configured, chatted):
    known = configured(archive_url="http://archive.example/runs")
    feed, messages = raw_rows(DAY, ZONE)

    def load(run: str, feed: pd.DataFrame) -> None:
        fill(feed, messages)
        quick(DAY, STEPS[:-1])
        folder = folder_of(known.outputs, "etl", str(DAY), run)
        runner.run(ROOT / "notebooks/etl/load.ipynb", {"run_date": str(DAY)}, folder)

    load("scheduled__first", feed)
    executed("reports/feed_report", run_date=str(DAY), post=True, post_as="feed_report")
    more = later(feed, 90, 1000)
    load("recount__second", more)
    correct()
    (reply,) = chatted()[1:]
    place = f"etl/{DAY}/recount__second/load-try1.diff.html"
    assert re.findall(r'href="([^"]+)"', reply["text"]) == [f"http://archive.example/runs/{place}"]
    page = (known.outputs / place).read_text()
    assert "scheduled__first" in page and "recount__second" in page
    before, now = (f"{numbers(rows, messages)['views']}" for rows in (feed, more))
    rows = [re.sub(r"<[^>]+>", " ", row) for row in re.findall(r"(?s)<tr.*?</tr>", page)]
    assert any(before in row and now in row for row in rows), rows


TOLD = {
    "team feed_report/2026-11-20": ("feed_users", "views", "likes", "ctr", "views_per_user", "likes_per_user"),
    "team app_report/2026-11-20": ("dau", "views", "likes", "ctr", "posts", "likes_per_user", "messages_sent", "messenger_users",
                                   "messages_per_sender"),
}  # fmt: skip


def is_worth(before: float, now: float, name: str) -> bool:
    least = 10 if name in ("dau", "feed_users", "views", "likes", "posts", "messages_sent", "messenger_users") else 0
    return before != now and abs(now - before) >= max(before * 0.01, least)


@pytest.mark.slow
def test_removed_events_are_told_once_in_russian_wherever_the_correction_is_killed(
    world, fill, final, chatted, configured, monkeypatch
):
    """Between the table and the replies, before a reply is sent, and before the ledger notes that it was."""
    configured(language="ru")
    feed, messages = world
    for number, place in enumerate([(reported, "state"), (page, "add"), (Ledger, "close")], 1):
        before, known = numbers(feed, messages), len(chatted())
        feed = feed.drop(of_day(feed).query(f"user_id < {10 * number}").index)
        fill(feed, messages)
        assert recount() == {str(DAY): "changed"}
        quick(DAY)
        pd.testing.assert_frame_equal(final(DAY), final_table(feed, messages, DAY, ZONE))
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(*place, killed)
            correct()
        for _ in range(2):
            correct()
        now, replies = numbers(feed, messages), {reply["reply_to"]: reply["text"] for reply in chatted()[known:]}
        assert len(chatted()) == known + 2 and replies.keys() == TOLD.keys()
        fallen = f"{(1 - now['views'] / before['views']) * 100:.1f}".replace(".", ",")
        why, views = (
            "<b>Исправление за 20 ноября</b>: события удалены; таблицы исправлены\n",
            f"\nПросмотры: {before['views']} → <b>{now['views']}</b> (−{fallen}\xa0%)",
        )
        assert all(text.startswith(why) and views in text for text in replies.values())


@pytest.mark.slow
def test_a_message_of_which_one_number_moved_is_told_in_one_line(world, fill, chatted):
    feed, messages = world
    viewed = of_day(feed).query("action == 'view'").index[:12]
    other = feed.assign(post_id=feed["post_id"].mask(feed.index.isin(viewed), feed.index + 1000))
    fill(other, messages)
    quick(DAY)
    correct()
    (reply,) = chatted()[2:]
    before, now = (numbers(rows, messages)["posts"] for rows in (feed, other))
    moved = f"{before} → <b>{now}</b> (+{(now / before - 1) * 100:.1f}\xa0%)"
    assert reply["text"] == f"Posts seen of 20 November: {moved}: events arrived late; the tables are corrected"


@pytest.mark.slow
@pytest.mark.parametrize("died", ["the bot", "who sends"])
def test_a_reply_without_an_answer_fails_one_run_and_is_sent_again_when_somebody_says_so(
    died, fill, configured, execute, monkeypatch
):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    quick(DAY)
    with bot_api() as bot:
        known = configured(telegram_token="1:a-token-of-tests", telegram_chat_id="-42", telegram_api_url=bot.url)
        executed("reports/feed_report", run_date=str(DAY), post=True, post_as="feed_report")
        fill(later(feed, 90, 1000), messages)
        quick(DAY)
        if died == "the bot":
            bot.faults += ["reset"]
        else:
            with monkeypatch.context() as patch, pytest.raises(Killed):
                patch.setattr(Ledger, "close", killed)
                correct()
            monkeypatch.setattr("pulsebook.chat.ledger.ABANDONED", -1)
        with pytest.raises(chat.Uncertain, match="it is not known whether .*/corrected/.* arrived"):
            correct()
        statuses = f"SELECT status FROM {known.target_database}.chat_messages WHERE key LIKE '%/corrected/%'"
        assert sorted(execute(statuses).split()) == ["sending", "uncertain"]
        correct()  # the next day's: who looks after it has heard, and has perhaps found it in the chat
        _, first = bot.arrived
        for _ in range(2):
            correct(resend="manual__1")
        correct()
        assert bot.arrived[1:] == [first, first] and json.loads(first[1]["reply_parameters"])["message_id"] == 100
        assert "\nViews: " in first[1]["text"]
        assert sorted(execute(statuses).split()) == ["sending", "sending", "sent", "uncertain"]


class Killed(BaseException):
    """A process has ended in the middle of its work."""


def killed(*_, **__):
    raise Killed


@pytest.mark.slow
def test_a_changed_profile_and_a_value_that_vanished_are_loaded_and_nothing_is_told(world, fill, final, chatted):
    feed, messages = world
    noon = of_day(feed)["time"].median()
    feed, messages = (
        rows.assign(os=rows["os"].where(rows["time"] < noon, "Android"), age=rows["age"] + 100 * (rows["time"] > noon))
        for rows in world
    )
    fill(feed, messages)
    assert recount(DAY + timedelta(days=1), 1) == {str(DAY): "changed"}
    assert "iOS" in final(DAY).loc["os"].index
    quick(DAY)
    expected = final_table(feed, messages, DAY, ZONE)
    pd.testing.assert_frame_equal(final(DAY), expected)
    feed, messages = (rows.assign(os="Android") for rows in (feed, messages))
    fill(feed, messages)
    assert recount() == {str(ONE): "changed", str(DAY): "changed"}
    quick(DAY)
    assert [*final(DAY).loc["os"].index] == ["Android", "unknown"], "who only received and was never seen"
    pd.testing.assert_frame_equal(final(DAY), final_table(feed, messages, DAY, ZONE))
    assert recount(DAY + timedelta(days=1), 1) == {} and correct()["messages"] == [] and len(chatted()) == 2


@pytest.mark.slow
def test_a_missing_day_is_loaded_when_it_is_there_and_an_unfinished_one_never(fill, final, configured, chatted):
    feed, messages = raw_rows(DAY, ZONE)
    without = [rows.drop(of_day(rows, ONE).index) for rows in (feed, messages)]
    half = [rows[rows["time"] < of_day(rows, ONE)["time"].median()] for rows in (feed, messages)]
    fill(*without)
    quick(TWO)
    quick(DAY)
    assert recount() == {str(ONE): "unfinished"}
    fill(*(pd.concat([a, b[local(b, ZONE).dt.date == ONE]]) for a, b in zip(without, half, strict=True)))
    assert recount() == {str(ONE): "unfinished"}
    fill(feed, messages)
    assert recount() == {str(ONE): "missing"}
    quick(ONE)
    pd.testing.assert_frame_equal(final(ONE), final_table(feed, messages, ONE, ZONE))
    assert recount() == {} and correct()["messages"] == [] and chatted() == []


@pytest.mark.slow
def test_a_day_whose_source_was_pruned_is_no_longer_countable_and_stays(world, fill, final, chatted):
    feed, messages = world
    kept, over, noon = final.text(DAY), of_day(feed, RUN)["time"].min(), of_day(feed)["time"].median()
    gone = {str(ONE): "no longer countable", str(DAY): "no longer countable"}
    for first_of_feed, first_of_messages in ((over, over), (noon, noon), (over, 0)):
        fill(feed[feed["time"] >= first_of_feed], messages[messages["time"] >= first_of_messages])
        assert recount() == gone
    assert correct()["messages"] == [] and len(chatted()) == 2 and final.text(DAY) == kept


@pytest.mark.slow
def test_what_moved_little_is_one_line_when_its_month_can_no_longer_change(
    world, fill, chatted, configured, monkeypatch
):
    feed, messages = world
    fill(later(feed, 3, 3), messages)
    assert recount() == {str(DAY): "changed"}
    quick(DAY)
    assert correct()["messages"] == []
    monkeypatch.setattr("pulsebook.base.periods.today", lambda: Day(date(2026, 12, 20), ZONE))
    assert correct(date(2026, 12, 5))["messages"] == [], "its last day may still be recounted"
    for run_date, language in ((date(2026, 12, 6), "en"), (date(2026, 12, 7), "ru")):
        configured(language=language)
        text = correct(run_date)["messages"][0][2]
        begins = {
            "en": "<b>Small corrections of November 2026</b>: ",
            "ru": "<b>Малые исправления за ноябрь 2026</b>: ",
        }
        assert text.startswith(begins[language])
    (small,) = chatted()[2:]
    assert small["text"].startswith(begins["en"]) and small["reply_to"] == ""
    assert " numbers of 1 day have moved since the reports told them, most of all " in small["text"]


def test_what_is_stated_counts_once_it_was_sent_and_a_resend_tells_of_the_same_message(configured, monkeypatch):
    day = run_day(str(DAY))
    views = lambda value: facts(day, {"views": value})  # noqa: E731
    found = lambda: reported.told(day, day)[["message", "answers", "value"]].values.tolist()  # noqa: E731

    def refused(*_, **__):
        raise chat.Undelivered("the chat is away")

    with monkeypatch.context() as patch, pytest.raises(chat.Undelivered):
        patch.setattr(page, "add", refused)
        chat.post("r/1", "7 views", told=views(7))
    assert found() == [], "nobody has seen it"
    chat.post("r/1", "8 views", told=views(8))
    chat.post("r/1", "9 views", told=views(9))
    assert found() == [["r/1", "r/1", 8.0]], "what was posted before is not posted again"
    chat.post("r/1", "9 views", resend="again", told=views(9))
    assert found() == [["r/1", "r/1|again", 9.0]]
    assert reported.corrected(day, day) == set()
    chat.post("r/1/more", "3 likes", reply_to="r/1|again", told=facts(day, {"likes": 3}))
    assert reported.corrected(day, day) == set(), "a reply that tells more corrects nothing"
    chat.post("c/1", "9 → 10", reply_to="r/1|again", told=views(10))
    assert found()[1:] == [["r/1", "r/1|again", 10.0]] and reported.corrected(day, day) == {DAY}
    chat.post("r/2", "unknown", told=views(float("nan")))
    assert pd.isna(found()[2][2])
