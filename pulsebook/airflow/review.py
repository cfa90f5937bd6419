"""Executed notebooks as pages of Airflow's API server, for whom Airflow lets see the DAG's tasks.

    /pulsebook/{dag_id}/{run_id}/{task_id}?try_number=2            without a number: the newest try
    /pulsebook/{dag_id}/{run_id}/{task_id}/compare?try_number=2    beside the previous succeeded run of the step, or beside
                                                                   the one that `with` names: {period}/{run}/{task}-try{n}

Each is a line of ours above a frame. What a notebook produced is data: it is served (at …/page) into a sandbox, where it
can reach neither the session nor the API. Links stand in our part: a request that a sandboxed page makes carries no session.
"""

import html
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse

from pulsebook.archive import diff, index
from pulsebook.archive.record import Record, folder_of
from pulsebook.settings import settings

OFFERED = 8  # earlier runs to choose from
STYLE = """
html, body { height: 100%; margin: 0 } body { display: flex; flex-direction: column; background: #fff; color: #222 }
nav { padding: 8px 16px; background: #eef2f5; font: 14px system-ui, sans-serif } nav span { margin-left: 1em }
nav a { color: #0b5cad } iframe { flex: 1; border: 0; width: 100% }
"""
SANDBOX = {
    "Content-Security-Policy": "sandbox allow-popups; default-src 'unsafe-inline' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
FRAME = SANDBOX | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
}
STEP = "/{dag_id}/{run_id}/{task_id}"
GUARD = {
    "dependencies": [Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))],
    "response_class": HTMLResponse,
}
Number = Annotated[int | None, Query(ge=1)]
Other = Annotated[str, Query(alias="with", max_length=600)]
app = FastAPI(title="Pulsebook notebooks", docs_url=None, redoc_url=None, openapi_url=None)


@app.get(STEP, **GUARD)
def notebook(dag_id: str, run_id: str, task_id: str, try_number: Number = None):
    """A try, under a line that names status, duration and the other tries."""
    shown, tries = _try(dag_id, run_id, task_id, try_number)
    step, record = quote(task_id, safe=""), Record.load(tries[shown])
    links = [(f"try {n}", "" if n == shown else f"{step}?try_number={n}") for n in sorted(tries)]
    if record.executed.exists() and index.previous(settings().outputs, record):
        links.append(("compare", f"{step}/compare?try_number={shown}"))
    return _framed(f"{step}/page?try_number={shown}", _outcome(record), links)


@app.get(f"{STEP}/page", **GUARD)
def page(dag_id: str, run_id: str, task_id: str, try_number: Number = None):
    """The page of a try; what is saved so far where it is still running."""
    shown, tries = _try(dag_id, run_id, task_id, try_number)
    record = Record.load(tries[shown])
    if record.html.exists():
        content = record.html.read_text("utf-8")
    elif record.executed.exists():  # it is running: what it has saved so far
        from pulsebook.archive.page import render  # nbconvert takes a second: only when it is needed

        content = render(record)
    else:
        content = "<!doctype html><title>not yet</title><body><p>The notebook has not saved anything yet.</p></body>"
    return HTMLResponse(content, headers=SANDBOX)


@app.get(f"{STEP}/compare", **GUARD)
def compare(dag_id: str, run_id: str, task_id: str, try_number: Number = None, other: Other = ""):
    """Two runs of a step side by side, under a line that offers other ones."""
    earlier, later, shown = _two(dag_id, run_id, task_id, try_number, other)
    step = quote(task_id, safe="")
    links = [("back", f"../{step}?try_number={shown}")]
    for path in islice(index.earlier(settings().outputs, later), OFFERED):
        name = "/".join(path.with_suffix("").parts[-3:])
        chosen = path == earlier.path
        links.append((path.parts[-3], "" if chosen else f"compare?try_number={shown}&with={quote(name, safe='')}"))
    query = f"try_number={shown}&with={quote('/'.join(earlier.path.with_suffix('').parts[-3:]), safe='')}"
    return _framed(f"compare/page?{query}", f"{later.period} compared with {earlier.period}", links)


@app.get(f"{STEP}/compare/page", **GUARD)
def compare_page(dag_id: str, run_id: str, task_id: str, try_number: Number = None, other: Other = ""):
    """The comparison itself."""
    from pulsebook.archive.diff_page import render

    earlier, later, _ = _two(dag_id, run_id, task_id, try_number, other)
    try:
        return HTMLResponse(render(diff.compare(earlier, later)), headers=SANDBOX)
    except diff.DiffError as error:
        raise HTTPException(404, str(error)) from None


def _try(dag_id: str, run_id: str, task_id: str, number: int | None) -> tuple[int, dict[int, Path]]:
    """The try that is asked for, and the records of all of them."""
    tries = _tries(dag_id, run_id, task_id)
    number = number or max(tries, default=0)
    if number not in tries:
        raise HTTPException(404, f"no executed notebook of {task_id}, try {number or 1}, in {dag_id} {run_id}")
    return number, tries


def _two(dag_id: str, run_id: str, task_id: str, number: int | None, other: str) -> tuple[Record, Record, int]:
    """An earlier run and the one that is asked for, of the same DAG: who may see one may see the other."""
    shown, tries = _try(dag_id, run_id, task_id, number)
    later = Record.load(tries[shown])
    try:
        if not other:
            return diff.previous(settings().outputs, later), later, shown
        period, run, name = other.split("/")
        folder = folder_of(settings().outputs, dag_id, period, run)
        return Record.load(folder / f"{folder_of(folder, dag_id, period, name).name}.json"), later, shown
    except (ValueError, FileNotFoundError) as error:  # DiffError and RecordError among them
        raise HTTPException(404, f"nothing to compare with: {error}") from None


def _tries(dag_id: str, run_id: str, task_id: str) -> dict[int, Path]:
    """Run records of a task's tries, by number. Names become one part of a path each: no way out of the archive."""
    outputs = settings().outputs
    run = folder_of(outputs, dag_id, "period", run_id)
    task = folder_of(outputs, "dag", "period", task_id).name
    found = {}
    for record in index.tries(outputs, run, task):
        number = record.stem.removeprefix(f"{task}-try")
        if number.isdigit():
            found[int(number)] = record
    return found


def _framed(content: str, line: str, links: list[tuple[str, str]]) -> HTMLResponse:
    """Our part of a page: a line with links (bold: what is shown), and the frame."""
    offered = " · ".join(
        f'<a href="{html.escape(to)}">{html.escape(word)}</a>' if to else f"<b>{html.escape(word)}</b>"
        for word, to in links
    )
    return HTMLResponse(
        f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pulsebook</title><style>{STYLE}</style></head>
<body><nav>{offered} <span>{html.escape(line)}</span></nav>
<iframe sandbox="allow-popups" src="{html.escape(content)}" title="executed notebook"></iframe></body></html>
""",
        headers=FRAME,
    )


def _outcome(record: Record) -> str:
    took = f", {record.duration:.1f} s" if record.duration is not None else ""
    error = f" — {record.error.splitlines()[0]}" if record.error else ""
    return f"{record.status}{took}{error}"
