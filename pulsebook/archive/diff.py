"""Two executed notebooks of a step: what differs in parameters, numbers of the summaries, pictures and code."""

import io
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from pulsebook.archive import index
from pulsebook.archive import notebook as facts
from pulsebook.archive.figures import figures, moved, value
from pulsebook.archive.record import Record, RecordError


class DiffError(ValueError):
    """Two runs cannot be compared."""


@dataclass(frozen=True)
class Change:
    """One thing in two runs, as written there (a picture: its `data:` address); None where it is absent."""

    label: str
    before: str | None
    after: str | None

    @property
    def same(self) -> bool:
        number = value(self.before or "")
        return self.before == self.after or (number is not None and number == value(self.after or ""))


@dataclass(frozen=True)
class Comparison:
    """An earlier run and a later one."""

    earlier: Record
    later: Record
    notebooks: tuple[NotebookNode, NotebookNode]

    @cached_property
    def parameters(self) -> list[Change]:
        old, new = ({name: repr(given) for name, given in r.parameters.items()} for r in (self.earlier, self.later))
        return _paired(old, new)

    @cached_property
    def numbers(self) -> list[Change]:
        return _paired(*(figures(notebook) for notebook in self.notebooks))

    @cached_property
    def pictures(self) -> list[Change]:
        return _paired(*(_pictures(notebook) for notebook in self.notebooks))

    @cached_property
    def code(self) -> list[dict]:
        """nbdime's diff of the cells' sources; empty where they are the same."""
        from nbdime import diff_notebooks  # takes a moment

        found = [op for op in diff_notebooks(*self.sources) if op.key == "cells"]
        return [op for op in found[0].diff if op.op != "patch" or _of_source(op)] if found else []

    @cached_property
    def sources(self) -> tuple[NotebookNode, NotebookNode]:
        """The notebooks as their author wrote them: no outputs, no injected parameters."""
        return tuple(_bare(notebook) for notebook in self.notebooks)


def find(outputs: Path, run: str) -> Record:
    """The record of a run that is named as in the index, or by the path of its notebook, page or record.

    Raises:
        DiffError: there is none.
    """
    for path in (outputs / run, Path(run)):
        for candidate in (path, path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
            if candidate.suffix == ".json" and candidate.is_file():
                try:
                    return Record.load(candidate.absolute())
                except RecordError as error:
                    raise DiffError(str(error)) from None
    raise DiffError(f"no run record belongs to {run}: expected a name such as etl/2026-11-22/run/load-try1, or a path")


def previous(outputs: Path, record: Record) -> Record:
    """The record of the latest succeeded run of the same step before this one.

    Raises:
        DiffError: there is none, or the record is not of this archive.
    """
    if not record.path.is_relative_to(outputs):
        raise DiffError(f"{record.path} is not below {outputs}: name the run to compare with")
    if not (path := index.previous(outputs, record)):
        raise DiffError(f"{record.path.stem} has no earlier succeeded run: name the run to compare with")
    return find(outputs, str(path))


def compare(earlier: Record, later: Record) -> Comparison:
    """Compare two runs.

    Raises:
        DiffError: one has no executed notebook, or one that is damaged.
    """
    read = []
    for record in (earlier, later):
        if not record.executed.exists():
            raise DiffError(f"{record.path} says {record.status}, and there is no executed notebook beside it")
        try:
            read.append(nbformat.reads(record.executed.read_text(encoding="utf-8"), as_version=4))
        except Exception as error:  # whatever nbformat says of what is no notebook
            raise DiffError(f"{record.executed} is no notebook: {type(error).__name__}: {error}") from None
    return Comparison(earlier, later, tuple(read))


def text(found: Comparison) -> str:
    """The comparison for a terminal."""
    lines = [f"{word}  {describe(record)}" for word, record in (("from", found.earlier), ("to  ", found.later))]
    if changed := [c for c in found.parameters if not c.same]:
        lines += ["", "parameters", *_columns([(c.label, _shown(c.before), _shown(c.after)) for c in changed])]
    lines += ["", f"numbers of the summaries: {count(found.numbers)}"]
    changed = [c for c in found.numbers if not c.same and None not in (c.before, c.after)]
    lines += _columns([(c.label, c.before, c.after, moved(c.before, c.after)) for c in changed])
    lines += ["", f"pictures: {count(found.pictures)}" if found.pictures else "no pictures"]
    return "\n".join([*lines, "", f"code\n{_code(found)}" if found.code else "the code is the same"])


def describe(record: Record) -> str:
    """Which run, how it ended."""
    took = f" in {record.duration:.1f} s" if record.duration is not None else ""
    return f"{'/'.join(record.path.with_suffix('').parts[-4:])}: {record.status}{took}"


def count(changes: list[Change]) -> str:
    """How many differ, are the same, are only in one."""
    one = sum(None in (c.before, c.after) for c in changes)
    same = sum(c.same for c in changes)
    return f"{len(changes) - one - same} differ, {same} the same" + (f", {one} in one of them only" if one else "")


def _code(found: Comparison) -> str:
    from nbdime.diff_format import op_patch
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_diff

    told = io.StringIO()
    plain = PrettyPrintConfig(out=told, use_color=False, use_git=False)
    ops = [op if op.op != "patch" else op_patch(op.key, _of_source(op)) for op in found.code]
    pretty_print_diff(found.sources[0], [op_patch("cells", ops)], "", plain)
    return told.getvalue().rstrip()


def _of_source(op) -> list:
    return [inner for inner in op.diff if inner.key == "source"]


def _bare(notebook: NotebookNode) -> NotebookNode:
    cells = []
    for cell in facts.cells(notebook):
        if "injected-parameters" not in cell.metadata.get("tags", []):
            bare = {"id": cell.get("id", ""), "cell_type": cell.cell_type, "metadata": {}, "source": cell.source}
            cells.append(bare | ({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}))
    return nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def _pictures(notebook: NotebookNode) -> dict[str, str]:
    found, heading = {}, ""
    for cell in facts.cells(notebook):
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("#"):
            heading = cell.source.lstrip().splitlines()[0].lstrip("# ")
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            for kind in ("image/png", "image/jpeg"):
                if kind in data:
                    number = sum(label.startswith(f"{heading}, picture ") for label in found) + 1
                    found[f"{heading}, picture {number}"] = f"data:{kind};base64,{''.join(data[kind].split())}"
    return found


def _paired(old: dict[str, str], new: dict[str, str]) -> list[Change]:
    """What both hold, in the order of the later one; what only the earlier one holds stands where it stood."""
    labels = []
    for _, start, end, begin, stop in SequenceMatcher(a=list(old), b=list(new), autojunk=False).get_opcodes():
        labels += [*list(new)[begin:stop], *[label for label in list(old)[start:end] if label not in new]]
    return [Change(label, old.get(label), new.get(label)) for label in dict.fromkeys(labels)]


def _shown(text: str | None) -> str:
    return "–" if text is None else text


def _columns(rows: list[tuple]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
