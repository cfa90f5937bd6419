"""A day that is not complete yet is waited for, without a kernel and without a retry; what operations and the archive hear."""

import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, time, timedelta
from types import SimpleNamespace

import pytest

from pulsebook.archive import record, retention
from pulsebook.archive.ending import close_stale
from pulsebook.archive.record import Record
from pulsebook.archive.verify import verify
from pulsebook.base.settings import ROOT, settings
from tests.services import MOSCOW
from tests.test_archive import a_notebook

DAY, RUN = "2026-11-20", "scheduled__2026-11-21"
MIDNIGHT = datetime(2026, 11, 21, tzinfo=MOSCOW)
DUE = {"etl": time(3), "feed_report": time(11), "app_report": time(11)}
TABLES = {
    "feed": ("feed_actions", "action String", "'view'"),
    "messages": ("message_actions", "receiver_id UInt32", "2"),
}
STEP = """
from pulsebook.base.periods import run_day
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.events import events

day, source = run_day(run_date), Warehouse.source()
for name in NAMES:
    table = events(source, name)
    print(table.require_finished(day, table.seen(source, day), 0.0, "Nothing was written.", unless=allow_unfinished))
"""


class World:
    """Two event tables, a clock, and tasks with the gates of our DAGs; it starts them as Airflow does."""

    def __init__(self, known, execute, dags, folder):
        self.known, self.execute, self.dags, self.folder, self.now = known, execute, dags, folder, MIDNIGHT
        self.source, self.target, self.looks = known.source_database, known.target_database, 0
        self.every = timedelta(minutes=5)  # between looks, where that of our DAGs would make a test long

    def event(self, name: str, hour: float) -> None:
        """An event at an hour of the day."""
        table, _, value = TABLES[name]
        at = int((MIDNIGHT - timedelta(hours=24 - hour)).timestamp())
        self.execute(f"INSERT INTO {self.source}.{table} VALUES (1, {value}, {at})")

    def load(self) -> None:
        """What `etl` does for others, in the end."""
        table = f"{self.target}.metrics_by_dimension"
        columns = "event_date Date, dimension String, dimension_value String, views UInt64"
        self.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = Memory")
        self.execute(f"INSERT INTO {table} VALUES ('{DAY}', 'os', 'iOS', 1)")

    def task(self, dag: str, name: str, *needs: str):
        """A task of a DAG of ours, with a notebook that refuses a day which is not complete in what it needs."""
        from airflow.sdk import DAG

        from pulsebook.airflow.operator import NotebookOperator

        cell = 'run_date: str = ""\nallow_unfinished: bool = False'
        notebook = a_notebook(self.folder / f"{name}.ipynb", STEP.replace("NAMES", repr(needs)), parameters=cell)
        with DAG(dag, schedule=None):
            made = NotebookOperator(task_id=name, notebook=str(notebook))
        made.gate = replace(self.dags[dag].get_task(name).gate, every=self.every)
        return made

    def extracts(self) -> list:
        return [self.task("etl", "extract_feed", "feed"), self.task("etl", "extract_messages", "messages")]

    def start(self, task, attempt: int = 1, run_type: str = "scheduled", ago: int = 0, **params):
        """One start of a task, of the run due so many days ago: when it wants to look again, or how it has ended."""
        from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

        due = datetime.combine(MIDNIGHT - timedelta(days=ago), DUE[task.dag.dag_id], MOSCOW)
        run_id = f"{run_type}__{due:%Y-%m-%d}"
        run = SimpleNamespace(run_type=run_type, logical_date=due, run_after=due, conf=params, run_id=run_id)
        ti = SimpleNamespace(
            dag_id=task.dag.dag_id, run_id=run_id, task_id=task.task_id, try_number=attempt, map_index=-1
        )
        known, task.parameters = {"run_date": None, "allow_unfinished": False}, {}
        try:
            task.execute({"ti": ti, "dag_run": run, "dag": SimpleNamespace(params=known), "params": known | params})
            return "succeeded"
        except AirflowRescheduleException as later:
            self.looks += 1
            return later.reschedule_date
        except AirflowFailException as error:  # which Airflow does not try again
            return f"failed: {error}"

    def through(self, tasks: list, changes: dict | None = None) -> dict[str, str]:
        """Start tasks when they are due, at first a second after one another; `changes` are made at their time."""
        left = {datetime.combine(MIDNIGHT, at, MOSCOW): change for at, change in (changes or {}).items()}
        due = {
            task: datetime.combine(MIDNIGHT, DUE[task.dag.dag_id], MOSCOW) + timedelta(seconds=n)
            for n, task in enumerate(tasks)
        }
        ends = {}
        while due:
            task = min(due, key=due.get)
            self.now = due.pop(task)
            for at in [at for at in left if at <= self.now]:
                left.pop(at)()
            found = self.start(task)
            if isinstance(found, datetime):
                assert timedelta() < found - self.now <= self.every
                due[task] = found
            else:
                ends[task.task_id] = f"{self.now:%H:%M} {found}"
        return ends

    def told(self) -> list[str]:
        """What operations heard, without markup; replies are marked. The team heard nothing."""
        page = self.known.outputs / "chat" / "messages.jsonl"
        found = [json.loads(line) for line in page.read_text().splitlines()] if page.exists() else []
        assert {one["chat"] for one in found} <= {"operations"}
        return [("↩ " if one["reply_to"] else "") + re.sub("<[^>]+>", "", one["text"]) for one in found]

    def records(self) -> dict[str, Record]:
        return {path.stem: Record.load(path) for path in self.known.outputs.glob("*/*/*/*.json")}

    def indexed(self) -> dict[str, str]:
        from pulsebook.archive import lookup

        return {name.rpartition("/")[2]: one["status"] for name, one in lookup.entries(self.known.outputs).items()}

    def executed(self) -> list[str]:
        """The tries for which a kernel ran."""
        return sorted(path.stem for path in self.known.outputs.glob("*/*/*/*.ipynb"))


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(ROOT / "dags").dags


