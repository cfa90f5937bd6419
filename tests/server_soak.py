"""The embedded warehouse under clients by the hundred, half of them slow or hostile; prints what was found as JSON.

python -m tests.server_soak               # 500 clients for a minute
python -m tests.server_soak 20 100        # seconds, clients
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from pulsebook.local.server import running

LOAD = Path(__file__).with_name("server_load.py")
PEAK = 800 << 20  # bytes above what the server takes idle, at any moment: what a dozen statements work on
QUIET = 20.0  # seconds after which the engine's allocator has given back what nobody uses
KEPT = (
    400 << 20
)  # bytes above idle that may stay then: 250 open sessions, the engine's threads and caches; 200 s leave no more


@contextmanager
def clients(*arguments: object):
    """A process of `server_load`."""
    command = [sys.executable, str(LOAD), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def figures_of(process: subprocess.Popen) -> dict:
    """What it has found; it ends."""
    said, _ = process.communicate(timeout=150)
    if process.returncode:
        raise RuntimeError(f"clients ended with status {process.returncode}: {said[-300:]}")
    return json.loads(said)


def memory(folder: Path) -> int:
    """Bytes of memory of the server on a folder, without the pages of its libraries: those the system takes back."""
    pid = json.loads((folder / "owner.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def load(folder: Path, seconds: float, number: int, quiet: float = QUIET) -> dict:
    """Half of the clients ask honestly, half of them are slow or hostile. Returns figures: seconds, bytes, counts."""
    with running(folder) as url, ExitStack() as held:

        def answer(statement: str) -> str:
            response = requests.post(url, data=statement, timeout=60)
            response.raise_for_status()
            return response.text.strip()

        answer("CREATE TABLE t (client UInt64, turn UInt64) ENGINE = MergeTree ORDER BY client")
        nothing = held.enter_context(clients("nothing"))
        compared = nothing.stdout.readline().strip()
        idle = memory(folder)
        honest = [held.enter_context(clients("honest", number // 4, url)) for _ in range(2)]
        hostile = held.enter_context(clients("hostile", number // 2, url))
        pings = held.enter_context(clients("pings", url, compared))
        highest, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            highest = max(highest, memory(folder))
            time.sleep(0.1)
        waits = figures_of(pings)
        for client in (*honest, hostile):
            client.stdin.close()
            client.stdin = None
        served = [figures_of(client) for client in honest]
        tries = figures_of(hostile)["tries"]
        stored = int(answer("SELECT count() FROM t"))
        time.sleep(quiet)
        answered = {kind: sum(one["answered"].get(kind, 0) for one in served) for kind in served[0]["answered"]}
        return {
            "answered": answered,
            "failed": [failure for one in served for failure in one["failed"]],
            "stored": stored,
            "longest": max(one["longest"] for one in served),
            "tries": tries,
            "ping": _times(waits[url]),
            "ping of a server that does nothing": _times(waits[compared]),
            "memory": {"idle": idle, "highest": highest, "kept": memory(folder)},
        }


def _times(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "number": len(ordered),
        "median": statistics.median(ordered),
        "p99": ordered[int(len(ordered) * 0.99)],
        "highest": ordered[-1],
    }


def wrong(figures: dict) -> list[str]:
    """What is not as it should be, a sentence each."""
    ours, others, memory = figures["ping"], figures["ping of a server that does nothing"], figures["memory"]
    rules = {
        "every honest statement is answered rightly": not figures["failed"],
        "each kind is answered": len(figures["answered"]) == 4 and all(figures["answered"].values()),
        "an acknowledged insert is stored, once": figures["stored"] == figures["answered"].get("insert"),
        "each hostile kind had its turn": len(figures["tries"]) >= 6,
        # a machine that lets a server wait which does nothing lets ours wait as well
        "99 of 100 pings take less than a second": ours["p99"] < 1 + 2 * others["p99"],
        "memory at any moment is bounded": memory["highest"] < memory["idle"] + PEAK,
        "memory is given back": memory["kept"] < memory["idle"] + KEPT,
    }
    return [rule for rule, holds in rules.items() if not holds]


def main(seconds: str = "60", number: str = "500") -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = load(Path(folder), float(seconds), int(number))
    broken = wrong(figures)
    print(json.dumps({**figures, "broken rules": broken}, indent=1))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
