"""What every entry of the catalogue is checked for."""

import re
from collections.abc import Iterable

from pulsebook.base.errors import PulsebookError
from pulsebook.base.spelling import meant

EVENT_COLUMNS = (
    "user_id", "post_id", "receiver_id", "reciever_id", "action", "time",
    "gender", "age", "country", "city", "os", "source", "exp_group",
)  # fmt: skip
TABLE_COLUMNS = ("event_date", "dimension", "dimension_value", "user", "latest", "slot", "metric", "day", "rows")
PLACEHOLDERS = ("receiver", "timezone")  # what a server and the settings fill in


class CatalogueError(PulsebookError, ValueError):
    """An entry of the catalogue cannot be used."""


def check_name(kind: str, name: str, taken: Iterable[str] = ()) -> None:
    """Raises CatalogueError: it is no plain lower-case name, or is one of `taken`."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise CatalogueError(f"{kind} {name!r}: a name must be like views_per_user (lower case, digits, underscores)")
    if name in taken:
        raise CatalogueError(
            f"{kind} {name!r}: ClickHouse would take it for the column of that name; choose another name"
        )


def check_texts(kind: str, name: str, **texts: str) -> None:
    """Raises CatalogueError: a text is empty or none."""
    for field, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise CatalogueError(f"{kind} {name!r}: {field} must be a text, got {text!r}")


def check_sql(kind: str, name: str, field: str, sql: str) -> None:
    """Raises CatalogueError: it is not one SQL expression: brackets and quotes that do not match, a `;`, a comment, an alias,
    a placeholder that nobody fills in."""
    check_texts(kind, name, **{field: sql})
    bare = re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", sql)
    if unknown := set(re.findall(r"\{(\w*)\}", sql)) - set(PLACEHOLDERS):
        known = " and ".join(f"{{{p}}}" for p in PLACEHOLDERS)
        raise CatalogueError(f"{kind} {name!r}: {field} has {{{unknown.pop()}}}, only {known} are filled in: {sql}")
    depth = 0
    for mark in bare:
        depth += (mark in "([") - (mark in ")]")
        if depth < 0:
            break
    if depth or "'" in bare.replace("''", ""):
        raise CatalogueError(f"{kind} {name!r}: brackets or quotes of {field} do not match: {sql}")
    if found := re.search(r";|--|/\*|\b[aA][sS]\b", bare):
        raise CatalogueError(f"{kind} {name!r}: {field} must be one SQL expression, found {found[0]!r} in it: {sql}")


class Entries(dict):
    """Entries of a kind by name. A name that is not there is an error that says what there is, and what is close."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def __missing__(self, name):
        raise CatalogueError(f"no {self.kind} is named {name}; there are {', '.join(self)}{meant(name, self)}")


def once(kind: str, entries: Iterable) -> Entries:
    """The entries by name.

    Raises:
        CatalogueError: two have the same name.
    """
    found = Entries(kind)
    for entry in entries:
        if entry.name in found:
            raise CatalogueError(f"{kind} {entry.name!r} is there twice: rename or drop one")
        found[entry.name] = entry
    return found
