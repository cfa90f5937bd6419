"""A run record: one JSON file per try, beside the executed notebook, written by the runner and true at any moment.

{outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}.json   (.ipynb, .html)
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pulsebook.archive.redact import redact
from pulsebook.settings import ROOT


@dataclass
class Record:
    """What is known of one try. `status`: running, succeeded, failed, timed out, kernel died or killed."""

    notebook: str
    parameters: dict
    airflow: dict = field(default_factory=dict)  # dag_id, run_id, task_id, try_number, log_url
    status: str = "running"
    started: str = field(default_factory=lambda: _now())
    ended: str | None = None
    duration: float | None = None  # seconds
    error: str | None = None
    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    git_commit: str = field(default_factory=lambda: _git_commit())
    sha256: dict = field(default_factory=dict)  # of the notebook and its HTML, by file name
    path: Path = field(default=Path(), repr=False)

    @classmethod
    def open(cls, folder: Path, name: str, attempt: int, **known) -> "Record":
        """Start the record of a try. A try that the folder holds already keeps its files: the next number is taken."""
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"{name}-try{attempt}.json"
            try:
                path.touch(exist_ok=False)
                break
            except FileExistsError:
                attempt += 1
        record = cls(path=path, **known)
        record.save()
        return record

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.path.with_suffix(".ipynb")

    @property
    def html(self) -> Path:
        return self.path.with_suffix(".html")

    def close(self, status: str, error: str | None = None) -> None:
        """State how the try ended."""
        self.status, self.error, self.ended = status, error, _now()
        span = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        self.duration = round(span.total_seconds(), 3)
        self.sha256 = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in (self.executed, self.html)
            if file.exists()
        }
        self.save()

    def save(self) -> None:
        facts = asdict(self)
        del facts["path"]
        write_atomically(self.path, json.dumps(facts, indent=2, ensure_ascii=False, default=str))


def write_atomically(path: Path, text: str) -> None:
    """Write a redacted text: readers see the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.write_text(redact(text), encoding="utf-8")
    os.replace(temporary, path)


def folder_of(outputs: Path, dag_id: str, period: str, run_id: str) -> Path:
    """The folder of a run. Characters that a path or papermill cannot take become `_`."""
    parts = [re.sub(r"[^\w.:+~-]", "_", part).lstrip(".") or "_" for part in (dag_id, period, run_id)]
    return outputs.joinpath(*parts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@cache
def _git_commit() -> str:
    """The commit of the project, with `+dirty` where files differ from it; `unknown` outside a checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+dirty", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
