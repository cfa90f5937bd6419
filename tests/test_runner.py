"""A run ends whatever its kernel does; its record says what the cell said; what it puts out stays within limits."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from pulsebook import runner
from pulsebook.archive.record import Record
from pulsebook.base.settings import ROOT, settings
from pulsebook.execution import archive_io, sockets
from pulsebook.execution.failures import is_lasting, said
from pulsebook.warehouse import Warehouse, WarehouseError
from tests.services import until
from tests.test_archive import FORK, WAITING, a_notebook, only_record, statuses


@pytest.fixture
def folder(outputs):
    """The folder of a run."""
    return outputs / "etl" / "2026-11-20" / "run-1"


@pytest.fixture
def run(folder, tmp_path):
    """Runs a notebook of some cells; returns its record, whatever became of it, and the seconds that it took."""

    def execute(*cells, tags=(), **how) -> tuple[Record, float]:
        notebook = a_notebook(tmp_path / "step.ipynb", *cells)
        if tags:
            document = nbformat.read(notebook, 4)
            document.cells[2].metadata["tags"] = list(tags)  # the first of them
            nbformat.write(document, notebook)
        begun = time.monotonic()
        try:
            runner.run(notebook, {}, folder, **how)
        except runner.NotebookFailed as failure:
            assert only_record(folder).error in str(failure)
        return only_record(folder), time.monotonic() - begun

    return execute


def outputs_of(record: Record) -> list:
    """What the cells of code after the parameters have put out."""
    cells = [c for c in nbformat.reads(record.executed.read_text(), 4).cells if c.cell_type == "code"]
    return [cell.outputs for cell in cells[1:]]


def text_of(outputs: list) -> str:
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


A_GROUP = """\
import asyncio
async def load(table):
    raise ValueError(f'{table} is gone')
async with asyncio.TaskGroup() as group:
    group.create_task(load('feed'))"""
NO_REPLY = """\
session = get_ipython().kernel.session
send = session.send
def losing(stream, kind, *args, **kwargs):
    kind = kind["header"]["msg_type"] if isinstance(kind, dict) else kind
    if kind != "execute_reply":
        return send(stream, kind, *args, **kwargs)
session.send = losing"""
NOT_IDLE = """\
session = get_ipython().kernel.session
send = session.send
def losing(stream, kind, content=None, *args, **kwargs):
    if not (kind == "status" and content["execution_state"] == "idle"):
        return send(stream, kind, content, *args, **kwargs)
