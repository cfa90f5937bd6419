"""What a server must know of a statement before the engine does.

    >>> statement = Statement(b"INSERT INTO t (a) FORMAT CSV\\n1\\n")
    >>> statement.insert.format, statement.source[statement.insert.data :]
    ('CSV', b'1\\n')

No more is read of it than is asked for, and of an insert nothing beyond the point where its data begin. What cannot be a
statement is none of these kinds; the engine says what is wrong with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pulsebook.local.sql import Token, significant
from pulsebook.local.threads import found_once

READS = {"SELECT", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "VALUES"}
SESSION = {"SET", "USE"}  # what changes the session alone
_OPENING, _CLOSING = {"(", "[", "{"}, {")", "]", "}"}
NO_OPERAND = {
    "SELECT", "DISTINCT", "BY", "WHERE", "PREWHERE", "HAVING", "QUALIFY", "AND", "OR", "NOT", "ON", "FROM", "AS", "IN",
    "LIKE", "ILIKE", "BETWEEN", "WHEN", "THEN", "ELSE", "CASE", "LIMIT", "OFFSET", "UNION", "ALL", "EXCEPT", "INTERSECT",
    "WITH", "JOIN", "USING", "IS", "INTERVAL", "SETTINGS", "DIV", "MOD",
}  # fmt: skip
_BEFORE_A_NAME = {".", "AS", "FROM", "IN", "JOIN", "TABLE", "DATABASE", "DESCRIBE", "DESC", "EXISTS"}
_AFTER_TARGET = {"FORMAT", "VALUES", "SELECT", "WITH", "FROM", "WATCH", "TABLE", "EXPLAIN"}


@dataclass(frozen=True)
class Insert:
    """An INSERT, up to where its data begin; all offsets count bytes of the statement.

    Attributes:
        head: where the target, its columns and SETTINGS end, and VALUES, FORMAT, SELECT … begin.
        format: of the data; `Values` after VALUES; empty where none is named.
        data: where they begin, also where none follow; None where the statement has no data of its own: INSERT … SELECT
            without `FORMAT` (which it has where it reads from `input()`), FROM INFILE, or a statement that is cut off.
        selects: whether the rows come from a query.
    """

    head: int
    format: str = ""
    data: int | None = None
    selects: bool = False
    from_file: bool = False


class Statement:
    """One statement in bytes, perhaps with a semicolon after it."""

    def __init__(self, source: bytes):
        self.source = source
        self._tokens: list[Token] | None = None

    def examine(self) -> None:
        """Find out all of it now, in one reading where it has no data: later questions cost nothing."""
        if self.insert is None or self.insert.data is None:
            self._tokens = list(significant(self.source))
        try:
            _ = self.empty, self.several, self.reads and (self.format, self.output_at)
        finally:
            self._tokens = None  # they take a hundred times the statement's memory

    def _significant(self) -> Iterator[Token]:
        return significant(self.source) if self._tokens is None else iter(self._tokens)

    @found_once
    def keyword(self) -> str:
        """The first word in capitals, after comments and opening brackets; empty where there is none."""
        return self._first.upper if self._first and self._first.kind == "word" else ""

    @found_once
    def reads(self) -> bool:
        """Whether it only reads."""
        if self.keyword == "WITH":
            return self._written is None
        if self.keyword == "EXPLAIN":
            return not any(_begins_insert(*three) for three in _threes(self._significant()))
        return self.keyword in READS

    @found_once
    def selects(self) -> bool:
        """Whether it is a query whose rows may be many: SELECT, WITH … SELECT, FROM … SELECT."""
        return self.reads and self.keyword in ("SELECT", "WITH", "FROM")

    @found_once
    def empty(self) -> bool:
        """Whether there are only spaces, comments and semicolons."""
        return all(token.upper == ";" for token in self._significant())

    @found_once
    def several(self) -> bool:
        """Whether another statement follows after a semicolon; never where data follow."""
        if self.insert is not None and self.insert.data is not None:
            return False
        ended = False
        for token in self._significant():
            if ended and token.upper != ";":
                return True
            ended = ended or token.upper == ";"
        return False

    @found_once
    def format(self) -> str | None:
        """The format that a FORMAT clause at the end names for the result, as it is spelt."""
        clauses = list(_format_clauses(self._significant()))
        return clauses[-1][1].value.decode("utf-8", "replace") if clauses else None

    @found_once
    def output_at(self) -> int:
        """Where a clause that says where the result goes may stand: after the query, before its FORMAT."""
        clauses = list(_format_clauses(self._significant()))
        if clauses:
            return clauses[-1][0].end
        return max((token.end for token in _outermost(self._significant()) if token.upper != ";"), default=0)

    @found_once
    def insert(self) -> Insert | None:
        """The insert that it is, also after WITH; None where it is another statement."""
        if self.keyword == "INSERT":
            return _insert(self.source, self._first)
        return _insert(self.source, self._written) if self.keyword == "WITH" and self._written else None

    @found_once
    def _first(self) -> Token | None:
        return next((token for token in self._significant() if token.upper != "("), None)

    @found_once
    def _written(self) -> Token | None:
        """The INSERT of a `WITH … INSERT`; what comes after the first SELECT outside of brackets is not looked at."""
        for before, token, after in _threes(_outermost(self._significant())):
            if token.upper == "SELECT" and before.upper not in ("AS", ",", "WITH") and after.upper != "AS":
                return None
            if _begins_insert(before, token, after):
                return token
        return None


_NOTHING = Token("space", 0, 0, b"")


def _threes(found: Iterator[Token]) -> Iterator[tuple[Token, Token, Token]]:
    """Each token with the one before and the one after it."""
    before, token = _NOTHING, next(found, _NOTHING)
    for after in found:
        yield before, token, after
        before, token = token, after
    yield before, token, _NOTHING


def _outermost(found: Iterator[Token]) -> Iterator[Token]:
    """The tokens outside of brackets, and the brackets."""
    depth = 0
    for token in found:
        sign = token.text if token.kind == "symbol" else b""
        depth -= sign in (b")", b"]", b"}")
        if depth <= 0:
            yield token
        depth += sign in (b"(", b"[", b"{")


def _begins_insert(before: Token, token: Token, after: Token) -> bool:
    named = before.upper in ("AS", ",", ".", "WITH")  # a column or an alias of this name
    return token.upper == "INSERT" and not named and (after.kind in ("word", "name") or after.upper == "{")


def _format_clauses(found: Iterator[Token]) -> Iterator[tuple[Token, Token]]:
    """Where FORMAT stands after an operand, so that it is no column of this name, and before a name: operand and name."""
    earlier = _NOTHING
    for before, token, name in _threes(_outermost(found)):
        if token.upper == "FORMAT" and name.kind in ("word", "name") and name.upper != "AS" and _ends(earlier, before):
            yield before, name
        earlier = before


def _ends(before: Token, token: Token) -> bool:
    """Whether an operand or a clause ends with a token: also a keyword can be a name, as in `FROM system.settings`."""
    if token.kind == "word":
        name = before.upper in _BEFORE_A_NAME or (before.upper, token.upper) == ("BY", "ALL")
        return name or token.upper not in NO_OPERAND
    return token.kind in ("name", "number", "string") or token.upper in (*_CLOSING, "*")


def _insert(source: bytes, first: Token) -> Insert:
    depth, before = 0, first
    found = significant(source, first.start)
    for token in islice(found, 1, None):
        depth -= token.upper in _CLOSING
        query = token.upper in ("SELECT", "WITH") and before.upper == "("  # INSERT INTO t (SELECT …)
        keyword = (
            depth == 0 and token.upper in _AFTER_TARGET and before.upper not in ("INTO", ".", ",", "=", "SETTINGS")
        )
        if query or (keyword and not (before is first or (token.upper == "TABLE" and before.upper == "INTO"))):
            return _after_target(source, token, before.start if query else token.start, found)
        depth += token.upper in _OPENING
        before = token
    return Insert(len(source))


def _after_target(source: bytes, token: Token, head: int, found: Iterator[Token]) -> Insert:
    """The rest, from the keyword after the target on."""
    if token.upper == "VALUES":
        following = next(found, None)
        return Insert(head, "Values", following.start if following else len(source))
    if token.upper == "FORMAT":
        return _with_data(source, head, next(found, None), False)
    if token.upper == "FROM":
        following = next(found, _NOTHING)
        if following.upper == "INFILE":
            return Insert(head, from_file=True)
    for _, name in _format_clauses(found):
        return _with_data(source, head, name, True)
    return Insert(head, selects=True)


def _with_data(source: bytes, head: int, name: Token | None, selects: bool) -> Insert:
    """The data begin after the line with the format's name, or in it after spaces."""
    if name is None:
        return Insert(head, selects=selects)
    data = name.end
    while source[data : data + 1] in (b" ", b"\t", b"\f"):
        data += 1
    if source[data : data + 1] == b";":  # the end of the statement: as ClickHouse's clients send it before data
        data += 1
        while source[data : data + 1] in (b" ", b"\t", b"\f"):
            data += 1
    data += source[data : data + 1] == b"\r"
    data += source[data : data + 1] == b"\n"
    return Insert(head, name.value.decode("utf-8", "replace"), data, selects)
