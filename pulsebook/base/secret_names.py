"""What is secret by its name, and the passwords within a URL, a DSN or JSON. Knows no environment and no document.

>>> [name for name in ("SMTP_PASS", "apiKey", "X-ClickHouse-Key", "AWS_SECRET_ACCESS_KEY") if not is_secret(name)]
[]
>>> is_secret("password_file")  # it says where one lies
False
>>> secrets_of({"DATABASE_URL": "postgres://me:pw-1@h/db"})
{'pw-1'}
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from pulsebook.base.url_passwords import spans, spans_without_scheme

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zñ]+|[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+|\d+")
_PASSWORD = re.compile(
    r"(passwor[dt]|passwd|passphrase|passcode|passkey|pwd|pswd|passw|kennwort|senha|contraseña|парол[ья])s?$|^(user|db|ssh|my|smtp)?pass$|^(pw|psw)$"
)
_CREDENTIAL = {
    "secret", "secrets", "credential", "credentials", "creds", "token", "jwt", "cookie", "authorization", "fernet",
    "секрет", "токен", "apikey", "secretkey", "accesskey", "privatekey", "authkey", "accesstoken", "authtoken",
}  # fmt: skip
_KINDS_OF_KEY = {  # `primary_key` and `sort_key` are no secrets
    "api", "access", "secret", "private", "auth", "encryption", "signing", "account", "storage", "master", "ssh",
    "service", "subscription", "shared", "house", "clickhouse", "app", "application", "admin", "deploy", "license",
}  # fmt: skip
_ABOUT = {  # a name that ends so tells of a secret: `token_count`, `password_file`
    "file", "files", "path", "dir", "directory", "folder", "name", "names", "id", "ids", "url", "uri", "host", "port",
    "user", "username", "count", "counts", "length", "len", "size", "limit", "limits", "budget", "usage", "ttl", "age",
    "expiry", "expires", "expiration", "expired", "type", "types", "policy", "field", "fields", "column", "columns",
    "prefix", "suffix", "regex", "pattern", "re", "min", "max", "enabled", "disabled", "required", "help", "label",
    "hint", "prompt", "cmd", "command", "env", "var", "variable", "placeholder", "version", "changed", "at", "date",
    "time", "timeout", "provider", "endpoint", "scope", "scopes", "backend", "store", "manager", "rules", "strength",
    "error", "message", "msg", "title", "input", "widget", "form", "page", "reset", "status", "state", "valid", "set",
    "resets", "change", "changes", "attempts", "failure", "failures", "requests", "updates", "users", "views", "clicks",
    "events", "errors", "share", "ratio", "percent", "pct", "avg", "mean", "sum", "total", "consent", "santa", "sauce",
    "score", "method", "mode", "algorithm", "encoding", "index", "idx", "number", "num", "price", "cost", "rate", "through",
}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(?:(?i:bearer|basic|token|bot)\s+)?(?:\{[^{}]*\}|\{\{.*\}\}|\$\{?\w+\}?|\$\(.*\)|%\(?\w*\)?s|<[^<>]*>|\*+|\.{3}|…|[xX]{3,}|\[[A-Z]{1,10}\]\d?|\[redacted\])+"
)
_FOLDERS = {"PWD", "OLDPWD"}  # of a shell

_DSN = re.compile(
    r"(?i)(?:^|[\s;&?,])(?:password|passwd|pwd|pass|sslpassword|accountkey|sharedaccesskey|sharedaccesssignature)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|\{([^}]*)\}|([^\s;&,'\"]+))"
)


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what carries this name (a variable, a parameter, a key, a header) is secret, as far as a name can say."""
    if name in _FOLDERS or len(name) > 200:
        return False
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in _ABOUT:
        return False
    if any(_PASSWORD.search(word) and word not in ("pass", "pw") for word in words) or _PASSWORD.search(words[-1]):
        return True
    if any(word in _CREDENTIAL for word in words):
        return True
    if words[-1] == "tokens":  # counted far more often than kept
        return bool({"access", "api", "auth", "bot"} & {*words})
    return words[-1] in ("key", "keys") and bool(_KINDS_OF_KEY & {*words[:-1]})


def is_password(name: str) -> bool:
    """Whether the name says password: then digits alone are one too."""
    words = [word.lower() for word in _WORD.findall(name)]
    return is_secret(name) and any(_PASSWORD.search(word) and word != "pass" for word in words)


def secrets_of(variables: Mapping[str, str]) -> set[str]:
    """The secrets among variables: those whose names say so, and the passwords within the values of all.

    A file's path is no secret, whatever its variable is called; nor are values too short or plain to be hidden everywhere.
    """
    found = set()
    for name, value in variables.items():
        if is_secret(name) and not is_path(value):
            found |= {value, value.strip()}
        found.update(passwords_in(value))
    return {secret for secret in found if _can_be_hidden(secret) and not is_placeholder(secret)}


