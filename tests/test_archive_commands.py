"""`pulsebook archive`: what it finds wrong, what it removes and what it leaves alone, how it compares."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pulsebook.archive import index, index_files, lookup, retention
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.settings import ROOT, settings
from pulsebook.cli import main

NOW = time.time()
GONE = 2**22 - 1  # no process has this number


def a_run(
    outputs: Path, dag: str, period: str, days_ago: float, status="succeeded", incidents=None, run="run", **known
):
    """A run of one try that ended so many days ago, with its files and in the index."""
    ended = NOW - 86400 * days_ago
    folder = folder_of(outputs, dag, period, run)
    record = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={"place": period}, **known)
    record.started = record.started.replace(record.started[:19], time.strftime("%FT%T", time.gmtime(ended - 5)))
    record.executed.write_text('{"cells": []}')
    record.html.write_text("<!DOCTYPE html>")
    record.incidents = incidents
    if status == "running":
        record.save()
    else:
        record.close(status, None if status == "succeeded" else "ValueError: x", ended)
    index.update(outputs, record)
    return record


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if ".index" not in p.parts}


def test_verify_is_content_with_an_archive_as_it_was_written(outputs, capsys):
    for day in range(1, 4):
        a_run(outputs, "etl", f"2026-11-0{day}", 20 - day)
    a_run(outputs, "etl", "2026-11-05", 0, "running")
    assert main(["archive", "verify"]) == 0
    assert capsys.readouterr().out == "4 runs, 1 of them running; 6 files compared: all as they were written\n"


def test_verify_refuses_a_folder_that_holds_no_run_and_leaves_it_as_it_was(outputs):
    (outputs / "etl").mkdir(parents=True)
    with pytest.raises(SystemExit, match="holds no run; is PULSEBOOK_OUTPUTS right"):
        main(["archive", "verify"])
    assert everything(outputs) == {"etl"}


def test_a_folder_that_cannot_be_written_is_named_in_a_message(outputs, monkeypatch):
    a_run(outputs, "etl", "2026-11-01", 9)
    (outputs / ".index" / "overview.js").unlink()

    def refused(_, file):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(SystemExit, match=rf"the archive at {outputs} cannot be used; .*\n.*Read-only file system"):
        main(["archive", "index"])


def test_two_runs_are_compared_by_their_paths_also_where_there_is_no_archive(outputs, monkeypatch, capsys):
    runs = [a_run(outputs, "etl", f"2026-11-0{day}", 9) for day in (1, 2)]
    for run in runs:
        run.executed.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    monkeypatch.setenv("PULSEBOOK_OUTPUTS", str(outputs / "nowhere"))
    settings.cache_clear()
    assert main(["archive", "diff", *(str(run.path) for run in runs)]) == 0
    assert "the code is the same" in capsys.readouterr().out


def test_verify_names_what_is_missing_altered_without_record_or_not_in_the_index(outputs, capsys):
    altered, missing, bare, broken, edited, unknown, gone, dead = (
        a_run(outputs, "etl", f"2026-11-0{day}", 9, "running" if day == 8 else "succeeded", pid=GONE)
        for day in range(1, 9)
    )
    altered.executed.write_text('{"cells": [1]}')
    missing.html.unlink()
    bare.path.unlink()
    broken.path.write_text("{")
    edited.path.write_text(edited.path.read_text().replace("succeeded", "failed"))
    index.forget(outputs, [unknown.path])
    for file in (gone.executed, gone.html, gone.path):
        file.unlink()
    assert main(["archive", "verify"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert sorted(line.split("  (")[0] for line in said[:-1]) == sorted([
        "altered          etl/2026-11-01/run/step-try1.ipynb",
        "missing          etl/2026-11-02/run/step-try1.html",
        "missing          etl/2026-11-03/run/step-try1.json",
        "no record        etl/2026-11-03/run/step-try1.html",
        "no record        etl/2026-11-03/run/step-try1.ipynb",
        "altered          etl/2026-11-04/run/step-try1.json",
        "altered          etl/2026-11-05/run/step-try1.json",
        "not in the index etl/2026-11-06/run/step-try1.json",
        "missing          etl/2026-11-07/run/step-try1.json",
    ])  # fmt: skip
    assert said[-1].startswith("6 runs, 0 of them running; ") and said[-1].endswith("9 findings")
    assert Record.load(dead.path).status == "killed", "what is dead does not stay running"
    assert main(["archive", "index"]) == 0
    assert "runs in" in capsys.readouterr().out


def test_verify_compares_a_run_that_has_just_ended(outputs, capsys):
    now = (NOW - time.time()) / 86400
    _, altered, missing = (a_run(outputs, "etl", f"2026-11-0{day}", now) for day in range(1, 4))
    altered.executed.write_text('{"cells": [1]}')
    missing.html.unlink()
    assert main(["archive", "verify"]) == 1
    *said, last = capsys.readouterr().out.splitlines()
    assert sorted(line.split("  (")[0] for line in said) == [
        "altered          etl/2026-11-02/run/step-try1.ipynb",
        "missing          etl/2026-11-03/run/step-try1.html",
    ]
    assert last.startswith("3 runs, 0 of them running; 6 files compared")


AGES = [  # dag, period, status, incidents, the last day on which it is kept
    ("alerts", "2026-11-22T10:45:00+03:00", "succeeded", None, 14),
    ("alerts", "2026-11-22T11:00:00+03:00", "succeeded", 0, 14),
    ("alerts", "2026-11-22T11:15:00+03:00", "failed", None, 28),
    ("alerts", "2026-11-22T11:30:00+03:00", "succeeded", 2, 800),
    ("etl", "2026-11-22", "succeeded", None, 400),
    ("etl", "2026-11-23", "timed out", None, 800),
    ("etl", "undated", "succeeded", None, 400),
]


@pytest.mark.parametrize(("dag", "period", "status", "incidents", "days"), AGES)
def test_a_run_is_kept_for_its_days_and_no_longer(dag, period, status, incidents, days, outputs):
    a_run(outputs, dag, period, 0, status, incidents)
    assert retention.expired(outputs, NOW + 86400 * days - 60) == []
    assert [e.folder.parent.name for e in retention.expired(outputs, NOW + 86400 * days + 60)] == [period]


def test_prune_says_what_is_old_removes_it_when_asked_to_and_touches_nothing_else(outputs, capsys):
    slot = "2026-11-22T10:45:00+03:00"
    old = a_run(outputs, "alerts", slot, 20)
    second = a_run(outputs, "alerts", slot, 19)  # another try of it
    second.path.with_suffix(".diff.html").write_text("compared")
    retried = a_run(outputs, "alerts", slot, 20, run="retried")
    a_run(outputs, "alerts", slot, 3, run="retried")  # a run is kept whole
    a_run(outputs, "alerts", slot, 20, "running", run="alive")
    a_run(outputs, "alerts", "2026-11-22T11:00:00+03:00", 20, run="foreign")
    a_run(outputs, "alerts", "2026-11-22T12:00:00+03:00", 20, run="torn").path.write_text("{")
    foreign = [
        "alerts/notes.txt", f"alerts/{slot}/notes.txt", "alerts/2026-11-22T11:00:00+03:00/foreign/step-try1.csv",
        "alerts/2026-11-22T11:00:00+03:00/foreign/other-try1.ipynb", "chat/index.html", "old/a/b/c-try1.txt", "README.md",
        f"alerts/{slot}/lost/step-try1.ipynb",
    ]  # fmt: skip
    for name in foreign:
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        (outputs / name).write_text("mine")
    outside = outputs.parent / "outside-try1.json"
    outside.write_text(old.path.read_text())
    before = everything(outputs.parent)
    assert main(["archive", "prune"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"alerts/{slot}/run",
        "alerts/2026-11-22T11:00:00+03:00/foreign",
        "2 runs with 3 tries to be removed; --delete removes them",
    ]
    assert everything(outputs.parent) == before, "by default nothing is removed"
    assert main(["archive", "prune", "--delete"]) == 0
    assert before - everything(outputs.parent) == {
        *(f"outputs/alerts/{slot}/run/step-try{n}.{kind}" for n in (1, 2) for kind in ("ipynb", "html", "json")),
        f"outputs/alerts/{slot}/run/step-try2.diff.html",
        f"outputs/alerts/{slot}/run",
        *(f"outputs/alerts/2026-11-22T11:00:00+03:00/foreign/step-try1.{kind}" for kind in ("ipynb", "html", "json")),
    }
    assert retried.path.exists() and all((outputs / name).read_text() == "mine" for name in foreign)
    assert f"alerts/{slot}/run/step-try1" not in lookup.entries(outputs)
    capsys.readouterr()
    assert main(["archive", "prune", "--delete"]) == 0 and "nothing is old enough" in capsys.readouterr().out


def test_the_folders_of_a_removed_run_go_too_and_the_index_has_no_empty_day(outputs):
    a_run(outputs, "etl", "2026-01-05", 401)
    assert main(["archive", "prune", "--delete"]) == 0
    assert everything(outputs) == {"etl", "index.html"}
    assert index_files.read(outputs / ".index" / "overview.js", {})["days"] == {}


def test_an_index_that_names_a_way_out_of_the_archive_removes_nothing(outputs):
    record = a_run(outputs, "alerts", "2026-11-22T10:45:00+03:00", 20)
    victim = outputs.parent / "a" / "b" / "c" / "step-try1.json"
    victim.parent.mkdir(parents=True)
    victim.write_text(record.path.read_text())
    file = outputs / ".index" / "days" / "2026-11-22.js"
    own = record.path.relative_to(outputs).with_suffix("").as_posix()
    file.write_text(file.read_text().replace(own, "../a/b/c/step-try1"))
    retention.prune(outputs, NOW, delete=True)
    assert victim.exists() and record.path.exists()


def test_the_command_works_from_any_folder_and_says_what_it_expects(outputs, tmp_path):
    a_run(outputs, "etl", "2026-11-01", 9)

    def pulsebook(*words):
        environment = {**os.environ}
        return subprocess.run(
            [sys.executable, "-m", "pulsebook", *words], env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    assert pulsebook("archive", "verify").returncode == 0
    asked = pulsebook("archive")
    assert asked.returncode == 2 and "verify|diff|prune|index" in asked.stderr


def test_the_daily_dag_prunes_and_the_trigger_form_can_hold_it_back(outputs):
    from airflow.dag_processing.dagbag import DagBag

    a_run(outputs, "etl", "2026-01-05", 401)
    prune = DagBag(ROOT / "dags").dags["archive_prune"].get_task("prune").python_callable
    assert prune({"delete": False}) == 1 and lookup.entries(outputs)
    assert prune({"delete": True}) == 1 and not lookup.entries(outputs)
    assert not list(outputs.glob("etl/*"))
