"""Cut short at any point, then repaired, the archive equals the undisturbed one: nothing says running, nothing is lost.

A child process is killed before its n-th call that changes a file, for every n.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import nbformat
import pytest

from pulsebook import runner
from pulsebook.archive import diff_page, index, index_files, lookup, page, process, repair, retention, verify
from pulsebook.archive.ending import close_stale_in, finish
from pulsebook.archive.record import STALE, Record
from pulsebook.base import files
from pulsebook.base.settings import settings
from tests.test_archive import FORK, a_notebook
from tests.test_archive_commands import GONE, NOW, a_run
from tests.test_archive_damage import at, counted, seen

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime"}
NAME = "etl/2026-11-20/run-1/step-try"


def killed_at(number: int, outputs: Path, act) -> bool:
    """Whether a child that acts was killed before its n-th change of a file below `outputs`."""

    def child():
        count = 0

        def hook(event, arguments):
            nonlocal count
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (event in CHANGES or writes) and str(outputs) in str(arguments[0]):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        act()
        os._exit(0)

    process_ = FORK.Process(target=child)
    process_.start()
    process_.join(60)
    assert process_.exitcode in (0, -signal.SIGKILL)
    return process_.exitcode != 0


@pytest.fixture
def template(tmp_path, monkeypatch):
    """An archive with a succeeded run, so that there is something to compare with; all that makes pages is loaded."""
    page.prepare()
    outputs = at(tmp_path / "template", monkeypatch)
    before = a_run(outputs, "etl", "2026-11-19", 1)
    before.executed.write_text(nbformat.writes(EXECUTED))
    before.close("succeeded", ended=before.ended_at)
    index.update(outputs, before)
    assert diff_page
    monkeypatch.setattr(verify, "FINAL_AFTER", -1.0)
    monkeypatch.setattr(repair, "ABANDONED", -1.0)
    yield outputs
    settings.cache_clear()


def executed() -> nbformat.NotebookNode:
    """A notebook as papermill leaves it."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("## Summary"), nbformat.v4.new_code_cell("print(7)")]
    )
    made.cells[1].outputs = [nbformat.v4.new_output("stream", text="7 rows\n")]
    made.cells[1].metadata["papermill"] = {"status": "completed", "start_time": "x", "exception": False}
    for number, cell in enumerate(made.cells):
        cell["id"] = str(number)
    return made


EXECUTED = executed()


def a_life(outputs: Path, notebook: Path, patch) -> None:
    """A run as the runner leads it; only papermill and the kernel are left out."""

    def execute(prepared, kernel, notebook, place, **_):
        for _ in range(2):
            files.replace(place, nbformat.writes(EXECUTED))
        prepared.update(executed())

    patch.setattr(runner, "_execute", execute)
    patch.setattr(runner, "_prepare_the_end", lambda: None)
    runner.run(notebook, {}, outputs / "etl" / "2026-11-20" / "run-1", name="step")


def at_rest(outputs: Path) -> dict[str, dict]:
    """The runs of an archive in which nothing is left to do; each agrees with its record, the counts with all."""
    records = {str(p.relative_to(outputs).with_suffix("")): p for p in outputs.glob("[!.]*/*/*/*.json")}
    for path in records.values():
        facts = json.loads(path.read_text())
        assert facts["status"] != "running" and facts["ending"] is None, path
    entries = lookup.entries(outputs)
    assert entries == {name: seen(path) | {"try": int(name[-1]), "task": "step"} for name, path in records.items()}
    overview = index_files.read(outputs / ".index" / "overview.js", {})
    assert overview["running"] == [] and overview["days"] == counted(entries)
    return entries


