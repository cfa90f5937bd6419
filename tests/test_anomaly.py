"""The anomaly detector: what it must see, what it must leave alone, and that hindsight never helps it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.anomaly import Stream, detect, detect_all, watched
from pulsebook.anomaly.noise import heaviness
from pulsebook.anomaly.settled import Windows as settled_windows
from pulsebook.anomaly.settled import _held
from tests.bench.histories import history

WARM = 30 * 96  # slots of history before a test's incident
NOON, NIGHT = WARM + 48, WARM + 12
FEED = ["feed_users", "views", "likes"]
MESSENGER = ["messenger_users", "messages_sent"]
USUAL = [
    Stream("feed_users", "feed_users", groups=("feed", "app")),
    Stream("messenger_users", "messenger_users", groups=("messages", "app")),
    Stream("views", "views", groups=("feed", "app")),
    Stream("likes", "likes", groups=("feed", "app")),
    Stream("ctr", "likes", given="views"),
    Stream("messages_sent", "messages_sent", groups=("messages", "app")),
    Stream("views_per_user", "views", given="feed_users", helper=True),
    Stream("messages_per_sender", "messages_sent", given="messenger_users", helper=True),
]
MORE = [
    Stream("posts", "posts"),
    Stream("comments", "comments", groups=("comments",)),
    Stream("posts_per_user", "posts", given="feed_users"),
    Stream("messages_per_chatter", "messages_sent", given="messenger_users"),
    Stream("posts_per_comment", "posts", given="comments"),
]


def app(
    days: float = 31, dau: int = 20_000, zone: str | None = "Europe/Moscow", start: str = "2026-06-01", seed: int = 1
):
    """A quiet app without wobble: a daily curve, a weekend, Poisson counts."""
    draw = np.random.default_rng(seed)
    n = int(days * 96)
    index = pd.date_range(start, periods=n, freq="15min", tz=zone)
    hour = (index.hour + index.minute / 60).to_numpy()
    shape = 1 - 0.6 * np.cos((hour - 4) * np.pi / 12)
    shape *= np.where(index.day_of_week >= 5, 1.2, 1.0)
    users = dau * 0.025 * shape
    views = draw.poisson(users * 13)
    table = {
        "feed_users": draw.poisson(users),
        "messenger_users": draw.poisson(users * 0.15),
        "views": views,
        "likes": draw.binomial(views, 0.21),
        "messages_sent": draw.poisson(users * 0.35),
    }
    return pd.DataFrame(table, index=index).astype(float)


def judged(frame: pd.DataFrame, at: int, **settings) -> pd.DataFrame:
    return detect(frame, frame.index[at], **settings).set_index("metric")


@pytest.fixture(scope="module")
def faulty():
    return history(seed=101, dau=20_000, faulty=True)


def test_result_has_one_row_per_metric_and_the_promised_columns():
    result = detect(app(), app().index[NOON])
    assert list(result["metric"]) == watched.names()
    assert list(result.columns) == [
        "metric",
        "value",
        "expected",
        "low",
        "high",
        "deviation",
        "score",
        "anomaly",
        "reason",
        "explanation",
        "level",
        "since",
    ]
    assert (result["low"] < result["expected"]).all() and (result["expected"] < result["high"]).all()
    assert not result["anomaly"].any() and result["anomaly"].dtype == bool
    assert (result["reason"] == "normal").all()
    np.testing.assert_array_equal(result["deviation"], result["value"] / result["expected"] - 1)


def test_expectation_is_near_the_truth_by_day_and_by_night():
    frame = app(dau=2_000_000)
    for at in (NOON, NIGHT, WARM + 80):
        result = judged(frame, at)
        assert result["deviation"].abs().max() < 0.05
        assert result.loc["ctr", "expected"] == pytest.approx(0.21, rel=0.02)


def test_all_slots_at_once_equal_one_by_one_with_the_future_cut_off(faulty):
    frame = faulty.frame.iloc[: 75 * 96]
    together = detect_all(frame).set_index("slot")
    # starts and ends of faults, missing slots, midnights, the first days, and where the memory of `detect` begins
    edges = [slot for fault in faulty.faults for slot in (fault.start, fault.end) if slot < len(frame)]
    slots = edges[::2] + [0, 1, 50, 95, 96, 150, 671, 672, 768, 1500, 5375, 5376, 5471, 6300, len(frame) - 1]
    for at in slots:
        one = detect(frame.iloc[: at + 1], frame.index[at])
        expected = together.loc[frame.index[at]].reset_index(drop=True)
        pd.testing.assert_frame_equal(one, expected, check_exact=True)


def test_all_slots_include_those_absent_from_the_index():
    frame = app().drop(index=app().index[[NOON, NOON + 1]])
    result = detect_all(frame)
    assert len(result) == 31 * 96 * 6
    assert result.loc[result["slot"] == app().index[NOON], "anomaly"].all()
    one = detect(frame, app().index[NOON + 1])
    pd.testing.assert_frame_equal(
        one,
        result[result["slot"] == app().index[NOON + 1]].drop(columns="slot").reset_index(drop=True),
        check_exact=True,
    )


def test_later_rows_are_ignored():
    frame = app()
    changed = frame.copy()
    changed.iloc[NOON + 1 :] = 0.0
    whole, cut = (detect(f, frame.index[NOON]) for f in (changed, frame.iloc[: NOON + 1]))
    pd.testing.assert_frame_equal(whole, cut, check_exact=True)


@pytest.mark.parametrize("dau", [500, 20_000, 2_000_000])
def test_feed_outage_by_day_is_a_drop(dau):
    frame = app(dau=dau)
    frame.iloc[NOON : NOON + 2, [0, 2, 3]] = 0.0
    result = judged(frame, NOON if dau > 500 else NOON + 1)
    assert result.loc[FEED, "anomaly"].all() and (result.loc[FEED, "deviation"] == -1).all()
    assert not result.loc[MESSENGER, "anomaly"].any()
    assert result.loc["views", "reason"].startswith("drop: 100% below expected")
    assert np.isnan(result.loc["ctr", "value"]) and not result.loc["ctr", "anomaly"]


def test_deviation_is_negative_for_a_drop_and_positive_for_a_rise():
    frame = app()
    frame.iloc[NOON] *= 0.5
    drop = judged(frame, NOON)
    assert drop.loc[FEED, "anomaly"].all() and (drop["deviation"].drop("ctr") < -0.3).all()
    assert (drop.loc[FEED, "value"] < drop.loc[FEED, "low"]).all()
    frame = app()
    frame.iloc[NOON] *= 2.5
    rise = judged(frame, NOON)
    assert rise.loc[FEED + MESSENGER, "anomaly"].all() and (rise["deviation"].drop("ctr") > 1).all()
    assert (rise.loc[FEED, "value"] > rise.loc[FEED, "high"]).all()
    assert not rise.loc["ctr", "anomaly"]


def test_ctr_fault_is_reported_by_likes_and_ctr_alone():
    frame = app()
    frame.iloc[NOON, 3] = np.round(frame.iloc[NOON, 3] * 0.6)
    result = judged(frame, NOON)
    assert list(result.index[result["anomaly"]]) == ["likes", "ctr"]
    assert result.loc["ctr", "deviation"] == pytest.approx(-0.4, abs=0.06)


def test_fewer_views_at_the_same_ctr_leave_ctr_alone():
    frame = app()
    frame.iloc[NOON, [2, 3]] = np.round(frame.iloc[NOON, [2, 3]] * 0.5)
    result = judged(frame, NOON)
    assert result.loc[["views", "likes"], "anomaly"].all() and not result.loc["ctr", "anomaly"]
    assert not result.loc["feed_users", "anomaly"]


def test_drop_of_a_fifth_is_found_within_two_slots_at_large_scale():
    frame = app(dau=2_000_000)
    frame.iloc[NOON : NOON + 2] = np.round(frame.iloc[NOON : NOON + 2] * 0.8)
    assert judged(frame, NOON + 1).loc[FEED, "anomaly"].all()


def test_slow_bleed_is_found_before_it_ends():
    frame = history(seed=102, dau=20_000, faulty=False).frame.iloc[: WARM + 96]
    bleed = 1 - 0.5 * np.minimum(np.arange(24) / 16, 1)
    frame.iloc[NOON : NOON + 24] = np.round(frame.iloc[NOON : NOON + 24].mul(bleed, axis=0))
    found = detect_all(frame.iloc[: NOON + 24]).query("anomaly and deviation < 0")
    assert (found["slot"] >= frame.index[NOON]).any()


def test_anomaly_lasts_as_long_as_the_fault_and_ends_with_it():
    frame = app()
    frame.iloc[NOON : NOON + 16, [0, 2, 3]] = np.round(frame.iloc[NOON : NOON + 16, [0, 2, 3]] * 0.5)
    views = detect_all(frame).query("metric == 'views'")["anomaly"].to_numpy()
    assert views[NOON : NOON + 16].all() and not views[NOON + 16 :].any() and not views[WARM:NOON].any()


def test_missing_slot_is_an_anomaly_at_once_and_only_of_its_source():
    frame = app()
    frame.iloc[NOON, [1, 4]] = np.nan
    result = judged(frame, NOON)
    assert list(result.index[result["anomaly"]]) == MESSENGER
    assert result.loc[MESSENGER, "value"].isna().all() and result.loc[MESSENGER, "deviation"].isna().all()
    assert result.loc[MESSENGER, "reason"].str.startswith("missing: no data").all()
    assert (result.loc[MESSENGER, "expected"] > 0).all()


def test_gaps_that_happen_every_night_are_no_anomaly_but_a_long_one_is():
    frame = app(dau=500)
    frame[MESSENGER] = frame[MESSENGER].where(frame["messages_sent"] > 0)  # a source without rows leaves a gap
    night = detect_all(frame).query("metric == 'messages_sent' and value.isna()")
    night = night[(night["slot"] >= frame.index[20 * 96]) & (night["slot"].dt.hour < 6)]
    assert len(night) > 30 and not night["anomaly"].any()
    frame.iloc[NOON : NOON + 24, [1, 4]] = np.nan
    assert judged(frame, NOON + 23).loc["messages_sent", "anomaly"]


def test_gap_of_a_day_in_the_history_does_no_harm():
    frame = app()
    frame.iloc[WARM - 96 : WARM] = np.nan
    assert not detect_all(frame).query("slot >= @frame.index[@WARM]")["anomaly"].any()


def test_outage_a_week_ago_does_not_poison_the_expectation():
    frame, clean = app(dau=2_000_000), app(dau=2_000_000)
    frame.iloc[NOON - 7 * 96 - 8 : NOON - 7 * 96 + 8] = 0.0
    frame.iloc[NOON - 96 - 8 : NOON - 96 + 8] *= 2
    after, before = judged(frame, NOON), judged(clean, NOON)
    np.testing.assert_allclose(after["expected"], before["expected"], rtol=0.02)
    assert not after["anomaly"].any()


def test_incidents_in_the_history_do_not_widen_the_limits():
    clean = history(seed=104, dau=2_000_000, faulty=False).frame.iloc[: WARM + 96]
    spoiled = clean.copy()
    for day in range(3, 29, 2):  # every other day three hours of a third less
        hours = slice(day * 96 + 20 + day * 29 % 60, day * 96 + 32 + day * 29 % 60)
        spoiled.iloc[hours] = np.round(spoiled.iloc[hours] * 0.67)
    before, after = (judged(frame, NOON + 12).loc[FEED] for frame in (clean, spoiled))
    widths = [(result["high"] - result["low"]) / result["expected"] for result in (before, after)]
    assert (widths[1] < 1.25 * widths[0]).all()


def test_incidents_of_most_days_are_the_nature_of_a_stream_those_of_half_of_them_are_not():
    z = np.random.default_rng(6).normal(size=(960, 3))
    usual = heaviness(z)
    for stream, days in enumerate((0, 5, 6)):
        for day in range(days):
            z[day * 96 + 50, stream], z[day * 96 + 51 : day * 96 + 80, stream] = np.inf, np.nan  # an incident and after
    after = heaviness(z)
    np.testing.assert_allclose(after[:2], usual[:2], atol=0.05)
    assert after[2] == 1.6**1.75 and (usual < 1.1).all()


def test_a_stream_that_bursts_every_day_alarms_less_often_than_one_that_never_did():
    draw = np.random.default_rng(8)
    bursts = np.concatenate([day * 96 + draw.choice(96, 3, replace=False) for day in range(45)])
    late = bursts[bursts >= 43 * 96]
    alarms = []
    for times in (late, bursts):
        frame = app(days=45)[["views"]]
        frame.iloc[times] = np.round(frame.iloc[times] * 1.3)
        alarms.append(detect_all(frame, streams=[Stream("views", "views")])["anomaly"].to_numpy()[late].sum())
    assert alarms[1] < alarms[0] == len(late), alarms


@pytest.mark.parametrize("dau", [500, 20_000])
def test_what_is_over_does_not_alarm_again(dau):
    for seed in range(1, 9):
        frame = app(dau=dau, seed=seed)
        frame.iloc[NOON - 12 : NOON] = 0.0
        frame.iloc[NOON : NOON + 16] = np.round(frame.iloc[NOON : NOON + 16] * 0.94)  # a little low for hours
        found = detect_all(frame).query("anomaly and slot >= @frame.index[@NOON + 4]")
        assert len(found) <= 1, found["reason"].tolist()


def test_sudden_drop_at_night_is_found_at_medium_scale():
    frame = app()
    frame.iloc[NIGHT : NIGHT + 2, [0, 2, 3]] = np.round(frame.iloc[NIGHT : NIGHT + 2, [0, 2, 3]] * 0.4)
    assert judged(frame, NIGHT + 1).loc[FEED, "anomaly"].all()


def test_a_handful_of_counts_at_night_is_no_spike():
    frame = app(dau=500)
    frame.iloc[NIGHT, [1, 4]] = [3.0, 5.0]  # where one or two are usual
    assert not judged(frame, NIGHT)["anomaly"].any()


def weekend_app(dau: int = 200_000) -> pd.DataFrame:
    """`app` whose weekend has a shape of its own, up to the end of a Wednesday; that day has the weekend's."""
    frame = app(days=38, dau=dau)
    hour = (frame.index.hour + frame.index.minute / 60).to_numpy()
    free = (frame.index.day_of_week >= 5) | (frame.index >= frame.index[37 * 96])
    return np.round(frame.mul(np.where(free, 1 - 0.5 * np.exp(-((hour - 9) ** 2) / 8), 1.0), axis=0))


