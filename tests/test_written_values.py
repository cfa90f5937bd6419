"""What is read back equals what was given, or nothing is written and the error names column, row and value.

Each type is tried with values that fit, values at its edges, and values of every other kind. What is right is worked out
here from the values themselves, never from the code under test: `meant` says what a stored value should read as.
"""

import datetime as dt
import decimal
import ipaddress
import math
import struct
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pulsebook.warehouse import Warehouse, WarehouseError, bulk
from pulsebook.warehouse.unfit import UnfitError
from pulsebook.warehouse.wire import wire

MOSCOW = "Europe/Moscow"
BERLIN = ZoneInfo("Europe/Berlin")
INTEGERS = {f"{sign}Int{bits}": (sign, bits) for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)}
PLAIN = [
    *INTEGERS,
    "Float32",
    "Float64",
    "Decimal(9, 4)",
    "Decimal(18, 0)",
    "Decimal(38, 10)",
    "Decimal(76, 76)",
    "String",
    "FixedString(3)",
    "LowCardinality(String)",
    "Bool",
    "Enum8('a' = 1, 'it\\'s, (b)' = -2, '{}' = 3, '' = 4)",
    "Enum16('1' = 2, '2' = 1)",
    "UUID",
    "IPv4",
    "IPv6",
    "Date",
    "Date32",
    "DateTime",
    f"DateTime('{MOSCOW}')",
    "DateTime64(3)",
    f"DateTime64(0, '{MOSCOW}')",
    f"DateTime64(9, '{MOSCOW}')",
    "SimpleAggregateFunction(max, UInt8)",
]
NOT_NULLABLE = ("LowCardinality", "SimpleAggregateFunction")
TYPES = [*PLAIN, *(f"Nullable({kind})" for kind in PLAIN if not kind.startswith(NOT_NULLABLE))]
TYPES.append("LowCardinality(Nullable(String))")
PHASES = (Phase.explicit, Phase.generate)  # a failure names its value: nothing to shrink, at a write a try
OLD = ("128", "256", "Decimal(76", "Bool", "IPv", "Date32", "DateTime64", "SimpleAgg", "Map")  # what 18.16 lacks


def bare(kind: str) -> str:
    for outer in ("LowCardinality(", "Nullable(", "SimpleAggregateFunction(max, "):
        if kind.startswith(outer):
            return bare(kind.removeprefix(outer)[:-1])
    return kind


# -- what a value means in a column: as it should be read; None: it does not fit


def number(value):
    """An exact number, or None."""
    if isinstance(value, bool | np.bool_):
        return Decimal(int(value))
    if isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64):
        return Decimal(int(value))
    if isinstance(value, float | np.floating):
        return Decimal(float(value)) if float(value) == value else None
    if isinstance(value, str):
        try:
            value = Decimal(value) if value.isascii() and value.strip() == value and "_" not in value else None
        except decimal.InvalidOperation:
            return None
    return value if isinstance(value, Decimal) else None


def spelt(value):
    """A number as it is written."""
    return Decimal(str(value)) if isinstance(value, float | np.floating) else number(value)


