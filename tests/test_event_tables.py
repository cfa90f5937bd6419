"""A day of an event table, finished or not; the slots of `slot_metrics` as the detector takes them."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from pulsebook.base.periods import Day
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.events import events
from pulsebook.warehouse.slot_table import by_slot, ensure_slot_table, slot_rows

ZONE = ZoneInfo("Europe/Moscow")
DAY = Day(date(2026, 11, 20), ZONE)


@pytest.fixture
def feed(configured, execute, databases):
    """The feed of a day whose last event is 45 minutes before midnight, a click that does not count later."""
    configured()
    execute(f"CREATE TABLE {databases[0]}.feed_actions (user_id UInt32, action String, time DateTime) ENGINE = Memory")
    end = int(DAY.end.timestamp())
    rows = [(1, "view", end - 7200), (2, "like", end - 2700), (2, "click", end - 60), (3, "view", end + 5)]
    values = ", ".join(f"({user}, '{action}', {at})" for user, action, at in rows)
    execute(f"INSERT INTO {databases[0]}.feed_actions VALUES {values}")
    return events(Warehouse.source(), "feed")


def test_a_finished_day_is_said_to_be_complete(feed):
    seen = feed.seen(Warehouse.source(), DAY)
    assert seen == {"rows": 2, "last_event": int(DAY.end.timestamp()) - 2700}
    said = feed.require_finished(DAY, seen, 0.0, "Nothing was done.")
    assert said == "complete: the last event is 45 minutes before midnight"


def test_a_day_that_is_missing_or_unfinished_is_refused_unless_it_is_wanted(feed):
    seen = feed.seen(Warehouse.source(), DAY)
    early = f"{feed.table} looks unfinished on 2026-11-20: its last event is 0.8 hours before midnight, expected at most 0.5"
    with pytest.raises(ValueError, match=f"^{early}\\. Nothing was done\\.$"):
        feed.require_finished(DAY, seen, 0.5, "Nothing was done.")
    assert feed.require_finished(DAY, seen, 0.5, "Nothing was done.", unless=True) == early
    none = feed.seen(Warehouse.source(), DAY - 1)
    for nothing in (none, pd.Series({"rows": np.nan, "last_event": np.nan})):
        with pytest.raises(ValueError, match=f"^{feed.table} has no rows on 2026-11-19. Nothing was done.$"):
            feed.require_finished(DAY - 1, nothing, 0.0, "Nothing was done.")


def test_slots_are_read_from_the_first_that_was_counted_the_newest_count_of_each(configured, execute):
    configured()
    target = Warehouse.target()
    first = int(datetime(2026, 11, 20, tzinfo=ZONE).timestamp())
    table = ensure_slot_table(target)
    rows = [(0, "views", "NULL", 1), (1, "views", 5, 1), (1, "likes", 2, 1), (1, "views", 6, 2), (2, "views", "NULL", 1),
            (3, "likes", 4, 1), (4, "views", 9, 1)]  # fmt: skip
    values = ", ".join(f"({first + n * 900}, '{name}', {value}, NULL, {first + age})" for n, name, value, age in rows)
    execute(f"INSERT INTO {table} VALUES {values}")
    start = datetime.fromtimestamp(first, ZONE)
    found = slot_rows(target, start, datetime.fromtimestamp(first + 4 * 900, ZONE))
    assert sorted(zip((found["slot"] - first) // 900, found["metric"], strict=True)) == [
        (0, "views"), (1, "likes"), (1, "views"), (2, "views"), (3, "likes")
    ]  # fmt: skip
    history = by_slot(found, ["likes", "posts", "views"], ZONE)
    assert [f"{at:%H:%M}" for at in history.index] == ["00:15", "00:30", "00:45"] and history.index.tz == ZONE
    expected = {"likes": [2, None, 4], "posts": [None] * 3, "views": [6, None, None]}
    pd.testing.assert_frame_equal(
        history, pd.DataFrame(expected, history.index, dtype=float), check_names=False, check_freq=False
    )
    assert by_slot(found.iloc[:0], ["views"], ZONE).empty and by_slot(found, ["posts"], ZONE).empty
    assert ensure_slot_table(target) == table, "it is made once"
