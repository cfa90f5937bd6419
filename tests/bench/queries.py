"""What the steps of the ETL cost beside the bare scan-and-aggregate of the same columns, on one server.

    python -m tests.bench.queries [--rows 20000000] [--real] [--settings max_memory_usage=4000000000]

Bare groups the day's rows by the step's key, as simply as it can be said. The query is the statement that the step cannot do
without, its result thrown away as the bare one's is; the step is all that its notebook sends, from the check before to the
proof after, and writing. Ratios of seconds, and of seconds of the server's processor, which a busy machine does not change.
The server's memory is its peak while the three run.
"""

import argparse
import contextlib
import io
import os
import re
import tempfile
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pulsebook.base.settings import settings
from pulsebook.local.server import running
from pulsebook.warehouse import Warehouse
from tests.clickhouse import clickhouse_server
from tests.test_etl import STEPS, code_of

DAY = "2026-11-22"
START = int(datetime.fromisoformat(f"{DAY}T00:00+03:00").astimezone(ZoneInfo("UTC")).timestamp())
SOURCE, TARGET = "bench_source", "bench_target"
BOUNDS = f"time >= toDateTime({START}) AND time < toDateTime({START + 86400})"
LATEST = "argMax(gender, time), argMax(age, time), argMax(os, time), max(time)"
NONE = "toUInt64(0)"
SUMS = "sum(views), sum(likes), sum(messages_received), sum(messages_sent), sum(users_received), sum(users_sent)"
BARE = {  # step: the statements that it cannot do without
    "extract_feed": [
        f"SELECT user_id, countIf(action = 'view'), countIf(action = 'like'), {LATEST} "
        f"FROM {SOURCE}.feed_actions WHERE {BOUNDS} GROUP BY user_id"
    ],
    "extract_messages": [
        f"SELECT user, sum(sent), sum(1 - sent), uniqExactIf(other, sent), uniqExactIf(other, NOT sent), argMax(gender, at), argMax(age, at), "
        f"argMax(os, at), max(at) FROM (SELECT user_id AS user, receiver_id AS other, 1 AS sent, gender, age, os, time AS at "
        f"FROM {SOURCE}.message_actions WHERE {BOUNDS} UNION ALL SELECT receiver_id, user_id, 0, toInt8(-1), toInt16(-1), '', "
        f"toDateTime(0) FROM {SOURCE}.message_actions WHERE {BOUNDS}) GROUP BY user"
    ],
    "merge_users": [
        f"SELECT user_id, argMax(gender, latest), argMax(age, latest), argMax(os, latest), sum(a), sum(b), sum(c), sum(d), sum(e), sum(f) "
        f"FROM (SELECT user_id, gender, age, os, latest, views AS a, likes AS b, {NONE} AS c, {NONE} AS d, {NONE} AS e, {NONE} AS f "
        f"FROM {TARGET}.staging_feed WHERE event_date = '{DAY}' UNION ALL SELECT user_id, gender, age, os, latest, {NONE}, {NONE}, "
        f"messages_sent, messages_received, users_sent, users_received FROM {TARGET}.staging_messages WHERE event_date = '{DAY}') "
        f"GROUP BY user_id"
    ],
    "slice": [f"SELECT os, {SUMS} FROM {TARGET}.staging_users WHERE event_date = '{DAY}' GROUP BY os"],
    "load": [
        f"SELECT countIf(action = 'view'), countIf(action = 'like') FROM {SOURCE}.feed_actions WHERE {BOUNDS}",
        f"SELECT count(), uniqExact(user_id, receiver_id) FROM {SOURCE}.message_actions WHERE {BOUNDS}",
    ],
}  # fmt: skip


