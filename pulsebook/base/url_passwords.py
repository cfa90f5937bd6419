"""Where the passwords of URLs stand within a text, also those that should have been escaped and were not.

    >>> list(spans("postgres://me:pw-1@host/db"))  # pw-1
    [(14, 18)]

A password may hold `@`, `/` and quotes. Where a text can be read in two ways, the reading that hides more is taken only
if a host with a port follows: `http://me:a@b/c@host:8123` is, `http://me:a@host/c@d` is not, `http://host:8123/@d` has none.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_SCHEME = re.compile(r":\\{0,8}/\\{0,8}/")
_USER = re.compile(r"[^\s:/\"'\\<>\[\]]{0,256}:")
_PORT = re.compile(r"(?:\d{1,5}|\{[^{}\s]{0,60}\}|\$\{?\w{1,60}\}?)(?:[/?#\s\"'\\<>)\],;]|$)")
_STRICT = re.compile(r"[^\s/\"'\\<>]{0,1000}")
_LOOSE = re.compile(r"(?:[^\s<>\"']|[\"'](?![\s,;:)\]}]|$)){0,1000}")
_HOST = re.compile(r"[\w\[]")
_HOST_AND_PORT = re.compile(r"(?:[\w.-]{1,255}|\[[\da-fA-F:.]{2,45}\]):\d{1,5}(?!\w)")


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every password in a URL of the text, in order; linear in the text's length."""
    begins = [found.end() for found in _SCHEME.finditer(text)]
    for start, limit in pairwise([*begins, len(text)]):
        if (user := _USER.match(text, start, limit)) and not _PORT.match(text, user.end()):
            end = _end(text, user.end(), limit, "@" in user[0])
            if end > user.end():
                yield user.end(), end


def _end(text: str, start: int, limit: int, of_mail: bool) -> int:
    """Where the password ends, before its `@`; 0 if there is none."""
    strict = text.rfind("@", start, _STRICT.match(text, start, limit).end())
    loose = _LOOSE.match(text, start, limit).end()
    signs = [at for at in range(start, loose) if text[at] == "@"] if "@" in text[start:loose] else []
    sure = [at for at in signs if at > strict and _HOST_AND_PORT.match(text, at + 1)]
    if sure:
        return sure[0] if strict < 0 else sure[-1]
    if strict >= 0:
        return strict
    # `git@host:owner/name@v1` is no password
    return 0 if of_mail else next((at for at in signs if _HOST.match(text, at + 1)), 0)


_HOST_WITHOUT_SCHEME = re.compile(r"@(?P<sure>(?:tcp|unix)\(|[\w.-]{1,255}:\d{2,5}(?!\w))|@(?=[\w\[])")
_PAIR = re.compile(
    r"(?:^|[\s\"'=(\[{<,]|(?P<slashes>(?<![:/\\\w])//))[\w.-]{1,60}:(?P<password>(?!\d+\Z)[^\s:/@\"'<>()]{4,200})\Z"
)


def spans_without_scheme(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of passwords in `me:pw-1@tcp(host:3306)/db`, `me:pw-1@host:5432`, `//me:pw-1@host`; linear."""
    for found in _HOST_WITHOUT_SCHEME.finditer(text):
        begin = max(0, found.start() - 270)
        before = text[begin : found.start()]
        pair = _PAIR.search(before) if ":" in before and (found["sure"] or "//" in before) else None
        if pair and (pair["slashes"] or found["sure"] and not pair["password"].isalpha()):
            yield begin + pair.start("password"), begin + pair.end("password")
