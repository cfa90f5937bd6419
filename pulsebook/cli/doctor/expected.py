"""Our tables as the code makes them: those of the package, and those that notebooks make themselves."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from pulsebook.chat import ledger
from pulsebook.incidents import store
from pulsebook.warehouse import etl_tables

_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS \{(\w+)\}\s*\((.*?)\)\s*ENGINE", re.S)
_COLUMN = re.compile(r"\s*(\w+) ([^,]+?)\s*(?:,|$)")


@dataclass(frozen=True)
class Table:
    """A table: its name without database, types by column, and what a run does where its columns differ."""

    name: str
    columns: dict[str, str]
    changed: bool = True  # whether a run changes them
    refill: bool = False  # and empties it: its rows are made anew all the time


def tables(notebooks: Path) -> list[Table]:
    """All tables of the target database that the code knows."""
    etl = [Table(n, c, refill=n != etl_tables.FINAL) for n, (c, *_) in etl_tables.tables().items()]
    own = [Table("chat_messages", ledger.COLUMNS), Table("incidents", store.COLUMNS, changed=False)]
    files = sorted(path for path in notebooks.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    found = {table.name: table for file in files for table in of_notebook(file)}
    return [*etl, *own, *found.values()]


def of_notebook(file: Path) -> Iterator[Table]:
    """The tables that a notebook makes with literal columns: by `ensure`, or by CREATE TABLE IF NOT EXISTS {NAME} (…)."""
    nodes = [node for cell in nbformat.read(file, 4).cells if cell.cell_type == "code" for node in _nodes(cell.source)]
    names = {
        node.targets[0].id: name
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and (name := _table_name(node.value))
    }
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ensure":
            given, columns = node.args[:2]
            name = _table_name(given) or names.get(getattr(given, "id", ""))
            refill = any(word.arg == "refill" and getattr(word.value, "value", 0) is True for word in node.keywords)
            if name and isinstance(columns, ast.Dict):
                yield Table(name, ast.literal_eval(columns), refill=refill)
        elif isinstance(node, ast.JoinedStr):
            made = _CREATE.search("".join(map(_piece, node.values)))
            if made and made[1] in names:
                yield Table(names[made[1]], dict(_COLUMN.findall(made[2])), changed=False)


def _nodes(code: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(code)))
    except SyntaxError:  # a cell of IPython's own commands makes no table
        return []


def _piece(value: ast.expr) -> str:
    """A part of an f-string: text as it is, a name in braces."""
    if isinstance(value, ast.Constant):
        return value.value
    return f"{{{getattr(value.value, 'id', '')}}}"


def _table_name(node: ast.expr) -> str:
    """The table of f"{DATABASE}.name"; empty: it is something else."""
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2 and isinstance(node.values[1], ast.Constant):
        match = re.fullmatch(r"\.(\w+)", str(node.values[1].value))
        return match[1] if match else ""
    return ""