def meant(value, kind: str):
    """What a value should be read as (`as_read` of it), or None where it has no place in a column of this type."""
    kind = bare(kind)
    with decimal.localcontext(prec=2000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN):
        if kind in INTEGERS:
            sign, bits = INTEGERS[kind]
            low, high = (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            found = number(value)
            if isinstance(value, str) and not value.lstrip("+-").isdigit():
                return None  # "5.0" is no whole number, 5.0 is one
            fits = found is not None and found.is_finite() and low <= found <= high and found == int(found)
            return int(found) if fits else None
        if kind.startswith("Decimal"):
            precision, scale = map(int, kind[8:-1].split(","))
            found = spelt(value)
            if found is None or not found.is_finite() or abs(found) > 10**200:
                return None
            moved = found.scaleb(scale)
            return found if moved == moved.to_integral_value() and abs(moved) < 10**precision else None
        if kind == "Float64":
            found = number(value)
            if found is None:
                return None
            if found.is_infinite() or (nearest := float(found)) == found:
                return float(found)
            return nearest if Decimal(repr(nearest)) == found else None
        if kind == "Float32":
            nearest = meant(value, "Float64")
            if nearest is None or math.isinf(nearest):
                return nearest
            with np.errstate(over="ignore"):
                single = np.float32(nearest)
            return single if float(single) == nearest or float(str(single)) == nearest else None
    if kind in ("String", "FixedString(3)"):
        raw = value if isinstance(value, bytes) else None
        if isinstance(value, str):
            try:
                raw = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                return None
            if raw.decode("utf-8", "surrogateescape") != value:
                return None
        if raw is None or (kind != "String" and (len(raw) > 3 or raw.endswith(b"\0"))):
            return None
        return raw.decode("utf-8", "surrogateescape")
    if kind.startswith("Enum"):
        known = {"Enum8": ["a", "it's, (b)", "{}", ""], "Enum16": ["1", "2"]}[kind.partition("(")[0]]
        return value if isinstance(value, str) and value in known else None
    if kind == "Bool":
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value)
        return bool(value) if not isinstance(value, Decimal) and number(value) in (0, 1) else None
    if kind == "UUID":
        if isinstance(value, str):
            return value.lower() if len(value) == 36 and "{" not in value else None
        return str(value) if isinstance(value, uuid.UUID) else None
    if kind in ("IPv4", "IPv6"):
        of = {"IPv4": ipaddress.IPv4Address, "IPv6": ipaddress.IPv6Address}[kind]
        try:
            return of(value) if isinstance(value, str | of) and "%" not in str(value) else None
        except ValueError:
            return None
    return moment(value, kind)


def moment(value, kind: str):
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if not isinstance(value, dt.date):
        return None
    if kind in ("Date", "Date32"):
        if isinstance(value, dt.datetime) and (value.time() != dt.time() or getattr(value, "nanosecond", 0)):
            return None
        day = dt.date(value.year, value.month, value.day)
        first, last = {
            "Date": (dt.date(1970, 1, 1), dt.date(2149, 6, 6)),
            "Date32": (dt.date(1900, 1, 1), dt.date(2299, 12, 31)),
        }[kind]
        return pd.Timestamp(day) if first <= day <= last else None
    value = pd.Timestamp(value)
    zone = MOSCOW if MOSCOW in kind else None
    if value.tz is None and zone:
        value = value.tz_localize(zone)
    instant = value.tz_convert("UTC").tz_localize(None) if value.tz is not None else value
    digits = int(kind[11]) if kind.startswith("DateTime64") else 0
    if f"{instant.microsecond:06}{instant.nanosecond:03}"[digits:].strip("0"):
        return None
    if kind.startswith("DateTime64"):
        first, last = pd.Timestamp("1900-01-01"), pd.Timestamp("2299-12-31 23:59:59.999999")
        last = pd.Timestamp("2262-04-11 23:47:16") if digits == 9 else last
    else:
        first, last = pd.Timestamp("1970-01-01"), pd.Timestamp(2**32 - 1, unit="s")
    if not first <= instant <= last:
        return None
    return instant.tz_localize("UTC") if zone else instant  # the servers of these tests live in UTC


def as_read(found, kind: str):
    """A value as read, so that it can be compared with what was meant."""
    kind = bare(kind)
    if kind in INTEGERS:
        return int(found)
    if kind == "Float32":
        return np.float32(found)
    if kind.startswith("IPv"):
        return ipaddress.ip_address(found)
    return found


def same(found, wanted) -> bool:
    if isinstance(wanted, float):
        return struct.pack("d", found) == struct.pack("d", wanted)
    return found == wanted and (not isinstance(wanted, str) or type(found) is str)


# -- values


