"""The index of the archive: `{outputs}/index.html`, static, opens from disk, kept up to date run by run.

.index/overview.js           per day and DAG: [runs, failed, running, incidents]; which records say `running`
.index/days/2026-11-22.js    the runs of a day; the page loads the days that it shows

A browser fetches no JSON from disk, so data files are scripts that call one function. An update changes two small files
whatever the size of the archive, one after the other, each atomically; entering a run twice changes nothing. A day is that of
the run (`run_date` or `slot`), not the one on which it ran. All of it can be made anew from the records: `rebuild`.
"""

import glob
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from pulsebook.archive import store
from pulsebook.archive.ending import mend
from pulsebook.archive.names import Try, parse_try, try_name
from pulsebook.archive.record import Record, RecordError

log = logging.getLogger(__name__)
WEB = Path(__file__).with_name("web")
GOOD, BUSY, SKIPPED = "succeeded", "running", "skipped"
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def update(outputs: Path, *records: Record) -> None:
    """Enter some runs, and mend those that say `running` and are dead. Milliseconds, but for the first call ever.

    Raises:
        OSError: the archive cannot be written.
    """
    overview = _read(_overview(outputs), None)
    before = _records(outputs) if overview is None else _ended(outputs, overview["running"])
    _enter(outputs, [*before, *records])
    _write_pages(outputs)


def rebuild(outputs: Path) -> int:
    """Make the index anew from all records; returns their number. Reads every record: minutes for 100,000."""
    for path in records_of(outputs):
        mend(path)
    known = _records(outputs)
    by_day = _by_day(outputs, known)
    days = {*by_day, *(file.stem for file in (outputs / ".index" / "days").glob("*.js"))}
    for day in days:
        _set_day(outputs, day, by_day[day], lambda name: (outputs / f"{name}.json").exists())
    store.change(_overview(outputs), lambda _: _counted(outputs, None, days))
    _write_pages(outputs)
    return len(known)


def forget(outputs: Path, paths: list[Path]) -> None:
    """Take runs out whose records are gone."""
    gone = {_name(outputs, path) for path in paths}
    own = {DAY.match(path.parts[-3]) for path in paths}
    days = {day[0] for day in own if day}
    if None in own:  # runs without a period lie under the day on which they ran
        days |= {file.stem for file in (outputs / ".index" / "days").glob("*.js")}
    for day in days:
        _set_day(outputs, day, {}, lambda name: name not in gone)
    store.change(_overview(outputs), lambda text: _counted(outputs, text, days, gone))


def previous(outputs: Path, record: Record) -> Path | None:
    """The record of the latest succeeded run of the same step before this one, by day and start; None if there is none."""
    return next(earlier(outputs, record), None)


