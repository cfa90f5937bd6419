"""The page of an executed notebook: how it ended, its summary, a table of contents, then all cells in order.

One file that needs nothing else: no script runs in it and it can fetch nothing (its Content-Security-Policy says so).
"""

import html
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlencode

import nbformat
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from pulsebook.archive import notebook as facts
from pulsebook.archive.cells import markup
from pulsebook.archive.document import DocumentError, normalized, read, text
from pulsebook.archive.index_files import is_day
from pulsebook.archive.record import Record
from pulsebook.archive.surroundings import Surroundings, note, shortened
from pulsebook.base.redact import lost_literals
from pulsebook.base.settings import ROOT, settings
from pulsebook.base.words import number, say

LOST = "A secret in the code was taken out and reads [redacted]: run the notebook from its source, not from here."
WEB = Path(__file__).with_name("web")
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; base-uri 'none'"
)
KINDS = {"succeeded": "good"} | dict.fromkeys(("running", "waiting", "skipped"), "busy")  # else: bad
INDEX, CHAT = "../../../index.html", "../../../chat/index.html"  # as seen from a try's folder
STYLES = ("xcode", "lightbulb")
TITLE, LINKS, FACT, ERROR = 300, 500, 4_000, 100_000  # characters of a title; links; characters of a fact, of an error


def render(record: Record, content: bytes | None = None) -> str:
    """The page of a try, from its record and its notebook (both redacted already), of whose file the content may be given.
    Whatever they hold, there is a page."""
    try:
        executed = read(record.executed, content)
    except DocumentError as why:
        header = f"<h1>{_escaped(record.path.stem)}</h1>\n{outcome(record)}{_ways(record)}"
        said = note(say("The cells are not shown: {}.", why))
        return page(f"{record.path.stem} · {record.period}", header, said, footer=_about(record))
    cells = [_tagged(cell) for cell in facts.cells(executed)]
    first = {cell.id for cell in facts.summary(executed)}
    name = record.path.stem
    if cells and cells[0].cell_type == "markdown" and re.match(r"#+\s*\S", cells[0].source):
        heading, _, cells[0].source = cells[0].source.partition("\n")
        name = heading.lstrip("#").strip()[:TITLE]
    around = Surroundings(folder=_folder(record))
    lost = f"<p>{say(LOST)}</p>" if lost_literals(executed) else ""
    return page(
        f"{name} · {record.period}",
        f"<h1>{_escaped(name)}</h1>\n{outcome(record)}{lost}{_ways(record)}",
        _section([cell for cell in cells if cell.id in first], executed, "summary", around),
        _contents(cells, first),
        _section([cell for cell in cells if cell.id not in first], executed, "cells", around),
        footer=_about(record),
    )


def prepare() -> None:
    """Load and compile what the first page takes: half a second that later pages do not need."""
    new = nbformat.v4
    colours = [new.new_output("stream", text="\x1b[31m1\x1b[0m")]
    body([new.new_code_cell("1", outputs=colours), new.new_markdown_cell("# 1")], new.new_notebook())
    _highlighting()


def body(cells: list[NotebookNode], of: NotebookNode, kind: str = "cells") -> str:
    """The markup of some cells of a notebook."""
    return _section(normalized({"cells": cells}).cells, of, kind, Surroundings())


def _section(cells: list[NotebookNode], of: NotebookNode, kind: str, around: Surroundings) -> str:
    if not cells:
        return ""
    info = of.metadata.get("language_info")
    named = (info.get("pygments_lexer") or info.get("name")) if isinstance(info, dict) else None
    language = named if isinstance(named, str) else "ipython3"
    return f"<section class={kind}>{''.join(markup(cell, language, around) for cell in cells)}</section>"


def _folder(record: Record) -> Path | None:
    """Where the notebook lies as its author wrote it; None where that is not here."""
    notebook = ROOT / text(record.notebook)
    return notebook.parent if notebook.suffix == ".ipynb" and notebook.parent.is_dir() else None


def page(title: str, header: str, *parts: str, footer: str) -> str:
    """A whole page around some markup: its header, the parts of what it is about, its footer."""
    style = (WEB / "page.css").read_text(encoding="utf-8")
    style = re.sub(r'content: "(.+?)"', lambda found: f'content: "{say(found[1])}"', style)
    return f"""<!DOCTYPE html>
<html lang="{settings().language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{_escaped(title)}</title>
<style>{style}{_highlighting()}</style></head>
<body>
<header>{header}</header>
<main>
{chr(10).join(part for part in parts if part)}
</main>
<footer>{footer}</footer>
</body></html>
"""


