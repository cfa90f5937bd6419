"""A notebook as it stands in its file, and what is found in it: nothing is repaired or filled in on the way."""

import ast
import json
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nbformat.validator import ValidationError, iter_validate

from pulsebook.base import magic
from pulsebook.base.errors import PulsebookError
from pulsebook.base.settings import settings
from pulsebook.parameters.cell import Parameter, parsed, read_cell

OLDEST = (4, 5)  # the first format in which cells have ids
PYTHON_BELOW = ("time", "timeit", "capture", "prun")  # cell magics: what follows them is Python of the notebook


@dataclass(frozen=True)
class Finding:
    """One sentence on what is wrong, and where. A hint is no error."""

    file: str
    cell: int | None  # from 1, all kinds of cells counted; None: the notebook as a whole, or a DAG
    line: int | None  # of the cell or of the DAG, from 1
    rule: str
    text: str
    hint: bool = False

    def __str__(self) -> str:
        cell, line = (f", {name} {n}" if n else "" for name, n in (("cell", self.cell), ("line", self.line)))
        return f"{self.file}{cell}{line}: {'hint: ' if self.hint else ''}{self.text}"


class Unreadable(PulsebookError, ValueError):
    """A file is no notebook."""


@dataclass
class Cell:
    """A cell as it was saved; `number` counts from 1."""

    number: int
    kind: str
    source: str
    content: dict = field(repr=False)

    @property
    def metadata(self) -> dict:
        """What Jupyter keeps beside the source."""
        return self.content.get("metadata") or {}

    @property
    def tags(self) -> list[str]:
        """What it is tagged with."""
        return self.metadata.get("tags") or []

    @property
    def is_python(self) -> bool:
        """Whether its code is Python of this notebook: not a text, not `%%bash`."""
        magic = re.match(r"\s*%%(\w*)", self.source)
        return self.kind == "code" and (magic is None or magic[1] in PYTHON_BELOW)

    @cached_property
    def code(self) -> tuple[ast.Module, dict[int, str]]:
        """Its statements, and its comments by line.

        Raises:
            SyntaxError: it is no Python; its `lineno` is the cell's own.
        """
        tree, comments = parsed(self.source)
        with warnings.catch_warnings(action="ignore"), suppress(RecursionError):  # ruff tells; deep code may be run
            compile(tree, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        return tree, comments

    @property
    def statements(self) -> ast.Module:
        """Its Python; none where it is something else or cannot be read."""
        try:
            return self.code[0] if self.is_python else ast.Module([], [])
        except SyntaxError:
            return ast.Module([], [])


@dataclass
class Notebook:
    """A notebook: `name` is how findings call it."""

    path: Path
    name: str
    cells: list[Cell]
    content: dict = field(repr=False)

    @property
    def metadata(self) -> dict:
        """What stands beside the cells."""
        return self.content.get("metadata") or {}

    @property
    def code(self) -> list[Cell]:
        """Its code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def parameters(self) -> Cell | None:
        """The cell whose parameters papermill takes."""
        return next((cell for cell in self.code if "parameters" in cell.tags), None)

    @property
    def is_python(self) -> bool:
        """Whether its code is Python, as it is where nothing is said."""
        kernel = self.metadata.get("kernelspec") or {}
        language = (
            (self.metadata.get("language_info") or {}).get("name") or kernel.get("language") or kernel.get("name")
        )
        return not language or "python" in language.lower()

    @property
    def declared(self) -> dict[str, Parameter] | None:
        """What its parameters cell declares; None: it is no Python, and nothing is known."""
        try:
            return read_cell(self.parameters.source if self.parameters else "") if self.is_python else None
        except SyntaxError:
            return None

    @property
    def by_hand(self) -> bool:
        """Whether it says that people run it, not a DAG: `Run it by hand` in its first cell."""
        first = self.cells[0].source if self.cells and self.cells[0].kind == "markdown" else ""
        return re.search(r"\brun (it )?by hand\b", first, re.I) is not None

    def finding(self, rule: str, text: str, cell: Cell | None = None, line: int | None = None, **more) -> Finding:
        """A finding in this notebook."""
        return Finding(self.name, cell.number if cell else None, line, rule, text, **more)


def read(path: Path, name: str) -> Notebook:
    """The notebook of a file.

    Raises:
        Unreadable: it is none, with the reason.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _validate(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        reason = str(error).strip().splitlines() or [""]
        raise Unreadable(f"{type(error).__name__}: {reason[0]}") from None
    cells = [
        Cell(number, cell["cell_type"], "".join(cell["source"]), cell)
        for number, cell in enumerate(content["cells"], 1)
        if not (settings().in_lab and magic.alone("".join(cell["source"])))  # that asks, and is no part of it
    ]
    return Notebook(path, name, cells, content)


def _validate(content: dict) -> None:
    """Raises whatever Jupyter would stumble over, but for ids, which are looked at for themselves."""
    version = content["nbformat"], content["nbformat_minor"]
    if version < OLDEST:
        raise ValueError(
            f"the format {version[0]}.{version[1]}, which knows no ids of cells; {OLDEST[0]}.{OLDEST[1]} is needed: save it "
            "once with JupyterLab"
        )
    numbered = [{**cell, "id": str(number)} for number, cell in enumerate(content["cells"])]
    for error in iter_validate({**content, "cells": numbered}, version=version[0], version_minor=version[1]):
        raise error