session.send = losing"""


SLEEP = "import time\ntime.sleep(14)"
ENDS = {  # cell, status, what the record's error says
    "group in an async cell": (
        A_GROUP, "failed", "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception): ValueError: feed is gone"
    ),
    "reply lost": (NO_REPLY, "failed", "NoReply: the kernel is idle and has not said how the cell ended"),
    "error told, reply lost": (NO_REPLY + "\nraise ValueError('told')", "failed", "ValueError: told"),
    "exit of the process": ("import os\nos._exit(3)", "kernel died", "its process ended itself with exit code 3"),
    "SIGKILL": ("import os\nos.kill(os.getpid(), 9)", "kernel died", "out of memory, or killed from outside? (SIGKILL)"),
    "SIGSEGV": ("import os\nos.kill(os.getpid(), 11)", "kernel died", "SIGSEGV, a crash in compiled code"),
    "SIGSTOP": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "kernel died", "was stopped (SIGSTOP)"),
    "another program": ("import os\nos.execvp('sleep', ['sleep', '600'])", "kernel died", "no longer listens"),
    "started anew": ("import os, sys\nos.execv(sys.executable, sys.orig_argv)", "kernel died", "restarted itself"),
    "input": ("input('day? ')", "failed", "StdinNotImplementedError: raw_input was called"),
    "getpass": ("import getpass\ngetpass.getpass()", "failed", "StdinNotImplementedError: getpass was called"),
    "cancelled": ("import asyncio\nraise asyncio.CancelledError()", "failed", "CancelledError without a message"),
    "interrupted": ("await __import__('asyncio').sleep(0)\nraise KeyboardInterrupt", "failed", "KeyboardInterrupt without"),
    "last message lost": (NOT_IDLE + "\nprint('done')", "succeeded", None),
    "says nothing": (SLEEP, "succeeded", None),
    "holds the GIL": ("import ctypes\nctypes.PyDLL(None).sleep(14)", "succeeded", None),
}  # fmt: skip


SPAWN = multiprocessing.get_context("spawn")  # whatever threads other tests have left in this process


def _ended(place: Path, cell: str) -> tuple[Record, float]:
    notebook = a_notebook(place / "step.ipynb", "## Load", "print('before')", cell, "print('after')")
    begun = time.monotonic()
    try:
        runner.run(notebook, {}, place / "run")
    except runner.NotebookFailed as failure:
        assert only_record(place / "run").error in str(failure)
    return only_record(place / "run"), time.monotonic() - begun


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Records of one run for each of `ENDS`, and the seconds that each took: side by side, most of it is waiting."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(4, mp_context=SPAWN) as pool:
        patch.setenv("PULSEBOOK_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        settings.cache_clear()
        yield {name: pool.submit(_ended, tmp_path_factory.mktemp("end"), cell) for name, (cell, *_) in ENDS.items()}
    settings.cache_clear()


@pytest.mark.parametrize("name", ENDS)
def test_a_run_ends_within_seconds_with_what_is_known_and_not_before(name, ended):
    cell, status, says = ENDS[name]
    record, took = ended[name].result(200)
    assert record.status == status, record.error
    assert took < 60, "most take a few seconds; the bound leaves room for a busy machine"
    assert text_of(outputs_of(record)[0]) == "before\n" and record.html.exists()
    assert set(record.sha256) == {record.executed.name, record.html.name}
    if status == "succeeded":
        assert record.error is None and text_of(outputs_of(record)[2]).startswith("after\n")
        assert took > 14 or "sleep" not in cell
    else:
        assert record.error.startswith("cell [3] under “Load”: ") and says in record.error, record.error
        assert statuses(record)[-2:] == ["failed", "pending"], "what comes after was not executed"


def test_a_message_of_the_kernel_that_is_lost_is_reported(ended):
    shown = text_of(outputs_of(ended["last message lost"].result(200)[0])[1])
    assert shown.startswith("done\n") and "some of it is lost" in shown


def test_a_notebook_that_runs_is_written_where_there_is_something_to_see_and_not_after_every_cell(run, monkeypatch):
    written = []

    def save(notebook, path):
        states = [cell.metadata.papermill["status"] for cell in notebook.cells if cell.cell_type == "code"]
        written.append((time.monotonic(), states[1:]))

    monkeypatch.setattr(archive_io, "save", save)
    pause = "import time\ntime.sleep(5)"
    record, _ = run(*["1"] * 5, pause, *["1"] * 5, pause, "1")
    moments, states = zip(*written, strict=True)
    assert all(later - earlier >= archive_io.EVERY for earlier, later in pairwise(moments))
    for place in (5, 11):
        assert any(state[place] == "running" and set(state[:place]) == {"completed"} for state in states), "a long cell"
    assert len(written) < 13, "not after each"
    assert set(statuses(record)) == {"completed"}, "the end is the archive's to write"


def test_the_limit_of_a_cell_may_be_a_fraction_of_a_second(run):
    record, took = run("## Wait", "print('at work', flush=True)\nimport time\ntime.sleep(60)", cell_timeout=1.5)
    assert (record.status, record.error) == ("timed out", "cell [2] under “Wait”: took longer than 1.5 s")
    assert took < 30 and text_of(outputs_of(record)[0]) == "at work\n"


UNSPEAKABLE = "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no')\nraise Odd()"
HANDLER = "def show(shell, kind, value, trace, tb_offset=None):\n    print('handled')\nget_ipython().set_custom_exc((Exception,), show)"


SAID = [  # cell, what it says
    (
        "raise ExceptionGroup('two tables failed', [ValueError('feed'), KeyError('messages')])",
        "ExceptionGroup: two tables failed (2 sub-exceptions): ValueError: feed; KeyError: 'messages'",
    ),
    (
        "raise BaseExceptionGroup('all', [ExceptionGroup('inner', [OSError('disk')]), KeyboardInterrupt()])",
        "ExceptionGroup: inner (1 sub-exception): OSError: disk; KeyboardInterrupt",
    ),
    ("raise ExceptionGroup('many', [ValueError(i) for i in range(500)])", "ValueError: 9; and 490 more"),
    ("try:\n    raise ExceptionGroup('a', [ValueError('b')])\nexcept* ValueError:\n    raise OSError('c')", "OSError: c"),
    ("%sql SELECT 1", "UsageError: Line magic function `%sql` not found."),
    ("%%sql\nSELECT 1", "UsageError: Cell magic `%%sql` not found."),
    ("%timeit -Z", "UsageError: option -Z not recognized"),
    ("raise ValueError('no city named \\ud83d')", "ValueError: no city named \\ud83d"),
    ("print('\\ud83d'); raise ValueError('\\udc80 and \\udfff')", "\\udc80 and \\udfff"),
    (
        "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no')\nraise Odd()",
        "Odd: its message cannot be shown: str() of it raises RuntimeError",
    ),
    ("rows = 0\nassert rows", "AssertionError without a message, in the line: assert rows"),
    ("raise ValueError('  ')", "ValueError without a message"),
    ("class R:\n    def __repr__(self):\n        raise RuntimeError('no repr')\nR()", "RuntimeError: no repr"),
    ("x = = 1", "SyntaxError: invalid syntax"),
    ("raise ValueError('long ' + 'x' * 3_000_000 + ' end')", "3.0 MB left out …"),
    ("import sys\nsys.exit(3)", "SystemExit: 3"),
    ("quit(3)", "SystemExit: 3"),
    ("exit('no rows')", "SystemExit: no rows"),
    (
        "def show(shell, kind, value, trace, tb_offset=None):\n    print('handled')\n"
        "get_ipython().set_custom_exc((Exception,), show)\nraise LookupError('before it')",
        "LookupError: before it",
    ),
    ("raise ValueError('seen by a handler')", "ValueError: seen by a handler"),
]  # fmt: skip


@pytest.fixture(scope="module")
def said_by(tmp_path_factory):
    """What the record's error would say of each cell of `SAID`: cells that may fail, of one run."""
    place = tmp_path_factory.mktemp("said")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSEBOOK_OUTPUTS", str(place / "outputs"))
        settings.cache_clear()
        notebook = a_notebook(place / "step.ipynb", *(cell for cell, _ in SAID))
        document = nbformat.read(notebook, 4)
        for cell in document.cells[2:]:
            cell.metadata["tags"] = ["raises-exception"]
        nbformat.write(document, notebook)
        record = runner.run(notebook, {}, place / "run")
    settings.cache_clear()
    assert record.status == "succeeded" and record.html.exists() and record.executed.stat().st_size < 5_000_000
    cells = [c for c in nbformat.read(record.executed, 4).cells if c.cell_type == "code"][1:]
    shown = [[o for o in cell.outputs if o.output_type == "error"][-1] for cell in cells]
    return [said(error.ename, error.evalue, cell) for error, cell in zip(shown, cells, strict=True)]


