"""The DAGs as Airflow sees them, and a backfill by a real scheduler."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import jinja2
import papermill
import pytest

from pulsebook import runner
from pulsebook.archive import index_files
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.files import replace
from pulsebook.base.settings import ROOT
from pulsebook.local.services import SERVICES
from pulsebook.parameters import accepted, from_templates
from tests.services import MOSCOW, PING_KEY, TOKEN, until
from tests.test_archive import a_notebook


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
        "archive_prune": "30 4 * * *", "recount": "0 5 * * *",
    }  # fmt: skip
    for dag in dags.values():
        assert "Triage notes" in dag.doc_md and not dag.catchup
        for task in dag.tasks:
            assert task.retries and task.retry_delay and task.on_failure_callback
            assert timedelta(minutes=5) <= task.execution_timeout <= timedelta(hours=2)


def test_every_dag_keeps_its_parameters_tags_and_tries(dags):
    minutes = lambda *given: [timedelta(minutes=one) for one in given]  # noqa: E731
    assert {
        dag.dag_id: (
            [*dag.params], sorted(dag.tags), dag.max_active_runs, dag.timetable.serialize()["timezone"], dag.start_date.year,
            {(task.owner, task.retries, task.retry_delay, task.execution_timeout) for task in dag.tasks},
        )
        for dag in dags.values()
    } == {
        name: (params, tags, runs, "Europe/Moscow", 2025, {("analytics", retries, *minutes(*times))})  # 2025: in UTC
        for name, params, tags, runs, retries, times in [
            ("alerts", ["slot", "quiet_hours"], ["alerts", "chat"], 1, 1, (1, 10)),
            ("app_report", ["run_date", "resend"], ["chat", "daily"], 2, 2, (5, 30)),
            ("archive_prune", ["delete"], ["daily"], 1, 1, (5, 120)),
            ("etl", ["run_date", "allow_unfinished"], ["daily"], 3, 2, (5, 120)),
            ("feed_report", ["run_date", "resend"], ["chat", "daily"], 2, 2, (5, 30)),
            ("recount", ["run_date", "days", "resend"], ["chat", "daily"], 1, 2, (5, 120)),
        ]
    }  # fmt: skip
    assert all(Path(dag.fileloc) == ROOT / "dags" / f"{dag.dag_id}.py" for dag in dags.values())


@pytest.mark.parametrize("at", ["25:00", "noon", ""])
def test_a_daily_dag_needs_a_time_of_day(at):
    from pulsebook.airflow import daily

    with pytest.raises(ValueError, match=f"a time of day such as 11:00, got '{at}'"):
        daily(at, file=__file__, doc="")


def test_the_etl_has_the_promised_tasks_in_order(etl):
    assert set(etl.task_ids) == {
        "extract_feed", "extract_messages", "merge_users", "slice_os", "slice_gender", "slice_age", "load"
    }  # fmt: skip
    assert etl.get_task("merge_users").upstream_task_ids == {"extract_feed", "extract_messages"}
    assert etl.get_task("load").upstream_task_ids == {"slice_os", "slice_gender", "slice_age"}


def test_the_watch_of_the_reports_waits_for_no_other_task(dags):
    watch = dags["alerts"].get_task("watch")
    assert not watch.upstream_task_ids and not watch.downstream_task_ids


def test_the_parameters_of_every_task_are_parameters_of_its_notebook(dags):
    notebooks = [task for dag in dags.values() for task in dag.tasks if hasattr(task, "input_nb")]
    assert len(notebooks) == 7 + 3 + 3 + 3
    for task in notebooks:
        assert set(task.parameters) <= set(papermill.inspect_notebook(str(ROOT / "notebooks" / task.input_nb)))


@pytest.mark.parametrize("macro", ["run_date", "slot"])
@pytest.mark.parametrize("year", [1960, 2200])
def test_an_instant_that_has_no_period_fails_at_once(macro, year, operator):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=str(year)):
        getattr(operator, macro)(A_DAG, a_run(datetime(year, 5, 1, 12, tzinfo=UTC)), {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_nb", "a.ipynb"), ("output_nb", "b.ipynb"), ("language_name", "python"), ("kernel_conn_id", "remote"),
        ("nbconvert", True), ("nbconvert_args", ["--no-input"]),
    ],
)  # fmt: skip
def test_an_inherited_argument_that_would_do_nothing_is_refused(name, value, operator):
    with pytest.raises(ValueError, match=f"takes no {name}: .*leave it out"):
        operator.NotebookOperator(notebook="etl/load.ipynb", **{name: value})


def test_default_args_cannot_smuggle_in_what_is_refused(operator):
    with pytest.raises(ValueError, match="takes no nbconvert"):
        operator.NotebookOperator(notebook="etl/load.ipynb", default_args={"nbconvert": True})


def test_a_kernel_name_is_kept(operator):
    assert operator.NotebookOperator(notebook="etl/load.ipynb", kernel_name="python3").kernel_name == "python3"


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


def a_run(logical_date=None, run_after=None, conf=None, run_type="manual"):
    return SimpleNamespace(logical_date=logical_date, run_after=run_after, conf=conf, run_type=run_type)


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
def test_a_run_that_no_retry_repairs_fails_at_once(macro, conf, says, operator):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=says):
        getattr(operator, macro)(A_DAG, a_run(run_after=datetime.now(UTC), conf=conf), A_DAG.params | conf)


@pytest.mark.parametrize(("macro", "value"), [("run_date", "2026-01-05"), ("slot", "2026-01-05T10:00")])
def test_a_backfill_gives_each_run_its_own_period(macro, value, operator):
    from airflow.sdk.exceptions import AirflowFailException

    due, params = datetime(2026, 11, 22, 22, 0, tzinfo=UTC), A_DAG.params | {macro: value}
    own = {"run_date": "2026-11-22", "slot": "2026-11-23T00:45:00+03:00"}[macro]
    assert getattr(operator, macro)(A_DAG, a_run(due, run_type="backfill"), A_DAG.params) == own
    with pytest.raises(AirflowFailException, match=f"each run of a backfill works on a {macro} of its own"):
        getattr(operator, macro)(A_DAG, a_run(due, run_type="backfill", conf={macro: value}), params)


@pytest.mark.parametrize(
    ("dag", "name", "says"),
    [
        ("etl", "run_date", "empty: the day before the Logical Date"),
        ("app_report", "run_date", "empty: the day before the Logical Date"),
        ("alerts", "slot", "empty: the last one that was over at the Logical Date"),
    ],
)
def test_the_form_says_what_the_logical_date_does(dag, name, says, dags):
    description = dags[dag].params.get_param(name).description
    assert says in description and "Europe/Moscow" in description


DUE = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)  # 00:30 in Moscow on the 23rd
DAY, SLOT = "2026-11-22", "2026-11-23T00:15:00+03:00"


def given(tmp_path, cell: str, parameters=None, params=None, conf=None):
    """What a notebook with this parameters cell is given by a run due at DUE; `params` are the DAG's."""
    from pulsebook.airflow.given import with_given

    run = a_run(DUE, conf=conf)
    run.run_id = "manual__7"
    context = {
        "dag": SimpleNamespace(params=params or {}),
        "dag_run": run,
        "params": (params or {}) | (conf or {}),
    }
    return with_given(a_notebook(tmp_path / "n.ipynb", parameters=cell), parameters or {}, context)


