"""Edits: a message gets another text, and nothing else arrives, whatever happens on the way."""

import itertools
import json

import pytest

from pulsebook import chat
from pulsebook.base.settings import settings
from pulsebook.chat import page, telegram
from pulsebook.chat.ledger import COLUMNS, Ledger
from tests.test_chat import LONG, bot, methods, on_the_page, picture  # noqa: F401


def edits(bot) -> list[str]:  # noqa: F811
    return [method for method, _ in bot.edits]


@pytest.mark.parametrize(
    ("text", "photos", "method"),
    [("first", 0, "editMessageText"), ("first", 1, "editMessageCaption"), ("first", 2, "editMessageCaption"), (LONG, 1, "editMessageText")],
)  # fmt: skip
def test_a_text_and_a_caption_are_edited_where_they_stand_once_per_revision(text, photos, method, bot):  # noqa: F811
    sent = chat.post("k", text, [picture()] * photos)
    first, again = (chat.edit("k", "<b>second</b>", 1) for _ in range(2))
    assert (first.sent_now, again.sent_now) == (1, 0) and first.message_ids == again.message_ids == sent.message_ids[:1]
    ((made, fields),) = bot.edits
    assert (made, fields["chat_id"], fields["parse_mode"]) == (method, "-42", "HTML")
    assert bot.shown[sent.message_ids[0]] == "<b>second</b>" and len(bot.arrived) == (2 if text == LONG else 1)
    assert chat.edit("k", "third", 3).sent_now == 1
    assert chat.edit("k", "second", 2).sent_now == 0, "what is older does not undo what is newer"
    assert bot.shown[sent.message_ids[0]] == "third"


def test_an_edit_that_keeps_has_the_text_before_below_it_however_often_it_is_made(bot):  # noqa: F811
    chat.post("k", "first", [picture()])
    chat.edit("k", "second", 1)
    for _ in range(2):
        chat.edit("k", "over", 2, keep=True)
    assert bot.shown[100] == "over\n\nsecond"
    page.edit("team k pictures 1", chat="team", text="over\n\nsecond", revision=2)
    assert page.text_before("team k pictures 1", 2) == "second"


def test_what_is_too_long_for_a_caption_is_cut_at_a_line_end(bot):  # noqa: F811
    chat.post("k", "first", [picture()])
    chat.edit("k", f"<b>{LONG}</b>", 1)
    shown = bot.shown[100]
    assert 1000 < chat.markup.length(shown) <= 1024 and shown.endswith("line</b>\n…")


@pytest.mark.parametrize(
    "fault",
    ["stall", "reset", "garbage", "two lengths", "broken off", "no message", "page 504", "429", "500", "page 503"],
)
def test_an_edit_without_an_answer_is_repeated(fault, bot):  # noqa: F811
    chat.post("k", "first")
    bot.faults += [fault]
    assert chat.edit("k", "second", 1).sent_now == 1
    assert bot.shown == {100: "second"} and len(bot.edits) == 1 and bot.requests == 3


def test_an_edit_without_any_answer_is_repeated_by_the_next_run(bot, monkeypatch):  # noqa: F811
    monkeypatch.setattr(telegram, "BUDGET", 0.1)
    chat.post("k", "first")
    bot.faults += ["reset"] * 9
    with pytest.raises(chat.Undelivered, match="connection broke after editMessageText.*given up"):
        chat.edit("k", "second", 1)
    bot.faults.clear()
    assert chat.edit("k", "second", 1).sent_now == 1 and bot.shown == {100: "second"} and len(bot.edits) == 1


@pytest.mark.parametrize("fault", ["gone", "old", "migrate"])
def test_where_it_cannot_be_edited_any_more_a_reply_says_it_once_and_is_edited_from_then_on(fault, bot):  # noqa: F811
    chat.post("k", "first", [picture()])
    bot.faults += [fault]
    for _ in range(2):
        chat.edit("k", "second", 1)
    assert [m for m, _ in bot.arrived] == ["sendPhoto", "sendMessage"] and bot.arrived[1][1]["text"] == "second"
    assert json.loads(bot.arrived[1][1]["reply_parameters"])["message_id"] == 100
    chat.edit("k", "third", 2)
    assert bot.shown == {100: "first", 200: "third"}
    bot.faults += ["gone"]
    chat.edit("k", "fourth", 3)
    assert len(bot.arrived) == 2, "never another one"
    assert [m["text"] for m in on_the_page()] == ["first", "third"]


def test_what_was_not_sent_here_or_may_not_have_arrived_gets_a_reply(bot, configured):  # noqa: F811
    chat.edit("never", "text", 1)
    assert methods(bot) == ["sendMessage"] and "reply_parameters" not in bot.arrived[0][1]
    bot.faults += ["stall"]
    with pytest.raises(chat.Uncertain):
        chat.post("k", "first")
    chat.edit("k", "second", 1)
    assert [f["text"] for _, f in bot.arrived] == ["text", "first", "second"] and not bot.edits
    configured(telegram_chat_id="-43")
    chat.post("here", "one")
    configured(telegram_chat_id="-44")
    chat.edit("here", "two", 1)
    assert bot.arrived[-1][1]["chat_id"] == "-44" and not bot.edits, "ids of another chat are other messages"


