"""The calls of the Bot API that a message takes, and the one that edits it."""

from dataclasses import dataclass

from pulsebook.chat.markup import CAPTION_LIMIT, TEXT_LIMIT, length, split
from pulsebook.chat.telegram import Telegram

ALBUM = 10  # pictures at most in one album
AS_TEXT = {"parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}


@dataclass(frozen=True)
class Request:
    """One call that sends."""

    part: str  # text 1, text 2, pictures 1, …
    text: str
    photos: list[bytes]

    def call(self, telegram: Telegram, chat: str, thread: int | None, reply_to: int | None) -> list[int]:
        fields = {"chat_id": chat, "message_thread_id": thread}
        if reply_to:
            fields["reply_parameters"] = {"message_id": reply_to, "allow_sending_without_reply": True}
        if not self.photos:
            return telegram.call("sendMessage", {**fields, "text": self.text, **AS_TEXT})
        if len(self.photos) == 1:
            caption = {"caption": self.text, "parse_mode": "HTML"} if self.text else {}
            return telegram.call("sendPhoto", {**fields, **caption}, {"photo": self.photos[0]})
        files = {f"photo{n}": photo for n, photo in enumerate(self.photos, 1)}
        media = [{"type": "photo", "media": f"attach://{name}"} for name in files]
        if self.text:
            media[0] |= {"caption": self.text, "parse_mode": "HTML"}
        return telegram.call("sendMediaGroup", {**fields, "media": media}, files)


def requests(text: str, photos: list[bytes], begun: set[str]) -> list[Request]:
    """The calls that a message takes: text and pictures together where they fit, and as they went out before where a
    part has begun: the text of a re-run may be longer or shorter."""
    fits = length(text) <= CAPTION_LIMIT
    caption = text if photos and "text 1" not in begun and (fits or "pictures 1" in begun) else ""
    calls = [] if caption else [Request(f"text {n}", piece, []) for n, piece in enumerate(split(text, TEXT_LIMIT), 1)]
    for number, first in enumerate(range(0, len(photos), ALBUM), 1):
        calls.append(Request(f"pictures {number}", "" if first else caption, photos[first : first + ALBUM]))
    if not calls:
        raise ValueError("a message needs a text or a picture, found neither")
    return calls


def edited(telegram: Telegram, chat: str, part: str, message: int, text: str) -> None:
    """Give a part of a message, a text or pictures, another text.

    Raises:
        NotEditable, TryLater, Refused: as of `Telegram.edit`.
    """
    place = {"chat_id": chat, "message_id": message}
    if part.startswith("text"):
        telegram.edit("editMessageText", {**place, "text": text, **AS_TEXT})
    else:
        telegram.edit("editMessageCaption", {**place, "caption": text, "parse_mode": "HTML"})
