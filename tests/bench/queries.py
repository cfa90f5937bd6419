"""What the steps of the ETL cost beside the bare scan-and-aggregate of the same columns, on one server.

    python -m tests.bench.queries [--rows 20000000] [--real]

The bare statement groups the day's rows by the step's key and throws the result away; the step is what its notebook
sends, from the first statement to the last. Both are given in seconds and in seconds of the server's processor, which a
busy machine does not change.
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

DAY = "2026-11-22"
START = int(datetime.fromisoformat(f"{DAY}T00:00+03:00").astimezone(ZoneInfo("UTC")).timestamp())
SOURCE, TARGET = "bench_source", "bench_target"
BOUNDS = f"time >= toDateTime({START}) AND time < toDateTime({START + 86400})"
LATEST = "argMax(gender, time), argMax(age, time), argMax(os, time), max(time)"
SUMS = "sum(views), sum(likes), sum(messages_received), sum(messages_sent), sum(users_received), sum(users_sent)"
BARE = {  # step: the statements that it cannot do without
    "extract_feed": [
        f"SELECT user_id, countIf(action = 'view'), countIf(action = 'like'), {LATEST} "
        f"FROM {SOURCE}.feed_actions WHERE {BOUNDS} GROUP BY user_id"
    ],
    "extract_messages": [
        f"SELECT user_id, count(), uniqExact(receiver_id), {LATEST} FROM {SOURCE}.message_actions WHERE {BOUNDS} GROUP BY user_id",
        f"SELECT receiver_id, count(), uniqExact(user_id) FROM {SOURCE}.message_actions WHERE {BOUNDS} GROUP BY receiver_id",
    ],
    "merge_users": [
        f"SELECT user_id, argMax(gender, latest), argMax(age, latest), argMax(os, latest), sum(views), sum(likes) "
        f"FROM {TARGET}.staging_feed WHERE event_date = '{DAY}' GROUP BY user_id",
        f"SELECT user_id, argMax(gender, latest), argMax(age, latest), argMax(os, latest), sum(messages_sent), sum(messages_received), "
        f"sum(users_sent), sum(users_received) FROM {TARGET}.staging_messages WHERE event_date = '{DAY}' GROUP BY user_id",
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
    arguments = parser.parse_args()
    from pulsebook.local.server import running
    from pulsebook.settings import settings
    from pulsebook.warehouse import Warehouse
    from tests.clickhouse import clickhouse_server
    from tests.test_etl import STEPS, code_of

    with (
        tempfile.TemporaryDirectory() as folder,
        (clickhouse_server if arguments.real else running)(Path(folder)) as url,
    ):
        os.environ |= {
            "PULSEBOOK_CLICKHOUSE_URL": url,
            "PULSEBOOK_SOURCE_DATABASE": SOURCE,
            "PULSEBOOK_TARGET_DATABASE": TARGET,
            "PULSEBOOK_QUERY_TIMEOUT": "1800",
        }
        settings.cache_clear()
        warehouse, pid = Warehouse(url, 1800), listener(url)
        fill(warehouse, arguments.rows)
        print(f"{arguments.rows:,} events on {warehouse.scalar('SELECT version()')}, load {os.getloadavg()[0]:.1f}")
        print(f"{'step':18}{'bare s':>9}{'step s':>9}{'ratio':>7}   {'bare cpu':>9}{'step cpu':>9}{'ratio':>7}")
        for name, own in STEPS[:4] + STEPS[6:]:
            if name == "load":
                for _, other in STEPS[4:6]:
                    with contextlib.redirect_stdout(io.StringIO()):
                        exec(compile(code_of("slice", run_date=DAY, **other), name, "exec"), {})
            step = compile(code_of(name, run_date=DAY, **own), name, "exec")

            def bare(statements=BARE[name]):
                for statement in statements:
                    warehouse.execute(f"{statement} FORMAT Null")

            def whole(step=step):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(step, {})

            whole()  # its imports, and the caches of the server
            runs = [(measured(pid, bare), measured(pid, whole)) for _ in range(3)]
            (bare_s, bare_cpu), (step_s, step_cpu) = (
                tuple(min(run[k][i] for run in runs) for i in (0, 1)) for k in (0, 1)
            )
            print(
                f"{name:18}{bare_s:9.2f}{step_s:9.2f}{step_s / bare_s:7.2f}   "
                f"{bare_cpu:9.2f}{step_cpu:9.2f}{step_cpu / max(bare_cpu, 0.01):7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
