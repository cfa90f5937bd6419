"""The warehouse module on a real server: types, errors, atomic writes."""

import math
import re
import time
import traceback
from datetime import date
from decimal import Decimal
from threading import Event, Thread
from urllib.parse import quote

import pandahouse.http
import pandas as pd
import pytest
import requests

from pulsebook.base.settings import SettingsError
from pulsebook.local.server import running
from pulsebook.warehouse import Warehouse, WarehouseError, _alone, engine
from pulsebook.warehouse.http import through
from tests.conftest import PASSWORD

UGLY = "q\"uo'te \\back\\n new\nline tab\t 😀 {x} \x00 ="
UUID = "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
MOSCOW = "Europe/Moscow"
NOON = pd.Timestamp("2026-01-01 12:34:56")
# type -> two values, as written and as read
TYPES = {
    "Int64": [-(2**63), 2**63 - 1],
    "Int8": [-128, 127],
    "UInt8": [0, 255],
    "UInt16": [0, 65535],
    "Nullable(Int32)": [-(2**31), None],
    "UInt64": [0, 2**64 - 1],
    "Nullable(UInt64)": [2**64 - 1, None],
    "Float64": [0.1, float("inf")],
    "Nullable(Float64)": [-float("inf"), None],
    "Nullable(Float32)": [0.25, None],
    "String": [UGLY, ""],
    "Nullable(String)": ["", None],
    "FixedString(3)": ["a\\'", "{x}"],
    "LowCardinality(String)": ["iOS", ""],
    "LowCardinality(Nullable(String))": [UGLY, None],
    "Bool": [True, False],
    "Nullable(Bool)": [False, None],
    "Date": [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-12-31")],
    "Nullable(Date)": [pd.Timestamp("2026-01-01"), None],
    "DateTime": [NOON, NOON],
    "Nullable(DateTime)": [None, NOON],
    f"DateTime('{MOSCOW}')": [NOON.tz_localize(MOSCOW)] * 2,
    f"Nullable(DateTime('{MOSCOW}'))": [NOON.tz_localize(MOSCOW), None],
    f"DateTime64(3, '{MOSCOW}')": [pd.Timestamp("2026-01-01 12:34:56.789", tz=MOSCOW)] * 2,
    "DateTime64(6)": [pd.Timestamp("2026-01-01 12:34:56.123456")] * 2,
    "Nullable(DateTime64(3))": [pd.Timestamp("2026-01-01 12:34:56.789"), None],
    "Enum8('view' = 1, 'it\\'s' = 2)": ["view", "it's"],
    "Nullable(Enum8('view' = 1))": ["view", None],
    "Decimal(18, 4)": [Decimal("12345678901234.5678"), Decimal("-0.5")],
    "Nullable(Decimal(9, 2))": [Decimal("0.25"), None],
    "UUID": [UUID, UUID],
    "Nullable(UUID)": [UUID, None],
}


@pytest.fixture
def warehouse(server):
    return Warehouse(server)


@pytest.fixture
def table(warehouse, databases):
    warehouse.execute(
        f"CREATE TABLE {databases[1]}.t (d Date, k String, v UInt64) ENGINE = MergeTree PARTITION BY d ORDER BY v"
    )
    return f"{databases[1]}.t"


def numbers(n: int) -> str:
    """The table function, for any n: in old servers `numbers(0)` never ends."""
    return f"numbers({n})" if n else "numbers(1) WHERE number > 0"


def names(warehouse, databases):
    return warehouse.read(f"SELECT name FROM system.tables WHERE database = '{databases[1]}' ORDER BY name")[
        "name"
    ].tolist()


@pytest.fixture(scope="module")
def one_of_each(server):
    """A database for the tables of one type each: making and dropping one takes longer than such a test."""
    Warehouse(server).execute("CREATE DATABASE one_of_each")
    yield "one_of_each"
    Warehouse(server).execute("DROP DATABASE one_of_each")


@pytest.fixture(scope="module")
def needs(server):
    """Skips a test where the server is too old to have a type that an SQL text names."""
    known = set(Warehouse(server).read("SELECT name FROM system.data_type_families")["name"])

    def check(sql: str) -> None:
        named = {name for name in ("Bool", "DateTime64", "Map") if name in sql}
        if missing := named - known:
            pytest.skip(f"this server has no type {', '.join(missing)}")

    return check


@pytest.mark.parametrize("kind", TYPES)
def test_every_column_type_comes_back_as_it_went(kind, warehouse, one_of_each, needs):
    needs(kind)
    name = f"{one_of_each}.of_type_{list(TYPES).index(kind)}"
    warehouse.execute(f"CREATE TABLE {name} (n UInt8, `a ``b` {kind}) ENGINE = MergeTree ORDER BY n")
    values = TYPES[kind]
    assert warehouse.write(pd.DataFrame({"n": [0, 1], "a `b": pd.Series(values, dtype=object)}), name) == 2
    found = warehouse.read(f"SELECT `a ``b` FROM {name} ORDER BY n;")["a `b"]
    assert [None if pd.isna(v) else v for v in found] == values
    assert str(getattr(found.dtype, "tz", None)) == (MOSCOW if MOSCOW in kind else "None")


# expression -> dtype, which the docstring of `read` promises
DTYPES = {
    "toUInt8(1)": "uint8",
    "toInt32(-1)": "int32",
    "toUInt64(1)": "uint64",
    "toNullable(toUInt8(1))": "UInt8",
    "CAST(NULL, 'Nullable(Int64)')": "Int64",
    "toFloat32(1)": "float64",
    "toNullable(1.5)": "float64",
    "CAST(1, 'Bool')": "bool",
    "CAST(1, 'Nullable(Bool)')": "boolean",
    "'x'": "object",
    "NULL": "object",
    "toDecimal64(1, 2)": "object",
    "[1, 2]": "object",
    "toDate('2026-01-01')": "datetime64[*]",
    "toDateTime('2026-01-01 00:00:00')": "datetime64[*]",
    "toDateTime('2026-01-01 00:00:00', 'Europe/Moscow')": "datetime64[*, Europe/Moscow]",
    "CAST('2026-01-01 00:00:00.5', 'DateTime64(3, \\'Europe/Moscow\\')')": "datetime64[*, Europe/Moscow]",
}


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("expression", DTYPES)
def test_a_dtype_follows_the_servers_type_with_and_without_rows(expression, rows, warehouse, needs):
    needs(expression)
    frame = warehouse.read(f"SELECT {expression} AS c FROM {numbers(rows)}")
    assert len(frame) == rows
    assert re.sub(r"(?<=\[)[a-z]+", "*", str(frame.dtypes["c"])) == DTYPES[expression]


def test_what_has_no_type_of_its_own_in_pandas_is_read_as_text_or_none(warehouse):
    found = warehouse.row("SELECT [1, 2] AS a, ['it\\'s'] AS s, (1, 'x') AS t, NULL AS n, nan AS f")
    assert math.isnan(found.pop("f"))
    assert found == {"a": "[1,2]", "s": "['it\\'s']", "t": "(1,'x')", "n": None}


def test_a_map_is_read_as_text(warehouse, needs):
    needs("Map")
    assert warehouse.scalar("SELECT map('k', 1)") == "{'k':1}"


def test_floats_keep_their_last_bit_and_what_is_not_a_number(warehouse):
    found = warehouse.read("SELECT arrayJoin([0.1, 1e308, exp2(-1074), inf, -inf, nan]) AS f")["f"]
    assert found[:5].tolist() == [0.1, 1e308, 5e-324, float("inf"), -float("inf")] and math.isnan(found[5])


def test_arrays_of_numbers_are_written_too(warehouse, databases):
    warehouse.execute(f"CREATE TABLE {databases[1]}.a (n UInt8, v Array(Int32)) ENGINE = MergeTree ORDER BY n")
    warehouse.write(pd.DataFrame({"n": [0, 1], "v": [[1, -2], []]}), f"{databases[1]}.a")
    assert warehouse.read(f"SELECT v FROM {databases[1]}.a ORDER BY n")["v"].tolist() == ["[1,-2]", "[]"]


def test_braces_in_a_statement_are_the_servers_and_not_pandahouses(warehouse, databases):
    assert warehouse.row("SELECT '{db}' AS a, '{}' AS b, '{{x}}' AS `{c}`") == {"a": "{db}", "b": "{}", "{c}": "{{x}}"}
    warehouse.execute(f"CREATE TABLE {databases[1]}.b ENGINE = MergeTree ORDER BY v AS SELECT '{{db}}' AS v")
    assert warehouse.scalar(f"SELECT v FROM {databases[1]}.b") == "{db}"


@pytest.mark.parametrize("names", ["c0", "c1 c0", "c2 c0 c1", "x c0 y c2"])
def test_columns_may_have_any_name_in_any_order(names, warehouse):
    expected = {name: number for number, name in enumerate(names.split())}
    assert warehouse.row("SELECT " + ", ".join(f"{n} AS {name}" for name, n in expected.items())) == expected


def test_a_column_may_have_a_name_or_a_type_of_several_lines(warehouse, needs):
    assert warehouse.row("SELECT 1 AS `a\\n\\tb`, 2 AS c") == {"a\n\tb": 1, "c": 2}
    needs("Map")  # old servers have no named tuples either
    assert warehouse.scalar("SELECT CAST(('a', 1), 'Tuple(x String, y UInt8)')") == "('a',1)"


def test_an_empty_result_keeps_its_columns(warehouse):
    frame = warehouse.read("SELECT 1 AS a, 'x' AS b WHERE 0 -- {braces} and a comment")
    assert list(frame.columns) == ["a", "b"] and len(frame) == 0


def test_an_error_in_mid_result_is_an_error_and_never_a_row(warehouse):
    with pytest.raises(WarehouseError, match="Code: 395"):
        warehouse.read("SELECT number, throwIf(number = 3000000), 'x' FROM numbers(4000000)")


def test_an_error_shows_the_statement_and_never_the_password(tmp_path, monkeypatch):
    secret = PASSWORD
    with running(tmp_path, password="another") as url:
        monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts of a read
        host = url.rpartition("@")[2]
        for address, says in ((host, "Authentication failed"), ("127.0.0.1:1", "no connection")):
            warehouse = Warehouse(f"http://default:{quote(secret, safe='')}@{address}")
            for call in (warehouse.read, warehouse.execute):
                with pytest.raises(WarehouseError) as caught:
                    call(f"SELECT 42 AS answer, '{secret}' AS leak")
                error = caught.value
                assert says in str(error) and "SELECT 42 AS answer" in str(error) and address in str(error)
                for text in (str(error), repr(error), repr(warehouse), "".join(traceback.format_exception(error))):
                    # the line of this file that called is in the traceback, but not what it was called with
                    assert secret not in text and quote(secret, safe="") not in text


def test_an_answer_that_takes_too_long_is_an_error(server):
    for call in (Warehouse(server, timeout=0.5).execute, Warehouse(server, timeout=0.5).read):
        with pytest.raises(WarehouseError, match=r"no answer within 0\.5 s.*\nin: SELECT .*sleep\(2\)"):
            call("SELECT sleep(2) AS s")


def test_a_read_that_finds_no_connection_is_tried_again_and_a_write_is_not(server, monkeypatch):
    plain, calls = requests.post, []

    def refusing(*args, **kwargs):
        calls.append(1)
        if len(calls) % 3:
            raise requests.ConnectionError("refused")
        return plain(*args, **kwargs)

    monkeypatch.setattr(requests, "post", refusing)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert Warehouse(server).scalar("SELECT 7") == 7
    calls.clear()
    with pytest.raises(WarehouseError, match="no connection"):
        Warehouse(server).execute("SELECT 1")
    assert len(calls) == 1


def test_a_read_gives_up_after_three_refused_connections(monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(WarehouseError, match="no connection"):
        Warehouse("http://127.0.0.1:1").read("SELECT 7")
    assert len(waits) == 2  # between three attempts


VANISHED = "Code: 60, e.displayText() = DB::Exception: Table test.t__scratch_1 doesn't exist., e.what() = DB::Exception"


def test_a_table_that_vanishes_while_the_server_lists_its_tables_costs_a_second_attempt(server, monkeypatch):
    plain, calls = requests.post, []

    def failing(*args, **kwargs):  # every other time, as ClickHouse 18.16 does
        calls.append(kwargs["data"])
        if len(calls) % 2 == 0:
            return plain(*args, **kwargs)
        answer = requests.Response()
        answer.status_code, answer._content = 404, VANISHED.encode()
        return answer

    monkeypatch.setattr(requests, "post", failing)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert (
        Warehouse(server).scalar("SELECT name FROM system.tables WHERE name = 'one' AND database = 'system'") == "one"
    )
    calls.clear()
    with pytest.raises(WarehouseError, match="doesn't exist"):  # a table that is asked for is not there, and stays so
        Warehouse(server).read("SELECT * FROM test.t__scratch_1")
    assert sum(b"t__scratch_1" in sent for sent in calls) == 1


@pytest.mark.parametrize("secret", ["пароль", "100% :?#&+"])
def test_any_password_works_when_it_is_quoted_in_the_url(secret, tmp_path):
    with running(tmp_path, password=secret) as url:
        address = url.rpartition("@")[2]
        assert Warehouse(f"http://default:{quote(secret, safe='')}@{address}").scalar("SELECT 7") == 7
        with pytest.raises(WarehouseError, match="Code: 516"):
            Warehouse(f"http://default:{quote(secret + 'x', safe='')}@{address}").scalar("SELECT 7")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"d": [date(2026, 1, 1)], "x": [1]}, "has no column x; it has d, k, v"),
        ({"d": [date(2026, 1, 1), None]}, "takes no NULL"),
        ({"v": ["12", "many"]}, "Cannot parse"),
        ({"v": [12, 2**64]}, "18446744073709551616 does not fit into UInt64"),
        ({"v": [12, -1]}, "-1 does not fit into UInt64"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_whole(frame, says, warehouse, table, databases):
    with pytest.raises(WarehouseError, match=says):
        warehouse.write(pd.DataFrame(frame), table)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0
    assert names(warehouse, databases) == ["t"], "no scratch table may stay behind"


def test_a_frame_of_several_blocks_is_refused_whole(warehouse, databases):
    table = f"{databases[1]}.strict"
    warehouse.execute(
        f"CREATE TABLE {table} (v Int64, m Int64 MATERIALIZED intDiv(1, 4999 - v)) ENGINE = MergeTree ORDER BY v"
    )
    blocks = (
        "max_insert_block_size=1000&max_block_size=1000&min_insert_block_size_rows=1000&min_insert_block_size_bytes=0"
    )
    many = Warehouse(f"{warehouse.url}/?{blocks}")
    with pytest.raises(WarehouseError, match="zero"):
        many.write(pd.DataFrame({"v": range(5000)}), table)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0
    assert many.write(pd.DataFrame({"v": range(4999)}), table) == 4999


def rows_of(day, n):
    return f"SELECT toDate('{day}') AS d, 'k' AS k, number AS v FROM {numbers(n)}"


def test_a_partition_is_replaced_and_nothing_else(warehouse, table, databases):
    for n in (3, 5, 0):
        for day in ("2026-01-01", "2026-01-02"):
            warehouse.replace_partition(table, f"'{day}'", rows_of(day, 2))
        assert warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", n)) == n
        found = warehouse.read(f"SELECT d, count() AS n FROM {table} GROUP BY d ORDER BY d")["n"].tolist()
        assert found == [n, 2][n == 0 :]
        assert warehouse.read(f"SELECT v FROM {table} WHERE d = '2026-01-01' ORDER BY v")["v"].tolist() == [*range(n)]
    assert names(warehouse, databases) == ["t"]


def test_a_partition_of_two_values_is_replaced_from_several_statements(warehouse, databases):
    table = f"{databases[1]}.pairs"
    warehouse.execute(
        f"CREATE TABLE {table} (d Date, k String, v UInt64) ENGINE = MergeTree PARTITION BY (d, k) ORDER BY v"
    )
    warehouse.replace_partition(table, "('2026-01-01', 'age')", "SELECT toDate('2026-01-01') AS d, 'age' AS k, 99 AS v")
    for n in (3, 1, 0):
        selects = [
            f"SELECT toDate('2026-01-01') AS d, 'os' AS k, number + {add} AS v FROM {numbers(n)}" for add in (0, 10)
        ]
        assert warehouse.replace_partition(table, "('2026-01-01', 'os')", selects) == 2 * n
        found = warehouse.read(f"SELECT k, v FROM {table} ORDER BY v")
        assert found["v"].tolist() == [*range(n), *range(10, 10 + n), 99] and found["k"].tolist()[-1] == "age"


def test_a_statement_that_fails_leaves_the_partition_as_it_was(warehouse, table, databases):
    warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 2))
    with pytest.raises(WarehouseError, match="Code: 395"):
        failing = "SELECT toDate('2026-01-01') AS d, 'k' AS k, throwIf(number = 900000) AS v FROM numbers(1000000)"
        warehouse.replace_partition(table, "'2026-01-01'", [rows_of("2026-01-01", 5), failing])
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 2
    assert names(warehouse, databases) == ["t"]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one server", "two servers"])
