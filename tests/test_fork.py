"""A kernel out of the fork server is like one that was started anew, alone with its task, and leaves nothing behind."""

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest

from pulsebook import runner
from pulsebook.base.environment import variables
from pulsebook.base.settings import ROOT, settings
from pulsebook.execution import fork_server, forked, forked_kernel
from pulsebook.execution.sockets import SERVER
from tests.services import until
from tests.test_archive import FORK, a_notebook, lives, only_record

KERNEL = [sys.executable, "-m", "ipykernel_launcher"]
PARENT = f"import os\nprint('forked' if {fork_server.__name__!r} in open(f'/proc/{{os.getppid()}}/cmdline').read() else 'started anew')"
FORKED = "forked\n"


def servers(place: Path) -> list[int]:
    """The process numbers of the servers whose folder is there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(path.parent.name)
        if f"{place}/{SERVER}".encode() in b" ".join(words) and lives(pid) and os.getsid(pid) == pid != os.getpid():
            found.append(pid)
    return sorted(pid for pid in found if _parent(pid) not in found)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


@pytest.fixture(scope="module")
def temporary():
    """A folder for temporary files, whose servers end with the tests."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    yield place
    for pid in servers(place):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not servers(place), 30, "the end of the servers")
    assert not list(place.glob(f"{SERVER}*")), "a server takes its folder with it"
    shutil.rmtree(place)


@pytest.fixture
def warm(temporary, outputs, monkeypatch):
    """A server that is ready; returns its process number."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return ready(temporary)


@pytest.fixture
def cold(outputs, monkeypatch):
    """A folder for temporary files of the test's own."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    for pid in servers(place):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place)


def folder(**more: str) -> Path:
    """Where the server of this process is."""
    return forked.folder_of(KERNEL, forked.handed_on(variables() | more))


def ready(place: Path) -> int:
    if not (folder() / fork_server.NAME).exists():
        forked._start(KERNEL, folder(), forked.handed_on(variables()))
    until((folder() / fork_server.NAME).exists, 90, "a fork server", pause=0.05)
    (pid,) = servers(place)
    return pid


@pytest.fixture
def run(tmp_path):
    """Runs a notebook of some cells; returns what each has printed, and at last whose child its kernel was."""
    count = iter(range(1000))

    def execute(*cells, **how) -> list[str]:
        place = tmp_path / f"run-{next(count)}"
        place.mkdir()
        try:
            runner.run(a_notebook(place / "step.ipynb", *cells, PARENT), {}, place / "out", **how)
        except runner.NotebookFailed as failure:
            return [only_record(place / "out").error or str(failure)]
        return printed(place / "out" / "step-try1.ipynb")

    return execute


