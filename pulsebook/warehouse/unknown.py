"""A column, table or database that the server does not know: what there is, and what is close.

Newer servers name what is close, those before 2024 say only what they do not know.
"""

import re
from collections.abc import Callable, Iterator

from pulsebook.base.spelling import meant
from pulsebook.warehouse.errors import WarehouseError

_NAME = re.compile(r"(?:identifier:?|columns:|Identifier|Table|Database) [`']?([\w.]+)")
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+([A-Za-z_][\w.]*+)(?!\s*\()", re.I)
_MOST = 60  # names that are listed
_SYSTEM = {"system", "information_schema", "INFORMATION_SCHEMA", "_temporary_and_external_tables"}


def hint(ask: Callable[[str], list[str]], sql: str, answer: str) -> str:
    """A line on what there is in place of a name in `sql` that the server's `answer` calls unknown; empty where that is
    known already, or cannot be.

    Args:
        ask: runs a statement; returns the values of its first column.
    """
    code, name = re.match(r"Code: (\d+)", answer), _NAME.search(answer)
    look = code and {"47": _columns, "60": _tables, "81": _databases}.get(code[1])
    if not (look and name) or "aybe you meant" in answer:
        return ""
    try:
        return "".join(f"\n{line}" for line in look(ask, sql, name[1]))
    except WarehouseError:  # the first error is the one to tell
        return ""


def _columns(ask: Callable, sql: str, name: str) -> Iterator[str]:
    column = name.rpartition(".")[2]
    for table in dict.fromkeys(_TABLE.findall(sql)):
        try:
            known = ask(f"DESCRIBE TABLE {table}")
        except WarehouseError:  # a name that WITH gives a query
            continue
        if column not in known:
            yield f"{table} has {_listed(known)}{meant(column, known)}"


def _tables(ask: Callable, sql: str, name: str) -> Iterator[str]:
    database, _, table = name.rpartition(".")
    if name in sql:
        known = ask(f"SHOW TABLES FROM {database}")
        yield f"{database} has {_listed(known)}{meant(table, known)}"
    else:  # the server has put its default database before it
        known = [f"{one}.{table}" for one in _own(ask) if table in ask(f"SHOW TABLES FROM {one}")]
        yield f"{table} needs the name of its database before it: {' or '.join(known) or _listed(_own(ask))}"


def _databases(ask: Callable, sql: str, name: str) -> Iterator[str]:
    known = _own(ask)
    yield f"there are {_listed(known)}{meant(name, known)}"


def _own(ask: Callable) -> list[str]:
    return [name for name in ask("SHOW DATABASES") if name not in _SYSTEM]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return (", ".join(names[:_MOST]) or "nothing") + more
