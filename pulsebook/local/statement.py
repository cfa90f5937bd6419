"""What a server must know of a statement before the engine does.

    >>> statement = Statement(b"INSERT INTO t (a) FORMAT CSV\\n1\\n")
    >>> statement.insert.format, statement.source[statement.insert.data :]
    ('CSV', b'1\\n')

No more is read of it than is asked for, and of an insert nothing beyond the point where its data begin. What cannot be a
statement is none of these kinds; the engine says what is wrong with it.
"""

from collections.abc import Iterator

from pulsebook.local.clauses import begins_insert, format_clauses, outermost, threes
from pulsebook.local.insert import Insert, insert_from
from pulsebook.local.sql import Token, significant
from pulsebook.local.threads import found_once

READS = {"SELECT", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "VALUES"}
SESSION = {"SET", "USE"}  # what changes the session alone


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
            return not any(begins_insert(*three) for three in threes(self._significant()))
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
        clauses = list(format_clauses(self._significant()))
        return clauses[-1][1].value.decode("utf-8", "replace") if clauses else None

    @found_once
    def output_at(self) -> int:
        """Where a clause that says where the result goes may stand: after the query, before its FORMAT."""
        clauses = list(format_clauses(self._significant()))
        if clauses:
            return clauses[-1][0].end
        return max((token.end for token in outermost(self._significant()) if token.upper != ";"), default=0)

    @found_once
    def insert(self) -> Insert | None:
        """The insert that it is, also after WITH; None where it is another statement."""
        if self.keyword == "INSERT":
            return insert_from(self.source, self._first)
        return insert_from(self.source, self._written) if self.keyword == "WITH" and self._written else None

    @found_once
    def _first(self) -> Token | None:
        return next((token for token in self._significant() if token.upper != "("), None)

    @found_once
    def _written(self) -> Token | None:
        """The INSERT of a `WITH … INSERT`; what comes after the first SELECT outside of brackets is not looked at."""
        for before, token, after in threes(outermost(self._significant())):
            if token.upper == "SELECT" and before.upper not in ("AS", ",", "WITH") and after.upper != "AS":
                return None
            if begins_insert(before, token, after):
                return token
        return None
