"""`pulsebook new`: what it makes runs at once, is right, and needs no second look from the linters."""

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pulsebook.base.names import folder_of
from pulsebook.base.settings import ROOT, settings
from pulsebook.chat import page
from pulsebook.cli import main
from pulsebook.cli.checks import check
from pulsebook.runner import run
from tests.world import local, raw_rows

DAY, ZONE = date(2026, 11, 20), ZoneInfo("Europe/Moscow")
BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path, monkeypatch, configured):
    """A copy of what analysts have: notebooks, DAGs, README."""
    copy = tmp_path / "home"
    for folder in ("notebooks", "dags"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, copy)
    monkeypatch.setattr("pulsebook.cli.new.ROOT", copy)
    configured(notebooks=copy / "notebooks")
    return copy


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def executed(home: Path, notebook: str, **parameters):
    """Execute it as the task of its DAG would."""
    path = home / "notebooks" / notebook
    folder = folder_of(settings().outputs, path.stem, str(DAY), "run")
    attempt = len([*folder.glob("*.json")]) + 1
    return run(path, {"run_date": str(DAY), "quiet_hours": 24.0, **parameters}, folder, attempt=attempt)


@pytest.mark.slow
def test_what_is_new_passes_the_linters_and_its_dag_is_known(home, capsys):
    before, made = files(home), {"README.md"}
    for kind, folder in (("report", "reports"), ("step", "etl")):
        for source in ("feed", "messages"):
            name = f"{kind}_of_{source}"
            assert main(["new", kind, name, "--at", "10:30", "--source", source]) == 0
            made |= {f"notebooks/{folder}/{name}.ipynb", f"dags/{name}.py"}
            assert capsys.readouterr().out.count(str(home)) == 3
    assert {name for name, content in files(home).items() if before.get(name) != content} == made
    notebooks = [name for name in made if name.endswith(".ipynb")]
    for command in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("nbstripout", "--verify", *notebooks)):
        said = subprocess.run([BIN / command[0], *command[1:]], cwd=home, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
    assert not [str(finding) for finding in check(home / "notebooks", home / "dags") if not finding.hint]
    readme = (home / "README.md").read_text()
    rows = {f"| `{name.removeprefix('notebooks/')}` | run_date, " for name in notebooks}
    assert all(readme.count(row) == 1 for row in rows)
    program = (
        "from airflow.dag_processing.dagbag import DagBag; bag = DagBag('dags'); print(bag.import_errors); "
        "tasks = [(dag, task) for dag in bag.dags.values() if '_of_' in dag.dag_id for task in dag.tasks]; "
        "[print(d.dag_id, t.task_id, d.timetable.summary, *t.gate.waits_for, t.gate.deadline) for d, t in tasks]"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=home, capture_output=True, text=True).stdout.splitlines()
    names = sorted(Path(name).stem for name in notebooks)
    assert "{}" in said and sorted(line for line in said if "_of_" in line) == [
        f"{n} {n} 30 10 * * * {n.rpartition('_')[2]} 12:00:00" for n in names
    ]


@pytest.mark.slow
def test_a_new_report_counts_draws_and_is_posted_once(home, fill):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    assert main(["new", "report", "churn"]) == 0
    for _ in range(2):
        executed(home, "reports/churn.ipynb", post=True)
    (message,) = page.read(settings().outputs / "chat")
    own = feed[(local(feed, ZONE).dt.date == DAY) & feed["action"].isin(["view", "like"])]
    assert f"<b>{own['user_id'].nunique():,}</b>" in message["text"] and "<b>Churn · " in message["text"]
    assert len(message["photos"]) == 1


@pytest.mark.slow
def test_a_new_step_fills_its_table_and_replaces_its_day(home, fill, execute, databases):
    feed, messages = raw_rows(DAY, ZONE)
    for frame in (feed, messages):
        frame["source"] = np.array(["ads", "organic", ""])[frame["user_id"] % 3]
    fill(feed, messages)
    assert main(["new", "step", "came_from", "--source", "messages"]) == 0
    for _ in range(2):
        executed(home, "etl/came_from.ipynb")
    own = messages[local(messages, ZONE).dt.date == DAY]
    found = execute(f"SELECT came_from, messages_sent FROM {databases[1]}.came_from ORDER BY came_from")
    sent = own.groupby(own["source"].replace("", "unknown")).size()
    assert found == "".join(f"{name}\t{number}\n" for name, number in sorted(sent.items()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "feed_report"), "feed_report.ipynb exists already"),
        (("step", "etl"), "etl.py exists already"),
        (("report", "Churn"), "NAME must be small letters"),
        (("report", "../x"), "NAME must be small letters"),
        (("report", "churn", "--at", "25:00"), "--at must be a time of day"),
        (("report", "churn", "--at", "9:00"), "--at must be a time of day"),
        (("report", "churn", "--source", "posts"), "invalid choice: 'posts'"),
    ],
)
def test_what_cannot_be_made_changes_nothing(home, words, said, capsys):
    before = files(home)
    with pytest.raises(SystemExit):
        main(["new", *words])
    assert said in capsys.readouterr().err
    assert files(home) == before
