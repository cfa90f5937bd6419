"""Takes secrets out of whatever is saved, logged or raised.

    redact("password=hunter22")        # "password=[redacted]", where hunter22 is a known secret
    redact_values({"a": ["hunter22"]}) # the same for every text within
    redact_notebook(document)          # the same for the JSON of a notebook, pictures included

Known secrets are those of the settings and those given to `register`. They are found in plain, URL-encoded, JSON-, HTML-
and Python-escaped spelling, and in base64, also in the middle of a longer base64 text. What merely looks like a secret
(bot tokens, `://user:password@`, `?password=`, bearer tokens, private keys) is hidden too.

A secret of fewer than 4 characters is hidden only within a URL, one of fewer than 8 only as a word of its own: hiding
every "a" would shred the document.
"""

import base64
import binascii
import html
import json
import re
from functools import lru_cache
from urllib.parse import quote, quote_plus

from pulsebook.settings import settings

HIDDEN = "[redacted]"
SHORTEST, UNMISTAKABLE = 4, 8  # characters: shorter secrets are left alone; from here on hidden within words too
BASE64_CORE = 6  # characters of base64 that are no coincidence in a megabyte of pictures
STRUCTURE = {"cell_type", "output_type", "id", "kernelspec", "language_info", "status", "name"}  # nbformat's own words

_SHAPES = (  # what must be there for a closer look, the shape, what stands in its place
    ("://", re.compile(r"(://[^\s:/@\"'\\]*:)[^\s/@\"'\\]+@"), rf"\1{HIDDEN}@"),
    ("password=", re.compile(r"([?&](?:amp;)?password=)[^\s&#\"'\\<>]+"), rf"\1{HIDDEN}"),
    (":", re.compile(r":(?<=\d{8}:)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"), f":{HIDDEN}"),
    ("%3", re.compile(r"%3[Aa](?<=\d{8}...)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"), f":{HIDDEN}"),
    ("earer", re.compile(r"([Bb]earer\s+)(?=\S*\d|\S{20})[A-Za-z0-9._~+/-]{8,}=*"), rf"\1{HIDDEN}"),
    ("asic ", re.compile(r"([Aa]uthorization['\"]?\s*[:=]\s*['\"]?[Bb]asic\s+)[A-Za-z0-9+/]{4,}=*"), rf"\1{HIDDEN}"),
    (
        "PRIVATE KEY-----",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.{0,20000}?-----END [A-Z ]*PRIVATE KEY-----|[\w+/=\s\\\"',]*)", re.S
        ),
        HIDDEN,
    ),
)
_COLOUR = re.compile(r"(?:\x1b|\\u001b)\[[0-9;]*m")
_registered: set[str] = set()


def register(secret: str) -> None:
    """Know one more secret, for the rest of this process."""
    if secret:
        _registered.add(secret)


def redact(text: str) -> str:
    """The text with `[redacted]` in place of every known secret and of what looks like one. 5 MB take about 0.1 s."""
    text = _hide(text)
    if ("\x1b[" in text or "\\u001b[" in text) and (bare := _COLOUR.sub("", text)) != (clean := _hide(bare)):
        return clean  # colours stood within a secret: without them
    return text


def _hide(text: str) -> str:
    for rule in _rules(tuple(settings().secrets), frozenset(_registered)):
        text = rule(text)
    for key, shape, instead in _SHAPES:
        if key in text:
            text = shape.sub(instead, text)
    return text


