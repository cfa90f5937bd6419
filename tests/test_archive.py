"""The archive tells the truth however a run ends; no secret reaches it; it can be reviewed, checked and pruned."""

import base64
import html
import json
import logging
import multiprocessing
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
import traceback
import urllib.parse
from pathlib import Path

import nbformat
import pytest

from pulsebook import runner
from pulsebook.archive import index, index_entries, index_files
from pulsebook.archive.ending import close_stale_in, finish
from pulsebook.archive.record import Record, checksum
from pulsebook.base import redact
from pulsebook.base.settings import ROOT, settings
from pulsebook.execution import archive_io
from pulsebook.execution.guard import ending_with
from tests.services import until

FORK = multiprocessing.get_context("fork")  # as Airflow starts its tasks
WAITING = """\
import subprocess, time, os
children = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["setsid", "sleep", "600"])]
open(place + ".part", "w").write(" ".join(str(p) for p in [os.getpid(), *(c.pid for c in children)]))
os.rename(place + ".part", place)
print("waiting")
time.sleep(600)"""


@pytest.fixture
def folder(outputs):
    """The folder of a run."""
    return outputs / "etl" / "2026-11-20" / "run-1"


def a_notebook(path: Path, *cells: str, parameters: str = 'place: str = ""  # a file') -> Path:
    """A notebook in the house's form; a cell that begins with # is markdown."""
    new = nbformat.v4
    made = new.new_notebook(cells=[new.new_markdown_cell("# Step\nReads nothing.")])
    made.cells.append(new.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    made.cells += [new.new_markdown_cell(c) if c.startswith("#") else new.new_code_cell(c) for c in cells]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)
    return path


@pytest.fixture
def waiting(tmp_path):
    """A notebook whose cell under `## Wait` never ends, and which says in a file who its processes are."""
    return a_notebook(tmp_path / "step.ipynb", "## Load", "rows = 5", "## Wait", WAITING, "## Summary", "print(rows)")


def statuses(record: Record) -> list[str]:
    """papermill's status of each cell of code."""
    cells = [c for c in nbformat.reads(record.executed.read_text(), 4).cells if c.cell_type == "code"]
    return [c.metadata.papermill["status"] for c in cells]


def shows_running(record: Record) -> bool:
    """Whether the notebook as it lies there shows a cell that runs."""
    return record.executed.exists() and "running" in statuses(record)


def only_record(folder: Path) -> Record:
    (path,) = folder.glob("*.json")
    return Record.load(path)


def agree(record: Record, outputs: Path) -> bool:
    """Whether checksums, page and index say what the record says."""
    day = index_files.read(outputs / ".index" / "days" / "2026-11-20.js", {})
    found = day[record.path.relative_to(outputs).with_suffix("").as_posix()]
    return (
        {n: checksum(record.path.with_name(n).read_bytes()) for n in record.sha256} == record.sha256
        and set(record.sha256) == {record.executed.name, record.html.name}
        and f">{record.status}</b>" in record.html.read_text()
        and (found["status"], found["error"]) == (record.status, record.error)
        and record.ended >= record.started
    )


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False


class AirflowTaskTimeout(BaseException):
    """Airflow raises one of this name in a handler of SIGALRM."""


def _task(notebook, folder, place):
    def killed(*_):
        raise runner.Killed("the task was told to stop")

    def timed_out(*_):
        raise AirflowTaskTimeout("Timeout, PID: 1")

    signal.signal(signal.SIGTERM, killed)
    signal.signal(signal.SIGALRM, timed_out)
    try:
        with ending_with(os.getppid()):
            runner.run(notebook, {"place": str(place)}, folder)
    except BaseException as reason:
        logging.info("%s", reason)
        os._exit(3)
    os._exit(0)


@pytest.fixture
def task(waiting, folder, tmp_path):
    """Starts a task on the waiting notebook; returns its process and the pids of kernel and children."""
    started = []

    def start():
        place = tmp_path / "pids"
        process = FORK.Process(target=_task, args=(waiting, folder, place))
        process.start()
        started.append(process)
        until(place.exists, 30, "the waiting cell", pause=0.02)
        return process, [int(pid) for pid in place.read_text().split()]

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_cell_that_fails_is_named_and_the_cells_after_it_are_not_called_completed(folder, outputs, tmp_path):
    cells = ("## Load", "rows = 5", "## Check", "raise ValueError('too <few>')", "## Save", "rows += 1")
    with pytest.raises(runner.NotebookFailed, match="cell .4. under “Check”: ValueError: too <few>"):
        runner.run(a_notebook(tmp_path / "step.ipynb", *cells), {"place": "x"}, folder)
    record = only_record(folder)
    assert record.status == "failed" and record.error == "cell [4] under “Check”: ValueError: too <few>"
    assert statuses(record) == ["completed", "completed", "completed", "failed", "pending"]
    assert agree(record, outputs)
    assert "too &lt;few&gt;" in record.html.read_text() and record.html.read_text().count("celltag_never-ran") > 1


