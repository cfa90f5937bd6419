"""docs/operators.md: its commands are executed as they stand there, its triage knows every message."""

import ast
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
import pytest

from pulsebook import chat, runner
from pulsebook.base.settings import ROOT
from pulsebook.incidents import Incident
from pulsebook.incidents.store import Store
from pulsebook.present.summary import facts
from tests.etl import STEPS, quick
from tests.world import raw_rows

PAGE = (ROOT / "docs" / "operators.md").read_text()
DAY = date(2026, 11, 20)


# -- back up and restore


def commands(heading: str) -> str:
    """The block of commands below a bold heading."""
    return re.search(rf"(?s)^\*\*{heading}\*\*.*?```sh\n(.*?)```", PAGE, re.M)[1]


@pytest.fixture
def shell(configured, server, databases, tmp_path):
    """Runs commands as an operator does, in an empty folder."""
    environment = os.environ | {
        "PULSEBOOK_CLICKHOUSE_URL": server, "PULSEBOOK_TARGET_DATABASE": databases[1],
        "PULSEBOOK_OUTPUTS": str(tmp_path / "outputs"), "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }  # fmt: skip

    def run(block: str) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_what_was_backed_up_is_restored(shell, execute, databases, configured, tmp_path):
    key, text = chat.key(DAY, by_hand="feed_report"), "DAU: <b>18,321</b>"
    chat.post(key, text, told=facts(DAY, {"dau": 18321}))
    incident = Incident("anomaly-1795341600", "anomaly", 1795341600, 1795341600, {"views": -0.6, "ctr": 0.21})
    Store().save(1795341600, [incident])
    Store().close(1795341600)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), tmp_path / "sum.ipynb")
    runner.run(tmp_path / "sum.ipynb", {}, tmp_path / "outputs" / "sums" / str(DAY) / "by_hand")

    def stored() -> list:
        rows = [
            execute(f"SELECT * FROM {databases[1]}.{table} ORDER BY {order}")
            for table, order in (("chat_messages", "at, status"), ("incidents", "at, status"), ("reported", "told_at"))
        ]
        files = {p.relative_to(tmp_path): p.read_bytes() for p in (tmp_path / "outputs").rglob("*") if p.is_file()}
        return [*rows, files]

    before = stored()
    assert all(before) and {path.suffix for path in before[-1]} >= {".ipynb", ".html", ".json"}
    done = shell("set -e\n" + commands("Back up"))
    assert done.returncode == 0, done.stderr
    assert stored() == before, "a back-up changes nothing"

    execute(f"DROP DATABASE {databases[1]}")
    shutil.rmtree(tmp_path / "outputs")
    done = shell("set -e\n" + commands("Restore"))
    assert done.returncode == 0 and "all as they were written" in done.stdout, (done.stdout, done.stderr)
    assert stored() == before
    assert chat.post(key, text).sent_now == 0, "the ledger knows what was sent"
    assert Store().open_before(1795342500) == [incident] and Store().last_checked(1795342500) == 1795341600

    done = shell(commands("Restore"))
    assert stored()[:2] == before[:2], f"a second time adds no row: {done.stderr}"


# -- two installations


def test_two_installations_on_one_server_do_not_disturb_each_other(fill, configured, execute, databases, tmp_path):
    """Each step of one comes between two steps of the other, which loads another day of the same source."""
    fill(*raw_rows(DAY, ZoneInfo("Europe/Moscow")))
    alone = f"{databases[1]}_alone"
    configured(target_database=alone)
    quick(DAY)
    names = {name: f"{databases[1]}_{name}" for name in ("live", "trial")}
    days = {"live": DAY, "trial": date.fromordinal(DAY.toordinal() - 1)}
    sent = {}

    def rows(database: str, table: str) -> str:
        return execute(f"SELECT * FROM {database}.{table} ORDER BY event_date, dimension, dimension_value")

    try:
        for step in STEPS:
            for name in names:
                configured(target_database=names[name], outputs=tmp_path / name)
                allowed = {"allow_unfinished": True} if step[0].startswith("extract") else {}
                quick(days[name], [(step[0], step[1] | allowed)])
        for name in names:
            configured(target_database=names[name], outputs=tmp_path / name)
            sent[name] = chat.post(chat.key(DAY, by_hand="feed_report"), f"from {name}").sent_now
        assert rows(names["live"], "metrics_by_dimension") == rows(alone, "metrics_by_dimension") != ""
        loaded = execute(f"SELECT DISTINCT event_date FROM {names['trial']}.metrics_by_dimension").split()
        assert loaded == [str(days["trial"])]
        assert sent == {"live": 1, "trial": 1}, "each has a ledger of its own"
        for name, other in (("live", "trial"), ("trial", "live")):
            page = (tmp_path / name / "chat" / "index.html").read_text()
            assert f"from {name}" in page and f"from {other}" not in page
    finally:
        for database in (alone, *names.values()):
            execute(f"DROP DATABASE IF EXISTS {database}")


