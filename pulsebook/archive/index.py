"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date try by try.

An update changes two small files (`pulsebook.archive.index_files`) whatever the size of the archive, one after the other,
each atomically; entering a try twice changes nothing. A day is that of the run (`run_date` or `slot`), not the one on which
it ran. All of it can be made anew from the records: `rebuild`. A file of it that is damaged is, as soon as somebody changes
it; who only reads looks into the records instead.
"""

import logging
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pulsebook.archive import index_files
from pulsebook.archive.ending import close_stale
from pulsebook.archive.index_entries import (
    by_day,
    count,
    counts_of,
    entries_of,
    from_records,
    looked_at,
    name_of,
    overview_of,
    records_of,
    set_day,
)  # fmt: skip
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.index_files import read as _read
from pulsebook.archive.index_page import index_page
from pulsebook.archive.record import OPEN, Record
from pulsebook.base import files
from pulsebook.base.store import Seen, StoreError

log = logging.getLogger(__name__)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def update(outputs: Path, *records: Record, seen: Seen | None = None, page: bool = True) -> None:
    """Enter some tries, and close those that are not over and are dead. Milliseconds, but for the first call ever.

    Args:
        seen: files of the index as the caller has seen them just now.
        page: whether the page is made where it is missing or another one.

    Raises:
        OSError: the archive cannot be written.
    """
    seen = {} if seen is None else seen
    try:
        overview = _read(index_files.overview_of(outputs), None, seen)
    except Damaged:
        seen.clear()
        repair_files(outputs)
        overview = _read(index_files.overview_of(outputs), None, seen)
    if overview is None:
        known = looked_at(records_of(outputs), _closed)
        found, gone = [record for _, record in known if record], []
    else:
        others = {*overview["running"]} - {name_of(outputs, record.path) for record in records}
        known = list(looked_at([outputs / f"{name}.json" for name in sorted(others)], _closed))
        found = [record for _, record in known if record and record.over]
        gone = [path for path, record in known if not record]
    enter(outputs, [*found, *records], seen)
    if gone:
        forget(outputs, gone)
    if page:
        _write_page(outputs)


def enter(outputs: Path, records: Iterable[Record], seen: Seen | None = None) -> None:
    """Enter some tries. Those that begin are noted first: whoever comes after a crash looks at them again."""
    days, seen = by_day(outputs, records), {} if seen is None else seen
    busy = _running(days)
    if busy:
        count(outputs, (), busy=busy, seen=seen)
    for day, found in days.items():
        set_day(outputs, day, found, seen=seen)
    count(outputs, days, seen=seen)


def rebuild(outputs: Path) -> int:
    """Make the index anew from all records; returns their number. Reads every record: minutes for 100,000.

    Records that are damaged are named in the log and left out.
    """
    looked = dict(looked_at(records_of(outputs), _closed))
    lost = {name_of(outputs, path) for path, record in looked.items() if not record}
    known = [record for record in looked.values() if record]
    found = by_day(outputs, known)

    def stays(name: str) -> bool:  # it began meanwhile, or cannot be read now
        return name not in lost and (outputs / f"{name}.json").exists()

    days = {*found, *index_files.days(outputs)}
    for day in days:
        set_day(outputs, day, found[day], stays, dict)
    index_files.change(
        index_files.overview_of(outputs), lambda _: overview_of(partial(entries_of, outputs), days), dict
    )
    page = outputs / "index.html"
    if _is_cut(page):
        log.error("%s was damaged and is made anew: it is cut short, or no page of the index", page)
    _write_page(outputs)
    return len(known)


def forget(outputs: Path, paths: list[Path]) -> None:
    """Take tries out whose records are gone."""
    gone = {name_of(outputs, path) for path in paths}
    own = {path.parts[-3][:10] for path in paths}
    days = {day for day in own if index_files.is_day(day)}
    if days != own:  # tries without a period lie under the day on which they ran
        days |= {*index_files.days(outputs)}
    for day in days:
        set_day(outputs, day, {}, lambda name: name not in gone)
    count(outputs, days, gone=gone)


def repair_files(outputs: Path) -> tuple[dict[Path, str], dict[str, dict]]:
    """Make those files of the index anew, from the records, that are damaged or do not agree with each other.

    Returns:
        The damaged ones, and what was wrong with each; all tries that were known before, by name.
    """
    overview_file, nothing = index_files.overview_of(outputs), {"days": {}, "running": []}
    page = outputs / "index.html"
    places = (index_files.file_of(outputs, "of a day"), overview_file, page)
    damaged = {file: index_files.make_room(file) for file in places}
    damaged = {file: why for file, why in damaged.items() if why}
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
    known = {name: entry for entries in days.values() for name, entry in entries.items()}
    missing = (overview or nothing)["days"].keys() - days.keys()
    to_make = lost | missing
    for day, entries in (from_records(outputs, to_make) if to_make else {}).items():
        days[day] = entries
        set_day(outputs, day, entries, lost=dict)
        if entries and day in missing:
            damaged[index_files.file_of(outputs, day)] = "missing, and its runs are there"
    if overview:
        differ = [day for day, entries in days.items() if overview["days"].get(day, {}) != counts_of(entries)]
        running = _running(days)
        if differ or running - {*overview["running"]} or overview_file in damaged:
            count(outputs, differ, busy=running)
    for file, why in damaged.items():
        log.error("%s was damaged and is made anew: %s", file, why)
    return damaged, known


def _running(days: dict[str, dict]) -> set[str]:
    """The names of the tries that are busy, of entries by day."""
    return {name for entries in days.values() for name, entry in entries.items() if entry["status"] in OPEN}


def _closed(path: Path) -> Record:
    """The record of a try, brought to its end where it is dead."""
    record = Record.load(path)
    return (close_stale(path) or Record.load(path)) if record.stale else record


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
