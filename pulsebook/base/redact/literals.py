"""Secrets that stand in a notebook's code and parameters: once they are known, they are hidden wherever they occur.

`register_secrets_of` takes parameters by their names, `register_literals_of` a notebook.
"""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from pulsebook.base.redact.judging import is_random
from pulsebook.base.redact.known import UNMISTAKABLE, register
from pulsebook.base.redact.sources import pieces, secrets_in, shaped
from pulsebook.base.secret_names import is_placeholder, is_secret, is_strange, secrets_within, shortest_of

_MAGIC = re.compile(r"^\s*[%!].*$", re.M)


def register_secrets_of(parameters: dict) -> None:
    """Know the secrets among a run's parameters, also those within their texts."""
    for secret in secrets_within(parameters):
        register(secret)
    for text in _all_texts(parameters):
        for secret in shaped(text):
            register(secret)


def register_literals_of(notebook) -> None:
    """Know the literals that the code of a notebook, as nbformat gives it, calls secret."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            register_literals(cell.source)


def register_literals(source: str) -> None:
    """Know the literals of a cell that its code calls secret, but for what may be an ordinary word."""
    for literal in literals(source):
        digits = any(map(str.isdigit, literal))
        if len(literal) >= (UNMISTAKABLE - 2 if digits else UNMISTAKABLE) and not literal.isdigit():
            register(literal)
    for secret in secrets_in(source):
        register(secret)


def _all_texts(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple | set):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all_texts(item)


@lru_cache(maxsize=512)
def literals(source: str) -> set[str]:
    """Text literals that names of the code call secret: assigned, as argument, default, key's value or comparison.

    Code that is not Python alone (a cell in SQL) has none.
    """
    try:
        tree = ast.parse(_MAGIC.sub("pass", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = {
        text for name, value in _pairs(tree) if is_secret(name) for text in (*_texts(value), *_beside(source, value))
    }
    return {text for text in found if not is_placeholder(text) and "\0" not in text}


def _beside(source: str, value: ast.AST | None) -> list[str]:
    """The parts of a text that is written in several."""
    return pieces(ast.get_source_segment(source, value) or "") if isinstance(value, ast.Constant) else []


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
            given = {_name(key).lower(): value for key, value in zip(node.keys, node.values, strict=True)}
            name = _name(given.get("name") or given.get("key"))
            yield from (
                (name, given.get("value")) for text in _texts(given.get("value")) if is_strange(text, shortest_of(name))
            )
        elif isinstance(node, ast.For):
            yield from ((_name(node.target), node.iter) for text in _texts(node.iter) if is_strange(text))
        elif isinstance(node, ast.FunctionDef):
            yield from (
                (node.name, part.value)
                for part in ast.walk(node)
                if isinstance(part, ast.Return) and any(map(is_strange, _texts(part.value)))
            )
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
            if node.args and re.match(r"(?i)(?:log_?in|auth\w*)$", _name(node.func)):
                yield from (("password", node.args[-1]) for text in _texts(node.args[-1]) if is_random(text))
            if node.args and is_secret(_name(node.args[0])):  # add_argument("--password", default="…")
                name = _name(node.args[0])
                yield from (
                    (name, word.value)
                    for word in node.keywords
                    if word.arg in ("default", "value")
                    and any(is_strange(text, shortest_of(name)) for text in _texts(word.value))
                )
        elif isinstance(node, ast.List):  # ["mysql", "--password", "…"]
            yield from ((_name(name), value) for name, value in pairwise(node.elts) if _name(name).startswith("--"))
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # ("X-ClickHouse-Key", "…")
            yield _name(node.elts[0]), node.elts[1]


def _unpacked(target: ast.AST, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    both = (ast.Tuple, ast.List)
    if isinstance(target, both) and isinstance(value, both) and len(target.elts) == len(value.elts):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _unpacked(one, its)
    elif _name(target).endswith("auth") and isinstance(value, ast.Tuple) and len(value.elts) == 2:
        yield "password", value.elts[1]
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
    elif isinstance(value, ast.JoinedStr):
        yield from (text for part in value.values for text in _texts(part))
    elif isinstance(value, ast.Lambda):
        yield from _texts(value.body)
    elif isinstance(value, ast.Dict):
        yield from (text for part in value.values for text in _texts(part) if is_strange(text))
    elif isinstance(value, ast.Call) and (name := _name(value.func)):  # SecretStr("…"), "…".encode()
        if name.startswith(("Secret", "quote")) or name in ("str", "bytes", "join"):
            yield from (text for part in value.args for text in _texts(part))
        elif name in ("get", "getenv", "pop", "setdefault"):  # what is taken where there is none
            yield from (text for part in value.args[1:] for text in _texts(part))
        elif name in ("encode", "strip") and isinstance(value.func, ast.Attribute):
            yield from _texts(value.func.value)
