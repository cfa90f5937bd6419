"""The parameters cell of a notebook, read without running it: names, types, defaults and what they mean.

    >>> for parameter in read_cell('colour = "#1f77b4"  # of the line\\nlimit: int | None = None').values():
    ...     print(parameter.name, parameter.type.text, parameter.default, parameter.help, sep=", ")
    colour, str, '#1f77b4', of the line
    limit, int | None, None,

An annotation says the type, else a comment `# type: int`, else the default. A default that has to be computed says nothing.
papermill reads cells through this, too.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager
from papermill.models import Parameter as PapermillParameter
from papermill.translators import PythonTranslator, papermill_translators

from pulsebook.parameters.types import UNKNOWN, Type, of_annotation, of_comment, of_default


@dataclass(frozen=True)
class Parameter:
    """One name that a parameters cell declares. `default` is code; None: it has none."""

    name: str
    type: Type
    default: str | None
    help: str


def read_cell(source: str) -> dict[str, Parameter]:
    """What the code of a parameters cell declares.

    Raises:
        SyntaxError: it is no Python.
    """
    tree, comments = parsed(source)
    found: dict[str, Parameter] = {}
    annotated: dict[str, Type] = {}
    for statement, always in _statements(tree.body):
        comment = comments.get(statement.end_lineno) or comments.get(statement.lineno, "")
        for name, value in _assigned(statement):
            if said := _said(statement, comment):
                annotated[name] = said
            known = {parameter.name: parameter.type for parameter in found.values()}
            computed = value is None or not always
            kind = annotated.get(name) or (UNKNOWN if computed else of_default(value, known))
            if isinstance(value, ast.Constant) and value.value is None:
                kind = kind.or_none()
            default = None if value is None else ast.unparse(value)
            found[name] = Parameter(name, kind, default, _meaning(comment))
    return found


def parsed(source: str) -> tuple[ast.Module, dict[int, str]]:
    """The statements of a cell, and its comments by their lines. All lines are the cell's own.

    Raises:
        SyntaxError: it is no Python.
    """
    code = re.sub(r"\A(\s*)%%.*", r"\1", source)  # %%time, %%capture: what follows is executed all the same
    above = code[: len(code) - len(code.lstrip())].count("\n")  # IPython leaves empty lines at the top out
    try:
        code = TransformerManager().transform_cell(code)  # %magics and !commands are calls
        tree = ast.increment_lineno(ast.parse(code), above)
        tokens = tokenize.generate_tokens(io.StringIO(code).readline)
        comments = {
            token.start[0] + above: token.string.lstrip("# ").strip()
            for token in tokens
            if token.type == tokenize.COMMENT
        }
        return tree, comments
    except SyntaxError as error:
        error.lineno = error.lineno and error.lineno + above
        raise
    except (ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise SyntaxError(f"{type(error).__name__}: {error}") from None


class _Translator(PythonTranslator):
    """papermill's way to Python, which reads a parameters cell as we do."""

    @classmethod
    def inspect(cls, parameters_cell):
        try:
            known = read_cell(parameters_cell["source"])
        except SyntaxError:  # running it will show
            return []
        return [PapermillParameter(p.name, p.type.text or "None", str(p.default), p.help) for p in known.values()]


papermill_translators.register("python", _Translator)


def _statements(body: list[ast.stmt], always: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """The statements that can declare something, and whether they are executed in any case."""
    for statement in body:
        match statement:
            case ast.With():
                yield from _statements(statement.body, always)
            case ast.If() | ast.Try():
                handled = [part for handler in getattr(statement, "handlers", []) for part in handler.body]
                yield from _statements([*statement.body, *handled, *statement.orelse], False)
                yield from _statements(getattr(statement, "finalbody", []), always)
            case _:
                yield statement, always


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a statement assigns to, with the expressions of their values (None: it has none of its own)."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value)


def _unpacked(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    match target:
        case ast.Name(id=name):
            yield name, value
        case ast.Starred(value=inner):
            yield from _unpacked(inner, None)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            paired = len(values) == len(targets) and not any(
                isinstance(one, ast.Starred) for one in [*targets, *values]
            )
            for one, its in zip(targets, values if paired else [None] * len(targets), strict=True):
                yield from _unpacked(one, its)


def _said(statement: ast.stmt, comment: str) -> Type | None:
    """The type that stands there; None: only the value tells."""
    return of_annotation(statement.annotation) if isinstance(statement, ast.AnnAssign) else of_comment(comment)


def _meaning(comment: str) -> str:
    return comment.removeprefix("type:").strip().partition(" ")[2].strip() if comment.startswith("type:") else comment
