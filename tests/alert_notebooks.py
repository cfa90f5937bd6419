"""The alert notebooks in this process, and what they leave behind."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import requests

from pulsebook.base.settings import ROOT, settings

ZONE = ZoneInfo("Europe/Moscow")


def code(notebook: str, **parameters) -> str:
    cells = [c for c in nbformat.read(ROOT / f"notebooks/alerts/{notebook}.ipynb", 4).cells if c.cell_type == "code"]
    parameters = {"post_as": "alerts"} | parameters if "post" in parameters else parameters
    given = [f"{name} = {value!r}" for name, value in parameters.items()]
    return "\n".join([cells[0].source, *given, *(c.source for c in cells[1:])])


def run(notebook: str, **parameters) -> dict:
    """The cells of a notebook in this process; returns their variables."""
    variables = {}
    exec(compile(code(notebook, **parameters), notebook, "exec"), variables)
    return variables


def slots(first: str, count: int) -> list[str]:
    start = datetime.fromisoformat(first)
    return [(start + timedelta(minutes=15 * n)).isoformat(timespec="minutes") for n in range(count)]


def epoch(slot: str) -> int:
    return int(datetime.fromisoformat(slot).replace(tzinfo=ZONE).timestamp())


def on_the_page() -> list[dict]:
    log = settings().outputs / "chat" / "messages.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def rows_of(server: str, sql: str) -> pd.DataFrame:
    answer = requests.post(server, data=f"{sql} FORMAT JSONEachRow", timeout=60)
    assert answer.ok, answer.text
    return pd.DataFrame([json.loads(line) for line in answer.text.splitlines()])


def remove(execute, table: str, where: str) -> None:
    """Take rows out of a table, at once on every version."""
    execute(f"CREATE TABLE {table}_rest AS {table}")
    execute(f"INSERT INTO {table}_rest SELECT * FROM {table} WHERE NOT ({where})")
    execute(f"DROP TABLE {table}")
    execute(f"RENAME TABLE {table}_rest TO {table}")
