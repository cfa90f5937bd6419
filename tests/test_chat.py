"""Delivery: what arrives at the chat, counted, whatever happens on the way."""

import base64
import io
import json
import logging
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from PIL import Image

from pulsebook import chat
from pulsebook.base.settings import ROOT, SettingsError, settings
from pulsebook.chat import markup, page, telegram
from pulsebook.warehouse import WarehouseError
from tests.bot_api import bot_api
from tests.conftest import PASSWORD, USER

TOKEN = "123456789:AAF-a_secret-token_of-the-bot_01234"
LONG = "line\n" * 400  # too long for a caption: goes as a message of its own


def picture(width=60, height=40, color="teal", noise=False) -> bytes:
    image = Image.effect_noise((width, height), 90) if noise else Image.new("RGB", (width, height), color)
    image.save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


@pytest.fixture
def bot(configured, monkeypatch):
    """A bot server that the chat points at; waits are short."""
    monkeypatch.setattr(telegram, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(telegram, "ANSWER_TIMEOUT", 0.5)
    with bot_api() as server:
        configured(telegram_token=TOKEN, telegram_chat_id="-42", telegram_api_url=server.url)
        yield server


def texts(bot) -> list[str]:
    return [fields.get("text") or fields.get("caption") or "" for _, fields in bot.arrived]


def methods(bot) -> list[str]:
    return [method for method, _ in bot.arrived]


def on_the_page() -> list[dict]:
    return page.read(settings().outputs / "chat")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- what arrives


def test_a_message_arrives_once_whatever_is_repeated(bot):
    first = chat.post("report/2026-11-22", "<b>Hello</b>", [picture()])
    again = chat.post("report/2026-11-22", "<b>Hello</b>", [picture()])
    assert (first.sent_now, again.sent_now) == (1, 0) and first.message_ids == again.message_ids
    ((method, fields),) = bot.arrived
    assert method == "sendPhoto" and fields["caption"] == "<b>Hello</b>" and fields["parse_mode"] == "HTML"
    assert fields["chat_id"] == "-42" and fields["photo"].startswith(b"\x89PNG")


def test_resend_sends_once_more_for_each_word(bot):
    for word in ("", "a", "a", "b", ""):
        chat.post("k", "text", resend=word)
    assert texts(bot) == ["text"] * 3


@pytest.mark.parametrize(
    ("faults", "requests"),
    [(["429"], 2), (["429 0.3", "429 0"], 3), (["500"], 2), (["500", "500", "429"], 4), (["migrate"], 2), (["migrate", "500"], 3),
     (["page 502", "page 503"], 3), (["page 429", "page 500"], 3),
     (['{"ok": false, "error_code": 429, "parameters": {"retry_after": -5}}'], 2),
     (['{"ok": false, "error_code": 429, "parameters": [1]}'], 2)],
    ids=str,
)  # fmt: skip
def test_what_did_not_arrive_is_tried_again(faults, requests, bot):
    bot.faults += faults
    assert chat.post("k", "text").sent_now == 1
    assert (len(bot.arrived), bot.requests) == (1, requests)
    assert bot.arrived[0][1]["chat_id"] == ("-100500" if "migrate" in faults else "-42")


def test_the_wait_that_telegram_asks_for_is_kept(bot):
    bot.faults += ["429 0.7"]
    started = time.monotonic()
    chat.post("k", "text")
    assert time.monotonic() - started >= 0.7


@pytest.mark.parametrize(
    ("code", "says"), [("400", "can't parse entities"), ("401", "Unauthorized"), ("403", "bot was kicked")]
)
def test_a_refusal_fails_at_once_with_telegrams_words_and_can_be_repaired(code, says, bot):
    bot.faults += [code]
    with pytest.raises(chat.Refused, match=f"{code} .*{says}"):
        chat.post("k", "text")
    assert (len(bot.arrived), bot.requests) == (0, 1)
    assert chat.post("k", "text").sent_now == 1, "what was refused was not sent: it may be sent again"


@pytest.mark.parametrize(
    "fault",
    [
        "stall",
        "reset",
        "garbage",
        "two lengths",
        "broken off",
        "no message",
        "page 504",
        "moved",
        '{"ok": true, "result": {"message_id": null}}',
        '{"ok": true, "result": []}',
    ],
)
def test_what_may_have_arrived_is_not_sent_again_by_itself(fault, bot):
    bot.faults += [fault]
    for _ in range(3):
        with pytest.raises(chat.Uncertain, match="not known whether k arrived.*part text 1.*Run with resend"):
            chat.post("k", "text")
    assert bot.requests == 1
    assert [m["note"] for m in on_the_page()] == ["may not have arrived"]
    assert chat.post("k", "text", resend="yes").sent_now == 1 and bot.requests == 2


def test_a_proxys_refusal_fails_at_once_and_can_be_repaired(bot):
    bot.faults += ["page 403"]
    with pytest.raises(chat.Refused, match="status 403 and no word of Telegram: is PULSEBOOK_TELEGRAM_API_URL right"):
        chat.post("k", "text")
    assert chat.post("k", "text").sent_now == 1


def test_a_ledger_with_an_id_that_is_none_goes_on_as_uncertain_or_sent(bot):
    """Rows as they were written before ids were checked."""
    from pulsebook.chat.ledger import Ledger, Part

    ledger, part = Ledger(), Part("k", "text 1", "-42", "text")
    ledger.close(part, "token", "sent", [None])
    assert chat.post("k", "text").sent_now == 0 and not bot.arrived
    assert ledger.first_message("k", "-42") is None


def test_no_connection_is_tried_again_until_the_budget_is_spent(bot, configured, monkeypatch):
    port = free_port()
    configured(telegram_api_url=f"http://127.0.0.1:{port}")
    monkeypatch.setattr(telegram, "BUDGET", 1.0)
    started = time.monotonic()
    with pytest.raises(chat.Undelivered, match="no connection"):
        chat.post("k", "text")
    assert time.monotonic() - started < 15
    monkeypatch.setattr(telegram, "BUDGET", 20.0)
    late = []

    def start():
        with bot_api(port) as server:
            late.append(server)
            wait_for(lambda: server.arrived)
            time.sleep(0.3)  # for a second one, if it came

    timer = threading.Timer(0.4, start)
    timer.start()
    assert chat.post("k", "text").sent_now == 1
    timer.join()
    assert len(late[0].arrived) == 1


def test_a_long_wait_beyond_the_budget_is_not_waited_for(bot):
    bot.faults += ["429 500"]
    with pytest.raises(chat.Undelivered, match="retry after 500; given up"):
        chat.post("k", "text")
    assert chat.post("k", "text").sent_now == 1 and len(bot.arrived) == 1, "a later run sends it"


@pytest.mark.parametrize("fault", ["429 0.3", "500"])
def test_all_waits_together_keep_within_the_budget(fault, bot, monkeypatch):
    monkeypatch.setattr(telegram, "BUDGET", 1.0)
    bot.faults += [fault] * 50
    started = time.monotonic()
    with pytest.raises(chat.Undelivered, match="given up"):
        chat.post("k", "text", [picture()])
    assert time.monotonic() - started < 6 and 1 < bot.requests < 8 and not bot.arrived


def test_time_before_the_first_attempt_does_not_count(bot, monkeypatch):
    """Another process may have been sending the same message for minutes."""
    monkeypatch.setattr(telegram, "BUDGET", 0.5)
    ours = telegram.Telegram(settings())
    time.sleep(0.6)
    bot.faults += ["500"]
    with pytest.raises(telegram.TryLater) as caught:
        ours.call("sendMessage", {"chat_id": "-42", "text": "text"})
    ours.pause(caught.value)
    assert ours.call("sendMessage", {"chat_id": "-42", "text": "text"}) == [100]


def test_only_a_certificate_that_is_not_trusted_proves_that_nothing_was_sent(bot, configured, monkeypatch, tmp_path):
    certificate = tmp_path / "own.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    parts = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"]
    subprocess.run([*make.split(), *parts], check=True, capture_output=True)
    certificate.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    monkeypatch.setattr(telegram, "BUDGET", 0.3)
    with bot_api(certificate=certificate) as secure:
        configured(telegram_api_url=secure.url)
        with pytest.raises(chat.Undelivered, match="no connection.*SSLError"):
            chat.post("k", "text")
        assert secure.requests == 0
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert"))
        secure.faults += ["broken TLS"]
        with pytest.raises(chat.Uncertain, match="connection broke"):
            chat.post("k", "text")
        assert len(secure.arrived) == 1
        assert chat.post("k2", "text").sent_now == 1


