"""A try that waits for its day: one record, however often it looks. It has no process and no heartbeat, and no notebook yet."""

import time
from datetime import UTC, datetime
from pathlib import Path

from pulsebook.archive import process
from pulsebook.archive.ending import finish
from pulsebook.archive.record import WAITING, Record, RecordError, is_record
from pulsebook.archive.record_file import iso
from pulsebook.base.files import files
from pulsebook.base.names import RECORDS, is_try_of


def waits(folder: Path, name: str, map_index: int | None = None) -> list[Record]:
    """The records of a task's tries in one run that wait."""
    known = []
    for path in files(folder, RECORDS):
        if is_record(path) and is_try_of(path.stem, name, map_index):
            try:
                known.append(Record.load(path))
            except (RecordError, FileNotFoundError):  # told by whoever verifies
                continue
    return [record for record in known if record.status == WAITING]


def wait(
    waited: Record | None,
    reason: str,
    next_look: datetime,
    folder: Path,
    name: str,
    attempt: int,
    map_index: int | None = None,
    **known,
) -> Record:
    """State that a try waits.

    Args:
        waited: its record, where it has waited before.
        reason: what for, in words.
        next_look: when it looks again.
        known: as of `Record`.
    """
    since = waited.waiting["since"] if waited else iso(datetime.now(UTC))
    state = {"reason": reason, "since": since, "next": iso(next_look.astimezone(UTC))}
    if waited is None:
        return Record.open(folder, name, attempt, map_index, status=WAITING, waiting=state, headline=reason, **known)
    waited.waiting, waited.headline = state, reason
    waited.save()
    return waited


def resumed(waited: Record, **known) -> Record:
    """The record of a try that has waited and is executed now; `known` as of `Record`."""
    state = waited.waiting | {"next": iso(datetime.now(UTC))}
    record = Record(path=waited.path, waiting=state, **known)
    record.process = process.mark(record.pid)
    record.save()
    return record


def give_up(waited: Record, error: str) -> None:
    """Close the record of a try that waits no more, since a later one goes on in its place."""
    finish(waited, "killed", error, time.time())