def test_ids_of_before_a_move_are_never_edited(bot, configured):  # noqa: F811
    chat.post("k", "first")
    bot.faults += ["migrate"]
    chat.post("other", "text")  # the chat is a supergroup from now on
    configured(telegram_chat_id="-100500")
    chat.edit("k", "second", 1)
    assert not bot.edits and [f["text"] for _, f in bot.arrived] == ["first", "text", "second"]


@pytest.mark.parametrize("fault", ["401", "403", "400"])
def test_a_refused_edit_fails_and_can_be_repaired(fault, bot):  # noqa: F811
    chat.post("k", "first")
    bot.faults += [fault]
    with pytest.raises(chat.Refused, match=f"refused editMessageText: {fault}"):
        chat.edit("k", "second", 1)
    assert chat.edit("k", "second", 1).sent_now == 1 and bot.shown == {100: "second"} and len(bot.arrived) == 1


def test_what_telegram_would_refuse_is_refused_before(bot):  # noqa: F811
    chat.post("k", "first")
    with pytest.raises(ValueError, match="Telegram takes no"):
        chat.edit("k", "a < b", 1)
    assert not bot.edits


class Killed(BaseException):
    """The process ends here."""


def killed_after(monkeypatch, step: int) -> None:
    """The process ends after one of its writes: a row of the ledger, a request to Telegram, a change of the page."""
    steps = itertools.count(1)

    def watched(function):
        def call(*given, **named):
            result = function(*given, **named)
            if next(steps) == step:
                raise Killed
            return result

        return call

    for owner, name in ((Ledger, "_add"), (telegram.Telegram, "_post"), (page.files, "change")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))


@pytest.mark.parametrize(("is_gone", "writes"), [(False, 5), (True, 8)])
def test_wherever_it_is_killed_the_next_run_repairs_it_and_nothing_is_sent_twice(is_gone, writes, bot, monkeypatch):  # noqa: F811
    monkeypatch.setattr("pulsebook.chat.ledger.ABANDONED", -1)
    for step in range(1, writes + 2):
        key, before = f"k{step}", len(bot.arrived)
        (id,) = chat.post(key, "first", [picture()]).message_ids
        if is_gone:
            del bot.shown[id]
        with monkeypatch.context() as patch:
            killed_after(patch, step)
            if step <= writes:
                with pytest.raises(Killed):
                    chat.edit(key, "second", 1, keep=True)
            else:
                chat.edit(key, "second", 1, keep=True)
        try:
            chat.edit(key, "second", 1, keep=True)
        except chat.Uncertain:
            assert is_gone and step in (3, 4), "the reply was claimed, or sent and not noted"
        assert len(bot.arrived) - before == (1 if not is_gone or step == 3 else 2)
        if not is_gone:
            assert bot.shown[id] == "second\n\nfirst" == on_the_page()[-1]["text"]
            assert [known["revision"] for known in on_the_page()[-1]["revisions"]] == [0, 1]


def test_a_ledger_of_before_gets_its_column_and_its_messages_can_be_edited(bot, execute):  # noqa: F811
    table = f"{settings().target_database}.chat_messages"
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items() if name != "revision")
    chat.post("k", "first")
    execute(f"DROP TABLE {table}")
    execute(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (key, part, at)")
    execute(f"INSERT INTO {table} SELECT now(), 'k', 'text 1', '-42', 'c', 'sent', '100', 'first', '', ''")
    assert chat.edit("k", "second", 7).sent_now == 1 and chat.post("k", "first").sent_now == 0
    assert bot.shown == {100: "second"}
    rows = execute(f"SELECT part, status, revision FROM {table} ORDER BY part, status FORMAT TSV")
    assert rows == "edit\tsending\t7\nedit\tsent\t7\ntext 1\tsent\t\\N\n"


def test_without_a_token_the_page_shows_the_last_text_when_it_came_and_what_was_before(configured):
    configured(language="ru")
    chat.post("k", "first <b>text</b>", [picture()])
    chat.post("k2", "answer", reply_to="k")
    for revision in (1, 2, 2):
        chat.edit("k", f"text {revision}", revision)
    first, answer = on_the_page()
    assert first["text"] == "text 2" and len(first["photos"]) == 1 and answer["text"] == "answer"
    assert [(r["revision"], r["text"]) for r in first["revisions"]] == [(0, "first <b>text</b>"), (1, "text 1"), (2, "text 2")]  # fmt: skip
    html = (settings().outputs / "chat" / "index.html").read_text()
    assert html.count("<article") == 2 and '<div class="text">text 2</div>' in html and "<summary>изменено " in html
    assert html.index("first <b>text</b>") < html.index("<div>text 1</div>") and html.count("<details>") == 1
    configured(language="en")
    chat.edit("k", "text 3", 3)
    assert "<summary>edited " in (settings().outputs / "chat" / "index.html").read_text()
