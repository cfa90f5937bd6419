"""Collect and check: what the book of slots holds, and what the chat hears of a known story."""

import json
import os
import re
import time
import uuid
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
import requests

from pulsebook import runner
from pulsebook.archive.record import folder_of
from pulsebook.base.periods import run_day
from pulsebook.base.settings import ROOT, settings
from pulsebook.catalogue import KNOWN_DAYS, METRICS, Policy
from pulsebook.chat import reported
from pulsebook.incidents.store import Store
from pulsebook.local import sample
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.days import fill_days
from tests import forked
from tests.alert_notebooks import ZONE, code, epoch, on_the_page, remove, rows_of, run, slots
from tests.bot_api import bot_api

UNTIL = datetime(2026, 11, 17, 6, 0, tzinfo=ZONE)
LAST = "2026-11-17T05:45"
BOOK = f"alert_book_{uuid.uuid4().hex[:6]}"  # slot_metrics of the sample
SPIKE, OUTAGE = "2026-11-13T15:30", "2026-11-14T11:00"  # one slot; three slots


@pytest.fixture(scope="module")
def app(server):
    """Five weeks of the sample, and their slots, collected once."""
    name = f"alert_source_{uuid.uuid4().hex[:6]}"
    sample.fill(sample.http(server), 36, 4000, 1, UNTIL, "Europe/Moscow", name)
    variables = {
        "PULSEBOOK_CLICKHOUSE_URL": server,
        "PULSEBOOK_SOURCE_DATABASE": name,
        "PULSEBOOK_TARGET_DATABASE": BOOK,
    }
    kept = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    settings.cache_clear()
    run("collect", slot=LAST)
    for key, value in kept.items():
        os.environ.pop(key) if value is None else os.environ.update({key: value})
    settings.cache_clear()
    yield name
    for database in (name, BOOK):
        requests.post(server, data=f"DROP DATABASE {database}")


@pytest.fixture
def book(app, configured, databases, execute):
    """This test's own slot_metrics, filled, with the sample as source."""
    configured(source_database=app)
    execute(f"CREATE TABLE {databases[1]}.slot_metrics AS {BOOK}.slot_metrics")
    execute(f"INSERT INTO {databases[1]}.slot_metrics SELECT * FROM {BOOK}.slot_metrics")
    return f"{databases[1]}.slot_metrics"


# -- collect


def test_every_slot_equals_an_independent_computation(app, server):
    since = int(datetime(2026, 11, 13, tzinfo=ZONE).timestamp())
    feed = rows_of(
        server,
        f"SELECT user_id, action, toUnixTimestamp(time) AS at FROM {app}.feed_actions WHERE time >= toDateTime({since})",
    )
    messages = rows_of(
        server,
        f"SELECT user_id, toUnixTimestamp(time) AS at FROM {app}.message_actions WHERE time >= toDateTime({since})",
    )
    feed["slot"], messages["slot"] = feed["at"] // 900 * 900, messages["at"] // 900 * 900
    expected = pd.DataFrame(
        {
            "feed_users": feed.groupby("slot")["user_id"].nunique(),
            "views": feed[feed["action"] == "view"].groupby("slot").size(),
            "likes": feed[feed["action"] == "like"].groupby("slot").size(),
            "messenger_users": messages.groupby("slot")["user_id"].nunique(),
            "messages_sent": messages.groupby("slot").size(),
        }
    )
    expected["ctr"] = expected["likes"] / expected["views"]
    found = rows_of(server, f"SELECT toUnixTimestamp(slot) AS slot, metric, value, base FROM {BOOK}.slot_metrics FINAL WHERE slot >= toDateTime({since})")  # fmt: skip
    table = found.pivot(index="slot", columns="metric", values="value").astype(float)
    outage = [int(datetime.fromisoformat(s).replace(tzinfo=ZONE).timestamp()) for s in slots(OUTAGE, 3)]
    assert table.loc[outage, ["feed_users", "views", "likes", "ctr"]].isna().all(axis=None), "missing, not zero"
    assert (table.loc[outage, "messages_sent"] > 0).all()
    assert len(table) == 4 * 96 + 24
    filled = table.drop(outage).sort_index()
    expected = expected.reindex(filled.index)
    quiet = expected["messages_sent"].isna()
    expected.loc[quiet, ["messages_sent", "messenger_users"]] = 0.0
    pd.testing.assert_frame_equal(filled, expected[filled.columns], check_names=False)
    base = found[found["metric"] == "ctr"].set_index("slot")["base"].drop(outage).astype(float)
    assert (base.sort_index() == expected["views"]).all()