@pytest.mark.parametrize(
    ("cell", "parameters", "params", "conf", "expected"),
    [
        ('run_date: str = ""', {}, {}, {}, {"run_date": DAY}),
        ('slot: str = ""', {}, {}, {}, {"slot": SLOT}),
        ("other = 1", {}, {"run_date": None, "slot": None, "resend": True}, {}, {}),
        ('run_date: str = ""', {"run_date": "2026-01-05"}, {"run_date": "2026-02-06"}, {}, {"run_date": "2026-01-05"}),
        ('run_date: str = ""', {"run_date": ""}, {}, {}, {"run_date": ""}),
        ('run_date: str = ""', {}, {"run_date": None}, {"run_date": "2026-01-05"}, {"run_date": "2026-01-05"}),
        ('run_date: str = ""', {}, {}, {"a_name_of_their_own": 1}, {"run_date": DAY}),
        ("slot: int = 3", {}, {}, {}, {}),
        ("allow_unfinished: bool = False", {}, {"allow_unfinished": True}, {}, {"allow_unfinished": True}),
        ("limit: int = 5", {"limit": 7}, {"limit": 6}, {}, {"limit": 7}),
        ("limit: int = 5", {}, {"limit": None}, {}, {}),
        ('resend: str = ""', {}, {}, {}, {}),
        ('resend: str = ""', {}, {"resend": False}, {}, {"resend": ""}),
        ('resend: str = ""', {}, {"resend": False}, {"resend": True}, {"resend": "manual__7"}),
        ('resend: str = ""', {}, {"resend": "a word"}, {}, {"resend": "a word"}),
    ],
)
def test_a_notebook_is_given_what_its_run_has_for_its_parameters(
    cell, parameters, params, conf, expected, tmp_path, operator
):
    assert given(tmp_path, cell, parameters, params, conf) == expected


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"run_date": "2999-01-01"}, "must be a day that is over"),
        ({"rundate": DAY}, "the DAG has the parameters run_date"),
    ],
)
def test_a_notebook_is_given_no_period_that_cannot_be(conf, says, tmp_path, operator):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=says):
        given(tmp_path, 'run_date: str = ""', params={"run_date": None}, conf=conf)


@pytest.mark.parametrize("name", ["etl", "feed_report", "app_report", "alerts"])
def test_every_task_of_the_dags_is_given_its_period(name, dags, operator):
    from pulsebook.airflow.given import with_given

    dag, run = dags[name], a_run(DUE)
    run.run_id = "scheduled__1"
    context = {"dag": dag, "dag_run": run, "params": dag.params.dump()}
    expected = {"slot": SLOT} if name == "alerts" else {"run_date": DAY}
    if "report" in name:
        expected |= {"resend": "", "post": True}
    for task in dag.tasks:
        found = with_given(ROOT / "notebooks" / task.input_nb, task.parameters, context)
        assert found.items() >= expected.items()
        assert ("allow_unfinished" in found) == task.task_id.startswith("extract_")


@pytest.mark.slow
@pytest.mark.parametrize("conf", [{"run_date": "2999-01-01"}, {"rundate": "2026-01-05"}])
def test_the_scheduler_does_not_retry_what_no_retry_repairs(conf, airflow):
    airflow.cli("dags", "unpause", "days")
    run = airflow.api("POST", "/dags/days/dagRuns", logical_date=None, conf=conf)["dag_run_id"]
    until(lambda: airflow.api("GET", f"/dags/days/dagRuns/{run}")["state"] == "failed", 60, "the end of the run")
    assert airflow.api("GET", f"/dags/days/dagRuns/{run}/taskInstances/load")["try_number"] == 1
    assert not list(airflow.outputs.glob("days/*")), "nothing was executed"


@pytest.fixture
def failed(configured, monkeypatch):
    """Tells operations of a failed task; returns the page of the chat. The warehouse itself is away."""
    from pulsebook.airflow import callbacks, connections

    monkeypatch.setattr(connections, "_connection", lambda name: None)
    known = configured(clickhouse_url="http://127.0.0.1:1")

    def tell(
        parameters,
        error="no connection",
        run_id="run",
        attempt=2,
        map_index=-1,
        record=False,
        dag_run=None,
        params=None,
    ):
        task = SimpleNamespace(**({} if parameters is None else {"parameters": parameters}))
        ti = SimpleNamespace(
            dag_id="alerts", run_id=run_id, task_id="check", try_number=attempt, map_index=map_index, task=task,
            log_url="http://x/log",
        )  # fmt: skip
        if record:
            period = parameters.get("run_date") or parameters.get("slot") or "undated"
            facts = {"dag_id": "alerts", "run_id": run_id, "task_id": "check", "try_number": attempt}
            folder, index = folder_of(known.outputs, "alerts", period, run_id), None if map_index < 0 else map_index
            made = Record.open(folder, "check", attempt, index, notebook="n", parameters={}, airflow=facts)
            made.html.write_text("<p>it")
            made.close("failed")
        callbacks.notify_operations({"ti": ti, "exception": error, "dag_run": dag_run, "params": params})
        return (known.outputs / "chat" / "index.html").read_text()

    return tell


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_same_failure_of_every_slot_is_reported_once_a_day(language, configured, failed):
    configured(language=language)
    for hour, error in ((10, "no connection"), (11, "no connection"), (11, "another error")):
        slot = f"2026-11-22T{hour}:00:00+03:00"
        page = failed({"slot": slot}, RuntimeError(f"{error} at {slot} <b>"), f"run-{slot}", record=True)
    assert page.count("<article") == 2 and page.count("no connection at 2026-11-22T10:00:00+03:00 &lt;b&gt;") == 1
    assert ("executed notebook" if language == "en" else "выполненный ноутбук") in page
    for index in (0, 1, 1):
        page = failed({"slot": slot}, RuntimeError(f"no connection at {slot}"), f"run-{slot}", map_index=index)
    assert page.count("<article") == 4, "each map index by itself"


