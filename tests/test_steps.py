"""The lists of docs/analysts.md, followed literally on a copy of the tree."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pulsebook.base.settings import ROOT
from pulsebook.local import sample

STEP = re.compile(
    r"^\d\. (?:In `(?P<file>[^`]+)`, (?P<how>below|in place of) the line that has `(?P<text>[^`]+)`|Run)[^\n]*:\n"
    r"   ```\w*\n(?P<block>.*?)\n   ```$",
    re.M | re.S,
)
PAGE = (ROOT / "docs" / "analysts.md").read_text()
LISTS = dict(re.findall(r"(?ms)^### ([^\n]+)\n\n(1\. .*?)(?=^##)", PAGE))
SHOWN = {  # what its executed notebook, or its last command, then has
    "A metric in a report": "Likes per post: <b>",
    "A slice": "country",
    "A new report": "Views per user: <b>",
    "A query of your own": "at night: {'feed_users': ",
    "An alert": "likes_per_user",
    "Try and compare": "AND views > 0",
    "A wording": "change from the day before · from the same weekday a week ago",
}
BEFORE = {  # what Airflow has done by then
    "Try and compare": """
        pulsebook run etl/extract_feed.ipynb
        pulsebook run etl/extract_messages.ipynb
        pulsebook run etl/merge_users.ipynb
        pulsebook run etl/slice.ipynb -p dimension=os
    """,
}


@pytest.fixture(scope="module")
def app(server):
    """A social app that is alive now."""
    sample.fill(sample.http(server), 31, 300, 1, None, "Europe/Moscow", "steps_source")
    yield
    for database in ("steps_source", "steps_target"):
        sample.http(server)(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture
def tree(tmp_path) -> Path:
    for folder in ("pulsebook", "notebooks", "dags", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def edit(file: Path, how: str, text: str, block: str) -> None:
    """Write lines below the one line that has a text, or in its place; in a notebook, in its cell."""

    def changed(lines: list[str]) -> list[str]:
        (at,) = [number for number, line in enumerate(lines) if text in line][:1]
        return lines[: at + (how == "below")] + block.split("\n") + lines[at + 1 :]

    if file.suffix != ".ipynb":
        file.write_text("\n".join(changed(file.read_text().split("\n"))))
        return
    notebook = json.loads(file.read_text())
    cell = next(cell for cell in notebook["cells"] if text in "".join(cell["source"]) and cell["cell_type"] == "code")
    cell["source"] = "\n".join(changed("".join(cell["source"]).split("\n")))
    file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def test_every_list_is_one_of_steps():
    assert LISTS.keys() == SHOWN.keys()
    for name, steps in LISTS.items():
        assert 1 <= len(re.findall(r"(?m)^\d\. ", steps)) == len(STEP.findall(steps)) <= 5, name


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_who_follows_the_steps_gets_there(name, app, server, tree):
    environment = os.environ | {
        "PYTHONPATH": str(tree), "PULSEBOOK_CLICKHOUSE_URL": server, "PULSEBOOK_SOURCE_DATABASE": "steps_source",
        "PULSEBOOK_TARGET_DATABASE": "steps_target", "PULSEBOOK_OUTPUTS": str(tree / "out"),
    }  # fmt: skip

    def execute(commands: str) -> str:
        for command in filter(None, map(str.strip, commands.split("\n"))):
            words = shlex.split(command)
            assert words[0] == "pulsebook"
            done = subprocess.run(
                [sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True, timeout=200
            )
            assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    if name in BEFORE:
        execute(BEFORE[name])
    edited, said = set(), ""
    while name == "An alert" and 900 - time.time() % 900 < 60:  # the slot that ends in between is collected by nobody
        time.sleep(1)
    for step in STEP.finditer(LISTS[name]):
        block = re.sub("(?m)^   ", "", step["block"])  # it is within a list
        if step["file"]:
            edit(tree / step["file"], step["how"], step["text"], block)
            edited.add(step["file"])
            continue
        said = execute(block)
    assert len(edited) <= 2
    executed = max((tree / "out").rglob("by_hand__*/*.ipynb"), key=lambda path: path.stat().st_mtime)
    assert SHOWN[name] in executed.read_text() or SHOWN[name] in said
