"""Two executed notebooks of a step: what differs in parameters, numbers of the summaries, pictures and code."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from pulsebook.archive import code_diff, document, figures, lookup, pictures
from pulsebook.archive import notebook as facts
from pulsebook.archive.code_diff import CellChange
from pulsebook.archive.figures import value
from pulsebook.archive.record import Record, RecordError
from pulsebook.archive.surroundings import shortened
from pulsebook.base import magic
from pulsebook.base.errors import PulsebookError

PICTURES, PICTURE_BYTES = 40, 20_000_000  # of one notebook that are compared: how many, characters of their addresses
PARAMETERS, VALUE = 500, 2_000  # that are compared; characters of one that are shown


class DiffError(PulsebookError, ValueError):
    """Two tries cannot be compared."""


@dataclass(frozen=True)
class Change:
    """One thing in two tries, as written there (a picture: its `data:` address); None where it is absent."""

    label: str
    before: str | None
    after: str | None

    @property
    def same(self) -> bool:
        number = value(self.before or "")
        return self.before == self.after or (number is not None and number == value(self.after or ""))


@dataclass(frozen=True)
class Comparison:
    """An earlier try and a later one."""

    earlier: Record
    later: Record
    notebooks: tuple[NotebookNode, NotebookNode]

    @cached_property
    def parameters(self) -> list[Change]:
        given = [r.parameters if isinstance(r.parameters, dict) else {} for r in (self.earlier, self.later)]
        return _paired(
            *({document.text(name): document.text(repr(p[name])) for name in list(p)[:PARAMETERS]} for p in given)
        )

    @cached_property
    def numbers(self) -> list[Change]:
        return _paired(*(found for found, _ in self._figures))

    @cached_property
    def pictures(self) -> list[Change]:
        return _paired(*(found for found, _ in self._pictures))

    @cached_property
    def code(self) -> list[CellChange]:
        """The cells whose source differs; empty where it is the same."""
        return code_diff.changes(*(_sources(notebook) for notebook in self.notebooks))

    @property
    def left_out(self) -> list[str]:
        """What was not compared, as sentences."""
        said = [sentence for _, sentence in (*self._figures, *self._pictures) if sentence]
        if any(len(r.parameters) > PARAMETERS for r in (self.earlier, self.later) if isinstance(r.parameters, dict)):
            said.append(f"Only the first {PARAMETERS} parameters are compared.")
        return list(dict.fromkeys(said))

    @cached_property
    def _figures(self) -> list[tuple[dict[str, str], str]]:
        return [figures.read(notebook) for notebook in self.notebooks]

    @cached_property
    def _pictures(self) -> list[tuple[dict[str, str], str]]:
        return [_pictures(notebook) for notebook in self.notebooks]


def find(outputs: Path, name: str) -> Record:
    """The record of a try that is named as in the index, or by the path of its notebook, page or record.

    Raises:
        DiffError: there is none.
    """
    for path in (outputs / name, Path(name)):
        for candidate in (path, path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
            if candidate.suffix == ".json" and candidate.is_file():
                try:
                    return Record.load(candidate.absolute())
                except RecordError as error:
                    raise DiffError(str(error)) from None
    raise DiffError(f"no run record belongs to {name}: expected a name such as etl/2026-11-22/run/load-try1, or a path")


def previous(outputs: Path, record: Record) -> Record:
    """The record of the latest succeeded try of the same step before this one.

    Raises:
        DiffError: there is none, or the record is not of this archive.
    """
    if not record.path.is_relative_to(outputs):
        raise DiffError(f"{record.path} is not below {outputs}: name the run to compare with")
    path = lookup.previous(outputs, record)
    if not path:
        raise DiffError(f"{record.path.stem} has no earlier succeeded run: name the run to compare with")
    return find(outputs, str(path))


def compare(earlier: Record, later: Record) -> Comparison:
    """Compare two tries.

    Raises:
        DiffError: one has no executed notebook that can be read.
    """
    read = []
    for record in (earlier, later):
        if not record.executed.exists():
            raise DiffError(f"{record.path} says {record.status}, and there is no executed notebook beside it")
        try:
            read.append(document.read(record.executed))
        except document.DocumentError as why:
            raise DiffError(str(why)) from None
    return Comparison(earlier, later, tuple(read))


def describe(record: Record) -> str:
    """Which try, how it ended."""
    took = f" in {record.duration:.1f} s" if record.duration is not None else ""
    return f"{'/'.join(record.path.with_suffix('').parts[-4:])}: {record.status}{took}"


def count(changes: list[Change]) -> str:
    """How many differ, are the same, are only in one."""
    one = sum(None in (c.before, c.after) for c in changes)
    same = sum(c.same for c in changes)
    return f"{len(changes) - one - same} differ, {same} the same" + (f", {one} in one of them only" if one else "")


def shown(given: str | None) -> str:
    """A text as it is shown: a long one without its middle; a dash where there is none."""
    return "–" if given is None else shortened(given, VALUE)


def _sources(notebook: NotebookNode) -> list[str]:
    """The cells as their author wrote them, without injected parameters and the magic of JupyterLab."""
    cells = [cell for cell in facts.cells(notebook) if "injected-parameters" not in cell.metadata["tags"]]
    return [magic.without(cell.source) for cell in cells if not magic.alone(cell.source)]


def _pictures(notebook: NotebookNode) -> tuple[dict[str, str], str]:
    """Pictures by heading and number: a `data:` address, or a sentence that says why there is none; what was left out."""
    found, numbers, heading, room = {}, Counter(), "", PICTURE_BYTES
    for cell in facts.cells(notebook):
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("#"):
            heading = cell.source.lstrip().splitlines()[0].lstrip("# ")[:200]
        for data in (facts.bundle(output) for output in cell.get("outputs", [])):
            for kind in (kind for kind in pictures.KINDS if kind in data):
                if len(found) == PICTURES:
                    return found, f"Only the first {PICTURES} pictures are compared."
                try:
                    picture = pictures.picture(kind, data[kind]).address
                except pictures.NoPicture as why:
                    picture = f"It is not shown: {why}."
                if len(picture) > room:
                    return found, f"Only pictures of {PICTURE_BYTES / 1e6:.0f} MB together are compared."
                room -= len(picture)
                numbers[heading] += 1
                found[f"{heading}, picture {numbers[heading]}"] = picture
    return found, ""


def _paired(old: dict[str, str], new: dict[str, str]) -> list[Change]:
    """What both hold, in the order of the later one; what only the earlier one holds stands after what it stood after."""
    after, last = {}, None  # by a label of the later one: what follows it in the earlier one only
    for label in old:
        if label in new:
            last = label
        else:
            after.setdefault(last, []).append(label)
    labels = after.get(None, [])
    for label in new:
        labels += [label, *after.get(label, [])]
    return [Change(label, old.get(label), new.get(label)) for label in labels]