@pytest.mark.parametrize(
    "parameters",
    [{"run_date": "{{ run_date(dag, dag_run, params) }}"}, {"slot": "{{ slot }}T"}, {"run_date": "2999-01-01"},
     {"run_date": ["x"]}, {"run_date": "22.11.2026"}, {"slot": "2026-11-22T10:07"}, {"run_date": "../../etc"}, ["odd"], None],
)  # fmt: skip
def test_what_never_had_a_day_is_reported_by_its_run_and_names_no_notebook(parameters, failed, configured):
    page = failed(parameters, run_id="manual__x")
    assert "alerts · manual__x" in page and "executed notebook" not in page and "{{" not in page and "___" not in page
    assert [p.name for p in (configured().outputs).iterdir()] == ["chat"], (
        "and nothing is left where it would have been"
    )


@pytest.mark.parametrize(
    "how", [{"parameters": {"slot": "{{ slot(dag, dag_run, params) }}"}}, {"parameters": {}, "params": {"slot": None}}]
)
def test_failures_of_every_slot_before_it_is_known_are_reported_once_a_day(how, failed):
    due = datetime(2026, 11, 22, 10, tzinfo=UTC)
    for n in range(4):
        run = a_run(run_after=due + timedelta(hours=6 * n))  # the last is on the next day in Moscow
        page = failed(error="'nothing' is undefined", run_id=f"run{n}", dag_run=run, **how)
    assert page.count("<article") == 2


def test_the_failures_of_all_map_indexes_and_tries_are_reported_each_with_its_own_notebook(failed, configured):
    configured(archive_url="https://x.y/archive")
    for index, attempt in ((-1, 1), (0, 1), (1, 1), (1, 2), (10, 1), (1, 2)):
        page = failed({"run_date": "2026-11-22"}, f"<{index}>", "a b", attempt, index, record=True)
    links = re.findall(r"https://x\.y/archive/alerts/2026-11-22/a%3D20b/(check[^\"]*)\.html", page)
    assert sorted(links) == sorted(
        ["check-try1", "check-map0-try1", "check-map1-try1", "check-map1-try2", "check-map10-try1"]
    )
    assert (
        page.count("<article") == 5 and "check [10], try 1: &lt;10&gt;" in page and "check, try 1: &lt;-1&gt;" in page
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [(RuntimeError(), "RuntimeError"), (RuntimeError("\n\n"), "RuntimeError"), ("", "the task was killed"),
     (None, "the task was killed"), (RuntimeError("\n first \nsecond"), "first"), (RuntimeError("half \ud800"), "half ?")],
)  # fmt: skip
def test_an_error_is_reported_whatever_it_says(error, says, failed):
    assert f"check, try 2: {says}" in failed({"run_date": "2026-11-22"}, error)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "",
        '{"notebook": 1, "parameters": 2, "airflow": []}',
        '{"notebook": 1, "parameters": 2, "started": null}',
    ],
)
def test_a_damaged_record_keeps_no_failure_from_being_reported(content, failed, configured):
    folder = folder_of(configured().outputs, "alerts", "2026-11-22", "run")
    folder.mkdir(parents=True)
    (folder / "check-try2.json").write_text(content)
    assert "alerts · 2026-11-22" in failed({"run_date": "2026-11-22"})


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
    (path,) = tmp_path.iterdir()
    assert Record.load(path).status == "failed" and re.search(says, Record.load(path).error)


@pytest.fixture(params=[True, False], ids=["native", "text"])
def dag(request):
    """A DAG that renders native objects, or texts."""
    from airflow.sdk import DAG

    with DAG("d", schedule=None, render_template_as_native_obj=request.param, default_args={"retries": 1}) as made:
        yield made


