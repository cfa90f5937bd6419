"""What somebody makes watched in the catalogue is collected, judged, explained and told; what is no longer, leaves."""

import uuid
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pandas as pd
import pytest
import requests

from pulsebook.anomaly import watched
from pulsebook.base.settings import settings
from pulsebook.catalogue import METRICS, Alert, Ratio
from pulsebook.local import sample
from tests.alert_notebooks import ZONE, epoch, on_the_page, remove, rows_of, run

UNTIL = datetime(2026, 11, 17, 6, 0, tzinfo=ZONE)
LAST, SINCE = "2026-11-17T05:45", "2026-11-15T00:00"  # what is compared row by row
BOOK = f"watched_book_{uuid.uuid4().hex[:6]}"
STUCK, DOUBLED = (
    "2026-11-12T18:15",
    "2026-11-15T18:15",
)  # Android is shown one post and iOS every other; iOS sends each message six times
SIX = ["feed_users", "messenger_users", "views", "likes", "ctr", "messages_sent"]


def hour_of(slot: str) -> str:
    return f"time >= toDateTime({epoch(slot) - 900}) AND time < toDateTime({epoch(slot) + 2700})"


@pytest.fixture
def watch():
    """Gives metrics an alert, or None; afterwards the catalogue is as it was, in its order."""
    kept = dict(METRICS)

    def change(**alerts):
        for name, alert in alerts.items():
            METRICS[name] = replace(METRICS[name], alert=alert)

    yield change
    METRICS.clear()
    METRICS.update(kept)


@pytest.fixture(scope="module")
def app(server):
    """Three weeks of the sample with two faults, and the slots of what is watched, collected once."""
    name = f"watched_source_{uuid.uuid4().hex[:6]}"
    sample.fill(sample.http(server), 23, 4000, 1, UNTIL, "Europe/Moscow", name)

    def execute(sql):
        answer = requests.post(server, data=sql, timeout=60)
        assert answer.ok, answer.text

    feed = f"{name}.feed_actions"
    execute(f"CREATE TABLE {feed}_stuck AS {feed}")
    post = f"multiIf(NOT ({hour_of(STUCK)}), post_id, os = 'Android', 1, intDiv(post_id, 2) * 2)"
    profile = "gender, age, country, city, os, source, exp_group"
    execute(f"INSERT INTO {feed}_stuck SELECT user_id, {post}, action, time, {profile} FROM {feed}")
    execute(f"DROP TABLE {feed}")
    execute(f"RENAME TABLE {feed}_stuck TO {feed}")
    sent = f"{name}.message_actions"
    for _ in range(5):
        execute(f"INSERT INTO {sent} SELECT DISTINCT * FROM {sent} WHERE os = 'iOS' AND {hour_of(DOUBLED)}")
    variables = {"CLICKHOUSE_URL": server, "SOURCE_DATABASE": name, "TARGET_DATABASE": BOOK}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(f"PULSEBOOK_{variable}", value)
        settings.cache_clear()
        run("collect", slot=LAST)
    settings.cache_clear()
    yield name
    for database in (name, BOOK):
        execute(f"DROP DATABASE {database}")


@pytest.fixture
def book(app, configured, databases, execute):
    """This test's own slot_metrics, filled, with the sample as source."""
    configured(source_database=app)
    execute(f"CREATE TABLE {databases[1]}.slot_metrics AS {BOOK}.slot_metrics")
    execute(f"INSERT INTO {databases[1]}.slot_metrics SELECT * FROM {BOOK}.slot_metrics")
    return f"{databases[1]}.slot_metrics"