@pytest.mark.slow
def test_a_kernel_that_restarts_itself_unheard_ends_the_run(folder, tmp_path, monkeypatch):
    """What it says at its start reaches nobody while its sockets are new."""
    monkeypatch.setattr("pulsebook.execution.signs.Signs.seen", lambda *_: None)
    notebook = a_notebook(tmp_path / "step.ipynb", "## Load", "import os, sys\nos.execv(sys.executable, sys.orig_argv)")
    with pytest.raises(runner.NotebookFailed, match="restarted itself"):
        runner.run(notebook, {}, folder)


@pytest.mark.parametrize("number", range(len(SAID)), ids=[says[:40] for _, says in SAID])
def test_what_is_known_of_an_error_is_what_the_cell_said(number, said_by):
    assert SAID[number][1] in said_by[number] and len(said_by[number]) < 5000


@pytest.mark.parametrize("number", [0, 4, 7, 9, 16])
def test_the_records_error_says_it(number, run):
    record, _ = run(SAID[number][0], "print('after')")
    assert (record.status, record.error) == ("failed", f"cell [2] under “Step”: {SAID[number][1]}")
    assert record.html.exists() and statuses(record)[-2:] == ["failed", "pending"]


def test_a_failure_where_there_is_no_heading_names_the_cell_alone(folder, tmp_path):
    notebook = tmp_path / "step.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), notebook)
    with pytest.raises(runner.NotebookFailed):
        runner.run(notebook, {}, folder)
    assert only_record(folder).error == "cell [1]: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "leaving",
    ["exit()", "quit()", "exit", "import sys\nsys.exit(0)", "import sys\nsys.exit()", "raise SystemExit(None)",
     "raise SystemExit(False)", "await __import__('asyncio').sleep(0)\nraise SystemExit", "get_ipython().ask_exit()"],
)  # fmt: skip
def test_a_notebook_may_end_itself_in_each_way_that_python_knows(leaving, run):
    further = (
        "" if leaving in ("exit", "get_ipython().ask_exit()") else "\nraise RuntimeError('this line must not run')"
    )
    record, _ = run("## Load", leaving + further, "raise RuntimeError('this cell must not run')")
    assert (record.status, record.error) == ("skipped", None)
    assert statuses(record) == ["completed", "completed", "pending"]


