"""One day's ETL against the usual way, side by side in one run on the same embedded server.

    python -m tests.bench.etl [--millions 1 5 20] [--large]

`--large` adds 100 million, without the raw rows, for which a machine of this size has no memory.

The usual way: per-user frames read with pandahouse (ClickHouse groups by user), outer merge and group-by in pandas,
to_clickhouse at the end. The raw way: the day's rows read with pandahouse, everything else in pandas. All read the same
source tables, and their numbers are compared. Wall time, the client's peak memory (the largest process of each side, server
excluded) and the bytes that the client sends and receives.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from pulsebook.local.server import running

DAY = "2026-11-20"
MOST_RAW = 20  # million events whose rows a client can hold
STEPS = (("extract_feed", {}), ("extract_messages", {}), ("merge_users", {}), ("slice", {"dimension": "os"}),
         ("slice", {"dimension": "gender"}), ("slice", {"dimension": "age"}), ("load", {}))  # fmt: skip

READ = """
import pandahouse as ph
import pandas as pd
connection = {"host": URL, "database": "simulator"}
day = "time >= toDateTime(1795122000) AND time < toDateTime(1795208400)"
read = lambda q: ph.read_clickhouse(q, connection=connection)
"""
PER_USER = """
profile = "any(gender) AS gender, any(age) AS age, any(os) AS os"
feed = read("SELECT user_id, countIf(action = 'view') AS views, countIf(action = 'like') AS likes, " + profile
            + " FROM {db}.feed_actions WHERE " + day + " GROUP BY user_id")
sent = read("SELECT user_id, count() AS messages_sent, uniqExact(receiver_id) AS users_sent, " + profile
            + " FROM {db}.message_actions WHERE " + day + " GROUP BY user_id")
received = read("SELECT receiver_id, count() AS messages_received, uniqExact(user_id) AS users_received"
                " FROM {db}.message_actions WHERE " + day + " GROUP BY receiver_id").rename(columns={"receiver_id": "user_id"})
"""
RAW_ROWS = """
profile = dict(gender=("gender", "first"), age=("age", "first"), os=("os", "first"))
feed = read("SELECT user_id, action, gender, age, os FROM {db}.feed_actions WHERE " + day)
feed = feed.assign(view=feed["action"].eq("view"), like=feed["action"].eq("like")).groupby("user_id").agg(
    views=("view", "sum"), likes=("like", "sum"), **profile).reset_index()
messages = read("SELECT user_id, receiver_id, gender, age, os FROM {db}.message_actions WHERE " + day)
sent = messages.groupby("user_id").agg(
    messages_sent=("receiver_id", "size"), users_sent=("receiver_id", "nunique"), **profile).reset_index()
received = messages.groupby("receiver_id").agg(
    messages_received=("user_id", "size"), users_received=("user_id", "nunique")).rename_axis("user_id").reset_index()
"""
WRITE = f"""
users = feed.merge(sent.merge(received, on="user_id", how="outer"), on="user_id", how="outer", suffixes=("", "_m"))
for column in ("gender", "age", "os"):
    users[column] = users[column].fillna(users[column + "_m"])
metrics = ["views", "likes", "messages_received", "messages_sent", "users_received", "users_sent"]
users[metrics] = users[metrics].fillna(0).astype("uint64")
parts = []
for dimension in ("os", "gender", "age"):
    part = users.groupby(dimension, dropna=False)[metrics].sum().reset_index()
    part.insert(0, "dimension", dimension)
    part = part.rename(columns={{dimension: "dimension_value"}})
    part["dimension_value"] = part["dimension_value"].astype(str)
    parts.append(part)
table = pd.concat(parts)
table.insert(0, "event_date", "{DAY}")
for column in ("event_date", "dimension", "dimension_value"):
    table[column] = table[column].astype(object)
