"""The DAGs as Airflow sees them, and a backfill by a real scheduler."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import papermill
import pytest

from pulsebook import runner
from pulsebook.local import sample
from pulsebook.periods import today
from pulsebook.settings import ROOT, settings

AIRFLOW = str(Path(sys.executable).with_name("airflow"))


@pytest.fixture(scope="module")
def etl():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags")
    assert not bag.import_errors
    return bag.dags["etl"]


def test_the_dag_has_the_promised_ids_and_schedule(etl):
    assert set(etl.task_ids) == {
        "extract_feed", "extract_messages", "merge_users", "slice_os", "slice_gender", "slice_age", "load"
    }  # fmt: skip
    assert etl.timetable.summary == "0 3 * * *" and not etl.catchup
    assert "Triage notes" in etl.doc_md
    assert etl.get_task("merge_users").upstream_task_ids == {"extract_feed", "extract_messages"}
    assert etl.get_task("load").upstream_task_ids == {"slice_os", "slice_gender", "slice_age"}
    assert all(task.retries == 2 and task.retry_delay for task in etl.tasks)


def test_the_parameters_of_every_task_are_parameters_of_its_notebook(etl):
    for task in etl.tasks:
        assert set(task.parameters) <= set(papermill.inspect_notebook(str(ROOT / "notebooks" / task.input_nb)))


@pytest.mark.parametrize("value", ["2026-13-45", "22.11.2026", 5])
def test_a_run_date_that_is_no_date_is_refused_before_the_run_exists(etl, value):
    from airflow.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        etl.params.get_param("run_date").resolve(value)


def test_the_run_date_is_yesterday_of_the_instant_or_what_was_asked_for():
    from pulsebook.airflow.operator import run_date

    due = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)  # 01:00 in Moscow on the 23rd
    assert run_date(SimpleNamespace(logical_date=due, run_after=None), {"run_date": None}) == "2026-11-22"
    assert run_date(SimpleNamespace(logical_date=None, run_after=due), {}) == "2026-11-22"
    assert run_date(SimpleNamespace(logical_date=due, run_after=due), {"run_date": "2026-01-05"}) == "2026-01-05"


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"run_dat": "2026-11-22"}, "has no parameter run_dat; it has run_date"),
        ({"run_date": 20261122}, "parameter run_date of load.ipynb must be str, got int"),
        ({"staging_days": "7"}, "must be int, got str"),
    ],
)
def test_unknown_or_wrongly_typed_parameters_fail_before_anything_runs(parameters, says, tmp_path):
    with pytest.raises(runner.ParameterError, match=says):
        runner.run(ROOT / "notebooks/etl/load.ipynb", parameters, tmp_path)
    assert not list(tmp_path.iterdir())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def airflow(tmp_path, configured):
    """A real Airflow: scheduler, DAG processor and API server on SQLite; gives a function that runs its CLI."""
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(16).hex(),
        "AIRFLOW__API__SECRET_KEY": os.urandom(16).hex(),
        "AIRFLOW__CORE__PARALLELISM": "3",
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
        "AIRFLOW__API__WORKERS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }

    def cli(*words: str) -> str:
        done = subprocess.run([AIRFLOW, *words], env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    cli("db", "migrate")
    log = open(tmp_path / "airflow.log", "w")  # noqa: SIM115 (open as long as the services run)
    services = [
        subprocess.Popen(
            [AIRFLOW, *words], env=environment, stdout=log, stderr=log, start_new_session=True, cwd=tmp_path
        )
        for words in (
            ["api-server", "--host", "127.0.0.1", "--port", str(port)],
            ["dag-processor"],
            ["scheduler", "--skip-serve-logs"],
        )
    ]
    yield cli
    for service in services:
        os.killpg(service.pid, signal.SIGTERM)
    for service in services:
        try:
            service.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
    log.close()
    shutil.rmtree(tmp_path / "airflow", ignore_errors=True)


def until(happens, seconds: float, what: str):
    """Wait for a condition; returns its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := happens():
            return value
        time.sleep(1)
    pytest.fail(f"{what} did not happen within {seconds:g} s")


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_backfill_of_three_days_fills_exactly_three_days(airflow, server, configured, databases, execute):
    sample.fill(sample.http(server), 8, 300, 1, None, "Europe/Moscow", databases[0])
    last = datetime.now(UTC).date()  # its run at 00:00 UTC, 03:00 in Moscow, is the latest that was due
    until(lambda: "etl" in airflow("dags", "list", "-o", "plain"), 90, "parsing of the DAG")
    airflow(
        "backfill", "create", "--dag-id", "etl", "--from-date", str(last - timedelta(days=2)), "--to-date", str(last)
    )
    airflow("dags", "unpause", "etl")  # would start the latest run that was missed: it is one of the three
    days = {str(last - timedelta(days=n)) for n in (1, 2, 3)}

    def loads():
        records = (settings().outputs / "etl").glob("*/*/load-try*.json")
        return [r for r in (json.loads(p.read_text() or "{}") for p in records) if r.get("ended")]

    until(lambda: len(loads()) >= 3, 420, "the third load")
    assert {r["status"] for r in loads()} == {"succeeded"}
    assert {r["parameters"]["run_date"] for r in loads()} == days
    found = execute(f"SELECT DISTINCT event_date FROM {databases[1]}.metrics_by_dimension FORMAT TSV").split()
    assert set(found) == days and all(date.fromisoformat(d) < today().date for d in found)
    tries = list((settings().outputs / "etl").glob("*/*/*.ipynb"))
    assert len(tries) == 21, "seven notebooks a day, each at its first try"