def test_columns_are_matched_by_name_and_one_that_is_not_the_tables_is_refused(warehouse, databases, elsewhere):
    table, source = f"{databases[1]}.named", Warehouse(f"{warehouse.url}/?max_threads=1") if elsewhere else None
    warehouse.execute(
        f"CREATE TABLE {table} (d Date, os String, country String, v Nullable(UInt64)) ENGINE = MergeTree PARTITION BY d ORDER BY os"
    )
    day = "toDate('2026-01-01') AS d"
    warehouse.replace_partition(table, "'2026-01-01'", f"SELECT 'RU' AS country, 'iOS' AS os, {day}", source)
    for columns, says in (
        (f"{day}, 'iOS' AS os, 'RU' AS land", "land is no column of it; country is missing; it gives d, os, land"),
        (f"{day}, 'iOS', 'RU' AS country", "is no column of it; os is missing"),
        (f"{day}, 'iOS' AS os", "country is missing"),
    ):
        with pytest.raises(WarehouseError, match=says):
            warehouse.replace_partition(table, "'2026-01-01'", f"SELECT {columns}", source)
    assert warehouse.row(f"SELECT os, country, v IS NULL AS none FROM {table}") == {
        "os": "iOS",
        "country": "RU",
        "none": 1,
    }
    assert names(warehouse, databases) == ["named"]