@pytest.fixture
def world(configured, execute, monkeypatch, tmp_path, dags):
    from pulsebook.airflow import connections, waiting

    made = World(configured(), execute, dags, tmp_path)
    monkeypatch.setattr(connections, "_connection", lambda name: None)
    monkeypatch.setattr(waiting, "_now", lambda: made.now)
    monkeypatch.setattr(record, "OVERDUE", math.inf)  # the archive's clock is the real one
    for table, column, _ in TABLES.values():
        execute(f"CREATE TABLE {made.source}.{table} (user_id UInt32, {column}, time DateTime) ENGINE = Memory")
    return made


def late(world: World, table: str, hours: float) -> str:
    name = f"{world.source}.{TABLES[table][0]}"
    return f"{name} looks unfinished on {DAY}: its last event is {hours:.1f} hours before midnight, expected at most 3"


def waits(dag: str, reason: str, every: int = 5) -> str:
    return f"⏳ {dag} · {DAY} waits: {reason}. It looks every {every} minutes until 12:00, and uses no retry."


@pytest.mark.parametrize(
    ("feed", "messages", "every", "goes", "looks"),
    [
        (time(2), time(2), 5, "03:00", 0),
        (time(3, 40), time(3, 38), 5, "03:40", 16),
        (time(2), time(10, 50), 47, "10:50", 20),
        (time(11, 20), time(5), 50, "11:20", 20),
    ],
)
def test_both_extracts_wait_until_both_sources_are_complete(feed, messages, every, goes, looks, world):
    world.every = timedelta(minutes=every)
    for name in TABLES:
        world.event(name, 17)
    changes = {}
    for at, name in ((feed, "feed"), (messages, "messages")):
        before = changes.get(at, lambda: None)
        changes[at] = lambda name=name, before=before: (before(), world.event(name, 21.5))
    ends = world.through(world.extracts(), changes)
    assert ends == {"extract_feed": f"{goes} succeeded", "extract_messages": f"{goes} succeeded"}
    assert world.looks == looks
    assert world.executed() == ["extract_feed-try1", "extract_messages-try1"], "a kernel each, and the first try"
    lacking = [late(world, name, 7) for name, at in (("feed", feed), ("messages", messages)) if at > time(3)]
    expected = [waits("etl", "; ".join(lacking), every), f"↩ ✓ etl · {DAY} went on at {goes}"] if lacking else []
    assert world.told() == expected
    for known in world.records().values():
        assert known.status == "succeeded" and bool(known.waiting) == bool(lacking)
        if lacking:  # its times are those of the execution; since when it had waited stands beside them
            assert known.waiting["since"] <= known.waiting["next"] <= known.ended and known.duration < 60


