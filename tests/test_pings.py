"""The dead man's switch: what a monitor hears of a run, and that no fault of it reaches the run or says the secret."""

import logging
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from pulsebook.airflow import daily, pings
from pulsebook.base.redact import redact
from pulsebook.base.settings import SettingsError, settings

KEY = "q7Xv0-secret-ping-key_Zk3"
TASKS = [SimpleNamespace(task_id=name) for name in ("extract_messages", "extract_feed")]


@contextmanager
def monitor(answer=lambda handler: handler.send_response(200), pause: float = 0.0):
    """A server on loopback in place of the monitor: `url` with the key, and the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(pause)
            answer(self)
            self.end_headers()

        def do_HEAD(self):
            asked.append(f"HEAD {self.path}")
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/ping/{KEY}", asked=asked)
    finally:
        server.shutdown()
        server.server_close()


def context(
    run_id: str = "scheduled__2026-11-22", task: str = "extract_feed", attempt: int = 1, looks: int = 0
) -> dict:
    dag = SimpleNamespace(dag_id="etl", roots=TASKS)
    ti = SimpleNamespace(task_id=task, try_number=attempt)
    return {"dag": dag, "run_id": run_id, "ti": ti, "task_reschedule_count": looks}


def test_each_dag_has_a_path_and_a_run_says_its_begin_and_its_end(configured):
    with monitor() as there:
        configured(heartbeat_url=f"{there.url}/")
        for tell in (pings.started, pings.succeeded, pings.failed):
            tell(context())
        assert there.asked == [f"/ping/{KEY}/etl/start", f"/ping/{KEY}/etl", f"/ping/{KEY}/etl/fail"]


def test_a_run_begins_once_with_its_first_task_however_often_that_waits_or_is_tried(configured):
    with monitor() as there:
        configured(heartbeat_url=there.url)
        for how in (dict(task="extract_messages"), dict(attempt=2), dict(looks=1), dict(task="load")):
            pings.started(context(**how))
        assert there.asked == []


@pytest.mark.parametrize("run_id", ["manual__2026-11-22", "backfill__2026-11-22", "asset_triggered__2026-11-22"])
def test_only_what_the_schedule_has_begun_says_that_it_is_alive(run_id, configured):
    with monitor() as there:
        configured(heartbeat_url=there.url)
        for tell in (pings.started, pings.succeeded, pings.failed):
            tell(context(run_id))
        assert there.asked == []


def test_without_a_monitor_a_dag_has_no_callbacks_and_with_one_it_has(configured):
    def made():
        with daily("11:00", file="dags/some_report.py", doc="") as dag:
            pass
        return dag.on_success_callback, dag.on_failure_callback, dag.default_args.get("on_execute_callback")

    assert made() == (None, None, None)
    configured(heartbeat_url=f"https://hc-ping.com/{KEY}")
    assert made() == (pings.succeeded, pings.failed, pings.started)


def silent(handler):
    """No word within the time limit."""
    time.sleep(1)
    handler.send_response(200)


def trickle(handler):
    """A byte now and then, each in time."""
    for byte in b"HTTP/1.0 200 OK\r\nX: ":
        handler.wfile.write(bytes([byte]))
        time.sleep(0.1)
    handler.send_response(200)


FAULTS = {
    "status 500": (lambda handler: handler.send_response(500), 3),
    "status 404": (lambda handler: handler.send_response(404), 1),
    "status 302": (lambda handler: (handler.send_response(302), handler.send_header("Location", "/elsewhere")), 1),
    "ReadTimeout|no answer in time": (silent, None),
    "no answer in time": (trickle, None),
    "ConnectionError": (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), 3),
}


@pytest.mark.parametrize("said", FAULTS)
def test_no_fault_of_the_monitor_stops_a_run_or_shows_the_key(said, configured, monkeypatch, caplog):
    answer, attempts = FAULTS[said]
    monkeypatch.setattr(pings, "LIMIT", 0.8)
    monkeypatch.setattr(pings, "PAUSE", 0.01)
    caplog.set_level(logging.DEBUG)
    with monitor(answer) as there:
        configured(heartbeat_url=there.url)
        begun = time.monotonic()
        pings.succeeded(context())
        assert time.monotonic() - begun < 1.5
        assert attempts in (None, len(there.asked))
    (entry,) = [entry for entry in caplog.records if entry.name == pings.__name__]
    assert entry.levelname == "WARNING"
    assert entry.getMessage().rpartition(": ")[2] in said.split("|")
    assert entry.getMessage().startswith("the monitor at 127.0.0.1 was not told of etl: ") and KEY not in caplog.text


@pytest.mark.parametrize("place", ["http://127.0.0.1:9", "http://no-such-host.invalid", "https://127.0.0.1:9"])
def test_nobody_there_is_a_line_in_the_log(place, configured, monkeypatch, caplog, capsys):
    monkeypatch.setattr(pings, "PAUSE", 0.01)
    caplog.set_level(logging.DEBUG)
    configured(heartbeat_url=f"{place}/{KEY}")
    pings.failed(context())
    assert "was not told of etl/fail: " in caplog.text and KEY not in caplog.text + capsys.readouterr().err


def test_an_answer_that_comes_at_the_second_attempt_is_one(configured, monkeypatch, caplog):
    answers = iter([503, 200])
    monkeypatch.setattr(pings, "PAUSE", 0.01)
    with monitor(lambda handler: handler.send_response(next(answers))) as there:
        configured(heartbeat_url=there.url)
        pings.succeeded(context())
        assert len(there.asked) == 2 and not caplog.text


@pytest.mark.parametrize(
    "value",
    ["hc-ping.com/key", "ftp://h/key", "https://", "https://h/key?create=1", "https://h:x/key", "https://[::1/key"],
)
def test_an_address_that_is_none_is_told_without_it(value, configured):
    with pytest.raises(SettingsError, match="PULSEBOOK_HEARTBEAT_URL must look like https://hc-ping.com") as caught:
        configured(heartbeat_url=value)
    assert "found" not in str(caught.value)


def test_the_key_is_a_secret_wherever_it_stands(configured):
    configured(heartbeat_url=f"https://me:hidden-pw@h/ping/{KEY}")
    assert {KEY, "hidden-pw"} <= {*settings().secrets} and "ping" not in settings().secrets
    for text in (f"https://h/ping/{KEY}/etl", f"Max retries exceeded with url: /ping/{KEY}/etl/start", KEY):
        assert KEY not in redact(text)
    assert KEY not in repr(settings()) and redact("a ping of h") == "a ping of h"