def earlier(outputs: Path, record: Record) -> Iterator[Path]:
    """The records of the succeeded runs of the same step before this one, the latest first."""
    own, name = entry(record), _name(outputs, record.path)
    step = (own["dag"], own["task"], own.get("map"), GOOD)
    days = _read(_overview(outputs), {"days": {}})["days"]
    for day in sorted((day for day, dags in days.items() if day <= own["day"] and own["dag"] in dags), reverse=True):
        same = [
            (run["period"], run["started"], other)
            for other, run in _read(_file_of(outputs, day), {}).items()
            if (run["dag"], run["task"], run.get("map"), run["status"]) == step and other != name
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


def tries(outputs: Path, run: Path, task_id: str) -> dict[Try, Path]:
    """The records of a task's tries, of all map indexes, in a run whose folder is known but for the period."""
    if isinstance(outputs, Path):
        return _of_task(task_id, run.parent.parent.glob(f"*/{glob.escape(run.name)}/*-try*.json"))
    # An object store would list a DAG's whole history for that: the index knows it, most likely under the run's own day.
    due = DAY.search(run.name)
    days = {file.stem: file for file in (outputs / ".index" / "days").glob("*.js")}
    for day in sorted(days, key=lambda day: _days_between(day, due[0]) if due else -_days_between(day, "2000-01-01")):
        own = [name.split("/") for name in _read(days[day], {})]
        of_run = [outputs.joinpath(*n[:3], f"{n[3]}.json") for n in own if (n[0], n[2]) == tuple(run.parts[-3::2])]
        if found := _of_task(task_id, of_run):
            return found
    return {}


def _of_task(task_id: str, records: Iterable[Path]) -> dict[Try, Path]:
    known = [(parse_try(path.stem), path) for path in records]
    return {one: path for one, path in known if one and path.stem == try_name(task_id, one.map_index, one.number)}


def _days_between(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)


def records_of(outputs: Path) -> list[Path]:
    """The files of all records."""
    return sorted(store.files(outputs, "[!.]*/*/*/*-try*.json"))


def entry(record: Record) -> dict:
    """What the page shows of a run."""
    known = parse_try(record.path.stem)
    day = record.period[:10] if DAY.match(record.period) else record.started[:10]
    return {
        "dag": record.path.parents[2].name,
        "task": known.task_id,
        **({} if known.map_index is None else {"map": known.map_index}),
        "try": known.number,
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


def _ended(outputs: Path, running: list[str]) -> list[Record]:
    """Of the runs that the index calls running those that are over: closed by somebody who did not reach the index, or
    dead, and then `killed` from now on."""
    over = []
    for path in (outputs / f"{name}.json" for name in running):
        try:
            record = Record.load(path)
        except FileNotFoundError:
            continue
        if record.status != BUSY or (record := record.stale and mend(path)):
            over.append(record)
    return over


def _enter(outputs: Path, records: list[Record]) -> None:
    by_day = _by_day(outputs, records)
    for day, found in by_day.items():
        _set_day(outputs, day, found)
    store.change(_overview(outputs), lambda text: _counted(outputs, text, by_day))


def _by_day(outputs: Path, records: list[Record]) -> dict[str, dict]:
    by_day = defaultdict(dict)
    for record in records:
        run = entry(record)
        by_day[run["day"]][_name(outputs, record.path)] = run
    return by_day


def _set_day(outputs: Path, day: str, found: dict, stays=lambda name: True) -> None:
    """Enter runs into the file of a day; of the others those stay that `stays` says. A try that has ended never runs again."""

    def entered(text: str | None) -> str | None:
        runs = {name: run for name, run in _value(text, {}).items() if name in found or stays(name)}
        for name, run in found.items():
            if run["status"] != BUSY or runs.get(name, run)["status"] == BUSY:
                runs[name] = run
        return _script("day", runs, day) if runs else None

    store.change(_file_of(outputs, day), entered)


def _counted(outputs: Path, text: str | None, days, gone=frozenset()) -> str:
    """The overview with some days counted anew. Whoever writes it last has read the days after all others wrote them."""
    overview = _value(text, {"days": {}, "running": []})
    running = set(overview["running"]) - gone
    for day in days:
        runs, counts = _read(_file_of(outputs, day), {}), defaultdict(lambda: [0, 0, 0, 0])
        for name, run in runs.items():
            failed, busy = run["status"] not in (GOOD, BUSY, SKIPPED), run["status"] == BUSY
            one = (1, int(failed), int(busy), run["incidents"] or 0)
            counts[run["dag"]] = [sum(pair) for pair in zip(counts[run["dag"]], one, strict=True)]
            (running.add if busy else running.discard)(name)
        overview["days"][day] = counts
        if not runs:
            del overview["days"][day]
    return _script("overview", {**overview, "running": sorted(running)})


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
    store.change(outputs / "index.html", lambda _: page)


def _overview(outputs: Path) -> Path:
    return outputs / ".index" / "overview.js"


def _file_of(outputs: Path, day: str) -> Path:
    return outputs / ".index" / "days" / f"{day}.js"


def _script(function: str, value, *first: str) -> str:
    head = "".join(f"{json.dumps(argument)}, " for argument in first)
    return f"{function}({head}\n{json.dumps(value, separators=(',', ':'))}\n)\n"


def _value(text: str | None, default):
    """The value in a data file, whose second line it is."""
    return json.loads(text.split("\n")[1]) if text else default


def _read(file: Path, default):
    try:
        return _value(file.read_text(encoding="utf-8"), default)
    except FileNotFoundError:
        return default
