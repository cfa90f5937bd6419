"""The page of an executed notebook: how it ended, its summary, a table of contents, then all cells in order.

One file that needs nothing else: no script runs in it and it can fetch nothing (its Content-Security-Policy says so).
"""

import html
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from pulsebook.archive import notebook as facts
from pulsebook.archive.record import Record
from pulsebook.archive.redact import lost_literals

LOST = (
    "<p>A secret in the code was taken out and reads [redacted]: run the notebook from its source, not from here.</p>"
)
WEB = Path(__file__).with_name("web")
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; frame-src data:; "
    "form-action 'none'; base-uri 'none'"
)


def render(record: Record) -> str:
    """The page of a try, from its record and its notebook (both redacted already)."""
    executed = nbformat.reads(record.executed.read_text(encoding="utf-8"), as_version=4)
    cells = [_tagged(cell) for cell in facts.cells(executed)]
    title = cells.pop(0) if cells and cells[0].cell_type == "markdown" else None
    first = {cell.id for cell in facts.summary(executed)}
    name = re.sub(r"^#+\s*", "", title.source.splitlines()[0]) if title and title.source.strip() else record.path.stem
    if title:
        title.source = "\n".join(title.source.splitlines()[1:])
    return page(
        f"{name} · {record.period}",
        f"<header><h1>{html.escape(name)}</h1>\n{outcome(record)}{LOST if lost_literals(executed) else ''}</header>",
        body([c for c in cells if c.id in first], executed, "summary"),
        _contents(cells, first),
        body(([title] if title else []) + [c for c in cells if c.id not in first], executed),
        f"<footer><h2>About this run</h2>{facts_of(record)}</footer>",
    )


def prepare() -> None:
    """Load and compile what the first page takes: half a second that later pages do not need."""
    body([nbformat.v4.new_code_cell("1")], nbformat.v4.new_notebook())
    _highlighting()


def page(title: str, *parts: str) -> str:
    """A whole page around some markup."""
    style = (WEB / "page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{html.escape(title)}</title>
<style>{style}{_highlighting()}</style></head>
<body>
{chr(10).join(part for part in parts if part)}
</body></html>
"""


def body(cells: list[NotebookNode], of: NotebookNode, kind: str = "cells") -> str:
    """The markup of some cells of a notebook."""
    if not cells:
        return ""
    part = nbformat.v4.new_notebook(cells=cells, metadata=of.metadata)
    markup, _ = _exporter().from_notebook_node(part)
    markup = re.sub(r"<(?=meta\b)", "&lt;", markup, flags=re.I)  # an output's own: no policy keeps it from leading away
    return f"<main class={kind}>{markup}</main>"


def facts_of(record: Record) -> str:
    """Parameters and origin of a try, as a list."""
    shown = {
        "run": f"{record.airflow.get('run_id') or record.path.parent.name}, {record.path.stem}",
        "started": f"{record.started[:19].replace('T', ' ')} UTC",
        "parameters": ", ".join(f"{name} = {value!r}" for name, value in record.parameters.items()),
        "notebook": f"{record.notebook} at {record.git_commit[:12]}{' and changes' if record.git_dirty else ''}",
        "on": f"{record.host}; " + ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return f"<dl>{''.join(f'<dt>{n}</dt><dd>{html.escape(text)}</dd>' for n, text in shown.items() if text)}</dl>"


def outcome(record: Record) -> str:
    """How a try ended, as markup."""
    kind = "good" if record.status == "succeeded" else "busy" if record.status in ("running", "skipped") else "bad"
    took = f"in {record.duration:.1f} s" if record.duration is not None else ""
    error = f"<pre class=error>{html.escape(record.error)}</pre>" if record.error else ""
    return (
        f"<p><b class='status {kind}'>{html.escape(record.status)}</b> {html.escape(record.period)} {took}</p>{error}"
    )


def _contents(cells: list[NotebookNode], first: set[str]) -> str:
    """Links to the sections; the one where the run stopped is marked."""
    links, failed = [], [cell.id for cell in cells if facts.has_failed(cell)]
    for cell in cells:
        for level, text in re.findall(r"^(#{1,3}) (.+)$", cell.source, re.M) if cell.cell_type == "markdown" else []:
            up = " ↑" if cell.id in first else ""
            links.append(f"<li class=l{len(level)}><a href='#cell-id={cell.id}'>{html.escape(text)}{up}</a></li>")
        if cell.id in failed:
            links.append(f"<li class=bad><a href='#cell-id={cell.id}'>stopped here</a></li>")
    return f"<nav><ul>{''.join(links)}</ul></nav>" if links else ""


def _tagged(cell: NotebookNode) -> NotebookNode:
    """A copy whose tags the style sheet knows."""
    cell = deepcopy(cell)
    tags = list(cell.metadata.get("tags", []))
    tags += ["never-ran"] if facts.never_ran(cell) else ["stopped"] if facts.has_failed(cell) else []
    cell.metadata["tags"] = tags
    return cell


@cache
def _exporter() -> HTMLExporter:
    return HTMLExporter(template_name="basic", exclude_anchor_links=True, embed_images=True)


@cache
def _highlighting() -> str:
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    return re.sub(r"/\*.*?\*/", "", light)