def test_a_day_off_is_explained_before_noon_and_a_fault_in_it_is_still_found():
    frame = weekend_app()
    found = detect_all(frame).query("slot >= @frame.index[37 * 96] and metric != 'ctr'")
    explained = found[found["explanation"] == "day off"]
    assert (explained.groupby("metric")["slot"].min().dt.hour < 12).all() and explained["metric"].nunique() == 5
    assert not found.loc[found["slot"] >= explained["slot"].min(), "anomaly"].any()
    assert found.loc[found["slot"].dt.hour >= 12, "explanation"].eq("day off").all()  # until midnight
    assert explained["reason"].str.endswith("; taken for a day off").all()
    frame.iloc[37 * 96 + 60 : 37 * 96 + 64] = np.round(frame.iloc[37 * 96 + 60 : 37 * 96 + 64] * 0.6)
    fault = judged(frame, 37 * 96 + 60).drop("ctr")
    assert fault["anomaly"].all() and fault["deviation"].between(-0.5, -0.3).all()


def test_usual_days_are_taken_for_no_other():
    found = detect_all(weekend_app().iloc[: 37 * 96])
    assert (found["explanation"] == "").all() and found["level"].isna().all() and found["since"].isna().all()


def test_a_new_level_alarms_first_is_explained_after_four_hours_and_hides_no_fault():
    frame = app(days=33)
    frame.iloc[NOON:] = np.round(frame.iloc[NOON:] * 0.7)
    found = detect_all(frame).query("slot >= @frame.index[@NOON] and metric == 'views'").reset_index()
    assert found["anomaly"].iloc[:16].all() and not found["anomaly"].iloc[16:].any()
    settled = found.iloc[16:60]
    assert (settled["explanation"] == "new level").all() and settled["level"].between(-0.33, -0.25).all()
    assert (abs(settled["since"] - frame.index[NOON]) <= pd.Timedelta(minutes=30)).all()
    assert (settled["since"] <= settled["slot"] - pd.Timedelta(hours=3.5)).all()
    frame.iloc[NOON + 40, [0, 2, 3]] = np.round(frame.iloc[NOON + 40, [0, 2, 3]] * 0.5)
    again = judged(frame, NOON + 40).loc[FEED]
    assert again["anomaly"].all() and (again["explanation"] == "new level").all()
    assert again["deviation"].between(-0.6, -0.4).all()  # against the new level