def test_collecting_again_changes_nothing_and_late_events_are_taken_in(app, databases, execute, configured):
    source, target = databases
    configured()
    for table in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{table} AS {app}.{table}")
        execute(
            f"INSERT INTO {source}.{table} SELECT * FROM {app}.{table} WHERE time >= toDateTime('2026-11-15 00:00:00', 'Europe/Moscow')"
        )

    def text():
        return execute(f"SELECT slot, metric, value, base FROM {target}.slot_metrics FINAL ORDER BY slot, metric")

    run("collect", slot=LAST, history_days=2)
    before = text()
    assert len(run("collect", slot=LAST, history_days=2)["wanted"]) == 1, "all but the slot itself are complete"
    assert text() == before
    # as if the last hour had been counted when it had just ended, and events came late
    execute(f"INSERT INTO {target}.slot_metrics SELECT slot, metric, value, base, toDateTime('2026-11-17 06:00:00', 'Europe/Moscow')"
            f" FROM {target}.slot_metrics FINAL WHERE slot >= toDateTime('2026-11-17 05:00:00', 'Europe/Moscow')")  # fmt: skip
    remove(execute, f"{target}.slot_metrics", "slot >= toDateTime('2026-11-17 05:00:00', 'Europe/Moscow') AND collected > toDateTime('2026-11-17 06:00:00', 'Europe/Moscow')")  # fmt: skip
    execute(
        f"INSERT INTO {source}.message_actions SELECT * FROM {source}.message_actions WHERE time >= toDateTime('2026-11-17 05:00:00', 'Europe/Moscow') AND time < toDateTime('2026-11-17 05:15:00', 'Europe/Moscow')"
    )
    slot = int(datetime(2026, 11, 17, 5, 0, tzinfo=ZONE).timestamp())

    def sent():
        return float(
            execute(
                f"SELECT value FROM {target}.slot_metrics FINAL WHERE metric = 'messages_sent' AND slot = toDateTime({slot})"
            )
        )

    old = sent()
    assert len(run("collect", slot=LAST, history_days=2)["wanted"]) == 4
    assert sent() == 2 * old > 0


def test_a_gap_heals_itself(book, execute):
    whole = execute(f"SELECT slot, metric, value, base FROM {book} FINAL ORDER BY slot, metric")
    remove(execute, book, "slot >= toDateTime('2026-11-16 10:00:00', 'Europe/Moscow') AND slot < toDateTime('2026-11-16 16:00:00', 'Europe/Moscow')")  # fmt: skip
    assert len(run("collect", slot=LAST)["wanted"]) == 24 + 1
    assert execute(f"SELECT slot, metric, value, base FROM {book} FINAL ORDER BY slot, metric") == whole


def test_the_summaries_are_written_for_people_and_state_what_the_book_says(book, execute, capsys, facts):
    def headline(notebook: str) -> str:
        capsys.readouterr()
        run(notebook, slot=LAST)
        return next(line for line in capsys.readouterr().out.split("\n") if "; " in line).partition(": ")[2]

    assert headline("collect") == "6 rows for 1 slot; missing: nothing"
    slot = int(datetime.fromisoformat(LAST).replace(tzinfo=ZONE).timestamp())
    rows = execute(f"SELECT metric, value FROM {book} FINAL WHERE slot = toDateTime({slot}) FORMAT TSV").splitlines()
    counted = {(name, ""): float(value) for name, value in (row.split("\t") for row in rows)}
    assert facts == counted | {("rows", ""): len(counted), ("slots", ""): 1}
    facts.clear()
    assert headline("check") == "1 slot checked, 0 metrics off, 0 messages; open incidents: none"
    none = ("metrics off", "messages", "edits", "incidents", "open incidents")
    assert {name: facts[name, ""] for name in ("slots checked", *none)} == {
        "slots checked": 1,
        **dict.fromkeys(none, 0),
    }
    for name in counted.keys() & facts.keys():
        value, expected, deviation = (facts[f"{name[0]}{what}", ""] for what in ("", " expected", " deviation"))
        assert value == counted[name] and deviation == pytest.approx(value / expected - 1)
    remove(execute, book, "slot >= toDateTime('2026-11-14 10:45:00', 'Europe/Moscow') AND slot < toDateTime('2026-11-14 12:00:00', 'Europe/Moscow')")  # fmt: skip
    assert headline("collect") == "36 rows for 6 slots; missing: Feed users 3, Views 3, Likes 3, CTR 3"


# -- check


@pytest.mark.story
@pytest.mark.slow
def test_a_day_with_a_spike_and_a_day_with_an_outage_give_exactly_their_conversation(book):
    quiet = slots("2026-11-13T18:00", 64)[::4]  # of the night every hour
    for slot in slots("2026-11-13T14:30", 14) + quiet + slots("2026-11-14T10:00", 14):
        run("check", slot=slot, post=True)
    sent = on_the_page()
    opened, over, missing, back = (m["text"] for m in sent)
    assert re.match(
        r"🔴 <b>(Feed users|Views|Likes) \+1\d\d\.\d\xa0%</b> · critical\nFri 13 Nov, 15:30–15:45\n",
        opened,
    )
    assert "\n15:30–1" in over and "lasted" in over and "at 15:30" in over
    assert "\nSat 14 Nov, 11:00–11:15\n" in missing
    assert "11:00–11:45, lasted 45 min; data are back" in back
    assert not sent[0]["reply_to"] and not sent[2]["reply_to"]
    assert sent[0]["id"].startswith(sent[1]["reply_to"]) and sent[2]["id"].startswith(sent[3]["reply_to"])
    assert [len(m["photos"]) for m in sent] == [1, 0, 1, 0]


