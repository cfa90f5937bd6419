"""Many notebooks through one fork server, a tenth of them killed, crashing, ending themselves or filling the memory; prints what
was found as JSON and fails where it is not as it must be.

    python -m tests.kernel_soak [--notebooks 2000] [--at-once 4]

A file of the project is touched at a quarter and at half of the way: the server is another one from then on.
"""

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from pulsebook import runner
from pulsebook.archive.ending import close_stale
from pulsebook.archive.verify import verify
from pulsebook.base.settings import ROOT, settings
from pulsebook.execution.sockets import SERVER
from tests.test_archive import FORK, a_notebook, lives
from tests.test_fork import ready, servers

KINDS = {  # what every fortieth notebook does, and how its record ends
    "killed": ("import time\ntime.sleep(600)", "killed"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "kernel died"),
    "exits": ("import sys\nsys.exit(0)", "skipped"),
    "leaks": ("leak = bytearray(200_000_000)\nprint('leaked', len(leak))", "succeeded"),
}
FINE = (
    "import pandas as pd\nprint('sum', pd.Series(range(number)).sum(), random.random(), np.random.rand())",
    "succeeded",
)
GROWTH = 10.0  # MB that the server may grow by in the second half


def kind_of(number: int) -> str:
    return [*KINDS, *["fine"] * 36][number % 40]


def task(book: Path, place: Path, number: int) -> None:
    """What Airflow's task process does."""
    with suppress(runner.NotebookFailed):
        runner.run(book, {"number": number, "place": str(place / "kernel")}, place)


def megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nRss:")[1].split()[0]) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebooks", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=4)
    arguments = parser.parse_args()
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))
    tempfile.tempdir = str(temporary)
    outputs = temporary / "outputs"
    os.environ["PULSEBOOK_OUTPUTS"] = str(outputs)
    settings.cache_clear()
    books = {}
    for kind, (code, _) in {**KINDS, "fine": FINE}.items():
        begin = "import os, random\nimport numpy as np\nopen(place, 'w').write(str(os.getpid()))"
        declared = 'number: int = 0  # which\nplace: str = ""  # a file'
        books[kind] = a_notebook(temporary / f"{kind}.ipynb", begin, code, parameters=declared)
    ready(temporary)
    before, sizes, running, begun = os.listdir(temporary), [], {}, time.monotonic()
    for number in range(arguments.notebooks):
        while len(running) >= arguments.at_once:
            settle(running)
        if number in (arguments.notebooks // 4, arguments.notebooks // 2):
            os.utime(ROOT / "pulsebook" / "__init__.py")
        if number % 50 == 0 and (known := servers(temporary)):
            sizes.append((number, known[-1], megabytes(known[-1])))
        place = outputs / "soak" / "2026-11-20" / f"run-{number}"
        process = FORK.Process(target=task, args=(books[kind_of(number)], place, number))
        process.start()
        running[number] = (process, place, time.monotonic())
    while running:
        settle(running)
    seconds = time.monotonic() - begun
    found = result(outputs, arguments.notebooks, temporary, before)
    late = [size for number, pid, size in sizes if pid == sizes[-1][1] and number > arguments.notebooks * 0.6]
    found |= {"seconds": round(seconds), "a notebook": round(seconds / arguments.notebooks, 2),
              "servers": len({pid for _, pid, _ in sizes}), "server MB in the second half": late}  # fmt: skip
    print(json.dumps(found, indent=2))
    for pid in servers(temporary):
        os.kill(pid, signal.SIGTERM)
    shutil.rmtree(temporary, ignore_errors=True)
    if (
        found["wrong"]
        or found["findings"]
        or found["kernels left"]
        or found["left"]
        or max(late, default=0) - min(late, default=0) > GROWTH
    ):
        raise SystemExit("not as it must be")


def settle(running: dict) -> None:
    """Take out what has ended; kill what is to be killed once its kernel works."""
    time.sleep(0.02)
    for number, (process, place, since) in list(running.items()):
        if kind_of(number) == "killed" and (place / "kernel").exists() and time.monotonic() - since > 1:
            process.kill()
        if not process.is_alive():
            process.join()
            process.close()
            del running[number]


def result(outputs: Path, notebooks: int, temporary: Path, before: list[str]) -> dict:
    """What is not as it must be, once what was killed is over."""
    deadline, wrong, statuses, drawn = time.monotonic() + 30, [], Counter(), set()
    kernels = []
    while time.monotonic() < deadline:
        kernels = [p for p in (int(f.read_text()) for f in outputs.glob("soak/*/*/kernel")) if is_kernel(p)]
        if not kernels:
            break
        time.sleep(0.5)
    for number in range(notebooks):
        place, kind = outputs / "soak" / "2026-11-20" / f"run-{number}", kind_of(number)
        for path in place.glob("*-try1.json"):
            close_stale(path)
        records = [json.loads(path.read_text()) for path in place.glob("*.json")]
        expected = ({**KINDS, "fine": FINE})[kind][1]
        got = records[0]["status"] if len(records) == 1 else f"{len(records)} records"
        statuses[f"{kind}: {got}"] += 1
        said = ""
        if kind == "fine":
            said = "".join(path.read_text() for path in place.glob("*.ipynb"))
            line = f"sum {number * (number - 1) // 2} "
            if line not in said:
                got = "another sum"
            drawn.add(said.partition(line)[2].partition("\\n")[0])
        if got != expected:
            wrong.append(f"{number} ({kind}): {got}")
    if len(drawn) < sum(kind_of(n) == "fine" for n in range(notebooks)):
        wrong.append("kernels share a random state")
    for path in outputs.glob("soak/*/*/kernel"):
        path.unlink()
    told = verify(outputs)
    left = [
        name
        for name in os.listdir(temporary)
        if name not in before and not name.startswith(SERVER) and name != "outputs"
    ]
    return {"notebooks": dict(statuses), "wrong": wrong[:20], "findings": [str(f) for f in told.findings[:20]],
            "kernels left": kernels, "left": left}  # fmt: skip


def is_kernel(pid: int) -> bool:
    """Whether a process lives that still is a kernel of ours: numbers come round."""
    try:
        return lives(pid) and any(
            "ipykernel" in word or "fork_server" in word for word in psutil.Process(pid).cmdline()
        )
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