DECLARED = """
text: str = ""
either: str | None = None
count: int = 0
share = 0.5
on = False
days: list[int] = []
options = {}
"""
TEMPLATES = [  # parameter, template, context, what the notebook is given
    ("text", "2026", {}, "2026"), ("text", "{{ x }}", {"x": "20261122"}, "20261122"), ("text", "{{ x }}", {"x": "1e5"}, "1e5"),
    ("text", "{{ x if y else '' }}", {"x": "20261122", "y": True}, "20261122"), ("text", "{{ x }}", {"x": ""}, ""),
    ("text", "{{ x if y else '' }}", {"x": "20261122", "y": False}, ""), ("text", "{{ x }}{{ x }}", {"x": "7"}, "77"),
    ("text", "[1, 2]", {}, "[1, 2]"), ("text", "{{ x }}", {"x": "None"}, "None"), ("text", "{{ x }}", {"x": " 1 "}, " 1 "),
    ("either", "{{ x }}", {"x": "2026"}, "2026"), ("text", "{{ x[:4] }}", {"x": "2026-11-22"}, "2026"), ("text", "'5'", {}, "'5'"),
    ("count", "{{ x }}", {"x": 3}, 3), ("count", "{{ x }}", {"x": "3"}, 3), ("count", "3", {}, 3), ("count", "{{ 1 + 2 }}", {}, 3),
    ("share", "{{ x }}", {"x": 1}, 1), ("share", "0.25", {}, 0.25), ("on", "{{ x }}", {"x": True}, True), ("on", "true", {}, True),
    ("on", "{{ 1 > 2 }}", {}, False), ("days", "{{ x }}", {"x": [1, 2]}, [1, 2]), ("days", "[{{ x }}, 2]", {"x": 1}, [1, 2]),
    ("days", ["{{ x }}", "2", 3], {"x": 1}, [1, 2, 3]),
    ("options", "{{ x }}", {"x": {"a": [1, None]}}, {"a": [1, None]}), ("options", '{"a": {{ x }}}', {"x": 1}, {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "template", "context", "given"), TEMPLATES)
def test_templates_give_what_the_notebook_declares_and_digits_of_a_text_stay_text(
    name, template, context, given, dag, tmp_path, operator
):
    notebook = a_notebook(tmp_path / "step.ipynb", parameters=DECLARED)
    task = operator.NotebookOperator(notebook=str(notebook), parameters={"days": ["{{ 1 }}"], name: template})
    rendered = task.render_template(task.parameters, context)
    (found,) = accepted(notebook, from_templates(notebook, {name: rendered[name]})).values()
    assert found == given and type(found) is type(given)


def test_other_fields_and_nested_values_are_rendered_as_ever(dag, operator):
    task = operator.NotebookOperator(
        notebook="{{ x }}.ipynb", task_id="t", parameters={"a": {"b": ["{{ x }}", 5, None]}}
    )
    task.render_template_fields({"x": "20261122"})
    assert task.input_nb == "20261122.ipynb" and task.parameters == {"a": {"b": ["20261122", 5, None]}}
    for template in ("{{ nothing.here }}", "{{ nothing }}", "of {{ nothing }}"):
        with pytest.raises(jinja2.UndefinedError):
            task.render_template(template, {})


def test_every_notebook_task_has_an_execution_timeout(dag, operator):
    def timeout(**how):
        return operator.NotebookOperator(notebook="n.ipynb", task_id=f"t{len(dag.tasks)}", **how).execution_timeout

    assert timeout() == timeout(execution_timeout=None) == operator.TIMEOUT == timedelta(hours=2)
    assert timeout(execution_timeout=timedelta(seconds=8)) == timedelta(seconds=8)
    dag.default_args["execution_timeout"] = timedelta(minutes=3)
    assert timeout() == timedelta(minutes=3) and timeout(execution_timeout=timedelta(1)) == timedelta(1)
    mapped = operator.NotebookOperator.partial(task_id="mapped", notebook="n.ipynb").expand(parameters=[{}])
    assert mapped.execution_timeout == timedelta(minutes=3)
    del dag.default_args["execution_timeout"]
    mapped = operator.NotebookOperator.partial(task_id="other", notebook="n.ipynb").expand(parameters=[{}])
    assert mapped.execution_timeout == mapped.unmap({"parameters": {}}).execution_timeout == operator.TIMEOUT


def test_a_notebook_is_mapped_over_parameters_and_nothing_unknown(dag, operator):
    mapped = operator.NotebookOperator.partial(task_id="step", notebook="n.ipynb", cell_timeout=5).expand(
        parameters=[{"run_date": "2026-11-01"}, {"run_date": "2026-11-02"}]
    )
    one = mapped.unmap({"parameters": {"run_date": "2026-11-01"}})
    assert (one.input_nb, one.parameters, one.cell_timeout, one.task_id) == (
        "n.ipynb",
        {"run_date": "2026-11-01"},
        5,
        "step",
    )
    assert [link.name for link in mapped.operator_extra_links] == ["Executed notebook"]
    with pytest.raises(TypeError, match="parameter"):
        operator.NotebookOperator.partial(task_id="odd", notebook="n.ipynb").expand(parameter=[{}])


def test_the_link_names_run_try_and_map_index(operator):
    from airflow.models.taskinstancekey import TaskInstanceKey

    def link(*key):
        return operator.NotebookLink().get_link(None, ti_key=TaskInstanceKey(*key))

    assert link("etl", "load", "manual__2026-11-22T00:00:00+00:00", 2) == (
        "/pulsebook/etl/manual__2026-11-22T00:00:00+00:00/load?try_number=2"
    )
    assert link("etl", "load", "r", 1, 0) == "/pulsebook/etl/r/load?try_number=1&map_index=0"
    assert link("etl", "load", "a b/c?d#e", 1, 12) == "/pulsebook/etl/a%20b%2Fc%3Fd%23e/load?try_number=1&map_index=12"


MAPPED = """
from airflow.sdk import DAG, task
from pulsebook.airflow.callbacks import notify_operations
from pulsebook.airflow.operator import NotebookOperator

with DAG("mapped", schedule=None, params={"run_date": "2026-11-07"}, default_args={"on_failure_callback": notify_operations}):
    @task
    def days():
        return [{"run_date": f"2026-11-0{n}", "fail": n != 1} for n in (1, 2, 3)]

    NotebookOperator.partial(task_id="step", notebook="NOTEBOOK").expand(parameters=days())
    NotebookOperator(task_id="by_itself", notebook="NOTEBOOK")
    NotebookOperator.partial(task_id="each", notebook="NOTEBOOK").expand(parameters=[{"fail": False}])
    NotebookOperator(task_id="refused", retries=5, notebook="NOTEBOOK", parameters={"run_date": "2026-11-05", "fail": "maybe"})
"""
ONCE = """
import sys
from airflow.dag_processing.dagbag import DagBag

run = DagBag(sys.argv[1]).dags["mapped"].test()
print("ended", *sorted(f"{ti.task_id}[{ti.map_index}]:{ti.try_number}:{ti.state}" for ti in run.get_task_instances()))
"""


@pytest.mark.slow
def test_a_mapped_notebook_leaves_each_index_its_own_record_page_and_word(tmp_path):
    cell = 'run_date: str = ""\nfail: bool = False'
    notebook = a_notebook(tmp_path / "n.ipynb", "if fail:\n    raise ValueError(f'on {run_date}')", parameters=cell)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "mapped.py").write_text(MAPPED.replace("NOTEBOOK", str(notebook)))
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "PULSEBOOK_OUTPUTS": str(tmp_path / "outputs"), "PULSEBOOK_CLICKHOUSE_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    said = subprocess.run(
        [sys.executable, "-c", ONCE, str(tmp_path / "dags")],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert re.findall(r"^ended (.*)$", said, re.M) == [
        "by_itself[-1]:1:success days[-1]:1:success each[0]:1:success refused[-1]:1:failed step[0]:1:success step[1]:1:failed step[2]:1:failed"
    ]
    found = {path.stem: Record.load(path) for path in (tmp_path / "outputs").glob("mapped/*/*/*.json")}
    assert {name: (record.status, record.period, record.airflow["map_index"]) for name, record in found.items()} == {
        "step-map0-try1": ("succeeded", "2026-11-01", 0), "step-map1-try1": ("failed", "2026-11-02", 1),
        "by_itself-try1": ("succeeded", "2026-11-07", None), "each-map0-try1": ("succeeded", "2026-11-07", 0),
        "step-map2-try1": ("failed", "2026-11-03", 2), "refused-try1": ("failed", "2026-11-05", None),
    }  # fmt: skip
    page = (tmp_path / "outputs" / "chat" / "index.html").read_text()
    assert page.count("<article") == 3 and "must be bool, got str" in page
    for index in (1, 2):
        assert (
            f"step [{index}], try 1" in page
            and f"2026-11-0{index + 1}" in page
            and f"step-map{index}-try1.html" in page
        )
        assert found[f"step-map{index}-try1"].html.exists()


