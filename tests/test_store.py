"""The archive in an object store: the same files, the same truth, nothing lost and nothing overwritten."""

import json
import os
import re
import signal
import time
from collections import Counter
from types import SimpleNamespace

import nbformat
import pytest
import requests
from s3fs import S3FileSystem

from pulsebook import runner
from pulsebook.archive import heartbeat, index, index_entries, index_files, lookup, verify
from pulsebook.archive.ending import close_stale_in, finish
from pulsebook.archive.record import STALE, Record, checksum
from pulsebook.base import bucket as bucket_files
from pulsebook.base import files
from pulsebook.base.settings import Settings, SettingsError, place, settings
from pulsebook.base.store import StoreError
from pulsebook.cli import main
from pulsebook.execution import archive_io
from tests.object_store import KEY, SECRET, object_store, objects
from tests.services import until
from tests.test_archive import FORK, WAITING, a_notebook, agree, lives, shows_running, statuses
from tests.test_archive_commands import a_run

PREFIX = "teams/growth"  # of the archive within the bucket


REQUESTED: list[str] = []  # by whatever runs here: method and path of each request


@pytest.fixture(scope="module")
def bucket():
    with object_store(requested=REQUESTED) as variables:
        yield variables


@pytest.fixture
def outputs(bucket, monkeypatch, request):
    """The archive's place in the bucket, one for each test."""
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PULSEBOOK_OUTPUTS", f"s3://pulsebook/{PREFIX}/{abs(hash(request.node.name))}")
    settings.cache_clear()
    yield settings().outputs
    settings.cache_clear()


@pytest.fixture
def folder(outputs):
    """The folder of a run."""
    return outputs / "etl" / "2026-11-20" / "manual__2026-11-21T03:00:00+00:00"


@pytest.fixture(params=["a folder", "an object store"])
def somewhere(request, tmp_path):
    """A place in either kind of store."""
    return tmp_path / "x" if request.param == "a folder" else request.getfixturevalue("outputs") / "x"


def held(bucket, outputs) -> dict[str, bytes]:
    """What lies below `outputs`, seen by another client."""
    start = f"{outputs.path.removeprefix('pulsebook/')}/"
    return {key.removeprefix(start): data for key, data in objects(bucket, start).items()}


def test_a_notebook_leaves_record_notebook_page_and_index_in_the_store(folder, outputs, bucket, tmp_path):
    leaking = "import os\nprint(os.environ['AWS_SECRET_ACCESS_KEY'], os.environ['PULSEBOOK_EXECUTED_AS'])"
    notebook = a_notebook(tmp_path / "step.ipynb", "## Load", leaking, "## Summary", "print('7 rows')")
    record = runner.run(notebook, {"place": SECRET}, folder, attempt=2)
    assert str(record.executed) == f"{folder}/step-try2.ipynb" and agree(record, outputs)
    name = folder.relative_to(outputs).as_posix()
    found = held(bucket, outputs)
    assert set(found) == {
        f"{name}/step-try2.json", f"{name}/step-try2.ipynb", f"{name}/step-try2.html",
        "index.html", ".index/overview.js", ".index/days/2026-11-20.js",
    }  # fmt: skip
    facts = json.loads(found[f"{name}/step-try2.json"])
    assert (facts["status"], facts["headline"]) == ("succeeded", "7 rows")
    assert f"[redacted] {name}/step-try2.html" in found[f"{name}/step-try2.ipynb"].decode()
    assert not [key for key, data in found.items() if SECRET.encode() in data]


BEGINS = (  # what a try asks of the store: what its folder holds, its record, the index
    "GET pulsebook", "PUT step-try1.json",
    "GET overview.js", "PUT overview.js", "GET day.js", "PUT day.js", "PUT overview.js", "GET index.html",
)  # fmt: skip
ENDS = (
    "PUT step-try1.ipynb", "PUT step-try1.json", "GET messages.jsonl", "PUT step-try1.html",
    "GET overview.js", "GET day.js", "PUT step-try1.json", "PUT day.js", "PUT overview.js",
)  # fmt: skip
COMPARED = ("GET day.js", "GET step-try1.json", "GET step-try1.ipynb", "PUT step-try1.diff.html")  # with the day before


