"""What looks like a secret, whoever knows it: passwords in URLs, tokens of a known form, private keys, headers.

Values that a name calls secret are found by `assignments`.
"""

import re
from collections.abc import Iterator

from pulsebook.base.redact.assignments import assigned, names_in
from pulsebook.base.redact.mentions import mentioned
from pulsebook.base.redact.pairs import paired
from pulsebook.base.secret_names import is_placeholder
from pulsebook.base.url_passwords import spans as passwords_of_urls
from pulsebook.base.url_passwords import spans_without_scheme

Span = tuple[int, int]
_Q = r"[rbuf]?[\"'][^\"'\n]{0,200}[\"']"
_PAIR = rf"\(\s{{0,40}}{_Q}\s{{0,4}},\s{{0,40}}[rbuf]?[\"']([^\"'\n]{{1,200}})[\"']"  # ("user", "password")
_ARG = r"\s{0,40}(?:'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"|[\w.`]{1,100})\s{0,4}"
_IN_QUERY = r"(?<=[?&;])"
_SHAPES = (  # how it begins, in small letters; the shape, whose group 1 is hidden
    ("%3a%2f%2f", r"%3A%2F%2F[^\s&%\"'<>]{0,200}%3A((?:[^\s&%\"'<>]|%(?!40)){1,300})%40"),
    ("password=", rf"{_IN_QUERY}password=([^\s&#\"'\\<>]{{1,4000}})"),
    ("sig=", rf"{_IN_QUERY}sig=([^\s&#\"'\\<>]{{16,500}})"),
    ("x-amz-signature=", rf"{_IN_QUERY}x-amz-signature=([^\s&#\"'\\<>]{{16,500}})"),
    ("bearer", r"(?<!\w)bearer\s{1,8}(?=\S{0,200}\d|\S{20})([A-Za-z0-9._~+/-]{8,4000}=*)"),
    ("authorization", r"authorization[\\'\"]{0,8}\s{0,4}[:=,]\s{0,4}[\\'\"]{0,8}basic\s{1,4}([A-Za-z0-9+/]{4,4000}=*)"),
    (
        "identified",
        r"identified\s{1,8}(?:with\s{1,8}\w{1,60}\s{1,8})?by\s{1,8}\\{0,8}'((?:[^'\\\n]|''|\\.){1,300}?)\\{0,8}'",
    ),
    ("with password ", r"with password \\{0,8}'((?:[^'\\\n]|''|\\.){1,300}?)\\{0,8}'"),
    ("encrypted password ", r"encrypted password \\{0,8}'((?:[^'\\\n]|''|\\.){1,300}?)\\{0,8}'"),
    ("identified", r'identified\s{1,8}(?:with\s{1,8}\w{1,60}\s{1,8})?by\s{1,8}\\{0,8}"([^"\\\n]{1,300})\\{0,8}"'),
    ("auth", r"auth\s{0,4}=\s{0,4}[\"'][^\"'\n]{0,200}[\"']\s{0,4},\s{0,4}[\"']([^\"'\n]{1,200})[\"']"),
    ("auth", rf"auth(?:\s{{0,4}}=\s{{0,4}})?{_PAIR}"),
    ("login(", rf"login\({_ARG},\s{{0,40}}[rbuf]?[\"']([^\"'\n]{{1,200}})[\"']\s{{0,40}}\)"),
    ("login ", r"(?<!\w)login [\w.@-]{1,100}\s{1,20}password (\S{1,200}?)(?=[\s\"']|$)"),
    ("password(", r"password\(\s{0,8}[\"']([^\"'\s]{1,200})[\"']\s{0,8}\)"),
    (":5432:", r":5432:[^\s:]{1,100}:[^\s:]{1,100}:([^\s\"']{1,200})"),
    ("curl ", r"(?<!\w)curl (?:[^\n]{0,300}?\s)?(?:-u|--user)[ =]{0,2}[\"']?[^\s:\"']{1,100}:([^\s\"']{1,300})"),
    *(
        (f"{f}(", rf"(?<!\w){f}\((?:{_ARG},){{4}}\s{{0,40}}'([^'\n]{{1,200}})'")
        for f in ("mysql", "postgresql", "mongodb")
    ),
    *(
        (f"{f}(", rf"(?<!\w){f}\((?:{_ARG},){{3,4}}\s{{0,40}}'([^'\n]{{1,200}})'\s{{0,40}}[,)]")
        for f in ("remote", "remotesecure")
    ),
    (
        "s3(",
        r"(?<!\w)s3\(\s{0,40}'[^'\n]{0,500}'\s{0,4},\s{0,40}'[^'\n]{1,200}'\s{0,4},\s{0,40}'([^'\s]{16,200})'",
    ),
    ("jdbc:oracle:thin:", r"jdbc:oracle:thin:[^\s/\"'@]{1,100}/([^\s\"'@]{1,200})@"),
    ("sqlplus ", r"(?<!\w)sqlplus (?:-\w+ ){0,4}[^\s/\"'@]{1,100}/([^\s\"'@]{1,200})@"),
    ("sshpass ", r"(?<!\w)sshpass -p ?[\"']?([^\s\"']{1,200})"),
    ("redis-cli ", r"(?<!\w)redis-cli (?:[^\n]{0,200}? )?(?:-a|--pass) ?[\"']?([^\s\"']{1,200})"),
    *(
        (f"{c} ", rf"(?<!\w){c} (?:[^\n]{{0,200}}? )?-p[\"']?([^\s\"']{{1,200}})")
        for c in ("mysql", "mysqldump", "mysqladmin", "7z")
    ),
    ("sqlcmd ", r"(?<!\w)sqlcmd (?:[^\n]{0,200}? )?(?-i:-P) ?[\"']?([^\s\"']{1,200})"),
    ("az login ", r"(?<!\w)az login (?:[^\n]{0,200}? )?(?-i:-p) ?[\"']?([^\s\"']{1,200})"),
    ("configure set aws_s", r"configure set aws_(?:secret_access_key|session_token) [\"']?([^\s\"']{1,2000})"),
    ("docker login", r"docker login (?:[^\n]{0,200}? )?-p ?[\"']?([^\s\"']{1,200})"),
    ("eyj", r"(?<!\w)((?-i:eyJ)[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{8,2000})"),
    *((f"gh{kind}_", r"(?<!\w)(gh[pousr]_[A-Za-z0-9]{30,255})") for kind in "pousr"),
    ("github_pat_", r"(?<!\w)(github_pat_\w{22,255})"),
    ("glpat-", r"(?<!\w)(glpat-[\w-]{20,255})"),
    ("xox", r"(?<!\w)(xox[abeoprs]-[\w-]{10,255})"),
    ("hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/([\w/-]{20,255})"),
    *((sign, r"(?<!\w)([sr]k[-_](?=[\w-]{0,40}\d)[A-Za-z0-9][\w-]{19,255})") for sign in ("sk-", "sk_", "rk_")),
)
_SHAPES = tuple((sign, re.compile(shape, re.I)) for sign, shape in _SHAPES)
_PARTS = (
    "(",
    "_",
    "%",
    "pass",
    "sql",
    "auth",
    "login",
    "cli",
    "amz",
    "sk",
    "glpat",
    "slack",
)  # of signs: of absent ones none is sought
_BOTS = (  # the token of a bot, plain and in a URL; its sign is too frequent to stop at
    (":", re.compile(r":(?<=\d{8}:)([A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])")),
    ("%3", re.compile(r"%3[Aa](?<=\d{8}...)([A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])")),
)
_KEY = "PRIVATE KEY"
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[\w+/=\s\"',:-]|\\)*+")
LONGEST_KEY = 20_000  # characters


def secret_spans(text: str, code: bool = False) -> list[Span]:
    """Start and end of each part of the text that looks like a secret.

    Args:
        code: the text is code, so that `password = pw2` names a variable.
    """
    small = text.lower()
    if len(small) != len(text):  # a letter whose small form is two
        small = re.sub("[A-Z]+", lambda found: found[0].lower(), text)
    names = [*names_in(text, small)]
    found = [*assigned(text, names, code), *mentioned(text, names, code), *paired(text, names, code)]
    if "//" in text or "/\\" in text:
        found += passwords_of_urls(text)
    if "@" in text:
        found += spans_without_scheme(text)
    absent = [part for part in _PARTS if part not in small]
    for sign, shape in _SHAPES:
        if any(part in sign for part in absent):
            continue
        found += _shaped(sign, shape, text, small)
    for sign, shape in _BOTS:
        if sign in text:
            found += (match.span(1) for match in shape.finditer(text))
    found = [(start, end) for start, end in found if not is_placeholder(text[start:end])]
    return found + [*_private_keys(text)] if _KEY in text else found


def _shaped(sign: str, shape: re.Pattern, text: str, small: str) -> Iterator[Span]:
    """What a shape hides, from each place on where it may begin; not from within what it has hidden already."""
    at = small.find(sign)
    while at >= 0:
        match, end = shape.match(text, at), at + len(sign)
        if match:
            end = max(end, match.end(1))
            yield match.span(1)
        at = small.find(sign, end)


def _private_keys(text: str) -> Iterator[Span]:
    """Keys from their first to their last line; what is cut off ends with what can be no key."""
    end = 0
    for begins in _KEY_BEGINS.finditer(text):
        if begins.start() < end:
            continue
        ends = _KEY_ENDS.search(text, begins.end(), begins.end() + LONGEST_KEY)
        end = ends.end() if ends else _KEY_BODY.match(text, begins.end()).end()
        yield begins.start(), end
