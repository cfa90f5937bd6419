"""What a server must know of an INSERT: where its target ends, and where and of what format its data are."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pulsebook.local.clauses import NOTHING, format_clauses
from pulsebook.local.sql import Token, significant

_OPENING, _CLOSING = {"(", "[", "{"}, {")", "]", "}"}
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


def insert_from(source: bytes, first: Token) -> Insert:
    """The insert that begins at a token."""
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
        following = next(found, NOTHING)
        if following.upper == "INFILE":
            return Insert(head, from_file=True)
    for _, name in format_clauses(found):
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