def records(outputs: Path, pattern: str) -> dict[str, dict]:
    """Run records of the archive by task id."""
    return {p.stem.rpartition("-try")[0]: json.loads(p.read_text() or "{}") for p in outputs.glob(pattern)}


@pytest.mark.slow
def test_tasks_that_die_notify_operations_once_and_leave_true_records(airflow):
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
    until(lambda: len(airflow.bot.arrived) >= 4, 150, "the word to operations")
    time.sleep(3)
    sent = [fields["text"] for _, fields in airflow.bot.arrived]
    assert sorted(re.search(r"(\w+), try 1: ", text)[1] for text in sent) == sorted(known), "each once"
    assert {fields["chat_id"] for _, fields in airflow.bot.arrived} == {"-7"}, "and not a word to the team"
    missing = [text for text in sent if "missing_day, try 1" in text]
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
def test_alerts_through_the_scheduler_tell_an_outage_and_its_end_and_nothing_of_the_past(airflow, execute):
    outage = airflow.outage
    airflow.bot.arrived.clear()
    airflow.cli("dags", "unpause", "alerts")
    slots = [outage - timedelta(minutes=15), outage, outage + timedelta(minutes=75)]
    for slot in slots:
        airflow.api("POST", "/dags/alerts/dagRuns", logical_date=None, conf={"slot": slot.isoformat()})

    def checks():
        known = [json.loads(p.read_text() or "{}") for p in airflow.outputs.glob("alerts/*/*/check-try*.json")]
        return {r["parameters"]["slot"]: r["status"] for r in known if r.get("ended")}

    until(lambda: {s.isoformat() for s in slots} <= set(checks()), 240, "the checks")
    sent = [fields.get("caption") or fields.get("text") for _, fields in airflow.bot.arrived]
    assert [text.split("\n")[0] for text in sent] == [
        "⚫ <b>No data: Feed</b> · critical", "✅ <b>Over: Feed</b>"
    ]  # fmt: skip
    assert f"{outage:%H:%M}–" in sent[0] and "lasted 45 min" in sent[1]
    assert "reply_parameters" in airflow.bot.arrived[1][1]
    known = "SELECT incident, slot, status FROM airflow_target.incidents ORDER BY incident, slot, status"
    before, past = execute(known), (outage + timedelta(minutes=15)).isoformat()
    run = airflow.api("POST", "/dags/alerts/dagRuns", logical_date=None, conf={"slot": past})["dag_run_id"]
    until(lambda: past in checks(), 120, "the check of a slot of the past, by hand")
    airflow.cli("dags", "pause", "alerts")
    assert set(checks().values()) == {"succeeded"}
    shown = airflow.page(f"alerts/{run}/check/page", headers=airflow.bearer()).text
    assert "open incidents 1" in shown and "lies before a slot that was checked already: nothing was posted" in shown
    assert len(airflow.bot.arrived) == 2 and execute(known) == before, "no message, and no incident is left open"


@pytest.mark.slow
def test_wrong_code_and_a_kernel_that_is_not_there_are_tried_once(airflow):
    airflow.cli("dags", "unpause", "wrong")
    run = airflow.api("POST", "/dags/wrong/dagRuns", logical_date=None)["dag_run_id"]
    until(lambda: airflow.api("GET", f"/dags/wrong/dagRuns/{run}")["state"] == "failed", 120, "the end of the run")
    tries = airflow.api("GET", f"/dags/wrong/dagRuns/{run}/taskInstances")["task_instances"]
    assert {one["task_id"]: (one["state"], one["try_number"]) for one in tries} == {
        "code": ("failed", 1), "kernel": ("failed", 1),
    }  # fmt: skip
    errors = {name: record["error"] for name, record in records(airflow.outputs, "wrong/*/*/*.json").items()}
    assert (
        "NameError: name 'a_name_that_is_not_there' is not defined" in errors["code"] and "nowhere" in errors["kernel"]
    )


