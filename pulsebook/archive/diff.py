"""Two executed notebooks of a step: what differs in parameters, facts, messages, pictures and code."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from pulsebook.archive import changes, code_diff, document, lookup, message_diff, pictures, scraped, stated
from pulsebook.archive.changes import Change
from pulsebook.archive.code_diff import CellChange
from pulsebook.archive.message_diff import MessageChange
from pulsebook.archive.notebook import bundle, cells, summary
from pulsebook.archive.record import Record, RecordError
from pulsebook.archive.surroundings import shortened
from pulsebook.base import magic
from pulsebook.base.errors import PulsebookError
from pulsebook.base.facts import Fact
from pulsebook.base.words import number, say

PICTURES, PICTURE_BYTES = 40, 20_000_000  # of one notebook that are compared: how many, characters of their addresses
PARAMETERS, VALUE = 500, 2_000  # that are compared; characters of one that are shown


class DiffError(PulsebookError, ValueError):
    """Two tries cannot be compared."""


@dataclass(frozen=True)
class Comparison:
    """An earlier try and a later one."""

    earlier: Record
    later: Record
    notebooks: tuple[NotebookNode, NotebookNode]
    catalogue: tuple[CellChange, ...] = ()  # its files that differ, by name, where somebody has compared them
    notes: tuple[str, ...] = ()  # sentences that come before what was left out

    @cached_property
    def parameters(self) -> list[Change]:
        given = [r.parameters if isinstance(r.parameters, dict) else {} for r in (self.earlier, self.later)]
        return changes.of_texts(
            *({document.text(name): document.text(repr(p[name])) for name in list(p)[:PARAMETERS]} for p in given)
        )

    @cached_property
    def numbers(self) -> list[Change]:
        """The facts, those first that matter most; where one try states none, the numbers that both summaries show; where both
        state none, all that they show."""
        if self.by_facts:
            return changes.of_facts(*self._facts)
        found = changes.of_texts(*(found for found, _ in self._scraped))
        return [change for change in found if not change.one_sided] if any(self._facts) else found

    @cached_property
    def by_facts(self) -> bool:
        """Whether both state facts, but for one that did not come to its summary."""
        silent = [notebook for notebook, found in zip(self.notebooks, self._facts, strict=True) if not found]
        return any(self._facts) and not any(map(summary, silent))

    @cached_property
    def messages(self) -> list[MessageChange]:
        return message_diff.changes(*map(stated.messages, self.notebooks))

    @cached_property
    def pictures(self) -> list[Change]:
        return changes.of_texts(*(found for found, _ in self._pictures))

    @cached_property
    def code(self) -> list[CellChange]:
        """The cells whose source differs; empty where it is the same."""
        return code_diff.changes(*(_sources(notebook) for notebook in self.notebooks))

    @property
    def left_out(self) -> list[str]:
        """What was not compared, as sentences."""
        said = [*self.notes, *(sentence for _, sentence in self._pictures if sentence)]
        if self.by_facts:
            if left := sum(map(stated.left_out, self.notebooks)):
                too_many = "{} numbers are not compared: they were too many to be stated as facts."
                said.append(say(too_many, number(f"{left:,}")))
        else:
            said += [sentence for _, sentence in self._scraped if sentence]
            if any(self._facts):
                earlier = "The earlier run states no facts: the numbers that both summaries show are compared."
                later = "The later run states no facts: the numbers that both summaries show are compared."
                said.append(say(earlier if self._facts[1] else later))
        if any(len(r.parameters) > PARAMETERS for r in (self.earlier, self.later) if isinstance(r.parameters, dict)):
            said.append(say("Only the first {} parameters are compared.", PARAMETERS))
        return list(dict.fromkeys(said))

    @cached_property
    def _facts(self) -> list[list[Fact]]:
        return [stated.facts_of(notebook) for notebook in self.notebooks]

    @cached_property
    def _scraped(self) -> list[tuple[dict[str, str], str]]:
        return [scraped.read(notebook) for notebook in self.notebooks]

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


def compare(earlier: Record, later: Record, content: bytes | None = None) -> Comparison:
    """Compare two tries.

    Args:
        content: what the file of the later one's notebook holds, where that is known.

    Raises:
        DiffError: one has no executed notebook that can be read.
    """
    read = []
    for record, known in ((earlier, None), (later, content)):
        try:
            read.append(document.read(record.executed, known))
        except FileNotFoundError:
            missing = f"{record.path} says {record.status}, and there is no executed notebook beside it"
            raise DiffError(missing) from None
        except document.DocumentError as why:
            raise DiffError(str(why)) from None
    return Comparison(earlier, later, tuple(read))


def describe(record: Record) -> str:
    """Which try, how it ended."""
    took = "" if record.duration is None else " " + say("in {} s", number(f"{record.duration:.1f}"))
    return f"{'/'.join(record.path.with_suffix('').parts[-4:])}: {say(record.status)}{took}"


def count(found: list[Change]) -> str:
    """How many differ, are the same, appeared, vanished."""
    came, gone, same = (
        sum(map(is_so, found)) for is_so in (lambda c: c.before is None, lambda c: c.after is None, lambda c: c.same)
    )
    both = [say("{} differ", len(found) - came - gone - same), say("{} the same", same)]
    one = [say("{} appeared", came)] * bool(came) + [say("{} vanished", gone)] * bool(gone)
    return ", ".join([*both, *one])


def shown(given: str | None) -> str:
    """A text as it is shown: a long one without its middle; a dash where there is none."""
    return "–" if given is None else shortened(given, VALUE)


def _sources(notebook: NotebookNode) -> list[str]:
    """The cells as their author wrote them, without injected parameters and the magic of JupyterLab."""
    own = [cell for cell in cells(notebook) if "injected-parameters" not in cell.metadata["tags"]]
    return [magic.without(cell.source) for cell in own if not magic.alone(cell.source)]


def _pictures(notebook: NotebookNode) -> tuple[dict[str, str], str]:
    """Pictures by heading and number: a `data:` address, or a sentence that says why there is none; what was left out."""
    found, numbers, heading, room = {}, Counter(), "", PICTURE_BYTES
    for cell in cells(notebook):
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("#"):
            heading = cell.source.lstrip().splitlines()[0].lstrip("# ")[:200]
        for data in (bundle(output) for output in cell.get("outputs", [])):
            for kind in (kind for kind in pictures.KINDS if kind in data):
                if len(found) == PICTURES:
                    return found, say("Only the first {} pictures are compared.", PICTURES)
                try:
                    picture = pictures.picture(kind, data[kind]).address
                except pictures.NoPicture as why:
                    picture = say("It is not shown: {}.", why)
                if len(picture) > room:
                    return found, say("Only pictures of {} MB together are compared.", PICTURE_BYTES // 1_000_000)
                room -= len(picture)
                numbers[heading] += 1
                found[say("{}, picture {}", heading, numbers[heading])] = picture
    return found, ""