def test_a_cell_that_may_fail_does_not_end_the_run(run):
    record, _ = run("1 / 0", "print('all cells ran')", tags=["raises-exception"])
    assert (record.status, record.error) == ("succeeded", None)
    assert text_of(outputs_of(record)[1]) == "all cells ran\n" and statuses(record)[1:] == ["completed"] * 2
    assert outputs_of(record)[0][0].ename == "ZeroDivisionError"
    assert "celltag_stopped" not in record.html.read_text().partition("</style>")[2]


def test_a_cell_that_may_fail_is_not_the_one_named_by_a_later_failure(run):
    record, _ = run("1 / 0", "raise ValueError('real')", tags=["raises-exception"])
    assert (record.status, record.error) == ("failed", "cell [3] under “Step”: ValueError: real")


def test_a_file_beside_the_notebook_is_found_and_the_setting_names_another_folder(run, tmp_path, monkeypatch):
    (tmp_path / "plan.csv").write_text("day,rows\n")
    record, _ = run("print(open('plan.csv').read())")
    assert record.status == "succeeded" and text_of(outputs_of(record)[0]) == "day,rows\n\n"
    monkeypatch.setenv("PULSEBOOK_WORKING_FOLDER", ".")
    settings.cache_clear()
    notebook = a_notebook(tmp_path / "other.ipynb", "print(open('pyproject.toml').readline())")
    assert runner.run(notebook, {}, record.path.parent).status == "succeeded"


def without_kernel(path: Path, **metadata) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")], metadata=metadata), path)
    return path


def test_a_notebook_that_names_no_kernel_runs_on_this_environments(folder, tmp_path):
    record = runner.run(without_kernel(tmp_path / "step.ipynb"), {}, folder)
    assert record.status == "succeeded" and text_of(nbformat.read(record.executed, 4).cells[0].outputs) == "1"


@pytest.mark.parametrize(
    ("metadata", "asks"),
    [
        ({"kernelspec": {"name": "conda-env-ml-py", "display_name": "ml", "language": "python"}}, "conda-env-ml-py"),
        ({"language_info": {"name": "R"}}, "of the language R"),
    ],
)
def test_a_kernel_that_is_missing_fails_with_what_to_do_and_another_can_be_named(metadata, asks, folder, tmp_path):
    notebook = without_kernel(tmp_path / "step.ipynb", **metadata)
    with pytest.raises(runner.KernelMissing, match="kernel_name='python3'"):
        runner.run(notebook, {}, folder)
    record = only_record(folder)
    assert record.status == "failed" and asks in record.error and "there are python3" in record.error
    assert runner.run(notebook, {}, folder, kernel_name="python3").status == "succeeded"


@pytest.mark.parametrize(
    ("code", "lasting"),
    [
        ("print(nope)", True), ("import nope", True), ("x = (", True), ("%nope", True),
        ("raise ValueError('the source is not complete')", False), ("{}['x']", False), ("1 / 0", False),
        ("from pulsebook.chat import Uncertain\nraise Uncertain('it may have arrived')", True),
    ],
)  # fmt: skip
def test_what_no_retry_repairs_is_said_to_be_so(code, lasting, folder, tmp_path):
    with pytest.raises(runner.NotebookFailed) as failed:
        runner.run(a_notebook(tmp_path / "step.ipynb", code), {}, folder)
    assert isinstance(failed.value, runner.FailedForGood) == lasting