def test_an_address_that_is_none_is_refused_at_once(bot, configured):
    configured(telegram_api_url="http://")
    with pytest.raises(chat.Refused, match="PULSEBOOK_TELEGRAM_API_URL"):
        chat.post("k", "text")


def test_a_group_that_became_a_supergroup_is_the_same_chat_afterwards(bot, configured):
    for key in ("monday", "tuesday"):
        bot.faults += ["ok"] if key == "monday" else ["migrate"]
        chat.post(key, LONG, [picture()])
    configured(telegram_chat_id="-100500")
    for key in ("monday", "tuesday"):
        assert chat.post(key, LONG, [picture()]).sent_now == 0
    chat.post("wednesday", "text", reply_to="monday")
    assert [f["chat_id"] for _, f in bot.arrived] == ["-42"] * 2 + ["-100500"] * 3
    assert json.loads(bot.arrived[-1][1]["reply_parameters"])["message_id"] == 100


def test_a_half_sent_report_continues_where_it_stopped(bot):
    text, photos = LONG, [picture(), picture(color="red")]
    bot.faults += ["ok", "403"]
    with pytest.raises(chat.Refused):
        chat.post("k", text, photos)
    assert methods(bot) == ["sendMessage"]
    delivery = chat.post("k", text, photos)
    assert (delivery.parts, delivery.sent_now) == (2, 1)
    assert methods(bot) == ["sendMessage", "sendMediaGroup"]


