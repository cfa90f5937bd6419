"""All of it on one machine, for real: the embedded warehouse with events that keep arriving, and Airflow.

    python -m pulsebook.local.stack up       returns when all is well; says where everything is
    python -m pulsebook.local.stack down     ends it; nothing is left running
    python -m pulsebook.local.stack airflow backfill create …     a command of its Airflow

Everything listens on loopback alone and lies in `.local`: the warehouse's data, Airflow's home, logs, the login.
"""

import argparse
import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from pulsebook.base.settings import ROOT, SettingsError, settings
from pulsebook.local import live, sample, services, week
from pulsebook.local.processes import ProcessError, ProcessGroup
from pulsebook.local.shared import LOCAL, PASSWORD, PLAN, WAREHOUSE, phase, prepare

UP = LOCAL / "up"
HOME = UP / "airflow"
DAGS = {path.stem for path in (ROOT / "dags").glob("[!_]*.py")}
FIRST = {"etl"}  # whose first run others look at
PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def up(port: int, warehouse_port: int) -> int:
    """Start everything, unless it is up. What cannot be started as a whole is stopped again."""
    if group := ProcessGroup.load(UP):
        dead = group.dead()
        if group.facts.get("ready") and not dead:
            print("it is up already")
            _say_where(group)
            return 0
        why = f"{', '.join(dead)} has ended" if dead else "the start was cut off"
        print(f"not all of it is running ({why}): what is left is stopped, then all is started anew")
        group.stop("warehouse")
    new = not services.passwords_file(HOME).exists()
    password = services.passwords(HOME, services.LOGIN)[services.LOGIN]
    group = ProcessGroup(UP)
    try:
        ports = services.free_port(port, "Airflow"), services.free_port(warehouse_port, "the warehouse")
        _start(group, *ports, password)
    except BaseException as error:
        group.stop("warehouse")
        if new:
            services.passwords_file(HOME).unlink()  # nobody has seen it
        if isinstance(error, ProcessError | sample.SampleError | RuntimeError | requests.RequestException):
            print(f"it is not up, and what was started is stopped: {error}", file=sys.stderr)
            return 1
        raise
    _say_where(group, password if new else "")
    return 0


def down() -> int:
    """End everything, also what is left after a part of it has died."""
    group = ProcessGroup.load(UP)
    if group is None:
        print("nothing is up")
        return 0
    print(f"stopped: {group.stop('warehouse')} processes")
    return 0


def airflow(words: list[str]) -> int:
    """A command of the stack's Airflow, on its database; returns its exit code."""
    group = ProcessGroup.load(UP)
    if group is None or not group.facts.get("ready"):
        raise ProcessError("nothing is up: `make up` starts the Airflow that this command is for")
    url = sample.with_password(group.facts["warehouse"], PASSWORD)
    environment = {**services.commanded(HOME), **services.sample_only(url)}
    return subprocess.run([services.AIRFLOW, *words], env=environment, cwd=ROOT).returncode


def _start(group: ProcessGroup, port: int, warehouse_port: int, password: str) -> None:
    address = f"http://127.0.0.1:{port}"
    group.facts["airflow"] = address
    url = _start_warehouse(group, warehouse_port)
    environment = {**services.served(HOME, port), **services.sample_only(url)}
    filling = phase("filling the warehouse up to now; preparing Airflow's database", "the first time a minute or two")
    with ThreadPoolExecutor(1) as beside, filling:
        migrated = beside.submit(_prepare_airflow, environment)
        prepare(url)  # before Airflow starts: a DAG must not meet a day that is still being filled
        migrated.result()
    week.load(sample.http(url), environment)
    with phase("starting Airflow and the live events", "half a minute"):
        feeder = [sys.executable, "-m", "pulsebook.local.live", "--url", group.facts["warehouse"], "--plan", str(PLAN)]
        group.start("live", [*feeder, "--password-file", str(PASSWORD)], environment, cwd=ROOT)
        services.start(group, environment, triggerer=True)
        group.wait_for(lambda: services.healthy(environment, PARTS), 120, f"Airflow in good health at {address}")
        airflow = _Api(address, services.bearer(address, services.LOGIN, password))
        group.wait_for(lambda: airflow.dags() >= DAGS, 120, f"the DAGs {', '.join(sorted(DAGS))}")
    with phase("scheduling the DAGs; what is due runs at once", "the first time two minutes"):
        airflow.unpause(FIRST)
        latest = time.monotonic() + 180  # the others do not wait for one that fails and is tried again
        group.wait_for(lambda: all(map(airflow.has_run, FIRST)) or time.monotonic() > latest, 240, "the first runs")
        airflow.unpause(DAGS - FIRST)
    group.facts["ready"] = True
    group.save()