def test_what_slowly_gets_worse_is_no_new_level_before_it_alarms():
    frame = app(days=32, dau=2_000_000)
    frame.iloc[NOON:] = np.round(frame.iloc[NOON:].mul(1 - 0.015 * np.arange(len(frame) - NOON).clip(max=40), axis=0))
    found = detect_all(frame).query("slot >= @frame.index[@NOON] and metric == 'views'").reset_index()
    assert found["anomaly"].idxmax() <= 20 and (found["explanation"].iloc[: found["anomaly"].idxmax()] == "").all()


def test_a_level_that_was_found_holds_for_six_hours_while_it_is_off_the_same_way():
    draw = np.random.default_rng(5)
    found = draw.choice([-1, 0, 1], (300, 3), p=[0.02, 0.96, 0.02])
    still = draw.choice([-1, 0, 1], found.shape, p=[0.45, 0.1, 0.45])
    expected = [
        [still[at, of] != 0 and still[at, of] in found[max(at - 23, 0) : at + 1, of] for of in range(3)]
        for at in range(len(found))
    ]
    np.testing.assert_array_equal(_held(found, still), expected)


@pytest.mark.parametrize("left", [0.0, 0.2])
def test_an_outage_is_never_explained(left):
    frame = app(days=32)
    frame.iloc[NOON:] = np.round(frame.iloc[NOON:] * left)
    found = detect_all(frame).query("slot >= @frame.index[@NOON] and metric == 'views'")
    assert found["anomaly"].iloc[:30].all() and (found["explanation"].iloc[:30] == "").all()