def whole(outputs: Path, entries: dict) -> None:
    """Nothing is half there: what verify sees, the files of each try, no drafts."""
    assert verify.verify(outputs).findings == []
    for name, run in entries.items():
        kinds = {file.name.partition(".")[2] for file in (outputs / name).parent.glob(f"{Path(name).name}.*")}
        if run["status"] == "succeeded" and "11-20" in name:
            assert kinds == {"json", "ipynb", "html", "diff.html"}, name
            assert (run["headline"], run["compared"]) == ("7 rows", True)
    assert [p.name for p in outputs.rglob(".*")] == [".index"], "no drafts"


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_point_is_closed_by_the_next_try_by_verify_and_by_prune(
    template, tmp_path, monkeypatch
):
    notebook, fates = a_notebook(tmp_path / "step.ipynb", "1"), set()
    for number in range(1, 500):
        outputs = at(shutil.copytree(template, tmp_path / f"{number}" / "outputs"), monkeypatch)
        was_killed = killed_at(number, outputs, lambda outputs=outputs: a_life(outputs, notebook, monkeypatch))
        way = ("verify", "prune", "the next try", "another run")[number % 4]
        if way == "verify":
            assert verify.verify(outputs).findings == [], "a kill damages nothing"
        elif way == "prune":
            retention.prune(outputs, NOW, delete=True)
        elif way == "the next try":
            with monkeypatch.context() as patch:
                a_life(outputs, notebook, patch)
        elif (outputs / ".index" / "overview.js").read_text().count(NAME) or not list(outputs.glob(f"{NAME}*.json")):
            a_run(outputs, "etl", "2026-11-21", 1)  # it finds whatever the index has been told of
        else:
            verify.verify(outputs)
        entries = at_rest(outputs)
        own = [run["status"] for name, run in entries.items() if name.startswith(NAME)]
        fates.update(own[:1])
        if way == "the next try":
            assert own[-1] == "succeeded" and len(own) in (1, 2)
        whole(outputs, entries)
        shutil.rmtree(outputs.parent)
        if not was_killed:
            break
    assert number > 30 and fates == {"succeeded", "killed"} and own == ["succeeded"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["verify", "rebuild", "prune", "the first index"])
def test_a_repair_that_is_killed_at_any_point_is_repaired_by_the_next(what, template, tmp_path, monkeypatch):
    dead = Record.open(template / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={}, pid=GONE)
    files.replace(dead.executed, nbformat.writes(EXECUTED))
    a_run(template, "etl", "2025-09-01", 430)
    if what == "the first index":
        shutil.rmtree(template / ".index")
    acts = {
        "verify": verify.verify, "rebuild": index.rebuild, "the first index": index.update,
        "prune": lambda outputs: retention.prune(outputs, NOW, delete=True),
    }  # fmt: skip
    for number in range(1, 500, 2):
        outputs = at(shutil.copytree(template, tmp_path / f"{number}" / "outputs"), monkeypatch)
        was_killed = killed_at(number, outputs, lambda outputs=outputs: acts[what](outputs))
        for _ in range(2):
            retention.prune(outputs, NOW, delete=True)
        entries = at_rest(outputs)
        assert {name: run["status"] for name, run in entries.items()} == {
            "etl/2026-11-19/run/step-try1": "succeeded", f"{NAME}1": "killed"
        }  # fmt: skip
        assert Record.load(dead.path.parents[3].parent / outputs.relative_to(tmp_path) / f"{NAME}1.json").html.exists()
        whole(outputs, entries)
        shutil.rmtree(outputs.parent)
        if not was_killed:
            break
    assert number > 10


def a_sleeper():
    child = FORK.Process(target=time.sleep, args=(600,))
    child.start()
    return child


def test_a_process_that_got_the_number_of_a_dead_one_keeps_nothing_running(outputs):
    other = a_sleeper()
    try:
        live = Record.open(
            outputs / "etl" / "2026-11-20" / "live", "step", 1, notebook="n", parameters={}, pid=other.pid
        )
        taken = Record.open(
            outputs / "etl" / "2026-11-20" / "new", "step", 1, notebook="n", parameters={}, pid=other.pid
        )
        taken.process = live.process.rpartition(" ")[0] + " 12345"
        taken.save()
        old = Record.open(outputs / "etl" / "2026-11-20" / "old", "step", 1, notebook="n", parameters={}, pid=other.pid)
        old.process, old.started = None, "2026-01-05T10:00:00.000+00:00"  # as the version before wrote it
        old.save()
        recent = Record.open(
            outputs / "etl" / "2026-11-20" / "recent", "step", 1, notebook="n", parameters={}, pid=other.pid
        )
        recent.process = None
        recent.save()
        assert [Record.load(r.path).stale for r in (live, taken, old, recent)] == [False, True, True, False]
        verify.verify(outputs)
        assert [Record.load(r.path).status for r in (live, taken, old)] == ["running", "killed", "killed"]
    finally:
        other.kill()
        other.join()
    assert verify.verify(outputs).running == 0