@pytest.mark.slow
def test_a_day_that_does_not_become_complete_fails_at_the_deadline_without_a_retry(world):
    world.every = timedelta(minutes=51)
    world.event("feed", 23)
    world.event("messages", 20)
    ends = world.through(world.extracts())
    assert ends["extract_feed"] == "12:00 succeeded", "what is there is counted; the step after it does not run"
    assert ends["extract_messages"].startswith("12:00 failed: extract_messages failed: ")
    assert f"{late(world, 'messages', 4)}. Nothing was written." in ends["extract_messages"]
    assert world.told() == [
        waits("etl", late(world, "messages", 4), 51),
        f"↩ ✗ etl · {DAY} gave up waiting at 12:00: {late(world, 'messages', 4)}",
    ]
    assert {name: one.status for name, one in world.records().items()} == {
        "extract_feed-try1": "succeeded", "extract_messages-try1": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ({"run_type": "backfill"}, "failed: "),
        ({"run_type": "manual"}, "failed: "),
        ({"run_type": "manual", "run_date": "2026-11-19"}, "failed: "),
        ({"run_date": "2026-11-19"}, "failed: "),
        ({"allow_unfinished": True}, "succeeded"),
    ],
)
def test_whoever_asks_for_a_day_does_not_wait(how, ends, world):
    world.event("feed", 12)
    world.now = MIDNIGHT + timedelta(hours=3)
    found = world.start(world.task("etl", "extract_feed", "feed"), **how)
    assert isinstance(found, str) and found.startswith(ends)
    assert not world.told() and [one.waiting for one in world.records().values()] == [None]


def test_a_backfill_over_an_incomplete_day_fails_there_and_disturbs_no_wait(world):
    for hour in (-24, 0, 12):  # the last second of two days before, and half a day
        world.event("feed", hour - 0.001)
    world.now = MIDNIGHT + timedelta(hours=4)
    task = world.task("etl", "extract_feed", "feed")
    world.event("messages", 23)
    assert isinstance(world.start(task), datetime)
    ends = [world.start(task, run_type="backfill", ago=ago) for ago in (2, 1, 0)]
    assert (
        ends[:2] == ["succeeded", "succeeded"] and ends[2].startswith("failed: ") and late(world, "feed", 12) in ends[2]
    )
    paths = world.known.outputs.glob("etl/*/*/*.json")
    assert {f"{path.parts[-3]} {path.parts[-2].partition('__')[0]}": Record.load(path).status for path in paths} == {
        f"{DAY} scheduled": "waiting", f"{DAY} backfill": "failed",
        "2026-11-19 backfill": "succeeded", "2026-11-18 backfill": "succeeded",
    }  # fmt: skip
    assert world.told() == [waits("etl", late(world, "feed", 12))]


def test_a_day_of_the_past_does_not_wait(world):
    world.event("feed", 12)
    world.now = MIDNIGHT + timedelta(hours=24 + 4)
    assert world.start(world.task("etl", "extract_feed", "feed")).startswith("failed: ") and not world.told()


def test_the_feeds_report_waits_for_the_feed_alone(world):
    changes = {time(11, 7): lambda: world.event("feed", 23)}
    assert world.through([world.task("feed_report", "feed_report", "feed")], changes) == {
        "feed_report": "11:10 succeeded"
    }
    reason = f"{world.source}.feed_actions has no rows on {DAY}"
    assert world.told() == [waits("feed_report", reason), f"↩ ✓ feed_report · {DAY} went on at 11:10"]


