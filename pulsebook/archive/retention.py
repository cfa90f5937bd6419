"""How long a run stays in the archive.

| run | days |
|---|---|
| checks of a slot that raised no incident | 14 |
| everything else | 400 |
| where a try failed, or an incident was raised | twice as long |

Days count from the end of the run's last try. A run is kept or removed whole: all tries in its folder. What still runs
stays. Only files that a readable record calls its own are ever removed, and folders that are empty then. What the index did
not know before is entered first, and removed by the next `prune`.
"""

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pulsebook.archive import index, index_entries, lookup
from pulsebook.archive.record import Record, RecordError, is_record
from pulsebook.archive.repair import repair
from pulsebook.base import files
from pulsebook.base.names import RECORDS

log = logging.getLogger(__name__)
SLOT_DAYS, DAYS, LONGER = 14, 400, 2


@dataclass(frozen=True)
class Expired:
    """A run whose time is over: its folder and the records of its tries."""

    folder: Path
    records: list[Record]

    @property
    def files(self) -> list[Path]:
        """Notebooks and pages first, records last: what a crash leaves behind still has its record."""
        own = [file for record in self.records for file in record.files]
        return [file for file in own if file.is_file()] + [record.path for record in self.records]


def days_kept(period: str, status: str, incidents: int | None) -> int:
    """Days that a try is kept."""
    of_slot = re.match(r"\d{4}-\d\d-\d\dT", period)
    days = SLOT_DAYS if of_slot and not incidents else DAYS
    return days * LONGER if incidents or status not in (index_entries.GOOD, index_entries.SKIPPED) else days


def expired(outputs: Path, now: float) -> list[Expired]:
    """The runs whose time is over at an instant (seconds since 1970). The index names candidates, the records decide."""
    folders = defaultdict(list)
    for name, entry in lookup.entries(outputs).items():
        folders[name.rpartition("/")[0]].append(entry)
    over = []
    for name, tries in sorted(folders.items()):
        if not all(_may_be_over(entry, now) for entry in tries):
            continue
        try:
            records = [Record.load(path) for path in sorted((outputs / name).glob(RECORDS)) if is_record(path)]
        except (RecordError, FileNotFoundError) as error:
            log.error("kept: %s", error)
            continue
        if all(_is_over(record, now) for record in records):
            over.append(Expired(outputs / name, records))
    return over


def prune(outputs: Path, now: float, *, delete: bool = False) -> list[Expired]:
    """Find the runs whose time is over and, with `delete`, remove them from index and archive. Closes what is dead and
    repairs the index first.

    Raises:
        OSError: files cannot be removed; all others are.
    """
    known = repair(outputs).known

    def was_known(run: Expired) -> bool:
        return all(index_entries.name_of(outputs, record.path) in known for record in run.records)

    over = [run for run in expired(outputs, now) if was_known(run)]
    if delete and over:
        index.forget(outputs, [record.path for run in over for record in run.records])
        removed, failed = [], []
        for run in over:
            try:
                for file in run.files:
                    file.unlink(missing_ok=True)
                removed += [record.path for record in run.records]
                files.remove_if_empty(run.folder)
                files.remove_if_empty(run.folder.parent)
            except OSError as error:  # what is left has its record still
                log.error("not removed: %s", error)
                failed.append(error)
        index.forget(outputs, removed)  # again: somebody may have found and entered one meanwhile
        if failed:
            raise failed[0]
    return over


def _may_be_over(entry: dict, now: float) -> bool:
    """Whether a try may be over, as far as the index says: it ended later than it began."""
    kept = days_kept(entry["period"], entry["status"], entry.get("incidents"))
    return lookup.began(entry) < now - 86400 * kept


def _is_over(record: Record, now: float) -> bool:
    kept = days_kept(record.period, record.status, record.incidents)
    return record.over and record.ended_at < now - 86400 * kept