def test_of_another_machine_container_or_boot_only_the_heartbeat_tells(outputs, monkeypatch):
    here = process.mark(os.getpid())
    assert here and here == process.own()["process"]
    elsewhere = here.replace(here[:8], "00000000")
    assert not process.is_gone(process.own()["host"], GONE, elsewhere) and process.is_gone(
        process.own()["host"], GONE, here
    )
    record = Record.open(outputs / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={}, pid=GONE)
    record.process = elsewhere
    record.save()
    assert not record.stale
    os.utime(record.path, (time.time() - STALE - 5,) * 2)
    assert record.stale
    monkeypatch.setattr(process, "PROC", Path("/nowhere"))
    process._machine.cache_clear()
    try:
        assert process.own()["process"] is None and not process.is_gone(**process.own())
        assert process.is_gone(process.own()["host"], GONE, None)
    finally:
        process._machine.cache_clear()


@pytest.mark.parametrize(
    ("ahead", "stale"), [(60, False), (1800, False), (86400, True), (10**9, True), (-119, False), (-130, True)]
)
def test_a_sign_of_life_from_a_wrong_clock_is_none(ahead, stale, outputs):
    record = Record.open(
        outputs / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={}, host="elsewhere"
    )
    os.utime(record.path, (time.time() + ahead,) * 2)
    assert record.stale is stale
    if stale:
        (closed,) = close_stale_in(record.path.parent)
        assert closed.ended_at <= time.time() + 1 and closed.started <= closed.ended


def test_a_try_whose_page_is_still_being_made_is_left_alone_and_busy(outputs, monkeypatch):
    record = Record.open(outputs / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={})
    files.replace(record.executed, nbformat.writes(EXECUTED))
    seen_meanwhile = []

    def render(record, content):
        index.update(outputs, Record.load(record.path))
        seen_meanwhile.append((lookup.entries(outputs)[f"{NAME}1"]["status"], Record.load(record.path).status))
        assert index_files.read(outputs / ".index" / "overview.js", {})["running"] == [f"{NAME}1"]
        return "<!DOCTYPE html>"

    monkeypatch.setattr(page, "render", render)
    finish(record, "succeeded")
    assert seen_meanwhile == [("running", "succeeded")] and record.over
    index.update(outputs)
    at_rest(outputs)


def test_what_a_record_and_the_index_say_is_on_the_disk_before_it_has_its_name(outputs, monkeypatch):
    calls, fsync, rename, link = [], os.fsync, os.replace, os.link
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(("sync", os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(("name", str(a), str(b))), rename(a, b)))
    monkeypatch.setattr(os, "link", lambda a, b: (calls.append(("name", str(a), str(b))), link(a, b)))
    record = Record.open(outputs / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={})
    files.replace(record.executed, nbformat.writes(EXECUTED))
    unsynced = calls[-1][1]
    finish(record, "succeeded")
    index.update(outputs, record)
    for number, call in enumerate(calls):
        if call[0] == "name" and call[1] != unsynced:
            assert ("sync", call[1]) in calls[:number], call[2]
            lasting = call[2].startswith(str(record.path.parent)) and number > calls.index(
                ("name", unsynced, str(record.executed))
            )
            assert not lasting or calls[number + 1] == ("sync", str(record.path.parent)), call[2]
    assert ("sync", unsynced) not in calls, "a cell does not wait for the disk"
    named = [call[2] for call in calls if call[0] == "name"]
    assert named.index(str(record.html)) < len(named) - 1 - named[::-1].index(str(record.path)), (
        "the record that names them is last"
    )


def test_a_file_system_that_cannot_sync_a_folder_fails_nothing(outputs, monkeypatch):
    fsync = os.fsync

    def refusing(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(22, "Invalid argument")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refusing)
    record = Record.open(outputs / "etl" / "2026-11-20" / "run-1", "step", 1, notebook="n", parameters={})
    record.close("succeeded")
    assert Record.load(record.path).status == "succeeded"
