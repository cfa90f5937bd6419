"""Sessions: connections that are kept between requests, with what SET, USE and CREATE TEMPORARY TABLE left in them.

A session runs one statement at a time and ends when nobody has used it for its timeout. The table of sessions is used
within the event loop alone.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pulsebook.local.connection import Connection
from pulsebook.local.failure import Failure

TIMEOUT, LONGEST = 60, 3600  # seconds: ClickHouse's defaults
MOST = 2000  # sessions at a time


class Session:
    """A name, and the connection that its first statement opens."""

    def __init__(self):
        self.connection: Connection | None = None
        self.query_size: int | None = None  # bytes, where it has set max_query_size
        self.locked = False
        self.expiry: asyncio.TimerHandle | None = None


class Sessions:
    """The sessions of a server."""

    def __init__(self):
        self._known: dict[str, Session] = {}

    @contextmanager
    def session(self, given: dict[str, str]) -> Iterator[Session | None]:
        """The session that a request's parameters name, for the time of its statement; None where they name none."""
        name = given.get("session_id")
        if not name:
            yield None
            return
        timeout = _seconds(given.get("session_timeout"))
        session = self._known.get(name)
        if session is None:
            if given.get("session_check") == "1":
                raise Failure(372, "SESSION_NOT_FOUND", f"Session {name!r} not found: it has expired or never was")
            if len(self._known) >= MOST:
                raise Failure(
                    202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"There are {MOST} sessions; let some expire, or use none"
                )
            session = self._known[name] = Session()
        if session.locked:
            raise Failure(373, "SESSION_IS_LOCKED", f"Session {name!r} is locked by a concurrent client")
        if session.expiry:
            session.expiry.cancel()
        session.locked = True
        try:
            yield session
        finally:
            session.locked = False
            if given.get("close_session") == "1":
                self._expire(name)
            else:
                session.expiry = asyncio.get_running_loop().call_later(timeout, self._expire, name)

    def query_size(self, given: dict[str, str]) -> int | None:
        """Bytes that a query may have in the session that a request's parameters name, where it has set them."""
        session = self._known.get(given.get("session_id", ""))
        return session.query_size if session else None

    def _expire(self, name: str) -> None:
        connection = self._known.pop(name).connection
        if connection:
            asyncio.get_running_loop().run_in_executor(None, connection.close)


def _seconds(text: str | None) -> int:
    if text is None:
        return TIMEOUT
    if not text.isdecimal() or not text.isascii():
        raise Failure(36, "BAD_ARGUMENTS", f"session_timeout must be a whole number of seconds, got {text[:20]!r}")
    if int(text) > LONGEST:
        raise Failure(
            36, "BAD_ARGUMENTS", f"session_timeout {int(text)} is larger than the maximum of {LONGEST} seconds"
        )
    return int(text)
