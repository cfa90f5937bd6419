"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date run by run.

An update changes two small files (`pulsebook.archive.index_files`) whatever the size of the archive, one after the other,
each atomically; entering a run twice changes nothing. A day is that of the run (`run_date` or `slot`), not the one on which
it ran. All of it can be made anew from the records: `rebuild`. A file of it that is damaged is, as soon as somebody changes
it; who only reads looks into the records instead.
"""

import glob
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from pulsebook.archive import index_files as files
from pulsebook.archive import store
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.index_files import read as _read
from pulsebook.archive.index_page import index_page
from pulsebook.archive.index_runs import (
    BUSY,
    GOOD,
    by_day,
    count,
    counts_of,
    entry,
    from_records,
    looked_at,
    name_of,
    overview_of,
    records_of,
    runs_of,
    set_day,
)  # fmt: skip
from pulsebook.archive.index_runs import SKIPPED as SKIPPED
from pulsebook.archive.names import RECORDS, Try, parse_try, try_name
from pulsebook.archive.record import Record, is_record

log = logging.getLogger(__name__)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def update(outputs: Path, *records: Record) -> None:
    """Enter some runs, and mend those that are not over and are dead. Milliseconds, but for the first call ever.

    Raises:
        OSError: the archive cannot be written.
    """
    try:
        overview = _read(files.overview_of(outputs), None)
    except Damaged:
        mend_files(outputs)
        overview = _read(files.overview_of(outputs), None)
    if overview is None:
        found, gone = [record for _, record in looked_at(records_of(outputs)) if record], []
    else:
        looked = list(looked_at([outputs / f"{name}.json" for name in overview["running"]]))
        found = [record for _, record in looked if record and record.over]
        gone = [path for path, record in looked if not record]
    enter(outputs, [*found, *records])
    if gone:
        forget(outputs, gone)
    _write_page(outputs)


def enter(outputs: Path, records: Iterable[Record]) -> None:
    """Enter some runs. Those that begin are noted first: whoever comes after a crash looks at them again."""
    days = by_day(outputs, records)
    busy = {name for runs in days.values() for name, run in runs.items() if run["status"] == BUSY}
    if busy:
        count(outputs, (), busy=busy)
    for day, found in days.items():
        set_day(outputs, day, found)
    count(outputs, days)


def rebuild(outputs: Path) -> int:
    """Make the index anew from all records; returns their number. Reads every record: minutes for 100,000.

    Records that are damaged are named in the log and left out.
    """
    looked = dict(looked_at(records_of(outputs)))
    lost = {name_of(outputs, path) for path, record in looked.items() if not record}
    known = [record for record in looked.values() if record]
    found = by_day(outputs, known)

    def stays(name: str) -> bool:  # it began meanwhile, or cannot be read now
        return name not in lost and (outputs / f"{name}.json").exists()

    days = {*found, *files.days(outputs)}
    for day in days:
        set_day(outputs, day, found[day], stays, dict)
    files.change(files.overview_of(outputs), lambda _: overview_of(outputs, days), dict)
    if _is_cut(page := outputs / "index.html"):
        log.error("%s was damaged and is made anew: it is cut short, or no page of the index", page)
    _write_page(outputs)
    return len(known)


def forget(outputs: Path, paths: list[Path]) -> None:
    """Take runs out whose records are gone."""
    gone = {name_of(outputs, path) for path in paths}
    own = {path.parts[-3][:10] for path in paths}
    days = {day for day in own if files.is_day(day)}
    if days != own:  # runs without a period lie under the day on which they ran
        days |= {*files.days(outputs)}
    for day in days:
        set_day(outputs, day, {}, lambda name: name not in gone)
    count(outputs, days, gone=gone)


def mend_files(outputs: Path) -> tuple[dict[Path, str], dict[str, dict]]:
    """Make those files of the index anew, from the records, that are damaged or do not agree with each other.

    Returns:
        The damaged ones, and what was wrong with each; all runs that were known before, by name.
    """
    overview_file, nothing = files.overview_of(outputs), {"days": {}, "running": []}
    page = outputs / "index.html"
    places = (files.file_of(outputs, "of a day"), overview_file, page)
    damaged = {file: why for file in places if (why := files.make_room(file))}
    if _is_cut(page):
        damaged[page] = "it is cut short, or no page of the index"
    days: dict[str, dict] = dict.fromkeys(files.days(outputs), {})
    lost = set()
    try:
        overview = _read(overview_file, None)
    except Damaged as error:
        damaged[overview_file], overview = str(error), nothing
    for day in days:
        try:
            days[day] = _read(files.file_of(outputs, day), {})
        except Damaged as error:
            damaged[files.file_of(outputs, day)] = str(error)
            lost.add(day)
    known = {name: run for runs in days.values() for name, run in runs.items()}
    missing = (overview or nothing)["days"].keys() - days.keys()
    for day, runs in (from_records(outputs, lost | missing) if lost | missing else {}).items():
        days[day] = runs
        set_day(outputs, day, runs, lost=dict)
        if runs and day in missing:
            damaged[files.file_of(outputs, day)] = "missing, and its runs are there"
    if overview:
        differ = [day for day, runs in days.items() if overview["days"].get(day, {}) != counts_of(runs)]
        running = {name for runs in days.values() for name, run in runs.items() if run["status"] == BUSY}
        if differ or running - {*overview["running"]} or overview_file in damaged:
            count(outputs, differ, busy=running)
    for file, why in damaged.items():
        log.error("%s was damaged and is made anew: %s", file, why)
    return damaged, known


def previous(outputs: Path, record: Record) -> Path | None:
    """The record of the latest succeeded run of the same step before this one, by day and start; None if there is none.

    Records that cannot be read are passed over.
    """
    known = looked_at(earlier(outputs, record), mending=False)
    return next((path for path, found in known if found), None)


def earlier(outputs: Path, record: Record) -> Iterator[Path]:
    """The records of the succeeded runs of the same step before this one, the latest first."""
    if not is_record(record.path):
        return  # a copy is no run
    own, name = entry(record), name_of(outputs, record.path)
    step = (own["dag"], own["task"], own.get("map"), GOOD)
    try:
        known = _read(files.overview_of(outputs), {"days": {}})["days"]
        days = [day for day, dags in known.items() if own["dag"] in dags]
    except Damaged:
        days = files.days(outputs)
    for day in sorted((day for day in days if day <= own["day"]), reverse=True):
        same = [
            (run["period"], run["started"], other)
            for other, run in runs_of(outputs, day).items()
            if (run["dag"], run["task"], run.get("map"), run["status"]) == step and other != name
        ]
        for _, _, other in sorted((key for key in same if key[:2] < (own["period"], own["started"])), reverse=True):
            yield outputs / f"{other}.json"


def entries(outputs: Path) -> dict[str, dict]:
    """All runs that the index knows, by name (the record's path below `outputs`, without its suffix)."""
    known = {}
    for day in files.days(outputs):
        known |= runs_of(outputs, day)
    return known


def began(run: dict) -> float:
    """When an entry's run began, in seconds since 1970."""
    return datetime.fromisoformat(run["started"]).replace(tzinfo=UTC).timestamp()


def tries(outputs: Path, run: Path, task_id: str) -> dict[Try, Path]:
    """The records of a task's tries, of all map indexes, in a run whose folder is known but for the period."""
    if isinstance(outputs, Path):
        return _of_task(task_id, run.parent.parent.glob(f"*/{glob.escape(run.name)}/{RECORDS}"))
    # An object store would list a DAG's whole history for that: the index knows it, most likely under the run's own day.
    due = DAY.search(run.name)
    near = due[0] if due and files.is_day(due[0]) else "9999-12-31"
    for day in sorted(files.days(outputs), key=lambda day: _days_between(day, near)):
        own = [name.split("/") for name in runs_of(outputs, day)]
        of_run = [outputs.joinpath(*n[:3], f"{n[3]}.json") for n in own if (n[0], n[2]) == tuple(run.parts[-3::2])]
        if found := _of_task(task_id, of_run):
            return found
    return {}


def _of_task(task_id: str, records: Iterable[Path]) -> dict[Try, Path]:
    known = [(parse_try(path.stem), path) for path in records]
    return {one: path for one, path in known if one and path.stem == try_name(task_id, one.map_index, one.number)}


def _days_between(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)


def _is_cut(page: Path) -> bool:
    """Whether there is a page that does not end as one does, of whatever version."""
    try:
        return not page.read_bytes().rstrip().endswith(b"</html>")
    except FileNotFoundError:
        return False
    except OSError:
        return isinstance(page, Path)


def _write_page(outputs: Path) -> None:
    files.make_room(outputs / "index.html")
    store.change(outputs / "index.html", lambda _: index_page())
