"""Whether a text can be a secret's value, once its name says that it is one."""

import re

from pulsebook.base.secret_names import is_password, is_path, is_placeholder

PLAIN = {  # what is said of a secret, and types of columns and variables
    "required", "optional", "missing", "none", "null", "true", "false", "yes", "no", "empty", "unset", "set", "hidden",
    "redacted", "masked", "changed", "unchanged", "invalid", "valid", "wrong", "incorrect", "expired", "disabled", "enabled",
    "default", "unknown", "str", "string", "bytes", "object", "text", "varchar", "secretstr", "int", "int64", "fixedstring",
    "password", "token", "secret", "given", "not", "nan", "nat", "undefined", "accepted", "rejected", "denied", "stored",
}  # fmt: skip


def is_random(word: str) -> bool:
    """Whether a word is none of a language: letters with digits or signs."""
    if len(word) < 6 or re.match(r"\d{4}-\d\d-\d\d", word) or not any(map(str.isalpha, word)):
        return False
    return any(map(str.isdigit, word)) or any(sign in word for sign in "!@#$%^*+~?")


_NAMES_OF_THINGS = re.compile(  # identifiers, versions, files, paths, quantities, assignments
    r"[\w.]*_[\w.]*|v?[\d.]+[\w.-]{0,8}|\S+\.\w{1,5}|[\w.-]+(?:/[\w.-]+){2,}|\w+/\d+|[\d.,]+\S{0,6}|\w+[=(].*"
)


def is_strong(word: str) -> bool:
    """Whether a word is no identifier, version, file, quantity either."""
    return len(word) >= 8 and is_random(word) and not _NAMES_OF_THINGS.fullmatch(word)


def is_value(name: str, value: str) -> bool:
    """Whether what stands under or beside a name, without a sign between them, can be its value: no number, no word."""
    value = value.strip()
    if value.lower() in PLAIN or is_placeholder(value) or is_path(value) or re.fullmatch(r"[\d\s.,:%+-]*", value):
        return False
    if " " in value:
        return False
    return is_strong(value) or (is_password(name) and len(value) >= 6 and not value.isalpha())
