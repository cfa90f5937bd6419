"""Delivery to the chat, once per key: to Telegram, or without a token to a local page that looks like the chat.

    >>> about = key("2026-11-22", by_hand="feed_report")
    >>> print(post(about, "DAU: <b>18,321</b>"))
    1 of 1 parts posted now
    >>> print(post(about, "DAU: <b>18,321</b>"))
    0 of 1 parts posted now, 1 already before
    >>> print(post(about, "DAU: <b>18,321</b>", resend="again"))  # once more: once per word
    1 of 1 parts posted now
    >>> print(edit(about, "DAU: <b>18,322</b>", revision=1))  # the message gets another text: nothing new is posted
    1 of 1 parts posted now

A retry, a cleared task, a re-run or a backfill posts nothing twice: the ledger knows what was sent, part by part. A
message that was half sent continues where it stopped.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pulsebook.base.facts import Fact
from pulsebook.base.redact import redact
from pulsebook.base.settings import settings
from pulsebook.base.texts import escape, visible
from pulsebook.base.words import say
from pulsebook.chat import page, reported
from pulsebook.chat.answers import ChatError, KeyTaken, NotEditable, Refused, TryLater, Uncertain, Undelivered
from pulsebook.chat.calls import edited, requests
from pulsebook.chat.keys import key, sender
from pulsebook.chat.ledger import EDIT, Claim, Ledger, PageLedger, Part
from pulsebook.chat.markup import check, cut, headline, limit_of
from pulsebook.chat.pictures import fitting
from pulsebook.chat.telegram import Telegram
from pulsebook.warehouse import WarehouseError

__all__ = [
    "ChatError",
    "Delivery",
    "KeyTaken",
    "Refused",
    "Uncertain",
    "Undelivered",
    "edit",
    "escape",
    "key",
    "lacks",
    "post",
]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What became of a message: the ids of its parts in the chat, and how many of them were sent just now."""

    message_ids: tuple[int, ...]
    parts: int
    sent_now: int

    def __str__(self) -> str:
        before = self.parts - self.sent_now
        now = say("{} of {} parts posted now", self.sent_now, self.parts)
        return now + (say(", {} already before", before) if before else "")