def test_level_and_fit_of_an_explanation_equal_an_independent_computation_and_any_scale_of_it():
    draw = np.random.default_rng(4)
    count = draw.poisson(50, (60, 2)).astype(float)
    count[draw.random(count.shape) < 0.1] = np.nan
    expected = draw.uniform(30, 80, count.shape)
    burst, wobble = draw.uniform(1, 5, count.shape), draw.uniform(0.03, 0.2, count.shape)
    now = SimpleNamespace(grid=SimpleNamespace(count=count), noise=SimpleNamespace(burst=burst, wobble=wobble))
    slots = np.arange(40, 60)
    one, scaled = (settled_windows(now, slots, expected * factor) for factor in (1.0, 7.0))
    for row, at in enumerate(slots):
        for column in range(2):

            def known(first, until, column=column):
                pairs = zip(count[first:until, column], expected[first:until, column], strict=True)
                return [(c, e) for c, e in pairs if c == c]

            few, many = known(at - 15, at - 3), known(at - 24, at)
            level = sum(c for c, _ in few) / sum(e for _, e in few) if len(few) >= 9 else np.nan
            np.testing.assert_allclose(one.level(12, back=3)[row, column], level)
            level, jitter = sum(c for c, _ in many) / sum(e for _, e in many), wobble[at, column]
            z2 = [
                (c - m) ** 2 / (burst[at, column] * m + (jitter * m) ** 2) for c, m in ((c, level * e) for c, e in many)
            ]
            np.testing.assert_allclose(one.fit(24)[row, column], min(np.mean(z2), 20))
    np.testing.assert_allclose(scaled.fit(24), one.fit(24))
    np.testing.assert_allclose(7 * scaled.level(12), one.level(12))


