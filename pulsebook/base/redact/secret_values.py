"""The value that stands after a name that calls it secret: in quotes or bare, and whether it can be a secret's at all."""

import re
from collections.abc import Iterator

from pulsebook.base.redact.judging import PLAIN, is_random
from pulsebook.base.secret_names import is_password, is_path, is_placeholder, is_secret

Span = tuple[int, int]
_NEXT = re.compile(r"\s{0,40}[,:]\s{0,40}[rRbBuUfF]{0,2}(?P<quote>\\{0,16}[\"'])")
_BARE = re.compile(r"[^\s\"'<>,;&|(){}\[\]`\\]{1,512}")
_REST_OF_LINE = re.compile(r"[^\n\r\"'<>]{1,1000}")
_NO_SPACE = re.compile(r"\S{1,512}")
_CODE = re.compile(r"[A-Za-z_][\w.]*[(\[]|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_SCHEME = re.compile(r"(?i:basic|bearer|token|digest|apikey|negotiate|aws4-hmac-sha256)\s+")
_AFTER_QUOTE = re.compile(r"[\s,;:)\]}&|+.%<>\\\"'#]|$")
_CLOSED = re.compile(r"\s*[+,).%\]]")
_BEFORE_CODE = re.compile(r"\b(?:lambda\b[^:\n]{0,50}|(?:if|elif|while|not|and|or|in) )\Z")
_WHOSE = re.compile(r"(?i)\b(?:your|the|my|new|old|user|admin|root|db|default|initial|and|с|ваш|новый|мой|и)\Z")
LONGEST, MOST_QUOTES = 4096, 50  # characters of a quoted value, and quotes within it


def quoted_values(name: str, text: str, quote: re.Match, among: bool = False) -> Iterator[Span]:
    """The quoted text, and those that follow it in a list; `among`: the name is one of several that are assigned to."""
    while quote:
        end = _end_of_quoted(text, quote.end(), quote["quote"])
        if end < 0:  # cut off
            cut = _BARE.match(text, quote.end())
            if cut and is_random(cut[0]):
                yield from kept(name, text, *cut.span())
            return
        if (
            not _CLOSED.match(text[quote.end() : quote.end() + 20])
            or text[quote.end() : end].lstrip(" +,).%]")[:1] not in "\"'"
        ):
            yield from kept(name, text, quote.end(), end, quoted=True)
        in_list = "list" not in quote.re.groupindex or quote["list"] or among
        quote = _NEXT.match(text, end + len(quote["quote"])) if in_list else None


def _end_of_quoted(text: str, start: int, quote: str) -> int:
    """Where the quoted text ends; -1 if it does not end on its line."""
    limit = min(len(text), start + LONGEST)
    if len(quote.lstrip("\\")) == 1 and (line := text.find("\n", start, limit)) >= 0:
        limit = line
    first, at, slashes = -1, start - 1, len(quote) - len(quote.lstrip("\\"))
    for _ in range(MOST_QUOTES):
        at = text.find(quote, at + 1, limit)
        if at < 0:
            break
        before = at - len(text[max(start, at - 40) : at].rstrip("\\")) - max(start, at - 40)
        if before % 2 if slashes == 0 else before:
            continue
        first = at if first < 0 else first
        if at > start and _AFTER_QUOTE.match(text, at + len(quote)):
            return at
        if at == start:
            return at
    return first


def bare_value(name, text, start, found, code, sign) -> Iterator[Span]:
    at, alone = found.end(), not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t-")
    if "\n" in (found["after"] or "") or sign in ("==", "!=") or _BEFORE_CODE.search(text, max(0, start - 60), start):
        return
    tight = sign == "=" and not found["before"] and not found["after"]
    if (scheme := _SCHEME.match(text, at)) or ("-" in name.strip("-") and sign == ":"):  # a header
        at = scheme.end() if scheme else at
        rest = _REST_OF_LINE.match(text, at)
        if rest and (" " not in rest[0].strip() or is_random(rest[0].split()[0]) or "cookie" in name.lower()):
            yield from kept(name, text, at, at + len(rest[0].rstrip()))
        return
    value = _BARE.match(text, at)
    if tight and alone and not code and (rest := _NO_SPACE.match(text, at)) and not _CODE.match(rest[0]):
        value = rest  # a line of an environment
    if not value or _CODE.match(value[0]) or text[value.end() : value.end() + 1] in ("(", "["):
        return
    word, ends_line = value[0], not text[value.end() : value.end() + 80].partition("\n")[0].strip(" \t\r")
    if (
        word.lower().strip(".,:;!?") in PLAIN
        or is_secret(word)
        and word.isidentifier()
        and not any(map(str.isdigit, word))
    ):
        return
    if word.isdigit():
        sure = is_password(name) and len(word) >= 4 and name[-1:] not in "sS" and _is_no_count(text, start, sign, value)
    elif code:  # a name, unless it ends a text or stands among other words
        sure = is_random(word) and (
            not word.isidentifier()
            or text[value.end() : value.end() + 1] in ("'", '"', ";", "&")
            or (tight and re.match(r" \w", text[value.end() : value.end() + 2]))
        )
    elif sign is None and not (found["option"] and name.startswith("--")):
        sure = alone and ends_line and is_random(word) and name.lower() != "pass"
    else:
        sure = is_random(word) or (
            len(word) >= 6 and is_password(name) and (tight or found["option"] or alone and ends_line)
        )
    if sure:
        yield from kept(name, text, value.start(), value.start() + len(word.rstrip(",;")))


def _is_no_count(text: str, start: int, sign: str | None, value: re.Match) -> bool:
    """Whether digits after a name are no number of passwords: `by password: 1204 (55 %)`, a column of counts."""
    if sign is None:
        return False
    before = text[max(text.rfind("\n", 0, start) + 1, start - 40) : start].rstrip(" -*#")
    is_number = text[value.end() : value.end() + 2][:1] == " " and text[value.end() + 1 : value.end() + 2].isalnum()
    return sign != ":" or not (
        before[-1:].isalpha() and not _WHOSE.search(before) or is_number or text[value.end() : value.end() + 2] == " ("
    )


def kept(name: str, text: str, start: int, end: int, quoted: bool = False) -> Iterator[Span]:
    """The span, if its text can be a secret's value."""
    value = text[start:end]
    if not value.strip() or value.lower().strip(" .") in PLAIN or is_placeholder(value) or is_path(value):
        return
    if quoted and not is_password(name) and value.replace(" ", "").isalpha() and len(value) < 16:
        return  # `{"token": "word", …}`
    if quoted and value.count(" ") > 1 and value.rstrip()[-1] in ".!?:":
        return  # a sentence
    yield start, end
