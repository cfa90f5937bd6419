"""Telegram's Bot API through requests: one call, with what may be tried again and what may not.

The Bot API knows no idempotency key. https://core.telegram.org/bots/api#making-requests
"""

import json
import logging
import ssl
import time

import requests
import urllib3

from pulsebook.base.redact import hide_in_logs_of_requests
from pulsebook.base.settings import Settings
from pulsebook.chat.answers import Answer, NotEditable, Refused, TryLater, Uncertain, Undelivered, read

log = logging.getLogger(__name__)

BUDGET = 120.0  # seconds from the first attempt of a message within which a part is tried again, waits included
CONNECT_TIMEOUT = 15.0  # also what the upload may take: urllib3 has no timeout of its own for it
ANSWER_TIMEOUT = 30.0
FIRST_WAIT = 1.0  # seconds before a second attempt; doubles

NOT_EDITABLE = (
    "message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID", "in the message to edit",
    "upgraded to a supergroup",  # whose messages have other ids
)  # fmt: skip

# Before these there was no connection to write to. Other TLS errors may come after the request was written.
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError
)  # fmt: skip


hide_in_logs_of_requests()  # the path of each holds the token


class Telegram:
    """The calls of one message: they share a time budget, and the chat's new id once it has moved."""

    def __init__(self, settings: Settings):
        self._base = f"{settings.telegram_api_url}/bot{settings.telegram_token.get_secret_value()}"
        self._deadline: float | None = None  # set at the first attempt: waiting for another sender does not count
        self._wait = FIRST_WAIT
        self.moved: dict[str, str] = {}  # chat ids that Telegram replaced (a group became a supergroup)

    def call(self, method: str, fields: dict, files: dict[str, bytes] | None = None) -> list[int]:
        """Call a method that sends, once; returns the ids of the messages that it made.

        Raises:
            TryLater, Refused, Uncertain: as their names say.
        """
        self._deadline = self._deadline or time.monotonic() + BUDGET
        chat = self.moved.get(fields["chat_id"], fields["chat_id"])
        answer = self._post(method, {**fields, "chat_id": chat}, files)
        if answer.ok:
            return list(answer.message_ids)
        said = f"Telegram refused {method}: {answer.code} {answer.description}"
        if answer.new_chat and fields["chat_id"] not in self.moved and "message_id" not in fields:
            self.moved[fields["chat_id"]] = answer.new_chat
            log.warning("the chat has moved: set its new id %s in place of %s", answer.new_chat, fields["chat_id"])
            return self.call(method, fields, files)
        if answer.code == 429 or answer.code >= 500:
            raise TryLater(said, answer.retry_after)
        raise Refused(said)

    def edit(self, method: str, fields: dict) -> list[int]:
        """Call a method that edits a message. It may be repeated: to be as it shall be already is no error.

        Raises:
            NotEditable, TryLater (also without an answer), Refused: as their names say.
        """
        try:
            return self.call(method, fields)
        except Uncertain as error:
            raise TryLater(str(error)) from None
        except Refused as error:
            if "message is not modified" in str(error):
                return [fields["message_id"]]
            if any(words in str(error) for words in NOT_EDITABLE):
                raise NotEditable(str(error)) from None
            raise

    def pause(self, error: TryLater) -> None:
        """Wait before another attempt.

        Raises:
            Undelivered: the time budget does not allow it.
        """
        seconds = self._wait if error.seconds is None else error.seconds
        if time.monotonic() + seconds > self._deadline:
            raise Undelivered(f"{error}; given up, since the next attempt in {seconds:g} s would be too late") from None
        log.warning("%s; trying again in %g s", error, seconds)
        time.sleep(seconds)
        self._wait *= 2

    def _post(self, method: str, fields: dict, files: dict[str, bytes] | None) -> Answer:
        """One request. Telegram's own answer, also a refusal; anything else is an exception without the token."""
        form = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in fields.items() if v is not None}
        pictures = {name: (f"{name}.png", data, "image/png") for name, data in (files or {}).items()}
        problem = None
        try:
            response = requests.post(
                f"{self._base}/{method}", data=form, files=pictures or None,
                timeout=(CONNECT_TIMEOUT, ANSWER_TIMEOUT), allow_redirects=False,
            )  # fmt: skip
        except requests.ConnectionError as error:
            reason = getattr(_first(error), "reason", None)
            if isinstance(reason, _NEVER_SENT) or isinstance(_first(reason), ssl.SSLCertVerificationError):
                problem = TryLater(f"no connection to the chat's server: {type(reason).__name__}")
            else:
                problem = Uncertain(f"the connection broke after {method} was sent: {type(error).__name__}")
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            problem = Refused(f"PULSEBOOK_TELEGRAM_API_URL cannot be used: {type(error).__name__}")
        except (requests.RequestException, ValueError) as error:
            problem = Uncertain(f"no answer to {method} within {ANSWER_TIMEOUT:g} s: {type(error).__name__}")
        if problem:
            raise problem  # outside the handlers: their exceptions name the URL, and with it the token
        return read(method, response)


def _first(error: Exception | None):
    """What an exception was made from."""
    return error.args[0] if error and error.args else None
