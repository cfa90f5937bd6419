"""A run record: one JSON file per try, beside the executed notebook, written by the runner and true at any moment.

{outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}.json   (.ipynb, .html; `pulsebook.base.names`)

While a try runs, the time of its record's file is a heartbeat. A record that says `running` and has none is stale:
`pulsebook.archive.ending` turns it into `killed`. So is one whose status is known and whose `ending`, the process that
makes page, comparison and checksums, is gone: somebody else makes them. A try that waits has no process and no heartbeat: it
is stale when its next look is overdue by hours.
"""

import errno
import hashlib
import json
import math
import os
import platform
import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from pulsebook.archive import origin, process, record_file
from pulsebook.archive.heartbeat import heartbeat
from pulsebook.archive.record_file import Damaged, iso
from pulsebook.base.errors import PulsebookError
from pulsebook.base.files import create, files, replace
from pulsebook.base.names import folder_of as folder_of
from pulsebook.base.names import parse_try, try_name
from pulsebook.base.redact import redact_facts, redact_values

STALE = 120.0  # seconds: without a heartbeat for so long, a try is over
AHEAD = 3600.0  # seconds: a heartbeat from further in the future comes from a wrong clock, and is none
OVERDUE = 6 * 3600.0  # seconds: after so long without the look that was due, nobody looks any more
RUNNING, WAITING = "running", "waiting"
OPEN = (RUNNING, WAITING)  # of a try that has not ended
NO_FILE = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP}


class RecordError(PulsebookError, ValueError):
    """A file is no run record."""


class RecordUnreadable(RecordError):
    """A record cannot be read by us, or not now."""


