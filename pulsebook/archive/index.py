"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date run by run.

.index/overview.js           per day and DAG: [runs, failed, running, incidents]; which records say `running`
.index/days/2026-11-22.js    the runs of a day; the page loads the days that it shows

A browser fetches no JSON from disk, so data files are scripts that call one function. An update rewrites two small files
whatever the size of the archive, under a lock, each atomically; entering a run twice changes nothing. A day is that of
the run (`run_date` or `slot`), not the one on which it ran. All of it can be made anew from the records: `rebuild`.
"""

import fcntl
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pulsebook.archive.ending import mend
from pulsebook.archive.record import Record, RecordError, replace

log = logging.getLogger(__name__)
WEB = Path(__file__).with_name("web")
GOOD, BUSY, SKIPPED = "succeeded", "running", "skipped"


def update(outputs: Path, *records: Record) -> None:
    """Enter some runs, and mend those that say `running` and are dead. Milliseconds, but for the first call ever.

    Raises:
        OSError: the folder cannot be written.
    """
    mended = mend_stale(outputs)
    with _locked(outputs) as folder:
        if not (folder / "overview.js").exists():
            _enter(outputs, folder, _records(outputs))
        _enter(outputs, folder, [*mended, *records])
        _write_pages(outputs)


def rebuild(outputs: Path) -> int:
    """Make the index anew from all records; returns their number. Reads every record: minutes for 100,000."""
    with _locked(outputs) as folder:
        for path in records_of(outputs):
            mend(path)
        known = _records(outputs)
        for file in (folder / "days").glob("*.js"):
            file.unlink()
        _write(folder / "overview.js", "overview", {"days": {}, "running": []})
        _enter(outputs, folder, known)
        _write_pages(outputs)
    return len(known)


def forget(outputs: Path, paths: list[Path]) -> None:
    """Take runs out whose records are gone."""
    with _locked(outputs) as folder:
        gone, overview = {_name(outputs, path) for path in paths}, _read(folder / "overview.js", {"days": {}})
        for file in (folder / "days").glob("*.js"):
            runs = _read(file, {})
            if gone & runs.keys():
                _set_day(folder, overview, file.stem, {name: run for name, run in runs.items() if name not in gone})
        overview["running"] = sorted(set(overview.get("running", [])) - gone)
        _write(folder / "overview.js", "overview", overview)


def mend_stale(outputs: Path) -> list[Record]:
    """Turn records that say `running` and are dead into `killed`; returns those. Looks at what the index calls running."""
    running = _read(outputs / ".index" / "overview.js", {}).get("running", [])
    paths = [outputs / f"{name}.json" for name in running]
    mended = [record for path in paths if path.exists() and (record := mend(path))]
    stated = [Record.load(path) for path in paths if path.exists()]  # closed by somebody who did not reach the index
    return mended + [r for r in stated if r.status != BUSY and r.path not in {m.path for m in mended}]


def previous(outputs: Path, record: Record) -> Path | None:
    """The record of the latest succeeded run of the same step before this one, by day and start; None if there is none."""
    return next(earlier(outputs, record), None)


def earlier(outputs: Path, record: Record) -> Iterator[Path]:
    """The records of the succeeded runs of the same step before this one, the latest first."""
    own, name = entry(record), _name(outputs, record.path)
    days = _read(outputs / ".index" / "overview.js", {"days": {}})["days"]
    for day in sorted((day for day, dags in days.items() if day <= own["day"] and own["dag"] in dags), reverse=True):
        same = [
            (run["period"], run["started"], other)
            for other, run in _read(outputs / ".index" / "days" / f"{day}.js", {}).items()
            if (run["dag"], run["task"], run["status"]) == (own["dag"], own["task"], GOOD) and other != name
        ]
        for _, _, other in sorted((key for key in same if key[:2] < (own["period"], own["started"])), reverse=True):
            yield outputs / f"{other}.json"


def entries(outputs: Path) -> dict[str, dict]:
    """All runs that the index knows, by name (the record's path below `outputs`, without its suffix)."""
    known = {}
    for file in sorted((outputs / ".index" / "days").glob("*.js")):
        known |= _read(file, {})
    return known


def began(run: dict) -> float:
    """When an entry's run began, in seconds since 1970."""
    return datetime.fromisoformat(run["started"]).replace(tzinfo=UTC).timestamp()


def records_of(outputs: Path) -> list[Path]:
    """The files of all records."""
    return sorted(outputs.glob("[!.]*/*/*/*-try*.json"))


def entry(record: Record) -> dict:
    """What the page shows of a run."""
    task, attempt = re.fullmatch(r"(.+)-try(\d+)", record.path.stem).groups()
    day = record.period[:10] if re.match(r"\d{4}-\d\d-\d\d", record.period) else record.started[:10]
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


def _enter(outputs: Path, folder: Path, records: list[Record]) -> None:
    overview = _read(folder / "overview.js", {"days": {}, "running": []})
    running, by_day = set(overview["running"]), defaultdict(dict)
    for record in records:
        found, name = entry(record), _name(outputs, record.path)
        by_day[found["day"]][name] = found
        (running.add if found["status"] == BUSY else running.discard)(name)
    for day, found in by_day.items():
        _set_day(folder, overview, day, _read(folder / "days" / f"{day}.js", {}) | found)
    _write(folder / "overview.js", "overview", {**overview, "running": sorted(running)})


def _set_day(folder: Path, overview: dict, day: str, runs: dict) -> None:
    counts = defaultdict(lambda: [0, 0, 0, 0])
    for run in runs.values():
        failed, busy = run["status"] not in (GOOD, BUSY, SKIPPED), run["status"] == BUSY
        one = (1, int(failed), int(busy), run["incidents"] or 0)
        counts[run["dag"]] = [sum(pair) for pair in zip(counts[run["dag"]], one, strict=True)]
    _write(folder / "days" / f"{day}.js", "day", runs, day)
    overview["days"][day] = counts
    if not runs:
        (folder / "days" / f"{day}.js").unlink()
        del overview["days"][day]


def _records(outputs: Path) -> list[Record]:
    found = []
    for path in records_of(outputs):
        try:
            found.append(Record.load(path))
        except RecordError as error:
            log.error("%s", error)
    return found


def _name(outputs: Path, path: Path) -> str:
    return path.relative_to(outputs).with_suffix("").as_posix()


def _write_pages(outputs: Path) -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    for part in ("index.css", "index.js"):
        page = page.replace(f"/* {part} */", (WEB / part).read_text(encoding="utf-8"))
    if not (outputs / "index.html").exists() or (outputs / "index.html").read_text(encoding="utf-8") != page:
        replace(outputs / "index.html", page)


def _write(file: Path, function: str, value, *first: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    head = "".join(f"{json.dumps(argument)}, " for argument in first)
    replace(file, f"{function}({head}\n{json.dumps(value, separators=(',', ':'))}\n)\n")


def _read(file: Path, default: dict) -> dict:
    """The value in a data file, whose second line it is."""
    return json.loads(file.read_text(encoding="utf-8").split("\n")[1]) if file.exists() else default


@contextmanager
def _locked(outputs: Path):
    """The folder of the index, for one process at a time."""
    folder = outputs / ".index"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
