"""Telegram's Bot API through requests: one call, with what may be tried again and what may not.

    ChatError
    ├── Refused      Telegram said no (400, 401, 403, 404): trying again would not help
    ├── Undelivered  nothing arrived within the time budget: it may be sent again
    │   └── TryLater     nothing arrived at this attempt (no connection, 429, 5xx)
    └── Uncertain    the request was written, the answer was not read: it may have arrived, so it is not sent again

The Bot API knows no idempotency key. https://core.telegram.org/bots/api#making-requests
"""

import json
import logging
import ssl
import time

import requests
import urllib3

from pulsebook.archive.redact import redact
from pulsebook.settings import Settings

log = logging.getLogger(__name__)

BUDGET = 120.0  # seconds from the first attempt of a message within which a part is tried again, waits included
CONNECT_TIMEOUT = 15.0  # also what the upload may take: urllib3 has no timeout of its own for it
ANSWER_TIMEOUT = 30.0
FIRST_WAIT = 1.0  # seconds before a second attempt; doubles

# Before these there was no connection to write to. Other TLS errors may come after the request was written.
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError
)  # fmt: skip


class ChatError(RuntimeError):
    """A message was not delivered, or it is not known whether it was."""


class Refused(ChatError):
    """Telegram said no: trying again would not help."""


class Undelivered(ChatError):
    """Nothing arrived within the time budget: the message may be sent again."""


class Uncertain(ChatError):
    """The request was written but no answer was read: the message may have arrived."""


class _NoTokenInLogs(logging.Filter):
    """urllib3 logs the path of each request, which holds the token."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_NoTokenInLogs())


class TryLater(Undelivered):
    """This attempt did not arrive; another one may."""

    def __init__(self, message: str, seconds: float | None = None):
        super().__init__(message)
        self.seconds = seconds  # what Telegram asked for


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
        if answer["ok"]:
            result = answer.get("result")
            try:
                return [message["message_id"] for message in (result if isinstance(result, list) else [result])]
            except (TypeError, KeyError):
                raise Uncertain(f"{method} was answered with ok, but with no message") from None
        code, detail = answer.get("error_code"), answer.get("parameters") or {}
        said = redact(f"Telegram refused {method}: {code} {answer.get('description')}")
        if (new := detail.get("migrate_to_chat_id")) and fields["chat_id"] not in self.moved:
            self.moved[fields["chat_id"]] = str(new)
            log.warning("the chat has moved: set its new id %s in place of %s", new, fields["chat_id"])
            return self.call(method, fields, files)
        if code == 429 or isinstance(code, int) and code >= 500:
            raise TryLater(said, detail.get("retry_after"))
        raise Refused(said)

    def pause(self, error: TryLater) -> None:
        """Wait before another attempt.

        Raises:
            Undelivered: the time budget does not allow it.
        """
        seconds = self._wait if error.seconds is None else float(error.seconds)
        if time.monotonic() + seconds > self._deadline:
            raise Undelivered(f"{error}; given up, since the next attempt in {seconds:g} s would be too late") from None
        log.warning("%s; trying again in %g s", error, seconds)
        time.sleep(seconds)
        self._wait *= 2

    def _post(self, method: str, fields: dict, files: dict[str, bytes] | None) -> dict:
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
        try:
            answer = response.json()
            if isinstance(answer, dict) and isinstance(answer.get("ok"), bool):
                return answer
        except ValueError:
            pass  # not JSON: told below
        raise Uncertain(f"{method} was answered with status {response.status_code} and no word of Telegram")


def _first(error: Exception | None):
    """What an exception was made from."""
    return error.args[0] if error and error.args else None
