"""Nothing goes on whose reason to run is gone."""

import asyncio
import os
import signal
import threading
import time

import pytest

from pulsebook import runner
from pulsebook.archive.record import Record
from pulsebook.execution.client import Client
from pulsebook.execution.guard import Guard, ending_with
from pulsebook.execution.interrupts import handled_between_callbacks
from tests.test_archive import FORK, WAITING, a_notebook, lives, until


def _task(notebook, place, folder, parent):
    def killed(*_):
        raise runner.Killed("the task was told to stop")  # as the operator does

    signal.signal(signal.SIGTERM, killed)
    with ending_with(parent):
        runner.run(notebook, {"place": str(place)}, folder)


def _worker(*arguments):
    FORK.Process(target=_task, args=(*arguments, os.getpid())).start()
    time.sleep(600)


def test_a_task_whose_worker_is_killed_ends_as_killed_and_so_does_its_kernel(tmp_path):
    folder, place = tmp_path / "outputs" / "etl" / "2026-11-20" / "run-1", tmp_path / "pids"
    notebook = a_notebook(tmp_path / "step.ipynb", "## Wait", WAITING)
    worker = FORK.Process(target=_worker, args=(notebook, place, folder))
    worker.start()
    until(place.exists, 60, "the waiting cell")
    (path,) = folder.glob("*.json")
    pids = [Record.load(path).pid, *map(int, place.read_text().split())]
    worker.kill()
    worker.join(5)
    until(lambda: Record.load(path).status == "killed", 10, "the end of the task")
    until(lambda: not any(map(lives, pids)), 5, "the end of all processes")
    assert "told to stop" in Record.load(path).error


def test_a_process_whose_parent_lives_is_left_alone():
    with ending_with(os.getppid()):
        time.sleep(1.5)


def test_a_guard_that_was_killed_does_not_change_how_a_run_ends(tmp_path):
    guard = Guard(tmp_path)
    guard._process.kill()
    guard._process.wait()
    guard.end()


def test_a_guard_removes_the_folder_of_the_sockets(tmp_path):
    (tmp_path / "pb-x").mkdir()
    (tmp_path / "pb-x" / "kernel.json").write_text("{}")
    Guard(tmp_path / "pb-x").end()
    assert not (tmp_path / "pb-x").exists()


class OverTime(BaseException):
    """As what Airflow raises in its handler of SIGALRM."""


@pytest.fixture
def limit():
    """A time limit that strikes where the test sends SIGALRM."""

    def strike(*_):
        raise OverTime("the task's time is over")

    before = signal.signal(signal.SIGALRM, strike)
    yield strike
    assert signal.getsignal(signal.SIGALRM) is strike, "the handler is the one of before"
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def loop():
    """An event loop that is not this thread's."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def struck():
    """The signal comes within this call."""
    os.kill(os.getpid(), signal.SIGALRM)
    for _ in range(1000):
        pass


def in_a_callback(loop):
    loop.call_soon(struck)
    loop.run_until_complete(asyncio.wait_for(asyncio.Event().wait(), 3))


def in_a_task_that_nobody_asks(loop):
    async def beside():
        struck()

    async def main():
        task = asyncio.ensure_future(beside())
        await asyncio.sleep(3)
        await task

    loop.run_until_complete(main())


def while_the_loop_waits(loop):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGALRM)).start()
    loop.run_until_complete(asyncio.sleep(3))


def in_the_last_callback(loop):
    over = loop.create_future()
    loop.call_soon(over.set_result, None)
    loop.call_soon(struck)
    loop.run_until_complete(over)


def twice(loop):
    loop.call_soon(struck)
    in_a_callback(loop)


def after_the_loop(loop):
    loop.run_until_complete(asyncio.sleep(0))
    struck()


@pytest.mark.parametrize(
    "moment",
    [in_a_callback, in_a_task_that_nobody_asks, while_the_loop_waits, in_the_last_callback, twice, after_the_loop],
)
def test_what_a_handler_raises_ends_the_run_whatever_the_loop_does_at_that_moment(moment, loop, limit):
    begun = time.monotonic()
    with pytest.raises(OverTime), handled_between_callbacks(loop):
        moment(loop)
    assert time.monotonic() - begun < 2
    assert loop.run_until_complete(asyncio.sleep(0, "nothing is left of it")) == "nothing is left of it"


def test_without_it_asyncio_forgets_what_a_handler_raises(loop, limit):
    forgotten = []
    loop.set_exception_handler(lambda _, context: forgotten.append(context["exception"]))
    with pytest.raises(TimeoutError):
        loop.call_soon(struck)
        loop.run_until_complete(asyncio.wait_for(asyncio.Event().wait(), 0.2))
    assert [type(error) for error in forgotten] == [OverTime], "no longer so? Then this room can go"


def test_a_handler_that_raises_nothing_is_called_once_and_the_run_goes_on(loop, limit):
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append((number, frame is not None)))
    with handled_between_callbacks(loop):
        loop.call_soon(struck)
        assert loop.run_until_complete(asyncio.sleep(0.1, "done")) == "done"
    assert heard == [(signal.SIGALRM, True)]
    signal.signal(signal.SIGALRM, before)


def test_where_a_loop_runs_already_signals_are_left_alone(limit):
    """In JupyterLab a run executes beside the kernel's own loop, and an interrupt must reach the waiting cell."""

    async def cell():
        with handled_between_callbacks(asyncio.get_running_loop()):
            return signal.getsignal(signal.SIGALRM)

    assert asyncio.run(cell()) is limit


def test_a_time_limit_that_strikes_amid_a_callback_of_the_clients_loop_ends_the_run(tmp_path, limit, monkeypatch):
    folder, notebook = tmp_path / "outputs" / "etl" / "2026-11-20" / "run-1", tmp_path / "step.ipynb"
    reply = Client._reply

    async def struck_on_the_way(client, *arguments):
        asyncio.get_running_loop().call_later(0.2, struck)
        return await reply(client, *arguments)

    monkeypatch.setattr(Client, "_reply", struck_on_the_way)
    a_notebook(notebook, "## Wait", "import time\ntime.sleep(30)")
    begun = time.monotonic()
    with pytest.raises(OverTime):
        runner.run(notebook, {}, folder)
    (path,) = folder.glob("*.json")
    record = Record.load(path)
    assert time.monotonic() - begun < 20
    assert (record.status, record.error.split(": ", 1)[1]) == ("failed", "OverTime: the task's time is over")