def test_a_notebook_of_14_cells_takes_few_requests(outputs, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_io, "EVERY", 600.0)  # no machine is too slow to count on
    monkeypatch.setattr(heartbeat, "BEAT", 600.0)
    notebook = a_notebook(tmp_path / "step.ipynb", *(f"print({n})" for n in range(12)))
    assert len(nbformat.read(notebook, 4).cells) == 14
    a_run(outputs, "app_report", "2026-11-19", 1)  # the archive has an index
    before = Record.open(outputs / "etl" / "2026-11-20" / "run-1", "other", 1, notebook="n.ipynb", parameters={})
    before.close("succeeded")  # another task of the run
    for day, expected in (("2026-11-20", BEGINS + ENDS), ("2026-11-21", BEGINS + ENDS + COMPARED)):
        REQUESTED.clear()
        record = runner.run(notebook, {"place": "x"}, outputs / "etl" / day / "run-1")
        names = [request.split(" ")[0] + " " + request.rpartition("/")[2] for request in REQUESTED]
        assert Counter(re.sub(r"2026-11-\d\d\.js", "day.js", name) for name in names) == Counter(expected)
        assert record.status == "succeeded" and (record.compared.name in record.sha256) == (len(expected) > 20)
    assert len(BEGINS + ENDS) <= 20


@pytest.mark.parametrize("when", ["before the day is written", "before it is counted"])
def test_what_was_seen_before_somebody_else_wrote_is_looked_at_again(when, folder, outputs, monkeypatch):
    own = Record.open(folder, "own", 1, notebook="n.ipynb", parameters={})
    index.update(outputs, own)
    other = Record.open(folder, "other", 1, notebook="n.ipynb", parameters={})
    seen, set_day = {}, index.set_day
    assert list(lookup.earlier(outputs, own, seen)) == [] and len(seen) == 2

    def interrupted(*arguments, **how):
        monkeypatch.setattr(index, "set_day", set_day)
        steps = [lambda: index.update(outputs, other), lambda: set_day(*arguments, **how)]
        for step in steps if when == "before the day is written" else reversed(steps):
            step()

    monkeypatch.setattr(index, "set_day", interrupted)
    own.close("succeeded")
    index.update(outputs, own, seen=seen)
    assert {name[-9:]: entry["status"] for name, entry in lookup.entries(outputs).items()} == {
        "/own-try1": "succeeded", "ther-try1": "running"
    }  # fmt: skip
    overview = index_files.read(outputs / ".index" / "overview.js", {})
    assert overview["days"] == {"2026-11-20": {"etl": [2, 0, 1, 0]}} and len(overview["running"]) == 1


def test_pages_are_served_from_the_bucket_as_what_they_are(folder, outputs, bucket):
    record = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={})
    index.update(outputs, record)
    for file, kind in {
        "index.html": "text/html", ".index/overview.js": "text/javascript", ".index/days/2026-11-20.js": "text/javascript"
    }.items():  # fmt: skip
        answer = requests.get(outputs.fs.sign((outputs / file).path), timeout=10)
        assert answer.ok and answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
    assert "step-try1" in answer.text


def test_a_file_is_created_once_and_stays(somewhere):
    assert files.create(somewhere / "a.json", "first") and not files.create(somewhere / "a.json", "second")
    assert (somewhere / "a.json").read_text() == "first"


def test_a_change_sees_the_file_or_none_and_none_removes_it(somewhere):
    file, seen = somewhere / "a.js", []
    for new in ("one\r\n", "two", None, None):
        assert files.change(file, lambda old, new=new: (seen.append(old), new)[1]) == new
    assert seen == [None, "one\r\n", "two", None] and not file.exists()


def test_only_what_fits_a_pattern_level_by_level_is_listed(somewhere):
    for name in ("etl/day/run/a-try1.json", "etl/day/run/a-try1.html", ".index/day/run/a-try1.json", "etl/a-try1.json"):
        files.replace(somewhere / name, "x")
    assert files.files(somewhere, "[!.]*/*/*/*-try*.json") == [somewhere / "etl/day/run/a-try1.json"]


def _count(name: str, worker: int):
    for number in range(25):
        files.change(place(name), lambda text, line=f"{worker}.{number:02}\n": (text or "") + line)