@pytest.mark.parametrize("fault", ["stall", "reset"])
def test_a_text_that_may_have_arrived_does_not_hold_up_its_pictures(fault, bot):
    bot.faults += [fault]
    for _ in range(2):
        with pytest.raises(chat.Uncertain, match="part text 1"):
            chat.post("k", LONG, [picture()])
    assert methods(bot) == ["sendMessage", "sendPhoto"]
    assert [m["note"] for m in on_the_page()] == ["may not have arrived", ""], "in the order in which they were sent"


@pytest.mark.parametrize(("before", "after"), [("short", LONG), (LONG, "short"), (LONG, ""), ("", LONG), ("", "short")])
def test_a_rerun_with_another_text_posts_nothing_again(before, after, bot):
    chat.post("k", before, [picture()] * 2)
    arrived = methods(bot)
    again = chat.post("k", after, [picture()])
    assert methods(bot) == arrived and again.sent_now == 0


def test_a_half_sent_report_continues_though_its_text_is_shorter_now(bot):
    bot.faults += ["ok", "403"]
    with pytest.raises(chat.Refused):
        chat.post("k", LONG, [picture()])
    chat.post("k", "short", [picture()])
    assert methods(bot) == ["sendMessage", "sendPhoto"] and "caption" not in bot.arrived[1][1]


def test_an_answer_refers_to_the_first_message_of_another_key(bot):
    first = chat.post("incident/1", "opened", [picture()])
    chat.post("incident/1/resolved", "over", reply_to="incident/1")
    assert json.loads(bot.arrived[1][1]["reply_parameters"])["message_id"] == first.message_ids[0]
    chat.post("k", "text", reply_to="never sent")
    assert "reply_parameters" not in bot.arrived[2][1]
    long = chat.post("long", LONG, [picture()])
    chat.post("to the long one", LONG, [picture()], reply_to="long")
    assert json.loads(bot.arrived[5][1]["reply_parameters"])["message_id"] == long.message_ids[0]
    assert "reply_parameters" not in bot.arrived[6][1], "one part of an answer refers to it"


