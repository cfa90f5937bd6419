"""`pulsebook new report|step NAME`: a notebook in the house skeleton, the DAG that runs it, and its row in the README's table.

It runs at once: what it shows are metrics of the catalogue, for you to change.
"""

import json
import re
from datetime import time
from pathlib import Path
from string import Template

from pulsebook.base.settings import ROOT, settings
from pulsebook.catalogue import METRICS, SOURCES, Count

TEMPLATES = Path(__file__).with_name("templates")
FOLDERS = {"report": "reports", "step": "etl"}  # below notebooks/
WRITES = {"report": "a message with a chart", "step": "`{}`: one row per value of `source`"}
SHOWN = 3  # metrics that a new notebook begins with


def add_to(commands) -> None:
    """Add the command `new` to a parser's commands."""
    new = commands.add_parser("new", help="a notebook with its DAG, to begin with", description=__doc__)
    kinds = new.add_subparsers(required=True, metavar="report|step")
    for kind, at in (("report", "11:00"), ("step", "04:00")):
        one = kinds.add_parser(kind, help=f"a daily {kind}")
        one.add_argument("name", help="of its DAG, notebook and task: small letters, digits and _")
        one.add_argument(
            "--at", default=at, metavar="HH:MM", help=f"when it runs, in the business zone (default: {at})"
        )
        one.add_argument("--source", choices=list(SOURCES), default="feed", help="what it reads (default: feed)")
        one.set_defaults(run=_new, kind=kind, refuse=one.error)


def _new(arguments) -> int:
    name, kind = arguments.name, arguments.kind
    notebook, dag = settings().notebooks / FOLDERS[kind] / f"{name}.ipynb", ROOT / "dags" / f"{name}.py"
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", name):
        arguments.refuse(f"NAME must be small letters, digits and _ such as churn, got {name!r}")
    if not _is_time(arguments.at):
        arguments.refuse(f"--at must be a time of day such as 10:30, got {arguments.at!r}")
    if there := [path for path in (notebook, dag) if path.exists()]:
        arguments.refuse(f"{there[0]} exists already: choose another name")
    counts = [m.name for m in METRICS.values() if isinstance(m, Count) and m.source == arguments.source]
    words = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "plain": name.replace("_", " "),
        "at": arguments.at,
        "deadline": _deadline(arguments.at),
        "source": arguments.source,
        "table": SOURCES[arguments.source].table,
        "notebook": f"{FOLDERS[kind]}/{name}.ipynb",
        "shown": ", ".join(f'"{count}"' for count in counts[:SHOWN]),
    }
    escaped = {word: text.replace('"', '\\"') for word, text in words.items()}  # within JSON
    template = (TEMPLATES / f"{kind}.notebook").read_text()
    row = _with_row(kind, words, template)
    notebook.parent.mkdir(parents=True, exist_ok=True)
    notebook.write_text(Template(template).substitute(escaped))
    dag.write_text(Template((TEMPLATES / f"{kind}.dag").read_text()).substitute(words))
    for path in (notebook, dag):
        print(f"made     {path}")
    if row:
        (ROOT / "README.md").write_text(row)
        print(f"changed  {ROOT / 'README.md'}: its row in the table of notebooks")
    print(
        f"next: change what it shows, then\n    pulsebook check {words['notebook']}\n    pulsebook run {words['notebook']}"
    )
    return 0


def _is_time(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d\d:\d\d", text)) and time.fromisoformat(text) is not None
    except ValueError:
        return False


def _deadline(at: str) -> str:
    """Until when it waits for its source: noon, as our own, or an hour where it runs later.

    >>> _deadline("04:00"), _deadline("11:30"), _deadline("23:30")
    ('12:00', '12:30', '23:59:59')
    """
    hour = int(at[:2]) + 1
    return max("12:00", f"{hour:02}{at[2:]}" if hour < 24 else "23:59:59")


def _with_row(kind: str, words: dict[str, str], template: str) -> str:
    """The README with a row for the notebook, after the last one of its folder; empty where there is no such table."""
    from pulsebook.parameters.cell import read_cell  # reads code with IPython: not where another command is run

    try:
        lines = (ROOT / "README.md").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return ""
    own = [at for at, line in enumerate(lines) if line.startswith(f"| `{FOLDERS[kind]}/")]
    if not own:
        return ""
    cells = json.loads(template)["cells"]
    names = ", ".join(read_cell("".join(cells[1]["source"])))
    writes = WRITES[kind].format(words["name"])
    lines.insert(own[-1] + 1, f"| `{words['notebook']}` | {names} | `{words['table']}` | {writes} |\n")
    return "".join(lines)