@dataclass
class Record:
    """What is known of one try. `status`: waiting, running, succeeded, skipped, failed, timed out, kernel died or killed."""

    notebook: str
    parameters: dict
    airflow: dict = field(default_factory=dict)  # dag_id, run_id, task_id, map_index, try_number, log_url
    status: str = RUNNING
    started: str = field(default_factory=lambda: iso(datetime.now(UTC)))
    ended: str | None = None
    duration: float | None = None  # seconds
    error: str | None = None
    headline: str | None = None  # first line of the notebook's summary
    incidents: int | None = None  # as the notebook states; None: it states nothing
    facts: list[dict] = field(default_factory=list)  # as the notebook states them: see `pulsebook.base.facts`
    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    process: str | None = None  # what tells it from a later one with this pid
    waiting: dict | None = None  # reason, since, next: the next look, afterwards when it went on
    ending: dict | None = None  # host, pid, process: who makes page and comparison; None: nothing is left to do
    git_commit: str = field(default_factory=lambda: origin.commit()[0])
    git_dirty: bool | None = field(default_factory=lambda: origin.commit()[1])  # whether files differed from the commit
    versions: dict = field(default_factory=lambda: dict(origin.versions()))
    sha256: dict = field(default_factory=dict)  # of the notebook and its HTML, by file name
    path: Path = field(default=Path(), repr=False)

    @classmethod
    def open(cls, folder: Path, name: str, attempt: int, map_index: int | None = None, found=None, **known) -> "Record":
        """Start the record of a try. A try that the folder holds already keeps its files: the next number is taken.

        Args:
            found: the paths that the folder holds; default: it is looked into.
        """
        record = cls(**known)
        record.process = process.mark(record.pid)
        there = {path.name for path in (files(folder, "*") if found is None else found)}
        while True:
            record.path = folder / f"{try_name(name, map_index, attempt)}.json"
            if not there & {record.executed.name, record.html.name} and create(record.path, record._json()):
                return record
            attempt += 1

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record.

        Raises:
            RecordError: the file holds something else, is a folder or a link that leads nowhere.
            RecordUnreadable: it cannot be read.
            FileNotFoundError: there is none.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"), path)
        except UnicodeDecodeError as error:
            raise RecordError(f"{path} is no run record: {error}") from None
        except FileNotFoundError:
            if path.is_symlink():
                raise RecordError(f"{path} is no run record: it is a link that leads nowhere") from None
            raise
        except OSError as error:
            if error.errno in NO_FILE:
                raise RecordError(f"{path} is no run record: {error.strerror}") from None
            raise RecordUnreadable(f"{path} cannot be read: {error.strerror or error}") from error

    @classmethod
    def parse(cls, text: str, path: Path) -> "Record":
        """A record from the text of its file; raises RecordError as `load` does."""
        try:
            return cls(path=path, **record_file.facts(text))
        except Damaged as error:
            raise RecordError(f"{path} is no run record: {error}") from None

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.path.with_suffix(".ipynb")

    @property
    def html(self) -> Path:
        return self.path.with_suffix(".html")

    @property
    def compared(self) -> Path:
        """The page that compares this try with the previous one."""
        return self.path.with_suffix(".diff.html")

    @property
    def files(self) -> tuple[Path, ...]:
        """What can lie beside the record of a try."""
        return self.executed, self.html, self.compared

    @property
    def ended_at(self) -> float:
        """When the try ended, in seconds since 1970; infinite while it runs."""
        return datetime.fromisoformat(self.ended).timestamp() if self.ended else math.inf

    @property
    def period(self) -> str:
        """The day or slot of the run: the name of its folder's parent."""
        return self.path.parent.parent.name

    def heartbeat(self):
        """A context in which the record's file shows that somebody works on the try."""
        return heartbeat(self.path)

    @property
    def over(self) -> bool:
        """Whether the try has ended and nothing of it is left to be made."""
        return self.status not in OPEN and not self.ending

    @property
    def stale(self) -> bool:
        """Whether nobody works on this try any more and it is not over: the process is gone, or makes no heartbeat."""
        if self.over:
            return False
        if self.status == WAITING:
            return time.time() > datetime.fromisoformat(self.waiting["next"]).timestamp() + OVERDUE
        if self.ending:
            gone = process.is_gone(**self.ending)
        else:
            began = datetime.fromisoformat(self.started).timestamp()
            gone = process.is_gone(self.host, self.pid, self.process, since=began)
        now = time.time()
        return gone or not now - STALE <= self.last_seen <= now + AHEAD

    @property
    def last_seen(self) -> float:
        """When the try was last known to live, in seconds since 1970."""
        return max(_written(self.path), _written(self.executed))

    def close(self, status: str, error: str | None = None, ended: float | None = None, sha256=None) -> None:
        """State how the try ended, when (seconds since 1970; default: now), and its checksums (default: of the files there)."""
        if sha256 is None:
            sha256 = {file.name: checksum(file.read_bytes()) for file in self.files if file.is_file()}
        self.sha256 = sha256
        self.stated(status, error, ended)
        self.save()

    def save(self) -> None:
        """Write the record as it is now; it has reached the disk afterwards."""
        replace(self.path, self._json(), lasting=True)

    def stated(self, status: str, error: str | None = None, ended: float | None = None) -> str:
        """The file's text with a statement of how the try ended; nothing is saved."""
        self.status, self.error = status, error
        instant = datetime.now(UTC) if ended is None else datetime.fromtimestamp(ended, UTC)
        self.ended = max(iso(instant), self.started)  # the times of an object store are whole seconds
        span = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        self.duration = round(span.total_seconds(), 3)
        return self._json()

    def _json(self) -> str:
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "path"}
        facts = {name: (redact_facts if name == "facts" else redact_values)(value) for name, value in known.items()}
        text = record_file.printable(json.dumps(facts, indent=2, ensure_ascii=False, default=str))
        self.__dict__.update(json.loads(text))  # page and index are made from this object: it holds no secret either
        return text


def is_record(path: Path) -> bool:
    """Whether a file is called as the record of a try: a copy beside it is not."""
    return path.suffix == ".json" and parse_try(path.stem) is not None and not path.name.startswith(".")


def _written(file: Path) -> float:
    """When a file was last written; 0 where there is none."""
    try:
        return file.stat().st_mtime
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.errno not in NO_FILE:
            raise
        return 0.0


def checksum(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