def fill(warehouse, rows: int) -> None:
    """`rows` events of one day, one in ten of them a message; a tenth as many users."""
    users = rows // 10
    profile = (
        "toInt8(user_id % 2) AS gender, toInt16(14 + user_id % 60) AS age, if(user_id % 3 = 0, 'iOS', 'Android') AS os"
    )
    for database in (SOURCE, TARGET):
        warehouse.execute(f"CREATE DATABASE {database}")
    for table, own, count in (
        (
            "feed_actions",
            "if(number % 5 = 0, 'like', 'view') AS action, toUInt32(number % 997) AS post_id",
            rows - rows // 10,
        ),
        ("message_actions", f"toUInt32(cityHash64(number, 2) % {users}) AS receiver_id", rows // 10),
    ):
        at = f"toDateTime({START} + intDiv(number * 86400, {count})) AS time"
        warehouse.execute(
            f"CREATE TABLE {SOURCE}.{table} ENGINE = MergeTree ORDER BY time AS SELECT toUInt32(cityHash64(number) % {users}) "
            f"AS user_id, {own}, {at}, {profile} FROM numbers({count})"
        )


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(pid: int, action) -> tuple[float, float]:
    before, started = processor(pid), time.perf_counter()
    action()
    return time.perf_counter() - started, processor(pid) - before


def peak(pid: int) -> float:
    """Most memory in GB that a process has had since the last call."""
    status = Path(f"/proc/{pid}/status").read_text()
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def queries(step, name: str) -> list[str]:
    """The statements that a step cannot do without: what it inserts; of `load` its totals over the source."""
    sent, plain = [], Warehouse._post

    def noted(self, statement, *more):
        sent.append(statement)
        return plain(self, statement, *more)

    Warehouse._post = noted
    try:
        step()
    finally:
        Warehouse._post = plain
    if name == "load":
        return [s.partition(" FORMAT ")[0] for s in sent if s.startswith("SELECT") and f"{SOURCE}." in s]
    inserts = [re.match(r"INSERT INTO \S+__scratch_\w+ (.*)", s, re.S) for s in sent]
    return [match[1] for match in inserts if match][-1:]


def listener(url: str) -> int:
    """The process that listens on the URL's port."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (line[9] for line in lines if line[1].endswith(port) and line[3] == "0A")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
    raise LookupError(f"nobody listens on {url}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.queries", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--real", action="store_true", help="on Debian's clickhouse-server, not on the embedded one")
    parser.add_argument("--settings", default="", help="ClickHouse's, as they may stand in its URL")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        (clickhouse_server if arguments.real else running)(Path(folder)) as url,
    ):
        os.environ |= {
            "PULSEBOOK_CLICKHOUSE_URL": f"{url}/?{arguments.settings}",
            "PULSEBOOK_SOURCE_DATABASE": SOURCE,
            "PULSEBOOK_TARGET_DATABASE": TARGET,
            "PULSEBOOK_QUERY_TIMEOUT": "1800",
        }
        settings.cache_clear()
        pid = listener(url)
        fill(Warehouse(url, 1800), arguments.rows)
        warehouse = Warehouse.target()
        print(
            f"{arguments.rows:,} events on {warehouse.scalar('SELECT version()')}, load {os.getloadavg()[0]:.1f} {arguments.settings}"
        )
        print(
            f"{'step':18}{'query/bare':>11}{'cpu':>6}{'step/bare':>11}{'cpu':>6}   {'bare s':>7}{'query s':>8}{'step s':>7}   server GB"
        )
        for name, own in STEPS[:4] + STEPS[6:]:
            if name == "load":
                for _, other in STEPS[4:6]:
                    with contextlib.redirect_stdout(io.StringIO()):
                        exec(compile(code_of("slice", run_date=DAY, **other), name, "exec"), {})
            step = compile(code_of(name, run_date=DAY, **own), name, "exec")

            def whole(step=step):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(step, {})

            def thrown_away(statements):
                for statement in statements:
                    warehouse.execute(f"{statement} FORMAT Null")

            query = queries(whole, name)  # and so its imports are done, and the server's caches filled
            ways = [lambda n=name: thrown_away(BARE[n]), lambda q=query: thrown_away(q), whole]
            peak(pid)
            rounds = [[measured(pid, way) for way in ways] for _ in range(3)]
            (bare, bare_cpu), (query, query_cpu), (step, step_cpu) = (
                [min(found[way][what] for found in rounds) for what in (0, 1)] for way in range(3)
            )
            print(
                f"{name:18}{query / bare:11.2f}{query_cpu / max(bare_cpu, 0.01):6.2f}{step / bare:11.2f}{step_cpu / max(bare_cpu, 0.01):6.2f}"
                f"   {bare:7.2f}{query:8.2f}{step:7.2f}   {peak(pid):9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
