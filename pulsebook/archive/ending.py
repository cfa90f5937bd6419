"""How a try ends: its notebook finalized, its page made, its record closed. By the runner, or by whoever finds it dead."""

import glob
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from pulsebook.archive import notebook, process, stated
from pulsebook.archive.record import NO_FILE, OPEN, RUNNING, WAITING, Record, RecordError, checksum, is_record
from pulsebook.archive.record_file import LARGEST
from pulsebook.base.draft import NAME
from pulsebook.base.files import change, files, replace
from pulsebook.base.names import RECORDS
from pulsebook.base.redact import WithoutSecrets, redact, redact_notebook
from pulsebook.base.settings import settings
from pulsebook.base.store import Seen
from pulsebook.base.words import say

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())
TRIED = 3  # earlier tries: one that is damaged costs no later one its comparison


def finish(
    record: Record,
    status: str,
    error: str | None = None,
    ended: float | None = None,
    executed: NotebookNode | None = None,
) -> Seen:
    """Close a record with what its notebook states: headline, incidents, facts, and for an error the cell where it stopped.

    The status is stated first; until page, comparison and checksums are there too, the record names the process that makes
    them. Who is killed meanwhile leaves the rest to the next that looks: doing it again changes nothing.

    Args:
        ended: seconds since 1970; default: now.
        executed: the notebook of a try that has just ended, and has no other file yet; default: as it was written last.

    Returns:
        Files of the index that were looked at.
    """
    ended = ended or time.time()
    seen: Seen = {}
    with record.heartbeat():
        content, error = _finalized(record, executed, error)
        record.ending = None if content is None else process.own()
        sums = {} if content is None else {record.executed.name: checksum(content)}
        record.close(status, redact(error) if error else None, ended, sums)
        if content is not None:
            known = _pages(record, content, seen)
            record.ending = None
            record.close(status, record.error, ended, None if executed is None or known is None else sums | known)
    return seen


def _finalized(record: Record, executed: NotebookNode | None, error: str | None) -> tuple[bytes | None, str | None]:
    """Make the notebook's cells honest, write it and take over what it says; returns what the file holds (None: there is
    none), and the error with the place where it stopped."""
    content = None
    try:
        if executed is None:
            content = _content(record.executed)
            if content is None:
                return None, error
        text = content.decode() if executed is None else redact_notebook(nbformat.writes(executed))
        found = nbformat.reads(text, as_version=4)
        notebook.finalize(found)
        made = redact_notebook(nbformat.writes(found)).encode()
        replace(record.executed, made, lasting=True)
        content = made
        record.headline, count = stated.headline(found), stated.incidents(found)
        record.incidents = None if count is None or abs(count) > LARGEST else int(count)
        record.facts = [asdict(fact) for fact in stated.facts_of(found)]
        where = notebook.stopped_at(found) if error else ""
        error = f"{where}: {error}" if where and not error.startswith(f"{where}: ") else error
    except Exception:  # the record must tell how the try ended whatever the notebook looks like
        log.exception("%s cannot be read or written", record.executed)
        content = _content(record.executed) if content is None else content
    return content, error


def _content(file: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    try:
        return file.read_bytes()
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.errno not in NO_FILE:
            raise
        return None


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
            error = say("process {} on {} ended without a word", record.pid, record.host)
        elif status == WAITING:
            error = say(
                "it waited, and nobody has looked again since {}: {}", record.waiting["next"], record.waiting["reason"]
            )
        if status in OPEN:
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


def close_stale_in(folder: Path, found: Iterable[Path] | None = None) -> list[Record]:
    """Close the stale records in the folder of one run; returns these.

    Args:
        found: those files of it that are looked at; default: all.
    """
    found = files(folder, RECORDS) if found is None else found
    closed = [close_stale(path) for path in sorted(found) if is_record(path)]
    return [record for record in closed if record]


def _pages(record: Record, content: bytes, seen: Seen) -> dict[str, str] | None:
    """Page and comparison, made side by side: their checksums, by file name. None: one of them failed, and may lie there."""
    from pulsebook.archive import diff_page, page  # noqa: F401 (nbconvert takes half a second: not for records alone)

    with ThreadPoolExecutor(1) as beside:
        of_page = beside.submit(_page, record, content)
        made = _comparison(record, content, seen)
    made = [of_page.result(), made]
    return None if None in made else {name: digest for part in made for name, digest in part.items()}


def _page(record: Record, content: bytes) -> dict[str, str] | None:
    """The page beside the notebook. A page that cannot be made is reported and does not fail the try."""
    try:
        from pulsebook.archive.page import render

        return _written(record.html, render(record, content))
    except Exception:
        log.exception("no HTML for %s", record.executed)
        return None


def _comparison(record: Record, content: bytes, seen: Seen) -> dict[str, str] | None:
    """A page beside the notebook that compares it with the previous succeeded try, where there is one: some 0.05 s.

    Not after a kill, which leaves a try only seconds. Like the page, it is reported where it fails.
    """
    outputs = settings().outputs
    if record.status == "killed" or not record.path.is_relative_to(outputs):
        return {}
    try:
        from pulsebook.archive import diff, diff_page, lookup

        for path in islice(lookup.earlier(outputs, record, seen), TRIED):
            try:
                compared = diff.compare(Record.load(path), record, content)
            except (RecordError, FileNotFoundError, diff.DiffError) as error:
                log.error("not compared with %s: %s", path, error)
                continue
            page = diff_page.render(compared, diff_page.links(compared.earlier, record))
            return _written(record.compared, page)
        return {}
    except Exception:
        log.exception("no comparison for %s", record.executed)
        return None


def _written(file: Path, page: str) -> dict[str, str]:
    """Write a page; its checksum by its name."""
    content = page.encode()
    replace(file, content, lasting=True)
    return {file.name: checksum(content)}