def test_operations_have_a_chat_of_their_own_and_the_team_its_topic(bot, configured):
    configured(telegram_ops_chat_id="-7", telegram_thread_id=5)
    chat.post("k", "text")
    chat.post("k", "text", to="operations")
    configured(telegram_ops_chat_id="")
    chat.post("k2", "text", to="operations")
    assert [(f["chat_id"], f.get("message_thread_id")) for _, f in bot.arrived] == [
        ("-42", "5"), ("-7", None), ("-42", "5")
    ]  # fmt: skip
    assert [m["chat"] for m in on_the_page()] == ["team", "operations", "operations"], "one key in two chats is two"
    with pytest.raises(ValueError, match="team or operations, got 'ops'"):
        chat.post("k", "text", to="ops")


def test_operations_hear_it_once_even_while_the_warehouse_is_down(bot, configured):
    configured(clickhouse_url="http://127.0.0.1:1")
    for _ in range(2):
        chat.post("failure/x", "the warehouse is down", to="operations")
    chat.post("failure/y", LONG, [picture()], to="operations", reply_to="failure/x")
    chat.post("failure/y", LONG, [picture()], to="operations")
    assert methods(bot) == ["sendMessage", "sendMessage", "sendPhoto"]
    bot.faults += ["reset"]
    with pytest.raises(chat.Uncertain):
        chat.post("failure/z", "text", to="operations")
    chat.post("failure/z", "text", to="operations")
    assert len(bot.arrived) == 4
    with pytest.raises(WarehouseError, match="no connection"):
        chat.post("k", "text")


EMULATOR = """
const TelegramServer = require('telegram-test-api');
const server = new TelegramServer({ port: Number(process.argv[1]), host: '127.0.0.1' });
server.start().then(() => console.log('ready'));
process.stdin.on('data', () => console.log(JSON.stringify(server.storage.botMessages)));
process.stdin.on('end', () => process.exit());
"""


