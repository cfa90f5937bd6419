"""ClickHouse's HTTP interface over an engine: a request becomes a statement, its spool becomes the answer."""

import base64
import hmac
import json
import os
import re
import uuid

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pulsebook.local import query
from pulsebook.local.answer import Answer
from pulsebook.local.bodies import accepted, packed_as
from pulsebook.local.connection import escaped
from pulsebook.local.engine import Engine
from pulsebook.local.failure import Failure, code_of, status_of, text_of
from pulsebook.local.query import Query, header
from pulsebook.local.spool import Room, Spool
from pulsebook.local.sql import significant
from pulsebook.local.statement import Statement
from pulsebook.local.visitors import LoopbackOnly
from pulsebook.local.work import Desk, Work

HELD_BACK = 1 << 20  # bytes of a result that wait for a possible error
LZ4_HEADER = 7  # bytes of a frame's shortest header
COUNTS = (
    "read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read", "result_rows", "result_bytes",
    "elapsed_ns",
)  # fmt: skip


class Interface:
    """The application. `user` is the only one there is; an empty password lets it in with any."""

    def __init__(self, engine: Engine, user: str, password: str, room: Room):
        self.engine, self.user, self.password, self.room = engine, user, password, room
        self._desk: Desk | None = None
        self.app = LoopbackOnly(
            Starlette(routes=[Route("/ping", self.ping), Route("/", self.handle, methods=["GET", "POST"])])
        )

    @property
    def desk(self) -> Desk:
        self._desk = self._desk or Desk(self.engine)  # within the event loop
        return self._desk

    async def ping(self, request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def handle(self, request: Request) -> Response:
        headers, packing = {"X-ClickHouse-Timezone": os.environ["TZ"]}, ""
        try:
            given = query.parameters(request)
            headers["X-ClickHouse-Query-Id"] = query_id = _query_id(given)
            self._authenticate(request, given)
            packing = _packing(request, given)
            _refuse_what_is_not_done(given)
            asked = await self._read(request)
            try:
                response = await self._answer(request, asked, asked.given.get("query_id") and query_id)
            except BaseException:
                asked.close()
                raise
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # the boundary: whatever is raised is the client's answer
            response = _failure(error, packing)
        headers = {k: v.encode("utf-8", "replace").decode("latin-1") for k, v in headers.items()}
        response.headers.update(headers)
        response.headers.setdefault("X-ClickHouse-Summary", "{}")
        return response

    async def _read(self, request: Request) -> Query:
        desk = self.desk
        longest = desk.sessions.query_size(query.parameters(request))
        return await query.read(
            request, self.room, self.engine.query_size if longest is None else longest, desk.readers
        )

    def _authenticate(self, request: Request, given: dict[str, str]) -> None:
        user = header(request, "X-ClickHouse-User", given.get("user"))
        key = header(request, "X-ClickHouse-Key", given.get("password"))
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, key = base64.b64decode(credentials).decode("utf-8", "replace").partition(":")
            except ValueError:
                user, key = "?", ""
        known = (user or "default") == self.user
        right = not self.password or hmac.compare_digest((key or "").encode("utf-8", "replace"), self.password.encode())
        if not (known and right):
            name = re.sub(r"[^\w.@-]", "?", user or "default")
            raise Failure(
                516,
                "AUTHENTICATION_FAILED",
                f"{name}: Authentication failed: password is incorrect, or there is no user with such name",
            )

    async def _answer(self, request: Request, asked: Query, query_id: str | None) -> Response:
        if request.method != "POST":
            if not asked.given.get("query"):
                asked.close()
                return PlainTextResponse("Ok.\n")
            _read_only(asked)
        if asked.statement.empty:
            raise Failure(62, "SYNTAX_ERROR", "Syntax error: the query is empty")
        if asked.statement.several:
            raise Failure(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if named := _named_victim(asked):
            await self._kill(*named, asked)
        complete = asked.asks("wait_end_of_query")
        spool = Spool(self.room, waiting=self.room.total // 2, whole=True) if complete else Spool(self.room)
        packed = _packing(request, asked.given) if asked.statement.reads else ""
        work = Work(asked, query_id or str(uuid.uuid4()), spool, packed)
        self.desk.start(work)
        answer = Answer(self.desk, work, request.receive)
        await answer.begun(self.room.total if complete else HELD_BACK)
        if packed == "lz4" and spool.complete and spool.written < LZ4_HEADER:
            await spool.read(LZ4_HEADER)  # of nothing the engine makes the end of a frame alone
            packed = ""
        self._describe(answer, asked, packed)
        return answer

    def _describe(self, answer: Answer, asked: Query, packed: str) -> None:
        """The headers of a result."""
        counts = {name: str(answer.work.numbers.get(name, 0)) for name in COUNTS}
        answer.headers["X-ClickHouse-Summary"] = json.dumps(counts, separators=(",", ":"))
        if not asked.statement.reads:
            answer.headers["Content-Type"] = "text/plain; charset=UTF-8"
            return
        name = asked.statement.format or asked.format
        format = self.engine.formats.get(name.lower())
        if format:
            answer.headers["X-ClickHouse-Format"] = format.name
        answer.headers["Content-Type"] = format.content_type if format else "text/plain; charset=UTF-8"
        if packed and not (answer.spool.complete and not answer.spool.written):  # nothing is not packed
            answer.headers["Content-Encoding"] = packed
        answer.headers["X-ClickHouse-Exception-Tag"] = answer.tag

    async def _kill(self, victim: str, how: str, asked: Query) -> None:
        """Do what `KILL QUERY WHERE query_id = …` says; its answer is that of a SELECT."""
        killed = self.desk.running(victim) if how == "TEST" else await self.desk.kill(victim)
        format = asked.statement.format or asked.format
        select = (
            "SELECT 'finished' AS kill_status, {victim:String} AS query_id, {user:String} AS user, '' AS query "
            f"WHERE {int(killed)} FORMAT {format if format.isidentifier() else 'TabSeparated'}"
        )
        asked.statement, asked.params = Statement(select.encode()), {"victim": escaped(victim), "user": self.user}


def _query_id(given: dict[str, str]) -> str:
    """The id that the client gave, or a new one. It goes into a header: a line's end in it is refused."""
    query_id = given.get("query_id") or str(uuid.uuid4())
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", query_id) or len(query_id) > 1000:
        given["query_id"] = ""
        raise Failure(
            36, "BAD_ARGUMENTS", "query_id must be at most 1000 characters of text without control characters"
        )
    return query_id


def _refuse_what_is_not_done(given: dict[str, str]) -> None:
    if role := given.get("role"):
        raise Failure(511, "UNKNOWN_ROLE", f"There is no role {role[:50]!r}: the embedded warehouse has no roles")
    for flag, instead in (
        ("compress", "enable_http_compression=1 and the header Accept-Encoding"),
        ("decompress", "the header Content-Encoding"),
    ):
        if given.get(flag, "0").lower() not in ("", "0", "false"):
            raise Failure(
                48,
                "NOT_IMPLEMENTED",
                f"The embedded warehouse does not do {flag}={given[flag][:10]} (the native protocol's blocks); "
                f"use {instead} (gzip, deflate, zstd, lz4)",
            )


def _read_only(asked: Query) -> None:
    """A GET reads, whatever its parameters say."""
    if not asked.statement.reads and asked.statement.keyword not in ("SET", "USE"):
        raise Failure(164, "READONLY", "A GET only reads: send this statement with POST")
    if asked.given.get("session_id"):
        asked.settings.pop("readonly", None)  # it could not be taken back from a session
    elif asked.settings.get("readonly") != "1":
        asked.settings["readonly"] = "2"


def _named_victim(asked: Query) -> tuple[str, str] | None:
    """The id of `KILL QUERY WHERE query_id = '…'`, and SYNC, ASYNC or TEST: the engine knows statements under other ids."""
    if asked.statement.keyword != "KILL" or len(asked.statement.source) > query.SMALL:
        return None
    found = [token for token in significant(asked.statement.source) if token.upper != ";"]
    words = [token.upper for token in found[:5]]
    if words != ["KILL", "QUERY", "WHERE", "QUERY_ID", "="] or len(found) < 6 or found[5].kind != "string":
        return None
    rest = [token.upper for token in found[6:]]
    how = rest.pop(0) if rest and rest[0] in ("SYNC", "ASYNC", "TEST") else "ASYNC"
    if rest and (rest[0] != "FORMAT" or len(rest) != 2):
        return None
    return found[5].value.decode("utf-8", "replace"), how


def _packing(request: Request, given: dict[str, str]) -> str:
    """How the answer is packed: as ClickHouse does it, only where both the parameter and the header ask for it."""
    asked = given.get("enable_http_compression", "").lower() in ("1", "true")
    return accepted(request.headers.get("Accept-Encoding", "")) if asked else ""


def _failure(error: Exception, packing: str) -> Response:
    text, encoding = packed_as(packing, f"{text_of(error)}\n".encode())
    response = Response(text, status_of(error), media_type="text/plain")
    response.headers["X-ClickHouse-Exception-Code"] = str(code_of(error))
    if encoding:
        response.headers["Content-Encoding"] = encoding
    return response