ph.to_clickhouse(table, "usual", index=False, connection={{"host": URL, "database": "test"}})
"""

COUNT_BYTES = """
import socket
moved = [0]
def counted(name, size):
    plain = getattr(socket.socket, name)
    def call(self, data, *a):
        done = plain(self, data, *a)
        moved[0] += size(data, done)
        return done
    setattr(socket.socket, name, call)
counted("recv_into", lambda data, done: done)
counted("sendall", lambda data, done: memoryview(data).nbytes)
"""
OURS = """
import json, resource, sys, time
from pathlib import Path
import pulsebook.warehouse as warehouse
spent = [0.0]
def timed(name):
    plain = getattr(warehouse.Warehouse, name)
    def call(*a, **k):
        t = time.perf_counter()
        try: return plain(*a, **k)
        finally: spent[0] += time.perf_counter() - t
    setattr(warehouse.Warehouse, name, call)
timed("_post")
import pulsebook.warehouse.day_rows, pulsebook.warehouse.days
of_days = [0.0]
def of_tables(module, name):  # the seconds of statements for the tables of days
    plain = getattr(module, name)
    def call(*a, **k):
        before = spent[0]
        try: return plain(*a, **k)
        finally: of_days[0] += spent[0] - before
    setattr(module, name, call)
of_tables(pulsebook.warehouse.day_rows, "count_days")
of_tables(pulsebook.warehouse.days, "fill_days")
"""


def measured(code: str, url: str, **variables: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a script in a process of its own, with these variables in its environment; the
    output tells the MB it moved."""
    # not ru_maxrss: a child inherits its parent's
    tail = "\nprint('MOVED', moved[0] / 1e6)"
    tail += "\nprint('PEAK', int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024)"
    environment = {**os.environ, "PULSEBOOK_CLICKHOUSE_URL": url, **variables}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", f"URL = {url!r}\n{COUNT_BYTES}{code}{tail}"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - started, float(done.stdout.rpartition("PEAK ")[2]), done.stdout


def notebook_code(name: str, parameters: dict) -> str:
    import nbformat

    cells = nbformat.read(Path("notebooks/etl") / f"{name}.ipynb", 4).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    return "\n".join([code[0], *(f"{k} = {v!r}" for k, v in parameters.items()), *code[1:]])


def bytes_moved(said: str) -> float:
    """MB that a measured script sent and received."""
    return float(said.rpartition("MOVED ")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--large", action="store_true", help="100 million too")
    arguments = parser.parse_args()
    print("feed events (a quarter as many messages); xN: so many times our statements' seconds\n")
    print(
        " size  per user  raw rows |  per user: s,    MB, moved |  raw rows: s,    MB, moved |  ours: s,  MB, moved   rows/s |"
        "  whole run  overhead  days of load"
    )
    for size in arguments.millions + [100] * arguments.large:
        with tempfile.TemporaryDirectory() as folder, running(folder) as url:
            fill(url, int(size * 1e6))
            usual, usual_peak, usual_said = measured(READ + PER_USER + WRITE, url)
            numbers = [results(url, "usual")]
            raw_shown, raw_ratio = f"{'-':>24}", None
            query(url, "TRUNCATE TABLE test.usual")
            if size <= MOST_RAW:
                raw, raw_peak, said = measured(READ + RAW_ROWS + WRITE, url)
                numbers.append(results(url, "usual"))
                raw_shown, raw_ratio = f"{raw:>8.1f} {raw_peak:>7.0f} {bytes_moved(said):>7.1f}", raw
            peaks, seconds, moved, load = [], 0.0, 0.0, []
            for name, own in STEPS:
                tail = "\nprint('QUERIES', spent[0], of_days[0])"
                _, peak, said = measured(OURS + notebook_code(name, {"run_date": DAY, **own}) + tail, url)
                peaks.append(peak)
                load = [float(number) for number in said.rpartition("QUERIES ")[2].split()[:2]]
                seconds += load[0]
                moved += bytes_moved(said)
            if any(found != results(url, "metrics_by_dimension") for found in numbers):
                raise SystemExit("the ways give different numbers")
            whole, tries = whole_run(url)
            ratio = f"x{raw_ratio / seconds:>5.1f}" if raw_ratio else f"{'-':>6}"
            print(
                f"{size:>3g} M    x{usual / seconds:>5.1f}    {ratio} |"
                f" {usual:>8.1f} {usual_peak:>7.0f} {bytes_moved(usual_said):>7.1f}   | {raw_shown}   |"
                f" {seconds:>6.2f} {max(peaks):>5.0f} {moved:>6.2f}  {size * 1.25 / seconds:>5.1f} M |"
                f" {whole:>7.1f} s  {(sum(tries) - seconds) / len(tries):>6.2f} s  {load[1]:>6.2f} of {load[0]:.2f} s",
                flush=True,
            )
    print("\nours: the statements of the seven steps; whole run: seven kernels one after another, with archive;")
    print("overhead: of a notebook beyond its statements (kernel, imports, papermill, HTML).")
    print("days of load: of the statements of `load`, those that count the day and write the tables of days.")


def whole_run(url: str) -> tuple[float, list[float]]:
    """Seconds of the seven notebooks one after another, and of each."""
    with tempfile.TemporaryDirectory() as archive:
        script = (
            "from pathlib import Path; from pulsebook import runner\n"
            f"for name, own in {STEPS!r}:\n"
            f"    runner.run(Path('notebooks/etl') / (name + '.ipynb'), {{'run_date': {DAY!r}, **own}}, Path({archive!r}))"
        )
        started = time.perf_counter()
        environment = {**os.environ, "PULSEBOOK_CLICKHOUSE_URL": url}
        subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment, check=True)
        seconds = time.perf_counter() - started
        return seconds, [json.loads(p.read_text())["duration"] for p in Path(archive).glob("*.json")]


