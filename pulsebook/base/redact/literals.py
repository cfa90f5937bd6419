"""Secrets that stand in a notebook's code and parameters: once they are known, they are hidden wherever they occur.

register_secrets_of({"db_password": "pw-1"})
register_literals_of(notebook)
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat

from pulsebook.base.redact.known import UNMISTAKABLE, register
from pulsebook.base.secret_names import is_placeholder, is_secret, secrets_within

_MAGIC = re.compile(r"^\s*[%!].*$", re.M)


def register_secrets_of(parameters: dict) -> None:
    """Know the secrets among a run's parameters."""
    for secret in secrets_within(parameters):
        register(secret)


def register_literals_of(notebook: Path) -> None:
    """Know the literals that a notebook's code calls secret."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            register_literals(cell.source)


def register_literals(source: str) -> None:
    """Know the literals of a cell that its code calls secret, but for what may be an ordinary word."""
    for literal in literals(source):
        digits = any(map(str.isdigit, literal))
        if len(literal) >= (UNMISTAKABLE - 2 if digits else UNMISTAKABLE) and not literal.isdigit():
            register(literal)


def literals(source: str) -> set[str]:
    """Text literals that names of the code call secret: assigned, as argument, default, key's value or comparison.

    Code that is not Python alone (a cell in SQL) has none.
    """
    try:
        tree = ast.parse(_MAGIC.sub("pass", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = {text for name, value in _pairs(tree) if is_secret(name) for text in _texts(value)}
    return {text for text in found if not is_placeholder(text) and "\0" not in text}


def _pairs(tree: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """Names with what they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _unpacked(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
            yield _name(node.target), node.value
        elif isinstance(node, ast.keyword):
            yield node.arg or "", node.value
        elif isinstance(node, ast.Dict):
            yield from ((_name(key), value) for key, value in zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.Compare):
            yield _name(node.left), node.comparators[0]
            yield _name(node.comparators[0]), node.left
        elif isinstance(node, ast.arguments):
            plain = [*node.posonlyargs, *node.args]
            yield from zip((a.arg for a in plain[len(plain) - len(node.defaults) :]), node.defaults, strict=True)
            yield from zip((a.arg for a in node.kwonlyargs), node.kw_defaults, strict=True)
        elif isinstance(
            node, ast.Call
        ):  # setdefault("DB_PASSWORD", "…"), set("db", "password", "…"), set_password("…")
            yield from ((_name(name), value) for name, value in pairwise(node.args))
            if node.args and re.match(r"(?i)(?:set|change|update)?_?pass", _name(node.func)):
                yield _name(node.func), node.args[-1]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # ("X-ClickHouse-Key", "…")
            yield _name(node.elts[0]), node.elts[1]


def _unpacked(target: ast.AST, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    both = (ast.Tuple, ast.List)
    if isinstance(target, both) and isinstance(value, both) and len(target.elts) == len(value.elts):
        yield from zip(map(_name, target.elts), value.elts, strict=True)
    else:
        yield _name(target), value


def _name(node: ast.AST | None) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return _name(node.slice)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(value: ast.AST | None) -> Iterator[str]:
    """The literals that a value is made of, not those that it is computed from."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str | bytes):
        text = value.value if isinstance(value.value, str) else value.value.decode("utf-8", "replace")
        yield re.sub(r"^(?i:bearer|basic|token) +", "", text)
    elif isinstance(value, ast.BinOp | ast.BoolOp | ast.IfExp | ast.List | ast.Tuple | ast.Set):
        for part in ast.iter_child_nodes(value):
            yield from _texts(part)
    elif isinstance(value, ast.Call) and (name := _name(value.func)):  # SecretStr("…"), "…".encode()
        if name.startswith("Secret"):
            yield from (text for part in value.args for text in _texts(part))
        elif name in ("encode", "strip") and isinstance(value.func, ast.Attribute):
            yield from _texts(value.func.value)
