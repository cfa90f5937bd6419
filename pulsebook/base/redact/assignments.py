"""Values that a name calls secret, as people and programs write them down: in code, output, headers, YAML, XML, DSNs.

    password = "pw-1"    {'password': 'pw-1'}    dict(pwd='pw-1')    X-ClickHouse-Key: pw-1    <password>pw-1</password>

Code that computes a value (`password = variables["X"]`, `token = get_token()`) and prose (`password: see the wiki`) have none.
"""

import re
from collections.abc import Iterator

from pulsebook.base.redact.judging import PLAIN, is_random
from pulsebook.base.secret_names import is_password, is_path, is_placeholder, is_secret

Span = tuple[int, int]
_KEYWORDS = (
    "pass", "pw", "secret", "token", "key", "cred", "authorization", "cookie", "jwt", "fernet", "парол", "секрет", "токен",
    "psw", "kennwort", "senha", "contraseña",
)  # fmt: skip
_IN_NAMES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_IN_NAMES += "".join(map(chr, range(ord("А"), ord("я") + 1))) + "ёЁ"
_KIND_OF_KEY = re.compile(r"(?i)(?<![\w-])(?:api|secret|access|private|auth|encryption|signing|account|master) \Z")
_REST_OF_NAME = re.compile(r"[\w-]{0,64}")
_ENTITY = r"&(?:amp;)?(?:quot|apos|#39|#34|#x27|#x22);"
_SEPARATOR = re.compile(
    rf"(?P<close>\\{{0,16}}[\"']|{_ENTITY})?(?P<index>[ ]?\])?"
    r"(?:[ ]{0,4}:[ ]{0,4}[A-Za-z_][\w.\[\]|, \"']{0,80}?[ ]{0,4}(?==[^=]))?"  # the type of a variable
    r"(?P<before>[ \t]{0,40})(?P<sign>=>|:=|[=!]=|=(?!=)|:(?!:)|,|>)(?P<after>\s{0,60})"
    r"|(?P<option>[ ]{1,4}(?=[^\s-]))|(?P<gap>[ ]{2,60}|\t[ \t]{0,20})(?=\S)"
)
_OPEN = re.compile(
    rf"(?P<list>(?:[\[({{]\s{{0,40}})?)(?:(?:SecretStr|SecretBytes|Secret|quote|quote_plus)\(\s{{0,8}}|[A-Za-z_.]{{1,40}}\(\s{{0,8}}default\s?=\s?)?"
    rf"[rRbBuUfF]{{0,2}}(?P<quote>\\{{0,16}}(?:\"\"\"|'''|\"|')|{_ENTITY})"
)
_NEXT = re.compile(r"\s{0,40}[,:]\s{0,40}[rRbBuUfF]{0,2}(?P<quote>\\{0,16}[\"'])")
_BARE = re.compile(r"[^\s\"'<>,;&|(){}\[\]`\\]{1,512}")
_REST_OF_LINE = re.compile(r"[^\n\r\"'<>]{1,1000}")
_NO_SPACE = re.compile(r"\S{1,512}")
_CODE = re.compile(r"[A-Za-z_][\w.]*[(\[]|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_SCHEME = re.compile(r"(?i:basic|bearer|token|digest|apikey|negotiate|aws4-hmac-sha256)\s+")
_AFTER_QUOTE = re.compile(r"[\s,;:)\]}&|+.%<>\\\"'#]|$")
_CLOSED = re.compile(r"\s*[+,).%\]]")
_BEFORE_CODE = re.compile(r"\b(?:lambda\b[^:\n]{0,50}|(?:if|elif|while|not|and|or|in) )\Z")
_TARGETS = re.compile(r"^[ \t]*\(?(?:\w+[ ]?,[ ]?){1,8}\Z", re.M)  # `user, password = …`
_WHOSE = re.compile(r"(?i)\b(?:your|the|my|new|old|user|admin|root|db|default|initial|and|с|ваш|новый|мой|и)\Z")
LONGEST, MOST_QUOTES = 4096, 50  # characters of a quoted value, and quotes within it


def assigned(text: str, names: list[Span], code: bool) -> Iterator[Span]:
    """Start and end of each value that its name calls secret.

    Args:
        names: start and end of each name that holds a keyword.
        code: whether the text is code.
    """
    done = 0
    for start, end in names:
        if start < done:
            continue  # within a value
        found = _SEPARATOR.match(text, end)
        if found and (is_secret(text[start:end]) or _is_of_dsn(text, start, found)):
            for span in _values(text, start, end, found, code):
                done = span[1]
                yield span


def _is_of_dsn(text: str, start: int, found: re.Match) -> bool:
    """Whether PWD is the password of a connection, not the folder of a shell."""
    if text[start : start + 3] != "PWD" or found.start() != start + 3 or found["sign"] not in ("=", ":"):
        return False
    return not re.match(r"[\"']?(?:[/~$.]|[A-Za-z]:\\)", text[found.end() : found.end() + 4])


def names_in(text: str, small: str) -> Iterator[Span]:
    """Start and end of each name that holds a keyword, in order.

    Args:
        small: the text in small letters, as long as the text.
    """
    places = set()
    for keyword in _KEYWORDS:
        at = small.find(keyword)
        while at >= 0:
            places.add(at)
            at = small.find(keyword, at + len(keyword))
    last = 0
    for at in sorted(places):
        if at < last:
            continue
        before = text[max(last, at - 64) : at]
        last = _REST_OF_NAME.match(text, at).end()
        start = at - len(before) + len(before.rstrip(_IN_NAMES))
        if small[start:last] == "key" and (kind := _KIND_OF_KEY.search(text, max(0, start - 12), start)):
            start = kind.start()  # `API key: …`
        yield start, last


def _values(text: str, start: int, end: int, found: re.Match, code: bool) -> Iterator[Span]:
    name, at, sign = text[start:end], found.end(), found["sign"]
    quoted_name = bool(found["close"])
    before = text[max(0, start - 2) : start]
    if sign == ">":
        if before.endswith("<") and not quoted_name and (closed := text.find("<", at, at + 1000)) > at:
            yield from _kept(name, text, at, closed)
        return
    if sign == "," and not (quoted_name and re.search(r"\([rbuf]?\\*[\"']$", text[max(0, start - 20) : start])):
        return
    if found["option"] and not name.startswith("--") and "--" not in before:
        sign = None
        if text[max(0, start - 4) : start] == "env ":  # %env NAME value
            sign = "="
        elif code or len(found["option"]) < 2:
            return
    quote = _OPEN.match(text, at)
    if quote and sign and (quoted_name or _opens(text, start, quote["quote"])):
        among = sign == "=" and bool(_TARGETS.search(text, max(0, start - 200), start))
        yield from _quoted(name, text, quote, among)
    elif not quote and sign != ",":
        yield from _bare(name, text, start, found, code, quoted_name, sign)
    elif quote and found["option"] and name.startswith("--"):
        yield from _quoted(name, text, quote)


def _opens(text: str, start: int, quote: str) -> bool:
    """Whether a quote after a name that has none itself opens a text: not one that the name stands in."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - 400) : start]
    return line.count(quote[-1:] if "&" not in quote else quote) % 2 == 0


def _quoted(name: str, text: str, quote: re.Match, among: bool = False) -> Iterator[Span]:
    """The quoted text, and those that follow it in a list; `among`: the name is one of several that are assigned to."""
    while quote:
        end = _end_of_quoted(text, quote.end(), quote["quote"])
        if end < 0:  # cut off
            cut = _BARE.match(text, quote.end())
            if cut and is_random(cut[0]):
                yield from _kept(name, text, *cut.span())
            return
        if (
            not _CLOSED.match(text[quote.end() : quote.end() + 20])
            or text[quote.end() : end].lstrip(" +,).%]")[:1] not in "\"'"
        ):
            yield from _kept(name, text, quote.end(), end, quoted=True)
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


def _bare(name, text, start, found, code, quoted_name, sign) -> Iterator[Span]:
    at, alone = found.end(), not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t-")
    if "\n" in (found["after"] or "") or sign in ("==", "!=") or _BEFORE_CODE.search(text, max(0, start - 60), start):
        return
    tight = sign == "=" and not found["before"] and not found["after"]
    if (scheme := _SCHEME.match(text, at)) or ("-" in name.strip("-") and sign == ":"):  # a header
        at = scheme.end() if scheme else at
        rest = _REST_OF_LINE.match(text, at)
        if rest and (" " not in rest[0].strip() or is_random(rest[0].split()[0]) or "cookie" in name.lower()):
            yield from _kept(name, text, at, at + len(rest[0].rstrip()))
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
        yield from _kept(name, text, value.start(), value.start() + len(word.rstrip(",;")))


def _is_no_count(text: str, start: int, sign: str | None, value: re.Match) -> bool:
    """Whether digits after a name are no number of passwords: `by password: 1204 (55 %)`, a column of counts."""
    if sign is None:
        return False
    before = text[max(text.rfind("\n", 0, start) + 1, start - 40) : start].rstrip(" -*#")
    is_number = text[value.end() : value.end() + 2][:1] == " " and text[value.end() + 1 : value.end() + 2].isalnum()
    return sign != ":" or not (
        before[-1:].isalpha() and not _WHOSE.search(before) or is_number or text[value.end() : value.end() + 2] == " ("
    )


def _kept(name: str, text: str, start: int, end: int, quoted: bool = False) -> Iterator[Span]:
    """The span, if its text can be a secret's value."""
    value = text[start:end]
    if not value.strip() or value.lower().strip(" .") in PLAIN or is_placeholder(value) or is_path(value):
        return
    if quoted and not is_password(name) and value.replace(" ", "").isalpha() and len(value) < 16:
        return  # `{"token": "word", …}`
    if quoted and value.count(" ") > 1 and value.rstrip()[-1] in ".!?:":
        return  # a sentence
    yield start, end