@pytest.mark.slow
def test_a_backfill_with_a_run_date_fails_at_once_and_says_why(airflow):
    last = datetime.now(UTC).date() - timedelta(days=1)
    airflow.bot.arrived.clear()
    made = airflow.api("POST", "/backfills", dag_id="feed_report", from_date=f"{last - timedelta(days=2)}T00:00:00Z",
                       to_date=f"{last}T00:00:00Z", max_active_runs=1, reprocess_behavior="none",
                       dag_run_conf={"run_date": str(last - timedelta(days=5))})  # fmt: skip
    airflow.cli("dags", "unpause", "feed_report")

    def runs():
        known = airflow.api("GET", "/dags/feed_report/dagRuns?limit=100")["dag_runs"]
        return [run for run in known if run["run_type"] == "backfill"]

    until(lambda: len(runs()) >= 2 and all(run["state"] == "failed" for run in runs()), 200, "the backfill's end")
    airflow.cli("dags", "pause", "feed_report")
    assert made["id"] and not [p for p in airflow.outputs.glob("feed_report/*/backfill*/*")], "nothing was executed"
    said = [fields.get("text", "") for _, fields in airflow.bot.arrived]
    assert sum("each run of a backfill works on a run_date of its own" in text for text in said) == len(runs())


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
def test_a_day_whose_events_came_late_is_loaded_again_once(airflow, execute):
    day, source = datetime.now(MOSCOW).date() - timedelta(days=3), "airflow_source.feed_actions"
    of_day = f"action IN ('view', 'like') AND toDate(time, 'Europe/Moscow') = '{day}'"

    def state(dag: str, run: str) -> str:
        return airflow.api("GET", f"/dags/{dag}/dagRuns/{run}")["state"]

    def over(dag: str, run: str) -> str:
        until(lambda: state(dag, run) in ("success", "failed"), 200, f"the end of {run}")
        return state(dag, run)

    airflow.cli("dags", "unpause", "etl")
    load = airflow.api("POST", "/dags/etl/dagRuns", logical_date=None, conf={"run_date": str(day)})["dag_run_id"]
    assert over("etl", load) == "success"
    execute(
        f"INSERT INTO {source} SELECT * REPLACE (user_id + 5000000 AS user_id) FROM {source} WHERE {of_day} LIMIT 60"
    )
    airflow.cli("dags", "unpause", "recount")  # starts the latest run that was missed
    first = until(lambda: airflow.api("GET", "/dags/recount/dagRuns")["dag_runs"], 60, "a run of recount")[0]
    assert over("recount", first["dag_run_id"]) == "success"

    def reloads() -> list[tuple[str, str]]:
        runs = airflow.api("GET", "/dags/etl/dagRuns?limit=100")["dag_runs"]
        own = [run for run in runs if run["dag_run_id"].startswith("recount__")]
        return sorted((run["conf"]["run_date"], run["state"]) for run in own)

    found = reloads()  # of other days, too, where they are missing between days that were loaded
    assert found.count((str(day), "success")) == 1 and {state for _, state in found} == {"success"}
    again = airflow.api("POST", "/dags/recount/dagRuns", logical_date=None)["dag_run_id"]
    assert over("recount", again) == "success" and reloads() == found, "a second time nothing has changed"
    loaded = f"SELECT sum(views + likes) FROM airflow_target.metrics_by_dimension WHERE event_date = '{day}' AND dimension = 'os'"
    assert execute(loaded) == execute(f"SELECT count() FROM {source} WHERE {of_day}")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_monitor_hears_how_scheduled_runs_begin_and_end_and_of_no_other(airflow):
    for dag in ("punctual", "broken"):
        airflow.api("PATCH", f"/dags/{dag}", is_paused=False)

    def said():  # other tests have scheduled runs of other DAGs
        return [path for path in [*airflow.monitor.asked] if path.split("/")[2] in ("punctual", "broken")]

    ends = {f"/{PING_KEY}/punctual", f"/{PING_KEY}/broken/fail"}
    until(lambda: ends <= {*said()}, 240, "the word of both ends")
    assert sorted(said()) == sorted([*ends, f"/{PING_KEY}/punctual/start", f"/{PING_KEY}/broken/start"])
    assert all(said().index(f"/{PING_KEY}/{dag}/start") < said().index(end) for dag, end in zip(("broken", "punctual"), sorted(ends), strict=True))  # fmt: skip
    run = airflow.api("POST", "/dags/punctual/dagRuns", logical_date=None)["dag_run_id"]
    until(lambda: airflow.api("GET", f"/dags/punctual/dagRuns/{run}")["state"] == "success", 90, "the end of the run")
    time.sleep(5)
    assert len(said()) == 4, "a run by hand says nothing of the schedule"
    for file in [*airflow.home.rglob("*.log"), *airflow.outputs.rglob("*.*")]:
        assert file.is_dir() or PING_KEY.encode() not in file.read_bytes(), file


LONG = pytest.mark.timeout(1500)  # beside it `until` says sooner what has not happened


@pytest.fixture
def complete(airflow, execute):
    """Yesterday has no event in its last second and is not loaded, and the chat is empty; what is returned makes the day
    complete. It stays yesterday for as long as a test takes."""
    until(lambda: f"{datetime.now(MOSCOW):%H:%M}" < "23:48", 720, "the next day")
    replace(airflow.home / "deadline", "23:59:59")
    airflow.bot.arrived.clear()
    last = datetime.now(MOSCOW).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=1)
    tables, at = ("feed_actions", "message_actions"), f"toDateTime({int(last.timestamp())})"
    for table in tables:
        execute(f"ALTER TABLE airflow_source.{table} DELETE WHERE time = {at} SETTINGS mutations_sync = 1")
    for table in ("daily_metrics", "metrics_by_dimension"):
        if execute(f"EXISTS TABLE airflow_target.{table}").strip() == "1":
            day = f"event_date = '{last.date()}'"
            execute(f"ALTER TABLE airflow_target.{table} DELETE WHERE {day} SETTINGS mutations_sync = 1")

    def make(*some: str) -> None:
        for table in some or tables:
            name = f"airflow_source.{table}"
            execute(f"INSERT INTO {name} SELECT * REPLACE ({at} AS time) FROM {name} LIMIT 1")

    return make


