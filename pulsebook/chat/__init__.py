"""Delivery to the chat, once per key: to Telegram, or without a token to a local page that looks like the chat.

    >>> about = key("2026-11-22", by_hand="feed_report")
    >>> print(post(about, "DAU: <b>18,321</b>"))
    1 of 1 parts posted now
    >>> print(post(about, "DAU: <b>18,321</b>"))
    0 of 1 parts posted now, 1 already before
    >>> print(post(about, "DAU: <b>18,321</b>", resend="again"))  # once more: once per word
    1 of 1 parts posted now

A retry, a cleared task, a re-run or a backfill posts nothing twice: the ledger knows what was sent, part by part. A
message that was half sent continues where it stopped.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

from pulsebook.base.redact import redact
from pulsebook.base.settings import settings
from pulsebook.base.texts import escape, visible
from pulsebook.chat import page
from pulsebook.chat.answers import ChatError, KeyTaken, Refused, TryLater, Uncertain, Undelivered
from pulsebook.chat.keys import key, sender
from pulsebook.chat.ledger import Claim, Ledger, PageLedger, Part
from pulsebook.chat.markup import CAPTION_LIMIT, TEXT_LIMIT, check, length, plain, split
from pulsebook.chat.pictures import fitting
from pulsebook.chat.telegram import Telegram
from pulsebook.warehouse import WarehouseError

__all__ = ["ChatError", "Delivery", "KeyTaken", "Refused", "Uncertain", "Undelivered", "escape", "key", "post"]
log = logging.getLogger(__name__)

ALBUM = 10  # pictures at most in one album


@dataclass(frozen=True)
class Delivery:
    """What became of a message: the ids of its parts in the chat, and how many of them were sent just now."""

    message_ids: tuple[int, ...]
    parts: int
    sent_now: int

    def __str__(self) -> str:
        before = self.parts - self.sent_now
        return f"{self.sent_now} of {self.parts} parts posted now" + (f", {before} already before" if before else "")


@dataclass(frozen=True)
class _Request:
    """One call of the Bot API."""

    part: str  # text 1, text 2, pictures 1, …
    text: str
    photos: list[bytes]

    def call(self, telegram: Telegram, chat: str, thread: int | None, reply_to: int | None) -> list[int]:
        fields = {"chat_id": chat, "message_thread_id": thread}
        if reply_to:
            fields["reply_parameters"] = {"message_id": reply_to, "allow_sending_without_reply": True}
        if not self.photos:
            return telegram.call("sendMessage", {**fields, "text": self.text, "parse_mode": "HTML",
                                                 "link_preview_options": {"is_disabled": True}})  # fmt: skip
        if len(self.photos) == 1:
            caption = {"caption": self.text, "parse_mode": "HTML"} if self.text else {}
            return telegram.call("sendPhoto", {**fields, **caption}, {"photo": self.photos[0]})
        files = {f"photo{n}": photo for n, photo in enumerate(self.photos, 1)}
        media = [{"type": "photo", "media": f"attach://{name}"} for name in files]
        if self.text:
            media[0] |= {"caption": self.text, "parse_mode": "HTML"}
        return telegram.call("sendMediaGroup", {**fields, "media": media}, files)


def post(
    key: str, text: str, photos: list[bytes] = (), *, to: str = "team", resend: str = "", reply_to: str = ""
) -> Delivery:
    """Deliver a message that was not delivered yet under this key.

    Args:
        key: DAG, day or slot, and whatever tells this message from others: `feed_report/2026-11-22`, see `key`.
        text: Telegram's HTML; what comes from data goes through `escape`. Too long: split at line ends.
        photos: PNG pictures; one goes with the text as its caption where that fits, several as an album.
        to: team or operations.
        resend: a word that makes it another message: sends again, once per word.
        reply_to: the key of an earlier message that this one answers.

    Raises:
        ValueError: the text is no HTML that Telegram takes, a picture is none, or there is nothing to send.
        KeyTaken: another task has sent a message under this key.
        Refused, Undelivered: nothing more was sent; what was sent before stays in the ledger.
        Uncertain: some part may have arrived. It is not sent again by itself.
    """
    if to not in ("team", "operations"):
        raise ValueError(f"to must be team or operations, got {to!r}")
    known, local = settings(), not settings().telegram_token.get_secret_value()
    text, photos = redact(visible(text)), [fitting(photo) for photo in photos]
    check(text)
    headline = plain(text).strip().split("\n")[0][:200]
    key = f"{key}|{resend}" if resend else key
    team, operations = known.telegram_chat_id, known.ops_chat_id
    chat = f"page {to}" if local else team if to == "team" else operations
    thread = known.telegram_thread_id if chat == team else None
    telegram, ledger = None if local else Telegram(known), _ledger(to, local)
    task, begun = sender().task, ledger.begun(key, chat)
    _check_owners(key, task, set(begun.values()))
    requests = _requests(text, photos, set(begun))
    answered = ledger.first_message(reply_to, chat) if reply_to and not local else None
    ids, sent_now, uncertain = [], 0, []
    for request in requests:
        first, id = request is requests[0], f"{to} {key} {request.part}"
        show = partial(page.add, id, chat=to, text=request.text, photos=request.photos,
                       reply_to=f"{to} {reply_to}" if reply_to and first else "")  # fmt: skip
        send = show if local else partial(request.call, telegram, chat, thread, answered if first else None)
        claim = _deliver(Part(key, request.part, chat, headline, task), ledger, telegram, send)
        if claim.status == "uncertain":
            uncertain.append(f"part {request.part}: {claim.detail}")
        if not page.contains(id):
            show(note="may not have arrived" if claim.status == "uncertain" else "")
        ids, sent_now = [*ids, *claim.message_ids], sent_now + (claim.status == "sending")
    if uncertain:
        raise Uncertain(
            f"it is not known whether {key} arrived: {'; '.join(uncertain)}. Look into the chat; it is not sent again by "
            "itself. Run with resend to send it once more."
        )
    delivery = Delivery(tuple(ids), len(requests), sent_now)
    log.info("%s: %s", key, delivery)
    return delivery


def _check_owners(key: str, task: str, owners: set[str]) -> None:
    """Raises KeyTaken. A task that is not known may be any: rows of before, and what was posted by hand."""
    if task and (others := owners - {task, ""}):
        raise KeyTaken(
            f"{key} was posted by the task {min(others)}, so this one of {task} was not posted. Give it a key of its own: "
            f'what it is about needs a word that tells the two apart, such as chat.key(f"{{day}}/{task.rpartition(".")[2]}").'
        )


def _ledger(to: str, local: bool) -> Ledger | PageLedger:
    try:
        return Ledger(idempotent=local)
    except WarehouseError:
        if to != "operations":
            raise
        return PageLedger()  # who looks after the warehouse must hear that it is down


def _deliver(part: Part, ledger: Ledger | PageLedger, telegram: Telegram | None, send) -> Claim:
    """Send a part that was not sent yet. The claim's status: `sending` (sent just now), `sent` (before), `uncertain`."""
    while True:
        claim = ledger.claim(part)
        _check_owners(part.key, part.task, {claim.task})
        if claim.status != "sending":
            return claim
        try:
            ids = send()
        except Uncertain as error:
            ledger.close(part, claim.token, "uncertain", detail=str(error))
            return replace(claim, status="uncertain", detail=str(error))
        except ChatError as error:
            ledger.close(part, claim.token, "failed", detail=str(error))
            if not isinstance(error, TryLater):
                raise
            telegram.pause(error)  # the claim is given back meanwhile: whoever dies here has not sent anything
        else:
            ledger.close(part, claim.token, "sent", ids)
            if telegram and part.chat in telegram.moved:
                ledger.moved(part.chat, telegram.moved[part.chat])
            return replace(claim, message_ids=tuple(ids))


def _requests(text: str, photos: list[bytes], begun: set[str]) -> list[_Request]:
    """The calls that a message takes: text and pictures together where they fit, and as they went out before where a
    part has begun: the text of a re-run may be longer or shorter."""
    fits = length(text) <= CAPTION_LIMIT
    caption = text if photos and "text 1" not in begun and (fits or "pictures 1" in begun) else ""
    calls = [] if caption else [_Request(f"text {n}", piece, []) for n, piece in enumerate(split(text, TEXT_LIMIT), 1)]
    for number, first in enumerate(range(0, len(photos), ALBUM), 1):
        calls.append(_Request(f"pictures {number}", "" if first else caption, photos[first : first + ALBUM]))
    if not calls:
        raise ValueError("a message needs a text or a picture, found neither")
    return calls