def test_nothing_is_lost_of_what_four_processes_add_to_one_file(somewhere):
    _together(_count, [(str(somewhere / "log"), n) for n in range(4)])
    found = (somewhere / "log").read_text().split()
    assert sorted(found) == sorted(f"{n}.{number:02}" for n in range(4) for number in range(25))
    assert [line for line in found if line[0] == "2"] == sorted(line for line in found if line[0] == "2"), "in order"


def _together(function, arguments: list[tuple]):
    """Call a function in processes of their own, at the same time."""
    workers = [FORK.Process(target=function, args=a) for a in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)


def _tries(worker: int):
    settings.cache_clear()  # a path into a store belongs to one process
    outputs = settings().outputs
    for number in range(10):
        run = outputs / "alerts" / f"2026-11-{1 + number % 2:02}T00:15:00+03:00" / f"run-{number}"
        record = Record.open(run, "check", 1, notebook="n.ipynb", parameters={"worker": worker})
        index.update(outputs, record)
        files.replace(record.executed, json.dumps({"worker": worker}))
        record.close("succeeded" if worker % 2 else "failed")
        index.update(outputs, record)


@pytest.mark.slow
def test_40_runs_of_4_processes_are_all_there_and_none_has_overwritten_another(outputs, bucket):
    _together(_tries, [(n,) for n in range(4)])
    records = [Record.load(path) for path in index_entries.records_of(outputs)]
    assert len(records) == 40 and {r.path.stem for r in records} == {f"check-try{n}" for n in range(1, 5)}
    for record in records:
        assert json.loads(record.executed.read_text()) == record.parameters, "each its own"
        assert record.sha256 == {record.executed.name: checksum(record.executed.read_bytes())}
    overview = index_files.read(outputs / ".index" / "overview.js", {})
    good = {(r.path.parent, r.path.stem) for r in records if r.status == "succeeded"}
    failed = [
        r
        for r in records
        if r.status == "failed" and not any(folder == r.path.parent and stem > r.path.stem for folder, stem in good)
    ]  # no later try has made it good
    counts = {d: sum(r.period.startswith(f"2026-11-0{d}") for r in failed) for d in (1, 2)}
    assert overview == {"days": {f"2026-11-0{d}": {"alerts": [20, n, 0, 0]} for d, n in counts.items()}, "running": []}
    before = {key: data for key, data in held(bucket, outputs).items() if key.startswith(".index/")}
    entered = {name for key in before if "days" in key for name in index_files.read(outputs / key, {})}
    assert entered == {
        path.relative_to(outputs).with_suffix("").as_posix() for path in index_entries.records_of(outputs)
    }
    assert index.rebuild(outputs) == 40
    assert index_files.read(outputs / ".index" / "overview.js", {}) == overview
    index.forget(outputs, [r.path for r in records if r.period.startswith("2026-11-01")])
    assert set(index_files.read(outputs / ".index" / "overview.js", {})["days"]) == {"2026-11-02"}
    assert not (outputs / ".index" / "days" / "2026-11-01.js").exists()


def _wait(notebook, pids):
    settings.cache_clear()
    runner.run(notebook, {"place": str(pids)}, settings().outputs / "etl" / "2026-11-20" / "run-1")


@pytest.mark.slow
def test_after_kill_9_of_the_task_the_index_tells_the_truth_of_its_stale_record(outputs, tmp_path):
    waiting = a_notebook(tmp_path / "step.ipynb", "## Wait", WAITING, "## Summary", "print('never')")
    task = FORK.Process(target=_wait, args=(waiting, tmp_path / "pids"))
    task.start()
    until((tmp_path / "pids").exists, 60, "the waiting cell")
    kernel = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    (path,) = index_entries.records_of(outputs)
    until(lambda: shows_running(Record.load(path)), 20, "the waiting cell in the notebook")
    os.kill(task.pid, signal.SIGKILL)
    task.join(5)
    assert Record.load(path).status == "running"
    until(lambda: not any(map(lives, kernel)), 5, "the end of kernel and children")
    index.update(outputs)
    record = Record.load(path)
    assert record.status == "killed" and record.error.startswith("cell [3] under “Wait”: process ")
    assert statuses(record) == ["completed", "completed", "failed", "pending"] and agree(record, outputs)


