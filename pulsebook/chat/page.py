"""`outputs/chat/index.html`: what the chat shows, as a page that opens from disk.

`messages.jsonl` beside it holds one line per message with the page of the notebook that posted it, `photos/` the pictures. A
message that is added again (same id) takes the place of the first; one that is edited keeps its earlier texts. An id is the chat, the key and the part: `team feed_report/2026-11-22 text 1`.
"""

import hashlib
import html
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from pulsebook.base import files
from pulsebook.base.redact import redact
from pulsebook.base.settings import settings
from pulsebook.base.texts import escape
from pulsebook.chat.markup import plain
from pulsebook.chat.tags import shown

POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
)
WORDS = {
    "en": {
        "title": "Pulsebook chat", "messages": "messages: {}", "older": "{} older ones in messages.jsonl", "chart": "chart {}",
        "notebook": "executed notebook", "team": "team", "operations": "operations",
        "may not have arrived": "may not have arrived", "edited": "edited {}",
    },
    "ru": {
        "title": "Чат Pulsebook", "messages": "сообщений: {}", "older": "более старых, в файле messages.jsonl: {}", "chart": "график {}",
        "notebook": "выполненный ноутбук", "team": "команда", "operations": "дежурные",
        "may not have arrived": "возможно, не доставлено", "edited": "изменено {}",
    },
}  # fmt: skip
SHOWN = 300  # newest messages on the page; older ones stay in messages.jsonl

_STYLE = """
:root { color-scheme: light dark; --back: light-dark(#d5e3ea, #0e1621); --bubble: light-dark(#fff, #182533);
  --ink: light-dark(#111, #f1f4f6); --faint: light-dark(#4d5c65, #9fadb8); --link: light-dark(#1667a3, #6ab3f3);
  --alarm: light-dark(#b52f21, #f58d83) }
* { box-sizing: border-box } body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.42 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif }
header { position: sticky; top: 0; padding: 10px 16px; background: var(--bubble); box-shadow: 0 1px 2px #0003; z-index: 1 }
header h1 { margin: 0; font-size: 15px } header small, .day, footer { color: var(--faint) }
main { max-width: 560px; margin: auto; padding: 8px 10px 24px }
.day { text-align: center; margin: 14px 0 6px; font-size: 13px }
article { background: var(--bubble); border-radius: 4px 14px 14px 14px; margin: 6px 24px 6px 0; padding: 8px 12px 6px;
  box-shadow: 0 1px 1px #0002; overflow: hidden; overflow-wrap: anywhere }
article:target, article:has(:target) { outline: 2px solid var(--link) } article, article > a { scroll-margin-top: 60px }
article .text { white-space: pre-wrap } a { color: var(--link) }
article .from { color: var(--link); font-weight: 600; font-size: 14px } article .operations { color: var(--alarm) }
article .pictures { display: grid; gap: 3px; margin: 4px -12px 6px } article img { width: 100%; display: block; background: #fff }
article .many { grid-template-columns: 1fr 1fr } code, pre { font-size: 13px } pre { margin: 4px 0; white-space: pre-wrap }
blockquote { margin: 4px 0; padding: 2px 8px; border-left: 3px solid var(--link) }
article .reply { border-left: 3px solid var(--link); padding-left: 8px; margin-bottom: 4px; color: var(--faint);
  font-size: 13px; display: block; text-decoration: none; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
details { color: var(--faint); font-size: 13px; border-left: 3px solid var(--faint); padding-left: 8px }
details div { white-space: pre-wrap; margin-bottom: 6px } footer { text-align: right; font-size: 12px } footer a { color: inherit }
@media print { :root { color-scheme: light } body { background: none } header { position: static }
  article { break-inside: avoid; border: 1px solid #ccc } }
"""


def add(id: str, *, chat: str, text: str, photos: list[bytes], reply_to: str = "", note: str = "") -> list[int]:
    """Add a message and build the page anew; returns its number, counted from 1, as the Bot API returns ids."""
    folder = settings().outputs / "chat"
    names = []
    for photo in photos:
        names.append(f"photos/{hashlib.sha256(photo).hexdigest()[:16]}.png")
        files.replace(folder / names[-1], photo)

    def added(messages: dict[str, dict], now: str, told: dict) -> None:
        at = messages[id]["at"] if id in messages else now
        messages[id] = dict(id=id, at=at, chat=chat, text=text, photos=names, reply_to=reply_to, note=note, **told)

    return [[message["id"] for message in _changed(added)].index(redact(id)) + 1]


def edit(id: str, *, chat: str, text: str, revision: int) -> None:
    """Give a message another text, which has a revision above 0, and build the page anew. The texts before stay, with their
    revisions and the pages of the notebooks that edited."""

    def edited(messages: dict[str, dict], now: str, told: dict) -> None:
        empty = dict(id=id, at=now, chat=chat, text="", photos=[], reply_to="", note="")  # of a log that was lost
        message = messages.setdefault(id, empty)
        texts = {known["revision"]: known for known in _revisions(message)}
        texts[revision] = dict(revision=revision, at=now, text=text, **told)
        messages[id] = message | dict(text=text, revisions=list(texts.values()))

    _changed(edited)


def text_before(id: str, revision: int) -> str:
    """The text that a message had before a revision; empty where it is not known."""
    messages = {message["id"]: message for message in read(settings().outputs / "chat")}
    texts = [known["text"] for known in _revisions(messages.get(id, {})) if known["revision"] < revision]
    return texts[-1] if texts else ""