def events_of(server, app, table, bounds) -> pd.DataFrame:
    rows = rows_of(server, f"SELECT *, toUInt32(time) AS at FROM {app}.{table} WHERE {bounds}")
    return rows.assign(slot=rows["at"] // 900 * 900, os=rows["os"].replace("", "unknown"))


def stored(server, book, where="1") -> pd.DataFrame:
    """slot × metric."""
    found = rows_of(server, f"SELECT toUInt32(slot) AS slot, metric, value FROM {book} FINAL WHERE {where}")
    return found.pivot(index="slot", columns="metric", values="value").astype(float).sort_index()


def sorted_verdicts(frame: pd.DataFrame, names=SIX) -> pd.DataFrame:
    by = [column for column in ("slot", "metric") if column in frame]
    return frame[frame["metric"].isin(names)].sort_values(by).reset_index(drop=True)


# -- collected


@pytest.mark.slow
def test_what_is_newly_watched_is_collected_as_pandas_counts_it(app, book, server, watch):
    watch(posts=Alert(), messages_per_sender=Alert())
    METRICS["messages_per_reader"] = Ratio(
        "messages_per_reader", "M", "М", "messages_sent", "feed_users", alert=Alert()
    )
    run("collect", slot=LAST)
    bounds = f"time >= toDateTime({epoch(SINCE)})"
    feed, sent = (events_of(server, app, table, bounds) for table in ("feed_actions", "message_actions"))
    views = feed[feed["action"] == "view"]
    expected = pd.DataFrame({
        "posts": views.groupby("slot")["post_id"].nunique(),
        "messages_per_sender": sent.groupby("slot").size() / sent.groupby("slot")["user_id"].nunique(),
        "messages_per_reader": sent.groupby("slot").size() / feed.groupby("slot")["user_id"].nunique(),
    })  # fmt: skip
    found = stored(server, book, f"slot >= toDateTime({epoch(SINCE)})")
    expected = expected.reindex(found.index)
    expected.loc[~found.index.isin(sent["slot"]), "messages_per_reader"] = (
        0.0  # few messages are usual at night: none are zero, and a rate is not known
    )
    assert found.index.tolist() == list(range(epoch(SINCE), epoch(LAST) + 1, 900))
    pd.testing.assert_frame_equal(found[expected.columns], expected.astype(float), check_names=False)
    base = rows_of(server, f"SELECT metric, sum(base) AS base FROM {book} FINAL WHERE slot >= toDateTime({epoch(SINCE)}) GROUP BY metric")  # fmt: skip
    base = base.set_index("metric")["base"]
    assert base["messages_per_reader"] == found["feed_users"].sum() and pd.isna(base["posts"])


def test_a_newly_watched_metric_fills_its_history_once_and_touches_no_other(app, book, execute, server, watch):
    before = stored(server, book)
    old = execute(f"SELECT metric, count(), max(collected) FROM {book} WHERE slot < toDateTime({epoch(LAST)}) GROUP BY metric ORDER BY metric")  # fmt: skip
    watch(posts=Alert())
    found = run("collect", slot=LAST)
    assert found["rows"] == len(before) + len(SIX), "one for each slot, and the slot itself"
    again = run("collect", slot=LAST)
    assert again["rows"] == len(SIX) + 1 and len(again["wanted"]) == 1
    same = execute(f"SELECT metric, count(), max(collected) FROM {book} WHERE slot < toDateTime({epoch(LAST)}) AND metric != 'posts' GROUP BY metric ORDER BY metric")  # fmt: skip
    assert same == old
    pd.testing.assert_frame_equal(stored(server, book)[before.columns], before)


def test_what_the_source_no_longer_has_stays_known_of_the_others(
    app, book, databases, execute, server, configured, watch
):
    source = databases[0]
    for table in ("feed_actions", "message_actions"):
        execute(f"CREATE TABLE {source}.{table} AS {app}.{table}")
        execute(f"INSERT INTO {source}.{table} SELECT * FROM {app}.{table} WHERE time >= toDateTime({epoch(SINCE)})")
    configured(source_database=source)
    before = stored(server, book)
    watch(posts=Alert())
    run("collect", slot=LAST)
    after = stored(server, book)
    pd.testing.assert_frame_equal(after[before.columns], before)
    assert after["posts"].loc[: epoch(SINCE) - 1].isna().all() and (after["posts"].loc[epoch(SINCE) :] > 0).any()


@pytest.mark.parametrize("gone", [("likes",), ("views",), ("ctr",), ("messages_sent", "messenger_users"), ("views", "likes", "ctr")])  # fmt: skip
def test_what_is_no_longer_watched_recounts_nothing(gone, book, server, watch):
    watch(**dict.fromkeys(gone))
    found = run("collect", slot=LAST)
    assert len(found["wanted"]) == 1
    verdicts = run("check", slot=STUCK)["verdicts"]
    assert list(verdicts["metric"]) == [name for name in SIX if name not in gone]


def test_what_was_counted_too_early_before_it_was_unwatched_is_counted_again(book, execute, watch):
    watch(posts=Alert())
    run("collect", slot=LAST)
    early = f"slot >= toDateTime({epoch('2026-11-16T10:00')}) AND slot < toDateTime({epoch('2026-11-16T11:00')})"
    posts = f"{early} AND metric = 'posts'"
    execute(f"CREATE TABLE {book}_early AS {book}")
    execute(f"INSERT INTO {book}_early SELECT slot, metric, 1, base, slot + 900 FROM {book} FINAL WHERE {posts}")
    remove(execute, book, posts)
    execute(f"INSERT INTO {book} SELECT * FROM {book}_early")
    found = run("collect", slot=LAST)
    assert len(found["wanted"]) == 4 + 1 and found["rows"] == 4 + 7, (
        "the others of these slots were counted late enough"
    )
    assert execute(f"SELECT min(value) > 1 FROM {book} FINAL WHERE {posts}") == "1\n"


def test_a_check_says_what_was_not_collected(book, watch):
    watch(posts=Alert())
    with pytest.raises(ValueError, match=r"has no rows of posts for 2026-11-12T18:15:00\+03:00: run collect"):
        run("check", slot=STUCK)
    with pytest.raises(ValueError, match="has never counted posts: run collect"):
        run("backtest", first_day="2026-11-12", last_day="2026-11-12")


# -- judged


@pytest.mark.slow
def test_the_order_of_the_catalogue_changes_no_verdict(book, watch):
    before, replayed = (
        run("check", slot=STUCK),
        run("backtest", first_day="2026-11-13", last_day="2026-11-14", pictures=0),
    )
    turned = dict(reversed(METRICS.items()))
    METRICS.clear()
    METRICS.update(turned)
    after, again = run("check", slot=STUCK), run("backtest", first_day="2026-11-13", last_day="2026-11-14", pictures=0)
    assert list(after["verdicts"]["metric"]) == [name for name in turned if name in SIX] != SIX
    pd.testing.assert_frame_equal(*(sorted_verdicts(found["verdicts"]) for found in (before, after)), check_exact=True)
    pd.testing.assert_frame_equal(
        *(sorted_verdicts(found["verdicts"]) for found in (replayed, again)), check_exact=True
    )
    assert replayed["told"][["slot", "what", "incident"]].equals(again["told"][["slot", "what", "incident"]])


def sliced(frame: pd.DataFrame, slot: str, count) -> dict[str, tuple[float, float]]:
    """os -> (in the slot, in the 14 usual ones) of a count, each slot scaled to what it is of the whole in usual ones."""

    def sums(rows):
        counts = rows.groupby("slot").apply(count)
        return counts.get(epoch(slot), 0), counts.drop(epoch(slot), errors="ignore").sum()

    by_os = {os: sums(rows) for os, rows in frame.groupby("os")}
    overlap = sum(usual for _, usual in by_os.values()) / sums(frame)[1]
    return {os: (now / overlap, usual / overlap) for os, (now, usual) in by_os.items()}


def around(slot: str) -> str:
    """SQL: the slot, and the half hour that ends with it in each of the 7 days before."""
    days = (f"time >= toDateTime({epoch(slot) - day * 86400 - 900}) AND time < toDateTime({epoch(slot) - day * 86400 + 900})" for day in range(1, 8))  # fmt: skip
    return f"({' OR '.join(days)} OR time >= toDateTime({epoch(slot)}) AND time < toDateTime({epoch(slot) + 900}))"


@pytest.mark.slow
def test_posts_are_watched_and_a_fault_of_theirs_is_found_explained_and_told(app, book, server, watch):
    without = run("check", slot=STUCK)
    assert not without["verdicts"]["anomaly"].any(), "nobody watches posts"
    watch(posts=Alert())
    run("collect", slot=LAST)
    found = run("check", slot=STUCK, post=True)
    pd.testing.assert_frame_equal(
        sorted_verdicts(found["verdicts"]), sorted_verdicts(without["verdicts"]), check_exact=True
    )
    row = found["verdicts"].set_index("metric").loc["posts"]
    feed = events_of(server, app, "feed_actions", around(STUCK))
    views = feed[feed["action"] == "view"]
    assert row["anomaly"] and row["deviation"] < -0.15
    assert row["value"] == views[views["slot"] == epoch(STUCK)]["post_id"].nunique()

    (posted,) = on_the_page()
    assert posted["text"].startswith(("🔴 <b>Posts seen −", "🟠 <b>Posts seen −")) and len(posted["photos"]) == 1
    first = found["explanations"]("posts")[0]
    assert (first.dimension, first.values) == ("os", ("Android",))
    by_os = sliced(views, STUCK, lambda rows: rows["post_id"].nunique())
    usual = by_os["Android"][1] / sum(before for _, before in by_os.values())
    lost = by_os["Android"][0] - usual * row["expected"]
    assert first.usual == pytest.approx(usual)
    assert first.share == pytest.approx(min(1, lost / (sum(now for now, _ in by_os.values()) - row["expected"])))
    assert f"OS Android: {first.share:.0%}".replace("%", "\xa0%") in posted["text"]

    replayed = run("backtest", first_day="2026-11-12", last_day="2026-11-12", other_sensitivity=1.0)
    told = replayed["told"]
    assert (told["what"].iloc[0], told["metrics"].iloc[0]) == ("opened", "posts")
    assert told["slot"].iloc[0] <= pd.Timestamp(STUCK, tz=ZONE)


@pytest.mark.slow
def test_a_ratio_is_watched_and_a_fault_of_its_is_found_and_explained_by_its_parts(app, book, server, watch):
    without = run("check", slot=DOUBLED)
    watch(messages_per_sender=Alert())
    run("collect", slot=LAST)
    found = run("check", slot=DOUBLED)
    pd.testing.assert_frame_equal(
        sorted_verdicts(found["verdicts"]), sorted_verdicts(without["verdicts"]), check_exact=True
    )
    row = found["verdicts"].set_index("metric").loc["messages_per_sender"]
    sent = events_of(server, app, "message_actions", around(DOUBLED))
    here = sent[sent["slot"] == epoch(DOUBLED)]
    assert row["anomaly"] and row["deviation"] > 0.5
    assert row["value"] == pytest.approx(len(here) / here["user_id"].nunique())

    first = found["explanations"]("messages_per_sender")[0]
    assert (first.dimension, first.values) == ("os", ("iOS",))
    sums, users = (sliced(sent, DOUBLED, count) for count in (len, lambda rows: rows["user_id"].nunique()))
    before = {os: users[os][0] * sums[os][1] / users[os][1] for os in sums}  # at the usual rate
    usual = before["iOS"] / sum(before.values())
    expected = row["expected"] * here["user_id"].nunique()
    gained = (sums["iOS"][0] - usual * expected) / (len(here) - expected)
    assert (first.usual, first.share) == (pytest.approx(usual), pytest.approx(min(1, gained)))
    yesterday = epoch(DOUBLED) - 86400
    before = sent[sent["slot"] == yesterday]
    moved = found["against"](SimpleNamespace(metric="messages_per_sender", value=row["value"]), 1)
    assert moved == pytest.approx(row["value"] / (len(before) / before["user_id"].nunique()) - 1)
    told = run("backtest", first_day="2026-11-15", last_day="2026-11-15", other_sensitivity=1.0, pictures=1)["told"]
    assert "messages_per_sender" in told["metrics"].iloc[0]


def test_a_ratio_of_two_sources_is_watched_explained_and_blames_no_source(app, book, server, watch):
    METRICS["messages_per_reader"] = Ratio("messages_per_reader", "M", "М", "messages_sent", "feed_users", "%", alert=Alert())  # fmt: skip
    run("collect", slot=LAST)
    found = run("check", slot=DOUBLED)
    assert found["verdicts"].set_index("metric").at["messages_per_reader", "anomaly"]
    assert found["explanations"]("messages_per_reader")
    slices = found["compared"](found["slices_of"]("messages_sent", "feed_users"), "messages_sent", "feed_users")
    sent, feed = (events_of(server, app, table, around(DOUBLED)) for table in ("message_actions", "feed_actions"))
    sums, users = sliced(sent, DOUBLED, len), sliced(feed, DOUBLED, lambda rows: rows["user_id"].nunique())
    for row in slices[slices["dimension"] == "os"].itertuples():
        now, usual = sums.get(row.value, (0, 0))  # of some os nobody wrote
        assert row.now == pytest.approx(now)
        assert row.before == pytest.approx(users[row.value][0] * usual / users[row.value][1])
    assert set(slices["value"][slices["dimension"] == "os"]) == set(users) >= {"iOS", "Android"}
    outage = run("check", slot="2026-11-14T11:15")
    verdicts = outage["verdicts"].set_index("metric")
    assert verdicts["value"].isna()["messages_per_reader"] and verdicts["anomaly"]["feed_users"]
    assert [list(event.incident.metrics) for event in outage["events"] if event.incident.kind == "missing"] == [
        ["feed"]
    ]


def test_sensitivity_and_the_least_deviation_are_those_of_the_alert(book, watch):
    watch(views=Alert(sensitivity=0.5, min_deviation=0.4, groups=("feed", "app")))
    assert watched.sensitivities(2.0) == dict.fromkeys(SIX, 2.0) | {"views": 1.0}
    assert watched.min_deviations() == dict.fromkeys(SIX, 0.15) | {"views": 0.4}
    found = run("check", slot=STUCK, sensitivity=2.0)
    assert (found["sensitivities"]["views"], found["deviations"]["views"]) == (1.0, 0.4)
    watch(feed_users=Alert(min_deviation=99.0), views=Alert(min_deviation=99.0), likes=Alert(min_deviation=99.0))
    assert (
        not run("check", slot="2026-11-13T15:30")["verdicts"].set_index("metric")["anomaly"][["views", "likes"]].any()
    )


def test_an_incident_of_what_is_no_longer_watched_is_not_open_for_ever(book, watch):
    opened = run("check", slot="2026-11-13T15:30", post=True)["incidents"][0]
    watch(**dict.fromkeys(opened.metrics), messages_sent=Alert())
    assert run("check", slot="2026-11-13T15:45", post=True)["incidents"] == []
    assert len(on_the_page()) == 1
