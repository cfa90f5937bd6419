"""The ETL's notebooks as scripts, source tables for them, and the rows that they loaded; shared by several modules."""

import nbformat
import pandas as pd
import pytest

from pulsebook.settings import ROOT
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
