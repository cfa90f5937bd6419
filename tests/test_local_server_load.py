"""The embedded warehouse under 500 clients, half of them slow or hostile: all honest ones are served, in flat memory.

On demand, since it measures the machine as well. It is an aim: a ping takes seconds now and then, and memory is not flat.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from pulsebook.local.server import running

LOAD = Path(__file__).with_name("server_load.py")
SECONDS = float(os.environ.get("PULSEBOOK_TEST_SOAK", "20"))
GROWTH = 400 << 20  # bytes that the server may take above what it takes idle: the engine's own pools are most of it


class Client:
    """A process of `server_load`; `figures` ends it."""

    def __init__(self, *arguments: object):
        command = [sys.executable, str(LOAD), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def figures(self) -> dict:
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        return json.loads(said)


@contextmanager
def clients(*arguments: object):
    client = Client(*arguments)
    try:
        yield client
    finally:
        client.process.kill()
        client.process.communicate()


def memory(folder: Path) -> int:
    """Bytes of memory of the server on a folder."""
    pid = json.loads((folder / "owner.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif("PULSEBOOK_TEST_SOAK" not in os.environ, reason="on demand: PULSEBOOK_TEST_SOAK=60 (seconds)")
def test_500_clients_half_of_them_slow_or_hostile(tmp_path):
    with running(tmp_path) as url, ExitStack() as held:

        def answer(statement: str) -> str:
            response = requests.post(url, data=statement, timeout=60)
            assert response.ok, response.text
            return response.text

        answer("CREATE TABLE t (client UInt64, turn UInt64) ENGINE = MergeTree ORDER BY client")
        nothing = held.enter_context(clients("nothing"))
        compared = nothing.process.stdout.readline().strip()
        idle = memory(tmp_path)
        honest = [held.enter_context(clients("honest", 125, url)) for _ in range(2)]
        hostile = held.enter_context(clients("hostile", 250, url))
        pings = held.enter_context(clients("pings", url, compared))
        taken, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end:
            taken.append(memory(tmp_path))
            time.sleep(0.2)
        waits = pings.figures()
        for client in (*honest, hostile):
            client.process.stdin.close()
            client.process.stdin = None
        served = [client.figures() for client in honest]
        tries = hostile.figures()["tries"]
        ours, others = waits[url], waits[compared]
        figures = {
            "answered": {kind: sum(one["answered"].get(kind, 0) for one in served) for kind in served[0]["answered"]},
            "longest": max(one["longest"] for one in served),
            "tries": tries,
            "pings": len(ours),
            "median": statistics.median(ours),
            "p99": percentile(ours, 0.99),
            "median of a server that does nothing": statistics.median(others),
            "p99 of it": percentile(others, 0.99),
            "idle MB": idle >> 20,
            "MB by tenths": [max(taken[n * len(taken) // 10 : (n + 1) * len(taken) // 10]) >> 20 for n in range(10)],
        }
        print(json.dumps(figures, indent=1))
        failed = [failure for one in served for failure in one["failed"]]
        assert not failed, (len(failed), failed[:3], figures)
        assert all(count >= 100 for count in figures["answered"].values()), figures
        assert all(tries.values()), figures
        # a machine that lets a server wait which does nothing lets ours wait as well
        assert figures["median"] < 0.5 + 2 * figures["median of a server that does nothing"], figures
        assert figures["p99"] < 1 + 2 * figures["p99 of it"], figures
        assert max(taken) < idle + GROWTH, figures
        third = len(taken) // 3
        assert max(taken[-third:]) < max(taken[:-third]) + (64 << 20), figures
        assert answer("SELECT 1") == "1\n"
        assert answer("SELECT count() FROM t") == f"{figures['answered']['insert']}\n", (
            "each that was acknowledged, once"
        )
