"""A small notebook in our runner beside plain papermill, and the memory that a further task takes.

    python -m tests.bench.kernels [--runs 7] [--tasks 4] [--together 20]

Plain papermill starts a kernel anew and keeps no evidence. Ours is measured with a fork server that is ready, and without one.
The three take turns; both notebooks are executed in this process, which has imported papermill. Memory is what all processes of
the tasks have (task, guard, kernel with pandas and the warehouse, fork server; each page shared by n counts as an nth: PSS).
Last, so many tasks at once beside as many one after another: time, and processor time of tasks, kernels and fork server.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import papermill
import psutil
from nbformat import v4, write

from pulsebook import runner
from pulsebook.base.environment import variables
from pulsebook.base.settings import settings
from pulsebook.execution import fork_server, forked

IMPORTS = "import pandas as pd\nfrom pulsebook.warehouse import Warehouse"
START = forked._start_of([sys.executable, "-m", "ipykernel_launcher"])
FORK = multiprocessing.get_context("fork")


def notebook(place: Path, *cells: str) -> Path:
    write(v4.new_notebook(cells=[v4.new_code_cell(c) for c in cells], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}), place)  # fmt: skip
    return place


def ours(book: Path, place: Path, fork: bool) -> None:
    os.environ["PULSEBOOK_KERNEL_FORK"] = str(fork)
    settings.cache_clear()
    runner.run(book, {}, place)


def plain(book: Path, place: Path) -> None:
    papermill.execute_notebook(str(book), str(place), progress_bar=False)


def seconds(work, *arguments) -> float:
    begun = time.monotonic()
    work(*arguments)
    return time.monotonic() - begun


def folder_of_server() -> Path:
    return forked.folder_of(START, forked.handed_on(variables()))


def ready() -> None:
    """Wait for a fork server."""
    socket = folder_of_server() / fork_server.NAME
    if not socket.exists():
        forked._start(START, socket.parent, forked.handed_on(variables()))
    while not socket.exists():
        time.sleep(0.1)


def memory() -> float:
    """Megabytes of this process, what it has forked, and all that carry the mark in their environment."""
    mark, total = f"{MARK}={os.environ[MARK]}".encode(), 0.0
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if os.getpid() in (int(path.name), parent) or mark in (path / "environ").read_bytes():
                total += int((path / "smaps_rollup").read_text().split("\nPss:")[1].split()[0]) / 1000
    return total


MARK = "PULSEBOOK_CREW"


def further(place: Path, tasks: int, fork: bool) -> float:
    """Megabytes that each task after the first takes."""
    book = notebook(place / "waits.ipynb", IMPORTS, f"import os, time\nopen({str(place)!r} + f'/{{os.getpid()}}.there', 'w')\ntime.sleep(600)")  # fmt: skip
    started, found = [], []
    for number in range(tasks):
        task = FORK.Process(target=ours, args=(book, place / f"{fork}-{number}", fork))
        task.start()
        started.append(task)
        while len(list(place.glob("*.there"))) <= number:
            time.sleep(0.1)
        time.sleep(2)
        found.append(memory())
    for task in started:
        task.kill()
        task.join()
    for there in place.glob("*.there"):
        there.unlink()
    return (found[-1] - found[0]) / (tasks - 1)


def processor() -> float:
    """Seconds of processor time that ended tasks, the fork server and its ended kernels have taken so far."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    folder = str(folder_of_server())
    (server,) = (p for p in psutil.process_iter(["cmdline"]) if folder in (p.info["cmdline"] or []))
    return own.ru_utime + own.ru_stime + sum(server.cpu_times()[:4])


def crowd(book: Path, place: Path, tasks: int, at_once: bool) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of so many tasks that all succeed, at once or one after another."""
    begun, used = time.monotonic(), processor()
    started = [FORK.Process(target=ours, args=(book, place / f"crowd-{at_once}-{n}", True)) for n in range(tasks)]
    for task in started:
        task.start()
        if not at_once:
            task.join()
    for task in started:
        task.join()
    took = time.monotonic() - begun
    states = [json.loads(r.read_text())["status"] for r in place.glob(f"crowd-{at_once}-*/*.json")]
    if states != ["succeeded"] * tasks:
        raise SystemExit(f"of {tasks} notebooks at once: {states}")
    time.sleep(2)  # the server has seen the last kernel end
    return took, processor() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--together", type=int, default=20)
    arguments = parser.parse_args()
    os.environ[MARK] = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["PULSEBOOK_OUTPUTS"] = str(place / "outputs")
        for name, cells in (("trivial", ["1 + 1"]), ("imports", [IMPORTS])):
            book = notebook(place / f"{name}.ipynb", *cells)
            ready()
            took = {"plain": [], "warm": [], "anew": []}
            for number in range(arguments.runs + 1):
                took["plain"].append(seconds(plain, book, place / f"{name}-plain-{number}.ipynb"))
                took["warm"].append(seconds(ours, book, place / f"{name}-warm-{number}", True))
                took["anew"].append(seconds(ours, book, place / f"{name}-anew-{number}", False))
            middle = {way: statistics.median(times[1:]) for way, times in took.items()}
            print(
                f"{name} notebook: plain papermill {middle['plain']:.2f} s; ours, forked {middle['warm']:.2f} s "
                f"({middle['warm'] / middle['plain']:.2f}); ours, started anew {middle['anew']:.2f} s ({middle['anew'] / middle['plain']:.2f})",
                flush=True,
            )
        for fork in (True, False):
            print(
                f"a further task: {further(place, arguments.tasks, fork):.0f} MB, {'forked' if fork else 'started anew'}",
                flush=True,
            )
        ready()
        (alone, of_alone), (took, used) = (crowd(book, place, arguments.together, at_once) for at_once in (False, True))
        print(
            f"{arguments.together} notebooks: one after another {alone:.1f} s, {of_alone:.1f} s of processor time; "
            f"at once {took:.1f} s, {used:.1f} s ({used / of_alone:.2f})"
        )


if __name__ == "__main__":
    main()
