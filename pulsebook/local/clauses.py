"""Clauses of a statement, found in its tokens."""

from collections.abc import Iterator

from pulsebook.local.sql import Token

NO_OPERAND = {
    "SELECT", "DISTINCT", "BY", "WHERE", "PREWHERE", "HAVING", "QUALIFY", "AND", "OR", "NOT", "ON", "FROM", "AS", "IN",
    "LIKE", "ILIKE", "BETWEEN", "WHEN", "THEN", "ELSE", "CASE", "LIMIT", "OFFSET", "UNION", "ALL", "EXCEPT", "INTERSECT",
    "WITH", "JOIN", "USING", "IS", "INTERVAL", "SETTINGS", "DIV", "MOD",
}  # fmt: skip
_BEFORE_A_NAME = {".", "AS", "FROM", "IN", "JOIN", "TABLE", "DATABASE", "DESCRIBE", "DESC", "EXISTS"}
NOTHING = Token("space", 0, 0, b"")


def threes(found: Iterator[Token]) -> Iterator[tuple[Token, Token, Token]]:
    """Each token with the one before and the one after it."""
    before, token = NOTHING, next(found, NOTHING)
    for after in found:
        yield before, token, after
        before, token = token, after
    yield before, token, NOTHING


def outermost(found: Iterator[Token]) -> Iterator[Token]:
    """The tokens outside of brackets, and the brackets."""
    depth = 0
    for token in found:
        sign = token.text if token.kind == "symbol" else b""
        depth -= sign in (b")", b"]", b"}")
        if depth <= 0:
            yield token
        depth += sign in (b"(", b"[", b"{")


def begins_insert(before: Token, token: Token, after: Token) -> bool:
    """Whether a token is the INSERT that begins one."""
    named = before.upper in ("AS", ",", ".", "WITH")  # a column or an alias of this name
    return token.upper == "INSERT" and not named and (after.kind in ("word", "name") or after.upper == "{")


def format_clauses(found: Iterator[Token]) -> Iterator[tuple[Token, Token]]:
    """Where FORMAT stands after an operand, so that it is no column of this name, and before a name: operand and name."""
    earlier = NOTHING
    for before, token, name in threes(outermost(found)):
        if token.upper == "FORMAT" and name.kind in ("word", "name") and name.upper != "AS" and _ends(earlier, before):
            yield before, name
        earlier = before


def _ends(before: Token, token: Token) -> bool:
    """Whether an operand or a clause ends with a token: also a keyword can be a name, as in `FROM system.settings`."""
    if token.kind == "word":
        name = before.upper in _BEFORE_A_NAME or (before.upper, token.upper) == ("BY", "ALL")
        return name or token.upper not in NO_OPERAND
    return token.kind in ("name", "number", "string") or token.upper in (")", "]", "}", "*")
