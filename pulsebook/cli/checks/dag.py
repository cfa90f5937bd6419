"""A DAG file as its text says it, read without Airflow: which notebooks it executes, and what it gives them.

What only running the file would tell is left open: a notebook's name may have `*` in it, and what is given may be more than
what is seen.
"""

import ast
import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pulsebook.cli.checks.notebook import Finding
from pulsebook.cli.checks.written import Expressions, Values, joined

HELPERS = {
    "daily": "run_date",
    "every_quarter_hour": "slot",
    "DAG": "",
    "dag": "",
}  # and the period that their runs have
EXPANDED = ("expand", "expand_kwargs")


@dataclass(frozen=True)
class Task:
    """A task that executes a notebook; `notebook` is a pattern of `glob`."""

    notebook: str
    line: int
    given: Values

    @property
    def is_certain(self) -> bool:
        """Whether it is known which notebook it executes."""
        return not glob.has_magic(re.sub(r"\[.\]", "", self.notebook))

    @property
    def shown(self) -> str:
        """The notebook's name as people write it."""
        return re.sub(r"\[(.)\]", r"\1", self.notebook)


@dataclass
class Dag:
    """A DAG file; `name` is how findings call it.

    Raises:
        SyntaxError: when it is made: the file is no Python.
    """

    path: Path
    name: str

    def __post_init__(self):
        self.tree = ast.parse(self.path.read_bytes())
        self.written = Expressions(self.tree)

    def finding(self, rule: str, text: str, line: int | None = None) -> Finding:
        """A finding in this file."""
        return Finding(self.name, None, line, rule, text)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls in it."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    @cached_property
    def helpers(self) -> list[ast.Call]:
        """The calls that make its DAG."""
        return [call for call in self.calls if _called(call) in HELPERS]

    @cached_property
    def period(self) -> str:
        """The parameter that says what a run is about: run_date or slot; empty: none that is known."""
        for call in self.helpers:
            name = HELPERS[_called(call)]
            said = {keyword.arg: keyword.value for keyword in call.keywords}.get(name)
            if name and not (isinstance(said, ast.Constant) and said.value is None):
                return name
        return ""

    @cached_property
    def params(self) -> Values:
        """The DAG's own parameters beside the period."""
        parts = [self.written.values(k.value) for call in self.helpers for k in call.keywords if k.arg == "params"]
        stars = any(keyword.arg is None for call in self.helpers for keyword in call.keywords)
        return Values(joined(part.named for part in parts), stars or any(part.is_open for part in parts))

    @cached_property
    def tasks(self) -> list[Task]:
        """Its tasks that execute notebooks."""
        expanded = {
            id(c.func.value): c for c in self.calls if isinstance(c.func, ast.Attribute) and c.func.attr in EXPANDED
        }
        return [
            Task(notebook, call.lineno, given)
            for call in self.calls
            if _called(call) == "NotebookOperator"
            for keyword in call.keywords
            if keyword.arg == "notebook"
            for notebook in self.written.texts(keyword.value)
            for given in self._given(call, expanded.get(id(call)))
        ]

    def mentions(self, name: str) -> bool:
        """Whether anything in the file but the definition of a parameter of that name speaks of it."""
        own = {id(one) for part in self._definitions() for one in ast.walk(part)}
        text = ast.get_docstring(self.tree, clean=False)
        for node in ast.walk(self.tree):
            if id(node) in own:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != text:
                if re.search(rf"\b{re.escape(name)}\b", node.value):
                    return True
            elif isinstance(node, ast.Attribute) and node.attr == name:
                return True
        return False

    def templates(self) -> Iterator[tuple[str, int]]:
        """Names that templates take from the DAG's parameters, with lines."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{{" in node.value:
                for name in re.findall(r"\bparams(?:\.|\[['\"])(\w+)", node.value):
                    yield name, node.lineno

    def _definitions(self) -> Iterator[ast.expr]:
        """The expressions of `params`, and those of the names in them."""
        waiting = [keyword.value for call in self.helpers for keyword in call.keywords if keyword.arg == "params"]
        seen = set()
        while waiting:
            part = waiting.pop()
            yield part
            names = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)} - seen
            waiting += [value for name in names for value in self.written.names.get(name, [])]
            seen |= names

    def _given(self, call: ast.Call, expanded: ast.Call | None) -> list[Values]:
        """What a task is given; of a mapped one, what each of its instances is."""
        keywords = [k for one in (call, expanded) if one for k in one.keywords]
        mapped = expanded is not None and any(k.arg == "parameters" for k in expanded.keywords)
        said = [k.value for k in (expanded.keywords if mapped else keywords) if k.arg == "parameters"]
        unseen = any(k.arg is None for k in keywords) or (
            expanded is not None and expanded.func.attr == "expand_kwargs"
        )
        if mapped and isinstance(said[0], ast.List | ast.Tuple):
            return [self.written.values(one) for one in said[0].elts]
        if mapped:
            return [Values({}, True)]
        found = self.written.values(said[0]) if said else Values({})
        return [Values(found.named, found.is_open or unseen)]


def _called(call: ast.Call) -> str:
    """The name of what is called: of `NotebookOperator.partial(…)` the class, of `a.b(…)` b."""
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=name), attr="partial"):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""
