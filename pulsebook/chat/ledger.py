"""What was sent: the table `{target_db}.chat_messages`, which makes a delivery happen once per key.

Rows are only added. Whoever wants to send first adds a claim (`sending`), then looks: with no other claim the part is
theirs; where two claim at the same time both withdraw, wait and try again. A claim ends as `sent`, `failed` (it may be
sent again: each attempt is a claim of its own), `uncertain` (it may have arrived: it is not sent again) or `withdrawn`.
A claim whose owner died is stated as uncertain by who finds it older than any delivery can take. An edit does no harm when it is
repeated, so nothing but `sent` counts of it; it has a revision, and after a greater one it is not made any more. A chat that Telegram gave a
new id is the same chat: a row `moved` says so.
"""

import random
import re
import time
import uuid
from dataclasses import dataclass

from pulsebook.base.settings import settings
from pulsebook.chat import page
from pulsebook.chat.telegram import BUDGET
from pulsebook.warehouse import Warehouse, quoted

ABANDONED = BUDGET + 60  # seconds after which a claim without an end is one of a process that died


TEXTS = ("key", "part", "chat", "claim", "status", "message_ids", "headline", "detail")
TABLE = "chat_messages"
COLUMNS = {"at": "DateTime"} | dict.fromkeys(TEXTS, "String")
COLUMNS |= {"task": "Nullable(String)", "revision": "Nullable(UInt64)"}  # NULL in rows of before
EDIT = "edit"  # the part of a message that is its edits


@dataclass(frozen=True)
class Part:
    """One request of one message: its place in the ledger."""

    key: str  # DAG, day or slot; with the word of a resend
    part: str  # text 1, text 2, pictures 1, …
    chat: str  # the chat's id, or `page`
    headline: str  # first line of the text
    task: str = ""  # DAG and task that sends it; empty: not known
    revision: int = 0  # of an edit


@dataclass(frozen=True)
class Claim:
    """What a look into the ledger gave: `status` is sent, uncertain, or sending (it is ours to send)."""

    status: str
    message_ids: tuple[int, ...] = ()
    token: str = ""  # of a claim that is ours to send, or whose end nobody has stated yet
    detail: str = ""
    task: str = ""  # that has claimed it