def _start_warehouse(group: ProcessGroup, port: int) -> str:
    """Returns its URL with the password, which stands in no command and no file but its own: those others can read."""
    services.warehouse_password(PASSWORD)
    group.facts["warehouse"] = f"http://127.0.0.1:{port}"
    server = [sys.executable, "-m", "pulsebook.local.server", "--path", str(WAREHOUSE), "--port", str(port)]
    server += ["--password-file", str(PASSWORD)]
    group.start("warehouse", server, dict(os.environ), cwd=ROOT)
    group.wait_for(lambda: _answers(f"{group.facts['warehouse']}/ping"), 30, "an answer of the embedded warehouse")
    return sample.with_password(group.facts["warehouse"], PASSWORD)


def _prepare_airflow(environment: dict[str, str]) -> None:
    """Have its database, in which our DAGs are paused until their turn comes; a DAG that is added later is not."""
    services.run(environment, "db", "migrate")
    services.run({**environment, services.PAUSED: "True"}, "dags", "reserialize")


class _Api:
    """What we ask Airflow as the admin."""

    def __init__(self, address: str, headers: dict):
        self.address, self.session = f"{address}/api/v2", requests.Session()
        self.session.headers.update(headers)

    def dags(self) -> set[str]:
        """The DAGs that Airflow knows.

        Raises:
            ProcessError: a DAG file cannot be imported.
        """
        if wrong := self._ask("GET", "importErrors")["import_errors"]:
            raise ProcessError("\n".join(f"{e['filename']} cannot be imported:\n{e['stack_trace']}" for e in wrong))
        return {dag["dag_id"] for dag in self._ask("GET", "dags")["dags"]}

    def unpause(self, dags: set[str]) -> None:
        for dag in dags:
            self._ask("PATCH", f"dags/{dag}", is_paused=False)

    def has_run(self, dag: str) -> bool:
        """Whether a run of the DAG has ended, well or not."""
        runs = self._ask("GET", f"dags/{dag}/dagRuns")["dag_runs"]
        return any(run["state"] in ("success", "failed") for run in runs)

    def _ask(self, method: str, path: str, **body) -> dict:
        answer = self.session.request(method, f"{self.address}/{path}", json=body or None, timeout=60)
        answer.raise_for_status()
        return answer.json()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:  # not listening yet
        return False


def _say_where(group: ProcessGroup, password: str = "") -> None:
    outputs, kept = settings().outputs, services.passwords_file(HOME).relative_to(ROOT)
    secret = f"{password}   (shown this once, kept in {kept})" if password else f"the one kept in {kept}"
    print(f"""
Airflow    {group.facts["airflow"]}
  login    {services.LOGIN}
  password {secret}
chat       {outputs / "chat" / "index.html"}
archive    {outputs / "index.html"}   (both pages appear with the first runs, within a minute)
warehouse  {group.facts["warehouse"]}   (new events every {live.INTERVAL:g} s)
  login    default
  password {services.warehouse_password(PASSWORD)}   (kept in {PASSWORD.relative_to(ROOT)})
  ask it   {services.how_to_query(group.facts["warehouse"], PASSWORD)}
logs       {UP.relative_to(ROOT)}/*.log
commands   make airflow ARGS="dags list"   (Airflow's own command line, for this Airflow)

`make down` stops all of it.""")


@contextmanager
def _alone():
    """One command at a time."""
    UP.mkdir(parents=True, exist_ok=True)
    with open(UP / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ProcessError("another `make up` or `make down` is at work here; wait for it, or end it") from None
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.stack", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("up", "down", "airflow"))
    parser.add_argument("words", nargs=argparse.REMAINDER, help="of a command of Airflow")
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's pages; another where it is taken")
    parser.add_argument("--warehouse-port", type=int, default=8123, help="of the warehouse; another where it is taken")
    arguments = parser.parse_args()
    try:
        if arguments.what == "airflow":
            return airflow(arguments.words)
        with _alone():
            return up(arguments.port, arguments.warehouse_port) if arguments.what == "up" else down()
    except (ProcessError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(130)
