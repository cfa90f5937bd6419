"""How a try ends: its notebook settled, its page made, its record closed. By the runner, or by whoever finds it dead."""

import logging
import time
from datetime import datetime
from pathlib import Path

import nbformat

from pulsebook.archive import notebook as facts
from pulsebook.archive.record import Record, RecordError
from pulsebook.archive.redact import WithoutSecrets, redact, redact_notebook
from pulsebook.archive.store import change, replace
from pulsebook.settings import settings

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())


def finish(record: Record, status: str, error: str | None = None, ended: float | None = None) -> None:
    """Close a record with what its notebook says: headline, incidents, and for an error the cell where it stopped.

    Args:
        ended: seconds since 1970; default: now.
    """
    ended = ended or time.time()
    if record.executed.exists():
        try:
            executed = nbformat.reads(record.executed.read_text(encoding="utf-8"), as_version=4)
            facts.settle(executed)
            replace(record.executed, redact_notebook(nbformat.writes(executed)))
            record.headline, record.incidents = facts.headline(executed), facts.incidents(executed)
            if error and (where := facts.stopped_at(executed)):
                error = f"{where}: {error}"
        except Exception:  # the record must tell how the try ended whatever the notebook looks like
            log.exception("%s cannot be read", record.executed)
    record.close(status, redact(error) if error else None, ended)
    _page(record)
    _comparison(record)
    if record.html.exists():
        record.close(status, record.error, ended)


def mend(path: Path) -> Record | None:
    """Turn one stale `running` record into `killed`; returns it, or None if there was nothing to mend."""
    claimed = None

    def claim(text: str | None) -> str | None:  # of several that find it dead one states so, and makes the rest
        nonlocal claimed
        record = Record.parse(text, path) if text else None
        claimed = record if record and record.stale else None
        if not claimed:
            return text
        error = f"process {record.pid} on {record.host} ended without a word"
        return record.stated("killed", error, record.last_sign)

    try:
        if Record.load(path).stale:
            change(path, claim)
    except (RecordError, FileNotFoundError) as error:
        log.error("%s", error)
        return None
    if claimed:
        for draft in path.parent.glob(f".{path.stem}.*"):
            draft.unlink(missing_ok=True)
        finish(claimed, "killed", claimed.error, datetime.fromisoformat(claimed.ended).timestamp())
        log.warning("killed: %s", claimed.executed)
    return claimed


def mend_folder(folder: Path) -> list[Record]:
    """Mend what is stale in the folder of one run; returns what was mended."""
    return [mended for path in sorted(folder.glob("*-try*.json")) if (mended := mend(path))]


def _page(record: Record) -> None:
    """The page beside the notebook. A page that cannot be made is reported and does not fail the run."""
    if not record.executed.exists():
        return
    try:
        from pulsebook.archive.page import render  # nbconvert takes half a second: not for records alone

        replace(record.html, render(record))
    except Exception:
        log.exception("no HTML for %s", record.executed)


def _comparison(record: Record) -> None:
    """A page beside the notebook that compares it with the previous succeeded run, where there is one: some 0.05 s.

    Not after a kill, which leaves a try only seconds. Like the page, it is reported where it fails.
    """
    outputs = settings().outputs
    if not record.executed.exists() or record.status == "killed" or not record.path.is_relative_to(outputs):
        return
    try:
        from pulsebook.archive import diff, diff_page, index

        if path := index.previous(outputs, record):
            other = Record.load(path)
            replace(record.compared, diff_page.render(diff.compare(other, record), diff_page.links(other, record)))
    except Exception:
        log.exception("no comparison for %s", record.executed)
