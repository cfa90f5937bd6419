"""A day through a real scheduler: from the trigger to the loaded table, and where the seconds go.

    python -m tests.bench.pipeline [--millions 1] [--runs 3] [--plain]

Airflow with its scheduler on SQLite and the embedded warehouse, all on loopback. The first run warms the workers and is
left out. Of each task, in seconds: how long it waited for its worker; how long the worker took before the notebook began;
the kernel's start; its imports; the other cells, nearly all of it statements; saving between the cells; the kernel's end;
the pages and the record. `--plain`, for comparison: without the preload plugin, with Airflow's own idle sleep, and with kernels that
are started anew, as papermill does.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import requests

from pulsebook.local import services
from pulsebook.local.processes import ProcessGroup
from pulsebook.local.server import running
from tests.bench.etl import DAY, fill

LAST_SLOT = f"{DAY}T23:45:00+03:00"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="without preload, short idle sleep and forked kernels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "warehouse") as url:
        fill(url, int(arguments.millions * 1e6))
        home, port = Path(folder) / "airflow", services.free_port()
        outputs = Path(folder) / "outputs"
        environment = {
            **services.served(home, port),
            **services.sample_only(url),
            "PULSEBOOK_OUTPUTS": str(outputs),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        if arguments.plain:
            del (
                environment["AIRFLOW__CORE__PLUGINS_FOLDER"],
                environment["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"],
            )
            environment["PULSEBOOK_KERNEL_FORK"] = "0"
        address, password = f"http://127.0.0.1:{port}", services.passwords(home, services.LOGIN)[services.LOGIN]
        services.run(environment, "db", "migrate")
        group = ProcessGroup(Path(folder) / "processes")
        try:
            services.start(group, environment)
            group.wait_for(lambda: services.healthy(environment), 120, "Airflow in good health")
            api = Api(address, services.bearer(address, services.LOGIN, password))
            group.wait_for(lambda: {"etl", "alerts"} <= api.dags(), 90, "the DAGs")
            for dag, conf in (("etl", {"run_date": DAY}), ("alerts", {"slot": LAST_SLOT})):
                for n in range(arguments.runs + 1):
                    report(dag, n, *api.timed(group, dag, conf), outputs)
        finally:
            group.stop()


class Api:
    """Requests to Airflow."""

    def __init__(self, address: str, headers: dict):
        self.address, self.headers = f"{address}/api/v2", headers

    def call(self, method: str, path: str, **body) -> dict:
        answer = requests.request(method, self.address + path, json=body or None, headers=self.headers, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self.call("GET", "/dags")["dags"]}

    def timed(self, group: ProcessGroup, dag: str, conf: dict) -> tuple[float, list[dict]]:
        """Seconds from the trigger to the end of the last task, and the tasks."""
        triggered = time.time()
        run = self.call("POST", f"/dags/{dag}/dagRuns", logical_date=None, conf=conf)["dag_run_id"]
        path = f"/dags/{dag}/dagRuns/{run}"
        state = group.wait_for(lambda: self.over(path), 300, f"the end of {dag}")
        if state != "success":
            raise SystemExit(f"{dag} ended as {state}")
        tasks = self.call("GET", f"{path}/taskInstances")["task_instances"]
        return max(map(stamp("end_date"), tasks)) - triggered, sorted(tasks, key=stamp("start_date"))

    def over(self, path: str) -> str:
        state = self.call("GET", path)["state"]
        return state if state in ("success", "failed") else ""


def stamp(name: str):
    """Of a task or a record: an instant in seconds since 1970."""
    return lambda facts: datetime.fromisoformat(facts[name]).timestamp()


def report(dag: str, number: int, wall: float, tasks: list[dict], outputs: Path) -> None:
    print(f"{dag}{' (warming up)' if not number else ''}: {wall:.1f} s from the trigger to the end of the last task")
    for task in tasks if number else []:
        run = task["dag_run_id"].replace(":", "[:]")
        (file,) = outputs.glob(f"{dag}/*/{run}/{task['task_id']}-try1.json")
        record, notebook = (json.loads(f.read_text()) for f in (file, file.with_suffix(".ipynb")))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        spans = [cell["metadata"]["papermill"] for cell in cells]
        first, last = stamp("start_time")(spans[0]), stamp("end_time")(spans[-1])
        took = sum(span["duration"] for span in spans)
        imports = sum(
            span["duration"]
            for span, cell in zip(spans, cells, strict=True)
            if "".join(cell["source"]).startswith(("from ", "import "))
        )
        queued, started, ended = (stamp(name)(task) for name in ("queued_when", "start_date", "end_date"))
        begun, done = stamp("started")(record), stamp("ended")(record)
        parts = {
            "waits": started - queued,
            "before": begun - started,
            "kernel": first - begun,
            "imports": imports,
            "cells": took - imports,
            "saving": last - first - took,
            "end": done - last,
            "pages": ended - done,
        }
        print(f"  {task['task_id']:<17}" + "".join(f"{name:>9} {seconds:4.2f}" for name, seconds in parts.items()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