def edges() -> list:
    powers = [2**bits for bits in (7, 8, 15, 16, 24, 31, 32, 53, 63, 64, 127, 128, 255, 256)]
    whole = [0, 1, 2, 300, *(sign * p + by for p in powers for sign in (1, -1) for by in (-1, 0, 1))]
    fractions = [0.1, 1 / 3, 5.5, -0.0, 1e-50, 1e300, 5e-324, 16777217.0, math.inf, -math.inf]
    decimals = [
        Decimal(t) for t in ("0.1", "99999.9999", "100000", "1.23450", "0.00001", "1E+30", "-0", "1E-76", "Infinity")
    ]
    texts = [
        "",
        "a",
        "1",
        "300",
        "-1",
        "0.1",
        "many",
        "5.0",
        "1e2",
        " 7",
        "1_000",
        "true",
        "\x00",
        "ab\x00",
        "naïve",
        "{}",
    ]
    texts += ["it's, (b)", "q\"uo'te \\ \n\t|;-=", "\udc80", "\udcc3\udca9", "\ud83d", "a\r\n", "١٢"]
    others = [b"abc", b"\xff\x00", b"", uuid.UUID(int=7), "61F0C404-5cb3-11e7-907b-a6006ad3dba0", "{" + "1" * 34 + "}"]
    others += [ipaddress.ip_address(a) for a in ("1.2.3.4", "::1", "fe80::1%eth0")] + [
        "1.2.3.4",
        "::ffff:1.2.3.4",
        "::1%lo",
    ]
    times = ["1970-01-01", "1900-01-01", "1899-12-31", "2106-02-07T06:28:15", "2106-02-07T06:28:16", "2149-06-06"]
    times += [
        "2149-06-07",
        "2299-12-31",
        "2300-01-01",
        "1969-12-31T23:59:59",
        "2026-01-01T12:34:56.789",
        "1950-05-05T05:05:05",
    ]
    moments = [pd.Timestamp(t) for t in times]
    zoned = [t.tz_localize(zone) for t in moments for zone in ("UTC", "America/New_York")]
    days = [dt.date(2026, 1, 1), dt.date(1969, 12, 31), dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)]
    days += [pd.Timestamp("2026-01-01 00:00:00.123456789", tz="UTC"), np.datetime64("2026-01-01T01", "h"), "2026-02-30"]
    days += [dt.date(1, 1, 1), dt.date(9999, 12, 31), "2026-01-01", "2026-01-01 12:34:56"]
    numpy = [np.int8(-1), np.uint64(2**64 - 1), np.float32(0.1), np.float64(5), np.bool_(True), True, False]
    numpy += [np.longdouble(1) / 3] if np.finfo(np.longdouble).nmant > 52 else []
    no_place = [dt.timedelta(days=1), np.timedelta64(1, "D"), pd.Timedelta(1), 1j, object, [1], {"a": 1}, dt.time(12)]
    no_place += [pd.Period("2026-01-01"), np.array([1, 2]), (1,), {1}]
    return whole + fractions + decimals + texts + others + moments + zoned + days + numpy + no_place


EDGES = edges()
ANYTHING = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-(2**260), 2**260),
    st.integers(-(2**9), 2**9),
    st.floats(allow_nan=False),
    st.floats(width=32, allow_nan=False),
    st.decimals(allow_nan=False, places=4),
    st.text(),
    st.text(max_size=3),
    st.binary(max_size=4),
    st.uuids(),
    st.ip_addresses(),
    st.dates(),
    st.datetimes(dt.datetime(1680, 1, 1), dt.datetime(2400, 1, 1)),
    st.datetimes(dt.datetime(1890, 1, 1), dt.datetime(2310, 1, 1), timezones=st.timezones()),
    st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2110, 1, 1)).map(lambda t: t.replace(microsecond=0)),
)


@pytest.fixture(scope="module")
def warehouse(server):
    return Warehouse(server)


@pytest.fixture(scope="module")
def old(warehouse) -> bool:
    """Whether the server is one of 2018, whose days end in 2105 and which knows fewer types."""
    return warehouse.scalar("SELECT version()").startswith("18.")