def test_a_cell_over_its_own_time_limit_has_timed_out(waiting, folder, outputs, tmp_path):
    with pytest.raises(runner.NotebookFailed, match="timed out: cell .4. under “Wait”: took longer than 1 s"):
        runner.run(waiting, {"place": str(tmp_path / "pids")}, folder, cell_timeout=1)
    record = only_record(folder)
    assert record.status == "timed out" and agree(record, outputs)
    assert statuses(record) == ["completed", "completed", "completed", "failed", "pending"]
    assert not any(lives(int(pid)) for pid in (tmp_path / "pids").read_text().split())


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("timeout of the task", "timed out", "cell [4] under “Wait”: AirflowTaskTimeout: Timeout, PID: 1"),
        ("SIGTERM", "killed", "cell [4] under “Wait”: Killed: the task was told to stop"),
        ("kill -9 of the kernel", "kernel died", "cell [4] under “Wait”: the kernel died: out of memory, or killed"),
        ("kill -9 of the task", "killed", "cell [4] under “Wait”: process {pid} on {host} ended without a word"),
    ],
)
def test_record_notebook_page_and_index_are_true_and_no_process_is_left_after(
    how, status, error, task, folder, outputs
):
    process, pids = task()
    assert only_record(folder).status == "running" and all(lives(pid) for pid in pids)
    if how == "timeout of the task":
        os.kill(process.pid, signal.SIGALRM)  # however long the kernel took to start
        process.join(20)
    elif how == "SIGTERM":
        os.kill(process.pid, signal.SIGTERM)
    elif how == "kill -9 of the kernel":
        os.kill(pids[0], signal.SIGKILL)
    else:
        until(lambda: shows_running(only_record(folder)), 10, "the waiting cell in the notebook")
        os.kill(process.pid, signal.SIGKILL)
    started = time.monotonic()
    until(lambda: not any(map(lives, pids)), 3, "the end of kernel and children", pause=0.02)
    print(f"kernel and children gone after {time.monotonic() - started:.2f} s")
    process.join(5)
    assert process.exitcode == (-9 if how == "kill -9 of the task" else 3)
    if how == "kill -9 of the task":
        assert only_record(folder).status == "running"
        index.update(outputs)  # as any other run does
    record = only_record(folder)
    assert record.status == status
    assert record.error.startswith(error.format(pid=process.pid, host=platform.node()))
    assert statuses(record) == ["completed", "completed", "completed", "failed", "pending"]
    assert agree(record, outputs)
    assert not list(folder.glob(".*")), "no drafts are left"


def _worker(*arguments):
    task = FORK.Process(target=_task, args=arguments)
    task.start()
    task.join()


def test_a_task_whose_worker_is_killed_ends_too_and_says_so(waiting, folder, outputs, tmp_path):
    worker = FORK.Process(target=_worker, args=(waiting, folder, tmp_path / "pids"))
    worker.start()
    until((tmp_path / "pids").exists, 30, "the waiting cell", pause=0.02)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()] + [only_record(folder).pid]
    assert only_record(folder).pid not in (worker.pid, os.getpid()) and all(map(lives, pids))
    worker.kill()
    worker.join()
    until(lambda: not any(map(lives, pids)), 3, "the end of kernel, children and task", pause=0.02)
    record = only_record(folder)
    assert (record.status, record.error) == ("killed", "cell [4] under “Wait”: Killed: the task was told to stop")
    assert statuses(record)[-2:] == ["failed", "pending"] and agree(record, outputs)


def test_the_next_run_in_a_folder_closes_what_is_stale_there(folder, outputs):
    dead = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={}, pid=2**22 - 1)
    silent = Record.open(folder, "step", 2, notebook="n.ipynb", parameters={}, host="elsewhere")
    alive = Record.open(folder, "step", 3, notebook="n.ipynb", parameters={}, host="elsewhere")
    os.utime(silent.path, (time.time() - 600,) * 2)
    close_stale_in(folder)
    found = [Record.load(r.path) for r in (dead, silent, alive)]
    assert [r.status for r in found] == ["killed", "killed", "running"]
    assert found[1].ended < found[1].started[:10] + "~" and "elsewhere ended without a word" in found[1].error


