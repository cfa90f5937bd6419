"""The ETL's notebooks as scripts, source tables for them, and the rows that they loaded; shared by several modules."""

import nbformat
import pandas as pd
import pytest

from pulsebook.base.settings import ROOT
from tests.world import METRICS

STEPS = [
    ("extract_feed", {}),
    ("extract_messages", {}),
    ("merge_users", {}),
    ("slice", {"dimension": "os"}),
    ("slice", {"dimension": "gender"}),
    ("slice", {"dimension": "age"}),
    ("load", {}),
]

BEFORE = {  # as the version before the catalogue made them
    "staging_feed": "event_date Date, user_id UInt64, views UInt64, likes UInt64, gender Int16, age Int16, os String, latest UInt64",
    "staging_users": "event_date Date, user_id UInt64, gender Int16, age Int16, os String, views UInt64, likes UInt64, "
    "messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64",
    "metrics_by_dimension": "event_date Date, dimension String, dimension_value String, views UInt64, likes UInt64, "
    "messages_received UInt64, messages_sent UInt64, users_received UInt64, users_sent UInt64",
    "chat_messages": "at DateTime, key String, part String, chat String, claim String, status String, message_ids String, "
    "headline String, detail String",
}


def before_the_catalogue(database: str, day: str, engine=lambda table: "MergeTree") -> list[str]:
    """Statements that make tables of the version before, with a day that it loaded and another day's staging rows."""
    made = []
    for name, columns in BEFORE.items():
        table = f"{database}.{name}"
        partition = "toYYYYMM(at)" if name == "chat_messages" else "event_date"
        order = "(key, part, at)" if name == "chat_messages" else columns.split()[2]
        made.append(
            f"CREATE TABLE {table} ({columns}) ENGINE = {engine(table)} PARTITION BY {partition} ORDER BY {order}"
        )
    final = f"{database}.metrics_by_dimension"
    return [
        *made,
        f"INSERT INTO {final} VALUES ('2026-11-19', 'os', 'iOS', 5, 1, 2, 3, 4, 6)",
        f"INSERT INTO {database}.staging_feed VALUES ('{day}', 1, 99, 9, 1, 20, 'iOS', 1)",
    ]


def code_of(notebook: str, root=ROOT, **parameters) -> str:
    """The code of a notebook as a script, with parameters."""
    cells = [c for c in nbformat.read(root / f"notebooks/etl/{notebook}.ipynb", 4).cells if c.cell_type == "code"]
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    return "\n".join([cells[0].source, given, *(c.source for c in cells[1:])])


def quick(day, steps=STEPS):
    """Every step in this process: the same cells without kernels."""
    for name, own in steps:
        exec(compile(code_of(name, run_date=str(day), **own), name, "exec"), {})


@pytest.fixture
def fill(execute, databases):
    """Creates the source tables with the rows of two frames."""

    def filled(feed: pd.DataFrame, messages: pd.DataFrame, receiver: str = "receiver_id"):
        source = databases[0]
        profile = "time DateTime, gender Int8, age Int16, country String, city String, os String, source String, exp_group Int8"
        for table, columns, frame in (
            ("feed_actions", "user_id UInt32, post_id UInt32, action String", feed),
            (
                "message_actions",
                f"user_id UInt32, {receiver} UInt32",
                messages.rename(columns={"receiver_id": receiver}),
            ),
        ):
            execute(f"DROP TABLE IF EXISTS {source}.{table}")
            execute(f"CREATE TABLE {source}.{table} ({columns}, {profile}) ENGINE = MergeTree ORDER BY time")
            if len(frame):
                execute(
                    f"INSERT INTO {source}.{table} FORMAT JSONEachRow\n" + frame.to_json(orient="records", lines=True)
                )

    return filled


@pytest.fixture
def final(execute, databases):
    """The loaded rows of a day, as text and as a frame like `final_table` gives."""

    def text(day, *more):
        columns = ", ".join(["event_date", "dimension", "dimension_value", *METRICS, *more])
        return execute(
            f"SELECT {columns} FROM {databases[1]}.metrics_by_dimension WHERE event_date = '{day}' "
            "ORDER BY dimension, dimension_value FORMAT TSV"
        )

    def frame(day, *more):
        rows = [line.split("\t") for line in text(day, *more).splitlines()]
        names = [*METRICS, *more]
        found = pd.DataFrame(rows, columns=["event_date", "dimension", "dimension_value", *names])
        return found.set_index(["dimension", "dimension_value"])[names].astype(int).sort_index()

    frame.text = text
    return frame
