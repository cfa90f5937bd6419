"""How a try ends: its notebook finalized, its page made, its record closed. By the runner, or by whoever finds it dead."""

import glob
import logging
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import nbformat

from pulsebook.archive import notebook, process, stated
from pulsebook.archive.record import RUNNING, Record, RecordError, is_record
from pulsebook.archive.record_file import LARGEST
from pulsebook.base.draft import NAME
from pulsebook.base.files import change, replace
from pulsebook.base.names import RECORDS
from pulsebook.base.redact import WithoutSecrets, redact, redact_notebook
from pulsebook.base.settings import settings

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())
TRIED = 3  # earlier tries: one that is damaged costs no later one its comparison


def finish(record: Record, status: str, error: str | None = None, ended: float | None = None) -> None:
    """Close a record with what its notebook states: headline, incidents, facts, and for an error the cell where it stopped.

    The status is stated first; until page, comparison and checksums are there too, the record names the process that makes
    them. Who is killed meanwhile leaves the rest to the next that looks: doing it again changes nothing.

    Args:
        ended: seconds since 1970; default: now.
    """
    ended = ended or time.time()
    with record.heartbeat():
        has_notebook = record.executed.is_file()
        if has_notebook:
            error = _finalize_notebook(record, error)
        record.ending = process.own() if has_notebook else None
        record.close(status, redact(error) if error else None, ended)
        if has_notebook:
            _page(record)
            _comparison(record)
            record.ending = None
            record.close(status, record.error, ended)


def _finalize_notebook(record: Record, error: str | None) -> str | None:
    """Make the notebook's cells honest and take over what it says; returns the error with the place where it stopped."""
    try:
        executed = nbformat.reads(record.executed.read_text(encoding="utf-8"), as_version=4)
        notebook.finalize(executed)
        replace(record.executed, redact_notebook(nbformat.writes(executed)), lasting=True)
        record.headline, count = stated.headline(executed), stated.incidents(executed)
        record.incidents = None if count is None or abs(count) > LARGEST else int(count)
        record.facts = [asdict(fact) for fact in stated.facts_of(executed)]
        where = notebook.stopped_at(executed) if error else ""
        return f"{where}: {error}" if where and not error.startswith(f"{where}: ") else error
    except Exception:  # the record must tell how the try ended whatever the notebook looks like
        log.exception("%s cannot be read", record.executed)
        return error


def close_stale(path: Path) -> Record | None:
    """Close one stale record: what says `running` was `killed`, and what was cut off in its end is brought to its end.

    Returns the record, or None if there was nothing to close.
    """
    claimed = None

    def claim(text: str | None) -> str | None:  # of several that find it dead one states so, and makes the rest
        nonlocal claimed
        record = Record.parse(text, path) if text else None
        claimed = record if record and record.stale else None
        if not claimed:
            return text
        status, error, ended = record.status, record.error, record.ended_at
        if status == RUNNING:
            error = f"process {record.pid} on {record.host} ended without a word"
            status, ended = "killed", min(record.last_seen, time.time())
        record.ending = process.own()
        return record.stated(status, error, ended)

    try:
        if Record.load(path).stale:
            change(path, claim)
    except (RecordError, FileNotFoundError) as error:
        log.error("%s", error)
        return None
    if claimed:
        for draft in path.parent.glob(f".{glob.escape(path.stem)}.*"):
            if NAME.fullmatch(draft.name):
                draft.unlink(missing_ok=True)
        finish(claimed, claimed.status, claimed.error, claimed.ended_at)
        log.warning("%s: %s", claimed.status, claimed.executed)
    return claimed


def close_stale_in(folder: Path) -> list[Record]:
    """Close the stale records in the folder of one run; returns these."""
    closed = [close_stale(path) for path in sorted(folder.glob(RECORDS)) if is_record(path)]
    return [record for record in closed if record]


def _page(record: Record) -> None:
    """The page beside the notebook. A page that cannot be made is reported and does not fail the try."""
    try:
        from pulsebook.archive.page import render  # nbconvert takes half a second: not for records alone

        replace(record.html, render(record), lasting=True)
    except Exception:
        log.exception("no HTML for %s", record.executed)


def _comparison(record: Record) -> None:
    """A page beside the notebook that compares it with the previous succeeded try, where there is one: some 0.05 s.

    Not after a kill, which leaves a try only seconds. Like the page, it is reported where it fails.
    """
    outputs = settings().outputs
    if record.status == "killed" or not record.path.is_relative_to(outputs):
        return
    try:
        from pulsebook.archive import diff, diff_page, lookup

        for path in islice(lookup.earlier(outputs, record), TRIED):
            try:
                compared = diff.compare(Record.load(path), record)
            except (RecordError, FileNotFoundError, diff.DiffError) as error:
                log.error("not compared with %s: %s", path, error)
                continue
            page = diff_page.render(compared, diff_page.links(compared.earlier, record))
            replace(record.compared, page, lasting=True)
            return
    except Exception:
        log.exception("no comparison for %s", record.executed)
