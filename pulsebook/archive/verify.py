"""Whether the archive still is what its records say: every checksum, nothing missing, nothing without a record.

What can be made anew from the records is, and is named; what cannot is only named.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from pulsebook.archive import index, index_entries, lookup
from pulsebook.archive.ending import close_stale
from pulsebook.archive.index_entries import records_among
from pulsebook.archive.record import OPEN, Record, RecordError, checksum
from pulsebook.archive.repair import repair
from pulsebook.base import names

SUFFIXES = (".ipynb", ".html", ".json")  # of a try's files
FINAL_AFTER = 60.0  # seconds after its end what is beside a try's files, and the index, are as they stay


@dataclass(frozen=True)
class Finding:
    """One file and what is wrong with it: `missing`, `altered`, `no record` or `not in the index`."""

    file: str  # below `outputs`
    what: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole archive found."""

    tries: int
    running: int
    files: int  # whose checksums were compared
    findings: list[Finding]


def verify(outputs: Path) -> Verdict:
    """Compare everything with the records; closes those that are dead and repairs the index first. Reads every file."""
    found = repair(outputs)
    known = lookup.entries(outputs)
    findings = [Finding(_below(outputs, file), "altered", f"{why}; made anew") for file, why in found.damaged.items()]
    running = files = 0
    for name, path in found.records.items():
        entered = known.pop(name, None)
        try:
            record = Record.load(path)
            if record.stale:  # although the index says that it has ended
                record = close_stale(path) or Record.load(path)
                index.update(outputs, record)
                entered = index_entries.entry_of(record)
        except FileNotFoundError:
            continue  # pruned meanwhile
        except RecordError as error:
            findings.append(Finding(f"{name}.json", "altered", str(error).partition(": ")[2] or str(error)))
            continue
        running += record.status in OPEN
        if not record.over:
            continue
        files += len(record.sha256)
        findings += _of_files(record, outputs)
        if not _is_final(record):
            continue
        findings += _beside(record, outputs)
        if name in found.lacking or entered is None:
            findings.append(Finding(f"{name}.json", "not in the index", "entered now" if entered else ""))
        elif not entered.items() <= index_entries.entry_of(record).items():
            findings.append(Finding(f"{name}.json", "altered", "differs from the index"))
    gone = [Finding(f"{name}.json", "missing", "the index knows this run") for name in known]
    return Verdict(len(found.records), running, files, [*findings, *gone, *_without_record(outputs, found.files)])


def _is_final(record: Record) -> bool:
    return abs(time.time() - record.ended_at) > FINAL_AFTER  # an end in the future is a wrong clock's


def _below(outputs: Path, file: Path) -> str:
    return file.relative_to(outputs).as_posix()


def _of_files(record: Record, outputs: Path) -> list[Finding]:
    found = []
    for name, expected in record.sha256.items():
        file = record.path.with_name(name)
        try:
            if checksum(file.read_bytes()) != expected:
                found.append(Finding(_below(outputs, file), "altered", f"is not {expected[:12]}… any more"))
        except FileNotFoundError:
            found.append(Finding(_below(outputs, file), "missing", "its record names it"))
        except OSError as error:
            found.append(Finding(_below(outputs, file), "altered", f"cannot be read: {error.strerror or error}"))
    return found


def _beside(record: Record, outputs: Path) -> list[Finding]:
    """What came to a try's files, or never did."""
    later = [file for file in record.files if file.exists() and file.name not in record.sha256]
    found = [Finding(_below(outputs, file), "altered", "came after its record") for file in later]
    if record.executed.name in record.sha256 and record.html.name not in record.sha256 and not record.html.exists():
        found.append(Finding(_below(outputs, record.html), "missing", "the notebook has no page"))
    return found


def _without_record(outputs: Path, files: list[Path]) -> list[Finding]:
    """Files that look like a try's and have no record."""
    records = {*records_among(files).values()}
    tries = [file for file in files if file.suffix in SUFFIXES and names.resembles_try(file.name)]
    lost = [f for f in tries if f.with_name(re.sub(r"(\.diff)?\.\w+$", ".json", f.name)) not in records]
    return [Finding(_below(outputs, file), "no record") for file in sorted(lost, key=str)]
