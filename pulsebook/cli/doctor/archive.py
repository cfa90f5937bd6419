"""The archive: whether it can be written, read and listed, what is left of its disk, what its index and records hold."""

import os
import uuid
from pathlib import Path

from pulsebook.archive import index_files, lookup
from pulsebook.archive.index_files import Damaged
from pulsebook.archive.record import Record, RecordError
from pulsebook.base import files
from pulsebook.base.settings import settings
from pulsebook.cli.doctor.findings import Check, Wrong

FREE = 1.0  # GB of its disk that should be free
NEWEST = 50  # records that are read
REMEDY = "pulsebook archive verify makes anew what can be, and names the rest."


def writable() -> str:
    """Whether files can be made, read, listed and removed there: tried with one that is removed again."""
    outputs = settings().outputs
    above = files.nearest(outputs)
    if above != outputs:
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise Wrong(
                f"{outputs} to be there or to be made",
                f"no right to write in {above}",
                "Make it, or correct PULSEBOOK_OUTPUTS.",
            )
        return f"{outputs} does not exist yet and may be made"
    try:
        _try(outputs)
    except files.failures(outputs) as error:
        raise Wrong(
            f"{outputs} to be written, read and listed",
            f"{type(error).__name__}: {error}",
            "Correct PULSEBOOK_OUTPUTS, its rights or, for s3://, AWS's variables.",
        ) from None
    return f"{outputs} can be written, read and listed"


def _try(outputs: Path) -> None:
    """Make, read, list and remove a file."""
    trial, text = outputs / f".doctor-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    files.create(trial, text)
    try:
        again = files.create(trial, "other")
        read, listed = trial.read_text(), trial.name in {path.name for path in outputs.iterdir()}
    finally:
        _remove(trial)
    if again:
        raise Wrong(
            "a store that refuses to create what is there",
            "one that ignores conditional writes",
            "Use one that has If-None-Match.",
        )
    if read != text or not listed:
        found = "another text" if read != text else "no such file in the list"
        raise Wrong("a new file to be there at once", found, "Use a store that is consistent.")


def _remove(trial: Path) -> None:
    try:
        trial.unlink()
    except OSError as error:
        raise Wrong("a file to be removable", f"{trial}: {error}", "Remove it, and grant the right.") from None


def space() -> str:
    """Whether there is room for executed notebooks."""
    outputs = settings().outputs
    free = files.free_space(outputs)
    if free is None:
        return "an object store, which tells no limit"
    if free < FREE:
        raise Wrong(
            f"{FREE:g} GB free for {outputs}",
            f"{free:.2f} GB",
            "Make room: pulsebook archive prune --delete removes what is old.",
        )
    return f"{free:,.1f} GB free"


def runs() -> str:
    """Whether the index can be read and the newest records are of a format that this version knows."""
    outputs = settings().outputs
    try:
        overview = index_files.read(index_files.overview_of(outputs), None)
        days = index_files.days(outputs)
        newest = {}
        for day in reversed(days):
            newest |= index_files.read(index_files.file_of(outputs, day), {})
            if len(newest) >= NEWEST:
                break
    except Damaged as error:
        raise Wrong("an index that can be read", f"damage: {error}", REMEDY) from None
    if overview is None:
        if days:
            raise Wrong("an index with its overview", f"{len(days)} days without one", REMEDY)
        return "no run yet"
    names = sorted(newest, key=lambda name: lookup.began(newest[name]), reverse=True)[:NEWEST]
    odd = [problem for name in names if (problem := _problem(outputs / f"{name}.json"))]
    if odd:
        raise Wrong(
            "records that this version can read",
            f"{len(odd)} of the newest {len(names)} that are not: {odd[0]}",
            REMEDY,
        )
    stale = sum(map(_stale, (outputs / f"{name}.json" for name in overview["running"])))
    note = f"; {stale} that were killed are closed by the next run" if stale else ""
    return f"index of {len(days)} days, the newest {len(names)} records are well{note}"


def _problem(path: Path) -> str:
    try:
        Record.load(path)
        return ""
    except FileNotFoundError:
        return f"{path} is missing"
    except RecordError as error:
        return str(error)


def _stale(path: Path) -> bool:
    try:
        return Record.load(path).stale
    except (FileNotFoundError, RecordError):
        return False


CHECKS = (Check("archive", writable), Check("archive space", space), Check("archive runs", runs, ("archive",)))
