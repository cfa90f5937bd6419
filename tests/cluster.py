"""Several machines in small: Airflow on PostgreSQL with the CeleryExecutor, Redis as its broker, two workers, and an
object store for the archive. All of it on loopback; nothing is left behind. Needs Debian's `postgresql` and
`redis-server`; takes minutes, so that `make test-cluster` runs it and `make test` does not."""

import ctypes
import glob
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import psutil
import psycopg2
import pytest
import requests

from pulsebook.base.settings import ROOT
from pulsebook.local import sample
from pulsebook.local.services import AIRFLOW, free_port
from tests.object_store import SECRET, object_store, objects
from tests.services import MOSCOW, until
from tests.world import METRICS, final_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
PR_SET_CHILD_SUBREAPER = 36  # Linux: whose parent dies becomes a child of ours, so that nobody is lost sight of
NOTICED = 12  # seconds without a heartbeat after which Airflow takes a task for dead
POLICY = """
from datetime import timedelta

def task_policy(task):
    task.retry_delay = timedelta(seconds=3)  # the DAGs wait minutes
"""


@contextmanager
def process(command: list, environment: dict, log: Path, stop=signal.SIGTERM, **how):
    """A service in a process group of its own; at the end the group is stopped, then killed."""
    with open(log, "a") as out:
        started = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True, **how)
    try:
        yield started
    finally:
        if started.poll() is None:
            os.killpg(started.pid, stop) if stop == signal.SIGTERM else started.send_signal(stop)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


def below(pid: int) -> dict[int, str]:
    """All processes that a process has started, with those that these have started, and their command lines."""
    found = {}
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found[child.pid] = " ".join(child.cmdline())
    return found


def a_program(name: str, *places: str) -> str:
    """The path of a program that a package of Debian brings."""
    found = [path for place in places for path in sorted(glob.glob(f"{place}/{name}"))] or [shutil.which(name)]
    if not found[-1]:
        pytest.fail(f"{name} is not installed: apt-get install postgresql redis-server")
    return found[-1]


@contextmanager
def postgres(home: Path, password: str):
    """A server with the database `airflow`; PostgreSQL refuses to run as root."""
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    data, port, binaries = home / "data", free_port(), "/usr/lib/postgresql/*/bin"
    data.mkdir()
    (home / "password").write_text(password)
    for path in (home, data, home / "password"):
        if who:
            shutil.chown(path, "postgres", "postgres")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run([a_program("initdb", binaries), "-D", data, "-U", "airflow", "--auth=scram-sha-256", "--no-sync",
                    f"--pwfile={home / 'password'}"], env=environment, check=True, capture_output=True, **who)  # fmt: skip
    command = [
        a_program("postgres", binaries),
        "-D",
        data,
        "-p",
        str(port),
        "-k",
        home,
        "-h",
        "127.0.0.1",
        "-c",
        "fsync=off",
    ]
    with process(command, environment, home / "log", signal.SIGINT, cwd=home, **who):
        known = dict(host="127.0.0.1", port=port, user="airflow", password=password)

        def connected(**how):
            try:
                return psycopg2.connect(**known, **how)
            except psycopg2.OperationalError:
                return None

        connection = until(lambda: connected(dbname="postgres"), 30, "the start of PostgreSQL")
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE airflow")
        connection.close()
        yield f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{port}/airflow"


@contextmanager
def redis(home: Path, password: str):
    port = free_port()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", home, "--requirepass", password]
    with process([a_program("redis-server"), *settings], dict(os.environ), home / "redis.log"):
        yield f"redis://:{password}@127.0.0.1:{port}/0"


def tell_logs(home: Path) -> None:
    """Print how each log ends: pytest shows it where something has failed."""
    for log in sorted(home.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()[-3000:]}")


def slow_in_the_middle(folder: Path) -> Path:
    """The notebooks; `merge_users` takes some seconds longer, so that the archive shows it in its middle."""
    shutil.copytree(ROOT / "notebooks", folder)
    place = folder / "etl/merge_users.ipynb"
    notebook = nbformat.read(place, 4)
    notebook.cells.insert(-2, nbformat.v4.new_code_cell("import time\n\ntime.sleep(6)"))
    nbformat.write(notebook, place)
    return folder