@pytest.mark.slow
@LONG
def test_a_wait_outlasts_looks_and_a_dag_file_that_is_away_and_uses_no_retry(airflow, complete):
    looks, enough = {"first": set(), "second": set()}, 3  # starts without a DAG that Airflow allows of itself

    def waiting() -> bool:
        for name, known in records(airflow.outputs, "waits/*/*/*.json").items():
            looks[name] |= {known["waiting"]["next"]} if known.get("status") == "waiting" else set()
        return all(len(found) >= enough for found in looks.values())

    airflow.api("PATCH", "/dags/waits", is_paused=False)
    until(waiting, 120, "the third look of both", pause=0.2)
    (airflow.home / "hiccup").touch()
    until((airflow.home / "hiccup.noticed").exists, 60, "a start without the DAG's file", pause=0.1)
    (airflow.home / "hiccup").unlink()
    for found in looks.values():
        found.clear()
    enough = 2
    until(waiting, 120, "looks afterwards", pause=0.2)
    complete()
    (run,) = airflow.api("GET", "/dags/waits/dagRuns")["dag_runs"]
    of_run = f"/dags/waits/dagRuns/{run['dag_run_id']}"
    until(lambda: airflow.api("GET", of_run)["state"] in ("success", "failed"), 120, "the end of the run")
    airflow.api("PATCH", "/dags/waits", is_paused=True)
    tries = airflow.api("GET", f"{of_run}/taskInstances")["task_instances"]
    assert {(one["task_id"], one["state"], one["try_number"]) for one in tries} == {
        ("first", "success", 1), ("second", "success", 1),
    }  # fmt: skip
    found = [path.stem for path in airflow.outputs.glob("waits/*/*/*.ipynb")]
    assert sorted(found) == ["first-try1", "second-try1"], "a kernel each"
    assert {r["status"] for r in records(airflow.outputs, "waits/*/*/*.json").values()} == {"succeeded"}
    operations_heard_of_one_wait(airflow)


def operations_heard_of_one_wait(airflow):
    first, second = [fields for _, fields in airflow.bot.arrived]
    assert "message_actions looks unfinished on" in first["text"]
    assert " went on at " in second["text"] and "reply_parameters" in second
    assert {first["chat_id"], second["chat_id"]} == {"-7"}, "and not a word to the team"


@pytest.mark.slow
@LONG
def test_a_wait_outlasts_killed_services_and_a_pause_and_each_killed_look_uses_one_retry(airflow, complete):
    dag, held = "/dags/interrupted", airflow.home / "held"

    def task() -> dict:
        return next(iter(airflow.api("GET", f"{dag}/dagRuns/~/taskInstances")["task_instances"]), {})

    def known(number: int) -> dict:
        return records(airflow.outputs, f"interrupted/*/*/only-try{number}.json").get("only") or {}

    def looked(number: int = 1, after: str = "") -> str:
        """When a try that waits looks again, once Airflow has heard of it and the process of the look has ended."""
        due, now = (known(number).get("waiting") or {}).get("next", ""), task()
        over = now.get("state") == "up_for_reschedule" and not Path(f"/proc/{now['pid']}").exists()
        return due if due > after and over else ""

    def in_a_look() -> int:
        """The process of the next look, which is held in its middle."""
        process = int(until(held.read_text, 60, "a look", pause=0.1))
        held.unlink()
        return process

    airflow.api("PATCH", dag, is_paused=False)
    due = until(looked, 90, "the first look")
    for service in ("scheduler", "tasks-api-server", "dag-processor"):  # killed between two looks
        time.sleep(1)
        airflow.restart(service)
        due = until(lambda after=due: looked(after=after), 90, f"a look after the {service} was killed", pause=0.2)
    airflow.api("PATCH", dag, is_paused=True)
    due = until(looked, 60, "the end of a look that had begun before the pause")
    held.touch()
    time.sleep((datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds() + 3)
    assert looked() == due and not held.read_text(), "a task of a DAG that is paused does not look"
    airflow.api("PATCH", dag, is_paused=False)
    os.kill(in_a_look(), signal.SIGKILL)
    until(lambda: looked(2), 90, "a look of the second try")
    held.touch()
    process = in_a_look()
    supervisor = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process}").exists(), 30, "the end of the look whose supervisor was killed")
    with sqlite3.connect(airflow.home / "airflow.db", timeout=60) as database:  # Airflow notices it after five minutes
        database.execute(
            "UPDATE task_instance SET last_heartbeat_at = '2026-01-01 00:00:00.000000' WHERE dag_id = 'interrupted'"
        )
    until(lambda: looked(3), 90, "a look of the third try")
    complete()
    until(lambda: task()["state"] in ("success", "failed"), 120, "the end of the task")
    airflow.api("PATCH", dag, is_paused=True)
    assert (task()["state"], task()["try_number"]) == ("success", 3), "of all this the killed looks alone used retries"
    assert [path.stem for path in airflow.outputs.glob("interrupted/*/*/*.ipynb")] == ["only-try3"], "one kernel"
    for number in (1, 2):
        goes_on = f"it waited, and try {number + 1} goes on in its place"
        assert (known(number)["status"], known(number)["error"]) == ("killed", goes_on)
    assert known(3)["status"] == "succeeded" and len([*airflow.outputs.glob("interrupted/*/*/*.json")]) == 3
    days = index_files.read(index_files.overview_of(airflow.outputs), {})["days"].values()
    counts = [day["interrupted"] for day in days if "interrupted" in day]
    assert counts == [[3, 0, 0, 0]], "a day whose later try succeeded is no failed day"
    operations_heard_of_one_wait(airflow)


def said(airflow, chat: str) -> list[str]:
    """What a chat received, in order: the text of each message without markup; replies are marked."""
    found = []
    for _, fields in airflow.bot.arrived:
        if fields["chat_id"] == chat:
            album = json.loads(fields.get("media", "[{}]"))[0]  # its text is in the first picture's caption
            text = ({"caption": fields.get("text")} | fields | album)["caption"]
            found.append(("↩ " if "reply_parameters" in fields else "") + re.sub("<[^>]+>", "", text))
    return found


def heard(airflow) -> dict[str, list[str]]:
    """The first line of each message that team and operations received."""
    chats = {"team": "-42", "operations": "-7"}
    return {name: [text.split("\n")[0] for text in said(airflow, chat)] for name, chat in chats.items()}


def states(airflow, dag: str) -> dict[str, tuple[str, int]]:
    """By task of a DAG that has run once: its state, and its try. One that waits does so between two looks and in the middle of
    one."""
    tasks = airflow.api("GET", f"/dags/{dag}/dagRuns/~/taskInstances")["task_instances"]
    known = records(airflow.outputs, f"{dag}/*/*/*.json")
    found = {}
    for task in tasks:
        goes_on = task["state"] in (None, "scheduled", "queued", "running", "up_for_reschedule")
        waits = goes_on and known.get(task["task_id"], {}).get("status") == "waiting"
        found[task["task_id"]] = "waiting" if waits else task["state"], task["try_number"]
    return found


