"""Our tables are made, compared and brought up to what they must be, by name."""

import pytest

from pulsebook.warehouse import Warehouse, WarehouseError

COLUMNS = {"day": "Date", "name": "String", "views": "UInt64"}
HOW = {"partition": "day", "order": "name"}


@pytest.fixture
def target(configured):
    return Warehouse.target()


@pytest.fixture
def table(target, databases):
    """A table with a row of a day before."""
    name = target.ensure(f"{databases[1]}.t", COLUMNS, **HOW)
    target.execute(f"INSERT INTO {name} VALUES ('2026-01-01', 'a', 7)")
    return name


@pytest.mark.parametrize("refill", [False, True])
def test_a_table_that_is_right_stays_as_it_is(target, table, refill):
    assert target.ensure(table, dict(reversed(COLUMNS.items())), **HOW, refill=refill) == table
    assert target.columns(table) == COLUMNS and target.scalar(f"SELECT sum(views) FROM {table}") == 7


def test_a_new_column_is_a_gap_on_days_of_before(target, table):
    more = COLUMNS | {"posts": "Nullable(UInt64)"}
    target.ensure(table, more, **HOW)
    assert target.columns(table) == more
    assert target.row(f"SELECT views, posts IS NULL AS gap FROM {table}") == {"views": 7, "gap": 1}


@pytest.mark.parametrize("kind", ["UInt64", "Nullable(UInt64)"])
def test_a_column_that_is_no_longer_written_stays_and_is_a_gap_from_then_on(target, table, kind):
    target.execute(f"ALTER TABLE {table} ADD COLUMN posts {kind}")
    target.execute(f"INSERT INTO {table} VALUES ('2026-01-01', 'aa', 8, 5)")
    target.ensure(table, COLUMNS, **HOW)
    target.replace_partition(
        table, "'2026-01-02'", "SELECT toDate('2026-01-02') AS day, 'b' AS name, toUInt64(9) AS views"
    )
    found = target.read(f"SELECT name, views, posts FROM {table} ORDER BY name")
    assert found["views"].tolist() == [7, 8, 9] and found["posts"].isna().tolist()[1:] == [False, True]


def test_a_table_that_is_filled_anew_is_changed_and_emptied(target, table):
    other = {"day": "Date", "name": "String", "views": "Float64", "os": "String"}
    target.execute(f"ALTER TABLE {table} ADD COLUMN old UInt8")
    target.ensure(table, other, **HOW, refill=True)
    assert target.columns(table) == other and target.scalar(f"SELECT count() FROM {table}") == 0


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (COLUMNS | {"views": "Float64"}, "must have the columns .*'views': 'Float64'.* found .*'views': 'UInt64'"),
        ({"day": "Date", "views": "UInt64"}, "found .*'name': 'String'.*Rename it and run again"),
        (COLUMNS | {"os": "String"}, "must have the columns .*'os': 'String'"),
    ],
)
def test_anything_else_that_differs_is_a_sentence_and_nothing_changes(target, table, columns, says):
    with pytest.raises(WarehouseError, match=says):
        target.ensure(table, columns, **HOW)
    assert target.columns(table) == COLUMNS and target.scalar(f"SELECT count() FROM {table}") == 1


def test_another_task_that_was_as_fast_does_no_harm(target, table, monkeypatch):
    more = COLUMNS | {"posts": "Nullable(UInt64)"}
    found = [COLUMNS, more]
    target.execute(f"ALTER TABLE {table} ADD COLUMN posts Nullable(UInt64)")  # between our look and our change
    monkeypatch.setattr(Warehouse, "columns", lambda self, name: found.pop(0))
    assert target.ensure(table, more, **HOW) == table and not found
