"""The DAGs as Airflow sees them, and a backfill by a real scheduler."""

import json
import os
import re
import signal
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import papermill
import pytest

from pulsebook import runner
from pulsebook.archive.record import Record, folder_of
from pulsebook.settings import ROOT
from tests.services import MOSCOW, TOKEN, until


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags")
    assert not bag.import_errors
    return bag.dags


@pytest.fixture
def etl(dags):
    return dags["etl"]


def test_every_dag_has_the_promised_schedule_docs_and_retries(dags):
    assert {dag.dag_id: dag.timetable.summary for dag in dags.values()} == {
        "etl": "0 3 * * *", "feed_report": "0 11 * * *", "app_report": "0 11 * * *", "alerts": "*/15 * * * *",
        "archive_prune": "30 4 * * *",
    }  # fmt: skip
    for dag in dags.values():
        assert "Triage notes" in dag.doc_md and not dag.catchup
        for task in dag.tasks:
            assert task.retries and task.retry_delay and task.on_failure_callback


def test_the_etl_has_the_promised_tasks_in_order(etl):
    assert set(etl.task_ids) == {
        "extract_feed", "extract_messages", "merge_users", "slice_os", "slice_gender", "slice_age", "load"
    }  # fmt: skip
    assert etl.get_task("merge_users").upstream_task_ids == {"extract_feed", "extract_messages"}
    assert etl.get_task("load").upstream_task_ids == {"slice_os", "slice_gender", "slice_age"}


def test_the_parameters_of_every_task_are_parameters_of_its_notebook(dags):
    notebooks = [task for dag in dags.values() for task in dag.tasks if hasattr(task, "input_nb")]
    assert len(notebooks) == 7 + 2 + 2
    for task in notebooks:
        assert set(task.parameters) <= set(papermill.inspect_notebook(str(ROOT / "notebooks" / task.input_nb)))


@pytest.mark.parametrize("value", ["2026-13-45", "22.11.2026", 5])
def test_a_run_date_that_is_no_date_is_refused_before_the_run_exists(etl, value):
    from airflow.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        etl.params.get_param("run_date").resolve(value)


@pytest.fixture
def operator():
    """The module, which imports Airflow."""
    from pulsebook.airflow import operator

    return operator


A_DAG = SimpleNamespace(params={"run_date": None, "slot": None})


def a_run(logical_date=None, run_after=None, conf=None):
    return SimpleNamespace(logical_date=logical_date, run_after=run_after, conf=conf)


def test_the_run_date_is_yesterday_of_the_instant_or_what_was_asked_for(operator):
    due = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)  # 01:00 in Moscow on the 23rd
    assert operator.run_date(A_DAG, a_run(logical_date=due), {"run_date": None}) == "2026-11-22"
    assert operator.run_date(A_DAG, a_run(run_after=due), {}) == "2026-11-22"
    assert operator.run_date(A_DAG, a_run(due, due), {"run_date": "2026-01-05"}) == "2026-01-05"


def test_the_slot_is_the_one_that_had_just_ended_or_what_was_asked_for(operator):
    due = datetime(2026, 11, 22, 21, 30, 4, tzinfo=UTC)
    assert operator.slot(A_DAG, a_run(logical_date=due), {"slot": None}) == "2026-11-23T00:15:00+03:00"
    assert operator.slot(A_DAG, a_run(run_after=due), {}) == "2026-11-23T00:15:00+03:00"
    assert operator.slot(A_DAG, a_run(due, due), {"slot": "2026-01-05T10:00"}) == "2026-01-05T10:00"


@pytest.mark.parametrize(
    ("macro", "conf", "says"),
    [
        ("run_date", {"run_date": "2999-01-01"}, "must be a day that is over"),
        ("slot", {"slot": "2026-01-05T10:07"}, "must begin on a quarter of an hour"),
        ("run_date", {"rundate": "2026-01-05"}, "the DAG has the parameters run_date, slot, got rundate"),
    ],
)
def test_a_run_that_no_retry_mends_fails_at_once(macro, conf, says, operator):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=says):
        getattr(operator, macro)(A_DAG, a_run(run_after=datetime.now(UTC), conf=conf), A_DAG.params | conf)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("conf", [{"run_date": "2999-01-01"}, {"rundate": "2026-01-05"}])
