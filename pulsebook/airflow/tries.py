"""Which try of the archive a page of the review is about, and what it says where that cannot be shown.

The guard of a page has asked Airflow about one DAG. Names that stand for another folder than that DAG's own, and files that
its records do not know, are not found; and no answer names a place on the server.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException
from fastapi.routing import APIRoute
from nbformat.validator import ValidationError

from pulsebook.archive import diff, lookup
from pulsebook.archive.record import Record, RecordError
from pulsebook.base import files, names
from pulsebook.base.names import Try
from pulsebook.base.settings import settings
from pulsebook.base.words import say

log = logging.getLogger(__name__)
UNREADABLE = "a file of this run cannot be read ({}): `pulsebook archive verify` names it"
NEAR = 10  # map indexes to either side of the one that is shown that are offered
DAMAGED = (ValueError, TypeError, LookupError, AttributeError, RecursionError, ValidationError)  # of what files hold
TYPES = {  # of what a page shows of a record
    "status": str, "started": str, "ended": str | None, "duration": int | float | None, "error": str | None,
    "headline": str | None, "incidents": int | None, "parameters": dict, "airflow": dict, "notebook": str,
    "sha256": dict, "versions": dict, "git_commit": str, "host": str,
}  # fmt: skip


class InWords(APIRoute):
    """A route that says so where a file of the archive is damaged or unreadable; the log has the details."""

    def get_route_handler(self):
        handle = super().get_route_handler()

        async def in_words(request):
            try:
                return await handle(request)
            except diff.DiffError as error:
                log.info("%s", error)
                raise HTTPException(
                    404, say("these two runs cannot be compared: one has no executed notebook")
                ) from None
            except (*DAMAGED, *files.failures(settings().outputs)) as error:
                log.exception("%s cannot be shown", request.url.path)
                raise HTTPException(404, say(UNREADABLE, type(error).__name__)) from None

        return in_words


@dataclass(frozen=True)
class Tried:
    """A try that is shown, among the others of its task in the same run."""

    dag_id: str
    record: Record
    map_index: int | None
    number: int
    numbers: list[int]  # of the tries of the same map index
    known: dict[Try, Path]

    @property
    def near_indexes(self) -> list[int]:
        """The map indexes around the one that is shown; none where the task is not mapped."""
        if self.map_index is None:
            return []
        indexes = sorted({one.map_index for one in self.known if one.map_index is not None})
        at = indexes.index(self.map_index)
        return indexes[max(0, at - NEAR) : at + NEAR + 1]

    def query(self, number: int | None = None) -> str:
        """What names the try, or another of the same map index, in the address of a page."""
        of_map = "" if self.map_index is None else f"&map_index={self.map_index}"
        return f"try_number={number or self.number}{of_map}"


def tried(dag_id: str, run_id: str, task_id: str, map_index: str, number: int | None) -> Tried:
    """The try that is asked for. Without a number it is the newest, without a map index that of the first one.

    Raises:
        HTTPException: 404, there is none.
    """
    known = _tries(dag_id, run_id, task_id)
    wanted = int(map_index) if re.fullmatch(r"[0-9]+", map_index) else None
    if wanted is None and all(one.map_index is not None for one in known):
        wanted = min((one.map_index for one in known), default=None)
    own = {
        one: path for one, path in known.items() if one.map_index == wanted and _is_own(path, dag_id, run_id, task_id)
    }
    asked = number or max((one.number for one in own), default=1)
    for one, path in own.items():
        if one.number == asked:
            numbers = sorted(other.number for other in own)
            return Tried(dag_id, loaded(path), wanted, asked, numbers, known)
    step = task_id if wanted is None else f"{task_id} [{wanted}]"
    raise HTTPException(404, say("no executed notebook of {}, try {}, in {} {}", step, asked, dag_id, run_id))


def compared(shown: Tried, other: str) -> Record:
    """The run to compare with: the previous one, or the one that `other` names, of the same DAG: who may see one may see
    the other.

    Raises:
        HTTPException: 404, there is none.
    """
    path, parts = None, names.split_try(other, 2)  # period, run, try
    if not other:
        path = lookup.previous(settings().outputs, shown.record)
    elif parts and all(map(names.is_part, parts)):
        path = shown.record.path.parents[2].joinpath(*parts[:2], f"{parts[2]}.json")
    if path and path.is_file() and _is_own(path, shown.dag_id):
        return loaded(path)
    what = say("there is no such run") if other else say("no earlier run of this step has succeeded")
    raise HTTPException(404, say("nothing to compare with: {}", what))


def loaded(path: Path) -> Record:
    """A record whose facts have the types that a page shows.

    Raises:
        RecordError: the file holds something else.
    """
    record = Record.load(path)
    wrong = [name for name, kind in TYPES.items() if not isinstance(getattr(record, name), kind)]
    if wrong:
        raise RecordError(f"{path} is no run record: {', '.join(wrong)} of another type")
    return record


def _tries(dag_id: str, run_id: str, task_id: str) -> dict[Try, Path]:
    """The records that lie where those of a task's tries do, or did before ids were escaped."""
    outputs, ids = settings().outputs, (dag_id, "period", run_id)
    now, parts = names.folder_of(outputs, *ids), names.parts_before(*ids)
    before = outputs.joinpath(*parts)
    older = lookup.tries(outputs, before, task_id) if before != now and all(map(names.is_part, parts)) else {}
    return older | lookup.tries(outputs, now, task_id)


def _is_own(path: Path, dag_id: str, run_id: str | None = None, task_id: str | None = None) -> bool:
    """Whether a record is of these ids, of which several shared a folder before ids were escaped.

    A record that names none (it was run by hand) is, if it lies in the folder of just this DAG. One that cannot be read
    is as well: that is said when it is shown.
    """
    sure = path.parents[2].name == names.part(dag_id)
    try:
        facts = Record.load(path).airflow
    except (RecordError, RecursionError, *files.failures(settings().outputs)) as error:
        log.error("%s", error)
        return sure
    said = facts if isinstance(facts, dict) else {}
    wanted = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    return all(said[name] == own if name in said else sure for name, own in wanted.items() if own is not None)