def test_rows_of_another_partition_are_refused(warehouse, table, databases):
    warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 2))
    with pytest.raises(WarehouseError, match=r"fall into \['2026-01-02'\], expected only 2026-01-01"):
        warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-02", 9))
    assert warehouse.read(f"SELECT d, v FROM {table} ORDER BY v").values.tolist() == [
        [pd.Timestamp("2026-01-01"), 0],
        [pd.Timestamp("2026-01-01"), 1],
    ]
    assert names(warehouse, databases) == ["t"]


def test_rows_of_another_server_arrive_whatever_their_columns_are_called(warehouse, table, databases, tmp_path):
    with running(tmp_path, password=PASSWORD) as url:
        other = Warehouse(url.replace(PASSWORD, quote(PASSWORD, safe="")))
        assert warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 300_000), other) == 300_000
        assert warehouse.row(f"SELECT sum(v) AS s, any(k) AS k FROM {table}") == {"s": 299_999 * 150_000, "k": "k"}
        swapped = "SELECT toUInt8(7) AS v, 'k' AS k, toDate('2026-01-01') AS d"  # by name, whatever the places say
        assert warehouse.replace_partition(table, "'2026-01-02'", swapped.replace("01-01", "01-02"), other) == 1
        assert warehouse.row(f"SELECT v, k FROM {table} WHERE d = '2026-01-02'") == {"v": 7, "k": "k"}
        warehouse.replace_partition(table, "'2026-01-02'", rows_of("2026-01-02", 0), other)
        with pytest.raises(WarehouseError, match="Code: 395"):
            failing = "SELECT toDate('2026-01-01') AS d, 'k' AS k, throwIf(number = 900000) AS v FROM numbers(1000000)"
            warehouse.replace_partition(table, "'2026-01-01'", failing, other)
        with pytest.raises(WarehouseError, match="v is missing; it gives d, k"):
            warehouse.replace_partition(table, "'2026-01-01'", "SELECT toDate('2026-01-01') AS d, 'k' AS k", other)
        assert warehouse.scalar(f"SELECT count() FROM {table}") == 300_000
        assert names(warehouse, databases) == ["t"]