def test_the_scheduler_does_not_retry_what_no_retry_mends(conf, airflow):
    airflow.cli("dags", "unpause", "days")
    run = airflow.api("POST", "/dags/days/dagRuns", logical_date=None, conf=conf)["dag_run_id"]
    until(lambda: airflow.api("GET", f"/dags/days/dagRuns/{run}")["state"] == "failed", 60, "the end of the run")
    assert airflow.api("GET", f"/dags/days/dagRuns/{run}/taskInstances/load")["try_number"] == 1
    assert not list(airflow.outputs.glob("days/*")), "nothing was executed"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_same_failure_of_every_slot_is_told_once_a_day(language, configured, monkeypatch):
    from pulsebook.airflow import callbacks, connections

    monkeypatch.setattr(connections, "_connection", lambda name: None)
    configured(language=language, clickhouse_url="http://127.0.0.1:1")  # the warehouse itself is away
    for hour, error in ((10, "no connection"), (11, "no connection"), (11, "another error")):
        slot = f"2026-11-22T{hour}:00:00+03:00"
        task = SimpleNamespace(parameters={"slot": slot})
        ti = SimpleNamespace(
            dag_id="alerts", run_id=f"run-{slot}", task_id="check", try_number=2, task=task, log_url="http://x/log"
        )
        context = {"ti": ti, "exception": RuntimeError(f"{error} at {slot} <b>")}
        callbacks.tell_operations(context)
    page = (configured().outputs / "chat" / "index.html").read_text()
    assert page.count("<article") == 2 and page.count("no connection at 2026-11-22T10:00:00+03:00 &lt;b&gt;") == 1
    assert ("executed notebook" if language == "en" else "выполненный ноутбук") in page


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