@pytest.mark.parametrize(
    ("sql", "lasting"),
    [
        ("SELECT nope FROM system.one", True), ("SELECT FROM WHERE", True), ("SELECT nope(1)", True), ("SELECT toDate(1, 2, 3, 4)", True),
        ("SELECT * FROM nowhere.nothing", False), ("SELECT throwIf(1, 'Code: 47')", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["read", "execute"])
def test_a_statement_that_no_server_understands_is_not_tried_again(sql, lasting, way, server):
    with pytest.raises(WarehouseError) as refused:
        getattr(Warehouse(server), way)(sql)
    assert is_lasting(type(refused.value).__name__, str(refused.value)) == lasting, str(refused.value)


@pytest.mark.parametrize("value", ["22.11.2026", "2026-02-30", "2999-01-01"])
def test_a_day_that_cannot_be_is_refused_before_a_kernel_starts(value, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_execute", lambda *_, **__: pytest.fail("something was executed"))
    with pytest.raises(runner.ParameterError, match=f"step.ipynb: run_date must be a.*{value}"):
        runner.run(
            a_notebook(tmp_path / "step.ipynb", "1", parameters='run_date: str = ""'), {"run_date": value}, folder
        )
    assert only_record(folder).status == "failed"


FLOODS = {
    "small prints": ("for i in range(60_000):\n    print(i, 'x' * 100)", "0 xxx", "59999 xxx"),
    "a single line": ("print('begin ' + 'x' * 8_000_000 + ' end')", "begin xxx", "xxx end"),
    "two streams": (
        "import sys\nfor i in range(20_000):\n    print(i, 'x' * 200, file=(sys.stdout, sys.stderr)[i // 100 % 2])",
        "0 xxx", "99 xxx",  # 19899 or 19999: either stream's last lines may come last
    ),
    "displays": ("for i in range(600):\n    display({'text/plain': f'{i} ' + 'x' * 5000}, raw=True)", "0 xxx", "599 xxx"),
    "a result": ("type('T', (), {'__repr__': lambda s: 'begin ' + 'x' * 4_000_000 + ' end'})()", "begin xxx", "xxx end"),
    "a table": (
        "display({'text/html': '<table>' + '<tr><td>1</td></tr>' * 400_000 + '</table>',"
        " 'text/plain': 'begin ' + 'row\\n' * 800_000 + ' end'}, raw=True)",
        "begin row", "row\n end",
    ),
    "updates": (
        "handle = display({'text/plain': 'begin'}, raw=True, display_id=True)\n"
        "for i in range(100):\n    handle.update({'text/plain': f'{i} ' + 'x' * 3_000_000 + f' end {i}'}, raw=True)",
        "99 xxx", "xxx end 99",
    ),
    "a picture": (
        "print('begin')\ndisplay({'image/png': 'A' * 30_000_000, 'text/plain': '<Figure>'}, raw=True)\nprint('end')",
        "begin", "end",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def flooded(tmp_path_factory):
    """The outputs of one run of all `FLOODS`, by name, and what its page shows."""
    place = tmp_path_factory.mktemp("floods")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULSEBOOK_OUTPUTS", str(place / "outputs"))
        settings.cache_clear()
        cells = [cell for cell, *_ in FLOODS.values()]
        record = runner.run(a_notebook(place / "step.ipynb", *cells, "## Summary", "print('after')"), {}, place / "run")
    settings.cache_clear()
    assert (record.status, record.error, record.headline) == ("succeeded", None, "after")
    assert record.executed.stat().st_size < 9_000_000
    return dict(zip(FLOODS, outputs_of(record), strict=False)), record.html.read_text()


@pytest.mark.parametrize("flood", FLOODS)
def test_of_what_is_too_much_head_and_tail_stay_and_what_was_left_out_is_said(flood, flooded):
    _, head, tail = FLOODS[flood]
    shown = text_of(flooded[0][flood])
    assert shown.lstrip().startswith(head) and tail in shown[-6000:] and "left out …" in shown
    assert len(json.dumps(flooded[0][flood])) < 1_300_000
    assert flooded[1].count("left out …") >= len(FLOODS)


def test_the_limits_are_settings(run, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CELL_OUTPUT_LIMIT", "0.05")
    monkeypatch.setenv("PULSEBOOK_NOTEBOOK_OUTPUT_LIMIT", "0.1")
    settings.cache_clear()
    record, _ = run(*["print('x\\n' * 100_000)"] * 6, "print('after')")
    sizes = [len(text_of(outputs)) for outputs in outputs_of(record)]
    assert 40_000 < sizes[0] < 51_000 and sizes == sorted(sizes, reverse=True)
    assert all(9_000 < size < 51_000 for size in sizes[:-1]) and text_of(outputs_of(record)[-1]) == "after\n"


def test_a_secret_at_the_cut_does_not_stay_as_half(run, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", "http://me:Sesame-opens-all-7@127.0.0.1:1")
    settings.cache_clear()
    cell = "secret = 'Sesame-' + 'opens-all-7'\n"
    record, _ = run(cell + "print(secret * 200_000)", cell + "display({'text/plain': secret * 200_000}, raw=True)")
    assert record.status == "succeeded"
    for outputs in outputs_of(record):
        left = text_of(outputs).replace("[redacted]", "")
        assert "left out …" in left and not any(part in left for part in ("Sesame", "opens", "all-7", "esame-"))


def _frozen(place, folder):
    """A kernel's folder as a killed run leaves it, or with a kernel that listens."""
    folder.mkdir()
    (folder / "kernel.json").write_text("{}")
    for number in range(1, 6):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / f"k-{number}"))


def test_what_killed_runs_have_left_is_swept_up_and_nothing_else(monkeypatch):
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    try:
        for name in ("pb-dead", "pb-young", "pb-lives", "pb-other"):
            _frozen(place, place / name)
        (place / "pb-empty").mkdir()
        (place / "pb-other" / "notes.txt").write_text("somebody's")
        (place / "pb-lives" / "k-1").unlink()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place / "pb-lives" / "k-1"))
            listening.listen()
            for name in ("pb-dead", "pb-lives", "pb-other", "pb-empty"):
                os.utime(place / name, (time.time() - 2 * sockets.YOUNG,) * 2)
            sockets.sweep()
            assert sorted(p.name for p in place.iterdir()) == ["pb-lives", "pb-other", "pb-young"]
            assert len(list((place / "pb-lives").iterdir())) == 6 and len(list((place / "pb-other").iterdir())) == 7
    finally:
        shutil.rmtree(place)


def _task(notebook, place, folder, temporary):
    tempfile.tempdir = temporary
    os.setsid()
    runner.run(notebook, {"place": str(place)}, folder)


def test_a_task_that_is_killed_leaves_no_temporary_folder(folder, tmp_path):
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))
    notebook, place = a_notebook(tmp_path / "step.ipynb", "## Wait", WAITING), tmp_path / "pids"
    task = FORK.Process(target=_task, args=(notebook, place, folder, str(temporary)))
    try:
        task.start()
        until(place.exists, 60, "the waiting cell")
        assert len(list(temporary.glob("pb-*"))) == 1
        os.kill(task.pid, signal.SIGKILL)
        task.join(5)
        until(lambda: not list(temporary.glob("pb-*")), 10, "the guard's sweeping")
    finally:
        task.kill()
        shutil.rmtree(temporary)


def test_the_kernels_extension_needs_nothing_but_the_standard_library():
    code = "import sys; sys.path.insert(0, '.'); from pulsebook.execution.in_kernel import words; print(words(ValueError('x')))"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "('ValueError', 'x')\n"


LOADED_BEFORE = """
import runpy, sys, threading
from pathlib import Path
runpy.run_path("pulsebook/airflow/plugins/pulsebook_preload.py")
from pulsebook import runner
from pulsebook.base.settings import settings
assert not settings.cache_info().currsize, "the settings would be the worker's, not the task's"
assert threading.active_count() == 1, "with threads no process is forked safely"
loaded = set(sys.modules)
runner.run(Path(sys.argv[1]), {"place": "x"}, Path(sys.argv[2]))
print(sorted(set(sys.modules) - loaded))
"""


def test_a_worker_that_has_loaded_the_plugin_leaves_nothing_to_import_for_its_tasks(folder, tmp_path):
    notebook = a_notebook(tmp_path / "step.ipynb", "place")
    done = subprocess.run(
        [sys.executable, "-c", LOADED_BEFORE, str(notebook), str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, only_record(folder).status) == ("[]\n", "succeeded"), done.stderr
