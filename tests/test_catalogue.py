"""The catalogue: what is in it is checked when it is imported, and each thing stands once."""

import ast
import dataclasses
import math
import re
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsebook import catalogue
from pulsebook.anomaly.watched import streams
from pulsebook.base.settings import ROOT
from pulsebook.catalogue import (
    DIMENSIONS,
    EXPLAINED,
    METRICS,
    Alert,
    CatalogueError,
    Correction,
    Count,
    Dimension,
    Policy,
    QuietHours,
    Ratio,
    Source,
    select,
)
from pulsebook.catalogue.checks import once
from pulsebook.catalogue.dimensions import band, band_names
from pulsebook.present.numbers import change, label, text, with_ratios
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.events import events


def count(**fields) -> Count:
    return Count(
        **{"name": "late_likes", "en": "Late likes", "ru": "Поздние", "source": "feed", "sql": "count()"} | fields
    )


def ratio(**fields) -> Ratio:
    return Ratio(**{"name": "r", "en": "R", "ru": "Р", "numerator": "likes", "denominator": "views"} | fields)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (lambda: count(name="Late"), "a name must be like views_per_user"),
        (lambda: count(name="os"), "ClickHouse would take it for the column"),
        (lambda: count(en=" "), "en must be a text"),
        (lambda: count(source="posts"), "source must be one of feed, messages, app; got 'posts'"),
        (lambda: count(sql=""), "sql must be a text"),
        (lambda: count(sql="countIf(action = 'view'"), "brackets or quotes of sql do not match"),
        (lambda: count(sql="countIf(action = 'view)"), "brackets or quotes of sql do not match"),
        (lambda: count(sql="count()) FROM x --"), "do not match"),
        (lambda: count(sql="count() AS n"), "must be one SQL expression, found 'AS'"),
        (lambda: count(sql="uniq({reciever})"), "only {receiver} and {timezone} are filled in"),
        (lambda: count(sql="uniq({receiver})"), "nobody receives in feed"),
        (lambda: count(user="post_id"), "user is not user_id"),
        (lambda: count(source="app", column=True), "only counts of one source can be columns or watched"),
        (lambda: count(digits=-1), "digits must be a number"),
        (lambda: count(alert=1.2), "alert must be Alert"),
        (lambda: ratio(alert=Alert(groups=("feed",))), "a ratio fails on its own"),
        (lambda: Alert(sensitivity=0), "sensitivity must be a positive number"),
        (lambda: Alert(groups="feed"), "groups must be a tuple"),
        (lambda: Correction(share=-0.1), "share must be a number from 0 on, got -0.1"),
        (lambda: Correction(least=float("nan")), "least must be a number from 0 on"),
        (lambda: count(correction=0.01), "correction must be Correction(…), got 0.01"),
        (lambda: once("metric", [count(), count()]), "metric 'late_likes' is there twice"),
        (lambda: Dimension("views", "v", "п"), "ClickHouse would take it for the column"),
        (lambda: Dimension("latest", "v", "п"), "ClickHouse would take it for the column"),
        (lambda: Dimension("band", "b", "б", bands=(25, 18)), "bands must rise"),
        (lambda: Dimension("band", "b", "б", "multiIf(age"), "do not match"),
        (lambda: Dimension("region", "r", "р", "if(city = 'Moscow', 'capital', 'else')"), 'such as columns=("city",)'),
        (lambda: Source("x", "y", ("time",)), "columns must hold user_id"),
        (lambda: Source("x", "y", ("time", "user_id"), complete_hours=0), "complete_hours must be in"),
        (lambda: Policy(critical=0), "critical must be a positive number"),
        (lambda: Policy(repeat_hours=0), "repeat_hours must be a positive number"),
        (lambda: Policy(still_hours=4.0), "still_hours must be such as"),
        (lambda: Policy(still_hours=(4.0, -1)), "still_hours must be such as"),
        (lambda: Policy(quiet_hours="23:00-08:00"), "quiet_hours must be QuietHours"),
        (lambda: select("views", "messages_sent"), "one source, got views of feed, messages_sent of messages"),
        (lambda: select("stickiness"), "mau cannot be counted from events"),
        (lambda: select("clicks"), "no metric is named clicks; there are dau, feed_users"),
        (lambda: label("clicks", "en"), "no metric is named clicks"),
        (lambda: text(1, "clicks", "en"), "no metric is named clicks"),
        (lambda: change(1, 1, "clicks", "en"), "no metric is named clicks"),
        (lambda: with_ratios(pd.DataFrame({"views": [1]}), "ctr"), "ctr needs the column likes; the frame has views"),
        (lambda: catalogue.dimension("sex"), "no dimension is named sex; there are os, gender, age"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_what_to_do(entry, says):
    with pytest.raises(CatalogueError, match=re.escape(says)):
        entry()


def test_what_alerts_need_of_the_catalogue(monkeypatch):
    checked = catalogue.metrics._check_watched
    checked()
    both = ratio(name="both", numerator="messages_sent", alert=Alert())
    monkeypatch.setitem(METRICS, "both", both)
    checked()
    for name in ("messages_sent", "messenger_users"):
        monkeypatch.setitem(METRICS, name, dataclasses.replace(METRICS[name], alert=None))
    with pytest.raises(
        CatalogueError, match="'both': a ratio of two sources is watched only .* one of messages watched"
    ):
        checked()
    for volume in ("", "likes", "ctr", "dau", "clicks"):
        monkeypatch.setitem(catalogue.SOURCES, "messages", Source("messages", "m", ("user_id", "time"), volume=volume))
        with pytest.raises(CatalogueError, match=f"source 'messages': volume must be a count of it.*got '{volume}'"):
            checked()


TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@given(TIMES, TIMES, TIMES)
def test_quiet_hours_cover_what_the_clock_passes_between_them(begin, end, now):
    if begin == end:
        return
    minutes = [int(t[:2]) * 60 + int(t[3:]) for t in (begin, end, now)]
    passed = (minutes[2] - minutes[0]) % 1440 < (minutes[1] - minutes[0]) % 1440
    assert QuietHours(f"{begin}-{end}").covers(datetime.fromisoformat(f"2026-11-22T{now}")) == passed


@given(
    st.one_of(
        st.text(max_size=12), st.just("none"), st.from_regex(r"\d{1,2}(:\d\d)?[-–—]\d{1,2}(:\d\d)?", fullmatch=True)
    )
)
def test_quiet_hours_are_two_times_of_day_or_a_sentence(given_text):
    spelt = re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]", given_text)
    if given_text in ("", "none"):
        assert not QuietHours(given_text)
    elif spelt and given_text[:5] != given_text[6:]:
        assert QuietHours(given_text)
    else:
        with pytest.raises(ValueError, match="quiet hours must"):
            QuietHours(given_text)


