"""Talking to ClickHouse over HTTP: the one place where bytes leave, and the seam by which pandahouse talks through it."""

import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import pandahouse.http
import requests

from pulsebook.base.texts import visible
from pulsebook.warehouse.errors import PassingError, RefusedError, WarehouseError

CONNECT_TIMEOUT = 10  # seconds to get a connection
READ_ATTEMPTS = 3  # of a read that fails with nothing wrong in it
STATEMENT_SHOWN = 600  # characters of a statement in an error


class _Requests:
    """Stands in for the `requests` module inside pandahouse: adds timeout and credentials, checks the answer. It asks the
    server that this thread has named; where it has named none, as `requests` itself does."""

    def post(self, url, params=None, data=None, files=None, stream=False):
        warehouse, retry = _asked.get()
        if warehouse is None:
            return requests.post(url, params=params, data=data, files=files, stream=stream)
        statement = params["query"]
        for attempt in range(1, READ_ATTEMPTS + 1 if retry else 2):
            try:
                return warehouse._post(statement, data, stream)
            except PassingError:
                if not retry or attempt == READ_ATTEMPTS:
                    raise
                time.sleep(0.5 * attempt)


_asked: ContextVar[tuple] = ContextVar("asked", default=(None, False))  # the server, whether to try again
pandahouse.http.requests = _Requests()  # pandahouse names `requests` as a module global: the one seam it has


@contextmanager
def through(warehouse, retry: bool):
    """This thread's pandahouse talks to this server meanwhile."""
    token = _asked.set((warehouse, retry))
    try:
        yield
    finally:
        _asked.reset(token)


def braces(sql: str) -> str:
    """pandahouse formats statements with str.format: braces are doubled to come through as they are."""
    return sql.replace("{", "{{").replace("}", "}}")


def post(url: str, timeout: float, statement: str, data, stream: bool) -> requests.Response:
    """POST one statement; "surrogateescape" in it stands for bytes. Raises `WarehouseError`, with nothing secret in it."""
    parts = urlsplit(url)
    try:
        sent = statement.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        half = f"character {error.start + 1} of the statement is half of one ({statement[error.start]!a}): nothing was sent"
        raise WarehouseError(message(url, visible(statement), half)) from None
    params = {"query": sent} if data is not None else {}
    params["wait_end_of_query"] = 1  # an error in mid-result becomes a status, not a row
    headers = {"Accept-Encoding": "identity"} | credentials(parts)  # pandahouse reads the raw stream
    try:
        response = requests.post(
            without_user(parts, parts.query),
            params=params,
            data=data if data is not None else sent,
            headers=headers,
            stream=stream,
            timeout=(CONNECT_TIMEOUT, timeout),
        )
    except requests.ConnectionError as error:
        problem = f"no connection ({type(error).__name__}): is the server up, is the URL right?"
        raise PassingError(message(url, statement, problem)) from None
    except requests.Timeout:
        problem = f"no answer within {timeout:g} s (PULSEBOOK_QUERY_TIMEOUT)"
        raise WarehouseError(message(url, statement, problem)) from None
    except requests.RequestException as error:
        raise WarehouseError(message(url, statement, f"broken answer ({type(error).__name__})")) from None
    if not response.ok or "X-ClickHouse-Exception-Code" in response.headers:
        text = response.text.strip()[:2000]
        if "system.tables" in statement and re.match(r"Code: (60|107)\b", text):
            raise PassingError(message(url, statement, text))
        raise RefusedError(message(url, statement, text), text)
    return response


def credentials(parts: SplitResult) -> dict[str, bytes]:
    """User and password of a server's URL as headers; none where it names no user."""
    if parts.username is None:
        return {}
    # As bytes: ClickHouse expects UTF-8, and of text the client would make Latin-1 or fail
    return {
        "X-ClickHouse-User": unquote(parts.username).encode(),
        "X-ClickHouse-Key": unquote(parts.password or "").encode(),
    }


def without_user(parts: SplitResult, query: str) -> str:
    """A server's URL without user and password, with this query."""
    return urlunsplit((parts.scheme, f"{parts.hostname}:{parts.port}", parts.path or "/", query, ""))


def with_settings(url: str, settings: dict) -> str:
    """A server's URL with these settings, whatever it says of them."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode({**given, **settings}), ""))


def message(url: str, statement: str, problem: str) -> str:
    """An error's text: server, problem and statement, without the password."""
    parts = urlsplit(url)
    statement = statement if len(statement) <= STATEMENT_SHOWN else statement[:STATEMENT_SHOWN] + " …"
    text = f"ClickHouse at {address(url)}: {problem}\nin: {statement}"
    for secret in filter(None, (parts.password, unquote(parts.password or ""))):
        text = text.replace(secret, "***")
    return text


def address(url: str) -> str:
    """A URL as it may be shown: host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"
