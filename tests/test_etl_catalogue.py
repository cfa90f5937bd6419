"""One entry in one file of the catalogue takes part in the whole ETL: on a copy of the project in which nothing else changes."""

import os
import shutil
import subprocess
import sys
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from pulsebook.base.settings import ROOT
from tests.etl import before_the_catalogue
from tests.world import DIMENSIONS, final_table, local, raw_rows

DAY, ZONE = date(2026, 11, 20), ZoneInfo("Europe/Moscow")
OS, VIEWS = '            Dimension("os", "OS", "ОС"),\n', '        Count("views", '
DRIVER = """
import sys
from airflow.dag_processing.dagbag import DagBag
from tests.etl import quick
dag = DagBag("dags/etl.py").dags["etl"]
names = [task for task in dag.task_dict if task.startswith("slice_")]
assert all(dag.task_dict[name].downstream_task_ids == {"load"} for name in names)
print("tasks", *sorted(names))
slices = [("slice", dag.task_dict[name].parameters) for name in names]
quick(sys.argv[1], [("extract_feed", {}), ("extract_messages", {}), ("merge_users", {}), *slices, ("load", {})])
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the project; call it with a file of the catalogue, a text in it and what stands there instead."""
    copy = tmp_path / "project"
    for folder in ("pulsebook", "notebooks", "dags", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))

    def changed(name: str, old: str, new: str):
        file = copy / "pulsebook/catalogue" / name
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} must be there once"
        file.write_text(text.replace(old, new))
        different = [
            f for f in copy.rglob("*.*") if f.is_file() and f.read_bytes() != (ROOT / f.relative_to(copy)).read_bytes()
        ]
        assert different == [file], "one file, and no other"

    changed.folder = copy
    return changed


@pytest.fixture
def load(project, configured):
    """Runs the ETL of the copy for the day; returns what it printed, or its error."""

    def loaded() -> str:
        run = subprocess.run(
            [sys.executable, "-c", DRIVER, str(DAY)], cwd=project.folder, capture_output=True, text=True, timeout=120,
            env=os.environ | {"PYTHONPATH": str(project.folder), "AIRFLOW__CORE__DAGS_FOLDER": str(project.folder / "dags")},
        )  # fmt: skip
        return run.stdout + ("" if run.returncode == 0 else run.stderr)

    return loaded


@pytest.fixture(scope="module")
def world():
    """Rows of a small world in which users have a country, sometimes none, and a group."""
    frames = raw_rows(DAY, ZONE)
    for frame in frames:
        frame["country"] = np.array(["RU", "", "KZ", "BY"])[frame["user_id"] % 4]
        frame["exp_group"] = frame["user_id"] % 3 - 1
    return frames


@pytest.fixture
def before(execute, databases):
    """A database of the version before, with a day that it loaded and a day's staging rows."""
    for statement in before_the_catalogue(databases[1], str(DAY)):
        execute(statement)


def expected(world, dimensions, more=None) -> pd.DataFrame:
    return final_table(*world, DAY, ZONE, dimensions, more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [
        ('Dimension("country", "country", "страна")', "country", lambda p: p["country"].replace("", None)),
        ('Dimension("exp_group", "group", "группа")', "exp_group", lambda p: p["exp_group"].map(lambda g: None if pd.isna(g) else str(int(g)))),
        (
            'Dimension("generation", "generation", "поколение", "multiIf(age < 0, NULL, age < 25, \'young\', \'older\')", ("age",))',
            "generation",
            lambda p: p["age"].map(lambda age: None if pd.isna(age) else "young" if age < 25 else "older"),
        ),
    ],
    ids=["a column", "a number", "derived"],
)  # fmt: skip
def test_one_entry_of_a_dimension_gives_task_rows_and_proof(
    entry, name, value, project, load, world, fill, final, before
):
    fill(*world)
    project("dimensions.py", OS, f"{OS}            {entry},\n")
    said = load()
    tasks = next(line.split()[1:] for line in said.splitlines() if line.startswith("tasks "))
    assert tasks == sorted(["slice_age", f"slice_{name}", "slice_gender", "slice_os"])
    pd.testing.assert_frame_equal(final(DAY), expected(world, DIMENSIONS | {name: value}))
    assert f"by os, {name}, gender, age; every metric equals its total in the source" in said
    assert final.text("2026-11-19") == "2026-11-19\tos\tiOS\t5\t1\t2\t3\t4\t6\n"


@pytest.mark.story
@pytest.mark.slow
def test_removing_a_dimension_loads_the_rest(project, load, world, fill, final):
    fill(*world)
    assert "by os, gender, age;" in load()
    project("dimensions.py", OS, "")
    said = load()
    assert "not in the catalogue, so not loaded: os" in said, "its slices of the first run are still in staging"
    pd.testing.assert_frame_equal(final(DAY), expected(world, {n: v for n, v in DIMENSIONS.items() if n != "os"}))


@pytest.mark.story
@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    ["arrayJoin([os, 'twice'])", "arrayJoin(arrayFilter(v -> v != 'iOS', [toString(os)]))"],
    ids=["doubles", "drops"],
)
def test_a_dimension_that_doubles_or_drops_users_is_refused(sql, project, load, world, fill, execute, databases):
    fill(*world)
    project("dimensions.py", OS, f'{OS}            Dimension("odd", "odd", "о", "{sql}", ("os",)),\n')
    assert "do not add up to the source; nothing was written" in load()
    assert (
        execute(
            f"SELECT count() FROM system.tables WHERE database = '{databases[1]}' AND name = 'metrics_by_dimension'"
        )
        == "0\n"
    )


@pytest.mark.slow
def test_one_entry_of_a_per_user_count_is_a_column_and_is_proved_and_its_removal_a_gap(
    project, load, world, fill, final, before, execute, databases
):
    fill(*world)
    late = (
        '        Count("likes_late", "Late likes", "Поздние лайки", "feed", "countIf(action = \'like\' AND '
        "toHour(time, '{timezone}') >= 20)\", column=True),\n"
    )
    project("metrics.py", VIEWS, late + VIEWS)
    load()

    def late_likes(rows):
        return rows[(rows["action"] == "like") & (local(rows, ZONE).dt.hour >= 20)].groupby("user_id").size()

    found = expected(world, DIMENSIONS, {"likes_late": late_likes})
    pd.testing.assert_frame_equal(final(DAY, "likes_late"), found)
    assert 0 < found.loc["os", "likes_late"].sum() < found.loc["os", "likes"].sum()
    table = f"{databases[1]}.metrics_by_dimension"
    gap = f"SELECT event_date, count(), countIf(likes_late IS NULL) FROM {table} GROUP BY event_date ORDER BY event_date FORMAT CSV"
    assert execute(gap).splitlines()[0] == '"2026-11-19",1,1', "a day of before is a gap, not a zero"
    (project.folder / "pulsebook/catalogue/metrics.py").write_text(
        (ROOT / "pulsebook/catalogue/metrics.py").read_text()
    )
    assert "no longer in the catalogue, so NULL from now on: likes_late" in load()
    assert execute(gap).splitlines()[1] == f'"{DAY}",{len(found)},{len(found)}'