def change(execute, book: str, first: str, last: str, factor: str, metrics: str = "'feed_users', 'views', 'likes'"):
    """As if the slots from `first` up to, not including, `last` had been counted so."""
    execute(
        f"INSERT INTO {book} SELECT slot, metric, {factor}, base, collected + 1 FROM {book} FINAL WHERE metric IN ({metrics})"
        f" AND slot >= toDateTime('{first}:00', 'Europe/Moscow') AND slot < toDateTime('{last}:00', 'Europe/Moscow')"
    )


@pytest.mark.story
@pytest.mark.parametrize(("language", "says"), [("en", "Public holiday: "), ("ru", "Праздник: ")])
def test_a_public_holiday_is_named_and_on_a_known_day_what_is_known(language, says, book, configured, monkeypatch):
    """Montenegro's Njegoš Day is the 13th of November, Canterbury's anniversary a Friday in the middle of November."""
    configured(language=language, country="ME")
    run("check", slot=SPIKE, post=True, post_as="holiday")
    configured(country="FR")
    run("check", slot=SPIKE, post=True, post_as="working day")
    monkeypatch.setitem(KNOWN_DAYS, "2026-11-13", "a large campaign")
    configured(country="NZ-CAN")
    run("check", slot=SPIKE, post=True, post_as="known day")
    named, usual, known = (m["text"] for m in on_the_page())
    assert f"\n{says}Njegos Day" in named and says not in usual
    assert "\na large campaign" in known and says not in known


@pytest.mark.story
@pytest.mark.slow
def test_a_quiet_day_gives_no_message_and_a_fault_overnight_is_opened_repeated_once_and_resolved(book, execute):
    change(execute, book, "2026-11-12 21:00", "2026-11-13 02:30", "round(value * 0.2)")
    for slot in slots("2026-11-11T20:45", 96)[::4]:
        run("check", slot=slot, post=True)
    assert on_the_page() == []
    for slot in slots("2026-11-12T20:45", 34):
        run("check", slot=slot, post=True)
    opened, still, over = (m["text"] for m in on_the_page())
    first, when = opened.split("\n")[:2]
    assert re.search(r"−[78]\d\.\d\xa0%</b> · critical$", first)
    assert when == "Thu 12 Nov, 21:00–21:15"
    assert still.split("\n")[0].endswith("</b> · critical · still")
    assert still.split("\n")[1] == "Fri 13 Nov, 01:00–01:15, since 12 Nov 21:00"
    assert re.search(r"\n12 Nov 21:00–0(2:30|2:45|3:00), lasted (5 h 30 min|5 h 45 min|6 h); farthest ", over)


@pytest.mark.story
@pytest.mark.parametrize(
    ("language", "head", "says"),
    [
        ("en", "↪️ <b>Explained: ", r"\nA new level: .*Views −(4[5-9]|5[0-5])\.\d\xa0% since 12 Nov 1[12]:\d\d"),
        ("ru", "↪️ <b>Объяснено: ", r"\nНовый уровень: .*Просмотры −(4[5-9]|5[0-5]),\d\xa0% с 12 нояб. 1[12]:\d\d"),
    ],
)
def test_a_new_level_is_opened_and_ends_explained(language, head, says, book, execute, configured):
    configured(language=language)
    change(execute, book, "2026-11-12 12:00", "2026-11-13 12:00", "round(value * 0.5)")
    for slot in ("2026-11-12T11:45", "2026-11-12T12:15", "2026-11-13T00:15"):
        run("check", slot=slot, post=True)
    opened, over, *_ = on_the_page()  # of that evening there may be another one, of few senders
    assert "−" in opened["text"] and over["text"].startswith(head) and re.search(says, over["text"]), over["text"]
    assert opened["id"].startswith(over["reply_to"])


@pytest.mark.story
@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "edited", "over"),
    [
        ("en", r"<i>Edited 12:45: .*Views −\d\d\.\d\xa0% → −[89]\d\.\d\xa0%.*</i>\n", "✅ <b>Over: "),
        ("ru", r"<i>Изменено 12:45: .*Просмотры −\d\d,\d\xa0% → −[89]\d,\d\xa0%.*</i>\n", "✅ <b>Закончилось: "),
    ],
)
def test_what_grows_at_once_and_is_short_is_one_message_that_is_edited(
    language, edited, over, book, execute, configured, monkeypatch
):
    monkeypatch.setattr("pulsebook.catalogue.POLICY", Policy(critical=0.99))
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:30", "round(value * 0.5)")
    change(execute, book, "2026-11-12 12:30", "2026-11-12 12:45", "round(value * 0.12)")
    with bot_api() as bot:
        token = "123456789:AAF-a_secret-token_of-the-bot_01234"
        configured(language=language, telegram_token=token, telegram_chat_id="-42", telegram_api_url=bot.url)
        for slot in slots("2026-11-12T11:45", 7):
            for _ in range(2):
                run("check", slot=slot, post=True)
    (message,) = on_the_page()
    first, *others = (known["text"] for known in message["revisions"])
    assert "<i>" not in first and re.search(edited, others[-2]), others
    assert others[-1].startswith(over) and others[-1].endswith(f"\n\n{others[-2]}") and message["text"] == others[-1]
    assert [method for method, _ in bot.arrived] == ["sendPhoto"] and bot.shown == {100: message["text"]}