@pytest.mark.slow
def test_in_an_object_store_a_run_that_is_killed_at_any_request_is_closed_by_verify(outputs, monkeypatch):
    monkeypatch.setattr(verify, "FINAL_AFTER", -5.0)  # its times are whole seconds
    for number in (2, 5, 7, 8, 9, 11, 60):
        run = f"run-{number}"
        child = FORK.Process(target=_life_in_a_store, args=(number, run))
        child.start()
        child.join(60)
        found = verify.verify(outputs)
        assert not [f for f in found.findings if run in f.file] and found.running == 0
        assert index_files.read(outputs / ".index" / "overview.js", {"running": []})["running"] == []
    assert child.exitcode == 0, "the last one came to its end"
    records = [Record.load(path) for path in index_entries.records_of(outputs)]
    assert {record.status for record in records} == {"succeeded", "killed"} and all(record.over for record in records)
    assert {index_entries.name_of(outputs, r.path): r.status for r in records} == {
        name: run["status"] for name, run in lookup.entries(outputs).items()
    }


def _life_in_a_store(number: int, run: str) -> None:
    settings.cache_clear()  # a path into a store belongs to one process
    outputs, request, count = settings().outputs, bucket_files._request, 0

    def counting(path, operation, **arguments):
        nonlocal count
        count += operation != "get_object"
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return request(path, operation, **arguments)

    bucket_files._request = counting
    record = Record.open(outputs / "etl" / "2026-11-20" / run, "step", 1, notebook="n", parameters={})
    index.update(outputs, record)
    executed = nbformat.v4.new_notebook()
    files.replace(record.executed, nbformat.writes(executed))
    seen = finish(record, "succeeded", executed=executed)
    index.update(outputs, record, seen=seen)
    os._exit(0)


def test_of_several_that_find_a_try_dead_one_closes_it(folder, monkeypatch):
    silent = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={}, host="elsewhere")
    alive = Record.open(folder, "step", 2, notebook="n.ipynb", parameters={}, host="elsewhere")
    time.sleep(2)
    files.touch(alive.path)
    moment = silent.last_seen + STALE + 1
    monkeypatch.setattr("pulsebook.archive.record.time", SimpleNamespace(time=lambda: moment))
    assert [r.path for r in close_stale_in(folder)] == [silent.path] and close_stale_in(folder) == []
    assert "elsewhere ended without a word" in Record.load(silent.path).error
    assert Record.load(alive.path).status == "running"


def test_a_sign_of_life_brings_no_closed_record_back(folder):
    record = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={})
    before, read = record.path.read_text(), bucket_files._get(record.path)
    record.close("succeeded")
    bucket_files._put(record.path, *read[:1], IfMatch=read[1])  # a heartbeat that was on its way
    assert Record.load(record.path).status == "succeeded" != json.loads(before)["status"]


def test_the_chat_page_lies_in_the_store(outputs, bucket):
    from pulsebook.chat import page

    assert page.add("team a text 1", chat="team", text="<b>first</b>", photos=[b"a picture"]) == [1]
    assert page.add("team b text 1", chat="team", text="second", photos=[], reply_to="team a") == [2]
    assert page.add("team a text 1", chat="team", text="<b>anew</b>", photos=[]) == [1] and page.contains(
        "team b text 1"
    )
    found = held(bucket, outputs)
    assert {key.rpartition(".")[2] for key in found} == {"png", "html", "jsonl"}
    shown = found["chat/index.html"].decode()
    assert shown.count("<article") == 2 and "anew" in shown and "first" not in shown


