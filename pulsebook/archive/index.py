"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date run by run.

An update changes two small files (`pulsebook.archive.index_files`) whatever the size of the archive, one after the other,
each atomically; entering a run twice changes nothing. A day is that of the run (`run_date` or `slot`), not the one on which
it ran. All of it can be made anew from the records: `rebuild`. A file of it that is damaged is, as soon as somebody changes
it; who only reads looks into the records instead.
"""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from pulsebook.archive import index_files
from pulsebook.archive.ending import mend
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.index_files import read as _read
from pulsebook.archive.index_page import index_page
from pulsebook.archive.index_runs import (
    BUSY,
    by_day,
    count,
    counts_of,
    from_records,
    looked_at,
    name_of,
    overview_of,
    records_of,
    set_day,
)  # fmt: skip
from pulsebook.archive.record import Record
from pulsebook.base import files
from pulsebook.base.store import StoreError

log = logging.getLogger(__name__)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def update(outputs: Path, *records: Record) -> None:
    """Enter some runs, and mend those that are not over and are dead. Milliseconds, but for the first call ever.

    Raises:
        OSError: the archive cannot be written.
    """
    try:
        overview = _read(index_files.overview_of(outputs), None)
    except Damaged:
        mend_files(outputs)
        overview = _read(index_files.overview_of(outputs), None)
    if overview is None:
        found, gone = [record for _, record in looked_at(records_of(outputs), _settled) if record], []
    else:
        looked = list(looked_at([outputs / f"{name}.json" for name in overview["running"]], _settled))
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
    looked = dict(looked_at(records_of(outputs), _settled))
    lost = {name_of(outputs, path) for path, record in looked.items() if not record}
    known = [record for record in looked.values() if record]
    found = by_day(outputs, known)

    def stays(name: str) -> bool:  # it began meanwhile, or cannot be read now
        return name not in lost and (outputs / f"{name}.json").exists()

    days = {*found, *index_files.days(outputs)}
    for day in days:
        set_day(outputs, day, found[day], stays, dict)
    index_files.change(index_files.overview_of(outputs), lambda _: overview_of(outputs, days), dict)
    if _is_cut(page := outputs / "index.html"):
        log.error("%s was damaged and is made anew: it is cut short, or no page of the index", page)
    _write_page(outputs)
    return len(known)


def forget(outputs: Path, paths: list[Path]) -> None:
    """Take runs out whose records are gone."""
    gone = {name_of(outputs, path) for path in paths}
    own = {path.parts[-3][:10] for path in paths}
    days = {day for day in own if index_files.is_day(day)}
    if days != own:  # runs without a period lie under the day on which they ran
        days |= {*index_files.days(outputs)}
    for day in days:
        set_day(outputs, day, {}, lambda name: name not in gone)
    count(outputs, days, gone=gone)


def mend_files(outputs: Path) -> tuple[dict[Path, str], dict[str, dict]]:
    """Make those files of the index anew, from the records, that are damaged or do not agree with each other.

    Returns:
        The damaged ones, and what was wrong with each; all runs that were known before, by name.
    """
    overview_file, nothing = index_files.overview_of(outputs), {"days": {}, "running": []}
    page = outputs / "index.html"
    places = (index_files.file_of(outputs, "of a day"), overview_file, page)
    damaged = {file: why for file in places if (why := index_files.make_room(file))}
    if _is_cut(page):
        damaged[page] = "it is cut short, or no page of the index"
    days: dict[str, dict] = dict.fromkeys(index_files.days(outputs), {})
    lost = set()
    try:
        overview = _read(overview_file, None)
    except Damaged as error:
        damaged[overview_file], overview = str(error), nothing
    for day in days:
        try:
            days[day] = _read(index_files.file_of(outputs, day), {})
        except Damaged as error:
            damaged[index_files.file_of(outputs, day)] = str(error)
            lost.add(day)
    known = {name: run for runs in days.values() for name, run in runs.items()}
    missing = (overview or nothing)["days"].keys() - days.keys()
    for day, runs in (from_records(outputs, lost | missing) if lost | missing else {}).items():
        days[day] = runs
        set_day(outputs, day, runs, lost=dict)
        if runs and day in missing:
            damaged[index_files.file_of(outputs, day)] = "missing, and its runs are there"
    if overview:
        differ = [day for day, runs in days.items() if overview["days"].get(day, {}) != counts_of(runs)]
        running = {name for runs in days.values() for name, run in runs.items() if run["status"] == BUSY}
        if differ or running - {*overview["running"]} or overview_file in damaged:
            count(outputs, differ, busy=running)
    for file, why in damaged.items():
        log.error("%s was damaged and is made anew: %s", file, why)
    return damaged, known


def _settled(path: Path) -> Record:
    """The record of a try, brought to its end where it is dead."""
    record = Record.load(path)
    return (mend(path) or Record.load(path)) if record.stale else record


def _is_cut(page: Path) -> bool:
    """Whether there is a page that does not end as one does, of whatever version."""
    try:
        return not page.read_bytes().rstrip().endswith(b"</html>")
    except FileNotFoundError:
        return False
    except StoreError:  # says nothing of the page
        return False
    except OSError:
        return True


def _write_page(outputs: Path) -> None:
    index_files.make_room(outputs / "index.html")
    files.change(outputs / "index.html", lambda _: index_page())