@pytest.mark.story
@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "back", "over"),
    [
        ("en", r"<i>Edited 14:15: it is back.*</i>\n", "✅ <b>Over: "),
        ("ru", r"<i>Изменено 14:15: снова началось.*</i>\n", "✅ <b>Закончилось: "),
    ],
)
def test_what_comes_back_soon_is_still_one_message_that_is_edited(
    language, back, over, book, execute, configured, monkeypatch
):
    monkeypatch.setattr("pulsebook.catalogue.POLICY", Policy(critical=0.99))
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:30", "round(value * 0.5)")
    change(execute, book, "2026-11-12 14:00", "2026-11-12 14:15", "round(value * 0.5)")
    with bot_api() as bot:
        token = "123456789:AAF-a_secret-token_of-the-bot_01234"
        configured(language=language, telegram_token=token, telegram_chat_id="-42", telegram_api_url=bot.url)
        for slot in slots("2026-11-12T11:45", 18):
            for _ in range(2):
                run("check", slot=slot, post=True)
    (message,) = on_the_page()
    texts = [known["text"] for known in message["revisions"]]
    ends = [at for at, text in enumerate(texts) if text.startswith(over)]
    again = next(at for at, text in enumerate(texts) if re.search(back, text))
    assert len(ends) == 2 and ends[0] < again < ends[1] == len(texts) - 1, texts
    assert texts[-1].endswith(f"\n\n{texts[-2]}") and re.search(back, texts[-2]) and message["text"] == texts[-1]
    assert [method for method, _ in bot.arrived] == ["sendPhoto"] and bot.shown == {100: message["text"]}


@pytest.mark.story
@pytest.mark.parametrize(
    ("language", "said", "back"),
    [
        ("en", "No data: Feed, Messenger</b>", "data are back"),
        ("ru", "Нет данных: Лента, Мессенджер</b>", "данные вернулись"),
    ],
)
def test_both_sources_without_data_are_one_message_that_names_them_and_ends_when_they_are_back(
    language, said, back, app, book, execute, configured
):
    configured(language=language)
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:30", "NULL", "'feed_users', 'views', 'likes', 'ctr', 'messenger_users', 'messages_sent'")  # fmt: skip
    for slot in slots("2026-11-12T11:45", 7):
        run("check", slot=slot, post=True)
    missing, over = (m["text"] for m in on_the_page())
    assert said in missing and back in over
    assert "\n12:00–12:30, " in over and "30 " in over


def test_events_that_come_late_end_what_they_had_caused(book, execute):
    whole = f"{book}_whole"
    execute(f"CREATE TABLE {whole} AS {book}")
    execute(f"INSERT INTO {whole} SELECT slot, metric, value, base, collected + 2 FROM {book} FINAL")
    run("check", slot="2026-11-12T11:45", post=True)
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:30", "round(value * 0.3)")
    for slot in slots("2026-11-12T12:00", 2):
        run("check", slot=slot, post=True)
    execute(f"INSERT INTO {book} SELECT * FROM {whole}")  # as collect does, once the events are there
    for slot in slots("2026-11-12T12:30", 4):
        run("check", slot=slot, post=True)
    opened, over = (m["text"] for m in on_the_page())
    assert "Thu 12 Nov, 12:00–12:15\n" in opened and "\n12:00–12:30, lasted 30 min" in over


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_numbers_of_a_message_equal_an_independent_computation(language, book, server, configured):
    configured(language=language)
    found = run("check", slot=SPIKE, post=True)
    ((_, message, *_),) = found["messages"]
    at = int(datetime.fromisoformat(SPIKE).replace(tzinfo=ZONE).timestamp())
    table = rows_of(server, f"SELECT toUnixTimestamp(slot) AS slot, metric, value FROM {book} FINAL").pivot(index="slot", columns="metric", values="value").astype(float)  # fmt: skip
    expected = found["verdicts"].set_index("metric")["expected"]
    labels = {"en": ("Feed users", "Views", "Likes"), "ru": ("Пользователи ленты", "Просмотры", "Лайки")}[language]

    def number(value, places=0):
        text = f"{value:,.{places}f}"
        return text if language == "en" else text.replace(",", "\xa0").replace(".", ",")

    def signed(now, before):
        return ("+" if now >= before else "−") + number(abs(now / before - 1) * 100, 1) + "\xa0%"

    shown = 0
    for metric, label in zip(("feed_users", "views", "likes"), labels, strict=True):
        now, yesterday, ago = (table.at[at - days * 86400, metric] for days in (0, 1, 7))
        words = ("expected", "yesterday", "a week ago") if language == "en" else ("ожидалось", "вчера", "неделю назад")
        for line in message.split("\n"):
            if line.startswith(f"{label}: "):
                shown += 1
                assert line.startswith(f"{label}: <b>{number(now)}</b>, {words[0]} {number(round(expected[metric]))} (")
                assert line.endswith(
                    f"): <b>{signed(now, expected[metric])}</b>; {words[1]} {signed(now, yesterday)}, {words[2]} {signed(now, ago)}"
                )
    assert shown >= 2