@pytest.fixture(scope="module")
def table_of(warehouse, old):
    """Makes a table with columns `n` and `v` of a type, once."""
    warehouse.execute("CREATE DATABASE IF NOT EXISTS written")
    made = {}

    def table(kind: str) -> str:
        if old and any(name in kind for name in OLD):
            pytest.skip(f"this server has no {kind}")
        if kind not in made:
            made[kind] = f"written.t{len(made)}"
            warehouse.execute(f"CREATE TABLE {made[kind]} (n UInt32, v {kind}) ENGINE = MergeTree ORDER BY n")
        return made[kind]

    yield table
    warehouse.execute("DROP DATABASE written")


def emptied(warehouse, table: str) -> None:
    warehouse.execute(f"TRUNCATE TABLE {table}")


def written(warehouse, table: str, values: list) -> pd.Series:
    frame = pd.DataFrame({"n": range(len(values)), "v": pd.Series(values, dtype=object)})
    frame.index = range(7, 7 + len(values))  # which is nobody's business
    assert warehouse.write(frame, table) == len(values)
    return warehouse.read(f"SELECT v FROM {table} ORDER BY n")["v"]


def refused(warehouse, table: str, values: list, row: int) -> str:
    frame = pd.DataFrame({"n": range(len(values)), "v": pd.Series(values, dtype=object)})
    with pytest.raises(WarehouseError) as caught:
        warehouse.write(frame, table)
    says = str(caught.value)
    assert "column v" in says and f"row {row} " in says and "nothing was written" in says, says
    return says


def is_unfit(value, kind: str) -> bool:
    try:
        wire(kind).encode(value)
    except UnfitError:
        return True
    return False


def shows_wrongly(value, kind: str, old: bool) -> bool:
    """Whether a server of 2018 cannot show a time: its calendar begins a second after 1970 and ends with 2105."""
    return old and kind == "DateTime" and (value.year > 2105 or value == pd.Timestamp("1970-01-01"))