class Ledger:
    """The table, made at its first use."""

    def __init__(self, idempotent: bool = False):
        """`idempotent`: delivering twice does no harm, so nothing but `sent` counts."""
        self.warehouse, self.idempotent = Warehouse.target(), idempotent
        table = f"{settings().target_database}.{TABLE}"
        self.table = self.warehouse.ensure(table, COLUMNS, partition="toYYYYMM(at)", order="(key, part, at)")

    def claim(self, part: Part) -> Claim:
        """Whether a part was sent already, may have been, or is now ours to send. Waits while another is sending it."""
        while True:
            known = self._known(part)
            if known and known.status != "sending":
                if known.token:
                    self.close(part, known.token, known.status, detail=known.detail)
                return known
            if not known:
                token = uuid.uuid4().hex
                self._add(part, token, "sending")
                if self._is_idempotent(part) or not self._known(part, but=token):
                    return Claim("sending", token=token)
                self.close(part, token, "withdrawn")
            time.sleep(random.uniform(0.2, 1.0))

    def close(self, part: Part, token: str, status: str, message_ids: list[int] = (), detail: str = "") -> None:
        """State how a claim ended."""
        self._add(part, token, status, ",".join(map(str, message_ids)), detail)

    def begun(self, key: str, chat: str) -> dict[str, str]:
        """The parts of a message that were sent, or may have been, and the task that did it."""
        found = self.warehouse.read(f"""
            SELECT part, max(ifNull(task, '')) AS owner FROM {self.table} WHERE key = {quoted(key)} AND {self._in(chat)} GROUP BY part, claim
            HAVING countIf(status IN ('failed', 'withdrawn')) = 0
        """)
        return dict(zip(found["part"], found["owner"], strict=True))

    def first_message(self, key: str, chat: str) -> int | None:
        """The id of the first message that was sent under a key; None: there is none."""
        return self._first(key, self._in(chat))[1]

    def editable(self, key: str, chat: str) -> tuple[str, int] | None:
        """The part whose text stands first of a message that was sent under a key, and its id; None: there is none. Only of the
        chat as it is now: ids of the one before it became a supergroup are those of other messages."""
        part, id = self._first(key, f"chat = {quoted(chat)}")
        return None if id is None else (part, id)

    def lacks(self, key: str, chat: str) -> str:
        """What a message lacks that was sent under a key; empty: nothing, or none was."""
        found = self.warehouse.read(f"""
            SELECT detail FROM {self.table}
            WHERE key = {quoted(key)} AND {self._in(chat)} AND status = 'sent' AND detail != '' LIMIT 1
        """)
        return "" if found.empty else found["detail"].iloc[0]

    def _first(self, key: str, where: str) -> tuple[str, int | None]:
        found = self.warehouse.read(f"""
            SELECT part, message_ids FROM {self.table}
            WHERE key = {quoted(key)} AND part IN ('text 1', 'pictures 1') AND {where} AND status = 'sent'
            ORDER BY part = 'text 1' DESC, at LIMIT 1
        """)
        if not len(found):
            return "", None
        return found["part"].iloc[0], next(iter(_ids(found["message_ids"].iloc[0])), None)

    def moved(self, old: str, new: str) -> None:
        """State that a chat has a new id: what was sent under the old one was sent to it."""
        self._add(Part("", "", old, ""), uuid.uuid4().hex, "moved", detail=new)

    def _in(self, chat: str) -> str:
        """SQL: a row is of this chat, under its id or the one before."""
        before = f"SELECT chat FROM {self.table} WHERE key = '' AND status = 'moved' AND detail = {quoted(chat)}"
        return f"(chat = {quoted(chat)} OR chat IN ({before}))"

    def _is_idempotent(self, part: Part) -> bool:
        return self.idempotent or part.revision > 0

    def _known(self, part: Part, but: str = "") -> Claim | None:
        """The weightiest of the claims that still count, those made on other replicas too."""
        if settings().table_engine.startswith("Replicated"):
            self.warehouse.execute(f"SYSTEM SYNC REPLICA {self.table}")
        claims = self.warehouse.read(f"""
            SELECT
                claim,
                argMax(status, status != 'sending') AS last_status,
                argMax(message_ids, status != 'sending') AS ids,
                argMax(detail, status != 'sending') AS last_detail,
                max(ifNull(task, '')) AS owner,
                toInt64(toUInt32(now())) - toInt64(toUInt32(min(at))) AS age
            FROM {self.table}
            WHERE key = {quoted(part.key)} AND part = {quoted(part.part)} AND {self._in(part.chat)}
                AND ifNull(revision, 0) >= {part.revision}
            GROUP BY claim
        """)
        found = {}
        for claim in claims[claims["claim"] != but].itertuples():
            status, detail, token = claim.last_status, claim.last_detail, ""
            if status == "sending" and claim.age > ABANDONED:
                status, token = "uncertain", claim.claim
                detail = "the process that sent it died before it saw the answer"
            found[status] = Claim(status, _ids(claim.ids), token, detail, claim.owner)
        if self._is_idempotent(part):
            return found.get("sent")
        return found.get("sent") or found.get("uncertain") or found.get("sending")

    def _add(self, part: Part, token: str, status: str, message_ids: str = "", detail: str = "") -> None:
        values = (part.key, part.part, part.chat, token, status, message_ids, part.headline, detail, part.task)
        self.warehouse.execute(
            f"INSERT INTO {self.table} ({', '.join(COLUMNS)}) "
            f"SELECT now(), {', '.join(map(quoted, values))}, {part.revision or 'NULL'}"
        )


def _ids(stored: str) -> tuple[int, ...]:
    """Message ids as the table holds them, without what is no id: rows of before may hold `None`."""
    return tuple(int(id) for id in stored.split(",") if re.fullmatch(r"-?\d+", id))


class PageLedger:
    """The page's own log in place of the table: for a word to operations while the warehouse cannot be reached."""

    def claim(self, part: Part) -> Claim:
        return Claim("sent" if page.contains(f"operations {part.key} {part.part}") else "sending")

    def begun(self, key: str, chat: str) -> dict[str, str]:
        return {name: "" for name in ("text 1", "pictures 1") if page.contains(f"operations {key} {name}")}

    def first_message(self, key: str, chat: str) -> None:
        """Not known here: the message goes out as one of its own."""

    def moved(self, old: str, new: str) -> None:
        """Nothing to state."""

    def close(self, part: Part, token: str, status: str, message_ids: list[int] = (), detail: str = "") -> None:
        """Nothing to state: the page is written when a part was sent."""
