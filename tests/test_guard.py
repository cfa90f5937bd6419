"""Nothing goes on whose reason to run is gone."""

import os
import signal
import time

from pulsebook import runner
from pulsebook.archive.record import Record
from pulsebook.execution.guard import Guard, ending_with
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