@pytest.mark.parametrize("kind", TYPES)
def test_what_fits_comes_back_as_it_went_and_what_does_not_is_refused(kind, warehouse, table_of, old):
    table = table_of(kind)

    @given(st.lists(ANYTHING, max_size=25))
    @settings(max_examples=2, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=list(HealthCheck))
    def check(drawn):
        values = EDGES + drawn
        fits = [(v, m) for v in values if (m := meant(v, kind)) is not None and not shows_wrongly(m, bare(kind), old)]
        if "Nullable" in kind:
            fits += [(None, None), (math.nan, None), (pd.NaT, None), (pd.NA, None), (Decimal("NaN"), None)]
        emptied(warehouse, table)
        found = written(warehouse, table, [value for value, _ in fits])
        for back, (value, wanted) in zip(found, fits, strict=True):
            if wanted is None:
                assert pd.isna(back), value
            else:
                assert same(as_read(back, kind), wanted), f"{value!r} is read as {back!r}, expected {wanted!r}"

    check()
    emptied(warehouse, table)
    good = next(v for v in EDGES if meant(v, kind) is not None and not shows_wrongly(meant(v, kind), bare(kind), old))
    unfit = [v for v in EDGES if meant(v, kind) is None]
    assert len(unfit) > 50
    left_to_the_server = [value for value in unfit if not is_unfit(value, kind)]
    assert len(left_to_the_server) <= 3  # what a clock shows in the server's own zone
    for value in [*left_to_the_server, unfit[len(kind) % len(unfit)]]:
        refused(warehouse, table, [good, value], 1)
    if "Nullable" not in kind:
        for nothing in (None, math.nan, pd.NaT, pd.NA, Decimal("NaN")):
            assert "takes no NULL" in refused(warehouse, table, [good, good, nothing], 2)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["|", ";=", "-", "it's", '"', "\\", "NULL", "{}", "\x00"]
)
LISTS = {
    "Array(String)": st.lists(TEXTS, max_size=4),
    "Array(Nullable(String))": st.lists(TEXTS | st.none(), max_size=4),
    "Array(Array(Nullable(Int16)))": st.lists(
        st.lists(st.integers(-(2**15), 2**15 - 1) | st.none(), max_size=3), max_size=3
    ),
    "Array(UInt64)": st.lists(st.integers(0, 2**64 - 1), max_size=4).map(lambda v: np.array(v, dtype="uint64")),
    "Array(Float64)": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    "Tuple(String, Nullable(UInt8))": st.tuples(TEXTS, st.integers(0, 255) | st.none()),
    "Map(String, Array(Nullable(String)))": st.dictionaries(TEXTS, st.lists(TEXTS | st.none(), max_size=3), max_size=3),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_tuples_and_dicts_come_back_with_all_that_is_in_them(kind, warehouse, table_of):
    table = table_of(kind)

    @given(st.lists(LISTS[kind], min_size=30, max_size=60))
    @settings(max_examples=2, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=list(HealthCheck))
    def check(values):
        emptied(warehouse, table)
        written(warehouse, table, values)
        answer = requests.post(warehouse.url, data=f"SELECT v FROM {table} ORDER BY n FORMAT JSONCompact".encode())
        found = [row[0] for row in answer.json()["data"]]
        if kind == "Array(UInt64)":  # numbers that JavaScript has not are texts in ClickHouse's JSON
            found = [list(map(int, row)) for row in found]
        if (
            kind == "Array(Float64)"
        ):  # 8816665253036289 is read as an int of Python's, which rounds nothing, unlike both
            found = [list(map(float, row)) for row in found]
        assert found == [list(v) if isinstance(v, np.ndarray | tuple) else v for v in values]

    check()
    emptied(warehouse, table)
    for value in ("many", 5, b"ab", [object()], {1: 2}, ["a", 2**70, None]):
        refused(warehouse, table, [value], 0)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0


def test_arrays_may_be_given_as_clickhouses_text_which_is_how_they_are_read(warehouse, table_of):
    table = table_of("Array(String)")
    emptied(warehouse, table)
    texts = ["['it\\'s','']", "[]"]
    assert written(warehouse, table, texts).tolist() == texts
    assert "would make it ['a','b']" in refused(warehouse, table, ["[]", "['a', 'b']"], 1)
    refused(warehouse, table, ["[]", ["a"]], 1)  # one way or the other
    for broken in ("['a'", "a", "[NULL]"):
        refused(warehouse, table, ["[]", "['b']", broken, "[]"], 2)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 2


FRAMES = {
    "Nullable(Int64)": [
        pd.Series([1, None, 2**53 + 1], dtype="Int64"),
        pd.Series([1, None, -5], dtype="int64[pyarrow]"),
        pd.Series([1.0, np.nan, 3.0]),
        pd.Series([True, False, True]),
        pd.Series(np.array([1, 2, 3], dtype="uint8")),
        pd.Series([1, 2, 1]).astype("category"),
        pd.Series([Decimal(1), None, 3.0], dtype=object),
        pd.arrays.SparseArray([0, 0, 7]),
    ],
    "Nullable(Float64)": [pd.Series([0.1, None, 3], dtype="Float64"), pd.Series([0.5, 2, -3], dtype="float32")],
    "Nullable(String)": [
        pd.Series(["a", None, ""], dtype="str"),
        pd.Series(["a", None, ""], dtype="string[pyarrow]"),
        pd.Series(["a", None, "a"]).astype("category"),
    ],
    "DateTime('Europe/Moscow')": [
        pd.Series(pd.to_datetime([1, 2, 3], unit="s", utc=True)),
        *(
            pd.Series(pd.to_datetime([1, 2, 2**31], unit="s")).dt.tz_localize("UTC").astype(f"datetime64[{u}, UTC]")
            for u in ("s", "ms", "us", "ns")
        ),
        pd.Series(pd.to_datetime([1, 2, 3], unit="s", utc=True)).astype("timestamp[ns, Asia/Tokyo][pyarrow]"),
    ],
    "Date": [pd.Series(pd.to_datetime(["2026-01-01", "1970-01-01", "2100-01-01"])).astype("datetime64[s]")],
    "Decimal(9, 4)": [pd.Series([0.1, 5, 99999.9999])],
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_dtype_of_a_frame_is_written(kind, warehouse, table_of):
    table = table_of(kind)
    for column in FRAMES[kind]:
        emptied(warehouse, table)
        frame = pd.DataFrame({"v": column, "n": range(3)})
        frame.index = [5, 5, 5]
        assert warehouse.write(frame, table) == 3
        back = warehouse.read(f"SELECT v FROM {table} ORDER BY n")["v"]
        for found, given_ in zip(back, frame["v"], strict=True):
            spelled = Decimal(str(given_)) if kind.startswith("Decimal") else given_
            assert (pd.isna(found) and pd.isna(given_)) or found == spelled, (column.dtype, found, given_)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame([[1, 2]], columns=["n", 5]), r"must be named by text.* \(n, v\); found 5 \(int\)"),
        (pd.DataFrame([[1, 2]], columns=[None, ("a", "b")]), r"found None \(NoneType\), \('a', 'b'\) \(tuple\)"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("n", ""), ("v", "x")])), r"\('v', 'x'\) \(tuple\)"),
        (pd.DataFrame([[1, 2, 3]], columns=["n", "v", "v"]), "more than one column v"),
        (pd.DataFrame({"n": [1], "w": [1]}), "has no column w; it has n, v"),
        (pd.DataFrame(index=range(3)), "3 rows and no columns"),
        (pd.DataFrame({"n": [1], "v": pd.to_timedelta(["1D"])}), "column v .*row 0 "),
        (pd.DataFrame({"n": [1, 300.5], "v": [1, 1]}), "300.5 as a whole number for UInt32 .*column n .*row 1 "),
    ],
)
def test_a_frame_that_cannot_be_matched_is_refused_in_words(frame, says, warehouse, table_of):
    table = table_of("Int32")
    emptied(warehouse, table)
    with pytest.raises(WarehouseError, match=says):
        warehouse.write(frame, table)
    assert warehouse.scalar(f"SELECT count() FROM {table}") == 0
    assert warehouse.write(pd.DataFrame({"n": [], "v": []}), table) == 0