def test_the_review_finds_exactly_the_tries_of_a_task(outputs):
    from airflow.api_fastapi.core_api import security  # noqa: F401 (Airflow must be loaded as a whole)
    from fastapi import HTTPException

    from pulsebook.airflow import review
    from pulsebook.archive.record import folder_of

    for day in ("2026-10-01", "2026-11-20"):
        folder = folder_of(outputs, "etl", day, f"manual__{day}T03:00:00+00:00")
        for attempt in (1, 2):
            record = Record.open(folder, "load", attempt, notebook="n.ipynb", parameters={})
            record.close("failed" if attempt == 1 else "succeeded", f"of {day}")
            files.replace(record.html, f"<html><body class=x>{day} {attempt}</body></html>")
            index.update(outputs, record)
    run = "manual__2026-10-01T03:00:00+00:00"
    assert "2026-10-01 2</body>" in review.page("etl", run, "load").body.decode()
    assert "2026-10-01 1</body>" in review.page("etl", run, "load", 1).body.decode()
    first = review.notebook("etl", run, "load", 1).body.decode()
    assert "failed" in first and "?try_number=2" in first
    for nothing in (("etl", run, "loa"), ("et", run, "load"), ("etl", "manual__*", "load"), ("etl", "custom", "load")):
        with pytest.raises(HTTPException, match="404"):
            review.notebook(*nothing)
    executed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Step"), nbformat.v4.new_code_cell("1")])
    running = Record.open(folder, "merge", 1, notebook="n.ipynb", parameters={})
    files.replace(running.executed, nbformat.writes(executed))
    index.update(outputs, running)
    shown = review.page("etl", "manual__2026-11-20T03:00:00+00:00", "merge").body.decode()
    assert "<h1>Step</h1>" in shown and "running" in shown, "what is saved so far"


def test_the_archive_commands_work_on_a_store(outputs, bucket, capsys):
    kept, old, bare = (a_run(outputs, "etl", day, ago) for day, ago in
                       (("2026-11-01", 20), ("2025-09-01", 430), ("2026-11-02", 19)))  # fmt: skip
    files.replace(outputs / "etl" / "notes.txt", "somebody's")
    assert main(["archive", "verify"]) == 0
    files.replace(kept.executed, '{"cells": [1]}')
    bare.path.unlink()
    assert main(["archive", "verify"]) == 1
    said = capsys.readouterr().out
    assert "altered          etl/2026-11-01/run/step-try1.ipynb" in said
    assert "no record        etl/2026-11-02/run/step-try1.html" in said
    assert main(["archive", "prune"]) == 0 and old.path.exists(), "a dry run"
    assert main(["archive", "prune", "--delete"]) == 0
    left = held(bucket, outputs)
    assert not [key for key in left if "2025-09-01" in key] and "etl/notes.txt" in left
    assert "etl/2026-11-01/run/step-try1.json" in left


def test_a_store_that_cannot_be_used_is_named_with_what_to_do(outputs, monkeypatch):
    with pytest.raises(StoreError, match="s3://no-such-bucket/x failed: .*bucket does not exist.*PULSEBOOK_OUTPUTS"):
        files.create(place("s3://no-such-bucket/x"), "text")


@pytest.fixture
def unreachable(monkeypatch):
    """Settings that lead to a store where nobody listens."""
    address = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    variables = {**address, "AWS_MAX_ATTEMPTS": "1", "PULSEBOOK_OUTPUTS": "s3://pulsebook/nowhere"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for cached in (settings.cache_clear, S3FileSystem.clear_instance_cache):
        cached()
    yield
    for cached in (settings.cache_clear, S3FileSystem.clear_instance_cache):
        cached()


@pytest.mark.parametrize("words", ["verify", "index", "prune", "diff one other"])
def test_a_command_on_a_store_that_cannot_be_reached_says_so_in_a_message(words, unreachable):
    with pytest.raises(SystemExit, match="the archive at s3://pulsebook/nowhere cannot be used; .*\nCould not connect"):
        main(["archive", *words.split()])


@pytest.mark.parametrize("command", ["verify", "index", "prune"])
def test_a_command_on_an_archive_that_does_not_exist_is_refused_and_makes_none(command, somewhere, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_OUTPUTS", str(somewhere))
    settings.cache_clear()
    with pytest.raises(SystemExit, match="there is no archive at .*; is PULSEBOOK_OUTPUTS right"):
        main(["archive", command])
    settings.cache_clear()
    assert not somewhere.exists()


@pytest.mark.parametrize("wrong", ["gs://bucket/x", "s3://", "s3://key:s3cret@bucket/x", "file:///tmp/x"])
def test_an_address_that_is_no_place_for_an_archive_is_refused_without_showing_it(wrong, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_OUTPUTS", wrong)
    settings.cache_clear()
    with pytest.raises(SettingsError, match="PULSEBOOK_OUTPUTS must be a folder or s3://bucket/prefix") as refused:
        settings()
    settings.cache_clear()
    assert "s3cret" not in str(refused.value)
    assert Settings(outputs="s3://bucket/prefix/").outputs.path == "bucket/prefix"
