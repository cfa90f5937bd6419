"""What expressions of a file stand for, as far as it is written out there: dicts with their names, texts as patterns."""

import ast
import glob
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Values:
    """A dict in code: its names, each with its value, and whether there may be others."""

    named: dict[str, ast.expr]
    is_open: bool = False


@dataclass
class Expressions:
    """Those of one file."""

    tree: ast.Module

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

    def values(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> Values:
        """The dict that an expression is."""
        match node:
            case ast.Constant(value=None):
                return Values({})
            case ast.Dict(keys=keys, values=values):
                named = {k.value: v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant)}
                spread = [self.values(v, seen) for k, v in zip(keys, values, strict=True) if k is None]
                unseen = any(k is not None and not isinstance(k, ast.Constant) for k in keys)
                named = joined([*(one.named for one in spread), named])
                return Values(named, unseen or any(one.is_open for one in spread))
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                named = {k.arg: k.value for k in keywords if k.arg}
                return Values(named, len(named) < len(keywords))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                one, other = self.values(left, seen), self.values(right, seen)
                return Values(one.named | other.named, one.is_open or other.is_open)
            case ast.Name(id=name) if name not in seen and len(self.names.get(name, [])) == 1:
                return self.values(self.names[name][0], seen | {name})
        return Values({}, True)

    def texts(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> list[str]:
        """The texts that an expression may be, as patterns of `glob`."""
        match node:
            case ast.Constant(value=str(text)):
                return [glob.escape(text)]
            case ast.Name(id=name) if name in self.names and name not in seen:
                return [text for value in self.names[name] for text in self.texts(value, seen | {name})]
            case ast.JoinedStr(values=parts):
                each = [self.texts(p.value if isinstance(p, ast.FormattedValue) else p, seen) for p in parts]
                return ["".join(one) for one in itertools.product(*each)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return ["".join(one) for one in itertools.product(self.texts(left, seen), self.texts(right, seen))]
            case ast.IfExp(body=one, orelse=other):
                return [*self.texts(one, seen), *self.texts(other, seen)]
        return ["*"]


def joined(parts: Iterable[dict[str, ast.expr]]) -> dict[str, ast.expr]:
    """Dicts in one; the later of two values counts."""
    found = {}
    for part in parts:
        found |= part
    return found
