"""Executed notebooks as pages of Airflow's API server, for whom Airflow lets see the DAG's tasks.

    /pulsebook/{dag_id}/{run_id}/{task_id}?try_number=2     without a number: the newest try

The notebook's own HTML is data that a notebook produced: it is served into a sandbox, where it can reach neither the
session nor the API.
"""

import html
import json
from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse

from pulsebook.archive import index
from pulsebook.archive.record import Record, folder_of
from pulsebook.settings import settings

SANDBOX = {
    "Content-Security-Policy": "sandbox allow-popups; default-src 'unsafe-inline' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
app = FastAPI(title="Pulsebook notebooks", docs_url=None, redoc_url=None, openapi_url=None)


@app.get(
    "/{dag_id}/{run_id}/{task_id}",
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))],
    response_class=HTMLResponse,
)
def notebook(dag_id: str, run_id: str, task_id: str, try_number: Annotated[int | None, Query(ge=1)] = None):
    """The page of a try; what is saved so far where it is still running."""
    tries = _tries(dag_id, run_id, task_id)
    number = try_number or max(tries, default=0)
    if number not in tries:
        raise HTTPException(404, f"no executed notebook of {task_id}, try {number or 1}, in {dag_id} {run_id}")
    record = tries[number]
    page, executed = record.with_suffix(".html"), record.with_suffix(".ipynb")
    if page.exists():
        content = page.read_text("utf-8")
    elif executed.exists():  # it is running: what it has saved so far
        from pulsebook.archive.page import render  # nbconvert takes a second: only when it is needed

        content = render(Record.load(record))
    else:
        content = "<!doctype html><title>not yet</title><body><p>The notebook has not saved anything yet.</p></body>"
    return HTMLResponse(_with_banner(content, record, tries, number), headers=SANDBOX)


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


def _with_banner(page: str, record: Path, tries: dict[int, Path], shown: int) -> str:
    """The page under a line that names status, duration and the other tries."""
    facts = json.loads(record.read_text("utf-8") or "{}")
    others = " · ".join(
        f"<b>try {n}</b>" if n == shown else f'<a href="?try_number={n}">try {n}</a>' for n in sorted(tries)
    )
    error = f" — {html.escape(facts['error'])}" if facts.get("error") else ""
    line = (
        f'<div style="font: 14px system-ui, sans-serif; padding: 8px 16px; background: #eef2f5; color: #222">{others} · '
        f"{html.escape(facts.get('status', 'unknown'))}, {facts.get('duration') or 0:.1f} s{error}</div>"
    )
    head, body, rest = page.partition("<body")
    opening, mark, content = rest.partition(">")
    return f"{head}{body}{opening}{mark}{line}{content}" if body else line + page