@pytest.mark.parametrize(
    "wrong",
    [
        "23-8",
        "9:00-18:00",
        "23:00–08:00",
        "23:00 - 08:00",
        "24:00-08:00",
        "08:00-08:00",
        "x",
        "None",
        "٢٣:٠٠-٠٨:٠٠",
        "23:00-08:00\n",
    ],
)
def test_quiet_hours_as_people_mistype_them(wrong):
    with pytest.raises(ValueError, match="quiet hours must"):
        QuietHours(wrong)


def test_the_names_that_others_rely_on():
    assert [d.name for d in DIMENSIONS] == ["os", "gender", "age"]
    assert {"views", "likes", "messages_received", "messages_sent", "users_received", "users_sent"} == {
        metric.name for metric in catalogue.per_user()
    }
    assert [m.name for m in catalogue.watched()] == [
        "feed_users", "messenger_users", "views", "likes", "ctr", "messages_sent"
    ]  # fmt: skip


def test_labels_tell_metrics_and_dimensions_apart():
    for language in ("en", "ru"):
        for entries in (METRICS.values(), EXPLAINED):
            labels = [entry.label(language) for entry in entries]
            assert len(set(labels)) == len(labels)


def test_what_is_watched_are_the_metrics_with_an_alert_and_the_helpers_of_those():
    assert {(stream.name, stream.groups) for stream in streams()} == {
        ("feed_users", ("feed", "app")),
        ("messenger_users", ("messages", "app")),
        ("views", ("feed", "app")),
        ("likes", ("feed", "app")),
        ("ctr", ()),
        ("messages_sent", ("messages", "app")),
        ("helper views_per_user", ()),
        ("helper messages_per_sender", ()),
    }