def test_only_stale_partitions_of_the_named_tables_are_dropped(warehouse, table, databases):
    warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 2))
    assert warehouse.drop_stale(databases[1], "t", 1) == []
    assert warehouse.drop_stale(databases[1], "other", -1) == []
    warehouse.execute(f"CREATE TABLE {databases[1]}.s_x AS {table}")
    warehouse.execute(f"CREATE TABLE {databases[1]}.sxx AS {table}")  # LIKE 's_%' would match it
    for other in ("s_x", "sxx"):
        warehouse.replace_partition(f"{databases[1]}.{other}", "'2026-01-01'", rows_of("2026-01-01", 2))
    assert warehouse.drop_stale(databases[1], "s_", -1) == ["s_x 2026-01-01"]
    assert warehouse.scalar(f"SELECT count() FROM {databases[1]}.sxx") == 2
    assert warehouse.drop_stale(databases[1], "t", -1) == ["t 2026-01-01"]
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0


def test_scratch_tables_of_runs_that_died_are_dropped_and_what_only_looks_like_them_stays(warehouse, table, databases):
    for name in ("t__scratch_0123456789ab", "t__0123456789ab", "t__scratch_notes"):
        warehouse.execute(f"CREATE TABLE {databases[1]}.{name} AS {table}")
    assert warehouse.drop_stale(databases[1], "t", 1) == []
    assert warehouse.drop_stale(databases[1], "t", -1) == ["t__scratch_0123456789ab"]
    assert names(warehouse, databases) == ["t", "t__0123456789ab", "t__scratch_notes"]