# -- triage


def literal(node: ast.AST) -> str:
    """The fixed parts of a text in code, what varies as an ellipsis; empty: it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(value) if isinstance(value, ast.Constant) else "…" for value in node.values)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
        return literal(node.args[0]).replace("{}", "…")
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):  # of both languages: the English
        return literal(node.value.values[0])
    if isinstance(node, ast.BinOp):
        return f"{literal(node.left)}…{literal(node.right)}"
    return ""


def trees(pattern: str) -> list[tuple[str, ast.AST]]:
    """The code of modules or notebooks."""
    found = []
    for path in sorted(ROOT.glob(pattern)):
        if path.suffix == ".py":
            found.append((path.name, ast.parse(path.read_text())))
            continue
        cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        found.append((path.name, ast.parse("\n".join(cells))))
    return found


TRIAGE = PAGE[PAGE.index("## Triage") : PAGE.index("## Measured")]


def quoted(row: str) -> list[str]:
    """The messages in a row of a table: all that its first column quotes, elsewhere sentences that are no command."""
    first, *others = row.replace("`make up` or `make down`", "…").split(" | ")
    elsewhere = [text for text in re.findall(r"`([^`]+)`", " ".join(others)) if text.count(" ") > 2]
    return re.findall(r"`([^`]+)`", first) + [text for text in elsewhere if not text.startswith("pulsebook ")]


ROWS = [row for row in TRIAGE.splitlines() if row.startswith("| ") and not row.startswith("| one sees")]
QUOTED = {text for row in ROWS for text in quoted(row)}


def pieces(text: str) -> list[str]:
    return [piece.strip(" .,:;") for piece in text.split("…") if len(piece.strip(" .,:;")) > 2]


def test_each_text_of_the_triage_is_in_the_code():
    code = [*trees("pulsebook/**/*.py"), *trees("notebooks/**/*.ipynb")]
    texts = {literal(node) for _, tree in code for node in ast.walk(tree)} - {""}
    assert len(QUOTED) > 80
    for text in QUOTED:
        for piece in pieces(text):
            assert any(piece in known for known in texts), (
                f"no message of the code says {piece!r}: correct docs/operators.md"
            )


MET_BY_OPERATORS = (
    "notebooks/**/*.ipynb", "pulsebook/runner.py", "pulsebook/chat/*.py", "pulsebook/execution/*.py",
    "pulsebook/parameters/__init__.py", "pulsebook/airflow/given.py", "pulsebook/archive/diff.py", "pulsebook/archive/record.py",
    "pulsebook/base/settings.py", "pulsebook/base/periods.py", "pulsebook/base/quiet_hours.py", "pulsebook/base/files.py",
    "pulsebook/warehouse/client.py", "pulsebook/warehouse/http.py", "pulsebook/warehouse/tables.py",
    "pulsebook/warehouse/partitions.py", "pulsebook/cli/archive.py", "pulsebook/cli/trial/*.py",
)  # fmt: skip


def is_class(call: ast.Call) -> bool:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))[:1].isupper()


def test_each_error_that_operators_may_meet_is_in_the_triage():
    known = [found for text in QUOTED if len("".join(found := pieces(text))) > 7]
    missing = set()
    for pattern in MET_BY_OPERATORS:
        for name, tree in trees(pattern):
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Raise)
                    and isinstance(node.exc, ast.Call)
                    and node.exc.args
                    and is_class(node.exc)
                ):
                    text = literal(node.exc.args[0])
                    if (
                        pieces(text)
                        and text[0] != ";"
                        and not any(all(piece in text for piece in found) for found in known)
                    ):
                        missing.add(f"{name}: {text[:100]}")
    assert not missing, "say in docs/operators.md what it means and what to do:\n" + "\n".join(sorted(missing))


def test_each_state_finding_and_check_is_in_the_triage():
    texts = [literal(node) for _, tree in trees("pulsebook/archive/*.py") for node in ast.walk(tree)]
    states = {"waiting", "running", "succeeded", "skipped", "failed", "timed out", "kernel died", "killed"}
    findings = {"missing", "altered", "no record", "not in the index"}
    assert findings <= {*texts}
    checks = {
        literal(node.args[0]).split("…")[0].strip()
        for _, tree in trees("pulsebook/cli/doctor/*.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Check"
    } - {""}
    assert len(checks) > 15
    for text in states | findings | checks:
        assert f"`{text}" in TRIAGE, text
