"""The parameters that a notebook is given: whether they are what its parameters cell declares."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat

from pulsebook.base.errors import PulsebookError
from pulsebook.base.periods import PeriodError, run_day, run_slot
from pulsebook.base.redact import redact
from pulsebook.parameters.cell import Parameter, read_cell
from pulsebook.parameters.types import UNKNOWN

JSON = "text, a number, true or false, None, or a list or dict of these"
LARGEST = 10**4000  # Python writes down no whole number of more than 4,300 digits
DEEPEST = 40  # lists and dicts within each other
SHOWN = 300  # characters of a refused value
PERIODS = {"run_date": run_day, "slot": run_slot}  # what a parameter of the name must be, where it is text
SECRET = re.compile("pass|pwd|secret|token|key|credential", re.I)  # such a parameter's value is not shown


class ParameterError(PulsebookError, ValueError):
    """A parameter is not one of the notebook's, or is not what its parameters cell declares."""


def declared(notebook: Path) -> dict[str, Parameter] | None:
    """What the parameters cell of a notebook declares, in its order; None: it is not in Python, and nothing is known.

    Raises:
        ParameterError: there is no such notebook, or its parameters cell is no Python.
    """
    content = _read(notebook)
    try:
        cells = [cell.source for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
        kernel = content.metadata.get("kernelspec", {})
        language = content.metadata.get("language_info", {}).get("name") or kernel.get("language") or kernel.get("name")
    except (AttributeError, TypeError) as error:
        raise _unreadable(notebook, error) from None
    if language and "python" not in language.lower():
        return None
    try:
        return read_cell(cells[0]) if cells else {}
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        raise ParameterError(f"the parameters cell of {notebook.name} is no Python: {line}{error.msg}") from None


def _read(notebook: Path) -> nbformat.NotebookNode:
    try:
        content = nbformat.read(notebook, as_version=4)
        list(content.cells)
        return content
    except FileNotFoundError:
        raise ParameterError(f"there is no notebook {notebook}") from None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _unreadable(notebook, error) from None


def _unreadable(notebook: Path, error: Exception) -> ParameterError:
    return ParameterError(f"{notebook} is no notebook that can be read: {type(error).__name__}: {error}")


def accepted(notebook: Path, parameters: dict) -> dict:
    """The parameters as they are injected, in plain values of JSON.

    Raises:
        ParameterError: an unknown name, a value of another type than is declared, a day or slot that cannot be, or a notebook
            that cannot be read.
    """
    if not isinstance(parameters, dict):
        raise ParameterError(
            f"the parameters of {notebook.name} must be a dict of names and values, got {_got(parameters)}"
        )
    if parameters:
        known = declared(notebook)
    else:  # a cell that is no Python is the kernel's to report
        _read(notebook)
    taken = {}
    for name, value in parameters.items():
        if known is not None and name not in known:
            raise ParameterError(f"{notebook.name} has no parameter {name}; it has {', '.join(known) or 'none'}")
        kind = known[name].type if known is not None else UNKNOWN
        try:
            taken[name] = plain(value)
        except ValueError as error:
            expected = kind.text or JSON
            raise ParameterError(
                f"parameter {name} of {notebook.name} must be {expected}, got {_got(value, name)}{error}"
            ) from None
        if not kind.fits(taken[name]):
            raise ParameterError(f"parameter {name} of {notebook.name} must be {kind.text}, got {_got(value, name)}")
        if name in PERIODS and known and isinstance(taken[name], str):
            try:
                PERIODS[name](taken[name])
            except PeriodError as error:
                raise ParameterError(f"{notebook.name}: {error}") from None
    return taken


def known_of(notebook: Path) -> dict:
    """What a notebook declares, as `declared` has it; nothing where that is refused: the run says so, with a record."""
    try:
        return declared(notebook) or {}
    except ParameterError:
        return {}


def from_templates(notebook: Path, parameters: dict) -> dict:
    """Parameters that templates rendered to text, as what the notebook declares where their meaning is beyond doubt.

    Nothing is refused here: whatever does not fit stays as it is, for `accepted` to report.
    """
    if not isinstance(parameters, dict):
        return parameters
    known = known_of(notebook)
    return {name: known[name].type.of_template(value) if name in known else value for name, value in parameters.items()}


def recorded(parameters: dict) -> dict:
    """Parameters for a record, also such as will be refused: what JSON has no value for as its text."""
    if not isinstance(parameters, dict):
        return {"parameters": _got(parameters)}
    return {_encodable(str(name)): _recorded(value) for name, value in parameters.items()}


def plain(value: object, depth: int = 0) -> object:
    """A value in JSON's own types: any sequence is a list, and of a subclass its plain value.

    Raises:
        ValueError: JSON has no such value; the message is what there is to say beside its type.
    """
    if depth > DEEPEST:
        raise ValueError(f"; it is more than {DEEPEST} levels deep")
    match value:
        case None | bool():
            return value
        case str():
            if not _is_encodable(value):
                raise ValueError("; it holds half of a surrogate pair")
            return str.__str__(value)
        case int():
            if abs(value) >= LARGEST:
                raise ValueError("; it has more digits than can be written down")
            return int(value)
        case float():
            return float(value)
        case bytes() | bytearray() | memoryview():
            pass
        case Sequence():
            return [plain(one, depth + 1) for one in value]
        case Mapping():
            if odd := [name for name in value if not isinstance(name, str)]:
                raise ValueError(f"; its keys must be text, found {type(odd[0]).__name__}")
            return {plain(name): plain(one, depth + 1) for name, one in value.items()}
    raise ValueError("" if depth == 0 else f"; it holds a value of type {type(value).__name__}")


def _got(value: object, name: str = "") -> str:
    if SECRET.search(name):
        return type(value).__name__
    text = redact(f"{type(value).__name__}: {_written(value)}")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _recorded(value: object) -> object:
    try:
        return plain(value)
    except ValueError:
        return _written(value)[:SHOWN]


def _written(value: object) -> str:
    try:
        return _encodable(repr(value))
    except Exception as error:  # whatever a foreign class does
        return f"a value that cannot be shown ({type(error).__name__})"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False