@pytest.fixture(scope="module")
def cluster(server):
    """A real cluster with our DAGs; `workers` are its Celery workers' processes, `api` is a request to Airflow."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = below(os.getpid())
    port, password = free_port(), uuid.uuid4().hex
    address = f"http://127.0.0.1:{port}"
    sample.fill(sample.http(server), 8, 1000, 1, None, "Europe/Moscow", "cluster_source")
    with ExitStack() as stack:

        def a_folder(name: str) -> Path:
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"pb-{name}-")))

        home = a_folder("airflow")
        (home / "config").mkdir()
        (home / "config" / "airflow_local_settings.py").write_text(POLICY)
        (home / "passwords.json").write_text(json.dumps({"admin": password}))
        stack.callback(tell_logs, home)
        database = stack.enter_context(postgres(a_folder("postgres"), password))
        broker = stack.enter_context(redis(home, password))
        store = stack.enter_context(object_store())
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PULSEBOOK", "AWS"))},
            **store,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "pulsebook" / "airflow" / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "",  # or asyncpg must be there: nothing here needs it
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "120",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(NOTICED),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": uuid.uuid4().hex,
            "AIRFLOW__API_AUTH__JWT_SECRET": uuid.uuid4().hex,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "PULSEBOOK_CLICKHOUSE_URL": server,
            "PULSEBOOK_SOURCE_DATABASE": "cluster_source",
            "PULSEBOOK_TARGET_DATABASE": "cluster_target",
            "PULSEBOOK_OUTPUTS": "s3://pulsebook/archive",
            "PULSEBOOK_NOTEBOOKS": str(slow_in_the_middle(home / "notebooks")),
            "PULSEBOOK_KERNEL_FORK": "0",  # a fork server outlives its workers for minutes; nothing may be left here
            "PYTHONWARNINGS": "ignore",
        }
        with open(home / "migration.log", "w") as log:
            subprocess.run([AIRFLOW, "db", "migrate"], env=environment, check=True, stdout=log, stderr=log, cwd=home)

        def service(name: str, *words: str):
            command, log = [AIRFLOW, *words], home / f"{name}.log"
            return stack.enter_context(process(command, environment, log, cwd=home))

        def bearer() -> dict:
            login = requests.post(f"{address}/auth/token", json={"username": "admin", "password": password}, timeout=20)
            return {"Authorization": f"Bearer {login.json()['access_token']}"}

        def api(method: str, path: str, **body):
            answer = requests.request(
                method, f"{address}/api/v2{path}", json=body or None, headers=bearer(), timeout=20
            )
            assert answer.ok, answer.text
            return answer.json()

        def page(path: str) -> str:
            return requests.get(f"{address}/pulsebook/{path}", headers=bearer(), timeout=30).text

        service("api", "api-server", "--host", "127.0.0.1", "--port", str(port))
        service("dags", "dag-processor")
        service("scheduler", "scheduler", "--skip-serve-logs")

        def worker(name: str):
            names = ["--celery-hostname", f"{name}@here", "--pid", str(home / f"{name}.pid")]
            return service(name, "celery", "worker", *names, "--skip-serve-logs", "--without-gossip")

        workers = {name: worker(name) for name in ("one", "two")}

        def answers():
            try:
                return {dag["dag_id"] for dag in api("GET", "/dags")["dags"]} >= {"etl", "alerts"}
            except requests.ConnectionError:
                return False

        until(answers, 120, "parsing of the DAGs")
        until(
            lambda: all("ready." in (home / f"{w}.log").read_text() for w in workers), 120, "the start of the workers"
        )
        yield SimpleNamespace(api=api, page=page, store=store, workers=workers, worker=worker, home=home)
    assert not home.exists()
    deadline = time.monotonic() + 10
    while left := {pid: line for pid, line in below(os.getpid()).items() if pid not in before}:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"left behind, and killed now: {left}")
        time.sleep(0.2)


def held(cluster, folder: str = "") -> dict[str, bytes]:
    """A folder of the archive as another client of the store sees it."""
    return {key.removeprefix("archive/"): data for key, data in objects(cluster.store, f"archive/{folder}").items()}


def records(archive: dict[str, bytes]) -> dict[str, dict]:
    """The run records among some files, by `task-try`."""
    return {Path(key).stem: json.loads(data) for key, data in archive.items() if re.search(r"-try\d+\.json$", key)}


def runs(cluster, dag: str) -> dict[str, str]:
    return {run["dag_run_id"]: run["state"] for run in cluster.api("GET", f"/dags/{dag}/dagRuns")["dag_runs"]}


def frame(execute, statement: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(execute(f"{statement} FORMAT CSVWithNames")), keep_default_na=False)


def loaded(execute, day) -> pd.DataFrame:
    found = frame(execute, f"SELECT * FROM cluster_target.metrics_by_dimension WHERE event_date = '{day}'")
    return found.astype({"dimension_value": str}).set_index(["dimension", "dimension_value"])[METRICS].sort_index()


def expected(execute, day) -> pd.DataFrame:
    """The day's table in pandas, from the raw rows."""
    columns = "user_id, toUnixTimestamp(time) AS time, gender, age, os"
    feed = frame(execute, f"SELECT {columns}, post_id, action FROM cluster_source.feed_actions")
    return final_table(
        feed, frame(execute, f"SELECT {columns}, receiver_id FROM cluster_source.message_actions"), day, MOSCOW
    )