def test_of_two_reports_that_wait_at_once_each_says_so_and_goes_when_its_own_is_there(world):
    world.event("messages", 23)
    both = [world.task("feed_report", "feed_report", "feed"), world.task("app_report", "app_report", *TABLES)]
    ends = world.through(both, {time(11, 7): lambda: world.event("feed", 23), time(11, 12): world.load})
    assert ends == {"feed_report": "11:10 succeeded", "app_report": "11:15 succeeded"}
    reason = f"{world.source}.feed_actions has no rows on {DAY}"
    assert world.told() == [
        waits("feed_report", reason),
        waits("app_report", f"{reason}; etl has not loaded {DAY} yet"),
        f"↩ ✓ feed_report · {DAY} went on at 11:10",
        f"↩ ✓ app_report · {DAY} went on at 11:15",
    ]
    assert {(name, one.status) for name, one in world.records().items()} == {
        ("feed_report-try1", "succeeded"), ("app_report-try1", "succeeded"),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loaded", "report", "rest"), [(time(11, 25), "11:25", "11:25"), (time(13, 31), "12:00", "13:35")]
)
def test_the_apps_report_waits_for_the_etl_and_its_rest_longer(loaded, report, rest, world):
    for name in TABLES:
        world.event(name, 23)
    changes = {loaded: world.load}
    assert world.through([world.task("app_report", "app_report", *TABLES)], changes) == {
        "app_report": f"{report} succeeded"
    }
    task, found = world.task("app_report", "rest"), None
    if world.now >= datetime.combine(MIDNIGHT, loaded, MOSCOW):
        changes = {}
    while not isinstance(found, str):
        if world.now >= datetime.combine(MIDNIGHT, loaded, MOSCOW) and changes:
            changes.pop(loaded)()
        found = world.start(task)
        world.now = found if isinstance(found, datetime) else world.now
    assert f"{world.now:%H:%M} {found}" == f"{rest} succeeded"
    went = f"went on at {report}" if report != "12:00" else f"gave up waiting at 12:00: etl has not loaded {DAY} yet"
    sign = "✓" if report != "12:00" else "✗"
    expected = [waits("app_report", f"etl has not loaded {DAY} yet"), f"↩ {sign} app_report · {DAY} {went}"]
    assert world.told() == expected, "of a run operations hear once, whichever of its tasks waits"


def test_a_server_that_cannot_be_reached_is_waited_for_and_what_is_wrong_there_is_not(world, configured):
    task = world.task("etl", "extract_feed", "feed")
    world.now = MIDNIGHT + timedelta(hours=3)
    configured(source_url="http://127.0.0.1:1")
    assert isinstance(world.start(task), datetime)
    assert "no connection (ConnectionError): is the server up" in world.told()[0]
    configured(source_url="")
    for table, *_ in TABLES.values():
        world.execute(f"DROP TABLE {world.source}.{table}")
    with pytest.raises(Exception, match="feed_actions"):
        world.start(task)
    assert world.executed() == ["extract_feed-try1"], "the notebook says what is wrong"


def test_a_wait_is_one_record_that_the_archive_leaves_alone_and_shows(world):
    from pulsebook.airflow import review

    world.event("feed", 12)
    tasks = world.extracts()
    for minutes in range(0, 30, 5):
        world.now = MIDNIGHT + timedelta(hours=3, minutes=minutes)
        for task in tasks:
            assert world.start(task) == world.now + timedelta(minutes=5)
    waiting = {"extract_feed-try1": "waiting", "extract_messages-try1": "waiting"}
    assert {name: one.status for name, one in world.records().items()} == waiting == world.indexed()
    assert len(world.told()) == 1 and world.executed() == []
    known = world.records()["extract_feed-try1"]
    assert known.headline == known.waiting["reason"] and late(world, "feed", 12) in known.headline
    assert datetime.fromisoformat(known.waiting["next"]) == world.now + timedelta(minutes=5)
    assert known.airflow["try_number"] == 1 and known.parameters["run_date"] == DAY
    assert late(world, "feed", 12) in review.page("etl", RUN, "extract_feed").body.decode()
    found = verify(settings().outputs)
    assert (found.tries, found.running, found.findings) == (2, 2, [])
    assert not retention.expired(settings().outputs, world.now.timestamp() + 9 * 365 * 86400)


