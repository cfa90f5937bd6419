"""The type that a parameters cell gives a parameter, read from its annotation, its comment or its default.

Code is read, never run. What JSON has no value for (a date, a class of the notebook's) and what only running would tell (a
call) says nothing: any value is taken.
"""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[object], bool]


@dataclass(frozen=True)
class Type:
    """A type as it is written (empty: nothing is known of it), and whether a value of JSON is one."""

    text: str
    fits: Check

    def of_template(self, rendered: object) -> object:
        """What a template has rendered, where its text means a value of this type beyond doubt; otherwise as it is.

        What fits stays as it is: the digits of a text parameter never become a number.
        """
        if self.fits(rendered):
            return rendered
        value = _read(rendered)
        return value if self.fits(value) else rendered

    def or_none(self) -> "Type":
        """This type, and None."""
        return Type(self.text, _any_of(self.fits, NONE.fits))


def _read(rendered: object) -> object:
    """The value that a text spells, also within lists and dicts; a text that spells none is itself."""
    match rendered:
        case list():
            return [_read(one) for one in rendered]
        case dict():
            return {name: _read(one) for name, one in rendered.items()}
        case str():
            for read in (json.loads, ast.literal_eval):
                try:
                    value = read(rendered.strip())
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue
                return rendered if isinstance(value, str) else value
    return rendered


def _kind(text: str, *kinds: type) -> Type:
    return Type(text, lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)))


def _any_of(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


UNKNOWN = Type("", lambda value: True)
NONE = _kind("None", type(None))
TEXT, TRUTH, WHOLE, NUMBER = _kind("str", str), _kind("bool", bool), _kind("int", int), _kind("float", int, float)
LIST, DICT = _kind("list", list), _kind("dict", dict)
NAMED = {"str": TEXT, "bool": TRUTH, "int": WHOLE, "float": NUMBER, "None": NONE, "NoneType": NONE}
LISTS = ("list", "List", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet", "Sequence", "Collection", "Iterable")
DICTS = ("dict", "Dict", "Mapping", "MutableMapping")
NAMED |= dict.fromkeys(LISTS, LIST) | dict.fromkeys(DICTS, DICT)
RETURNED = {"sorted": LIST, "len": WHOLE, "repr": TEXT} | NAMED  # of calls of these names


def of_annotation(node: ast.expr) -> Type:
    """The type that an annotation names."""
    quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return Type(node.value if quoted else ast.unparse(node), _annotated(node))


def of_comment(comment: str) -> Type | None:
    """The type that a comment such as `type: int` names; None: it names none."""
    if not comment.startswith("type:"):
        return None
    said = comment.removeprefix("type:").strip()
    for candidate in (said, said.partition(" ")[0]):  # its meaning may follow
        try:
            return of_annotation(ast.parse(candidate, mode="eval").body)
        except SyntaxError:
            continue
    return None


def of_default(node: ast.expr, known: dict[str, Type]) -> Type:
    """The type of a default value; `known` are the types of the names before it."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return NAMED[type(node.value).__name__]
        case ast.JoinedStr():
            return TEXT
        case ast.List() | ast.Tuple() | ast.Set() | ast.ListComp() | ast.SetComp():
            return LIST
        case ast.Dict() | ast.DictComp():
            return DICT
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return TRUTH
        case ast.UnaryOp(operand=operand):
            return of_default(operand, known)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(of_default(left, known), op, of_default(right, known))
        case ast.IfExp(body=one, orelse=other):
            both = of_default(one, known), of_default(other, known)
            return both[0] if both[0] is both[1] else UNKNOWN
        case ast.Call(func=ast.Name(id=name)):
            return RETURNED.get(name, UNKNOWN)
        case ast.Name(id=name):
            return known.get(name, UNKNOWN)
    return UNKNOWN


def _combined(left: Type, op: ast.operator, right: Type) -> Type:
    both = (left, right)
    if left is TEXT and isinstance(op, ast.Mod):
        return TEXT
    if isinstance(op, ast.Add) and left is right and left in (TEXT, LIST):
        return left
    if all(one in (WHOLE, NUMBER) for one in both):
        whole = both == (WHOLE, WHOLE) and not isinstance(op, ast.Div | ast.Pow)
        return WHOLE if whole else NUMBER
    return UNKNOWN


def _annotated(node: ast.expr) -> Check:
    match node:
        case ast.Constant(value=None):
            return NONE.fits
        case ast.Constant(value=str(text)):  # in quotes
            try:
                return _annotated(ast.parse(text.strip(), mode="eval").body)
            except SyntaxError:
                return UNKNOWN.fits
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _any_of(_annotated(left), _annotated(right))
        case ast.Subscript(value=value, slice=inner):
            return _generic(_name(value), inner.elts if isinstance(inner, ast.Tuple) else [inner])
    return NAMED.get(_name(node), UNKNOWN).fits


def _generic(name: str, inner: list[ast.expr]) -> Check:
    """What fits a type in brackets, such as `list[int]`."""
    if name == "Literal":
        return _one_of(inner)
    checks = [_annotated(one) for one in inner if not (isinstance(one, ast.Constant) and one.value is ...)]
    checks = checks or [UNKNOWN.fits]
    if name in ("Optional", "Union"):
        return _any_of(*checks, *([NONE.fits] if name == "Optional" else []))
    if name in ("Annotated", "Final", "ClassVar"):
        return checks[0]
    if name in LISTS:
        return lambda value: LIST.fits(value) and all(map(_any_of(*checks), value))
    if name in DICTS:
        return lambda value: DICT.fits(value) and all(map(checks[-1], value.values()))
    return NAMED.get(name, UNKNOWN).fits


def _one_of(literals: list[ast.expr]) -> Check:
    try:
        allowed = [ast.literal_eval(one) for one in literals]
    except ValueError:  # an enumeration's, say
        return UNKNOWN.fits
    return lambda value: any(type(value) is type(one) and value == one for one in allowed)


def _name(node: ast.expr) -> str:
    """The last name of `int`, `typing.Optional`; empty for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