def redact_values(value):
    """A copy of a JSON-like value, every text and key in it redacted; other objects as their redacted text."""
    if isinstance(value, dict):
        return {redact(str(key)): redact_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [redact_values(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def redact_notebook(document: str) -> str:
    """The JSON of a notebook, redacted without touching the format's own words: it stays a valid notebook.

    A picture that holds a secret in its bytes becomes a text that says so.
    """
    if not _suspicious(document):
        return document
    return json.dumps(_walk(json.loads(document)), indent=1, ensure_ascii=False) + "\n"


def _suspicious(document: str) -> bool:
    """Whether a closer look is due. Lines are apart in a notebook's JSON, so a secret of several counts by its first."""
    secrets = [s.splitlines()[0] for s in {*settings().secrets, *_registered} if s.strip() and len(s.splitlines()) > 1]
    return "PRIVATE KEY-----" in document or any(s in document for s in secrets) or redact(document) != document


def _walk(value, key: str = "", foreign: bool = False):
    """A copy, redacted; `foreign` data (parameters, the JSON of an output) has keys of its own, redacted too."""
    if key in STRUCTURE and not foreign:
        return value
    of_lines = (not foreign and key != "tags") or "/" in key
    foreign = foreign or "/" in key or key == "parameters"
    if of_lines and isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        whole = "".join(value) if key != "traceback" else "\n".join(value)
        return value if (clean := redact(whole)) == whole else clean.splitlines(keepends=key != "traceback")
    if isinstance(value, list):
        return [_walk(item, foreign=foreign) for item in value]
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if not _holds_secret(name, item)}
        walked = {redact(name) if foreign else name: _walk(item, name, foreign) for name, item in kept.items()}
        lost = ", ".join(name for name in value if name not in kept)
        return walked | ({"text/plain": [f"{HIDDEN}: the picture ({lost}) held a secret"]} if lost else {})
    return redact(value) if isinstance(value, str) else value


def _holds_secret(mime: str, data) -> bool:
    """Whether a picture's bytes hold a secret."""
    if not mime.startswith("image/") or mime.endswith("xml"):
        return False
    try:
        picture = base64.b64decode("".join(data))
    except (binascii.Error, TypeError, ValueError):
        return False
    known = {*settings().secrets, *_registered}
    return any(secret.encode() in picture for secret in known if len(secret) >= BASE64_CORE)


@lru_cache(maxsize=8)
def _rules(of_settings: tuple, registered: frozenset) -> list:
    """Functions from text to text, one per spelling of each secret, the longest first."""
    plain, encoded = set(), set()
    for secret in {*of_settings, *registered}:
        if len(secret) >= SHORTEST:
            plain |= _spellings(secret)
            encoded |= {core for shift in range(3) if len(core := _base64_core(secret, shift)) >= BASE64_CORE}
            plain.add(base64.b64encode(secret.encode()).decode())
    ordered = sorted(plain, key=len, reverse=True)
    return [_plain(spelling) for spelling in ordered] + [_within_base64(c) for c in sorted(encoded, key=len)[::-1]]


def _spellings(secret: str) -> set[str]:
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    for text in (secret.replace("\\", "\\\\"), secret.encode("unicode_escape").decode()):  # as Python may write it
        escaped |= {text, text.replace('"', '\\"'), text.replace("'", "\\'")}
    markup = {html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;")}
    escaped |= {repr(text)[1:-1] for text in escaped}
    twice = {json.dumps(text, ensure_ascii=ascii_)[1:-1] for text in escaped | markup for ascii_ in (True, False)}
    return {secret} | quoted | lower | escaped | markup | twice


def _base64_core(secret: str, shift: int) -> str:
    """The characters that base64 gives a secret whatever stands around it, when it begins `shift` bytes into a group."""
    data = b"\0" * shift + secret.encode()
    return base64.b64encode(data).decode()[(0, 2, 3)[shift] : len(data) * 4 // 3]


def _plain(spelling: str):
    if len(spelling) >= UNMISTAKABLE:
        return lambda text: text.replace(spelling, HIDDEN)
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(spelling)}(?![A-Za-z0-9])")
    return lambda text: word.sub(HIDDEN, text) if spelling in text else text


def _within_base64(core: str):
    """Hides the core and the characters beside it that hold its first and last bits; also in the URL-safe alphabet."""
    both = {core, core.replace("+", "-").replace("/", "_")}
    around = [re.compile(rf"[\w+/-]{{0,2}}{re.escape(c)}[\w+/-]{{0,2}}={{0,2}}") for c in both]
    return lambda text: _hide_around(around, text) if any(c in text for c in both) else text


def _hide_around(patterns: list, text: str) -> str:
    for pattern in patterns:
        text = pattern.sub(HIDDEN, text)
    return text
