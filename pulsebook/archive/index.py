"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date run by run.

An update changes two small files (`pulsebook.archive.index_files`) whatever the size of the archive, one after the other,
each atomically; entering a run twice changes nothing. A day is that of the run (`run_date` or `slot`), not the one on which
it ran. All of it can be made anew from the records: `rebuild`. A file of it that is damaged is, as soon as somebody changes
it; who only reads looks into the records instead.
"""

import glob
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from pulsebook.archive import index_files as files
from pulsebook.archive import store
from pulsebook.archive.ending import mend
from pulsebook.archive.index_files import read as _read
from pulsebook.archive.record import RUNNING, TRY, Record, RecordError, RecordUnreadable, is_record
from pulsebook.archive.record_file import Damaged

log = logging.getLogger(__name__)
WEB = Path(__file__).with_name("web")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
GOOD, BUSY, SKIPPED = "succeeded", RUNNING, "skipped"


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
        found, gone = [record for _, record in _looked_at(records_of(outputs)) if record], []
    else:
        looked = list(_looked_at([outputs / f"{name}.json" for name in overview["running"]]))
        found = [record for _, record in looked if record and record.over]
        gone = [path for path, record in looked if not record]
    enter(outputs, [*found, *records])
    if gone:
        forget(outputs, gone)
    _write_page(outputs)


def enter(outputs: Path, records: Iterable[Record]) -> None:
    """Enter some runs. Those that begin are noted first: whoever comes after a crash looks at them again."""
    by_day = _by_day(outputs, records)
    busy = {name for runs in by_day.values() for name, run in runs.items() if run["status"] == BUSY}
    if busy:
        _count(outputs, (), busy=busy)
    for day, found in by_day.items():
        _set_day(outputs, day, found)
    _count(outputs, by_day)


def rebuild(outputs: Path) -> int:
    """Make the index anew from all records; returns their number. Reads every record: minutes for 100,000.

    Records that are damaged are named in the log and left out.
    """
    looked = dict(_looked_at(records_of(outputs)))
    lost = {name_of(outputs, path) for path, record in looked.items() if not record}
    known = [record for record in looked.values() if record]
    by_day = _by_day(outputs, known)

    def stays(name: str) -> bool:  # it began meanwhile, or cannot be read now
        return name not in lost and (outputs / f"{name}.json").exists()

    days = {*by_day, *files.days(outputs)}
    for day in days:
        _set_day(outputs, day, by_day[day], stays, dict)
    files.change(files.overview_of(outputs), lambda _: _counted(outputs, None, days), dict)
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
        _set_day(outputs, day, {}, lambda name: name not in gone)
    _count(outputs, days, gone=gone)


def mend_files(outputs: Path) -> tuple[dict[Path, str], dict[str, dict]]:
    """Make those files of the index anew, from the records, that are damaged or do not agree with each other.

    Returns:
        The damaged ones, and what was wrong with each; all runs that were known before, by name.
    """
    overview_file, nothing = files.overview_of(outputs), {"days": {}, "running": []}
    places = (files.file_of(outputs, "of a day"), overview_file, outputs / "index.html")
    damaged = {file: why for file in places if (why := files.make_room(file))}
    days = dict.fromkeys(files.days(outputs), {})
    try:
        overview = _read(overview_file, None)
    except Damaged as error:
        damaged[overview_file], overview = str(error), nothing
    for day in (overview or nothing)["days"].keys() - days.keys():
        days[day], damaged[files.file_of(outputs, day)] = {}, "missing, and the overview counts its runs"
    for day in days:
        try:
            days[day] = _read(files.file_of(outputs, day), {})
        except Damaged as error:
            damaged[files.file_of(outputs, day)] = str(error)
    known = {name: run for runs in days.values() for name, run in runs.items()}
    anew = {day for day in days if files.file_of(outputs, day) in damaged}
    for day, runs in (_from_records(outputs, anew) if anew else {}).items():
        days[day] = runs
        _set_day(outputs, day, runs, lost=dict)
    if overview:
        counted = overview["days"]
        differ = [day for day, runs in days.items() if counted.get(day, {}) != _counts(runs) or day in anew]
        running = {name for runs in days.values() for name, run in runs.items() if run["status"] == BUSY}
        if differ or running - {*overview["running"]} or overview_file in damaged:
            _count(outputs, differ, busy=running)
    for file, why in damaged.items():
        log.error("%s was damaged and is made anew: %s", file, why)
    return damaged, known


def previous(outputs: Path, record: Record) -> Path | None:
    """The record of the latest succeeded run of the same step before this one, by day and start; None if there is none.

    Records that cannot be read are passed over.
    """
    known = _looked_at(earlier(outputs, record), mending=False)
    return next((path for path, found in known if found), None)


def earlier(outputs: Path, record: Record) -> Iterator[Path]:
    """The records of the succeeded runs of the same step before this one, the latest first."""
    if not is_record(record.path):
        return  # a copy is no run
    own, name = entry(record), name_of(outputs, record.path)
    try:
        known = _read(files.overview_of(outputs), {"days": {}})["days"]
        days = [day for day, dags in known.items() if own["dag"] in dags]
    except Damaged:
        days = files.days(outputs)
    for day in sorted((day for day in days if day <= own["day"]), reverse=True):
        same = [
            (run["period"], run["started"], other)
            for other, run in _runs_of(outputs, day).items()
            if (run["dag"], run["task"], run["status"]) == (own["dag"], own["task"], GOOD) and other != name
        ]
        for _, _, other in sorted((key for key in same if key[:2] < (own["period"], own["started"])), reverse=True):
            yield outputs / f"{other}.json"


def entries(outputs: Path) -> dict[str, dict]:
    """All runs that the index knows, by name (the record's path below `outputs`, without its suffix)."""
    known = {}
    for day in files.days(outputs):
        known |= _runs_of(outputs, day)
    return known


def began(run: dict) -> float:
    """When an entry's run began, in seconds since 1970."""
    return datetime.fromisoformat(run["started"]).replace(tzinfo=UTC).timestamp()


def tries(outputs: Path, run: Path, task: str) -> list[Path]:
    """The records of a task's tries in a run whose folder is known but for the period."""
    if isinstance(outputs, Path):
        found = run.parent.parent.glob(f"*/{glob.escape(run.name)}/{glob.escape(task)}-try*.json")
        return [path for path in found if is_record(path)]
    # An object store would list a DAG's whole history for that: the index knows it, most likely under the run's own day.
    due = DAY.search(run.name)
    near = due[0] if due and files.is_day(due[0]) else ""
    for day in sorted(files.days(outputs), key=lambda day: _days_between(day, near) if near else day, reverse=not near):
        own = [name.split("/") for name in _runs_of(outputs, day)]
        if found := [n for n in own if (n[0], n[2], n[3].rpartition("-try")[0]) == (*run.parts[-3::2], task)]:
            return [outputs.joinpath(*names[:3], f"{names[3]}.json") for names in found]
    return []


def _days_between(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)


def records_of(outputs: Path) -> list[Path]:
    """The files of all records."""
    found = store.files(outputs, "[!.]*/*/*/*-try*.json")
    return sorted(path for path in found if is_record(path) and files.NAME.fullmatch(name_of(outputs, path)))


def name_of(outputs: Path, path: Path) -> str:
    """How the index calls the run of a record: the record's path below `outputs`, without its suffix."""
    return path.relative_to(outputs).with_suffix("").as_posix()


def entry(record: Record) -> dict:
    """What the page shows of a run."""
    task, attempt = TRY.fullmatch(record.path.stem).groups()
    day = record.period[:10] if files.is_day(record.period[:10]) else record.started[:10]
    return {
        "dag": record.path.parents[2].name,
        "task": task,
        "try": int(attempt),
        "day": day,
        "period": record.period,
        "status": record.status,
        "started": record.started[:19],
        "duration": record.duration,
        "headline": record.headline,
        "incidents": record.incidents,
        "compared": any(name.endswith(".diff.html") for name in record.sha256),
        "error": record.error[:400] if record.error else None,
        "parameters": " ".join(f"{name}={value}" for name, value in record.parameters.items())[:300],
    }


def _looked_at(paths: Iterable[Path], *, mending: bool = True) -> Iterator[tuple[Path, Record | None]]:
    """Records as they are, dead ones mended; None for those that are damaged or gone. One that cannot be read now is left
    out: nothing is known of it. Both are named in the log."""
    for path in paths:
        try:
            record = Record.load(path)
            if mending and record.stale:
                record = mend(path) or Record.load(path)
        except FileNotFoundError:
            record = None
        except (RecordUnreadable, OSError) as error:
            log.error("%s", error)
            continue
        except RecordError as error:
            log.error("%s", error)
            record = None
        yield path, record


def _from_records(outputs: Path, days: set[str]) -> dict[str, dict]:
    """The runs of some days as their records say; those without a period may belong to any day."""
    own = [path for path in records_of(outputs) if (day := path.parts[-3][:10]) in days or not files.is_day(day)]
    by_day = _by_day(outputs, [record for _, record in _looked_at(own, mending=False) if record])
    return {day: by_day[day] for day in days}


def _runs_of(outputs: Path, day: str) -> dict[str, dict]:
    """The runs of a day for somebody who only reads."""
    file = files.file_of(outputs, day)
    try:
        return _read(file, {})
    except Damaged as error:
        log.error("%s is damaged: %s", file, error)
        return _from_records(outputs, {day})[day]


def _by_day(outputs: Path, records: Iterable[Record]) -> dict[str, dict]:
    by_day = defaultdict(dict)
    for record in records:
        run = entry(record)
        by_day[run["day"]][name_of(outputs, record.path)] = run
    return by_day


def _set_day(outputs: Path, day: str, found: dict, stays: Callable = lambda name: True, lost: Callable | None = None):
    """Enter runs into the file of a day; of the others those stay that `stays` says. A try that has ended never runs again.

    Args:
        lost: what a damaged file held; default: as the records say.
    """

    def entered(known: dict | None) -> dict | None:
        runs = {name: run for name, run in (known or {}).items() if name in found or stays(name)}
        for name, run in found.items():
            if run["status"] != BUSY or runs.get(name, run)["status"] == BUSY:
                runs[name] = run
        return runs or None

    files.change(files.file_of(outputs, day), entered, lost or (lambda: _from_records(outputs, {day})[day]))


def _count(outputs: Path, days: Iterable[str], *, gone: Iterable[str] = (), busy: Iterable[str] = ()) -> None:
    """Have the overview count some days anew and name what is busy. It is made only where days are to be counted."""

    def counted(overview: dict | None) -> dict | None:
        return None if overview is None and not days else _counted(outputs, overview, days, gone, busy)

    files.change(files.overview_of(outputs), counted, lambda: _counted(outputs, None, files.days(outputs)))


def _counted(outputs: Path, overview: dict | None, days: Iterable[str], gone=(), busy=()) -> dict:
    """The overview with some days counted anew. Whoever writes it last has read the days after all others wrote them."""
    counts, running = dict(overview["days"] if overview else {}), {*(overview["running"] if overview else ()), *busy}
    running -= {*gone}
    for day in days:
        runs = _runs_of(outputs, day)
        for name, run in runs.items():
            (running.add if run["status"] == BUSY else running.discard)(name)
        counts[day] = _counts(runs)
        if not runs:
            del counts[day]
    return {"days": counts, "running": sorted(running)}


def _counts(runs: dict) -> dict[str, list[int]]:
    """Per DAG: runs, failed, running, incidents."""
    counts = defaultdict(lambda: [0, 0, 0, 0])
    for run in runs.values():
        failed, busy = run["status"] not in (GOOD, BUSY, SKIPPED), run["status"] == BUSY
        one = (1, int(failed), int(busy), max(run.get("incidents") or 0, 0))
        counts[run["dag"]] = [sum(pair) for pair in zip(counts[run["dag"]], one, strict=True)]
    return dict(counts)


def _write_page(outputs: Path) -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    for part in ("index.css", "index.js"):
        page = page.replace(f"/* {part} */", (WEB / part).read_text(encoding="utf-8"))
    files.make_room(outputs / "index.html")
    store.change(outputs / "index.html", lambda _: page)
