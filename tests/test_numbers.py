"""Numbers as people read them, and nothing said where nothing is known."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from pulsebook.catalogue import select
from pulsebook.present.numbers import (
    MISSING,
    by_day,
    change,
    changes,
    duration,
    number,
    percent,
    plural,
    text,
    with_ratios,
)

UNKNOWN = [None, math.nan, np.nan, np.float32("nan"), pd.NA, pd.NaT, math.inf, -math.inf, Decimal("NaN")]


@pytest.mark.parametrize(
    ("value", "digits", "en", "ru"),
    [
        (0, 0, "0", "0"),
        (999, 0, "999", "999"),
        (1234, 0, "1,234", "1 234"),
        (1_234_567, 0, "1,234,567", "1 234 567"),
        (1234.25, 1, "1,234.2", "1 234,2"),
        (34.96, 1, "35.0", "35,0"),
        (-1234.5, 1, "-1,234.5", "-1 234,5"),
        (-0.01, 1, "0.0", "0,0"),
        (-0.0, 0, "0", "0"),
        (np.int64(12_900), 0, "12,900", "12 900"),
        (np.uint64(2**63), 0, "9,223,372,036,854,775,808", "9 223 372 036 854 775 808"),
        (np.float32(0.5), 1, "0.5", "0,5"),
        (Decimal("12.25"), 2, "12.25", "12,25"),
        (pd.array([7], dtype="UInt64")[0], 0, "7", "7"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(value, digits, en, ru):
    assert number(value, "en", digits) == en
    assert number(value, "ru", digits) == ru.replace(" ", "\xa0")


def test_a_number_of_things_is_written_as_people_say_it():
    assert [plural(n, "slot") for n in (0, 1, 2, 2688)] == ["0 slots", "1 slot", "2 slots", "2,688 slots"]


@pytest.mark.parametrize(
    ("seconds", "en", "ru"),
    [
        (900, "15 min", "15 мин"),
        (3600, "1 h", "1 ч"),
        (20_700, "5 h 45 min", "5 ч 45 мин"),
        (86_400 * 2 + 900, "2 d 15 min", "2 д 15 мин"),
    ],
)
def test_a_duration_names_days_hours_and_minutes(seconds, en, ru):
    assert (duration(seconds, "en"), duration(seconds, "ru")) == (en, ru)


def test_a_day_that_a_frame_lacks_is_missing_and_not_zero():
    frame = pd.DataFrame({"day": pd.to_datetime(["2026-11-20", "2026-11-22", "2026-11-10"]), "views": [5, 7, 1]})
    found = by_day(frame, "2026-11-22", 3)
    assert [str(day.date()) for day in found.index] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert found["views"].iloc[[0, 2]].tolist() == [5, 7] and math.isnan(found["views"].iloc[1])


def test_a_share_is_written_as_percent():
    assert (percent(0.213, "en"), percent(0.213, "ru")) == ("21.3\xa0%", "21,3\xa0%")
    assert (percent(1, "en", 0), percent(np.float64(12.3456), "en")) == ("100\xa0%", "1,234.6\xa0%")


def test_the_catalogue_tells_how_a_value_is_written():
    assert text(0.2134, "ctr", "en") == "21.3\xa0%" and text(0.2134, "ctr", "ru") == "21,3\xa0%"
    assert text(18_432, "dau", "en") == "18,432" and text(34.125, "views_per_user", "ru") == "34,1"


@pytest.mark.parametrize("value", UNKNOWN, ids=repr)
def test_what_is_not_known_is_a_dash_everywhere(value):
    assert {number(value, "en"), percent(value, "ru"), text(value, "dau", "en"), text(value, "ctr", "ru")} == {MISSING}
    for name in ("dau", "ctr"):
        assert (
            change(value, 1, name, "en") == change(1, value, name, "en") == change(value, value, name, "ru") == MISSING
        )


@pytest.mark.parametrize(
    ("now", "before", "name", "en", "ru"),
    [
        (102.1, 100, "dau", "▲ 2.1 %", "▲ 2,1 %"),
        (50, 100, "dau", "▼ 50.0 %", "▼ 50,0 %"),
        (100, 100, "views", "= 0.0 %", "= 0,0 %"),
        (100_004, 100_000, "views", "= 0.0 %", "= 0,0 %"),
        (99_996, 100_000, "views", "= 0.0 %", "= 0,0 %"),
        (2_000_000, 100, "views", "▲ 1,999,900.0 %", "▲ 1 999 900,0 %"),
        (0, 100, "views", "▼ 100.0 %", "▼ 100,0 %"),
        (0.213, 0.21, "ctr", "▲ 0.3 pp", "▲ 0,3 п.п."),
        (0.2, 0.213, "ctr", "▼ 1.3 pp", "▼ 1,3 п.п."),
        (0.2, 0.0, "ctr", "▲ 20.0 pp", "▲ 20,0 п.п."),
        (5, 0, "dau", "–", "–"),
        (0, 0, "dau", "–", "–"),
    ],
)
def test_a_change_is_reported_by_mark_size_and_unit(now, before, name, en, ru):
    assert change(now, before, name, "en") == en.replace(" ", "\xa0")
    assert change(now, before, name, "ru") == ru.replace(" ", "\xa0")


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.uint8, np.int8, np.float64, np.float32, Decimal])
def test_a_change_downwards_does_not_wrap_around(kind):
    assert change(kind(50), kind(100), "views", "en") == "▼\xa050.0\xa0%"
    assert change(kind(0), kind(1), "ctr", "en") == "▼\xa0100.0\xa0pp"


@pytest.mark.parametrize("kind", ["int64", "Int64", "UInt64", "float64", "Float64", "object"])
def test_the_last_day_is_compared_with_the_day_before_and_the_week_before(kind):
    days = pd.Series([100, 1, 1, 1, 1, 1, 200, 150], dtype=kind)
    assert changes(days, "views", "en") == "▼\xa025.0\xa0% · ▲\xa050.0\xa0%"


@pytest.mark.parametrize("kind", ["Int64", "float64", "Float64", "object"])
def test_a_missing_day_gives_a_dash(kind):
    assert changes(pd.Series([100, 1, 1, 1, 1, 1, None, 150], dtype=kind), "views", "en") == "– · ▲\xa050.0\xa0%"
    assert changes(pd.Series([None, 1, 1, 1, 1, 1, 0, 150], dtype=kind), "views", "en") == "– · –"


def test_a_history_of_less_than_a_week_gives_dashes():
    assert changes(pd.Series([100, 150]), "views", "en") == "▲\xa050.0\xa0% · –"
    assert changes(pd.Series([150]), "views", "en") == "– · –"


@pytest.mark.parametrize("kind", ["int64", "uint64", "Int64", "UInt64", "float64", "object"])
def test_a_ratio_is_missing_where_its_denominator_is_zero(kind):
    frame = pd.DataFrame({"views": [10, 0, 4], "likes": [2, 0, 4], "feed_users": [5, 0, 0]}).astype(kind)
    found = with_ratios(frame, "ctr", "views_per_user")
    assert found["ctr"].dtype == found["views_per_user"].dtype == float
    assert found["ctr"].iloc[[0, 2]].tolist() == [0.2, 1.0] and math.isnan(found["ctr"].iloc[1])
    assert found["views_per_user"].iloc[0] == 2 and found["views_per_user"].iloc[1:].isna().all()
    assert "ctr" not in frame


@pytest.mark.parametrize("kind", ["Int64", "Float64", "float64", "object"])
@pytest.mark.parametrize("nothing", [None, pd.NA, math.nan], ids=repr)
def test_a_ratio_of_a_missing_count_is_missing(kind, nothing):
    if kind == "float64" and nothing is pd.NA:
        nothing = None
    frame = pd.DataFrame(
        {"views": pd.Series([10, nothing, 8], dtype=kind), "likes": pd.Series([2, 2, nothing], dtype=kind)}
    )
    found = with_ratios(frame, "ctr")["ctr"]
    assert found.iloc[0] == 0.2 and found.iloc[1:].isna().all()


def test_a_ratio_keeps_the_index():
    frame = pd.DataFrame({"views": [10, 20], "likes": [1, 4]}, index=pd.to_datetime(["2026-11-21", "2026-11-22"]))
    assert with_ratios(frame, "ctr")["ctr"].to_dict() == {frame.index[0]: 0.1, frame.index[1]: 0.2}


def test_select_names_what_it_computes():
    assert select("feed_users", "views") == "uniqExact(user_id) AS feed_users, countIf(action = 'view') AS views"


def test_the_counts_are_those_of_clickhouse(execute):
    rows = "VALUES('user_id UInt32, post_id UInt32, action String', (1, 7, 'view'), (1, 7, 'like'), (2, 8, 'view'), (2, 9, 'like'))"
    counts = select("feed_users", "views", "likes", "posts")
    assert execute(f"SELECT {counts} FROM {rows}").split() == ["2", "2", "2", "2"]
    assert execute(f"SELECT {select('messages_sent', 'messenger_users')} FROM {rows}").split() == ["4", "2"]