def test_weak_evidence_alarms_only_with_company():
    frame = history(seed=105, dau=20_000, faulty=False, variant="restless").frame.iloc[: 60 * 96]
    found = detect_all(frame).sort_values(["metric", "slot"], ignore_index=True)
    side, weak = np.sign(found["deviation"]), found["score"].between(1, 1.15, inclusive="left")
    by_metric = found.assign(side=side).groupby("metric")
    near = sum(
        (by_metric["side"].shift(n) == side) & (by_metric["score"].shift(n) >= 0.8)
        | (by_metric["side"].shift(n) != side)
        for n in (1, 2)
    )
    together = found["reason"].str.contains("together")
    assert (
        (weak & found["anomaly"]).any() and (weak & ~found["anomaly"]).any() and (weak & together & (near == 0)).any()
    )
    lone = found[weak & (near == 0) & ~found["reason"].str.contains("still off") & ~together]
    assert len(lone) and not lone["anomaly"].any()


def test_one_bad_same_weekday_is_outvoted_in_the_second_week():
    frame = app(days=12, dau=2_000_000)
    at = 10 * 96 + 48
    before = judged(frame, at)
    frame.iloc[at - 7 * 96 - 8 : at - 7 * 96 + 8] *= 0.5
    after = judged(frame, at)
    np.testing.assert_allclose(after["expected"], before["expected"], rtol=0.06)
    assert not after["anomaly"].any()


def test_all_slots_at_once_equal_one_by_one_where_days_and_levels_change():
    case = history(seed=101, dau=2_000_000, faulty=False, variant="changing")
    for change in case.changes[-2:] + case.changes[:1]:
        cut = slice(change.start - 56 * 96 if change.start > 56 * 96 else 0, change.start + 100)
        frame = case.frame.iloc[cut]
        together = detect_all(frame).set_index("slot")
        assert (together["explanation"].iloc[-600:] != "").any()
        for at in range(len(frame) - 130, len(frame), 29):
            one = detect(frame.iloc[: at + 1], frame.index[at])
            expected = together.loc[frame.index[at]].reset_index(drop=True)
            pd.testing.assert_frame_equal(one, expected, check_exact=True)


