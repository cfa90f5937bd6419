"""The examples of docstrings are executed, and what they show is compared."""

import ast
import doctest
import importlib

import pytest

from pulsebook.base.settings import ROOT

FILES = sorted((ROOT / "pulsebook").rglob("*.py"))
WITH_EXAMPLES = [path for path in FILES if ">>> " in path.read_text()]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_an_example_gives_what_it_shows(path, configured, tmp_path, monkeypatch):
    """It has a warehouse, an empty archive, the page for a chat, and a folder of its own with the notebooks."""
    for folder in ("notebooks", "dags"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name_of(path)))
    runner, said = doctest.DocTestRunner(optionflags=OPTIONS), []
    for test in tests:
        runner.run(test, out=said.append)
    tried = runner.summarize(verbose=False)
    assert tried.attempted >= path.read_text().count(">>> ")
    assert not tried.failed, "".join(said)


def is_code(line: str) -> bool:
    """Whether a line is a statement that does something, not words, names or a value."""
    try:
        statement = ast.parse(line + " pass" if line.endswith(":") else line).body[0]
    except (SyntaxError, IndexError):
        return False
    called = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call | ast.Subscript)
    return called or isinstance(statement, ast.Assign | ast.Import | ast.ImportFrom | ast.With | ast.For)


def words_of(docstring: str) -> list[str]:
    """The lines that are no part of an example."""
    parts = doctest.DocTestParser().parse(docstring)
    return [line.strip() for part in parts if isinstance(part, str) for line in part.splitlines()]


def test_code_in_a_docstring_is_an_example():
    found = []
    for path in FILES:
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, DOCUMENTED)]
        lines = [line for node in nodes for line in words_of(ast.get_docstring(node) or "")]
        found += [f"{name_of(path)}: {line}" for line in lines if is_code(line)]
    assert not found, "write it as an example, with >>>, or in words:\n" + "\n".join(found)
