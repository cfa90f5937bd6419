"""The warehouse module on a real server: types, errors, atomic writes."""

import traceback
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import pandas as pd
import pytest

from pulsebook.local.server import running
from pulsebook.warehouse import Warehouse, WarehouseError

UGLY = "q\"uo'te \\back\\n new\nline tab\t 😀 {x} \x00 ="
UUID = "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
MOSCOW = "Europe/Moscow"
NOON = pd.Timestamp("2026-01-01 12:34:56")
# type -> two values, as written and as read
TYPES = {
    "Int64": [-(2**63), 2**63 - 1],
    "UInt8": [0, 255],
    "UInt64": [0, 2**64 - 1],
    "Nullable(UInt64)": [2**64 - 1, None],
    "Float64": [1.5, float("inf")],
    "Nullable(Float32)": [0.25, None],
    "String": [UGLY, ""],
    "Nullable(String)": ["", None],
    "LowCardinality(String)": ["iOS", ""],
    "LowCardinality(Nullable(String))": [UGLY, None],
    "Bool": [True, False],
    "Date": [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-12-31")],
    "Nullable(Date)": [pd.Timestamp("2026-01-01"), None],
    "DateTime": [NOON, NOON],
    "Nullable(DateTime)": [None, NOON],
    f"DateTime('{MOSCOW}')": [NOON.tz_localize(MOSCOW)] * 2,
    f"DateTime64(3, '{MOSCOW}')": [pd.Timestamp("2026-01-01 12:34:56.789", tz=MOSCOW)] * 2,
    "DateTime64(6)": [pd.Timestamp("2026-01-01 12:34:56.123456")] * 2,
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


def names(warehouse, databases):
    return warehouse.read(f"SELECT name FROM system.tables WHERE database = '{databases[1]}' ORDER BY name")[
        "name"
    ].tolist()


@pytest.mark.parametrize("kind", TYPES)
def test_every_column_type_comes_back_as_it_went(kind, warehouse, databases):
    name = f"{databases[1]}.one"
    warehouse.execute(f"CREATE TABLE {name} (n UInt8, `a ``b` {kind}) ENGINE = MergeTree ORDER BY n")
    values = TYPES[kind]
    assert warehouse.write(pd.DataFrame({"n": [0, 1], "a `b": pd.Series(values, dtype=object)}), name) == 2
    found = warehouse.read(f"SELECT `a ``b` FROM {name} ORDER BY n;")["a `b"]
    assert [None if pd.isna(v) else v for v in found] == values
    if kind.startswith("DateTime('"):
        assert str(found.dt.tz) == MOSCOW


def test_dtypes_follow_the_servers_types(warehouse):
    frame = warehouse.read(
        "SELECT toUInt8(1) a, toNullable(2) b, 1.5 c, true d, 'x' e, [1, 2] f, nan g, NULL h, toDate('2026-01-01') i"
    )
    assert [str(t) for t in frame.dtypes[:5]] == ["uint8", "UInt8", "float64", "bool", "object"]
    assert frame["f"][0] == "[1,2]" and pd.isna(frame["g"][0]) and frame["h"][0] is None
    assert frame["i"].dtype.kind == "M"


def test_an_empty_result_keeps_its_columns(warehouse):
    frame = warehouse.read("SELECT 1 AS a, 'x' AS b WHERE 0 -- {braces} and a comment")
    assert list(frame.columns) == ["a", "b"] and len(frame) == 0


def test_an_error_in_mid_result_is_an_error_and_never_a_row(warehouse):
    with pytest.raises(WarehouseError, match="Code: 395"):
        warehouse.read("SELECT throwIf(number = 3000000) FROM numbers(4000000)")


def test_an_error_shows_the_statement_and_never_the_password(tmp_path):
    secret = "p@ss/wörd"
    with running(tmp_path, password="another") as url:
        host = url.rpartition("@")[2]
        for address, says in ((host, "Authentication failed"), ("127.0.0.1:1", "no connection")):
            with pytest.raises(WarehouseError) as caught:
                Warehouse(f"http://default:{quote(secret, safe='')}@{address}").read("SELECT 42 AS answer")
            text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert says in text and "SELECT 42 AS answer" in text
            assert secret not in text and quote(secret, safe="") not in text


def test_an_answer_that_takes_too_long_is_an_error(server):
    with pytest.raises(WarehouseError, match=r"no answer within 0\.5 s"):
        Warehouse(server, timeout=0.5).execute("SELECT sleep(2)")


def test_a_read_that_finds_no_connection_is_tried_again_and_a_write_is_not(server, monkeypatch):
    import requests

    plain, calls = requests.post, []

    def refusing(*args, **kwargs):
        calls.append(1)
        if len(calls) % 3:
            raise requests.ConnectionError("refused")
        return plain(*args, **kwargs)

    monkeypatch.setattr(requests, "post", refusing)
    assert Warehouse(server).scalar("SELECT 7") == 7
    calls.clear()
    with pytest.raises(WarehouseError, match="no connection"):
        Warehouse(server).execute("SELECT 1")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"d": [date(2026, 1, 1)], "x": [1]}, "has no column x; it has d, k, v"),
        ({"d": [date(2026, 1, 1), None]}, "takes no NULL"),
        ({"v": ["12", "many"]}, "Cannot parse"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_whole(frame, says, warehouse, table, databases):
    with pytest.raises(WarehouseError, match=says):
        warehouse.write(pd.DataFrame(frame), table)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0
    assert names(warehouse, databases) == ["t"], "no scratch table may stay behind"


def rows_of(day, n):
    return f"SELECT toDate('{day}'), 'k', number FROM numbers({n})"


def test_a_partition_is_replaced_and_nothing_else(warehouse, table, databases):
    for n in (3, 5, 0):
        for day in ("2026-01-01", "2026-01-02"):
            warehouse.replace_partition(table, f"'{day}'", rows_of(day, 2))
        assert warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", n)) == n
        found = warehouse.read(f"SELECT d, count() AS n FROM {table} GROUP BY d ORDER BY d")["n"].tolist()
        assert found == [n, 2][n == 0 :]
    assert names(warehouse, databases) == ["t"]


def test_rows_of_another_partition_are_refused(warehouse, table, databases):
    warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 2))
    with pytest.raises(WarehouseError, match=r"fall into \['2026-01-02'\], expected only 2026-01-01"):
        warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-02", 9))
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 2
    assert names(warehouse, databases) == ["t"]