def test_a_missing_column_is_named(warehouse, table):
    with pytest.raises(WarehouseError, match="lacks os, age; it has d, k, v"):
        warehouse.require(table, ("d", "os", "age"))


PATH = "'/clickhouse/{shard}/{table}', '{replica}'"


@pytest.mark.parametrize(
    ("setting", "plain", "replacing"),
    [
        ("MergeTree", "MergeTree", "ReplacingMergeTree(at)"),
        ("ReplicatedMergeTree", "ReplicatedMergeTree", "ReplicatedReplacingMergeTree(at)"),
        (
            f"ReplicatedMergeTree({PATH})",
            "ReplicatedMergeTree('/clickhouse/{shard}/test/t', '{replica}')",
            "ReplicatedReplacingMergeTree('/clickhouse/{shard}/test/t', '{replica}', at)",
        ),
    ],
)
def test_the_engine_of_our_tables_is_a_setting(setting, plain, replacing, configured):
    configured(table_engine=setting)
    assert (engine("test.t"), engine("test.t", newest="at")) == (plain, replacing)


@pytest.mark.parametrize("setting", ["Log", "MergeTree ORDER BY x", "ReplicatedMergeTree('/one/path', '{replica}')"])
def test_an_engine_that_cannot_be_used_is_refused(setting, configured):
    with pytest.raises(SettingsError, match="PULSEBOOK_TABLE_ENGINE must"):
        configured(table_engine=setting)


