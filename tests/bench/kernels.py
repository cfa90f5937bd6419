"""A small notebook in our runner beside plain papermill, and the memory that a further task takes.

    python -m tests.bench.kernels [--runs 7] [--tasks 4]

Plain papermill starts a kernel anew and keeps no evidence. Ours is measured with a fork server that is ready, and without one.
The three take turns; both notebooks are executed in this process, which has imported papermill. Memory is what all processes of
the tasks have (task, guard, kernel with pandas and the warehouse, fork server; each page shared by n counts as an nth: PSS).
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import papermill
from nbformat import v4, write

from pulsebook import runner
from pulsebook.base.environment import variables
from pulsebook.base.settings import settings
from pulsebook.execution import fork_server, forked

IMPORTS = "import pandas as pd\nfrom pulsebook.warehouse import Warehouse"
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


def ready() -> None:
    """Wait for a fork server."""
    start = forked._start_of([sys.executable, "-m", "ipykernel_launcher"])
    known = forked.handed_on(variables())
    socket = forked.folder_of(start, known) / fork_server.NAME
    if not socket.exists():
        forked._start(start, socket.parent, known)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=4)
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


if __name__ == "__main__":
    main()