def test_a_wait_that_airflow_has_forgotten_is_settled_and_says_why(world, monkeypatch):
    world.now = MIDNIGHT + timedelta(hours=3)
    for task in world.extracts():
        world.start(task)
    monkeypatch.setattr(record, "OVERDUE", 6 * 3600.0)
    monkeypatch.setattr(record.time, "time", lambda: world.now.timestamp() + 6 * 3600 + 299)
    paths = sorted(world.known.outputs.glob("*/*/*/*.json"))
    assert not Record.load(paths[0]).stale and close_stale(paths[0]) is None
    monkeypatch.setattr(record.time, "time", lambda: world.now.timestamp() + 6 * 3600 + 301)
    verify(settings().outputs)
    monkeypatch.undo()
    for path in paths:
        known = Record.load(path)
        assert known.status == "killed" and known.ended
        assert (
            "it waited, and nobody has looked again since 2026-11-21T00:05:00" in known.error
            and "no rows" in known.error
        )


@pytest.mark.parametrize("settled", [False, True])
def test_a_later_try_goes_on_in_the_place_of_one_that_waited(settled, world):
    task = world.task("etl", "extract_feed", "feed")
    world.now = MIDNIGHT + timedelta(hours=3)
    world.start(task)
    if settled:  # Airflow was away for hours, and somebody has settled the record: its own try takes the next number
        first = world.records()["extract_feed-try1"]
        first.close("killed", "nobody has looked again")
    attempt = 1 if settled else 2
    assert isinstance(world.start(task, attempt), datetime)
    for name in TABLES:
        world.event(name, 23)
    assert world.start(task, attempt) == "succeeded"
    assert {name: one.status for name, one in world.records().items()} == {
        "extract_feed-try1": "killed", "extract_feed-try2": "succeeded",
    }  # fmt: skip
    if not settled:
        assert world.records()["extract_feed-try1"].error == "it waited, and try 2 goes on in its place"
    assert set(world.indexed().values()) <= {"killed", "succeeded"}
    reason = f"{world.source}.feed_actions has no rows on {DAY}; {world.source}.message_actions has no rows on {DAY}"
    assert world.told() == [waits("etl", reason), f"↩ ✓ etl · {DAY} went on at 03:00"], "for the chat it is one wait"


def test_a_retry_that_waits_after_its_notebook_was_executed_is_told_as_another_wait(world, configured):
    task = world.task("feed_report", "feed_report", "feed")
    world.now = MIDNIGHT + timedelta(hours=11)
    world.start(task)
    world.event("feed", 23)
    assert world.start(task) == "succeeded"
    configured(source_url="http://127.0.0.1:1")
    assert isinstance(world.start(task, 2), datetime)
    configured(source_url="")
    assert world.start(task, 2) == "succeeded"
    signs = [text[:4] for text in world.told()]
    assert signs == ["⏳ fe", "↩ ✓ ", "⏳ fe", "↩ ✓ "], world.told()


def test_a_chat_that_is_away_keeps_no_task_waiting(world, monkeypatch):
    from pulsebook import chat

    def away(*_, **__):
        raise chat.Undelivered("no connection to the chat's server")

    monkeypatch.setattr(chat, "post", away)
    task = world.task("feed_report", "feed_report", "feed")
    assert world.through([task], {time(11, 5): lambda: world.event("feed", 23)}) == {"feed_report": "11:05 succeeded"}


def test_operations_hear_it_in_their_language(world, configured):
    configured(language="ru")
    task = world.task("feed_report", "feed_report", "feed")
    world.through([task], {time(11, 5): lambda: world.event("feed", 23)})
    assert world.told() == [
        f"⏳ feed_report · {DAY} ждёт: в {world.source}.feed_actions нет строк за {DAY}. Проверяет каждые 5 мин до 12:00, "
        "попыток не тратит.",
        f"↩ ✓ feed_report · {DAY} продолжено в 11:05",
    ]