@pytest.mark.slow
@LONG
def test_after_a_morning_without_airflow_two_late_reports_wait_at_once_and_each_is_told_once(airflow, complete):
    """The first is complete in time; the second only after its deadline, when somebody clears it."""
    today = datetime.now(MOSCOW).date()
    day, reports = today - timedelta(days=1), ("late_feed", "late_app")

    def tasks() -> dict[str, tuple]:
        """By report: when its runs were due, how its tasks are and their tries, and the tries that had a kernel."""
        found = {}
        for dag in reports:
            runs = airflow.api("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
            due = [f"{datetime.fromisoformat(run['logical_date']).astimezone(MOSCOW):%F %R}" for run in runs]
            kernels = sorted(path.stem for path in airflow.outputs.glob(f"{dag}/*/*/*.ipynb"))
            found[dag] = due, [*states(airflow, dag).values()], kernels
        return found

    due = [f"{today} 00:00"]
    airflow.kill(*SERVICES)
    airflow.cli("dags", "unpause", "--yes", "--treat-dag-id-as-regex", "^late_(feed|app)$")
    airflow.restart(*SERVICES)
    until(airflow.healthy, 120, "an answer of Airflow")
    until(lambda: tasks() == dict.fromkeys(reports, (due, [("waiting", 1)], [])), 120, "the wait of both")
    unfinished = "airflow_source.{} looks unfinished on {}: its last event is "
    feed, messages = (unfinished.format(table, day) for table in ("feed_actions", "message_actions"))
    waits = sorted(heard(airflow)["operations"])
    assert len(waits) == 2 and waits[0].startswith(f"⏳ late_app · {day} waits: {feed}") and messages in waits[0]
    assert waits[1].startswith(f"⏳ late_feed · {day} waits: {feed}") and messages not in waits[1]

    complete("feed_actions")
    until(lambda: tasks()["late_feed"] == (due, [("success", 1)], ["report-try1"]), 90, "the first report")
    replace(airflow.home / "deadline", f"{datetime.now(MOSCOW):%H:%M:%S}")
    until(
        lambda: tasks()["late_app"] == (due, [("failed", 1)], ["report-try1"]), 90, "the end of the second one's wait"
    )
    until(lambda: len(heard(airflow)["operations"]) == 5, 60, "the word of its failure")
    went, gave_up, failed = heard(airflow)["operations"][2:]
    assert re.fullmatch(rf"↩ ✓ late_feed · {day} went on at \d\d:\d\d", went)
    assert re.match(rf"↩ ✗ late_app · {day} gave up waiting at \d\d:\d\d: {re.escape(messages)}", gave_up)
    assert failed == f"✗ late_app · {day}" and len(heard(airflow)["team"]) == 1

    complete("message_actions")
    (run,) = airflow.api("GET", "/dags/late_app/dagRuns")["dag_runs"]
    of_run = f"/dags/late_app/dagRuns/{run['dag_run_id']}"  # cleared before its end it would end all the same
    until(lambda: airflow.api("GET", of_run)["state"] == "failed", 60, "the end of the second one's run")
    airflow.api("POST", "/dags/late_app/clearTaskInstances", dry_run=False, dag_run_id=run["dag_run_id"])
    until(
        lambda: tasks()["late_app"] == (due, [("success", 2)], ["report-try1", "report-try2"]), 120, "the second report"
    )
    for dag in reports:
        airflow.api("PATCH", f"/dags/{dag}", is_paused=True)
    team, operations = heard(airflow).values()
    assert [line.split(" · ")[0] for line in team] == ["Feed", "App"] and len(operations) == 5


@pytest.mark.slow
@LONG
def test_where_the_etl_is_late_the_apps_report_goes_at_its_deadline_and_the_rest_is_a_reply(airflow, complete):
    day = datetime.now(MOSCOW).date() - timedelta(days=1)
    complete()
    airflow.api("PATCH", "/dags/late_etl", is_paused=False)
    until(lambda: states(airflow, "late_etl").get("report") == ("waiting", 1), 120, "the wait of the report")
    assert said(airflow, "-7") == [
        f"⏳ late_etl · {day} waits: etl has not loaded {day} yet. It looks every 0 minutes until 23:59, and uses no retry."
    ]
    replace(airflow.home / "deadline", f"{datetime.now(MOSCOW):%H:%M:%S}")
    waits = {"report": ("success", 1), "rest": ("waiting", 1)}
    until(lambda: states(airflow, "late_etl") == waits, 120, "the report, and the wait of its rest")
    (report,) = said(airflow, "-42")
    assert report.startswith("App · ") and "\nWhere\n– not known yet: this day is not loaded" in report

    airflow.cli("dags", "unpause", "etl")
    load = airflow.api("POST", "/dags/etl/dagRuns", logical_date=None, conf={"run_date": str(day)})["dag_run_id"]
    until(lambda: airflow.api("GET", f"/dags/etl/dagRuns/{load}")["state"] == "success", 240, "the load of the day")
    both = {"report": ("success", 1), "rest": ("success", 1)}
    until(lambda: states(airflow, "late_etl") == both, 120, "the rest")
    airflow.api("PATCH", "/dags/late_etl", is_paused=True)
    kernels = sorted(path.stem for path in airflow.outputs.glob("late_etl/*/*/*.ipynb"))
    assert kernels == ["report-try1", "rest-try1"], "one each, and neither for a look"
    numbered = enumerate(airflow.bot.arrived, 1)
    (first, _), (_, reply) = [(100 * n, fields) for n, (_, fields) in numbered if fields["chat_id"] == "-42"]
    assert json.loads(reply["reply_parameters"])["message_id"] == first
    _, rest = said(airflow, "-42")
    assert [line.split(": ")[0] for line in rest.split("\n")] == ["↩ Where (share of views)", "OS", "Gender", "Age"]
    waited, gave_up = heard(airflow)["operations"]
    assert waited.startswith("⏳ ") and re.fullmatch(
        rf"↩ ✗ late_etl · {day} gave up waiting at \d\d:\d\d: etl has not loaded {day} yet", gave_up
    )
