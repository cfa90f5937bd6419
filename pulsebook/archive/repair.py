"""Repairs an archive: damaged files of its index, tries that nobody works on any more, tries that the index lacks, what killed
processes left half-written. Found from the files themselves, whatever the index says."""

import time
from dataclasses import dataclass
from pathlib import Path

from pulsebook.archive import index, index_entries, lookup
from pulsebook.archive.ending import close_stale
from pulsebook.archive.index_entries import looked_at, records_among
from pulsebook.base import draft, files

ABANDONED = 3600.0  # seconds: no file is in the making for so long


@dataclass(frozen=True)
class Repaired:
    """What was found, and is repaired now."""

    files: list[Path]  # of tries, whatever they are
    records: dict[str, Path]  # by name
    known: dict[str, dict]  # the tries that the index knew
    damaged: dict[Path, str]  # files of the index, and what was wrong; made anew
    lacking: set[str]  # tries that the index did not know, by name; entered


def repair(outputs: Path) -> Repaired:
    """Repair the index, close what is dead, enter what is missing, remove abandoned drafts. Reads the records that the index
    does not know or calls running: seconds for 100,000 tries.

    Raises:
        OSError: the archive cannot be written.
    """
    damaged, known = index.repair_files(outputs)
    index.update(outputs)
    entered = lookup.entries(outputs)
    found = files.files(outputs, "[!.]*/*/*/*")
    records = records_among(found)
    unknown = [path for name, path in records.items() if name not in entered]
    lacking = _enter(outputs, unknown) if unknown else set()
    _remove_drafts(outputs, found)
    return Repaired(found, records, known, damaged, lacking)


def _enter(outputs: Path, paths: list[Path]) -> set[str]:
    """Enter tries that the index does not know; returns the names of those that nobody had to close first."""
    records, lacking = [], set()
    for path, record in looked_at(paths):
        if record and record.stale:
            record = close_stale(path)
        elif record:
            lacking.add(index_entries.name_of(outputs, path))
        if record:
            records.append(record)
    index.enter(outputs, records)
    gone = [record.path for record in records if not record.path.exists()]  # pruned meanwhile
    if gone:
        index.forget(outputs, gone)
    return lacking


def _remove_drafts(outputs: Path, found: list[Path]) -> None:
    """Remove what processes that were killed had not put in place yet."""
    places = (outputs, outputs / ".index", outputs / ".index" / "days")
    beside = [file for place in places for file in place.glob(".*")]
    for file in (*found, *beside):
        if draft.NAME.fullmatch(file.name) and file.is_file() and file.stat().st_mtime < time.time() - ABANDONED:
            file.unlink(missing_ok=True)
