"""A DAG file as its text says it, read without Airflow: which notebooks it executes, and what it gives them.

What only running the file would tell is left open: a notebook's name may have `*` in it, and what is given may be more than
what is seen.
"""

import ast
import glob
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pulsebook.cli.checks.notebook import Finding

HELPERS = {
    "daily": "run_date",
    "every_quarter_hour": "slot",
    "DAG": "",
    "dag": "",
}  # and the period that their runs have
EXPANDED = ("expand", "expand_kwargs")


@dataclass(frozen=True)
class Values:
    """A dict in code: its names, each with its value, and whether there may be others."""

    named: dict[str, ast.expr]
    is_open: bool = False


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

    def finding(self, rule: str, text: str, line: int | None = None) -> Finding:
        """A finding in this file."""
        return Finding(self.name, None, line, rule, text)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls in it."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    @cached_property
    def names(self) -> dict[str, list[ast.expr]]:
        """What names stand for: those of the module, and variables of loops over values that are written out."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found.setdefault(name, []).append(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    found.setdefault(name, []).append(value)
                case (
                    ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=each) | ast.List(elts=each))
                    | ast.comprehension(target=ast.Name(id=name), iter=ast.Tuple(elts=each) | ast.List(elts=each))
                ):
                    found.setdefault(name, []).extend(each)
        return found

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
        parts = [self._values(k.value) for call in self.helpers for k in call.keywords if k.arg == "params"]
        stars = any(keyword.arg is None for call in self.helpers for keyword in call.keywords)
        return Values(_joined(part.named for part in parts), stars or any(part.is_open for part in parts))

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
            for notebook in self._texts(keyword.value)
            for given in self._given(call, expanded.get(id(call)))
        ]

    def mentions(self, name: str) -> bool:
        """Whether anything in the file but the definition of a parameter of that name speaks of it."""
        own = {id(one) for part in self._dicts(self.helpers) for one in ast.walk(part)}
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

    def _dicts(self, calls: list[ast.Call]) -> Iterator[ast.expr]:
        """The expressions of `params`, names in them looked up."""
        waiting = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "params"]
        while waiting:
            part = waiting.pop()
            yield part
            names = {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
            waiting += [value for name in names for value in self.names.get(name, []) if value is not part]

    def _given(self, call: ast.Call, expanded: ast.Call | None) -> list[Values]:
        """What a task is given; of a mapped one, what each of its instances is."""
        keywords = [k for one in (call, expanded) if one for k in one.keywords]
        mapped = expanded is not None and any(k.arg == "parameters" for k in expanded.keywords)
        said = [k.value for k in (expanded.keywords if mapped else keywords) if k.arg == "parameters"]
        unseen = any(k.arg is None for k in keywords) or (
            expanded is not None and _attribute(expanded) == "expand_kwargs"
        )
        if mapped and isinstance(said[0], ast.List | ast.Tuple):
            return [self._values(one) for one in said[0].elts]
        if mapped:
            return [Values({}, True)]
        found = self._values(said[0]) if said else Values({})
        return [Values(found.named, found.is_open or unseen)]

    def _values(self, node: ast.expr) -> Values:
        match node:
            case ast.Constant(value=None):
                return Values({})
            case ast.Dict(keys=keys, values=values):
                named = {k.value: v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant)}
                spread = [self._values(v) for k, v in zip(keys, values, strict=True) if k is None]
                unseen = any(k is not None and not isinstance(k, ast.Constant) for k in keys)
                named = _joined([*(one.named for one in spread), named])
                return Values(named, unseen or any(one.is_open for one in spread))
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                named = {k.arg: k.value for k in keywords if k.arg}
                return Values(named, len(named) < len(keywords))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                one, other = self._values(left), self._values(right)
                return Values(one.named | other.named, one.is_open or other.is_open)
            case ast.Name(id=name) if len(self.names.get(name, [])) == 1 and self.names[name][0] is not node:
                return self._values(self.names[name][0])
        return Values({}, True)

    def _texts(self, node: ast.expr) -> list[str]:
        """The texts that an expression may be, as patterns."""
        match node:
            case ast.Constant(value=str(text)):
                return [glob.escape(text)]
            case ast.Name(id=name) if name in self.names and not any(n is node for n in self.names[name]):
                return [text for value in self.names[name] for text in self._texts(value)]
            case ast.JoinedStr(values=parts):
                each = [self._texts(p.value if isinstance(p, ast.FormattedValue) else p) for p in parts]
                return ["".join(one) for one in itertools.product(*each)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return ["".join(one) for one in itertools.product(self._texts(left), self._texts(right))]
            case ast.IfExp(body=one, orelse=other):
                return [*self._texts(one), *self._texts(other)]
        return ["*"]


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


def _attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _joined(parts) -> dict[str, ast.expr]:
    found = {}
    for part in parts:
        found |= part
    return found