def test_rows_of_another_server_arrive_whatever_their_columns_are_called(warehouse, table, tmp_path):
    with running(tmp_path, password="a/b") as url:
        other = Warehouse(url.replace("a/b", "a%2Fb"))
        assert warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 300_000), other) == 300_000
        assert warehouse.row(f"SELECT sum(v) AS s, any(k) AS k FROM {table}") == {"s": 299_999 * 150_000, "k": "k"}
        with pytest.raises(WarehouseError, match="Code: 395"):
            failing = "SELECT toDate('2026-01-01'), 'k', throwIf(number = 900000) FROM numbers(1000000)"
            warehouse.replace_partition(table, "'2026-01-01'", failing, other)
        assert warehouse.scalar(f"SELECT count() FROM {table}") == 300_000


def test_only_stale_partitions_of_the_named_tables_are_dropped(warehouse, table, databases):
    warehouse.replace_partition(table, "'2026-01-01'", rows_of("2026-01-01", 2))
    assert warehouse.drop_stale(databases[1], "t", 1) == []
    assert warehouse.drop_stale(databases[1], "other", -1) == []
    assert warehouse.drop_stale(databases[1], "t", -1) == ["t 2026-01-01"]
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0


def test_a_missing_column_is_named(warehouse, table):
    with pytest.raises(WarehouseError, match="lacks os, age; it has d, k, v"):
        warehouse.require(table, ("d", "os", "age"))
