"""The notebooks of the ETL against an independent computation, re-runs, kills and bad input."""

import json
import os
import re
import signal
import threading
import urllib.parse
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import pytest
import requests

from pulsebook import runner
from pulsebook.base.settings import ROOT
from pulsebook.local.server import running
from pulsebook.parameters import ParameterError
from tests import forked
from tests.etl import STEPS, code_of, quick
from tests.world import final_table, raw_rows

DAY, ZONE = date(2026, 11, 20), ZoneInfo("Europe/Moscow")


def etl(folder, day=DAY, steps=STEPS, **parameters):
    """Every step through papermill and a real kernel."""
    for name, own in steps:
        extra = parameters if name.startswith("extract") else {}
        attempt = "_".join([name, *own.values()])
        runner.run(ROOT / f"notebooks/etl/{name}.ipynb", {"run_date": str(day), **own, **extra}, folder, name=attempt)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "zone", "receiver"),
    [(DAY, "Europe/Moscow", "reciever_id"), (date(2026, 10, 25), "Europe/Berlin", "receiver_id")],
    ids=["misspelt receiver", "day of 25 hours"],
)
def test_every_cell_of_the_final_table_equals_an_independent_computation(
    day, zone, receiver, fill, final, configured, tmp_path
):
    feed, messages = raw_rows(day, ZoneInfo(zone))
    fill(feed, messages, receiver)
    configured(timezone=zone)
    etl(tmp_path, day)
    expected = final_table(feed, messages, day, ZoneInfo(zone))
    pd.testing.assert_frame_equal(final(day), expected)
    received = expected["messages_received"]
    assert received["age", "unknown"] > 0, "the world must hold receivers without a profile"
    assert received["age", "55"] == received["age", "61"] == 1, "and receivers whose profile is of earlier days"
    assert not {("age", "60"), ("age", "62")} & set(expected.index), "but of no more than 30 days before"
    records = [json.loads(p.read_text()) for p in tmp_path.glob("*.json")]
    assert len(records) == 7 and {r["status"] for r in records} == {"succeeded"}
    _facts_are(
        expected, {p.stem.rpartition("-try")[0]: json.loads(p.read_text())["facts"] for p in tmp_path.glob("*.json")}
    )


def _facts_are(expected, stated):
    """What the tasks state is what they have counted."""
    found = {task: {(f["metric"], f["slice"]): f["value"] for f in facts} for task, facts in stated.items()}
    totals = expected.loc["os"].sum().to_dict()
    sliced = {
        name: {(m, f"{name}={value}"): n for value, row in rows.droplevel(0).iterrows() for m, n in row.items()}
        for name, rows in expected.groupby(level="dimension")
    }
    rows = {("rows", ""): len(expected), **{(metric, ""): total for metric, total in totals.items()}}
    assert found["load"] == rows | {name: n for part in sliced.values() for name, n in part.items()}
    for name, part in sliced.items():
        assert found[f"slice_{name}"] == part | {(f"values of {name}", ""): len(expected.loc[name])}
    for task, names in (
        ("extract_feed", ("views", "likes")),
        ("extract_messages", ("messages_sent", "users_received")),
    ):
        assert {name: found[task][name, ""] for name in names} == {name: totals[name] for name in names}
    assert found["merge_users"]["users", ""] >= max(
        found["extract_feed"]["users", ""], found["extract_messages"]["users", ""]
    )


def test_a_second_server_as_source_gives_the_same_numbers(fill, final, configured, databases, execute, tmp_path):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    quick(DAY)
    here = final.text(DAY)
    with running(tmp_path / "other", password="read only") as other:
        url = other.replace("read only", "read%20only")

        def there(sql):
            address, credentials = other.rpartition("@")[2], ("default", "read only")
            assert requests.post(f"http://{address}", data=sql.encode(), auth=credentials).ok

        there(f"CREATE DATABASE {databases[0]}")
        for table in ("feed_actions", "message_actions"):
            there(execute(f"SHOW CREATE TABLE {databases[0]}.{table} FORMAT TSVRaw"))
            rows = execute(f"SELECT * FROM {databases[0]}.{table} FORMAT CSV")
            there(f"INSERT INTO {databases[0]}.{table} FORMAT CSV\n{rows}")
            execute(f"DROP TABLE {databases[0]}.{table}")
        execute(f"DROP DATABASE {databases[1]}")
        configured(source_url=url)
        quick(DAY)
        assert final.text(DAY) == here


