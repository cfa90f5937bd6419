"""What the other end of the Bot API said: Telegram, a server of one's own, or a proxy before either.

    ChatError
    ├── Refused      a no (400, 401, 403, 404): trying again would not help
    │   └── NotEditable  the message is gone, or too old for an edit
    ├── Undelivered  nothing arrived within the time budget: it may be sent again
    │   └── TryLater     nothing arrived at this attempt (no connection, 429, 5xx)
    └── Uncertain    the request was written, the answer was not read: it may have arrived, so it is not sent again

Only what has the form that https://core.telegram.org/bots/api#making-requests describes is taken for a fact; a field of
another form counts as absent.
"""

import math
from dataclasses import dataclass

import requests

from pulsebook.base.errors import PulsebookError
from pulsebook.base.redact import redact
from pulsebook.base.texts import short

DESCRIBED = 300  # characters of a description that are shown
NO_ANSWER_YET = {504, 524}  # of a gateway that handed the request on and waited in vain: it may have arrived


class ChatError(PulsebookError, RuntimeError):
    """A message was not delivered, or it is not known whether it was.

    Attributes:
        is_news: nobody has been told so before.
    """

    is_news = True


class KeyTaken(ChatError):
    """Another task has sent a message under this key: this one was not sent."""


class Refused(ChatError):
    """Telegram said no: trying again would not help."""


class NotEditable(Refused):
    """The message to edit is gone, or too old."""


class Undelivered(ChatError):
    """Nothing arrived within the time budget: the message may be sent again."""


class TryLater(Undelivered):
    """This attempt did not arrive; another one may."""

    def __init__(self, message: str, seconds: float | None = None):
        super().__init__(message)
        self.seconds = seconds  # what was asked for


class Uncertain(ChatError):
    """The request was written but no answer was read: the message may have arrived."""

    def __init__(self, message: str, is_news: bool = True):
        super().__init__(message)
        self.is_news = is_news


@dataclass(frozen=True)
class Answer:
    """Telegram's own answer to a request."""

    ok: bool
    code: int = 200
    description: str = ""
    message_ids: tuple[int, ...] = ()
    retry_after: float | None = None  # seconds
    new_chat: str = ""  # the id of the chat, which has changed


def read(method: str, response: requests.Response) -> Answer:
    """The answer to a call of `method`.

    Raises:
        TryLater, Refused, Uncertain: it is not Telegram's; or it says ok and names no message.
    """
    try:
        said = response.json()
    except (ValueError, RecursionError):  # no JSON, or nested too deeply to be an answer
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
        raise _of_another(method, response)
    if said["ok"]:
        result = said.get("result")
        messages = result if isinstance(result, list) else [result]
        ids = tuple(_whole(message.get("message_id")) for message in messages if isinstance(message, dict))
        if not ids or None in ids or len(ids) != len(messages):
            raise Uncertain(f"{method} was answered with ok, but with no message id")
        return Answer(True, message_ids=ids)
    details = said.get("parameters") if isinstance(said.get("parameters"), dict) else {}
    code, moved = _whole(said.get("error_code")), _whole(details.get("migrate_to_chat_id"))
    return Answer(
        False,
        response.status_code if code is None else code,
        redact(short(said.get("description") or "without a reason", DESCRIBED)),
        retry_after=_seconds(details.get("retry_after")),
        new_chat=str(moved) if moved else "",
    )


def _of_another(method: str, response: requests.Response) -> ChatError:
    """A page of a proxy, or no answer at all."""
    status = response.status_code
    said = f"{method} was answered with status {status} and no word of Telegram"
    if status == 429 or status >= 500 and status not in NO_ANSWER_YET:
        wait = response.headers.get("Retry-After", "")
        return TryLater(said, _seconds(int(wait)) if wait.isascii() and wait.isdigit() and len(wait) < 9 else None)
    if 400 <= status < 500:
        return Refused(f"{said}: is PULSEBOOK_TELEGRAM_API_URL right, and does a proxy let it through?")
    return Uncertain(said)


def _whole(value) -> int | None:
    """A whole number of 64 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _seconds(value) -> float | None:
    """A time that can be waited for."""
    known = isinstance(value, float) and math.isfinite(value) or _whole(value) is not None
    return float(value) if known and value >= 0 else None
