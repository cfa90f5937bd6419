"""The demo: the embedded warehouse with sample data, and the real DAGs on it, for yesterday.

    python -m pulsebook.local.demo

The warehouse is that of this folder, which `make lab` and `make up` share: what is there is not made anew. Everything it
starts it stops, also after Ctrl-C or a failure. Data, messages and executed notebooks stay.
"""

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from pulsebook.base.periods import today
from pulsebook.base.settings import ROOT, SettingsError, settings
from pulsebook.catalogue import DIMENSIONS
from pulsebook.local import sample, services, shared, week
from pulsebook.local.shared import phase

HOME = ROOT / ".local" / "airflow"
NEXT = """
Open in a browser
  the team's chat       {chat}
  every run, by day     {archive}
Next
  make lab              change a metric or a message in JupyterLab, on the same data (docs/analysts.md)
  make up               all of it for real: Airflow with its scheduler, events that keep arriving; make down ends it
  make warehouse        the same data for a client of your own"""


def airflow_environment() -> dict[str, str]:
    """Airflow on SQLite in `.local/airflow`, with our DAGs and nothing else."""
    return {**services.environment(HOME), "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}


def prepare_airflow() -> None:
    """Have a database, and a first failure reported: the DAGs' retries would wait for minutes."""
    (HOME / "config").mkdir(parents=True, exist_ok=True)
    (HOME / "config" / "airflow_local_settings.py").write_text("def task_policy(task):\n    task.retries = 0\n")
    if not (HOME / "airflow.db").exists():
        with phase("preparing Airflow's database", "the first time half a minute"):
            services.run(airflow_environment(), "db", "migrate")


def run_dag(dag_id: str) -> None:
    """Run a DAG through Airflow, without a scheduler; its log is shown only where it fails."""
    try:
        services.run(airflow_environment(), "dags", "test", dag_id)
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


def reconcile(day) -> str:
    """The metrics that others rely on, of the loaded day, beside their totals over the source rows, counted another way."""
    from pulsebook.warehouse import Warehouse

    target, source = Warehouse.target(), settings().source_database
    feed = target.row(f"""
        SELECT countIf(action = 'view') AS views, countIf(action = 'like') AS likes
        FROM {source}.feed_actions WHERE {day.bounds()}
    """)
    messages = target.row(f"""
        SELECT count() AS rows, uniqExact(user_id, receiver_id) AS pairs
        FROM {source}.message_actions WHERE {day.bounds()}
    """)
    expected = {
        **feed,
        "messages_received": messages["rows"], "messages_sent": messages["rows"],
        "users_received": messages["pairs"], "users_sent": messages["pairs"],
    }  # fmt: skip
    loaded = target.read(f"""
        SELECT dimension, {", ".join(f"sum({m}) AS {m}" for m in expected)}
        FROM {settings().target_database}.metrics_by_dimension WHERE event_date = '{day}' GROUP BY dimension
    """).set_index("dimension")
    table = loaded.T.assign(source=expected)
    table["equal"] = table[list(loaded.index)].eq(table["source"], axis=0).all(axis=1).map({True: "yes", False: "NO"})
    if {*loaded.index} != {dimension.name for dimension in DIMENSIONS} or (table["equal"] == "NO").any():
        raise SystemExit(f"the loaded day does not add up to the source:\n{table}")
    return table.to_string(formatters={c: "{:,}".format for c in table.columns if c != "equal"})


def main() -> int:
    logging.basicConfig(level=logging.WARNING)
    with shared.warehouse() as url:
        os.environ.update(services.sample_only(url))
        settings.cache_clear()
        prepare_airflow()
        week.load(sample.http(url), dict(os.environ))
        day, notebooks = today() - 1, 4 + len(DIMENSIONS)
        with phase(f"running the DAG etl for {day}: {notebooks} notebooks", "a minute"):
            run_dag("etl")
        from pulsebook.warehouse import Warehouse

        final = f"{settings().target_database}.metrics_by_dimension"
        head = f"SELECT * FROM {final} WHERE event_date = '{day}' ORDER BY dimension DESC, views DESC LIMIT 8"
        print(f"\n{final}\n{Warehouse.target().read(head).to_string(index=False)}")
        print(f"\nEvery metric of {day}, by dimension, against the source rows\n{reconcile(day)}")
        archive = settings().outputs / "etl" / str(day)
        newest = max(archive.iterdir(), key=lambda run: run.stat().st_mtime)
        print(f"\nExecuted notebooks (open a .html): {newest}")
        for record in sorted(newest.glob("*.json"), key=lambda r: json.loads(r.read_text())["started"])[-notebooks:]:
            facts = json.loads(record.read_text())
            print(f"  {facts['status']:<10} {facts['duration']:>5.1f} s  {record.with_suffix('.html').name}")
        with phase(f"running the DAGs feed_report and app_report for {day}", "a minute"), ThreadPoolExecutor() as pool:
            list(pool.map(run_dag, ("feed_report", "app_report")))
        print(NEXT.format(chat=settings().outputs / "chat" / "index.html", archive=settings().outputs / "index.html"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        sys.exit(130)
