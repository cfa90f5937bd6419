"""The code of a notebook's cells: syntax, the parameters cell, second values, imports, silent checks, magic of JupyterLab."""

import ast
from collections.abc import Iterator

from pulsebook.base import magic
from pulsebook.base.settings import settings
from pulsebook.cli.checks.notebook import Cell, Finding, Notebook
from pulsebook.parameters.cell import read_cell

LOCAL = "pulsebook.local"
FOREIGN = {  # what a notebook never imports, and why
    "airflow": "Airflow executes a notebook, which knows nothing of it",
    "pulsebook.airflow": "Airflow executes a notebook, which knows nothing of it",
    LOCAL: "it is what a laptop, the demo and the tests need, and not there in production",
}


def findings(notebook: Notebook) -> Iterator[Finding]:
    """What is wrong with the code of a notebook; nothing is said of another language than Python."""
    if not notebook.is_python:
        return
    for cell in notebook.code:
        if not cell.is_python:
            continue
        try:
            cell.code  # noqa: B018 (reads it)
        except SyntaxError as error:
            yield notebook.finding("syntax", f"expected Python, found an error: {error.msg}", cell, error.lineno)
        if not settings().in_lab:
            yield from _magics(notebook, cell)
        yield from _imports(notebook, cell)
        yield from _silent(notebook, cell)
    if (parameters := notebook.parameters) is not None:
        for line, text in _declarations(parameters):
            yield notebook.finding("parameters", text, parameters, line)
        yield from _second_values(notebook, parameters)


def _magics(notebook: Notebook, cell: Cell) -> Iterator[Finding]:
    for line, found in magic.lines(cell.source):
        yield notebook.finding(
            "magic", f"`{found}` is for JupyterLab, and a run refuses it: take the line out", cell, line
        )


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of modules that code imports, with lines: of `from a import b` both `a` and `a.b`, of `.a` with its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            joint = "" if base.endswith(".") else "."
            yield base, node.lineno
            yield from ((f"{base}{joint}{alias.name}", node.lineno) for alias in node.names)


def _imports(notebook: Notebook, cell: Cell) -> Iterator[Finding]:
    seen = set()
    for module, line in imported(cell.statements):
        for foreign, why in FOREIGN.items():
            if (module == foreign or module.startswith(f"{foreign}.")) and (foreign, line) not in seen:
                seen.add((foreign, line))
                yield notebook.finding("imports", f"expected no import of {foreign}, found one: {why}", cell, line)


def _silent(notebook: Notebook, cell: Cell) -> Iterator[Finding]:
    for node in ast.walk(cell.statements):
        if isinstance(node, ast.Assert) and node.msg is None:
            yield notebook.finding(
                "checks",
                "an assert must say what was expected, what was found and what to do, found one without a message: "
                "raise ValueError(f'…') instead",
                cell,
                node.lineno,
            )
        if isinstance(node, ast.ExceptHandler) and all(_does_nothing(one) for one in node.body):
            yield notebook.finding(
                "checks",
                "an exception must be handled or seen, found one that is passed over: let it be raised",
                cell,
                node.lineno,
            )


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _declarations(cell: Cell) -> Iterator[tuple[int, str]]:
    """What is wrong with a parameters cell, by lines."""
    try:
        tree, comments = cell.code
    except SyntaxError:
        return
    seen = set()
    for statement in tree.body:
        line = statement.lineno
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case _:
                found = ast.unparse(statement).splitlines()[0]
                yield (
                    line,
                    f"the parameters cell holds `name: type = value  # meaning` alone, found `{found}`: move it down",
                )
                continue
        if name in seen:
            yield line, f"parameter {name} is there twice: drop one"
        seen.add(name)
        if statement.value is not None and not _is_literal(statement.value):
            found = ast.unparse(statement.value)
            yield (
                line,
                f"parameter {name} must be a plain value, found `{found}`, which is computed: derive it in a later cell, "
                "under another name",
            )
        elif isinstance(statement, ast.Assign):
            yield line, f"parameter {name} has no type: write it as `{name}: str = …  # meaning`, with its own type"
        elif statement.value is not None and not _fits(statement, cell):
            kind, found = ast.unparse(statement.annotation), ast.unparse(statement.value)
            yield line, f"parameter {name} must be {kind}, as its type says, found {found}: mend the type or the value"
        if not (comments.get(line) or comments.get(statement.end_lineno)):
            yield line, f"parameter {name} has no meaning: write it as a comment behind the value"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
        return True
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False


def _fits(statement: ast.AnnAssign, cell: Cell) -> bool:
    value = ast.literal_eval(statement.value)
    kind = read_cell(cell.source)[statement.target.id].type
    return kind.fits(list(value) if isinstance(value, tuple | set) else value)


def _second_values(notebook: Notebook, parameters: Cell) -> Iterator[Finding]:
    names = {name for name, _, _ in bound(parameters.statements, declared=True)}
    for cell in notebook.code:
        if cell.number <= parameters.number:
            continue
        for name, line, how in dict.fromkeys(bound(cell.statements)):
            if name in names:
                yield notebook.finding(
                    "second value",
                    f"{name} is a parameter and keeps its value, so that any cell can be run twice; found it {how} here: "
                    "take another name",
                    cell,
                    line,
                )


def bound(tree: ast.AST, declared: bool = False) -> Iterator[tuple[str, int, str]]:
    """Names that get a value in the scope of a module, with line and how. `declared`: also such as `limit: int`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        inner = list(ast.iter_child_nodes(node))
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno, "defined"
                yield from _of_globals(node)
                inner = _evaluated_outside(node)
            case ast.Lambda():
                inner = _evaluated_outside(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                inner = [one.target for one in ast.walk(node) if isinstance(one, ast.NamedExpr)]
            case ast.AnnAssign(value=None, target=ast.Name()) if not declared:
                inner = []
            case ast.For() | ast.AsyncFor():
                targets = [one for one in ast.walk(node.target) if isinstance(one, ast.Name) and _is_stored(one)]
                yield from ((one.id, one.lineno, "made a loop's variable") for one in targets)
                inner = [node.iter, *node.body, *node.orelse]
            case ast.Name(id=name) if _is_stored(node):
                yield name, node.lineno, "assigned"
            case ast.Name(id=name, ctx=ast.Del()):
                yield name, node.lineno, "deleted"
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], node.lineno, "imported"
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno, "assigned"
            case ast.MatchMapping(rest=str(name)):
                yield name, node.lineno, "assigned"
        waiting += reversed(inner)


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _evaluated_outside(node: ast.AST) -> list[ast.expr]:
    """Expressions of a definition that belong to the scope around it: decorators, defaults, bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases]
    defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None]
    return [*getattr(node, "decorator_list", []), *defaults]


def _of_globals(node: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Names of the module that a function's body says are global and gives a value."""
    names = {name for one in ast.walk(node) if isinstance(one, ast.Global) for name in one.names}
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del) and one.id in names:
            yield one.id, one.lineno, "assigned as a global"