def test_clean_weeks_are_quiet_at_every_scale():
    for dau in (500, 20_000, 2_000_000):
        case = history(seed=103, dau=dau, faulty=False)
        found = detect_all(case.frame).query("anomaly")
        slots = case.frame.index.get_indexer(found["slot"])
        changed = np.zeros(len(case.frame) + 1, bool)
        for change in case.changes:
            changed[change.start : change.end] = True
        alarms = slots[(slots >= 28 * 96) & ~changed[slots]]
        assert len(np.unique(alarms // 8)) <= 12, f"12 weeks at DAU {dau} alarmed in slots {alarms}"


def test_below_two_days_only_outages_are_reported():
    frame = app(days=1.75)
    frame.iloc[-1] *= 3
    last = frame.index[-1]
    assert not detect(frame, last)["anomaly"].any()
    assert detect(frame, last)["reason"].str.contains("1.7 days of history: outages only").all()
    frame.iloc[-2:] = 0.0
    assert detect(frame, last).set_index("metric").loc[FEED, "anomaly"].all()
    frame.iloc[-1] = np.nan
    assert detect(frame, last)["anomaly"].all()


def test_first_hours_do_not_alarm_but_an_outage_does():
    frame = app(days=0.75)
    assert not detect_all(frame)["anomaly"].any()
    frame.iloc[-1] = 0.0
    assert judged(frame, -1).loc["views", "anomaly"]


@pytest.mark.parametrize("days", [4, 9])
def test_short_history_is_used_with_wider_limits_and_says_so(days):
    frame = app(days=days)
    assert not detect_all(frame)["anomaly"].any()
    frame.iloc[-50] *= 0.3
    result = judged(frame, -50)
    assert result.loc[FEED, "anomaly"].all()
    assert result["reason"].str.contains("days of history: wider limits").all()


def test_empty_history_knows_nothing():
    result = detect(app().iloc[:0], app().index[0])
    assert result["value"].isna().all() and not result["anomaly"].any()


@pytest.mark.parametrize(
    ("start", "zone"), [("2026-03-01", "Europe/Berlin"), ("2026-09-27", "Europe/Berlin"), ("2026-06-01", None)]
)
def test_clock_changes_and_naive_times_are_no_anomaly(start, zone):
    frame = app(days=36, zone=zone, start=start)
    found = detect_all(frame)
    assert len(found) == len(frame) * 6
    around = slice(27 * 96 * 6, 32 * 96 * 6)
    assert not found["anomaly"].iloc[around].any() and found["anomaly"].sum() <= 3
    for at in range(28 * 96 - 8, 28 * 96 + 16, 5):
        one = detect(frame.iloc[: at + 1], frame.index[at])
        same = found.iloc[at * 6 : at * 6 + 6].drop(columns="slot").reset_index(drop=True)
        pd.testing.assert_frame_equal(one, same, check_exact=True)


def test_settings_can_be_given_per_metric():
    frame = app()
    frame.iloc[NOON] = np.round(frame.iloc[NOON] * 0.5)
    assert not judged(frame, NOON, min_deviation=0.8)["anomaly"].any()
    only_views = judged(frame, NOON, min_deviation=dict.fromkeys(watched.names(), 0.8) | {"views": 0.2})
    assert list(only_views.index[only_views["anomaly"]]) == ["views"]
    assert not judged(frame, NOON, sensitivity={"views": 0.01, "likes": 0.01}).loc["likes", "anomaly"]
    scores = [judged(frame, NOON, sensitivity=s).loc["views", "score"] for s in (1.0, 2.0)]
    assert scores[1] == pytest.approx(2 * scores[0])


def test_slot_is_read_in_any_zone_and_as_text():
    frame = app()
    slot = frame.index[NOON]
    for same in (slot.tz_convert("UTC"), str(slot), slot.to_pydatetime()):
        pd.testing.assert_frame_equal(detect(frame, same), detect(frame, slot))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.drop(columns="likes"), "add likes"),
        (lambda f: pd.concat([f, f[["views"]]], axis=1), "found views twice or more: drop the others"),
        (lambda f: f.iloc[::-1], "sort the index"),
        (lambda f: pd.concat([f, f.iloc[-1:]]), "duplicate slots 2026"),
        (lambda f: f.reset_index(drop=True), "set the index"),
        (lambda f: f.set_index(f.index + pd.Timedelta(minutes=1)), "floor the index to 15 minutes"),
        (lambda f: f.assign(views=-1.0), "counts must be 0 or more"),
        (lambda f: f.assign(views="many"), "convert the columns"),
        (lambda f: f.tz_localize(None), "both have a time zone or both none"),
    ],
)
def test_bad_history_is_refused_with_what_to_do(spoil, says):
    frame = app(days=2)
    with pytest.raises(ValueError, match=says):
        detect(spoil(frame), frame.index[-1])


@pytest.mark.parametrize(
    ("slot", "settings", "says"),
    [
        ("2026-06-02 10:07+03:00", {}, "quarter hour"),
        ("yesterday noon", {}, "such as 2026-11-22 10:15"),
        (None, {"sensitivity": 0}, "sensitivity must be a positive number"),
        (None, {"sensitivity": {"view": 1.0}}, "found view"),
        (None, {"min_deviation": "15 %"}, "min_deviation must be a positive number"),
    ],
)
def test_bad_slot_or_setting_is_refused(slot, settings, says):
    frame = app(days=2)
    with pytest.raises(ValueError, match=says):
        detect(frame, slot or frame.index[-1], **settings)


def with_more(frame: pd.DataFrame, seed: int = 5) -> pd.DataFrame:
    """Two more counts, and columns that no stream names."""
    draw = np.random.default_rng(seed)
    usual = frame.fillna(0.0)
    more = {"posts": draw.poisson(usual["views"] * 0.3), "comments": draw.poisson(usual["likes"] * 0.4)}
    return frame.assign(**more, version="1.2", refunds=-1.0).astype(dict.fromkeys(more, float))