def test_by_hand_nothing_is_posted_and_no_state_is_kept(book, execute):
    found = run("check", slot=SPIKE)
    assert found["messages"] and on_the_page() == []
    assert execute(f"SELECT count() FROM {book.replace('slot_metrics', 'incidents')}") == "0\n"


def test_a_check_that_is_repeated_or_overtaken_posts_nothing_twice(book):
    for slot in (SPIKE, SPIKE, "2026-11-13T15:45", "2026-11-13T15:45"):
        run("check", slot=slot, post=True)
    assert len(on_the_page()) == 1


def test_a_slot_of_the_past_by_hand_is_shown_and_neither_told_nor_kept(book, execute, capsys):
    run("check", slot="2026-11-14T08:00", post=True)
    kept = execute(f"SELECT count() FROM {book.replace('slot_metrics', 'incidents')}")
    found = run("check", slot=SPIKE, post=True)
    assert found["messages"] and on_the_page() == [], "its anomaly is seen, and no news"
    assert "nothing was posted, and no state is kept" in capsys.readouterr().out
    assert execute(f"SELECT count() FROM {book.replace('slot_metrics', 'incidents')}") == kept
    assert "open incidents: none" in (run("check", slot="2026-11-14T08:15", post=True) and capsys.readouterr().out)


def test_after_hours_without_checks_what_is_over_comes_in_one_summary(book):
    run("check", slot="2026-11-13T13:00", post=True)
    run("check", slot="2026-11-13T19:00", post=True)
    (summary,) = on_the_page()
    assert summary["text"].startswith("<b>While no checks ran, over by now</b>\n✅ <b>Over: ")
    assert "\n15:30–1" in summary["text"]


def test_what_is_still_there_after_hours_without_checks_is_reported_as_opened(book):
    run("check", slot="2026-11-14T08:00", post=True)
    run("check", slot="2026-11-14T11:15", post=True)
    (opened,) = on_the_page()
    assert opened["text"].startswith("⚫ <b>No data: Feed") and "11:15–11:30, since 11:00" in opened["text"]


def test_a_slot_that_was_not_collected_fails_and_says_so(book, execute):
    remove(execute, book, "slot = toDateTime('2026-11-13 15:30:00', 'Europe/Moscow')")
    with pytest.raises(ValueError, match=r"has no rows for 2026-11-13T15:30:00\+03:00: run collect"):
        run("check", slot=SPIKE, post=True)


def test_the_slice_that_explains_a_drop_is_named(app, databases, execute, configured):
    source = databases[0]
    configured()
    for table in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{table} AS {app}.{table}")
        gone = (
            "AND NOT (os = 'iOS' AND time >= toDateTime('2026-11-12 18:00:00', 'Europe/Moscow'))"
            if table == "feed_actions"
            else ""
        )
        execute(
            f"INSERT INTO {source}.{table} SELECT * FROM {app}.{table} WHERE time < toDateTime('2026-11-12 18:30:00', 'Europe/Moscow') {gone}"
        )
    run("collect", slot="2026-11-12T18:00")
    ((_, message, *_),) = run("check", slot="2026-11-12T18:00")["messages"]
    assert "−3" in message.split("\n")[0] or "−4" in message.split("\n")[0]
    assert re.search(
        r"\nOS iOS: ([89]\d|100)\xa0% of the loss \(usually 3\d\xa0% of the volume\), (almost certain|likely)", message
    )


def test_quiet_hours_hold_back_what_is_not_critical(book):
    loud = run("check", slot="2026-11-13T15:30", quiet="15:00-16:00")
    assert len(loud["messages"]) == 1, "a rise of over 50 % is critical"
    assert run("check", slot="2026-11-13T15:30", quiet="23:00-08:00")["is_quiet"](datetime(2026, 1, 1, 3, 0))


@pytest.mark.slow
def test_a_kill_between_detection_and_delivery_loses_and_repeats_nothing(book, configured):
    with bot_api() as bot:
        configured(
            telegram_token="123456789:AAF-a_secret-token_of-the-bot_01234",
            telegram_chat_id="-42",
            telegram_api_url=bot.url,
        )
        bot.faults += ["429 60"]
        script = code("check", slot=SPIKE, post=True)
        process = forked.script(script)
        deadline = time.monotonic() + 60
        while not bot.requests:
            assert time.monotonic() < deadline and process.is_alive()
            time.sleep(0.05)
        time.sleep(0.5)
        process.kill()
        process.join()
        run("check", slot=SPIKE, post=True)
        run("check", slot="2026-11-13T15:45", post=True)
        assert len(bot.arrived) == 1 and "15:30–15:45" in bot.arrived[0][1]["caption"]


@pytest.mark.slow
def test_two_checks_at_the_same_time_post_once(book, configured):
    with bot_api() as bot:
        configured(
            telegram_token="123456789:AAF-a_secret-token_of-the-bot_01234",
            telegram_chat_id="-42",
            telegram_api_url=bot.url,
        )
        script = code("check", slot=SPIKE, post=True)
        processes = [forked.script(script) for _ in range(2)]
        assert [forked.exit_code(process, 120) for process in processes] == [0, 0]
        assert len(bot.arrived) == 1


