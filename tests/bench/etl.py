"""One day's ETL against the usual way, side by side in one run on the same embedded server.

    python -m tests.bench.etl [--millions 1 5 20]

The usual way: per-user frames read with pandahouse, outer merge and group-by in pandas, to_clickhouse at the end. Both
read the same source tables. Wall time and the client's peak memory (the largest process of each side, server excluded).
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
STEPS = (("extract_feed", {}), ("extract_messages", {}), ("merge_users", {}), ("slice", {"dimension": "os"}),
         ("slice", {"dimension": "gender"}), ("slice", {"dimension": "age"}), ("load", {}))  # fmt: skip

USUAL = f"""
import pandahouse as ph
connection = {{"host": URL, "database": "simulator"}}
day = "time >= toDateTime(1795122000) AND time < toDateTime(1795208400)"
read = lambda q: ph.read_clickhouse(q, connection=connection)
profile = "any(gender) AS gender, any(age) AS age, any(os) AS os"
feed = read("SELECT user_id, countIf(action = 'view') AS views, countIf(action = 'like') AS likes, " + profile
            + " FROM {{db}}.feed_actions WHERE " + day + " GROUP BY user_id")
sent = read("SELECT user_id, count() AS messages_sent, uniqExact(receiver_id) AS users_sent, " + profile
            + " FROM {{db}}.message_actions WHERE " + day + " GROUP BY user_id")
received = read("SELECT receiver_id AS user_id, count() AS messages_received, uniqExact(user_id) AS users_received"
                " FROM (SELECT receiver_id, user_id FROM {{db}}.message_actions WHERE " + day + ") GROUP BY receiver_id")
users = feed.merge(sent.merge(received, on="user_id", how="outer"), on="user_id", how="outer", suffixes=("", "_m"))
for column in ("gender", "age", "os"):
    users[column] = users[column].fillna(users[column + "_m"])
metrics = ["views", "likes", "messages_received", "messages_sent", "users_received", "users_sent"]
users[metrics] = users[metrics].fillna(0).astype("uint64")
import pandas as pd
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
"""


def measured(code: str, url: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a script in a process of its own."""
    # not ru_maxrss: a child inherits its parent's
    tail = "\nprint('PEAK', int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024)"
    environment = {**os.environ, "PULSEBOOK_CLICKHOUSE_URL": url}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", f"URL = {url!r}\n{code}{tail}"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - started, float(done.stdout.rpartition("PEAK ")[2]), done.stdout


def notebook_code(name: str, parameters: dict) -> str:
    import nbformat

    cells = nbformat.read(Path("notebooks/etl") / f"{name}.ipynb", 4).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    return "\n".join([code[0], *(f"{k} = {v!r}" for k, v in parameters.items()), *code[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5, 20])
    millions = parser.parse_args().millions
    lines = []
    for size in millions:
        with tempfile.TemporaryDirectory() as folder, running(folder) as url:
            fill(url, int(size * 1e6))
            usual, usual_peak, _ = measured(USUAL, url)
            code, peaks, queries, alone = 0.0, [], 0.0, 0.0
            for name, own in STEPS:
                parameters = {"run_date": DAY, **own}
                seconds, peak, said = measured(
                    OURS + notebook_code(name, parameters) + "\nprint('QUERIES', spent[0])", url
                )
                code += seconds
                peaks.append(peak)
                queries += float(said.rpartition("QUERIES ")[2].split()[0])
            environment = {**os.environ, "PULSEBOOK_CLICKHOUSE_URL": url}
            with tempfile.TemporaryDirectory() as archive:
                script = (
                    "import sys, json; from pathlib import Path; from pulsebook import runner\n"
                    f"for name, own in {STEPS!r}:\n"
                    f"    runner.run(Path('notebooks/etl') / (name + '.ipynb'), {{'run_date': {DAY!r}, **own}}, Path({archive!r}))"
                )
                started = time.perf_counter()
                subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment, check=True)
                alone = time.perf_counter() - started
                tries = [json.loads(p.read_text())["duration"] for p in Path(archive).glob("*.json")]
            overhead = (sum(tries) - queries) / len(tries)
            lines.append(
                f"{size:>5g} M  x{usual / queries:>5.1f}  x{usual / alone:>5.1f}  x{usual_peak / max(peaks):>5.1f}"
                f"  {usual:>7.1f} s  {queries:>7.2f} s  {alone:>7.1f} s  {usual_peak:>7.0f} MB  {max(peaks):>6.0f} MB"
                f"  {size * 1.25e6 / queries / 1e6:>6.1f} M/s  {overhead:>5.2f} s"
            )
            print(lines[-1], flush=True)
    print("\nfeed events (a quarter as many messages); ratios: usual way / ours")
    print(
        " size  queries   all run  memory    usual    ours: queries  all run   usual peak  ours peak  rows      overhead"
    )
    print("\n".join(lines))
    print(
        "\nqueries: the seven steps' statements; all run: seven kernels one after another with archive; overhead: per"
    )
    print("notebook beyond its queries (kernel, imports, papermill, HTML).")


def fill(url: str, events: int) -> None:
    def execute(sql):
        answer = requests.post(url, data=sql, timeout=600)
        assert answer.ok, answer.text

    users = max(events // 33, 1000)
    profile = "toInt8(u % 2) gender, toInt16(14 + u % 60) age, '' country, '' city, if(u % 3, 'Android', 'iOS') os, '' source, toInt8(0) exp_group"
    columns = (
        "time DateTime, gender Int8, age Int16, country String, city String, os String, source String, exp_group Int8"
    )
    execute("CREATE DATABASE simulator")
    execute("CREATE DATABASE test")
    execute(
        f"CREATE TABLE simulator.feed_actions (user_id UInt32, post_id UInt32, action String, {columns}) ENGINE = MergeTree ORDER BY time"
    )
    execute(
        f"CREATE TABLE simulator.message_actions (user_id UInt32, receiver_id UInt32, {columns}) ENGINE = MergeTree ORDER BY time"
    )
    execute(
        "CREATE TABLE test.usual (event_date Date, dimension String, dimension_value String, views UInt64, likes UInt64,"
        " messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64)"
        " ENGINE = MergeTree ORDER BY event_date"
    )
    at = "toDateTime(1795122000 + intDiv(number * 86399, {n})) AS time"
    execute(
        f"INSERT INTO simulator.feed_actions SELECT intHash64(number) % {users} AS u, number % 200, "
        f"if(number % 5 = 0, 'like', 'view'), {at.format(n=events)}, {profile} FROM numbers({events})"
    )
    execute(
        f"INSERT INTO simulator.message_actions SELECT {users // 2} + intHash64(number) % {users} AS u, "
        f"{users} + intHash32(number + 7) % {users}, {at.format(n=events // 4)}, {profile} FROM numbers({events // 4})"
    )


if __name__ == "__main__":
    main()
