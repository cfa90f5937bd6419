"""Statements under way: each waits for its turn without a thread, runs in one, and can be killed by its query id."""

import asyncio
import os

from pulsebook.local.connection import Connection
from pulsebook.local.engine import Engine
from pulsebook.local.failure import Failure
from pulsebook.local.query import Query
from pulsebook.local.session import Session, Sessions
from pulsebook.local.spool import Closed, Spool
from pulsebook.local.sql import significant
from pulsebook.local.threads import workers

# Statements at a time; more wait in line. On two cores the engine itself ends no more of them a second in 16 threads than
# in 4, while every further thread takes the event loop's share of the interpreter and memory of its own.
PARALLEL = 2 * (os.cpu_count() or 2)
READERS = 1  # threads that read long queries
WAITING = 12  # more that may be under way because they wait for their readers, or take long
LONG = 1.0  # seconds after which a statement gives its turn up to the next one


class Work:
    """One statement, from its place in line to its end. Its result goes to `spool`, whoever reads it or leaves."""

    def __init__(self, query: Query, query_id: str, spool: Spool, packed: str = ""):
        self.query, self.query_id, self.spool, self.packed = query, query_id, spool, packed
        self.connection: Connection | None = None
        self.killed = self.started = False
        self.numbers: dict[str, int] = {}

    def execute(self, engine: Engine, session: Session | None) -> None:
        """Run it, in a thread."""
        kept = session.connection if session else None
        self.connection = kept or engine.connection()
        if session:
            session.connection = self.connection
        query = self.query
        state = None
        try:
            if session:
                state = self.connection.state(query.settings)
            self.connection.configure(query.database, query.settings)
            if self.killed or self.spool.closed:
                raise Failure(394, "QUERY_WAS_CANCELLED", "Query was cancelled")
            self.numbers = self.connection.run(query, self.spool, self.packed)
            if session and query.statement.keyword == "SET" and b"max_query_size" in query.statement.source.lower():
                session.query_size = self.connection.query_size()
        finally:
            connection, self.connection = self.connection, None
            if not session:
                connection.close()
            elif state:
                connection.restore(_kept(state, query))


class Turn:
    """A statement's turn: over when it ends, begins to wait for its reader, or takes long."""

    def __init__(self, turns: asyncio.Semaphore):
        self._turns, self._over = turns, False

    def give_up(self) -> None:
        """In the event loop; again changes nothing."""
        if not self._over:
            self._over = True
            self._turns.release()

    async def __aenter__(self) -> "Turn":
        await self._turns.acquire()
        self._end = asyncio.get_running_loop().call_later(LONG, self.give_up)
        return self

    async def __aexit__(self, *_) -> None:
        self._end.cancel()
        self.give_up()


class Desk:
    """Where statements are handed in."""

    def __init__(self, engine: Engine):
        self.engine, self.sessions = engine, Sessions()
        self._turns = asyncio.Semaphore(PARALLEL)
        self._threads = workers(PARALLEL + WAITING, "statement")
        self.readers = workers(READERS, "reader")
        self._running: dict[str, Work] = {}
        self._line: set[Work] = set()  # those without a thread
        self._tasks: set[asyncio.Task] = set()

    def start(self, work: Work) -> None:
        """Put it in line. Raises Failure where another statement has its query id, or its session is in use."""
        if work.query_id in self._running:
            raise Failure(
                216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", f"Query with id = {work.query_id} is already running"
            )
        lease = self.sessions.session(work.query.given)
        session = lease.__enter__()
        self._running[work.query_id] = work
        self._line.add(work)
        work.spool.in_line = lambda: bool(self._line)
        work.spool.needed = lambda: bool(self._line) and len(self._running) - len(self._line) >= PARALLEL + WAITING
        task = asyncio.create_task(self._run(work, lease, session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Work, lease, session: Session | None) -> None:
        error = None
        try:
            async with Turn(self._turns) as turn:
                work.spool.on_wait = turn.give_up
                if not (work.killed or work.spool.closed):
                    work.started = True
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(self._threads, self._execute, work, session)
                elif work.killed:
                    error = Failure(394, "QUERY_WAS_CANCELLED", "Query was cancelled")
        except Closed:
            pass  # the client has left: nobody is to be answered
        except Exception as raised:  # whatever the engine raises is the client's answer
            error = raised
        finally:
            del self._running[work.query_id]
            self._line.discard(work)
            lease.__exit__(None, None, None)
            work.query.close()
            work.spool.finish(error)

    def _execute(self, work: Work, session: Session | None) -> None:
        self._line.discard(work)
        work.execute(self.engine, session)

    def running(self, query_id: str) -> bool:
        return query_id in self._running

    async def kill(self, query_id: str) -> bool:
        """End the statement with this id; whether there was one."""
        work = self._running.get(query_id)
        if work:
            await self.end(work)
        return work is not None

    async def end(self, work: Work) -> None:
        """Kill it: in line, or in the engine, until it has ended."""
        work.killed = True
        while work.started and self._running.get(work.query_id) is work:
            if connection := work.connection:
                await asyncio.to_thread(self.engine.kill, connection.number)
            await asyncio.sleep(0.05)

    def abandon(self, work: Work) -> None:
        """The client has left: what only reads ends; what writes goes on, as at ClickHouse."""
        work.spool.close()
        if work.query.statement.reads:
            task = asyncio.create_task(self.end(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _kept(state: tuple[str, dict], query: Query) -> tuple[str | None, dict]:
    """What of a session's state comes back after a statement: all but what the statement is there to change."""
    database, settings = state
    if query.statement.keyword == "USE":
        database = None
    if query.statement.keyword == "SET":
        named = {token.text.decode("latin-1") for token in significant(query.statement.source)}
        settings = {name: value for name, value in settings.items() if name not in named}
    return database, settings