def test_without_the_warehouse_collect_and_check_fail_clearly(book, configured):
    configured(clickhouse_url="http://127.0.0.1:1")
    for notebook in ("collect", "check"):
        with pytest.raises(RuntimeError, match="no connection"):
            run(notebook, slot=SPIKE)


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-11-13", "2026-11-13T15:20", str(date.today() + timedelta(days=2)) + "T10:00"]
)
def test_a_slot_that_is_none_is_refused(value, configured):
    from pulsebook.base.periods import PeriodError, run_slot

    if value == "2026-11-13":
        assert str(run_slot(value)) == "2026-11-13T00:00:00+03:00", "a day is its first slot"
    else:
        with pytest.raises(PeriodError, match="slot must"):
            run_slot(value)


# -- what was told, and what corrected slots say of it


def stated(execute, book: str) -> pd.DataFrame:
    """What alerts told: period, metric, value, message, key."""
    text = execute(
        f"SELECT period, metric, value, message, key FROM {book.replace('slot_metrics', 'reported')} FORMAT JSONEachRow"
    )
    return pd.DataFrame([json.loads(line) for line in text.splitlines()])


def test_what_an_alert_tells_is_stated_with_its_message_and_marks_no_day_as_corrected(book, execute, server):
    judged = [run("check", slot=SPIKE, post=True)["verdicts"].set_index("metric") for _ in range(2)][1]
    for slot in slots("2026-11-13T15:45", 3):
        run("check", slot=slot, post=True)
    told, (opened, over) = stated(execute, book), on_the_page()
    message = f"alerts/anomaly-{epoch(SPIKE)}/opened"
    assert {*told["message"]} == {message} and {*told["period"]} == {f"{SPIKE}:00+03:00"}
    first, last = (
        told[(told["key"] == message) == own].set_index("metric")["value"].astype(float) for own in (True, False)
    )
    off = [name for name in judged.index if f"\n{METRICS[name].en}: <b>" in opened["text"]]
    assert len(off) >= 2 and first.index.is_unique, "a check that is repeated states nothing anew"
    assert {*first.index} == {f"{name}{what}" for name in off for what in ("", " expected", " deviation")}
    values = rows_of(server, f"SELECT metric, value FROM {book} FINAL WHERE slot = toDateTime({epoch(SPIKE)})")
    values = values.set_index("metric")["value"].astype(float)
    for name in off:
        assert first[name] == values[name] and first[f"{name} expected"] == pytest.approx(judged.at[name, "expected"])
        assert first[f"{name} deviation"] == pytest.approx(values[name] / judged.at[name, "expected"] - 1)
    (farthest,) = last.index
    assert (
        last[farthest] == first[farthest] == max(first[f"{name} deviation"] for name in off)
        and " at 15:30" in over["text"]
    )
    day = run_day(SPIKE[:10])
    assert reported.corrected(day, day) == set() and len(reported.told(day, day)) == len(first)


def test_that_data_are_missing_is_stated_of_each_metric(book, execute):
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:15", "NULL", "'messenger_users', 'messages_sent'")
    run("check", slot="2026-11-12T12:00", post=True)
    told = stated(execute, book)
    assert {*told["key"]} == {f"alerts/missing-{epoch('2026-11-12T12:00')}/opened"}
    assert told["value"].isna().all() and {*told["period"]} == {"2026-11-12T12:00:00+03:00"}
    assert sorted(told["metric"]) == ["messages_sent", "messenger_users"]


def test_what_an_edit_tells_is_stated_with_the_message(book, execute, monkeypatch):
    monkeypatch.setattr("pulsebook.catalogue.POLICY", Policy(critical=0.99))
    change(execute, book, "2026-11-12 12:00", "2026-11-12 12:30", "round(value * 0.5)")
    change(execute, book, "2026-11-12 12:30", "2026-11-12 12:45", "round(value * 0.12)")
    for slot in slots("2026-11-12T11:45", 4):
        run("check", slot=slot, post=True)
    (message,) = on_the_page()
    assert len(message["revisions"]) == 2
    told = stated(execute, book)
    assert {*told["key"]} == {*told["message"]} == {f"alerts/anomaly-{epoch('2026-11-12T12:00')}/opened"}
    for slot, text in zip(("12:00", "12:30"), (known["text"] for known in message["revisions"]), strict=True):
        own = told[(told["period"] == f"2026-11-12T{slot}:00+03:00") & told["metric"].isin(METRICS)]
        assert {*own["metric"]} == {name for name in METRICS if f"\n{METRICS[name].en}: <b>" in text}
        assert all(f": <b>{value:,.0f}</b>, expected " in text for value in own["value"])


DIP, DAYS = "2026-11-12T12:00", ("2026-11-12", "2026-11-13")


class Killed(BaseException):
    """A process has ended in the middle of its work."""


def killed_after(done):
    """A call after which its process ends."""

    def call(*given, **how):
        done(*given, **how)
        raise Killed

    return call