def test_a_metric_that_is_no_longer_watched_takes_its_helper_with_it(monkeypatch):
    monkeypatch.setitem(METRICS, "feed_users", count(name="feed_users"))
    assert "helper views_per_user" not in {stream.name for stream in streams()}
    assert {stream.name for stream in streams()} == {
        "messenger_users", "views", "likes", "ctr", "messages_sent", "helper messages_per_sender"
    }  # fmt: skip


def test_bands_are_those_of_pandas(execute):
    edges, ages = (18, 25, 35, 45), [-3, 0, 17, 18, 24, 25, 34, 35, 44, 45, 120]
    bands = Dimension("age", "a", "а", "if(age < 0, NULL, age)", bands=edges)
    found = execute(
        f"SELECT {bands.shown} FROM (SELECT toNullable(toInt16(arrayJoin({ages}))) AS age UNION ALL SELECT NULL)"
    ).split("\n")[:-1]
    cut = pd.cut(pd.Series(ages[1:]), [-math.inf, *edges, math.inf], right=False, labels=band_names(edges))
    assert sorted(found) == sorted([*cut.astype(str), "unknown", "unknown"])
    assert sorted(["unknown", "45+", "18–24", "<18"], key=bands.order) == ["<18", "18–24", "45+", "unknown"]
    assert sorted(["unknown", "101", "9", "23"], key=bands.order) == ["9", "23", "101", "unknown"]


def test_a_band_takes_any_number_and_what_is_none_is_unknown(execute):
    values = {
        "17": "<18",
        "17.9": "<18",
        "-3": "<18",
        "18": "18+",
        "1e3": "18+",
        "": "unknown",
        "unknown": "unknown",
        "old": "unknown",
    }
    listed = ", ".join(f"'{value}'" for value in values)
    found = execute(f"SELECT value, {band('value', (18,))} FROM (SELECT arrayJoin([{listed}]) AS value)")
    assert dict(line.split("\t") for line in found.split("\n")[:-1]) == values


@pytest.mark.parametrize("receiver", ["receiver_id", "reciever_id"])
def test_events_are_counted_as_the_catalogue_says(execute, configured, databases, receiver):
    table = f"{databases[0]}.message_actions"
    execute(f"CREATE TABLE {table} (user_id UInt32, {receiver} UInt32, time DateTime) ENGINE = MergeTree ORDER BY time")
    execute(f"INSERT INTO {table} VALUES (1, 2, 100), (1, 2, 200), (1, 3, 300), (2, 1, 90000)")
    found = events(Warehouse.source(), "messages")
    names = ["messages_per_sender", "users_sent"]
    counts = Warehouse.source().read(
        f"SELECT {found.select(*names)} FROM {found.table} WHERE {found.rows('time < 1000')}"
    )
    assert found.receiver == receiver
    row = with_ratios(counts, *names).iloc[0]
    assert (row["messages_sent"], row["messenger_users"], row["users_sent"], row["messages_per_sender"]) == (
        3,
        1,
        2,
        3.0,
    )
    with pytest.raises(CatalogueError, match="views is counted from feed, this SELECT reads messages"):
        found.select("views")


def test_the_catalogue_is_data():
    for file in (ROOT / "pulsebook/catalogue").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert all(
                    re.match(
                        r"(re|ast|dataclasses|datetime|collections|pulsebook\.catalogue|pulsebook\.base\.(errors|periods|quiet_hours|spelling|words))\b",
                        n,
                    )
                    for n in names
                )


@pytest.mark.parametrize(
    ("told", "now", "worth"),
    [(1000, 1010, True), (1000, 1009, False), (100, 109, False), (100, 110, True), (0, 10, True), (0, 9, False),
     (5, None, True), (None, 5, True), (None, None, False), (7, 7, False)],
)  # fmt: skip
def test_a_number_is_worth_a_correction_from_its_share_and_its_least_amount_on(told, now, worth):
    assert METRICS["views"].correction.is_worth(told, now) == worth


def test_a_ratio_is_worth_a_correction_from_its_share_on():
    assert METRICS["ctr"].correction.is_worth(0.2, 0.2021) and not METRICS["ctr"].correction.is_worth(0.2, 0.2019)