def printed(executed: Path) -> list[str]:
    code = [cell for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code"][1:]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in code]


FACTS = """
import builtins, gc, json, locale, logging, multiprocessing, os, resource, signal, sys, threading, time, warnings
numbers = [int(n) for n in os.listdir("/proc/self/fd")]
facts = {
    "path": sys.path, "argv": sys.argv[:1], "orig_argv": sys.orig_argv[:3], "flags": str(sys.flags),
    "environment": {k: v for k, v in os.environ.items() if k not in ("PULSEBOOK_GUARDED", "PULSEBOOK_KERNEL_FORK", "PULSEBOOK_EXECUTED_AS")},
    "limits": open("/proc/self/limits").read(),
    "status": [l for l in open("/proc/self/status") if l.startswith(("Umask", "SigBlk", "SigIgn", "SigCgt", "Cap", "Cpus", "Uid", "Gid", "NoNew", "Threads"))],
    "handlers": {s.name: str(signal.getsignal(s)).split(" at ")[0] for s in signal.Signals},
    "descriptors": [len(numbers), [n for n in numbers if os.path.lexists(f"/proc/self/fd/{n}") and os.get_inheritable(n)]],
    "threads": len(threading.enumerate()), "priority": os.nice(0), "zone": time.tzname,
    "locale": locale.setlocale(locale.LC_ALL), "encoding": [sys.stdout.encoding, sys.__stdout__.encoding, sys.getfilesystemencoding()],
    "garbage": [gc.isenabled(), gc.get_threshold()], "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(),
    "logging": [logging.getLogger().level, len(logging.getLogger().handlers)],
    "processes": [multiprocessing.get_start_method(allow_none=True), multiprocessing.process.ORIGINAL_DIR == os.getcwd()],
    "session": [os.getsid(0) == os.getpid() == os.getpgrp(), sys.stdin.read(), sys.stdin.isatty()],
    "main": [str(sys.modules["__main__"]), __name__, hasattr(sys.modules["__main__"], "__file__")],
    "builtins": sorted(vars(builtins)), "names": sorted(get_ipython().user_ns),
    "extensions": sorted(get_ipython().extension_manager.loaded),
}
import pandas, numpy, matplotlib, pulsebook.warehouse, pulsebook.present.charts
facts |= {
    "warnings": sorted(map(str, warnings.filters)),
    "matplotlib": {name: str(value) for name, value in matplotlib.rcParams.items()},
    "loggers": sorted((n, l.level, len(l.handlers)) for n, l in logging.root.manager.loggerDict.items() if getattr(l, "handlers", ()) or getattr(l, "level", 0)),
    "hooks": {name: sorted(f.__qualname__ for f in hooks) for name, hooks in get_ipython().events.callbacks.items()},
}
print(json.dumps(facts))
"""
PICTURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint(type(plt.gcf().canvas))"


LAST = """
import atexit, os, sys, threading, time
def say(words):
    with open(place, "a") as file:
        file.write(words + "\\n")
class Held:
    def __init__(self, name):
        self.file = open(place + "." + name, "w")
        self.file.write(name)
named, circle = Held("named"), Held("in a circle")
circle.itself = circle
atexit.register(say, "at exit")
threading.Thread(target=lambda: time.sleep(0.3) or say("thread")).start()
sys.path.insert(0, os.path.dirname(place))
import own_module
own_module.held = Held("in a module")
print("said", file=sys.__stdout__)
"""


@pytest.mark.parametrize("fork", [1, 0])
def test_what_a_notebook_leaves_open_is_written_at_its_end(fork, warm, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PULSEBOOK_KERNEL_FORK", str(fork))
    settings.cache_clear()
    (tmp_path / "own_module.py").write_text("")
    place = tmp_path / "said"
    runner.run(a_notebook(tmp_path / "step.ipynb", LAST), {"place": str(place)}, tmp_path / "out")
    assert place.read_text() == "thread\nat exit\n"
    for name in ("named", "in a circle", "in a module"):
        assert Path(f"{place}.{name}").read_text() == name
    assert "said\n" in capfd.readouterr().out


def test_a_forked_kernel_is_like_one_that_was_started_anew(warm, run, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_VARIABLE", "café \udce9")
    *forks, parent = run(FACTS, PICTURE)
    assert parent == FORKED
    monkeypatch.setenv("PULSEBOOK_KERNEL_FORK", "0")
    settings.cache_clear()
    *anew, parent = run(FACTS, PICTURE)
    forked, started = json.loads(forks[0]), json.loads(anew[0])
    counts = [facts["descriptors"].pop(0) for facts in (forked, started)]  # a client's connection comes in its own time
    assert parent != FORKED and forked == started and forks[1] == anew[1] and abs(counts[0] - counts[1]) <= 4
    pictures = [nbformat.read(path, 4).cells[3].outputs for path in sorted(tmp_path.glob("run-*/out/*.ipynb"))]
    assert all("image/png" in outputs[-1].get("data", {}) for outputs in pictures)


CHANCE = """
import multiprocessing, os, random, secrets, ssl, tempfile, uuid
import numpy
print([random.random(), numpy.random.random(), float(numpy.random.default_rng().random()), str(uuid.uuid1()), str(uuid.uuid4()),
    secrets.token_hex(), ssl.RAND_bytes(8).hex(), tempfile.mktemp(), multiprocessing.current_process().authkey.hex(),
    os.getpid(), os.getsid(0), os.getcwd(), id(get_ipython().kernel.session.session) and get_ipython().kernel.session.session])
"""


def test_two_kernels_have_nothing_in_common(warm, run):
    one, two = (run(CHANCE, "os.environ['LEFT'] = 'behind'\nimport sys\nsys.left = 1\nos.chdir('/')") for _ in range(2))
    assert one[-1] == two[-1] == FORKED
    assert not [a for a, b in zip(eval(one[0]), eval(two[0]), strict=True) if a == b]
    assert (
        run("import os, sys\nprint('LEFT' in os.environ, hasattr(sys, 'left'), os.getcwd() == '/')")[0]
        == "False " * 2 + "False\n"
    )


def test_all_processors_compute_a_product_of_matrices(warm, run):
    cell = "import os, numpy\na = numpy.ones((600, 600)); a @ a\nprint(sum(1 for _ in os.scandir('/proc/self/task')))"
    before, after = (int(text) for text in run("import os\nprint(len(os.listdir('/proc/self/task')))", cell)[:2])
    assert after - before == os.cpu_count() - 1


ENDS = {
    "import os\nos.kill(os.getpid(), 11)": "SIGSEGV, a crash in compiled code",
    "import ctypes\nctypes.string_at(0)": "SIGSEGV, a crash in compiled code",
    "import os\nos.kill(os.getpid(), 9)": "out of memory, or killed from outside? (SIGKILL)",
    "import os\nos._exit(3)": "its process ended itself with exit code 3",
}


def _waiting(notebook, place, folder):
    runner.run(notebook, {"place": str(place)}, folder)


BUSY = """\
import os, time
import pandas as pd
open(place + ".part", "w").write(str(os.getpid()))
os.rename(place + ".part", place)
while not os.path.exists(place + ".end"):
    rows = pd.DataFrame({"a": range(1000)}).groupby("a").size()
    time.sleep(0.01)
print(len(rows))"""


@pytest.fixture
def busy(tmp_path):
    """Starts a task of its own with a kernel that computes until it is told to end; returns task, kernel and the end."""
    tasks = []

    def start(name="busy"):
        place = tmp_path / f"{name}.pid"
        notebook = a_notebook(tmp_path / f"{name}.ipynb", BUSY, PARENT)
        task = FORK.Process(target=_waiting, args=(notebook, place, tmp_path / name))
        task.start()
        tasks.append(task)
        until(place.exists, 60, "the busy cell", pause=0.02)

        def end():
            Path(f"{place}.end").touch()
            task.join(60)
            return only_record(tmp_path / name), printed(tmp_path / name / f"{name}-try1.ipynb")

        return task, int(place.read_text()), end

    yield start
    for task in tasks:
        task.kill()
        task.join()


def test_a_kernel_that_crashes_or_fills_the_memory_harms_no_other(warm, run, busy):
    _, kernel, end = busy()
    for cell, says in ENDS.items():
        (said,) = run(cell)
        assert says in said
    assert run("held = bytearray(b'x' * 200_000_000)\nprint(len(held))") == ["200000000\n", FORKED]
    assert lives(kernel) and lives(warm) and _resident(warm) < 400, "what a kernel holds is not its server's"
    record, texts = end()
    assert record.status == "succeeded" and texts[-2:] == ["1000\n", FORKED]


def _resident(pid: int) -> float:
    """Megabytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000


def test_a_server_that_is_killed_leaves_its_kernels_alone_and_their_ends_are_seen(cold, run, busy):
    server = ready(cold)
    _, _, end = busy("one")
    _, kernel, fail = busy("two")
    os.kill(server, signal.SIGKILL)
    until(lambda: not lives(server), 5, "the end of the server")
    os.kill(kernel, signal.SIGKILL)
    record, _ = fail()
    assert record.status == "kernel died" and "the fork server that had started it was ended before" in record.error
    record, texts = end()
    assert record.status == "succeeded" and texts[-2] == "1000\n"
    assert run()[-1] != FORKED, "there is none: one is started"
    assert ready(cold) != server and run()[-1] == FORKED


def _asked() -> forked_kernel.Kernel:
    return forked._asked_of(folder(), KERNEL, forked.handed_on(variables()))


def test_a_server_that_is_killed_before_its_fork_is_a_kernel_hinders_nothing(cold, tmp_path):
    server = ready(cold)
    kernel, idle = _asked(), _asked()
    os.kill(server, signal.SIGKILL)
    until(lambda: not lives(server), 5, "the end of the server")
    wanted = {
        "cwd": str(tmp_path),
        "env": variables() | {forked.MARK: "f" * 32},
        "command": KERNEL,
        "arguments": ["-f", f"{tmp_path}/k.json"],
    }
    kernel.begin(wanted, 1, 2)
    assert kernel.poll() is None and os.getsid(kernel.pid) == kernel.pid
    assert f"{forked.MARK}={'f' * 32}\0" in Path(f"/proc/{kernel.pid}/environ").read_text()
    assert Path(f"/proc/{kernel.pid}/cmdline").read_text().rstrip("\0").split("\0") == KERNEL, "what ps shows"
    kernel.kill()
    assert kernel.wait() == forked_kernel.UNKNOWN
    pid = idle.pid
    idle.close()
    until(lambda: not lives(pid), 5, "the end of a fork whose task has gone", pause=0.02)


@pytest.mark.parametrize("how", ["says nothing", "closes at once", "is frozen"])
def test_a_server_that_does_not_answer_is_done_without(how, cold, run, monkeypatch):
    monkeypatch.setattr(forked, "PATIENCE", 0.5)
    folder().mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening, ThreadPoolExecutor(1) as beside:
        listening.bind(str(folder() / fork_server.NAME))
        listening.listen()
        if how == "closes at once":
            beside.submit(lambda: listening.accept()[0].close())
        elif how == "says nothing":
            held = beside.submit(listening.accept)
        assert run("print('well')")[0] == "well\n"
        if how == "says nothing":
            held.result()[0].close()


@pytest.mark.parametrize("how", ["open to others", "a link", "another user's"])
def test_a_folder_that_others_can_write_to_is_refused(how, cold, run, caplog):
    caplog.set_level("INFO")
    if how == "a link":
        (cold / "there").mkdir(mode=0o700)
        folder().symlink_to(cold / "there")
    else:
        folder().mkdir(mode=0o700)
        folder().chmod(0o770 if how == "open to others" else 0o700)
    if how == "another user's":
        if os.getuid():
            pytest.skip("only root can give a folder away")
        os.chown(folder(), 65534, 65534)
    assert run()[-1] != FORKED
    assert "is not this user's alone" in caplog.text and not list(folder().iterdir())
    with pytest.raises(OSError):
        fork_server.take(folder())


def test_of_many_tasks_that_start_a_server_at_once_one_does(cold):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: forked._start(KERNEL, folder(), forked.handed_on(variables())), range(6)))
    server = ready(cold)
    time.sleep(1)
    assert servers(cold) == [server]


def _in_memory(pid: int, secret: bytes) -> int:
    found = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(n, 16) for n in line.split()[0].split("-"))
            if " rw" in line and "[v" not in line:
                try:
                    memory.seek(begin)
                    found += memory.read(end - begin).count(secret)
                except OSError:
                    continue
    return found


def test_no_secret_of_a_task_is_in_the_server_or_in_the_kernel_of_another(warm, run, busy, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", "http://me:Sesame-opens-all-7@127.0.0.1:1")
    monkeypatch.setenv("MY_TOKEN", "Sesame-opens-all-7")
    monkeypatch.setenv("JUPYTER_TOKEN", "Sesame-opens-all-7")
    settings.cache_clear()
    assert run("import os\nprint(os.environ['MY_TOKEN'], os.environ['JUPYTER_TOKEN'])")[-1] == FORKED
    _, kernel, end = busy("with")
    assert _in_memory(kernel, b"Sesame-opens-all-7"), "this is how it would be found"
    end()
    for name in ("PULSEBOOK_CLICKHOUSE_URL", "MY_TOKEN", "JUPYTER_TOKEN"):
        monkeypatch.delenv(name)
    settings.cache_clear()
    _, kernel, end = busy("without")
    assert not _in_memory(warm, b"Sesame-opens-all-7")
    assert not _in_memory(kernel, b"Sesame-opens-all-7")
    end()
    environment = Path(f"/proc/{warm}/environ").read_text().split("\0")
    assert all(
        forked.HANDED_ON.fullmatch(one.partition("=")[0]) for one in environment if one and forked.MARK not in one
    )


DAEMON = """\
import os, time
child = os.fork()
if not child:
    os.setsid()
    if os.fork():
        os._exit(0)
    open(place + ".part", "w").write(f"{os.getpid()} {os.getppid()}")
    os.rename(place + ".part", place)
    time.sleep(600)
os.waitpid(child, 0)
time.sleep(600)"""


@pytest.mark.parametrize("how", ["the task", "the task and its guard"])
def test_what_a_forked_kernel_has_forked_ends_with_the_task_and_the_kernel_without_a_guard(how, warm, tmp_path):
    """A fork that has left the session, and executed no program, carries the mark in /proc as well."""
    place = tmp_path / "pid"
    notebook = a_notebook(
        tmp_path / "step.ipynb", "import os\nopen(place + '.kernel', 'w').write(str(os.getpid()))", DAEMON
    )
    task = FORK.Process(target=_waiting, args=(notebook, place, tmp_path / "out"))
    task.start()
    until(place.exists, 60, "the daemon", pause=0.02)
    daemon, kernel = int(place.read_text().split()[0]), int(Path(f"{place}.kernel").read_text())
    mark = re.search(rf"{forked.MARK}=(\w+)", Path(f"/proc/{daemon}/environ").read_text())[1]
    assert mark == re.search(rf"{forked.MARK}=(\w+)", Path(f"/proc/{kernel}/environ").read_text())[1] != forked.NOBODY
    if how == "the task and its guard":
        (guard,) = [child for child in psutil.Process(task.pid).children() if mark in " ".join(child.cmdline())]
        guard.kill()
    task.kill()
    task.join()
    until(lambda: not lives(kernel), 5, "the end of the kernel", pause=0.02)
    if how == "the task":
        until(lambda: not lives(daemon), 5, "the end of the daemon", pause=0.02)
    else:
        os.kill(daemon, signal.SIGKILL)
    assert lives(warm)


def test_who_differs_in_what_a_process_hands_on_has_another_server(monkeypatch):
    here = folder()
    assert here == folder() and here == folder(PULSEBOOK_LANGUAGE="ru", AIRFLOW_CTX_DAG_ID="etl", MY_PASSWORD="x")
    others = [
        folder(OMP_NUM_THREADS="1"),
        folder(PYTHONPATH="/x"),
        folder(TZ="Asia/Tokyo"),
        folder(PULSEBOOK_HOME="/x"),
    ]
    before = os.umask(0o077)
    others.append(folder())
    os.umask(before)
    assert len({here, *others}) == 6 and folder() == here


READ = """
import os, sys
from pulsebook.execution import fork_server, forked
read = set()
inner = type(os.environ).__getitem__
def note(self, name):
    read.add(name)
    return inner(self, name)
type(os.environ).__getitem__ = note  # what the other ways to read one come to
fork_server._prepare()
print(*sorted(name for name in read if isinstance(name, str) and not forked.HANDED_ON.fullmatch(name)))
"""
HARMLESS = {  # read by an import, and not by what a kernel does
    "JPY_PARENT_PID",  # another's: a fork ends with its task in its own way
    "JPY_INTERRUPT_EVENT",  # Windows
    "_ARC_DEBUG",
    "_ARGCOMPLETE_SUPPRESS_SPACE",  # completion of words in a shell
}


def test_each_variable_that_an_import_reads_is_one_by_which_servers_differ():
    few = {**forked.PRESET, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}  # a copy of all reads these as well
    said = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, env=few)
    assert said.returncode == 0, said.stderr
    assert not set(said.stdout.split()) - HARMLESS, said.stdout


LOADED = """
import sys, tempfile, time
from pathlib import Path
tempfile.tempdir, notebook, *names = sys.argv[1:]
from pulsebook import runner
from tests.test_fork import folder, fork_server, printed
for name in names:
    runner.run(Path(notebook), {}, Path(name))
    print("".join(printed(Path(name) / "step-try1.ipynb")).strip(), flush=True)
    while not (folder() / fork_server.NAME).exists():
        time.sleep(0.05)
"""


def test_what_the_notebooks_import_from_packages_is_there_when_they_begin():
    """Else a kernel pays what its fork has saved: an import of seconds stands in one line that nobody sees."""
    lines = set()
    for path in ROOT.glob("notebooks/*/*.ipynb"):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                found = ast.walk(ast.parse(cell.source))
                lines |= {ast.unparse(node) for node in found if isinstance(node, ast.Import | ast.ImportFrom)}
    assert len(lines) > 30
    code = (
        "import json, sys; from pulsebook.execution import fork_server as f; f._prepare(); had = set(sys.modules)\n"
        "exec(sys.argv[1]); print(json.dumps([name for name in set(sys.modules) - had if name.split('.')[0] != 'pulsebook']))"
    )
    asked, one_thread = [sys.executable, "-c", code, "\n".join(sorted(lines))], {**os.environ, **forked.PRESET}
    done = subprocess.run(asked, env=one_thread, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_how_both_languages_write_numbers_is_read_before_a_kernel_is_forked():
    code = """if True:
        import sys
        from pulsebook.execution import fork_server
        fork_server._prepare()
        opened = []
        sys.addaudithook(lambda event, what: event == "open" and opened.append(what[0]))
        from pulsebook.present.numbers import text
        print([text(1234.5, "views_per_user", language) for language in ("en", "ru")], opened)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **forked.PRESET}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "['1,234.5', '1\\xa0234,5'] []\n", done.stderr


def test_a_change_of_what_is_imported_reaches_the_next_kernel(cold, tmp_path):
    """On a copy of the package: an analyst's change of the catalogue, and a file that was only touched."""
    house = tmp_path / "house"
    shutil.copytree(ROOT / "pulsebook", house / "pulsebook", ignore=shutil.ignore_patterns("__pycache__"))
    asks = "from pulsebook import catalogue\nprint(getattr(catalogue, 'NEW', 'old'), end=', ')"
    notebook = a_notebook(tmp_path / "step.ipynb", asks, PARENT)
    environment = {**os.environ, "PYTHONPATH": f"{house}:{ROOT}", "PULSEBOOK_OUTPUTS": str(tmp_path / "outputs")}

    def run(*names):
        command = [sys.executable, "-c", LOADED, str(cold), str(notebook), *(str(tmp_path / name) for name in names)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=200)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    catalogue = house / "pulsebook" / "catalogue" / "__init__.py"
    assert run("a", "b") == ["old, started anew", "old, forked"]
    catalogue.write_text(catalogue.read_text() + "\nNEW = 'new'\n")
    assert run("c", "d") == ["new, started anew", "new, forked"]
    os.utime(catalogue)
    assert run("e", "f") == ["new, started anew", "new, forked"]
    assert len(servers(cold)) == 1


def test_a_server_that_is_out_of_date_still_tells_how_its_kernels_end(cold, run, busy):
    code = "import sys; from pulsebook.execution import fork_server as f; f.LOOK = 0.1; sys.path.insert(0, sys.argv[2]); import mine; f.main()"
    (cold / "mine.py").write_text("")
    old = {**forked.PRESET, **forked.handed_on(variables()), forked.MARK: forked.NOBODY}
    time.sleep(0.1)
    subprocess.run([sys.executable, "-c", code, str(folder()), str(cold)], env=old, cwd="/", check=True, timeout=60)
    until((folder() / fork_server.NAME).exists, 90, "the server")
    (server,) = servers(cold)
    _, kernel, fail = busy("one")
    assert _parent(kernel) == server
    (cold / "mine.py").write_text("another = 1")
    assert run()[-1] != FORKED and lives(server)
    os.kill(kernel, signal.SIGSEGV)
    assert "SIGSEGV" in fail()[0].error
    until(lambda: not lives(server), 5, "the end of the old server")


def test_files_that_changed_since_or_while_they_were_imported_are_known(tmp_path, monkeypatch):
    module = tmp_path / "some_module.py"
    module.write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("some_module")
    assert fork_server.Files(since=time.time() - 1).changed() == [str(module)], (
        "perhaps it was another one that was imported"
    )
    files = fork_server.Files(since=time.time() + 1)
    assert files.changed() == []
    module.write_text("x = 22")
    assert files.changed() == [str(module)]
    module.unlink()
    assert files.changed() == [str(module)]


@pytest.mark.parametrize("how", ["idle", "without its socket", "SIGTERM"])
def test_a_server_that_nobody_needs_ends_with_its_folder(how, cold):
    place = cold / f"{SERVER}of-its-own"
    code = (
        f"import sys; from pulsebook.execution import fork_server as f; f.LOOK = 0.1; f.IDLE = {0.5 if how == 'idle' else 60}\n"
        f"f.PREPARED = f.ROOMS = f.LATE = (); sys.argv[1:] = [{str(place)!r}]; f.main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    if how != "idle":
        until((place / fork_server.NAME).exists, 30, "the server")
        (pid,) = servers(cold)
        os.kill(pid, signal.SIGTERM) if how == "SIGTERM" else (place / fork_server.NAME).unlink()
    until(lambda: not servers(cold), 30, "its end", pause=0.02)
    assert how == "without its socket" or not place.exists()


def test_what_cannot_be_forked_is_started_anew(warm, run, monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("PULSEBOOK_KERNEL_FORK", "0")
    settings.cache_clear()
    assert run()[-1] != FORKED and "started anew" not in caplog.text
    monkeypatch.delenv("PULSEBOOK_KERNEL_FORK")
    settings.cache_clear()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "requests.py").write_text("own = True")
    monkeypatch.setenv("PULSEBOOK_WORKING_FOLDER", str(tmp_path / "own"))
    settings.cache_clear()
    said = run("import requests\nprint(requests.own)")
    assert said[0] == "True\n" and "takes the place of a module that is imported already" in caplog.text
    monkeypatch.setenv("PULSEBOOK_WORKING_FOLDER", str(ROOT))
    settings.cache_clear()
    assert run("import pulsebook")[-1] == FORKED, "the package itself is no other module"
    monkeypatch.setenv("PYTHONPATH", f".:{os.environ.get('PYTHONPATH', '')}")
    assert run()[-1] != FORKED and "PYTHONPATH depends on the working folder" in caplog.text


@pytest.mark.parametrize(
    "command", [["R", "--slave", "-e", "IRkernel::main()"], ["/usr/bin/python3", "-m", "ipykernel_launcher"]]
)
def test_kernels_of_other_languages_and_environments_are_started_anew(command):
    with pytest.raises(OSError, match="it is another environment's, or no Python"):
        forked._start_of(command)


def test_a_kernel_that_dies_before_it_is_ready_has_died(outputs, tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit(3)", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "broken", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    with pytest.raises(runner.NotebookFailed, match="kernel died: the kernel died before it was ready"):
        runner.run(a_notebook(tmp_path / "step.ipynb", "1"), {}, tmp_path / "out", kernel_name="broken")
    assert only_record(tmp_path / "out").status == "kernel died"


@pytest.mark.slow
def test_thirty_notebooks_some_of_them_killed_leave_nothing(warm, temporary, run, busy):
    killed = 0

    def left():
        own = len(os.listdir("/proc/self/fd")) - 2 * killed  # `multiprocessing` remembers each process by two
        return own, len(os.listdir(f"/proc/{warm}/fd")), len(list(temporary.iterdir()))

    run()
    before = left()
    for number in range(30):
        if number % 6 == 5:
            task, kernel, _ = busy(f"n{number}")
            task.kill()
            task.join()
            killed += 1
            until(lambda kernel=kernel: not lives(kernel), 5, "the end of its kernel", pause=0.02)
        elif number % 6 == 4:
            assert "SIGKILL" in run("import os\nos.kill(os.getpid(), 9)")[0]
        else:
            assert run()[-1] == FORKED
    until(lambda: left() == before, 10, "everything being as it was")
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == warm]