def go_by() -> None:
    """Checks of both days, around what there is to find."""
    for slot in (*slots("2026-11-12T11:45", 9), "2026-11-13T15:15", SPIKE):
        run("check", slot=slot, post=True, most_slots=1)


def load(*days: str) -> None:
    """What `etl` does of a day that is loaded again, as far as slots are concerned."""
    fill_days(Warehouse.source(), Warehouse.target(), [run_day(day) for day in days])


def recheck() -> dict[str, bool]:
    """What is noted just now: incidents, and whether the corrected slots would raise them."""
    found = run("recheck", run_date="2026-11-14", days=2)
    return {incident.id: would_be for incident, would_be in found["noted"]}


@pytest.fixture
def corrected_days(app, book, execute, databases, configured):
    """Checks went by two days whose slots were not what the source holds now: a dip that was none, and a spike that was not
    seen. Returns the ids of the incidents that checks of the slots as the source holds them raise."""
    right = f"{databases[1]}_right"
    execute(f"CREATE DATABASE {right}")
    execute(f"CREATE TABLE {right}.slot_metrics AS {BOOK}.slot_metrics")
    execute(f"INSERT INTO {right}.slot_metrics SELECT * FROM {BOOK}.slot_metrics")
    outputs = settings().outputs
    configured(target_database=right, outputs=outputs / "right")
    go_by()
    raised = execute(
        f"SELECT DISTINCT incident FROM {right}.incidents WHERE incident LIKE '%-%' ORDER BY incident"
    ).split()
    configured(target_database=databases[1], outputs=outputs)
    change(execute, book, "2026-11-12 12:00", "2026-11-12 13:00", "round(value * 0.4)")
    change(execute, book, "2026-11-13 15:30", "2026-11-13 15:45", "round(value * 0.5)")
    go_by()
    yield raised
    execute(f"DROP DATABASE {right}")


def text_of(execute, table: str, columns: str) -> str:
    return execute(f"SELECT {columns} FROM {table} FINAL ORDER BY slot, metric")


@pytest.mark.slow
def test_corrected_slots_note_in_its_incident_what_they_would_not_have_raised_or_would_have(
    corrected_days, book, execute, configured
):
    incidents = book.replace("slot_metrics", "incidents")
    told, before = on_the_page(), text_of(execute, book, "slot, metric, value, base")
    assert recheck() == {} and text_of(execute, book, "slot, metric, value, base") == before, "no day was loaded"
    load(*DAYS)
    noted = recheck()
    assert noted == {f"anomaly-{epoch(DIP)}": False, f"anomaly-{epoch(SPIKE)}": True}
    raised = {*execute(f"SELECT DISTINCT incident FROM {incidents} WHERE status = 'opened'").split()}
    assert (raised - {name for name in noted if not noted[name]}) | {name for name in noted if noted[name]} == {
        *corrected_days
    }
    assert text_of(execute, book, "slot, metric, value, base") == text_of(
        execute, f"{BOOK}.slot_metrics", "slot, metric, value, base"
    )
    rows = execute(
        f"SELECT incident, toInt64(toUInt32(opened)), status FROM {incidents} WHERE status LIKE 'would%' ORDER BY opened"
    )
    assert rows.splitlines() == [
        f"anomaly-{epoch(DIP)}\t{epoch(DIP)}\twould not be raised", f"anomaly-{epoch(SPIKE)}\t{epoch(SPIKE)}\twould be raised",
    ]  # fmt: skip
    assert on_the_page() == told, "nobody is told"
    count = execute(f"SELECT count() FROM {incidents}")
    load(*DAYS)
    assert recheck() == {} and execute(f"SELECT count() FROM {incidents}") == count, "a second time nothing is noted"
    assert run("check", slot="2026-11-14T00:00", post=True)["incidents"] == [], "what was noted is not open"


@pytest.mark.slow
def test_a_recheck_that_is_killed_at_any_place_notes_once(corrected_days, book, execute, monkeypatch):
    load(*DAYS)
    for place in (
        (Store, "note"),
        (Warehouse, "write"),
        (Store, "recount"),
    ):  # each goes on where the one before was killed
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(*place, killed_after(getattr(*place)))
            recheck()
    for _ in range(2):
        recheck()
    incidents = book.replace("slot_metrics", "incidents")
    rows = execute(f"SELECT incident, status FROM {incidents} WHERE status LIKE 'would%' ORDER BY opened")
    assert rows.splitlines() == [
        f"anomaly-{epoch(DIP)}\twould not be raised", f"anomaly-{epoch(SPIKE)}\twould be raised",
    ]  # fmt: skip
    assert text_of(execute, book, "slot, metric, value") == text_of(
        execute, f"{BOOK}.slot_metrics", "slot, metric, value"
    )


