"""Values that a name calls secret, as people and programs write them down: in code, output, headers, YAML, XML, DSNs.

    password = "pw-1"    {'password': 'pw-1'}    dict(pwd='pw-1')    X-ClickHouse-Key: pw-1    <password>pw-1</password>

Code that computes a value (`password = variables["X"]`, `token = get_token()`) and prose (`password: see the wiki`) have none.
"""

import re
from collections.abc import Iterator

from pulsebook.base.redact.secret_values import Span, bare_value, kept, quoted_values
from pulsebook.base.secret_names import is_secret

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
_TARGETS = re.compile(r"^[ \t]*\(?(?:\w+[ ]?,[ ]?){1,8}\Z", re.M)  # `user, password = …`


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
            yield from kept(name, text, at, closed)
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
        yield from quoted_values(name, text, quote, among)
    elif not quote and sign != ",":
        yield from bare_value(name, text, start, found, code, sign)
    elif quote and found["option"] and name.startswith("--"):
        yield from quoted_values(name, text, quote)


def _opens(text: str, start: int, quote: str) -> bool:
    """Whether a quote after a name that has none itself opens a text: not one that the name stands in."""
    line = text[max(text.rfind("\n", 0, start) + 1, start - 400) : start]
    return line.count(quote[-1:] if "&" not in quote else quote) % 2 == 0