def test_a_rerun_gives_the_same_bytes_and_one_archive_entry_more(fill, final, configured, tmp_path):
    fill(*raw_rows(DAY, ZONE))
    quick(DAY, steps=STEPS[:-1])
    etl(tmp_path, steps=STEPS[-1:])
    first = final.text(DAY)
    etl(tmp_path, steps=STEPS[-1:])
    quick(DAY)
    assert final.text(DAY) == first != ""
    assert sorted(p.name for p in tmp_path.glob("load*.ipynb")) == ["load-try1.ipynb", "load-try2.ipynb"]


def test_corrected_rows_give_exactly_the_corrected_numbers_also_when_a_value_vanishes(fill, final, configured):
    feed, messages = raw_rows(DAY, ZONE)
    rare = feed.iloc[[0]].assign(
        user_id=999, os="Symbian", time=int(pd.Timestamp("2026-11-20 12:00", tz=ZONE).timestamp())
    )
    fill(pd.concat([feed, rare]), messages)
    quick(DAY)
    assert ("os", "Symbian") in final(DAY).index
    fill(feed, messages)
    quick(DAY)
    pd.testing.assert_frame_equal(final(DAY), final_table(feed, messages, DAY, ZONE))


def test_days_at_the_same_time_do_not_disturb_each_other(fill, final, configured):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    days = [DAY, DAY - timedelta(days=1), DAY - timedelta(days=2)]
    script = "\n".join(
        "exec({!r}, {{}})".format(code_of(n, run_date="@DAY", quiet_hours=24.0, **own)) for n, own in STEPS
    )
    runs = [forked.script(script.replace("@DAY", str(d))) for d in days]
    assert [forked.exit_code(run, 120) for run in runs] == [0, 0, 0]
    for day in days:
        pd.testing.assert_frame_equal(final(day), final_table(feed, messages, day, ZONE))


class Guillotine(ThreadingHTTPServer):
    """Stands between a process and the warehouse; kills the process before or after its nth writing statement."""

    def __init__(self, upstream, fatal, when):
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream, self.fatal, self.when, self.writes, self.victim = upstream, fatal, when, 0, None