def test_slots_of_a_day_that_the_source_does_not_hold_as_it_was_loaded_are_left(
    app, book, execute, databases, configured, capsys
):
    load(*DAYS)
    source = databases[0]
    for table in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{table} AS {app}.{table}")
        kept = f"toDate(time, 'Europe/Moscow') = '{DAYS[1]}'"
        execute(f"INSERT INTO {source}.{table} SELECT * FROM {app}.{table} WHERE {kept}")
    configured(source_database=source)
    of_day = f"SELECT * FROM {book} FINAL WHERE toDate(slot, 'Europe/Moscow') = '{DAYS[0]}' ORDER BY slot, metric"
    before = execute(of_day)
    found = run("recheck", run_date="2026-11-14", days=2)
    assert [*map(str, found["changed"])] == [*DAYS] and [*map(str, found["counted"])] == [DAYS[1]]
    assert f"{DAYS[0]}: the source does not hold what was loaded: " in capsys.readouterr().out
    assert execute(of_day) == before
    assert [*map(str, run("recheck", run_date="2026-11-14", days=2)["changed"])] == [DAYS[0]], "it is looked at again"


# -- backtest


def test_a_backtest_shows_what_two_settings_would_have_reported(book):
    found = run("backtest", first_day="2026-11-12", last_day="2026-11-15", sensitivity=1.0, other_sensitivity=0.3)
    told, fewer = (told for _, told in found["settings_tried"].values())
    opened = told[told["what"] == "opened"]
    assert [f"{at:%Y-%m-%dT%H:%M}" for at in opened["slot"]] == [SPIKE, OUTAGE]
    assert len(fewer) < len(told) and f"{OUTAGE}:00+03:00" in {at.isoformat() for at in fewer["slot"]}
    before, alarms = -5, 0
    for at, off in enumerate(found["verdicts"].query("metric == 'views'")["anomaly"]):
        if off:
            alarms, before = alarms + (at - before > 4), at
    assert found["tried"].at["views", 1.0] == alarms == 2 and (found["factors"] == 1.2).all()
    live = run("check", slot=SPIKE)["verdicts"]
    replayed = found["verdicts"][found["verdicts"]["slot"] == pd.Timestamp(SPIKE, tz=ZONE)]
    pd.testing.assert_frame_equal(live, replayed.drop(columns="slot").reset_index(drop=True), rtol=1e-9)


@pytest.mark.story
def test_a_backtest_suggests_holidays_as_known_days_with_the_alarms_they_raised(book, configured, monkeypatch):
    configured(country="NZ-CAN")
    monkeypatch.setitem(KNOWN_DAYS, "2026-12-25", "Christmas")
    found = run("backtest", first_day="2026-11-13", last_day="2026-11-13", pictures=0)
    lines = found["suggested"].set_index("line")["alarms"].to_dict()
    off = found["verdicts"].pivot(index="slot", columns="metric", values="anomaly")
    begun = sum(int((column & ~column.shift(fill_value=False)).sum()) for _, column in off.items())
    assert lines.pop('"2026-11-13": "Canterbury Anniversary Day",') == begun > 0
    ahead = ['"2026-12-26": "Boxing Day",', '"2026-12-28": "Boxing Day (observed)",', '"2027-01-01": "New Year\'s Day",',
             '"2027-01-02": "Day after New Year\'s Day",', '"2027-01-04": "Day after New Year\'s Day (observed)",']  # fmt: skip
    assert lines == {'"2026-10-26": "Labour Day",': 0, **dict.fromkeys(ahead, "")}, "Christmas is known"
    configured(country="")
    assert run("backtest", first_day="2026-11-13", last_day="2026-11-13", pictures=0)["suggested"].empty


def test_a_backtest_of_an_unknown_period_says_what_to_do(book):
    with pytest.raises(ValueError, match="run collect with history_days large enough"):
        run("backtest", first_day="2025-01-01", last_day="2025-01-02")
    with pytest.raises(ValueError, match="first_day must not be after last_day"):
        run("backtest", first_day="2026-11-15", last_day="2026-11-12")


@pytest.mark.story
@pytest.mark.slow
def test_a_flash_mob_is_one_rise_and_the_quiet_days_before_give_no_message(server, configured, databases):
    sample.fill(sample.http(server), 78, 1500, 3, UNTIL, "Europe/Moscow", databases[0])
    configured()
    run("collect", slot="2026-10-03T23:45", history_days=36)
    found = run("backtest", first_day="2026-09-30", last_day="2026-10-03", other_sensitivity=1.0)
    told = found["told"]
    assert [f"{at:%m-%d}" for at in told["slot"].head(1)] == ["10-02"], "the mob begins on this day, 45 before the last"
    assert told["what"].iloc[0] == "opened" and told["incident"].nunique() == 1
    assert {"views", "likes", "feed_users"} <= set(told["metrics"].iloc[-1].split(", ")) and "+" in told[
        "farthest"
    ].iloc[-1]
    assert set(told["what"].iloc[1:]) <= {"still", "worse", "spread", "more", "resolved"} and (~told["edit"]).sum() <= 8


def test_the_record_of_a_check_says_how_many_incidents_it_raised(book):
    raised = []
    for slot in ("2026-11-13T15:15", SPIKE):
        folder = folder_of(settings().outputs, "alerts", slot, "by-hand")
        raised.append(runner.run(ROOT / "notebooks/alerts/check.ipynb", {"slot": slot}, folder).incidents)
    assert raised == [0, 1]