def by_metric(verdicts: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {name: rows.drop(columns="metric").reset_index(drop=True) for name, rows in verdicts.groupby("metric")}


def assert_same(found: dict, expected: dict, names=None) -> None:
    for name in names or expected:
        pd.testing.assert_frame_equal(found[name], expected[name], check_exact=True, obj=name)


@pytest.fixture(scope="module")
def fortnight():
    """Two weeks with faults that groups and helpers decide on."""
    return with_more(history(seed=101, dau=2_000_000, faulty=True).frame.iloc[18 * 96 : 32 * 96])


@pytest.fixture(scope="module")
def usual(fortnight):
    reasons = detect_all(fortnight).query("anomaly")["reason"]
    assert reasons.str.contains("together with").any() and reasons.str.contains("out of proportion").any()
    return by_metric(detect_all(fortnight))


def test_without_streams_the_usual_six_are_watched(fortnight, usual):
    assert_same(by_metric(detect_all(fortnight, streams=USUAL)), usual)
    assert list(detect(fortnight, fortnight.index[-1], streams=iter(USUAL))["metric"]) == watched.names()


@settings(max_examples=6, deadline=None)
@given(streams=st.permutations(USUAL + MORE[:3]))
def test_the_order_of_streams_changes_nothing(fortnight, usual, streams):
    thresholds = {"sensitivity": {"views": 1.2, "posts": 0.8}, "min_deviation": {"likes": 0.3, "messenger_users": 0.1}}
    found = detect_all(fortnight, **thresholds, streams=streams)
    metrics = [stream for stream in streams if not stream.helper]
    assert list(found["metric"][: len(metrics)]) == [stream.name for stream in metrics]
    assert_same(by_metric(found), by_metric(detect_all(fortnight, **thresholds, streams=USUAL + MORE[:3])))
    for stream in metrics:
        truth = fortnight[stream.count] / (fortnight[stream.given] if stream.given else 1.0)
        value = found.loc[found["metric"] == stream.name, "value"]
        np.testing.assert_allclose(value, truth.replace(np.inf, np.nan), rtol=1e-12)


@settings(max_examples=6, deadline=None)
@given(more=st.lists(st.sampled_from(MORE), min_size=1, unique=True), place=st.integers(0, len(USUAL)))
def test_one_more_stream_leaves_the_others_as_they_were(fortnight, usual, more, place):
    found = by_metric(detect_all(fortnight, streams=USUAL[:place] + more + USUAL[place:]))
    assert_same(found, usual)
    assert found.keys() == usual.keys() | {stream.name for stream in more}


@pytest.mark.parametrize("stream", MORE, ids=lambda stream: stream.name)
def test_a_stream_without_company_is_judged_alone_as_among_others(fortnight, stream):
    frame = fortnight.iloc[: 11 * 96]
    alone = by_metric(detect_all(frame[[c for c in (stream.count, stream.given) if c]], streams=[stream]))
    assert_same(by_metric(detect_all(frame, streams=[*USUAL, *MORE])), alone)
    for at in (0, 50, 150, 700, 960, len(frame) - 1):
        one = detect(frame.iloc[: at + 1], frame.index[at], streams=[stream]).drop(columns="metric")
        expected = alone[stream.name].iloc[[at]].drop(columns="slot").reset_index(drop=True)
        pd.testing.assert_frame_equal(one, expected, check_exact=True)


def test_one_more_stream_in_a_group_concerns_that_group_alone(fortnight, usual):
    found = by_metric(detect_all(fortnight, streams=[Stream("posts", "posts", groups=("feed",)), *USUAL]))
    assert_same(found, usual, ["ctr", *MESSENGER])
    assert any((found[name]["score"] != usual[name]["score"]).any() for name in FEED)


def test_a_helper_is_as_sensitive_as_the_less_sensitive_of_its_two_metrics(fortnight, usual):
    def disproportions(**sensitivity) -> int:
        found = by_metric(detect_all(fortnight, sensitivity, streams=USUAL))["feed_users"]
        return found["reason"].str.contains("out of proportion").sum()

    expected = usual["feed_users"]["reason"].str.contains("out of proportion").sum()
    assert expected > 0 and disproportions(likes=0.1, messages_sent=0.1, messenger_users=0.1) == expected
    assert disproportions(views=0.1) == disproportions(feed_users=0.1) == 0


def test_streams_of_a_group_are_found_together_where_each_alone_is_not():
    frame = app(days=13, dau=20_000)
    names, at = [f"shop_{number}" for number in range(9)], 12 * 96 + 48
    draw = np.random.default_rng(2)
    frame = pd.DataFrame({name: draw.poisson(frame["feed_users"] * 0.15) for name in names}, frame.index).astype(float)
    frame.iloc[at] = np.round(frame.iloc[at] * 0.65)
    alone, together = (
        judged(frame, at, streams=[Stream(n, n, groups=groups) for n in names]) for groups in ((), ("shop",))
    )
    assert alone["anomaly"].sum() <= 2 and together["anomaly"].sum() >= 7
    assert together.loc[together["anomaly"], "reason"].str.contains("together with").sum() >= 7


def test_the_first_group_is_the_source_that_has_to_be_off_itself():
    frame = app(days=13, dau=20_000)
    at = 12 * 96 + 48
    frame.iloc[at, [0, 2, 3]] = 0.0  # the feed is out
    frame.iloc[at, [1, 4]] = np.round(frame.iloc[at, [1, 4]] * 0.75)
    assert not judged(frame, at).loc[MESSENGER, "anomaly"].any()
    app_first = [Stream(n, n, groups=("app",)) for n in FEED + MESSENGER]
    assert judged(frame, at, streams=app_first).loc[MESSENGER, "anomaly"].any()


@pytest.mark.parametrize(("warm", "factor"), [(4, 0.0), (4, 4.0), (13, 0.0), (13, 0.5), (13, 2.0)])
def test_a_fault_of_a_metric_without_a_group_is_found_and_of_it_alone(warm, factor):
    frame = with_more(app(days=warm + 1, dau=200_000))
    quiet = detect_all(frame, streams=USUAL + MORE)
    assert not quiet["anomaly"].any()
    span = slice(warm * 96 + 48, warm * 96 + 52)
    frame.iloc[span, frame.columns.get_loc("posts")] = np.round(frame["posts"].iloc[span] * factor)
    found = detect_all(frame, streams=USUAL + MORE).query(
        "anomaly and metric not in ('posts_per_user', 'posts_per_comment')"
    )
    assert set(found["metric"]) == {"posts"} and set(found["slot"]) == set(frame.index[span])
    assert (np.sign(found["deviation"]) == np.sign(factor - 1)).all()


def test_a_ratio_of_any_two_counts_is_watched():
    frame = with_more(app(days=14, dau=200_000))
    at = 13 * 96 + 48
    fewer = frame.copy()
    fewer.iloc[at] = [
        *np.round(frame.iloc[at, :5].astype(float) * 0.5),
        np.round(frame["posts"].iloc[at] * 0.5),
        *frame.iloc[at, 6:],
    ]
    result = judged(fewer, at, streams=USUAL + MORE)
    ratios = ["ctr", "posts_per_user", "messages_per_chatter"]
    assert result.loc[[*FEED, *MESSENGER, "posts"], "anomaly"].all() and not result.loc[ratios, "anomaly"].any()
    for column, metric in (("posts", "posts_per_user"), ("messages_sent", "messages_per_chatter")):
        wrong = frame.copy()
        wrong.iloc[at, frame.columns.get_loc(column)] = np.round(frame[column].iloc[at] * 0.5)
        result = judged(wrong, at, streams=USUAL + MORE)
        assert result.loc[metric, "anomaly"] and result.loc[metric, "deviation"] == pytest.approx(-0.5, abs=0.1)
        assert not result.loc[[name for name in ratios if name != metric], "anomaly"].any()


def test_only_the_columns_of_the_streams_are_needed():
    frame = app(days=2)[["views", "likes"]]
    assert list(detect_all(frame, streams=[USUAL[4]])["metric"].unique()) == ["ctr"]
    with pytest.raises(ValueError, match="must have columns likes, views, posts; found views, likes: add posts"):
        detect_all(frame, streams=[USUAL[4], MORE[0]])
    with pytest.raises(ValueError, match="sensitivity must name metrics among ctr; found views"):
        detect_all(frame, {"views": 1.0}, streams=[USUAL[4]])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "name must be a text, got ''"),
        ({"count": None}, "stream 'a': count must be a text, got None"),
        ({"given": None}, "given must be a text or empty, got None"),
        ({"given": "a"}, "count and given must be two columns, both are a"),
        ({"groups": "feed"}, "groups must be a tuple of names such as .*, got 'feed'"),
        ({"groups": ("feed", "")}, "groups must be a tuple of names"),
        ({"groups": ("feed", "app", "feed")}, "each group once, found feed twice"),
        ({"helper": "yes"}, "helper must be True or False, got 'yes'"),
        ({"helper": True}, "name the second as given"),
        ({"helper": True, "given": "b", "groups": ("feed",)}, "leave groups empty"),
    ],
)
def test_a_wrong_stream_is_refused_with_what_to_do(fields, says):
    with pytest.raises(ValueError, match=says):
        Stream(**{"name": "a", "count": "a"} | fields)


@pytest.mark.parametrize(
    ("streams", "says"),
    [
        (MORE[0], "must be a list of Stream, got Stream: put it into a list"),
        (["views"], "found str in it"),
        ([], "must have one with a verdict, found 0 helpers"),
        ([USUAL[6]], "must have one with a verdict, found 1 helper"),
        ([*USUAL, Stream("ctr", "views")], "names of their own, found ctr twice"),
        ([*USUAL, Stream("hits", "views")], "must be different, found views given time alone twice"),
        ([*USUAL, Stream("share", "likes", given="views")], "must be different, found likes given views twice"),
        (USUAL[1:], "helper 'views_per_user' needs a stream with a verdict on feed_users alone"),
        ([USUAL[0], MORE[2], Stream("help", "posts", "feed_users", helper=True)], r"add Stream\('posts', 'posts'\)"),
    ],
)
def test_streams_that_do_not_go_together_are_refused_with_what_to_do(streams, says):
    frame = with_more(app(days=2))
    for call in (lambda: detect_all(frame, streams=streams), lambda: detect(frame, frame.index[-1], streams=streams)):
        with pytest.raises(ValueError, match=says):
            call()