def _revisions(message: dict) -> list[dict]:
    """The texts that a message has had, oldest first: revision, at, text, and of an edit the notebook."""
    first = [dict(revision=0, at=message["at"], text=message["text"])] if message.get("text") else []
    return message.get("revisions", first)


def _changed(change: Callable[[dict[str, dict], str, dict], None]) -> list[dict]:
    """The messages after a change of the log and the page; it is given messages by id, the time, and what is told of the run."""
    folder = settings().outputs / "chat"
    now = datetime.now(settings().timezone).isoformat(timespec="seconds")
    told = {"notebook": settings().executed_as} if settings().executed_as else {}

    def changed(log: str | None) -> str:
        messages = {message["id"]: message for message in _messages(log or "")}
        change(messages, now, told)
        return redact("".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages.values()))

    log = files.change(folder / "messages.jsonl", changed)
    # several tasks post at the same time: the page is made of the log as it is when nobody else makes it
    files.change(folder / "index.html", lambda _: redact(_page(read(folder))))
    return _messages(log)


def contains(id: str) -> bool:
    """Whether a message was added."""
    return any(message["id"] == id for message in read(settings().outputs / "chat"))


def read(folder: Path) -> list[dict]:
    """All messages of a page's folder, oldest first."""
    try:
        return _messages((folder / "messages.jsonl").read_text("utf-8"))
    except FileNotFoundError:
        return []


def _messages(log: str) -> list[dict]:
    return [json.loads(line) for line in log.split("\n") if line]  # a text may hold U+2028


def _page(messages: list[dict]) -> str:
    first = {m["id"].rsplit(" ", 2)[0]: m for m in reversed(messages)}  # by chat and key
    posted = {notebook: m["id"] for m in reversed(messages) for notebook in _notebooks(m)}
    words = WORDS[settings().language]
    body, day = [], ""
    for message in messages[-SHOWN:]:
        at = datetime.fromisoformat(message["at"])
        if day != (day := f"{at:%Y-%m-%d}"):
            body.append(f'<div class="day">{day}</div>')
        body.append(_article(message, at, first, [notebook for notebook, id in posted.items() if id == message["id"]]))
    older = f" · {words['older'].format(len(messages) - SHOWN)}" if len(messages) > SHOWN else ""
    return f"""<!doctype html>
<html lang="{settings().language}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{words["title"]}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><header><h1>Pulsebook</h1><small>{words["messages"].format(len(messages))}{older} · {settings().timezone}</small></header>
<main>{"".join(body)}</main></body></html>
"""


def _notebooks(message: dict) -> list[str]:
    """The pages of the notebooks that posted or edited a message."""
    return [told["notebook"] for told in (message, *_revisions(message)) if told.get("notebook")]


def _article(message: dict, at: datetime, first: dict, notebooks: list[str]) -> str:
    """A message; the first one of a notebook has a place that the notebook's page links to: the address of that page."""
    words = WORDS[settings().language]
    names = [quote(str(name)) for name in message["photos"]]
    begun = first.get(message["id"].rsplit(" ", 2)[0], message)  # the text that pictures of their own belong to
    what = html.escape(_headline(message) or _headline(begun) or message["id"])
    called = [f"{words['chart'].format(n)}: {what}" for n, _ in enumerate(names, 1)]
    pictures = "".join(
        f'<a href="{name}"><img src="{name}" alt="{alt}"></a>' for name, alt in zip(names, called, strict=True)
    )
    replied = first.get(message["reply_to"])
    reply = f'<a class="reply" href="#{_anchor(replied["id"])}">{escape(_headline(replied))}</a>' if replied else ""
    anchor, chat = _anchor(message["id"]), escape(message["chat"])
    note = f"{escape(words.get(message['note'], message['note']))} · " if message["note"] else ""
    if message.get("notebook"):
        note += f'<a href="../{html.escape(quote(str(message["notebook"])))}">{words["notebook"]}</a> · '
    places = "".join(f'<a id="{html.escape(notebook)}"></a>' for notebook in notebooks)
    to = escape(words.get(message["chat"], message["chat"]))
    many = " many" if len(message["photos"]) > 2 else ""
    return (
        f'<article id="{anchor}">{places}<span class="from {chat}">Pulsebook → {to}</span>{reply}'
        + (f'<div class="pictures{many}">{pictures}</div>' if pictures else "")
        + (f'<div class="text">{shown(message["text"])}</div>' if message["text"] else "")
        + _edits(_revisions(message))
        + f'<footer>{note}<a href="#{anchor}">{at:%H:%M}</a></footer></article>'
    )


def _edits(texts: list[dict]) -> str:
    """When a message was edited, and what it said before."""
    if len(texts) < 2:
        return ""
    said = [(f"{datetime.fromisoformat(known['at']):%H:%M}", shown(known["text"])) for known in texts]
    before = "".join(f"<small>{at}</small><div>{text}</div>" for at, text in said[:-1])
    return f"<details><summary>{WORDS[settings().language]['edited'].format(said[-1][0])}</summary>{before}</details>"


def _headline(message: dict) -> str:
    return plain(message["text"]).strip().split("\n")[0]


def _anchor(id: str) -> str:
    return "m" + hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