def test_a_real_scheduler_runs_all_four_dags_on_two_workers_into_the_object_store(cluster, execute):
    yesterday = (datetime.now(MOSCOW) - timedelta(days=1)).date()
    for dag in ("etl", "feed_report", "app_report", "alerts"):
        cluster.api("PATCH", f"/dags/{dag}", is_paused=False)  # starts the run that was due last
        until(lambda dag=dag: "success" in runs(cluster, dag).values(), 200, f"the run of {dag}")
    cluster.api("PATCH", "/dags/alerts", is_paused=True)  # or a slot may begin while we look
    until(lambda: set(runs(cluster, "alerts").values()) == {"success"}, 200, "the end of a second slot")
    assert all(name.startswith("scheduled__") for dag in ("etl", "alerts") for name in runs(cluster, dag))
    pd.testing.assert_frame_equal(loaded(execute, yesterday), expected(execute, yesterday), check_dtype=False)
    archive = held(cluster)
    known = records(archive)
    rest = known.pop("rest-try1")
    assert rest["status"] == "skipped", "the app's report has said all"
    assert len(known) == 12 and {r["status"] for r in known.values()} == {"succeeded"}, "7 + 1 + 1 + 3 steps"
    for key in [key for key in archive if key.endswith("-try1.json")]:
        assert {key[:-4] + "ipynb", key[:-4] + "html"} <= set(archive)
        assert archive[key[:-4] + "html"].decode().startswith("<!DOCTYPE html>")
    entered = json.loads(archive[".index/overview.js"].decode().split("\n")[1])
    counts = [sum(day.get(dag, [0])[0] for day in entered["days"].values()) for dag in ("etl", "alerts")]
    assert counts == [7, 3 * len(runs(cluster, "alerts"))] and entered["running"] == []
    assert archive["chat/index.html"].decode().count("<article") == 2, "without a token both reports are on the page"
    assert not [key for key, data in archive.items() if SECRET.encode() in data]
    worked = {name for name in cluster.workers if "succeeded" in (cluster.home / f"{name}.log").read_text()}
    assert worked == set(cluster.workers)


def most_at_a_time(known: dict[str, dict]) -> int:
    """How many of some tries ran side by side at most."""
    times = sorted([(r["started"], 1) for r in known.values()] + [(r["ended"], -1) for r in known.values()])
    return max(accumulate(step for _, step in times))