def test_what_a_task_waits_for_is_known_and_has_a_deadline(dags):
    from pulsebook.airflow import daily
    from pulsebook.airflow.operator import NotebookOperator

    gates = {(dag.dag_id, task.task_id): getattr(task, "gate", None) for dag in dags.values() for task in dag.tasks}
    assert {name: (gate.waits_for, f"{gate.deadline:%H:%M}") for name, gate in gates.items() if gate} == {
        ("etl", "extract_feed"): (("feed", "messages"), "12:00"),
        ("etl", "extract_messages"): (("feed", "messages"), "12:00"),
        ("feed_report", "feed_report"): (("feed",), "12:00"),
        ("app_report", "app_report"): (("feed", "messages", "etl"), "12:00"),
        ("app_report", "rest"): (("etl",), "18:00"),
    }
    with pytest.raises(ValueError, match="waits_for must name feed, messages, etl, got 'feeds'"):
        NotebookOperator(notebook="etl/load.ipynb", waits_for=["feeds"], deadline="12:00")
    with pytest.raises(ValueError, match="load waits for feed: give it, or its DAG, a deadline"):
        NotebookOperator(notebook="etl/load.ipynb", waits_for=["feed"])
    with pytest.raises(ValueError, match="the deadline must be later than 11:00, on the same day, got 10:00"):
        daily("11:00", file=__file__, doc="", deadline="10:00")
    with pytest.raises(ValueError, match="a deadline needs a time of day such as 11:00, got 'noon'"):
        daily("11:00", file=__file__, doc="", deadline="noon")


# -- what Airflow 3.3.2 itself does, on which docs/operators.md relies


@pytest.mark.parametrize(("lost", "state"), [(0, "up_for_reschedule"), (1, "up_for_reschedule"), (2, None)])
def test_a_wait_that_the_api_server_did_not_hear_of_never_ends_as_success(lost, state):
    """Airflow tells it twice; then it says nothing, and a task that is silent for too long is tried again."""
    from airflow.sdk.execution_time.comms import RescheduleTask
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    asked = []

    class Tasks:
        def __getattr__(self, name):
            def ask(*_, **__):
                asked.append(name)
                if len(asked) <= lost:
                    raise ConnectionError("the API server is away")

            return ask

    worker = ActivitySubprocess.__new__(ActivitySubprocess)
    worker.id, worker.client, worker._exit_code = "ti", SimpleNamespace(task_instances=Tasks()), 0
    worker._pending_terminal_state_msg = worker._terminal_state = None
    with suppress(ConnectionError):  # the task hears of it, and ends as if all were well
        worker._send_terminal_state_msg(RescheduleTask(reschedule_date=MIDNIGHT, end_date=MIDNIGHT))
    worker.update_task_state_if_needed()
    assert {*asked} == {"reschedule"} and len(asked) == min(lost + 1, 2)
    assert worker._terminal_state == state


def test_a_start_without_the_dags_file_costs_no_retry_however_often_a_task_has_looked(dags, monkeypatch, tmp_path):
    from airflow.sdk.exceptions import AirflowRescheduleException
    from airflow.sdk.execution_time.task_runner import _maybe_reschedule_startup_failure

    from pulsebook.local import services

    allowed = services.served(tmp_path, 8080)["AIRFLOW__WORKERS__MISSING_DAG_RETRIES"]
    monkeypatch.setenv("AIRFLOW__WORKERS__MISSING_DAG_RETRIES", allowed)
    for dag in dags.values():
        for gate in (task.gate for task in dag.tasks if getattr(task, "gate", None)):
            due, until = (datetime.combine(MIDNIGHT, at) for at in (DUE[dag.dag_id], gate.deadline))
            looks = SimpleNamespace(task_reschedule_count=(until - due) // gate.every + 3)
            with pytest.raises(AirflowRescheduleException):
                _maybe_reschedule_startup_failure(ti_context=looks, log=SimpleNamespace(error=print))


def test_no_look_comes_so_soon_that_airflow_takes_it_for_a_task_that_was_killed(world):
    """The scheduler must have seen the end of one process before it starts the next."""
    task = world.task("etl", "extract_feed", "feed")
    for early in (timedelta(seconds=1), timedelta(minutes=3)):  # before the deadline
        world.now = MIDNIGHT + timedelta(hours=12) - early
        found = world.start(task)
        assert found == max(MIDNIGHT + timedelta(hours=12), world.now + timedelta(seconds=30))
