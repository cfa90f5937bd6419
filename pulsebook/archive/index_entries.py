"""The entries of the index, one per try: what is shown, as the record says, and how it comes into a day's file and counts."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pulsebook.archive import index_files
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.record import OPEN, RUNNING, WAITING, Record, RecordError, RecordUnreadable, is_record
from pulsebook.base import files
from pulsebook.base.names import RECORDS, parse_try
from pulsebook.base.store import Seen

log = logging.getLogger(__name__)
GOOD, BUSY, SKIPPED = "succeeded", RUNNING, "skipped"


def records_of(outputs: Path) -> list[Path]:
    """The files of all records."""
    return list(records_among(files.files(outputs, f"[!.]*/*/*/{RECORDS}")).values())


def records_among(found: list[Path]) -> dict[str, Path]:
    """The records among some files, by name and in that order; a copy beside one is called otherwise."""
    named = {"/".join(path.parts[-4:]).removesuffix(".json"): path for path in found if is_record(path)}
    return {name: named[name] for name in sorted(named) if index_files.names_a_record(name)}


def name_of(outputs: Path, path: Path) -> str:
    """How the index calls a try: the path of its record below `outputs`, without its suffix."""
    return path.relative_to(outputs).with_suffix("").as_posix()


def entry_of(record: Record) -> dict:
    """What the page shows of a try. While the page of its end is being made, it is busy; while it waits, it says for what."""
    known = parse_try(record.path.stem)
    day = record.period[:10] if index_files.is_day(record.period[:10]) else record.started[:10]
    return {
        "dag": record.path.parents[2].name,
        "task": known.task_id,
        **({} if known.map_index is None else {"map": known.map_index}),
        "try": known.number,
        "day": day,
        "period": record.period,
        "status": record.status if record.over or record.status == WAITING else BUSY,
        "started": record.started[:19],
        "duration": record.duration,
        "headline": record.headline,
        "incidents": record.incidents,
        "compared": any(name.endswith(".diff.html") for name in record.sha256),
        "error": record.error[:400] if record.error else None,
        "parameters": " ".join(f"{name}={value}" for name, value in record.parameters.items())[:300],
    }


def looked_at(
    paths: Iterable[Path], load: Callable[[Path], Record] = Record.load
) -> Iterator[tuple[Path, Record | None]]:
    """Records, each loaded by a function; None for those that are damaged or gone. One that cannot be read now is left out:
    nothing is known of it. Both are named in the log."""
    for path in paths:
        try:
            record = load(path)
        except FileNotFoundError:
            record = None
        except (RecordUnreadable, OSError) as error:
            log.error("%s", error)
            continue
        except RecordError as error:
            log.error("%s", error)
            record = None
        yield path, record


def from_records(outputs: Path, days: set[str]) -> dict[str, dict]:
    """The entries of some days as their records say; tries without a period may belong to any day."""

    def may_be_of_them(path: Path) -> bool:
        day = path.parts[-3][:10]
        return day in days or not index_files.is_day(day)

    own = filter(may_be_of_them, records_of(outputs))
    found = by_day(outputs, [record for _, record in looked_at(own) if record])
    return {day: found[day] for day in days}


def entries_of(outputs: Path, day: str, seen: Seen | None = None) -> dict[str, dict]:
    """The entries of a day for somebody who only reads."""
    file = index_files.file_of(outputs, day)
    try:
        return index_files.read(file, {}, seen)
    except Damaged as error:
        log.error("%s is damaged: %s", file, error)
        return from_records(outputs, {day})[day]


def by_day(outputs: Path, records: Iterable[Record]) -> dict[str, dict]:
    """The entries of some tries, by day and name."""
    found = defaultdict(dict)
    for record in records:
        entry = entry_of(record)
        found[entry["day"]][name_of(outputs, record.path)] = entry
    return found


def set_day(
    outputs: Path,
    day: str,
    found: dict,
    stays: Callable = lambda name: True,
    lost: Callable | None = None,
    seen: Seen | None = None,
) -> None:
    """Enter tries into the file of a day; of the others those stay that `stays` says. A try that has ended never runs again.

    Args:
        lost: what a damaged file held; default: as the records say.
    """

    def entered(known: dict | None) -> dict | None:
        entries = {name: entry for name, entry in (known or {}).items() if name in found or stays(name)}
        for name, entry in found.items():
            if entry["status"] not in OPEN or entries.get(name, entry)["status"] in OPEN:
                entries[name] = entry
        return entries or None

    lost = lost or (lambda: from_records(outputs, {day})[day])
    index_files.change(index_files.file_of(outputs, day), entered, lost, seen)


def count(
    outputs: Path,
    days: Iterable[str],
    *,
    gone: Iterable[str] = (),
    busy: Iterable[str] = (),
    seen: Seen | None = None,
) -> None:
    """Have the overview count some days anew, leave out what is gone and name what is busy. It is made only where days are
    to be counted. Whoever writes it last has read the days after all others wrote them: a day that was seen before counts
    for an overview that was seen before that, and once."""
    file, seen = index_files.overview_of(outputs), {} if seen is None else seen
    if str(file) not in seen:
        seen.clear()

    def entries(day: str) -> dict[str, dict]:
        found = entries_of(outputs, day, seen)
        seen.pop(str(index_files.file_of(outputs, day)), None)
        return found

    def counted(overview: dict | None) -> dict | None:
        return overview_of(entries, days, overview, gone, busy) if overview or days else None

    index_files.change(file, counted, lambda: overview_of(entries, index_files.days(outputs)), seen)


def overview_of(
    entries_of: Callable[[str], dict], days: Iterable[str], known: dict | None = None, gone=(), busy=()
) -> dict:
    """An overview in which some days are counted anew, each by its entries."""
    known = known or {"days": {}, "running": []}
    counts, running = dict(known["days"]), {*known["running"], *busy} - {*gone}
    for day in days:
        entries = entries_of(day)
        busy_now = {name for name, entry in entries.items() if entry["status"] in OPEN}
        running = (running - entries.keys()) | busy_now
        if entries:
            counts[day] = counts_of(entries)
        else:
            counts.pop(day, None)
    return {"days": counts, "running": sorted(running)}


def counts_of(entries: dict) -> dict[str, list[int]]:
    """Per DAG: tries, failed, running, incidents. A try that failed before another one of its task and run succeeded is none
    of the failed."""
    counts, healed = defaultdict(lambda: [0, 0, 0, 0]), {}
    for name, entry in entries.items():
        if entry["status"] == GOOD:
            step = _step(name, entry)
            healed[step] = max(entry.get("try", 1), healed.get(step, 0))
    for name, entry in entries.items():
        of_dag, failed = counts[entry["dag"]], entry["status"] not in (GOOD, SKIPPED, *OPEN)
        of_dag[0] += 1
        of_dag[1] += failed and entry.get("try", 1) > healed.get(_step(name, entry), 0)
        of_dag[2] += entry["status"] in OPEN
        of_dag[3] += max(entry.get("incidents") or 0, 0)
    return dict(counts)


def _step(name: str, entry: dict) -> tuple:
    """What the tries of one task in one run have in common."""
    return name.rpartition("/")[0], entry["task"], entry.get("map")
