"""Whether the archive still is what its records say: every checksum, nothing missing, nothing without a record."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from pulsebook.archive import index, store
from pulsebook.archive.record import Record, RecordError, checksum

SETTLED = 60.0  # seconds after its end a try's files and the index are as they stay


@dataclass(frozen=True)
class Finding:
    """One file and what is wrong with it: `missing`, `altered`, `no record` or `not in the index`."""

    file: str  # below `outputs`
    what: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole archive found."""

    runs: int
    running: int
    files: int  # whose checksums were compared
    findings: list[Finding]


def verify(outputs: Path) -> Verdict:
    """Compare everything with the records; turns `running` ones that are dead into `killed` first. Reads every file."""
    index.update(outputs)
    known, paths = index.entries(outputs), index.records_of(outputs)
    running = files = 0
    findings = []
    for path in paths:
        name = path.relative_to(outputs).with_suffix("").as_posix()
        entered = known.pop(name, None)
        try:
            record = Record.load(path)
        except FileNotFoundError:
            continue  # pruned meanwhile
        except RecordError as error:
            findings.append(Finding(f"{name}.json", "altered", str(error).partition(": ")[2]))
            continue
        running += record.status == index.BUSY
        if not _has_settled(record):
            continue
        files += len(record.sha256)
        findings += _of_files(record, outputs)
        if entered is None or not entered.items() <= index.entry(record).items():
            what = "altered" if entered else "not in the index"
            findings.append(Finding(f"{name}.json", what, "differs from the index" if entered else ""))
    gone = [Finding(f"{name}.json", "missing", "the index knows this run") for name in known]
    return Verdict(len(paths), running, files, [*findings, *gone, *_without_record(outputs)])


def _has_settled(record: Record) -> bool:
    return record.status != index.BUSY and record.ended_at < time.time() - SETTLED


def _of_files(record: Record, outputs: Path) -> list[Finding]:
    found = []
    for name, expected in record.sha256.items():
        file = record.path.with_name(name)
        if not file.exists():
            found.append(Finding(file.relative_to(outputs).as_posix(), "missing", "its record names it"))
        elif checksum(file) != expected:
            found.append(Finding(file.relative_to(outputs).as_posix(), "altered", f"is not {expected[:12]}… any more"))
    later = [file for file in record.files if file.exists() and file.name not in record.sha256]
    return found + [Finding(f.relative_to(outputs).as_posix(), "altered", "came after its record") for f in later]


def _without_record(outputs: Path) -> list[Finding]:
    """Files that look like a try's and have no record."""
    tries = [f for kind in ("ipynb", "html") for f in store.files(outputs, f"[!.]*/*/*/*-try*.{kind}")]
    lost = [f for f in tries if not f.with_name(re.sub(r"(\.diff)?\.\w+$", ".json", f.name)).exists()]
    return [Finding(f.relative_to(outputs).as_posix(), "no record") for f in sorted(lost, key=str)]
