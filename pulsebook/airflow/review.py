"""Executed notebooks as pages of Airflow's API server, for whom Airflow lets see the DAG's tasks.

    /pulsebook/{dag_id}/{run_id}/{task_id}?try_number=2            without a number: the newest try
    /pulsebook/{dag_id}/{run_id}/{task_id}?map_index=3             of a mapped task; without an index: the first one
    /pulsebook/{dag_id}/{run_id}/{task_id}/compare?try_number=2    beside the previous succeeded run of the step, or beside
                                                                   the one that `with` names: {period}/{run}/{task}-try{n}

Each is a line of ours above a frame. What a notebook produced is data: it is served (at …/page) into a sandbox, where it
can reach neither the session nor the API. Links stand in our part: a request that a sandboxed page makes carries no session.
"""

import html
import re
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Query
from fastapi.responses import HTMLResponse

from pulsebook.airflow.tries import InWords, compared, tried
from pulsebook.archive import diff, lookup
from pulsebook.archive.record import Record
from pulsebook.base.settings import settings
from pulsebook.base.words import number, say

WAYS = re.compile(r"<nav class=ways.*?</nav>")  # links of a page to files beside it, which are not served here
OFFERED = 8  # earlier runs to choose from
STYLE = """
:root { color-scheme: light dark } html, body { height: 100%; margin: 0 }
body { display: flex; flex-direction: column; background: light-dark(#fff, #12171e); color: light-dark(#222, #e4e9ef) }
nav { padding: 8px 16px; background: light-dark(#eef2f5, #1b222b); font: 14px system-ui, sans-serif }
nav span { margin-left: 1em } nav a { color: light-dark(#0b5cad, #7db8f5) } iframe { flex: 1; border: 0; width: 100% }
:focus-visible { outline: 2px solid; outline-offset: 1px } @media print { :root { color-scheme: light } }
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
Number = Annotated[int | None, Query(ge=1, le=10**9)]
MapIndex = Annotated[
    str, Query(max_length=20)
]  # Airflow's pages leave {MAP_INDEX} as it is for a task that is not mapped
Other = Annotated[str, Query(alias="with", max_length=600)]
app = FastAPI(title="Pulsebook notebooks", docs_url=None, redoc_url=None, openapi_url=None)
app.router.route_class = InWords


@app.get(STEP, **GUARD)
def notebook(dag_id: str, run_id: str, task_id: str, try_number: Number = None, map_index: MapIndex = ""):
    """A try, under a line that names status, duration and the other tries."""
    shown = tried(dag_id, run_id, task_id, map_index, try_number)
    step, record = quote(task_id, safe=""), shown.record
    links = [(f"[{n}]", "" if n == shown.map_index else f"{step}?map_index={n}") for n in shown.near_indexes]
    links += [(say("try {}", n), "" if n == shown.number else f"{step}?{shown.query(n)}") for n in shown.numbers]
    if record.executed.exists() and lookup.previous(settings().outputs, record):
        links.append((say("compare"), f"{step}/compare?{shown.query()}"))
    return _framed(f"{step}/page?{shown.query()}", _outcome(record), links)


@app.get(f"{STEP}/page", **GUARD)
def page(dag_id: str, run_id: str, task_id: str, try_number: Number = None, map_index: MapIndex = ""):
    """The page of a try; what is saved so far where it is still running."""
    record = tried(dag_id, run_id, task_id, map_index, try_number).record
    if record.html.exists():
        content = WAYS.sub("", record.html.read_text("utf-8", errors="replace"), count=1)
    elif record.executed.exists():  # it is running: what it has saved so far
        from pulsebook.archive.page import render  # nbconvert takes a second: only when it is needed

        content = WAYS.sub("", render(record), count=1)
    elif record.error or record.waiting:
        why = html.escape(record.error or record.waiting["reason"])
        content = f"<!doctype html><title>{say('no notebook')}</title><body><pre>{why}</pre></body>"
    else:
        content = f"<!doctype html><title>{say('not yet')}</title><body><p>{say('The notebook has not saved anything yet.')}</p></body>"
    return HTMLResponse(content, headers=SANDBOX)


@app.get(f"{STEP}/compare", **GUARD)
def compare(
    dag_id: str, run_id: str, task_id: str, try_number: Number = None, map_index: MapIndex = "", other: Other = ""
):
    """Two runs of a step side by side, under a line that offers other ones."""
    shown = tried(dag_id, run_id, task_id, map_index, try_number)
    earlier, later, step = compared(shown, other), shown.record, quote(task_id, safe="")
    links = [(say("back"), f"../{step}?{shown.query()}")]
    for path in islice(lookup.earlier(settings().outputs, later), OFFERED):
        chosen = path == earlier.path
        to = f"compare?{shown.query()}&with={quote(_name(path), safe='')}"
        of_period = path.parts[-3]
        alike = of_period == later.period  # of one period: the run and the try tell them apart
        links.append((f"{of_period}, {path.parts[-2]}, {path.stem}" if alike else of_period, "" if chosen else to))
    content = f"compare/page?{shown.query()}&with={quote(_name(earlier.path), safe='')}"
    with_run = f", {earlier.path.parent.name}, {earlier.path.stem}" if earlier.period == later.period else ""
    return _framed(content, say("{} compared with {}", later.period, f"{earlier.period}{with_run}"), links)


@app.get(f"{STEP}/compare/page", **GUARD)
def compare_page(
    dag_id: str, run_id: str, task_id: str, try_number: Number = None, map_index: MapIndex = "", other: Other = ""
):
    """The comparison itself."""
    from pulsebook.archive.diff_page import render

    shown = tried(dag_id, run_id, task_id, map_index, try_number)
    return HTMLResponse(render(diff.compare(compared(shown, other), shown.record)), headers=SANDBOX)


def _name(path: Path) -> str:
    return "/".join(path.with_suffix("").parts[-3:])


def _framed(content: str, line: str, links: list[tuple[str, str]]) -> HTMLResponse:
    """Our part of a page: a line with links (bold: what is shown), and the frame."""
    offered = " · ".join(
        f'<a href="{html.escape(to)}">{html.escape(word)}</a>' if to else f"<b>{html.escape(word)}</b>"
        for word, to in links
    )
    return HTMLResponse(
        f"""<!DOCTYPE html>
<html lang="{settings().language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pulsebook</title><style>{STYLE}</style></head>
<body><nav>{offered} <span>{html.escape(line)}</span></nav>
<iframe sandbox="allow-popups" src="{html.escape(content)}" title="{say("executed notebook")}"></iframe></body></html>
""",
        headers=FRAME,
    )


def _outcome(record: Record) -> str:
    took = "" if record.duration is None else f", {say('{} s', number(f'{record.duration:.1f}'))}"
    error = f" — {record.error.splitlines()[0]}" if record.error else ""
    return f"{say(record.status)}{took}{error}"