def records(outputs: Path, pattern: str) -> dict[str, dict]:
    """Run records of the archive by task id."""
    return {p.stem.rpartition("-try")[0]: json.loads(p.read_text() or "{}") for p in outputs.glob(pattern)}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_tasks_that_die_tell_operations_once_and_leave_true_records(airflow):
    airflow.cli("dags", "unpause", "trials")
    run = airflow.api("POST", "/dags/trials/dagRuns", logical_date=None)["dag_run_id"]
    place = "trials/*/*/*-try1.json"

    def kernel() -> int:
        for page in airflow.outputs.glob("trials/*/*/marked_failed-try1.ipynb"):
            if found := re.search(r"kernel (\d+)", page.read_text()):
                return int(found[1])
        return 0

    pid = until(kernel, 120, "the kernel's first output")
    running = airflow.page(f"trials/{run}/marked_failed/page", headers=airflow.bearer())
    assert running.status_code == 200 and f"kernel {pid}" in running.text, "while it runs, what is saved so far"
    task = f"/dags/trials/dagRuns/{run}/taskInstances/marked_failed"
    airflow.api("PATCH", task, new_state="failed")
    until(lambda: not Path(f"/proc/{pid}").exists(), 40, "the end of the kernel")
    known = until(
        lambda: (r := records(airflow.outputs, place)) and len(r) == 4 and all(x.get("ended") for x in r.values()) and r,
        90, "the end of all four",
    )  # fmt: skip
    assert {task: r["status"] for task, r in known.items()} == {
        "missing_day": "failed", "too_long": "timed out", "marked_failed": "killed", "slow_cell": "timed out"
    }  # fmt: skip
    assert "feed_actions has no rows on 2026-01-05" in known["missing_day"]["error"]
    until(lambda: len(airflow.bot.arrived) >= 4, 60, "the word to operations")
    time.sleep(3)
    told = [fields["text"] for _, fields in airflow.bot.arrived]
    assert sorted(re.search(r"(\w+), try 1: ", text)[1] for text in told) == sorted(known), "each once"
    assert {fields["chat_id"] for _, fields in airflow.bot.arrived} == {"-7"}, "and not a word to the team"
    missing = [text for text in told if "missing_day, try 1" in text]
    assert len(missing) == 1 and "✗ trials · 2026-01-05" in missing[0] and "has no rows on 2026-01-05" in missing[0]
    assert "missing_day-try1.html" in missing[0] and ">log</a>" in missing[0]
    # the review tab shows each of them, to whom Airflow lets see it
    tab = airflow.page(f"trials/{run}/missing_day", headers=airflow.bearer())
    assert tab.status_code == 200 and "failed" in tab.text and 'src="missing_day/page?try_number=1"' in tab.text
    shown = airflow.page(f"trials/{run}/missing_day/page", headers=airflow.bearer())
    assert shown.status_code == 200 and "has no rows on 2026-01-05" in shown.text and "failed" in shown.text
    assert shown.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-same-origin" not in shown.headers["Content-Security-Policy"]
    for page in ("", "/page", "/compare", "/compare/page"):
        assert airflow.page(f"trials/{run}/missing_day{page}").status_code == 401
    assert airflow.page(f"trials/{run}/missing_day?try_number=2", headers=airflow.bearer()).status_code == 404
    for way_out in (
        f"trials/{run}/..%2f..%2fchat%2findex",
        "trials/..%2f..%2f/etc%2fpasswd",
        "..%2ftrials/x/y",
        f"trials/{run}/*",
    ):
        assert airflow.page(way_out, headers=airflow.bearer()).status_code == 404, way_out
    links = airflow.api("GET", f"/dags/trials/dagRuns/{run}/taskInstances/missing_day/links")["extra_links"]
    assert links["Executed notebook"] == f"/pulsebook/trials/{run}/missing_day?try_number=1"
    for file in [*airflow.home.rglob("*.log"), *airflow.outputs.rglob("*.*")]:
        assert file.is_dir() or TOKEN.encode() not in file.read_bytes(), file


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_alerts_through_the_scheduler_tell_an_outage_and_its_end_and_nothing_else(airflow):
    outage = airflow.outage
    airflow.bot.arrived.clear()
    airflow.cli("dags", "unpause", "alerts")  # may start the run that is due now: too little history to tell anything
    slots = [outage - timedelta(minutes=15), outage, outage + timedelta(minutes=75)]
    for slot in slots:
        airflow.api("POST", "/dags/alerts/dagRuns", logical_date=None, conf={"slot": slot.isoformat()})

    def checks():
        known = [json.loads(p.read_text() or "{}") for p in airflow.outputs.glob("alerts/*/*/check-try*.json")]
        return {r["parameters"]["slot"]: r["status"] for r in known if r.get("ended")}

    until(lambda: {s.isoformat() for s in slots} <= set(checks()), 240, "the checks")
    airflow.cli("dags", "pause", "alerts")
    assert set(checks().values()) == {"succeeded"}
    told = [fields.get("caption") or fields.get("text") for _, fields in airflow.bot.arrived]
    assert [text.split("\n")[0] for text in told] == [
        "⚫ <b>No data in airflow_source.feed_actions</b> · critical", "✅ <b>Over: airflow_source.feed_actions</b>"
    ]  # fmt: skip
    assert f"since {outage:%H:%M}" in told[0] and "lasted 45 min" in told[1]
    assert "reply_parameters" in airflow.bot.arrived[1][1]


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_backfill_of_three_days_fills_exactly_three_days(airflow, execute):
    last = datetime.now(UTC).date()  # its run at 00:00 UTC, 03:00 in Moscow, is the latest that was due
    airflow.cli(
        "backfill", "create", "--dag-id", "etl", "--from-date", str(last - timedelta(days=2)), "--to-date", str(last)
    )
    airflow.cli("dags", "unpause", "etl")  # would start the latest run that was missed: it is one of the three
    days = {str(last - timedelta(days=n)) for n in (1, 2, 3)}
    clicks = []  # seconds

    def loads():
        known = [json.loads(p.read_text() or "{}") for p in airflow.outputs.glob("etl/*/*/load-try*.json")]
        return [r for r in known if r.get("ended")]

    def loaded():
        began, latest = time.monotonic(), last - timedelta(days=len(clicks))
        made = airflow.api("POST", "/backfills", dag_id="app_report", from_date=str(latest - timedelta(days=4)),
                           to_date=str(latest), max_active_runs=1, reprocess_behavior="none")  # fmt: skip
        airflow.api("PUT", f"/backfills/{made['id']}/cancel")  # clicks that write much while tasks do
        clicks.append(time.monotonic() - began)
        return len(loads()) >= 3

    until(loaded, 420, "the third load")
    assert max(clicks) < 20, "a click and a task wait for each other until SQLite gives up, half a minute or more"
    assert {r["status"] for r in loads()} == {"succeeded"}
    assert {r["parameters"]["run_date"] for r in loads()} == days
    found = execute("SELECT DISTINCT event_date FROM airflow_target.metrics_by_dimension FORMAT TSV").split()
    assert set(found) == days and all(date.fromisoformat(d) < datetime.now(MOSCOW).date() for d in found)
    tries = list(airflow.outputs.glob("etl/*/*/*.ipynb"))
    assert len(tries) == 21, "seven notebooks a day, each at its first try"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_clearing_a_running_task_and_killing_its_worker_leave_true_records(airflow):
    airflow.cli("dags", "unpause", "trials")
    run = airflow.api("POST", "/dags/trials/dagRuns", logical_date=None)["dag_run_id"]
    (airflow.outputs / "trials").mkdir(exist_ok=True)

    def kernel(number: int) -> int:
        for page in airflow.outputs.glob(
            f"trials/*/{folder_of(airflow.outputs, 'x', 'x', run).name}/marked_failed-try{number}.ipynb"
        ):
            if found := re.search(r"kernel (\d+)", page.read_text()):
                return int(found[1])
        return 0

    def record(number: int) -> Record:
        (path,) = airflow.outputs.glob(
            f"trials/*/{folder_of(airflow.outputs, 'x', 'x', run).name}/marked_failed-try{number}.json"
        )
        return Record.load(path)

    pid = until(lambda: kernel(1), 120, "the first kernel's output")
    airflow.api("POST", "/dags/trials/clearTaskInstances", dry_run=False, dag_run_id=run, task_ids=["marked_failed"],
                only_failed=False, only_running=False)  # fmt: skip
    until(lambda: not Path(f"/proc/{pid}").exists(), 60, "the end of the cleared try's kernel")
    until(lambda: record(1).status != "running", 10, "the record's end")
    assert record(1).status == "killed" and "Killed: the task was told to stop" in record(1).error
    second = until(lambda: kernel(2), 120, "the second kernel's output")
    task = record(2).pid
    worker = int(Path(f"/proc/{task}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(worker, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{second}").exists(), 10, "the end of the kernel whose worker was killed")
    until(lambda: record(2).status != "running", 10, "the record's end")
    assert record(2).status == "killed"
    airflow.api("PATCH", f"/dags/trials/dagRuns/{run}/taskInstances/marked_failed", new_state="failed")
