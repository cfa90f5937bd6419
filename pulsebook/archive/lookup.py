"""Looks tries up in the index of the archive: who only reads changes nothing, and looks into the records where it is damaged."""

import glob
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from pulsebook.archive import index_files
from pulsebook.archive.index_entries import GOOD, entries_of, entry_of, looked_at, name_of
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.record import WAITING, Record, is_record
from pulsebook.base import files
from pulsebook.base.names import RECORDS, Try, parse_try, try_name
from pulsebook.base.store import Seen

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def previous(outputs: Path, record: Record) -> Path | None:
    """The record of the latest succeeded try of the same step before this one, by day and start; None if there is none.

    Records that cannot be read are passed over.
    """
    known = looked_at(earlier(outputs, record))
    return next((path for path, found in known if found), None)


def earlier(outputs: Path, record: Record, seen: Seen | None = None) -> Iterator[Path]:
    """The records of the succeeded tries of the same step before this one, the latest first."""
    if not is_record(record.path):
        return  # a copy is no try
    own, name = entry_of(record), name_of(outputs, record.path)
    step = (own["dag"], own["task"], own.get("map"), GOOD)
    try:
        known = index_files.read(index_files.overview_of(outputs), {"days": {}}, seen)["days"]
        days = [day for day, dags in known.items() if own["dag"] in dags]
    except Damaged:
        days = index_files.days(outputs)
    for day in sorted((day for day in days if day <= own["day"]), reverse=True):
        same = [
            (entry["period"], entry["started"], other)
            for other, entry in entries_of(outputs, day, seen).items()
            if (entry["dag"], entry["task"], entry.get("map"), entry["status"]) == step and other != name
        ]
        for _, _, other in sorted((key for key in same if key[:2] < (own["period"], own["started"])), reverse=True):
            yield outputs / f"{other}.json"


def last_comparison(outputs: Path, dag: str, task: str, day: str) -> Path | None:
    """The page that compares the last two tries of a step that succeeded on a day; None: there is none."""
    good = [
        (entry["started"], name, entry["compared"])
        for name, entry in entries_of(outputs, day).items()
        if (entry["dag"], entry["task"], entry["period"], entry["status"]) == (dag, task, day, GOOD)
    ]
    if len(good) < 2 or not max(good)[2]:
        return None
    return outputs / f"{max(good)[1]}.diff.html"


def entries(outputs: Path) -> dict[str, dict]:
    """All tries that the index knows, by name (the record's path below `outputs`, without its suffix)."""
    known = {}
    for day in index_files.days(outputs):
        known |= entries_of(outputs, day)
    return known


def waiting(outputs: Path, day: str) -> set[str]:
    """The DAGs of which a try waits that is about a day (ISO)."""
    return {entry["dag"] for entry in entries_of(outputs, day).values() if entry["status"] == WAITING}


def began(entry: dict) -> float:
    """When the try of an entry began, in seconds since 1970."""
    return datetime.fromisoformat(entry["started"]).replace(tzinfo=UTC).timestamp()


def tries(outputs: Path, folder: Path, task_id: str) -> dict[Try, Path]:
    """The records of a task's tries, of all map indexes, in a run whose folder is known but for the period."""
    if files.lists_by_level(outputs):
        return _of_task(task_id, files.files(folder.parent.parent, f"*/{glob.escape(folder.name)}/{RECORDS}"))
    # A DAG's whole history would be listed for that: the index knows the run, most likely under its own day.
    due = DAY.search(folder.name)
    near = due[0] if due and index_files.is_day(due[0]) else "9999-12-31"
    for day in sorted(index_files.days(outputs), key=lambda day: _days_between(day, near)):
        of_run = []
        for name in entries_of(outputs, day):
            dag, period, run, stem = name.split("/")
            if (dag, run) == (folder.parts[-3], folder.parts[-1]):
                of_run.append(outputs / dag / period / run / f"{stem}.json")
        if found := _of_task(task_id, of_run):
            return found
    return {}


def _of_task(task_id: str, records: Iterable[Path]) -> dict[Try, Path]:
    known = [(parse_try(path.stem), path) for path in records]
    return {one: path for one, path in known if one and path.stem == try_name(task_id, one.map_index, one.number)}


def _days_between(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