@pytest.mark.story
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="needs node and npm")
def test_a_bot_server_that_nobody_here_wrote_takes_the_messages(configured):
    """telegram-test-api emulates the Bot API (texts only)."""
    folder = ROOT / ".local" / "telegram-test-api"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            folder,
            "telegram-test-api@4.2.1",
        ]
        subprocess.run(install, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["node", "-e", EMULATOR, str(port)], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert server.stdout.readline() == "ready\n"
        configured(telegram_token=TOKEN, telegram_chat_id="-42", telegram_api_url=f"http://127.0.0.1:{port}")
        for _ in range(2):
            assert chat.post("k", "<b>a &amp; b</b> 🎉\n" * 500).parts == 2
        server.stdin.write("\n")
        server.stdin.flush()
        arrived = [m["message"] for m in json.loads(server.stdout.readline())]
        assert [(m["chat_id"], m["parse_mode"]) for m in arrived] == [("-42", "HTML")] * 2
        assert sum(m["text"].count("<b>a &amp; b</b> 🎉") for m in arrived) == 500
    finally:
        server.communicate()


# -- who else is sending


SCRIPT = """
import io, json, os, sys
from PIL import Image
from pulsebook import chat
from pulsebook.base.settings import settings
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    for name in os.environ.keys() - order["environment"].keys():
        if name.startswith("PULSEBOOK"):
            del os.environ[name]
    os.environ.update(order["environment"])
    settings.cache_clear()
    Image.new("RGB", (60, 40)).save(b := io.BytesIO(), "PNG")
    try:
        print(chat.post(order["key"], order["text"], [b.getvalue()] * 2).sent_now, flush=True)
    except chat.ChatError:
        print(-1, flush=True)
"""


class Sender:
    """A process that posts a text and an album when it is told to."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def post(self, key: str) -> None:
        """Begin; does not wait for the end."""
        environment = {name: value for name, value in os.environ.items() if name.startswith("PULSEBOOK")}
        self.process.stdin.write(json.dumps({"key": key, "text": LONG, "environment": environment}) + "\n")
        self.process.stdin.flush()

    def sent_now(self) -> int:
        """How many parts it sent; -1: it failed."""
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def senders():
    """Several of them, and no waiting for their start."""
    started = [Sender() for _ in range(4)]
    yield started
    for sender in started:
        sender.process.kill()
        sender.process.communicate()


@pytest.fixture
def sender():
    """One that may be killed."""
    sender = Sender()
    assert sender.process.stdout.readline() == "ready\n"
    yield sender
    sender.process.kill()
    sender.process.communicate()


def ready(senders: list[Sender]) -> list[Sender]:
    for sender in senders:
        if not hasattr(sender, "ready"):
            sender.ready = sender.process.stdout.readline()
    return senders


def wait_for(condition, seconds: float = 10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_kill_between_text_and_album_loses_and_repeats_nothing(bot, sender, execute):
    bot.faults += ["ok", "429 60"]  # the album waits its turn when the process dies
    sender.post("k")
    wait_for(lambda: bot.requests == 2)
    given_back = f"SELECT count() FROM {settings().target_database}.chat_messages WHERE status = 'failed'"
    wait_for(lambda: execute(given_back) == "1\n")
    sender.process.kill()
    sender.process.wait()
    delivery = chat.post("k", LONG, [picture()] * 2)
    assert (delivery.parts, delivery.sent_now) == (2, 1)
    assert methods(bot) == ["sendMessage", "sendMediaGroup"]


@pytest.mark.parametrize("part", ["text 1", "pictures 1"])
def test_a_kill_while_a_request_is_under_way_leaves_it_uncertain(part, bot, sender, monkeypatch):
    bot.faults += ["stall"] if part == "text 1" else ["ok", "stall"]
    sender.post("k")
    wait_for(lambda: bot.requests == (1 if part == "text 1" else 2))
    sender.process.kill()
    sender.process.wait()
    monkeypatch.setattr("pulsebook.chat.ledger.ABANDONED", 0)
    for _ in range(2):
        with pytest.raises(chat.Uncertain, match=f"part {part}: the process that sent it died"):
            chat.post("k", LONG, [picture()] * 2)
    assert methods(bot) == ["sendMessage", "sendMediaGroup"], "the rest is sent all the same"
    assert chat.post("k", LONG, [picture()] * 2, resend="now").sent_now == 2
    assert [m["id"] for m in on_the_page() if m["note"]] == [f"team k {part}"]


def test_whoever_finds_another_one_sending_waits_for_its_end(bot, senders):
    sender = ready(senders)[0]
    bot.faults += ["stall"]
    sender.post("k")
    wait_for(lambda: bot.requests == 1)
    result = []
    second = threading.Thread(target=lambda: result.append(pytest.raises(chat.Uncertain, chat.post, "k", LONG)))
    second.start()
    time.sleep(0.6)
    assert bot.requests == 1 and not result
    assert sender.sent_now() == -1, "the answer did not come"
    second.join(20)
    assert result and methods(bot)[:1] == ["sendMessage"] and methods(bot).count("sendMessage") == 1


@pytest.mark.slow
def test_several_senders_of_one_message_send_it_once(bot, senders):
    for n in range(3):
        for sender in ready(senders):
            sender.post(f"k{n}")
        assert sum(sender.sent_now() for sender in senders) == 2
    assert sorted(methods(bot)) == ["sendMediaGroup"] * 3 + ["sendMessage"] * 3


def test_processes_that_post_at_the_same_time_lose_nothing_of_the_page(configured, senders):
    for n in range(3):
        for who, sender in enumerate(ready(senders)):
            sender.post(f"k{n}-{who}")
    assert [sender.sent_now() for _ in range(3) for sender in senders] == [2] * 12
    expected = [f"team k{n}-{who} {part}" for n in range(3) for who in range(4) for part in ("text 1", "pictures 1")]
    assert sorted(m["id"] for m in on_the_page()) == sorted(expected)


# -- texts and pictures


class Seen(HTMLParser):
    """What a reader sees, by the standard library's own parser: each character with the tags around it."""

    def __init__(self, marked: str):
        super().__init__()
        self.open, self.characters = [], []
        self.feed(marked)
        self.close()
        assert not self.open, f"{self.open} left open"

    def handle_starttag(self, tag, attrs):
        self.open.append((tag, *attrs))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.characters += [(character, tuple(self.open)) for character in data]

    @property
    def text(self) -> str:
        return "".join(character for character, _ in self.characters)

    @property
    def units(self) -> int:
        return len(self.text.encode("utf-16-le")) // 2


def some_text(chance: random.Random) -> str:
    words = ["word", "a" * 70, "🎉🎉", "👩‍👩‍👧", "&amp;", "&lt;x&gt;", "&#x27;&quot;", "\n", "\n\n", "ё", "\u2028", " " * 50,
             '<a href="http://x.y/?a=1&amp;b=2">a link</a>', "<i></i>", "\r\n"]  # fmt: skip
    text = ""
    for _ in range(chance.randrange(1, 60)):
        word = " ".join(chance.choices(words, k=chance.randrange(1, 8)))
        shapes = ["{} ", " <b>{}</b>", "<i>a <b>{}</b></i>\n", "{}\n", "<code>{}\n</code>", "<b>\n{}</b> {}\n"]
        text += chance.choice(shapes).format(word, word)
    return text


@pytest.mark.parametrize("seed", range(8))
def test_a_text_is_split_within_the_limit_with_balanced_tags_and_nothing_lost(seed):
    chance = random.Random(seed)
    for _ in range(25):
        text, limit = some_text(chance), chance.randrange(4, 300)
        pieces = [Seen(piece) for piece in markup.split(text, limit)]
        assert all(0 < piece.units <= limit for piece in pieces)
        kept = [character for piece in pieces for character in piece.characters if not character[0].isspace()]
        assert kept == [character for character in Seen(text).characters if not character[0].isspace()]
        if limit >= max(map(len, Seen(text).text.split())) * 2:
            assert [w for piece in pieces for w in piece.text.split()] == Seen(text).text.split(), "cut between words"
        markup.check(text)


@pytest.mark.parametrize(
    "text", ["a < b", "<script>x</script>", "<b>open", "closed</b>", "<b><i>crossed</b></i>", "<br>", "<b", "<3", "<!-- -->"]
)  # fmt: skip
def test_a_text_that_telegram_would_refuse_is_refused_without_a_token_too(text, configured):
    with pytest.raises(ValueError, match="Telegram takes no <|is not closed"):
        chat.post("k", text)
    chat.post("k", chat.escape(text))
    assert Seen(on_the_page()[0]["text"]).text == text


def test_lines_stay_whole_where_they_can():
    assert markup.split("aaaa\nbbbb\ncccc", 10) == ["aaaa\nbbbb", "cccc"]
    assert markup.split("<b>aaaa\nbbbb</b>", 5) == ["<b>aaaa</b>", "<b>bbbb</b>"]
    assert markup.split("🎉🎉🎉", 4) == ["🎉🎉", "🎉"]


def test_names_from_data_and_very_long_texts_arrive_as_they_are(bot):
    name = "<i>Tom & \"Jerry\"</i> 🎉 'x' &amp;"
    chat.post("k", f"<b>{chat.escape(name)}</b>\n" + chat.escape("long <text> & more\n" * 600))
    assert all(Seen(text).units <= 4096 for text in texts(bot)) and len(texts(bot)) == 3
    assert markup.plain(texts(bot)[0]).split("\n")[0] == name
    assert sum(text.count("long &lt;text&gt; &amp; more") for text in texts(bot)) == 600


@pytest.mark.parametrize("character", ["<", "🎉", "é\u2028"])
def test_a_name_of_ten_thousand_characters_goes_through(character, bot):
    name = character * (10_000 // len(character))
    chat.post("k", f"<b>{chat.escape(name)}</b>", [picture()])
    pieces = [Seen(text) for text in texts(bot)[:-1]]
    assert "".join(piece.text for piece in pieces) == name and all(piece.units <= 4096 for piece in pieces)
    assert methods(bot)[-1] == "sendPhoto" and "caption" not in bot.arrived[-1][1]


def test_bytes_that_are_no_text_come_through_as_question_marks(bot):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")  # as the warehouse reads them
    chat.post("k", chat.escape(name) + chat.escape("\ud83c\udf89"))
    assert texts(bot) == ["caf\ufffd🎉"]


@pytest.mark.parametrize(
    ("count", "text", "methods"),
    [
        (1, "short", ["sendPhoto"]),
        (1, "x " * 600, ["sendMessage", "sendPhoto"]),
        (2, "short", ["sendMediaGroup"]),
        (10, "x " * 600, ["sendMessage", "sendMediaGroup"]),
        (11, "short", ["sendMediaGroup", "sendPhoto"]),
        (21, "", ["sendMediaGroup", "sendMediaGroup", "sendPhoto"]),
    ],
)
def test_pictures_go_as_photo_or_albums_with_the_text_where_it_fits(count, text, methods, bot):
    chat.post("k", text, [picture(color=(n, 0, 0)) for n in range(count)])
    assert [method for method, _ in bot.arrived] == methods
    albums = [json.loads(f["media"]) for m, f in bot.arrived if m == "sendMediaGroup"]
    assert all(2 <= len(album) <= 10 for album in albums)
    captions = [item["caption"] for album in albums for item in album if "caption" in item]
    captions += [f["caption"] for m, f in bot.arrived if m == "sendPhoto" and "caption" in f]
    assert captions == (["short"] if text == "short" else [])
    assert [len(set(f) & {item["media"].removeprefix("attach://") for item in json.loads(f["media"])}) for m, f in bot.arrived
            if m == "sendMediaGroup"] == [len(album) for album in albums]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height", "noise"),
    [
        (3400, 3300, True),
        (9000, 1001, False),
        (12_000, 300, False),
        (30, 4000, False),
        (10_000, 1, False),
        (1, 21, False),
    ],
)
def test_a_picture_that_telegram_would_refuse_is_made_to_fit(width, height, noise, configured):
    given = picture(width, height, noise=noise)
    assert len(given) > 10_000_000 or not noise
    chat.post("k", "text", [given])
    (name,) = on_the_page()[0]["photos"]
    found = (settings().outputs / "chat" / name).read_bytes()
    sides = Image.open(io.BytesIO(found)).size
    assert len(found) <= 10_000_000 and sum(sides) <= 10_000 and max(sides) <= 20 * min(sides)
    assert max(sides) > 0.4 * max(width, height), "no smaller than need be"


def test_a_picture_within_the_limits_is_left_as_it_is(bot):
    given = picture(8000, 2000)
    chat.post("k", "text", [given])
    assert bot.arrived[0][1]["photo"] == given


def test_a_message_without_anything_is_refused(bot):
    with pytest.raises(ValueError, match="needs a text or a picture"):
        chat.post("k", "  \n ")


# -- the page


def test_without_a_token_the_page_shows_every_message_once_in_order(configured):
    for n in (1, 2, 2, 1):
        chat.post(f"k{n}", f"<b>message {n}</b> &lt;b&gt;", [picture()] * n)
    chat.post("k3", "answer", reply_to="k1")
    page = (settings().outputs / "chat" / "index.html").read_text()
    assert re.findall(r'<div class="text">(.*?)</div>', page) == [
        "<b>message 1</b> &lt;b&gt;",
        "<b>message 2</b> &lt;b&gt;",
        "answer",
    ]
    anchors = re.findall(r'<article id="(\w+)"', page)
    assert len(set(anchors)) == 3 and f'<a class="reply" href="#{anchors[0]}">message 1 &lt;b&gt;</a>' in page
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert len(pictures) == 3 and all((settings().outputs / "chat" / name).exists() for name in pictures)


def test_the_page_is_sound_html_whatever_the_messages_hold(configured):
    evil = "</p></article><script>alert(1)</script> \u2028 \x85 \x0c & ' \""
    for n in range(3):
        chat.post(f"{evil} {n}", f"<b>{chat.escape(evil)}</b>\n{n}", resend="<i>", reply_to=f"{evil} {n - 1}|<i>")
    html = (settings().outputs / "chat" / "index.html").read_text()
    assert html.count("<article") == html.count("</article>") == 3 and "<script" not in html
    assert html.count('class="reply"') == 2 and len(on_the_page()) == 3


def test_older_messages_leave_the_page_but_not_its_log(configured, monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 3)
    for n in range(5):
        chat.post(f"k{n}", f"message {n}")
    html = (settings().outputs / "chat" / "index.html").read_text()
    assert re.findall(r'<div class="text">(.*?)</div>', html) == ["message 2", "message 3", "message 4"]
    assert "messages: 5 · 2 older ones" in html and len(on_the_page()) == 5
    configured(language="ru")
    page.add("team again text 1", chat="team", text="<b>Лента</b>", photos=[], note="may not have arrived")
    html = (settings().outputs / "chat" / "index.html").read_text()
    assert "сообщений: 6 · более старых, в файле messages.jsonl: 3" in html and "возможно, не доставлено" in html
    assert "Pulsebook → команда" in html and '<html lang="ru">' in html


def test_with_a_token_the_page_is_a_log_of_what_was_sent(bot):
    chat.post("k", "text", [picture()])
    assert [(m["text"], m["chat"], len(m["photos"])) for m in on_the_page()] == [("text", "team", 1)]
    shutil.rmtree(settings().outputs)
    assert chat.post("k", "text", [picture()]).sent_now == 0
    assert len(on_the_page()) == 1, "what it lacks is added when the message is met again"


# -- secrets


def spellings(secret: str) -> list[str]:
    """As it is, URL-encoded, and in base64 wherever it stands within a longer text."""
    inner = [base64.b64encode(b"x" * n + secret.encode())[4 * (n > 0) : -4].decode() for n in range(3)]
    return [secret, quote(secret, safe=""), quote(secret), *inner]


def test_no_secret_is_anywhere_after_all_these_failures(bot, configured, caplog, capfd, monkeypatch):
    for logger in ("", "urllib3"):  # Airflow, where it was imported before, sets a level of its own
        caplog.set_level(logging.DEBUG, logger)
    address = settings().clickhouse_url.get_secret_value().replace("//", f"//{USER}:{quote(PASSWORD, safe='')}@")
    configured(clickhouse_url=address)
    told = f"see https://x.y/bot{TOKEN}/getMe or {chat.escape(address)} with {PASSWORD}"
    said = []

    def fails(key, **known):
        configured(**known)
        with pytest.raises((chat.ChatError, WarehouseError)) as caught:
            chat.post(key, told)
        error = caught.value
        said.append("".join(traceback.format_exception(error)) + repr(error))
        while error := error.__cause__ or error.__context__:
            said.append(f"{error!r} {error.args}")

    for fault in [
        "400",
        "401",
        "403",
        "429 500",
        "stall",
        "reset",
        "garbage",
        "broken off",
        "no message",
        "502",
        "moved",
    ]:
        bot.faults += [fault]
        fails(fault)
    monkeypatch.setattr(telegram, "BUDGET", 0.2)
    for n, url in enumerate(
        ["http://127.0.0.1:1", "http://no.such.host.invalid", "http://", bot.url.replace("http", "https")]
    ):
        fails(f"down {n}", telegram_api_url=url)
    fails("no warehouse", clickhouse_url=f"http://default:{quote(PASSWORD, safe='')}@127.0.0.1:1")
    files = [p.read_bytes().decode("latin-1") + str(p) for p in settings().outputs.rglob("*") if p.is_file()]
    files += [p.read_text("utf-8") for p in settings().outputs.rglob("*.[hj]*")]
    assert "Starting new HTTP connection" in caplog.text and len(said) >= 16 and len(files) >= 4
    printed = capfd.readouterr()
    for text in [*said, *files, caplog.text, printed.out, printed.err, *texts(bot)]:
        for spelling in [*spellings(TOKEN), *spellings(PASSWORD)]:
            assert spelling not in text


def test_a_token_without_a_chat_is_refused(configured):
    with pytest.raises(SettingsError, match="PULSEBOOK_TELEGRAM_CHAT_ID must be set"):
        configured(telegram_token=TOKEN, telegram_chat_id="")
