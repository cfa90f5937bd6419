"""A recount of 14 days, and of the alerts' slots of these days, beside one day's ETL, on the same embedded server.

    python -m tests.bench.recount [--millions 1 20]

Every day holds the same events, so a recount reads 14 times what a day's ETL reads once. Nothing has changed: what is measured is
what a recount costs every day. `recheck` counts the slots of all 14 days, as at its first run or after a correction of all of
them; on other days it counts those of one.
"""

import argparse
import tempfile

from pulsebook.local.server import running
from tests.bench.etl import DAY, OURS, STEPS, fill, measured, notebook_code, query

DAYS = 14
OF_DAY = "(SELECT * FROM simulator.{0} WHERE time >= toDateTime({2}))"  # in a WHERE beside it `time` would be the shifted one
SHIFTED = "INSERT INTO simulator.{0} SELECT * REPLACE (time - 86400 * {1} AS time) FROM " + OF_DAY
START = 1795122000  # of the bench's day


def statements(said: str) -> float:
    """Seconds of a script's statements."""
    return float(said.rpartition("QUERIES ")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 20])
    tail = "\nprint('QUERIES', spent[0])"
    print(
        "feed events a day (a quarter as many messages); statements and whole processes, seconds; peak memory of the client\n"
    )
    print(
        " size |  etl, one day: statements, processes,    MB |  recount, 14 days: statements, process,    MB |  recount / etl          "
        " |  recheck, 14 days: statements, process,    MB |  recheck / etl"
    )
    for size in parser.parse_args().millions:
        with tempfile.TemporaryDirectory() as folder, running(folder) as url:
            fill(url, int(size * 1e6))
            for ago in range(1, DAYS + 1):
                for table in ("feed_actions", "message_actions"):
                    query(url, SHIFTED.format(table, ago, START))
            rows = int(query(url, "SELECT count() FROM simulator.feed_actions"))
            assert rows == (DAYS + 1) * int(size * 1e6), (
                f"expected {DAYS + 1} days of {size:g} M events, found {rows:,} rows"
            )
            etl = [measured(OURS + notebook_code(name, {"run_date": DAY, **own}) + tail, url) for name, own in STEPS]
            code = OURS + notebook_code("recount", {"run_date": DAY, "days": DAYS}) + tail
            measured(code, url)  # fills daily_metrics
            took, peak, said = measured(code, url)
            loaded, counted = sum(statements(one) for *_, one in etl), statements(said)
            measured(notebook_code("../alerts/collect", {"slot": f"{DAY}T23:45", "history_days": DAYS + 1}), url)
            code = OURS + notebook_code("../alerts/recheck", {"run_date": DAY, "days": DAYS}) + tail
            code += "\nassert len(counted) == days, f'expected {days} days that were counted, found {len(counted)}'"
            slots, slots_peak, said = measured(code, url)
            slots_counted = statements(said)
            print(
                f"{size:>3g} M |  {loaded:>24.1f} {sum(one for one, *_ in etl):>10.1f} {max(mb for _, mb, _ in etl):>6.0f}"
                f" |  {counted:>28.1f} {took:>8.1f} {peak:>6.0f} |  x{counted / loaded:.2f}, processes"
                f" x{took / sum(one for one, *_ in etl):.2f} |  {slots_counted:>28.1f} {slots:>8.1f} {slots_peak:>6.0f} |"
                f"  x{slots_counted / loaded:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
