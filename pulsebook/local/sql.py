r"""ClickHouse's SQL in tokens, as its own lexer sees it, in linear time whatever the text is.

    >>> [(token.kind, token.text) for token in tokens(b"SELECT 1 -- one")]
    [('word', b'SELECT'), ('space', b' '), ('number', b'1'), ('space', b' '), ('comment', b'-- one')]

Statements are bytes: an offset is an offset in what was sent, and a text that is not UTF-8 is as good as another. The
texts of all tokens put together are the statement. Kinds: `space`, `comment` (`--`, `//`, `#!`, `# ` up to the line's end;
`/* */`, which nest), `word`, `name` (an identifier in quotes), `number`, `string` (with `''` and `\'` within, `x'…'`,
`b'…'`, `$tag$…$tag$`), `symbol` (one sign), `error`
(a byte that means nothing; a quote or a comment without its end takes all that follows).
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

# Every repetition is possessive: nothing is read twice. The quotes of word processors have no escapes.
_NEXT = re.compile(
    rb"""
    (?P<space>(?:[ \t\n\r\f\v]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe1\xa0\x8e|\xe2\x80[\x80-\x8d\xa8\xa9\xaf]|\xe2\x81[\x9f\xa0]
        |\xe3\x80\x80|\xef\xbb\xbf)++)
    |(?P<comment>(?:--|//|\#[ !])[^\n]*+)
    |(?P<block>/\*)
    |(?P<string>'(?:[^'\\]|\\[\x00-\xff]|'')*+'|[xX]'[0-9a-fA-F]*+'|[bB]'[01]*+'|\xe2\x80\x98(?>[\x00-\xff]*?\xe2\x80\x99))
    |(?P<name>"(?:[^"\\]|\\[\x00-\xff]|"")*+"|`(?:[^`\\]|\\[\x00-\xff]|``)*+`|\xe2\x80\x9c(?>[\x00-\xff]*?\xe2\x80\x9d))
    |(?P<open>['"`]|[xXbB]'[\x00-\xff]|\xe2\x80[\x98\x9c](?=[\x00-\xff]{3}))
    |(?P<dollar>\$)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*+)
    |(?P<digit>[0-9])
    |(?P<dot>\.)
    |(?P<symbol>\\G|\xe2\x88\x92|!(?=[=~])|[-()\[\]{},;*+/%=<>?:|@^~])
    |(?P<error>[\x00-\xff])
    """,
    re.X,
)
_DIGITS = rb"(?:[0-9]++(?:_[0-9]++)*+)"
_HEX = rb"(?:[0-9a-fA-F]++(?:_[0-9a-fA-F]++)*+)"
_POWER = rb"(?:[eE](?=[\x00-\xff])(?:[+-](?=[\x00-\xff]))?+%s?+)?+" % _DIGITS
_NUMBER = re.compile(
    rb"(?:0[xX](?=[0-9a-fA-F])%s(?:\.%s?+)?+(?:[pP](?=[\x00-\xff])(?:[+-](?=[\x00-\xff]))?+%s?+)?+"
    rb"|(?:0[bB](?=[01]))?+%s(?:\.%s?+)?+%s)" % (_HEX, _HEX, _DIGITS, _DIGITS, _DIGITS, _POWER)
)
_WHOLE = re.compile(_DIGITS)
_FRACTION = re.compile(rb"\.%s?+%s" % (_DIGITS, _POWER))
_WORD_REST = re.compile(rb"[A-Za-z0-9_]*+")
_WORD_OR_DOLLAR = re.compile(rb"[A-Za-z0-9_$]*+")
_BLOCK_ENDS = re.compile(rb"/\*|\*/")
_ESCAPE = re.compile(rb"\\(x[\x00-\xff]{2}|[\x00-\xff])|(['\"`])\2")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED |= {b"0": b"\0", b"N": b""}


class Token(NamedTuple):
    """A piece of a statement: `source[start:end]`."""

    kind: str
    start: int
    end: int
    text: bytes

    @property
    def upper(self) -> str:
        """A word as keywords are compared, or a sign; empty for all others: what is quoted is no keyword."""
        return self.text.decode("latin-1").upper() if self.kind in ("word", "symbol") else ""

    @property
    def value(self) -> bytes:
        """What a string holds or an identifier is called: without quotes and escapes."""
        if self.kind not in ("string", "name"):
            return self.text
        quote = self.text[:1]
        if quote == b"\xe2":
            return self.text[3:-3]
        if quote == b"$":
            tag = self.text.index(b"$", 1) + 1
            return self.text[tag:-tag]
        if quote in b"xX":
            digits = self.text[2:-1]
            return bytes.fromhex(digits.decode()) if len(digits) % 2 == 0 else self.text
        if quote in b"bB":
            return self.text
        return _ESCAPE.sub(lambda match: _unescaped(match, quote), self.text[1:-1])


def _unescaped(match: re.Match, quote: bytes) -> bytes:
    if match[2]:
        return match[2] if match[2] == quote else match[0]
    escape = match[1]
    if len(escape) == 3:
        high, low = (
            int(digit, 16) if digit in "0123456789abcdefABCDEF" else 255 for digit in escape[1:].decode("latin-1")
        )
        return bytes([(16 * high + low) % 256])  # so the engine reads what is no digit
    if escape in _ESCAPED:
        return _ESCAPED[escape]
    return escape if escape in b"\\'\"`/=" or escape < b" " else b"\\" + escape


def tokens(source: bytes, start: int = 0) -> Iterator[Token]:
    """All tokens of a statement, from an offset on."""
    heredocs, before, position = None, "", start
    while position < len(source):
        match = _NEXT.match(source, position)
        kind, end = match.lastgroup, match.end()
        if kind == "block":
            kind, end = _block(source, end)
        elif kind == "open":
            kind, end = "error", len(source)
        elif kind == "dollar":
            heredocs = heredocs or _Heredocs(source)
            kind, end = heredocs.at(position)
        elif kind == "digit" or (kind == "dot" and _begins_number(source, position, before, start)):
            kind, end = _number(source, position, before)
        elif kind == "dot":
            kind = "symbol"
        token = Token(kind, position, end, source[position:end])
        yield token
        if kind not in ("space", "comment"):
            before = token.text if kind == "symbol" else kind
        position = end


def significant(source: bytes, start: int = 0) -> Iterator[Token]:
    """The tokens that mean something: all but spaces and comments."""
    return (token for token in tokens(source, start) if token.kind not in ("space", "comment"))


def _block(source: bytes, position: int) -> tuple[str, int]:
    """The end of a comment whose begin ends at `position`."""
    depth = 1
    for mark in _BLOCK_ENDS.finditer(source, position):
        depth += 1 if mark[0] == b"/*" else -1
        if not depth:
            return "comment", mark.end()
    return "error", len(source)


def _begins_number(source: bytes, position: int, before: bytes | str, start: int) -> bool:
    """Whether a dot is that of a number, and not one between names."""
    if position == start:
        return True
    return source[position + 1 : position + 2].isdigit() and before not in (b")", b"]", "word", "name", "number")


def _number(source: bytes, position: int, before: bytes | str) -> tuple[str, int]:
    """The end of what begins with a digit or with a dot before one: a number, or a word such as `2nd`."""
    if source[position : position + 1] == b".":
        return "number", _FRACTION.match(source, position).end()
    end = (_WHOLE if before == b"." else _NUMBER).match(source, position).end()
    rest = _WORD_REST.match(source, end).end()
    if rest == end:
        return "number", end
    return "word" if _WORD_OR_DOLLAR.fullmatch(source, position, rest) else "error", rest


class _Heredocs:
    """Where the tags of `$tag$…$tag$` are found again. A tag lies between two neighbouring dollar signs."""

    def __init__(self, source: bytes):
        self.source = source
        self.dollars = [match.start() for match in re.finditer(rb"\$", source)]
        self.found: dict[bytes, list[int]] = defaultdict(list)
        for first, second in zip(self.dollars, self.dollars[1:], strict=False):
            self.found[source[first:second]].append(first)

    def at(self, position: int) -> tuple[str, int]:
        """Kind and end of what begins with the dollar sign there."""
        index = bisect_left(self.dollars, position)
        if index + 1 < len(self.dollars):
            tag = self.source[position : self.dollars[index + 1]]
            again = self.found[tag]
            later = bisect_left(again, self.dollars[index + 1] + 1)
            if later < len(again):
                return "string", again[later] + len(tag) + 1
        end = _WORD_OR_DOLLAR.match(self.source, position + 1).end()
        following = self.source[position + 1 : position + 2]
        return ("symbol", position + 1) if following in (b"", b"$") or end == position + 1 else ("word", end)