def post(
    key: str,
    text: str,
    photos: list[bytes] = (),
    *,
    to: str = "team",
    resend: str = "",
    only_uncertain: bool = False,
    reply_to: str = "",
    lacks: str = "",
    told: Sequence[Fact] = (),
) -> Delivery:
    """Deliver a message that was not delivered yet under this key.

    Args:
        key: DAG, day or slot, and whatever tells this message from others: `feed_report/2026-11-22`, see `key`.
        text: Telegram's HTML; what comes from data goes through `escape`. Too long: split at line ends.
        photos: PNG pictures; one goes with the text as its caption where that fits, several as an album.
        to: team or operations.
        resend: a word that makes it another message: sends again, once per word.
        only_uncertain: it sends again only what may not have arrived, as an earlier run has said.
        reply_to: the key of an earlier message that this one answers.
        lacks: a word for what the message cannot say yet: see `lacks`.
        told: the numbers in it, as `pulsebook.present.summary.facts` gives them: what of them changes later is corrected in a
            reply (see `reported`).

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
    if resend and only_uncertain:
        try:
            return post(key, text, photos, to=to, reply_to=reply_to, lacks=lacks, told=told)
        except Uncertain as error:
            if error.is_news:
                raise
    key = f"{key}|{resend}" if resend else key
    chat = _chat(to)
    thread = known.telegram_thread_id if chat == known.telegram_chat_id else None
    telegram, ledger = None if local else Telegram(known), _ledger(to, local)
    task, begun = sender().task, ledger.begun(key, chat)
    _check_owners(key, task, set(begun.values()))
    if told and not begun:
        reported.state(key, told, reply_to)
    calls = requests(text, photos, set(begun))
    answered = ledger.first_message(reply_to, chat) if reply_to and not local else None
    ids, sent_now, uncertain, is_news = [], 0, [], False
    for request in calls:
        first, id = request is calls[0], f"{to} {key} {request.part}"
        show = partial(page.add, id, chat=to, text=request.text, photos=request.photos,
                       reply_to=f"{to} {reply_to}" if reply_to and first else "")  # fmt: skip
        send = show if local else partial(request.call, telegram, chat, thread, answered if first else None)
        claim = _deliver(Part(key, request.part, chat, headline(text), task), ledger, telegram, send, lacks)
        if claim.status == "uncertain":
            uncertain.append(f"part {request.part}: {claim.detail}")
            is_news |= bool(claim.token)
        if not page.contains(id):
            show(note="may not have arrived" if claim.status == "uncertain" else "")
        ids, sent_now = [*ids, *claim.message_ids], sent_now + (claim.status == "sending")
    if uncertain:
        raise Uncertain(
            f"it is not known whether {key} arrived: {'; '.join(uncertain)}. Look into the chat; it is not sent again by "
            "itself. Run with resend to send it once more.",
            is_news,
        )
    delivery = Delivery(tuple(ids), len(calls), sent_now)
    log.info("%s: %s", key, delivery)
    return delivery


def edit(key: str, text: str, revision: int, *, keep: bool = False, told: Sequence[Fact] = ()) -> Delivery:
    """Give a message of the team another text; its pictures stay. Where it cannot be edited any more, or it is not known
    which it is, a reply says it: one for each message, which is edited from then on.

    Args:
        key: that it was posted under.
        text: as of `post`; what is too long is cut at a line end.
        revision: above 0; the later text has the greater one, such as the slot that it is about. Once per revision; what comes
            after a greater one is left out.
        keep: the text before stays below.
        told: the numbers in it, as of `post`.

    Raises:
        ValueError, KeyTaken, Refused, Undelivered: as of `post`. An edit without an answer is repeated.
        Uncertain: the reply may have arrived.
    """
    known, local = settings(), not settings().telegram_token.get_secret_value()
    text = redact(visible(text))
    check(text)
    chat = _chat("team")
    telegram, ledger, reply = None if local else Telegram(known), Ledger(idempotent=local), f"{key}/reply"
    part = Part(key, EDIT, chat, headline(text), sender().task, revision)
    _check_owners(key, part.task, set(ledger.begun(key, chat).values()))

    def send() -> list[int]:
        if told:
            reported.state(key, told)
        about = reply if ledger.editable(reply, chat) else key
        place = ledger.editable(about, chat)
        if not place:
            return list(post(reply, text, reply_to=key).message_ids)
        name, message = place
        id = f"team {about} {name}"
        before = page.text_before(id, revision) if keep else ""
        whole = cut(f"{text}\n\n{before}" if before else text, limit_of(name))
        try:
            if not local:
                edited(telegram, chat, name, message, whole)
        except NotEditable as error:
            log.warning("%s: %s; a reply says it", key, error)
            return list(post(reply, text, reply_to=key).message_ids)
        page.edit(id, chat="team", text=whole, revision=revision)
        return [message]

    claim = _deliver(part, ledger, telegram, send)
    if claim.status == "uncertain":
        raise Uncertain(claim.detail, bool(claim.token))
    return Delivery(claim.message_ids, 1, int(claim.status == "sending"))


def lacks(key: str) -> str:
    """What a message of the team could not say when it was posted; empty: nothing, or it was not posted."""
    local = not settings().telegram_token.get_secret_value()
    return Ledger(idempotent=local).lacks(key, _chat("team"))


def _chat(to: str) -> str:
    """What the ledger calls the chat of the team or of operations."""
    known = settings()
    if not known.telegram_token.get_secret_value():
        return f"page {to}"
    return known.telegram_chat_id if to == "team" else known.ops_chat_id


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


def _deliver(part: Part, ledger: Ledger | PageLedger, telegram: Telegram | None, send, lacks: str = "") -> Claim:
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
            ledger.close(part, claim.token, "sent", ids, lacks)
            if telegram and part.chat in telegram.moved:
                ledger.moved(part.chat, telegram.moved[part.chat])
            return replace(claim, message_ids=tuple(ids))
