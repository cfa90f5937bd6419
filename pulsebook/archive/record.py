"""A run record: one JSON file per try, beside the executed notebook, written by the runner and true at any moment.

{outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}.json   (.ipynb, .html)

While a try runs, the time of its record's file is a heartbeat. A record that says `running` and has none is stale:
`pulsebook.archive.ending` turns it into `killed`.
"""

import hashlib
import json
import logging
import math
import os
import platform
import re
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pulsebook.archive.redact import WithoutSecrets, redact_values
from pulsebook.archive.store import create, replace, touch
from pulsebook.settings import ROOT

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())
BEAT, STALE = 15.0, 120.0  # seconds between heartbeats; without one for so long, a try is over
PACKAGES = ("papermill", "nbclient", "ipykernel", "pandas", "matplotlib", "apache-airflow")


class RecordError(ValueError):
    """A file is no run record."""


@dataclass
class Record:
    """What is known of one try. `status`: running, succeeded, skipped, failed, timed out, kernel died or killed."""

    notebook: str
    parameters: dict
    airflow: dict = field(default_factory=dict)  # dag_id, run_id, task_id, try_number, log_url
    status: str = "running"
    started: str = field(default_factory=lambda: _now())
    ended: str | None = None
    duration: float | None = None  # seconds
    error: str | None = None
    headline: str | None = None  # first line of the notebook's summary
    incidents: int | None = None  # as the notebook says; None: it says nothing
    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    git_commit: str = field(default_factory=lambda: _git()[0])
    git_dirty: bool | None = field(default_factory=lambda: _git()[1])  # whether files differed from the commit
    versions: dict = field(default_factory=lambda: dict(_versions()))
    sha256: dict = field(default_factory=dict)  # of the notebook and its HTML, by file name
    path: Path = field(default=Path(), repr=False)

    @classmethod
    def open(cls, folder: Path, name: str, attempt: int, **known) -> "Record":
        """Start the record of a try. A try that the folder holds already keeps its files: the next number is taken."""
        record = cls(**known)
        while True:
            record.path = folder / f"{name}-try{attempt}.json"
            if not (record.executed.exists() or record.html.exists()) and create(record.path, record._json()):
                return record
            attempt += 1

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record.

        Raises:
            RecordError: the file holds something else.
        """
        return cls.parse(path.read_text(encoding="utf-8"), path)

    @classmethod
    def parse(cls, text: str, path: Path) -> "Record":
        """A record from the text of its file; raises as `load` does."""
        try:
            facts = json.loads(text)
            return cls(path=path, **{f.name: facts[f.name] for f in fields(cls) if f.name in facts})
        except (ValueError, TypeError) as error:
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
        """The page that compares this run with the previous one."""
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

    @contextmanager
    def beating(self):
        """Show signs of life within this context."""
        over = threading.Event()

        def beat():
            while not over.wait(BEAT):
                try:
                    touch(self.path)
                except OSError:  # the next one may reach the store again
                    log.exception("no sign of life from %s", self.path)

        threading.Thread(target=beat, name="heartbeat", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    @property
    def stale(self) -> bool:
        """Whether this try says `running` and does not: its process on this host is gone, or it shows no life."""
        if self.status != "running":
            return False
        return (self.host == platform.node() and not _exists(self.pid)) or self.last_sign < time.time() - STALE

    @property
    def last_sign(self) -> float:
        """When the try was last known to live, in seconds since 1970."""
        signs = [0.0]
        for file in (self.path, self.executed):
            with suppress(FileNotFoundError):
                signs.append(file.stat().st_mtime)
        return max(signs)

    def close(self, status: str, error: str | None = None, ended: float | None = None) -> None:
        """State how the try ended, and when (seconds since 1970; default: now)."""
        self.sha256 = {file.name: checksum(file) for file in self.files if file.exists()}
        self.stated(status, error, ended)
        self.save()

    def save(self) -> None:
        """Write the record as it is now."""
        replace(self.path, self._json())

    def stated(self, status: str, error: str | None = None, ended: float | None = None) -> str:
        """The file's text with a statement of how the try ended; nothing is saved."""
        self.status, self.error = status, error
        told = _now() if ended is None else _iso(datetime.fromtimestamp(ended, UTC))
        self.ended = max(told, self.started)  # the times of an object store are whole seconds
        span = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        self.duration = round(span.total_seconds(), 3)
        return self._json()

    def _json(self) -> str:
        facts = {f.name: redact_values(getattr(self, f.name)) for f in fields(self) if f.name != "path"}
        self.__dict__.update(facts)  # page and index are made from this object: it holds no secret either
        return json.dumps(facts, indent=2, ensure_ascii=False, default=str)


def checksum(file: Path) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def folder_of(outputs: Path, dag_id: str, period: str, run_id: str) -> Path:
    """The folder of a run. Characters that a path or papermill cannot take become `_`."""
    parts = [re.sub(r"[^\w.:+~-]", "_", part).lstrip(".") or "_" for part in (dag_id, period, run_id)]
    return outputs.joinpath(*parts)


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:  # no /proc here
        return False


@cache
def _versions() -> tuple:
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


@cache
def _git() -> tuple[str, bool | None]:
    """The commit of the project and whether files differ from it; `unknown` and None outside a checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+dirty", "--exclude=*"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        return said.removesuffix("+dirty"), said.endswith("+dirty")
    except (OSError, subprocess.SubprocessError):
        return "unknown", None
