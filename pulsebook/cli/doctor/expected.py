"""Our tables as the code makes them: those of the package, and those that notebooks make themselves."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from pulsebook.chat import ledger, reported
from pulsebook.incidents import store
from pulsebook.warehouse import etl_tables, slot_table


@dataclass(frozen=True)
class Table:
    """A table: its name without database, types by column, and whether a run that changes its columns also empties it."""

    name: str
    columns: dict[str, str]
    refill: bool = False  # its rows are made anew all the time


def tables(notebooks: Path) -> list[Table]:
    """All tables of the target database that the code knows."""
    etl = [Table(n, c, refill=n.startswith(etl_tables.STAGING)) for n, (c, *_) in etl_tables.tables().items()]
    known = {ledger.TABLE: ledger.COLUMNS, "incidents": store.COLUMNS, "slot_metrics": slot_table.COLUMNS}
    known |= {reported.TABLE: reported.COLUMNS}
    own = [Table(name, columns) for name, columns in known.items()]
    files = sorted(path for path in notebooks.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    found = {table.name: table for file in files for table in of_notebook(file)}
    return [*etl, *own, *found.values()]


def of_notebook(file: Path) -> Iterator[Table]:
    """The tables that a notebook makes with literal columns: by `ensure`."""
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


def _nodes(code: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(code)))
    except SyntaxError:  # a cell of IPython's own commands makes no table
        return []


def _table_name(node: ast.expr) -> str:
    """The table of f"{DATABASE}.name"; empty: it is something else."""
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2 and isinstance(node.values[1], ast.Constant):
        match = re.fullmatch(r"\.(\w+)", str(node.values[1].value))
        return match[1] if match else ""
    return ""