class _Forward(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        statement = urllib.parse.unquote_plus(self.path) + body.decode()
        writes = any(f"{verb} " in statement for verb in ("CREATE", "INSERT", "ALTER", "DROP"))
        self.server.writes += writes
        last = writes and self.server.writes == self.server.fatal
        if last and self.server.when == "before":
            os.kill(self.server.victim.pid, signal.SIGKILL)
            return
        answer = requests.post(self.server.upstream + self.path, data=body)
        if last:
            os.kill(self.server.victim.pid, signal.SIGKILL)
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_kill_of_load_at_any_step_leaves_the_old_day_or_the_new_one_whole(
    fill, final, configured, server, execute, databases
):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    quick(DAY)
    old = final.text(DAY)
    table = f"{databases[1]}.metrics_by_dimension"
    execute(f"CREATE TABLE {databases[1]}.old AS {table}")
    execute(f"INSERT INTO {databases[1]}.old SELECT * FROM {table}")
    fill(feed[feed["user_id"] != 7], messages)
    quick(DAY, steps=STEPS[:-1])
    seen, fatal, finished = [], 0, False
    while not finished:
        fatal += 1
        for when in ("before", "after"):
            execute(f"ALTER TABLE {table} REPLACE PARTITION '{DAY}' FROM {databases[1]}.old")
            with Guillotine(server, fatal, when) as between:
                threading.Thread(target=between.serve_forever, args=(0.02,), daemon=True).start()
                url = f"http://127.0.0.1:{between.server_address[1]}"
                between.victim = forked.script(code_of("load", run_date=str(DAY)), PULSEBOOK_CLICKHOUSE_URL=url)
                finished = forked.exit_code(between.victim, 60) == 0
                between.shutdown()
            seen.append(final.text(DAY))
    new = seen[-1]
    assert new != old and fatal > 4, "the last run must have come through, after kills at several steps"
    assert seen[0] == old and set(seen) == {old, new}
    quick(DAY, steps=STEPS[-1:])
    pd.testing.assert_frame_equal(final(DAY), final_table(feed[feed["user_id"] != 7], messages, DAY, ZONE))


def refusal(folder, notebook="extract_feed", **parameters) -> str:
    """Runs one notebook that must fail; returns its error, which the archived notebook must show."""
    with pytest.raises(runner.NotebookFailed) as caught:
        runner.run(ROOT / f"notebooks/etl/{notebook}.ipynb", {"run_date": str(DAY), **parameters}, folder)
    (record,) = [json.loads(p.read_text()) for p in folder.glob("*.json")]
    assert record["status"] == "failed"
    (executed,) = folder.glob("*.ipynb")
    errors = [o for c in nbformat.read(executed, 4).cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert len(errors) == 1 and errors[0].evalue.splitlines()[0] in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("empty day", "feed_actions has no rows on 2026-11-20. Nothing was written. Wait for the source"),
        ("unfinished day", "feed_actions looks unfinished on 2026-11-20: its last event is 6.0 hours before midnight"),
        ("missing table", "feed_actions"),
        ("missing column", "feed_actions lacks os; it has"),
        ("wrong password", "Authentication failed"),
        ("server down", "no connection"),
    ],
)
def test_bad_input_gives_one_clear_message_writes_nothing_and_shows_in_the_archive(
    case, says, fill, execute, databases, configured, tmp_path, server
):
    feed, messages = raw_rows(DAY, ZONE)
    end = int(pd.Timestamp("2026-11-21", tz=ZONE).timestamp())
    if case == "empty day":
        feed = feed[feed["time"] >= end]
    if case == "unfinished day":
        feed = pd.concat([feed[feed["time"] < end - 6 * 3600], feed.iloc[[0]].assign(time=end - 6 * 3600)])
    fill(feed, messages)
    if case == "missing table":
        execute(f"DROP TABLE {databases[0]}.feed_actions")
    if case == "missing column":
        execute(f"ALTER TABLE {databases[0]}.feed_actions DROP COLUMN os")
    secret = "p@ss w0rd"
    if case == "server down":
        configured(clickhouse_url=f"http://me:{urllib.parse.quote(secret)}@127.0.0.1:1")
    folder = tmp_path / "archive"
    if case == "wrong password":
        with running(tmp_path / "locked", password="right") as locked:
            configured(clickhouse_url=locked.replace("right", urllib.parse.quote(secret)))
            message = refusal(folder)
    else:
        message = refusal(folder)
    assert says in message
    assert execute(f"SELECT count() FROM system.tables WHERE database = '{databases[1]}'").strip() == "0"
    for file in folder.iterdir():
        text = file.read_text()
        assert secret not in text and urllib.parse.quote(secret) not in text


@pytest.mark.parametrize(
    ("run_date", "says"),
    [
        ("20.11.2026", "run_date must be an ISO day such as 2026-11-22 (empty: yesterday), got '20.11.2026'"),
        (str(date.today() + timedelta(days=2)), "run_date must be a day that is over in Europe/Moscow"),
    ],
)
def test_a_day_that_cannot_be_is_refused_before_anything_begins(run_date, says, tmp_path):
    with pytest.raises(ParameterError, match=re.escape(says)):
        runner.run(ROOT / "notebooks/etl/extract_feed.ipynb", {"run_date": run_date}, tmp_path)
    (record,) = tmp_path.iterdir()  # which says so; no notebook was executed
    assert json.loads(record.read_text())["status"] == "failed" and says in record.read_text()


def test_an_unfinished_day_can_be_forced(fill, final, configured):
    feed, messages = raw_rows(DAY, ZONE)
    noon = int(pd.Timestamp("2026-11-20 12:00", tz=ZONE).timestamp())
    feed = feed[feed["time"] < noon]
    fill(feed, messages)
    with pytest.raises(ValueError, match="looks unfinished"):
        quick(DAY)
    forced = [(name, {**own, "allow_unfinished": True} if "extract" in name else own) for name, own in STEPS]
    quick(DAY, steps=forced)
    pd.testing.assert_frame_equal(final(DAY), final_table(feed, messages, DAY, ZONE))


def test_load_refuses_when_the_source_has_changed_since_the_extracts(fill, final, configured, execute, databases):
    feed, messages = raw_rows(DAY, ZONE)
    fill(feed, messages)
    quick(DAY)
    before = final.text(DAY)
    execute(
        f"INSERT INTO {databases[0]}.feed_actions SELECT * FROM {databases[0]}.feed_actions WHERE toDate(time, '{ZONE.key}') = '{DAY}' LIMIT 5"
    )
    with pytest.raises(ValueError, match="do not add up to the source; nothing was written"):
        quick(DAY, steps=STEPS[-1:])
    assert final.text(DAY) == before