def facts_of(record: Record) -> str:
    """Parameters and origin of a try, as a list."""
    airflow, given, versions = (
        value if isinstance(value, dict) else {} for value in (record.airflow, record.parameters, record.versions)
    )
    source = "{} at {} and changes" if record.git_dirty else "{} at {}"
    at = started(record)
    shown = {
        "run": f"{airflow.get('run_id') or record.path.parent.name}, {record.path.stem}",
        "started": f"{at:%Y-%m-%d %H:%M:%S}, {settings().timezone}" if at else "",
        "parameters": ", ".join(f"{name} = {value!r}" for name, value in given.items()),
        "notebook": say(source, text(record.notebook), text(record.git_commit)[:12]),
        "on": f"{text(record.host)}; " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    rows = (f"<dt>{say(name)}</dt><dd>{_escaped(shortened(fact, FACT))}</dd>" for name, fact in shown.items() if fact)
    return f"<dl>{''.join(rows)}</dl>"


def outcome(record: Record) -> str:
    """How a try ended, as markup."""
    kind = KINDS.get(record.status, "bad")
    took = say("in {} s", number(f"{record.duration:.1f}")) if isinstance(record.duration, int | float) else ""
    error = f"<pre class=error>{_escaped(shortened(text(record.error), ERROR))}</pre>" if record.error else ""
    return f"<p><b class='status {kind}'>{_escaped(say(text(record.status)))}</b> {_escaped(record.period)} {took}</p>{error}"


def _has_posted(page: str) -> bool:
    """Whether the chat page's log names this page as that of a message's notebook."""
    try:
        log = (settings().outputs / "chat" / "messages.jsonl").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return f'"notebook": {json.dumps(page, ensure_ascii=False)}' in log


def _about(record: Record) -> str:
    return f"<h2>{say('About this run')}</h2>{facts_of(record)}"


def started(record: Record) -> datetime | None:
    """When a try began, in the business time zone; None where its record does not say."""
    try:
        return datetime.fromisoformat(record.started).astimezone(settings().timezone)
    except (TypeError, ValueError, OverflowError):
        return None


def try_of(record: Record) -> str:
    """What tells a try from others of its task and period: its run, its number, when it started."""
    at = started(record)
    count = record.path.stem.rpartition("-try")[2]
    of_run = f"{record.path.parent.name}, {say('try {}', count)}"
    return f"{of_run}, {say('started {}', f'{at:%Y-%m-%d %H:%M:%S}')}" if at else of_run


def _ways(record: Record) -> str:
    """Links to what belongs to a try. What may not be there yet, the index looks up when it is asked for."""
    *folders, name = record.path.with_suffix("").parts[-4:]
    day = record.period[:10] if is_day(record.period[:10]) else text(record.started)[:10]
    run, this = "/".join(folders), {"day": day, "run": "/".join((*folders, name))}
    ways = {
        "index": {"day": day},
        "tasks of this run": {"day": day, "text": f"{run}/"},
        "previous period": {**this, "go": "previous"},
        "next period": {**this, "go": "next"},
        "comparison": {**this, "go": "comparison"},
    }
    links = [f'<a href="{INDEX}#{html.escape(urlencode(to, safe="/"))}">{say(word)}</a>' for word, to in ways.items()]
    own = f"{this['run']}.html"
    if _has_posted(own):
        links.append(f'<a href="{CHAT}#{html.escape(quote(own))}">{say("message")}</a>')
    return f'<nav class=ways aria-label="{say("archive")}">{" ".join(links)}</nav>'


def _contents(cells: list[NotebookNode], first: set[str]) -> str:
    """Links to the sections; the one where the run stopped is marked."""
    links, failed = [], {cell.id for cell in cells if facts.has_failed(cell)}
    for cell in cells:
        to = html.escape(f"#cell-id={cell.id}")
        heads = re.findall(r"^(#{1,3}) (.{1,300})", cell.source, re.M) if cell.cell_type == "markdown" else []
        for level, said in heads:
            up = " ↑" if cell.id in first else ""
            links.append(f"<li class=l{len(level)}><a href='{to}'>{_escaped(said)}{up}</a></li>")
        if cell.id in failed:
            links.append(f"<li class=bad><a href='{to}'>{say('stopped here')}</a></li>")
    if len(links) > LINKS:
        stopped = [link for link in links[LINKS:] if "class=bad" in link]
        links = [*links[:LINKS], f"<li>{say('… {} more', len(links) - LINKS)}</li>", *stopped[:LINKS]]
    return f"<nav aria-label='{say('contents')}'><ul>{''.join(links)}</ul></nav>" if links else ""


def _tagged(cell: NotebookNode) -> NotebookNode:
    """The cell with tags that the style sheet knows; it is this page's own."""
    if facts.never_ran(cell):
        cell.metadata["tags"].append("never-ran")
    elif facts.has_failed(cell):
        cell.metadata["tags"].append("stopped")
    return cell


def _escaped(given) -> str:
    return html.escape(text(given))


@cache
def _highlighting() -> str:
    """The colours of code, on a light and on a dark ground: those of pygments' styles that everybody can read there."""
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in STYLES)
    return re.sub(r"/\*.*?\*/", "", f"{light} @media screen and (prefers-color-scheme: dark) {{ {dark} }}")