def results(url: str, table: str) -> list[str]:
    """The six metrics of every slice, without the names of the values, which the usual way spells otherwise."""
    metrics = "views, likes, messages_received, messages_sent, users_received, users_sent"
    return query(url, f"SELECT dimension, {metrics} FROM test.{table} ORDER BY dimension, {metrics}").splitlines()


def query(url: str, sql: str) -> str:
    answer = requests.post(url, data=sql, timeout=600)
    assert answer.ok, answer.text
    return answer.text


def fill(url: str, events: int) -> None:
    users = max(events // 33, 1000)
    profile = "toInt8(u % 2) gender, toInt16(14 + u % 60) age, '' country, '' city, if(u % 3, 'Android', 'iOS') os, '' source, toInt8(0) exp_group"
    columns = (
        "time DateTime, gender Int8, age Int16, country String, city String, os String, source String, exp_group Int8"
    )
    query(url, "CREATE DATABASE simulator")
    query(url, "CREATE DATABASE test")
    query(
        url,
        f"CREATE TABLE simulator.feed_actions (user_id UInt32, post_id UInt32, action String, {columns}) ENGINE = MergeTree ORDER BY time",
    )
    query(
        url,
        f"CREATE TABLE simulator.message_actions (user_id UInt32, receiver_id UInt32, {columns}) ENGINE = MergeTree ORDER BY time",
    )
    query(
        url,
        "CREATE TABLE test.usual (event_date Date, dimension String, dimension_value String, views UInt64, likes UInt64,"
        " messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64)"
        " ENGINE = MergeTree ORDER BY event_date",
    )
    at = "toDateTime(1795122000 + intDiv(number * 86399, {n})) AS time"
    query(
        url,
        f"INSERT INTO simulator.feed_actions SELECT intHash64(number) % {users} AS u, number % 200, "
        f"if(number % 5 = 0, 'like', 'view'), {at.format(n=events)}, {profile} FROM numbers({events})",
    )
    query(
        url,
        f"INSERT INTO simulator.message_actions SELECT {users // 2} + intHash64(number) % {users} AS u, "
        f"{users} + intHash32(number + 7) % {users}, {at.format(n=events // 4)}, {profile} FROM numbers({events // 4})",
    )


if __name__ == "__main__":
    main()