def test_a_kill_before_the_first_cell_leaves_all_cells_pending(folder, outputs, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise runner.Killed("the task was told to stop")

    monkeypatch.setattr(runner._Client, "execute", killed)
    with pytest.raises(runner.Killed):
        runner.run(a_notebook(tmp_path / "step.ipynb", "1"), {}, folder)
    record = only_record(folder)
    assert record.status == "killed" and set(statuses(record)) == {"pending"}


def test_a_record_says_where_it_comes_from_and_what_the_summary_says(folder, outputs, tmp_path):
    said = 'display({"application/vnd.pulsebook+json": {"incidents": 2}, "text/plain": "2 incidents"}, raw=True)'
    notebook = a_notebook(
        tmp_path / "step.ipynb", "## Load", "print('loading')", "## Summary", "print('\\n 7 rows')", said
    )
    airflow = {"dag_id": "etl", "run_id": "run-1", "task_id": "step", "try_number": 1}
    runner.run(notebook, {"place": "x"}, folder, airflow=airflow)
    record = only_record(folder)
    assert (record.status, record.headline, record.incidents) == ("succeeded", "7 rows", 2)
    assert record.airflow == airflow
    assert (
        record.versions["papermill"] and len(record.git_commit) in (7, 40) and record.git_dirty in (True, False, None)
    )
    assert agree(record, outputs)
    page = record.html.read_text()
    assert page.index("7 rows") < page.index("loading"), "the summary comes first"


def _many(outputs, worker):
    for number in range(25):
        where = outputs / "alerts" / f"2026-11-{1 + number:02}T00:00:00" / "run-1"
        task = (
            "check" if worker else "other"
        )  # a try that fails and is made good by a later one would be none of the failed
        record = Record.open(where, task, 1, notebook="n.ipynb", parameters={"slot": str(number)})
        record.executed.write_text("{}")
        index.update(outputs, record)
        record.close("succeeded" if worker else "failed")
        index.update(outputs, record)


def test_200_runs_of_8_processes_are_all_there_and_whole(outputs):
    workers = [FORK.Process(target=_many, args=(outputs, n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0] * 8
    paths = index_entries.records_of(outputs)
    assert len(paths) == 200 and {Record.load(p).status for p in paths} == {"succeeded", "failed"}
    entries = {}
    for file in (outputs / ".index" / "days").glob("*.js"):
        entries |= index_files.read(file, {})
    assert set(entries) == {p.relative_to(outputs).with_suffix("").as_posix() for p in paths}
    overview = index_files.read(outputs / ".index" / "overview.js", {})
    assert overview["running"] == []
    assert {day["alerts"] == [8, 1, 0, 0] for day in overview["days"].values()} == {True}
    assert not [p for p in outputs.rglob(".*.*") if p.is_file() and p.name != ".lock"], "no drafts are left"
    before = json.dumps([entries[k] for k in sorted(entries)])
    assert index.rebuild(outputs) == 200
    after = {}
    for file in (outputs / ".index" / "days").glob("*.js"):
        after |= index_files.read(file, {})
    assert json.dumps([after[k] for k in sorted(after)]) == before


SECRET = "p@ss/w\"rd'<é>&7"
BOT = "123456789:AbCdEfGhIjKlMnOpQrStUvWxYz012345678"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAvT8\nkAbCd1234567890+/x==\n-----END RSA PRIVATE KEY-----"
LEAKY = (
    "## Leak",
    "import base64, html, json, os, urllib.parse\nimport pandas as pd\nfrom IPython.display import HTML, display",
    "print('plain', place, repr(place), json.dumps(place), html.escape(place), urllib.parse.quote(place, safe=''))",
    "for pad in ('', 'u', 'us', 'user:'):\n    print(base64.b64encode(f'{pad}{place}:more'.encode()).decode())",
    "pd.DataFrame({'password': [place, 'none']})",
    "HTML(f'<b title=\"{html.escape(place)}\">{html.escape(place)}</b>')",
    "display({'application/json': {place: [place]}, 'text/plain': place}, metadata={'note': place}, raw=True)",
    "from io import BytesIO\nfrom PIL import Image, PngImagePlugin\nnote = PngImagePlugin.PngInfo()\n"
    "note.add_text('Comment', place.encode('ascii', 'replace').decode() + other)\npicture = BytesIO()\n"
    "Image.new('RGB', (9, 9)).save(picture, 'png', pnginfo=note)\n"
    "display({'image/png': base64.b64encode(picture.getvalue()).decode()}, raw=True)",
    "print(dict(os.environ))",
    f"print({BOT!r}, 'Authorization: Bearer abc.DEF-123_456', 'http://me:0ther!@host/')\nprint({PEM!r})\nprint({PEM!r}.replace(chr(10), ' '))",
    "import requests\nsafe = urllib.parse.quote(place, safe='')\nrequests.get(f'http://me:{safe}@127.0.0.1:1/?key={safe}')",
)


def leaks(text: str, secret: str = SECRET) -> list[str]:
    """Spellings of a secret that a text holds, however it is escaped; written without the module under test."""
    texts = {text, html.unescape(text), urllib.parse.unquote(text), text.replace("\\\\", "\\").replace('\\"', '"')}
    texts |= {html.unescape(t.replace("\\'", "'").replace("\\u00e9", "é")) for t in set(texts)}
    found = [t for t in (secret, secret[:8], secret[-8:]) if any(t in x for x in texts)]
    for run in set(re.findall(r"[A-Za-z0-9+/]{8,}", text)):
        raw = base64.b64decode(run[: len(run) // 4 * 4])
        found += [run[:40]] * (secret.encode()[:6] in raw or secret.encode()[-6:] in raw)
    return found


def test_no_secret_reaches_the_archive_the_log_or_the_exception(folder, outputs, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", f"http://me:{urllib.parse.quote(SECRET, safe='')}@127.0.0.1:1")
    monkeypatch.setenv("SOME_API_KEY", "k3y-of-somebody")
    settings.cache_clear()
    parameters = 'place: str = ""  # a secret\nother: str = ""  # another'
    notebook = a_notebook(tmp_path / "step.ipynb", *LEAKY, parameters=parameters)
    before = Record.open(
        outputs / "etl" / "2026-11-19" / "run-0", "step", 1, notebook="n.ipynb", parameters={"place": "x"}
    )
    before.executed.write_text(nbformat.writes(nbformat.v4.new_notebook()))
    before.close("succeeded")
    index.update(outputs, before)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(runner.NotebookFailed) as caught:
        runner.run(notebook, {"place": SECRET, "other": "k3y-of-somebody"}, folder)
    record = only_record(folder)
    assert "ConnectionError" in record.error, "every cell before the last must have run"
    assert record.compared.exists()
    texts = {str(file): file.read_text() for file in outputs.rglob("*") if file.is_file()}
    assert caught.value.__cause__ is caught.value.__context__ is None
    texts |= {"exception": "".join(traceback.format_exception_only(caught.value)), "log": caplog.text}
    assert len(texts) > 7
    for place, text in texts.items():
        text = text.replace(str(tmp_path), "")
        assert not leaks(text) and not leaks(text, "k3y-of-somebody"), place
        for planted in (BOT.split(":")[1], "abc.DEF", "0ther!", "MIIEpAIBAA", "kAbCd12345"):
            assert planted not in text, (place, planted)
    executed = nbformat.read(record.executed, 4)
    nbformat.validate(executed)
    hiding = [c for c in executed.cells if c.cell_type == "code" and c.get("outputs")]
    assert len(hiding) == 9 and all("[redacted]" in json.dumps(c.outputs) for c in hiding), "each output says so"
    assert record.parameters == {"place": "[redacted]", "other": "[redacted]"}


@pytest.mark.parametrize(
    "call",
    [
        "import pandahouse\nserver = {'host': 'http://127.0.0.1:1', 'user': 'me', 'password': place, 'database': 'x'}\n"
        "pandahouse.read_clickhouse('SELECT 1', connection=server)",
        f"import requests\nrequests.post('http://127.0.0.1:1/bot{BOT}/sendMessage', data={{'text': place}}, timeout=5)",
        "raise ValueError({'password': place})",
    ],
    ids=["pandahouse", "the bot's API", "an error of our own"],
)
def test_no_secret_of_a_call_that_fails_reaches_archive_log_or_exception(
    call, folder, outputs, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", f"http://me:{urllib.parse.quote(SECRET, safe='')}@127.0.0.1:1")
    settings.cache_clear()
    caplog.set_level(logging.DEBUG)
    read = "import os, urllib.parse\nplace = urllib.parse.unquote(urllib.parse.urlsplit(os.environ['PULSEBOOK_CLICKHOUSE_URL']).password)"
    with pytest.raises(runner.NotebookFailed) as caught:
        runner.run(a_notebook(tmp_path / "step.ipynb", "## Leak", read, call), {"place": ""}, folder)
    record = only_record(folder)
    assert re.search("ConnectionError|ValueError", record.error)
    texts = {str(file): file.read_text() for file in outputs.rglob("*") if file.is_file()}
    texts |= {"exception": "".join(traceback.format_exception(caught.value)), "log": caplog.text}
    for place, text in texts.items():
        text = text.replace(str(tmp_path), "")
        assert not leaks(text) and BOT.split(":")[1] not in text, place
    (failed,) = (
        c
        for c in nbformat.read(record.executed, 4).cells
        if "stopped here" in record.html.read_text() and c.get("outputs")
    )
    assert "[redacted]" in json.dumps(failed.outputs), "the output that held it says so"


@pytest.mark.parametrize("secret", ["a", "abc", "cells", "source", "code", "text", "metadata"])
def test_a_short_or_common_secret_does_not_shred_the_document(secret, folder, outputs, tmp_path, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", f"http://me:{secret}@127.0.0.1:1")
    settings.cache_clear()
    record = Record.open(folder, "step", 1, notebook="n.ipynb", parameters={"x": f"is {secret} here?"})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"x = {secret!r}")])
    archive_io.save(notebook, str(record.executed))
    read = nbformat.read(record.executed, 4)
    nbformat.validate(read)
    finish(record, "succeeded")
    found = Record.load(record.path)
    assert found.status == "succeeded" and found.html.read_text().startswith("<!DOCTYPE html>")
    hidden = len(secret) >= 4
    assert read.cells[0].source == ("x = '[redacted]'" if hidden else f"x = {secret!r}")
    assert found.parameters["x"] == ("is [redacted] here?" if hidden else f"is {secret} here?")


def test_redaction_of_a_large_document_is_quick_and_hides_nothing_by_chance(outputs, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", "http://me:Secret-of-8@127.0.0.1:1")
    settings.cache_clear()
    redact.register("pw12")
    picture = base64.b64encode(random.Random(1).randbytes(3_700_000)).decode()
    output = nbformat.v4.new_output("display_data", {"image/png": picture})
    text = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])]))
    started = time.perf_counter()
    assert redact.redact_notebook(text) == text
    assert time.perf_counter() - started < 20
    assert redact.redact("is pw12 it? spw123") == "is [redacted] it? spw123"


def test_a_notebook_that_has_nothing_to_do_is_skipped_and_no_failure(folder, outputs, tmp_path):
    cells = ("## Load", "rows = 0", "import sys\nif not rows:\n    sys.exit(0)", "## Save", "rows += 1")
    runner.run(a_notebook(tmp_path / "step.ipynb", *cells), {"place": "x"}, folder)
    record = only_record(folder)
    assert (record.status, record.error) == ("skipped", None)
    assert statuses(record) == ["completed", "completed", "completed", "completed", "pending"]
    assert agree(record, outputs) and "stopped here" not in record.html.read_text().partition("</style>")[2]
    overview = index_files.read(outputs / ".index" / "overview.js", {})
    assert overview["days"]["2026-11-20"] == {"etl": [1, 0, 0, 0]}, "neither failed nor running"


def test_a_notebook_that_leaves_with_an_error_code_has_failed(folder, outputs, tmp_path):
    with pytest.raises(runner.NotebookFailed, match="SystemExit: 3"):
        runner.run(a_notebook(tmp_path / "step.ipynb", "import sys", "sys.exit(3)"), {"place": "x"}, folder)
    assert only_record(folder).status == "failed"


BUSY = """
import sys, threading, time
from jupyter_client.kernelspec import KernelSpecManager

class Busy:  # the machine, while IPython is imported
    def find_spec(self, name, path=None, target=None):
        if name == "IPython.core.interactiveshell":
            time.sleep(1)

sys.meta_path.insert(0, Busy())
threading.excepthook = lambda failure: print("pages:", failure.exc_value)
from pulsebook import runner
runner._prepare_the_end()
while "IPython" not in sys.modules:
    time.sleep(0.01)
print(len(KernelSpecManager().kernel_dirs) > 0)  # what the start of a kernel asks first
"""


def test_a_kernel_starts_while_what_makes_the_page_is_still_loading():
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