@pytest.mark.parametrize(
    ("found", "alone"),
    [
        ("MergeTree PARTITION BY d ORDER BY v", "MergeTree PARTITION BY d ORDER BY v"),
        (
            "ReplicatedMergeTree('/a/{b}', 'r') PARTITION BY d ORDER BY (v, d)",
            "MergeTree() PARTITION BY d ORDER BY (v, d)",
        ),
        ("ReplicatedReplacingMergeTree('/a', '{r}', v) ORDER BY v", "ReplacingMergeTree(v) ORDER BY v"),
        ("ReplicatedMergeTree ORDER BY v", "MergeTree() ORDER BY v"),
    ],
)
def test_a_scratch_table_of_a_replicated_one_is_not_replicated(found, alone):
    assert _alone(found) == alone


def test_threads_that_ask_two_servers_at_once_each_keep_theirs(tmp_path):
    """Each server knows one password alone, and calls itself by it."""
    with running(tmp_path / "a", password="first") as a, running(tmp_path / "b", password="second") as b:
        for url, name in ((a, "first"), (b, "second")):
            Warehouse(url).execute(f"CREATE TABLE default.name ENGINE = Memory AS SELECT '{name}' AS name")

        inside, over = Event(), Event()

        def hold() -> None:
            with through(Warehouse(b), retry=False):
                inside.set()
                assert over.wait(20)

        other = Thread(target=hold)
        other.start()
        with through(Warehouse(a), retry=False):
            assert inside.wait(20)
            assert pandahouse.http.execute("SELECT name FROM default.name") == b"first\n"
            over.set()
            other.join()
            assert pandahouse.http.execute("SELECT name FROM default.name") == b"first\n"
