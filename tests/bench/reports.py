"""Both reports and the alert check on a day of many events, side by side with the usual way on the same embedded server.

    python -m tests.bench.reports [--millions 5 20] [--history]

The usual way reads with pandahouse and counts in pandas: per-user frames (ClickHouse groups by user), or the raw rows.
It computes the feed report's numbers of one day alone, without changes, chart or delivery.
"""

import argparse
import tempfile

import nbformat

from pulsebook.base.settings import ROOT
from pulsebook.local.server import running
from pulsebook.warehouse.days import MARK
from tests.bench.etl import DAY, OURS, READ, fill, measured, query

SLOT = 1795122000 + 12 * 3600  # noon of the bench's day
PER_USER = """
users = read("SELECT user_id, countIf(action = 'view') AS views, countIf(action = 'like') AS likes"
             " FROM {db}.feed_actions WHERE " + day + " GROUP BY user_id")
print("NUMBERS", len(users), users["views"].sum(), users["likes"].sum())
"""
RAW_ROWS = """
rows = read("SELECT user_id, action FROM {db}.feed_actions WHERE " + day)
print("NUMBERS", rows["user_id"].nunique(), (rows["action"] == "view").sum(), (rows["action"] == "like").sum())
"""
FEED = """
print("NUMBERS", *(int(yesterday[name]) for name in ("feed_users", "views", "likes")))
"""


def report(name: str, **parameters) -> str:
    """The code of a notebook's cells with parameters, by default for the bench's day."""
    cells = nbformat.read(ROOT / f"notebooks/{name}.ipynb", 4).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    given = [f"{k} = {v!r}" for k, v in (parameters or {"run_date": DAY}).items()]
    return "\n".join([code[0], *given, *code[1:]])


def book(url: str, days: int = 28) -> None:
    """Plausible slots of so many days, as if every one had been collected in its time."""
    query(url, "TRUNCATE TABLE test.slot_metrics")
    query(
        url,
        f"""
        INSERT INTO test.slot_metrics
        SELECT toDateTime({SLOT} - 900 * (number + 1)) AS slot, metric, round(level * (1.2 + sin(number / 96 * 6.28318)) * (0.95 + rand(metric) % 100 / 1000)) AS value,
            NULL, slot + 10000
        FROM numbers({days * 96 - 1})
        ARRAY JOIN ['feed_users', 'views', 'likes', 'messenger_users', 'messages_sent', 'ctr'] AS metric, [2000, 50000, 11000, 300, 2000, 0] AS level
    """,
    )


def remember(url: str, days: int) -> None:
    """So many days before the bench's day in the small tables, each like it, with users who come and go."""
    shifted, database = f"event_date = '{DAY}'", history(days)
    for table in ("daily_metrics", "user_activity"):
        for old in query(url, f"SELECT DISTINCT event_date FROM {database}.{table}").split():
            if old not in (DAY, str(MARK)):
                query(url, f"ALTER TABLE {database}.{table} DROP PARTITION '{old}'")
    query(url, f"TRUNCATE TABLE {database}.first_days")
    for first in range(1, days, 90):  # a statement writes at most 100 partitions
        ago = f"(SELECT arrayJoin(range({first}, {min(first + 90, days)})) AS ago) AS shift"
        query(
            url,
            f"""
            INSERT INTO {database}.daily_metrics
            SELECT event_date - ago, multiIf(metric LIKE 'dau.%', concat('dau.', toString(toUInt32(substring(metric, 5)) - 86400 * ago)), metric),
                if(metric LIKE '%.last_event', value - 86400 * ago, value)
            FROM {database}.daily_metrics CROSS JOIN {ago} WHERE {shifted}
        """,
        )
        query(
            url,
            f"""
            INSERT INTO {database}.user_activity
            SELECT event_date - ago, if(version = 0, user_id + 2000 * ago, 0), feed, messenger, origin, version
            FROM {database}.user_activity CROSS JOIN {ago} WHERE {shifted}
        """,
        )


def history(days: int) -> str:
    """The database with so many days of history."""
    return f"history_{days}"


def with_history(url: str) -> None:
    """Both reports with little and with much history in turn, three times; the fastest of each."""
    runs: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for days in (30, 365):
        query(url, f"CREATE DATABASE {history(days)}")
        measured(report("reports/app_report"), url, PULSEBOOK_TARGET_DATABASE=history(days))  # makes the tables
        remember(url, days)
        measured(report("reports/app_report"), url, PULSEBOOK_TARGET_DATABASE=history(days))  # makes first_days, once
    for _ in range(3):
        for days in (30, 365):
            for name in ("feed_report", "app_report"):
                code = f"{OURS}{report(f'reports/{name}')}\nprint('QUERIES', spent[0])"
                seconds, peak, said = measured(code, url, PULSEBOOK_TARGET_DATABASE=history(days))
                statements = float(said.rpartition("QUERIES ")[2].split()[0])
                runs.setdefault((name, days), []).append((statements, seconds, peak))
    for name in ("feed_report", "app_report"):
        little, much = (min(runs[name, days]) for days in (30, 365))
        print(f"{name}, 30 days of history | 365 days | ratio:", end=" ")
        for unit, few, many in zip(("s of statements", "s", "MB"), little, much, strict=True):
            print(f"{few:.2f} | {many:.2f} {unit} | x{many / few:.2f};", end=" ")
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[5, 20])
    parser.add_argument("--history", action="store_true", help="only the reports, with 30 and with 365 days of history")
    arguments = parser.parse_args()
    if arguments.history:
        for size in arguments.millions:
            with tempfile.TemporaryDirectory() as folder, running(folder) as url:
                fill(url, int(size * 1e6))
                print(f"{size:g} M events a day:")
                with_history(url)
        return
    print("feed events of the day (a quarter as many messages); seconds of a whole process, its peak memory\n")
    print(
        " size |  per-user frames |         raw rows |      feed_report |       app_report |          collect |            check"
    )
    for size in arguments.millions:
        with tempfile.TemporaryDirectory() as folder, running(folder) as url:
            fill(url, int(size * 1e6))
            runs = [
                measured(READ + PER_USER, url),
                measured(READ + RAW_ROWS, url),
                measured(report("reports/feed_report") + FEED, url),
                measured(report("reports/app_report"), url),
            ]
            noon = {"slot": "2026-11-20T12:00+03:00"}
            measured(report("alerts/collect", **noon, history_days=1), url)  # makes the table
            book(url)
            runs += [measured(report("alerts/collect", **noon), url), measured(report("alerts/check", **noon), url)]
            numbers = {said.partition("NUMBERS ")[2].split("\n")[0] for _, _, said in runs[:3]}
            if len(numbers) != 1:
                raise SystemExit(f"the ways give different numbers: {numbers}")
            print(f"{size:>3g} M | " + " | ".join(f"{s:>6.1f} s {mb:>6.0f} MB" for s, mb, _ in runs), flush=True)
            histories = {}
            for days in (7, 28, 90):
                book(url, days)
                measured(report("alerts/collect", **noon, history_days=1), url)
                histories[days] = measured(report("alerts/check", **noon), url)
    print(
        "\na check with a history of "
        + ", ".join(f"{d} days: {s:.1f} s {mb:.0f} MB" for d, (s, mb, _) in histories.items())
    )


if __name__ == "__main__":
    main()