def passwords_in(value: str) -> Iterator[str]:
    """Passwords within the value of a variable: of URLs (as spelt and decoded), DSNs and JSON."""
    for start, end in (*spans(value), *spans_without_scheme(value)):
        yield from {value[start:end], unquote(value[start:end])}
    if "://" in value and "?" in value:
        yield from (text for name, text in _query(value) if is_secret(name))
    for found in _DSN.finditer(value):
        spelt = next(filter(None, found.groups()), "")
        yield from {spelt, unquote_plus(spelt)} - {""}
    if value.lstrip().startswith(("{", "[")):
        try:
            yield from secrets_within(json.loads(value))
        except ValueError:  # no JSON after all
            return


def secrets_within(value, name: str = "") -> Iterator[str]:
    """Texts and numbers of a JSON-like value that its keys call secret, and passwords within any other text of it."""
    if isinstance(value, Mapping):
        said = said_name(value)
        for key, item in value.items():
            if is_secret(str(key)):
                yield from secrets_within(item, str(key))
            elif said and str(key).lower() in VALUES and is_strange(item, shortest_of(said)):
                yield from secrets_within(item, said)
            elif is_secret(name):
                for one in item if isinstance(item, list) else [item]:
                    yield from secrets_within(one, name if is_strange(one) or isinstance(one, Mapping) else "")
            else:
                yield from secrets_within(item)
    elif isinstance(value, list | tuple | set):
        items = list(value)
        for at, item in enumerate(items):
            yield from secrets_within(item, name_before(items, at) or name)
    elif isinstance(value, str):
        if is_secret(name) and not is_path(value):
            yield value
        yield from passwords_in(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and is_password(name):
        yield str(value)


VALUES = {"value", "val", "default"}  # keys that tell what a name is given


def said_name(value: Mapping) -> str:
    """The secret name that a mapping tells the value of: `{"name": "DB_PASSWORD", "value": …}`."""
    names = (str(item) for key, item in value.items() if str(key).lower() in ("name", "key", "variable", "option"))
    return next(filter(is_secret, names), "")


def name_before(items: list, at: int) -> str:
    """The secret name that stands before the last of a pair, or before the value of an option: `["--password", …]`."""
    before = items[at - 1] if at else None
    if not isinstance(before, str) or " " in before or not is_secret(before):
        return ""
    is_pair = len(items) == 2 and is_strange(items[at])
    return before if is_pair or before.startswith("-") and is_strange(items[at], 6) else ""


def shortest_of(name: str) -> int:
    """For `is_strange`: 6 where the name leaves little doubt; 0 for a mere `token`, which may be one of a language."""
    return 6 if is_password(name) or len(_WORD.findall(name)) > 1 else 0


def is_strange(item, shortest: int = 0) -> bool:
    """Whether an item is a text that can be no word, name or place: letters of both cases, or signs, with digits.

    Args:
        shortest: where its name leaves less doubt: no word, and of so many characters, is enough.
    """
    if not isinstance(item, str) or " " in item or not any(map(str.isalpha, item)):
        return False
    if shortest:
        return len(item) >= shortest and not item.isalpha()
    inner = re.sub(r"(?<![A-Za-z])[A-Z]", "", item)  # without capitals that begin a word
    mixed = inner != inner.lower() and inner != inner.upper() or any(sign in item for sign in "!@#$%^*+~?")
    mixed = mixed or len(re.findall(r"(?<=[A-Za-z])\d+(?=[A-Za-z])", item)) > 1
    return len(item) >= 8 and any(map(str.isdigit, item)) and mixed and not is_path(item)


def is_placeholder(value: str) -> bool:
    """Whether the value stands for one that is not there: `{password}`, `$PASSWORD`, `<password>`, `***`."""
    return len(value) < 500 and bool(_PLACEHOLDER.fullmatch(value.strip()))


def is_path(value: str) -> bool:
    """Whether the value is the path of something that is there."""
    try:
        return value.startswith(("/", "~")) and Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a path, a null byte, an unknown user's home
        return False


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query)
    except ValueError:
        return []


def _can_be_hidden(secret: str) -> bool:
    """Whether hiding every place where it stands hides no ordinary word: six characters, or four of two kinds."""
    kinds = [any(map(test, secret)) for test in (str.isalpha, str.isdigit, lambda c: not c.isalnum())]
    return len(secret) >= 6 or len(secret) >= 4 and sum(kinds) > 1