NANOSECONDS = pd.Series(pd.to_datetime([5, 10**9, 5] * 3, unit="ns", utc=True))
BULKY = [
    *(column for columns in FRAMES.values() for column in columns),
    pd.Series(["a", "b", None, "a", "b", "a"], dtype="str"),
    pd.Series(["1", "300", "1", "1", "1"]).astype("category"),
    pd.Series([0, -1, 255]),
    pd.Series([0, 256], dtype="uint64"),
    pd.Series([0.0, -0.0, 5.0, math.inf]),
    pd.Series([5.0, math.nan]),
    pd.Series(pd.to_datetime(["2026-01-01"] * 5 + [None])),
    pd.Series(pd.to_datetime(["2026-01-01 01:00"] * 5)).dt.tz_localize("Asia/Tokyo"),
    pd.Series(pd.to_datetime(["1969-12-31", "2026-01-01", "2107-01-01"], utc=True)),
    NANOSECONDS,
    NANOSECONDS.dt.tz_localize(None),
    pd.Series([], dtype="int64"),
]


@pytest.mark.parametrize("kind", TYPES)
def test_many_values_at_once_travel_as_each_of_them_does(kind):
    for column in BULKY:
        column = pd.Series(column)
        found = bulk.cells(column, kind, wire(kind)) if len(column) else None
        if found is not None:
            assert found == [wire(kind).encode(value) for value in column]
    numbers = pd.Series([1, 0, 1])
    assert (bulk.cells(numbers, kind, wire(kind)) is not None) == (bare(kind) in INTEGERS)