def test_the_slots_of_the_pool_are_the_notebooks_that_run_at_a_time(cluster):
    """Four tasks may run on the workers here; with one slot ClickHouse sees one notebook after another."""
    day = (datetime.now(MOSCOW) - timedelta(days=4)).date()
    cluster.api("PATCH", "/dags/etl", is_paused=False)
    found = {}
    for slots in (128, 1):
        cluster.api("PATCH", "/pools/default_pool?update_mask=slots", slots=slots)
        run = cluster.api("POST", "/dags/etl/dagRuns", logical_date=None, conf={"run_date": str(day)})["dag_run_id"]
        until(lambda run=run: runs(cluster, "etl")[run] == "success", 200, "the end of the run")
        found[slots] = most_at_a_time(records(held(cluster, f"etl/{day}/{run}/")))
    cluster.api("PATCH", "/pools/default_pool?update_mask=slots", slots=128)
    assert found[128] > 1 and found[1] == 1, found


@pytest.mark.parametrize(
    ("what", "says", "back"),
    [("worker and task", "ended without a word", 2), ("worker", "the task was told to stop", 3)],
)
def test_a_worker_killed_in_the_middle_of_a_notebook_costs_a_retry_and_not_a_number(what, says, back, cluster, execute):
    day = (datetime.now(MOSCOW) - timedelta(days=back)).date()
    conf = {"run_date": str(day)}
    cluster.api("PATCH", "/dags/etl", is_paused=False)
    run = cluster.api("POST", "/dags/etl/dagRuns", logical_date=None, conf=conf)["dag_run_id"]

    def in_the_middle() -> int:
        """The frozen task of merge_users once its kernel has begun; let go again where it has not."""
        if not (found := records(held(cluster, f"etl/{day}/")).get("merge_users-try1")):
            return 0
        pid = found["pid"]
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return 0  # it has just ended
        time.sleep(0.5)  # what it had sent to the store before is there then: maybe the end of that cell
        executed = [
            data for key, data in held(cluster, f"etl/{day}/").items() if key.endswith("merge_users-try1.ipynb")
        ]
        cells = json.loads(executed[0])["cells"] if executed else []
        if any(cell["metadata"].get("papermill", {}).get("status") == "running" for cell in cells):
            return pid
        os.kill(pid, signal.SIGCONT)
        return 0

    pid = until(in_the_middle, 120, "the middle of merge_users")
    name = next(name for name, worker in cluster.workers.items() if pid in below(worker.pid))
    # The task has a group of its own: it dies as well where the machine is lost. The kernel is left to its guard.
    os.kill(pid, signal.SIGKILL if what == "worker and task" else signal.SIGCONT)
    os.killpg(cluster.workers[name].pid, signal.SIGKILL)
    killed = time.monotonic()
    cluster.workers[name] = cluster.worker(name)
    until(lambda: pid not in below(os.getpid()), 60, "the end of the task")
    print(f"{what} killed: the task was over {time.monotonic() - killed:.1f} s later, ", end="")
    until(lambda: runs(cluster, "etl")[run] in ("success", "failed"), 300, "the end of the run")
    print(f"the run {time.monotonic() - killed:.0f} s later")
    assert runs(cluster, "etl")[run] == "success"
    known = records(held(cluster, f"etl/{day}/{run}/"))
    tries = {name: r["status"] for name, r in known.items() if name.startswith("merge_users")}
    assert tries == {"merge_users-try1": "killed", "merge_users-try2": "succeeded"}
    assert says in (error := known["merge_users-try1"]["error"])
    assert "cell [" in error or what == "worker"  # the task then went on for up to a second: maybe to between two cells
    assert sorted(r["status"] for r in known.values()) == ["killed"] + ["succeeded"] * 7
    disturbed = loaded(execute, day)
    pd.testing.assert_frame_equal(disturbed, expected(execute, day), check_dtype=False)
    again = cluster.api("POST", "/dags/etl/dagRuns", logical_date=None, conf=conf)["dag_run_id"]
    until(lambda: runs(cluster, "etl")[again] == "success", 200, "the undisturbed run")
    pd.testing.assert_frame_equal(loaded(execute, day), disturbed)
    shown = cluster.page(f"etl/{run}/merge_users?try_number=1")
    assert says in shown and "try 2" in shown
    index = json.loads(held(cluster)[".index/overview.js"].decode().split("\n")[1])
    counted = index["days"][str(day)]["etl"]
    assert counted == [15, 0, 0, 0] and index["running"] == [], "a later try has made the killed one good"
