"""The life of an incident and what explains it: pure rules, no warehouse."""

import numpy as np
import pandas as pd
import pytest

from pulsebook.catalogue import POLICY, Policy
from pulsebook.incidents import HOUR, QUARTER, Incident, advance
from pulsebook.incidents.explain import WHOLE, compared, explain
from pulsebook.incidents.picture import days_before, draw, metrics_of, with_week_ago
from pulsebook.incidents.recheck import notes, raised

METRICS = {"feed_users": "feed", "views": "feed", "likes": "feed", "ctr": "feed", "messenger_users": "messages", "messages_sent": "messages"}  # fmt: skip
START = 1_795_000_500


def verdicts(off: dict[str, float] | None = None, missing: tuple[str, ...] = (), explained: str = "") -> pd.DataFrame:
    """Verdicts in which some metrics are off by a share, some sources send nothing, and one metric has an explanation."""
    rows = []
    for metric, source in METRICS.items():
        gone, deviation = source in missing, (off or {}).get(metric, 0.0)
        value = float("nan") if gone else 100 * (1 + deviation)
        rows.append(
            dict(metric=metric, value=value, deviation=deviation, anomaly=gone or metric in (off or {}), score=1.0)
            | dict(explanation="new level" if metric == explained else "")
        )
    return pd.DataFrame(rows)


def story(*slots, suppress=None, policy=POLICY):
    """What is sent in a row of slots: (slot number, what, metrics)."""
    incidents, sent = [], []
    for number, seen in enumerate(slots):
        incidents, events = advance(
            incidents, START + number * QUARTER, seen, METRICS, suppress=(suppress or {}).get(number, ""), policy=policy
        )
        sent += [(number, _said(event), tuple(sorted(event.incident.metrics))) for event in events]
    return sent, incidents


def _said(event) -> str:
    return f"{event.what} (edit)" if event.is_edit else event.what


FINE, DROP = verdicts(), verdicts({"views": -0.4, "likes": -0.5})


def test_metrics_that_go_off_together_are_one_incident_that_ends_after_three_normal_slots():
    sent, incidents = story(FINE, DROP, DROP, FINE, FINE, FINE, FINE)
    assert sent == [(1, "opened", ("likes", "views")), (5, "resolved", ("likes", "views"))] and not incidents


def test_an_incident_of_more_than_two_hours_ends_after_eight_normal_slots():
    for lasted, normal in ((8, 3), (9, 8)):
        sent, incidents = story(*[DROP] * lasted, *[FINE] * (normal - 1))
        assert [what for _, what, _ in sent] == ["opened"] and len(incidents) == 1
        sent, incidents = story(*[DROP] * lasted, *[FINE] * normal)
        assert sent[-1][:2] == (lasted + normal - 1, "resolved") and not incidents


def test_it_lasts_from_its_first_slot_to_the_end_of_its_last():
    _, incidents = story(FINE, DROP, FINE, DROP, FINE)
    assert incidents[0].seconds == 3 * QUARTER and incidents[0].opened == START + QUARTER


def test_two_normal_slots_do_not_end_it():
    sent, incidents = story(DROP, FINE, FINE, DROP, FINE, FINE)
    assert [what for _, what, _ in sent] == ["opened"] and len(incidents) == 1


def test_while_it_lasts_there_is_a_word_after_4_12_and_36_hours():
    sent, _ = story(*[DROP] * 400)
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (16, "still"), (48, "still"), (144, "still")]


def test_a_word_comes_as_long_after_the_first_message_as_the_policy_says_whatever_was_edited():
    worse = verdicts({"views": -0.7, "likes": -0.8})
    sent, _ = story(DROP, DROP, *[worse] * 16)
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (2, "worse (edit)"), (16, "still")]
    sent, _ = story(DROP, DROP, *[worse] * 16, suppress=dict.fromkeys(range(4), "all"))
    assert [(n, what) for n, what, _ in sent] == [(4, "opened")], "the first message counts, not the first slot"


def test_clearly_worse_is_an_edit_within_the_first_hour_and_a_message_later_and_a_little_worse_is_neither():
    a_little, much = verdicts({"views": -0.45, "likes": -0.55}), verdicts({"views": -0.7, "likes": -0.55})
    sent, _ = story(DROP, a_little, much, verdicts({"views": -0.75}))
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (2, "worse (edit)")]
    for at, what in ((4, "worse (edit)"), (5, "worse")):
        sent, _ = story(*[DROP] * at, much, much)
        assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (at, what)]


def test_an_edit_knows_what_was_said_before():
    incidents, _ = advance([], START, DROP, METRICS)
    _, (event,) = advance(incidents, START + QUARTER, verdicts({"views": -0.9}), METRICS)
    assert event.before == {"views": -0.4, "likes": -0.5} and event.incident.metrics == {"views": -0.9, "likes": -0.5}


def test_more_metrics_are_an_edit_within_the_first_hour_and_later_only_those_of_another_source_a_message():
    more, spread = verdicts({"views": -0.4, "feed_users": -0.3}), verdicts({"views": -0.4, "messages_sent": -0.5})
    sent, _ = story(DROP, more, spread)
    assert sent == [
        (0, "opened", ("likes", "views")),
        (1, "more (edit)", ("feed_users", "likes", "views")),
        (2, "spread (edit)", ("feed_users", "likes", "messages_sent", "views")),
    ]
    sent, _ = story(*[DROP] * 6, more, spread)
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (7, "spread")]


def test_a_short_minor_incident_ends_as_an_edit_and_a_critical_or_a_long_one_with_a_message():
    minor, critical = verdicts({"views": -0.3}), verdicts({"views": -0.6})
    for seen, what in (
        ([minor] * 3, "resolved (edit)"),
        ([critical], "resolved"),
        ([minor, critical, minor], "resolved"),
        ([verdicts(missing=("feed",))], "resolved"),
        ([minor] * 8, "resolved (edit)"),
        ([minor] * 14, "resolved"),  # 8 normal slots later a word would have been due
        ([*[verdicts({"views": -0.2})] * 6, verdicts({"views": -0.45})], "resolved"),  # it has two messages
    ):
        assert story(*seen, *[FINE] * 8)[0][-1][1] == what


def test_what_an_explanation_ends_is_an_edit_unless_it_was_critical():
    for deviation, explained, what in (
        (-0.3, "views", "resolved (edit)"),
        (-0.3, "messages_sent", "resolved"),
        (-0.6, "views", "resolved"),
    ):
        sent, incidents = story(*[verdicts({"views": deviation})] * 24, *[verdicts(explained=explained)] * 8)
        assert [what for _, what, _ in sent] == ["opened", "still", what]


BLIP = [verdicts({"views": -0.3, "likes": -0.2}), *[FINE] * 3]


@pytest.mark.parametrize(
    ("calm", "off", "what"),
    [
        (12, {"views": -0.3}, "again (edit)"),
        (13, {"views": -0.3}, "opened"),  # more than four hours later
        (12, {"likes": -0.4}, "worse"),
        (12, {"likes": -0.55}, "worse"),  # critical
        (12, {"views": -0.3, "messages_sent": -0.2}, "spread"),
        (12, {"views": 0.3}, "opened"),
        (12, {"feed_users": -0.3}, "opened"),
    ],
)
def test_what_was_over_by_an_edit_and_is_off_again_within_four_hours_is_the_same_incident(calm, off, what):
    sent, incidents = story(*BLIP, *[FINE] * calm, verdicts(off), verdicts(off))
    assert [what for _, what, _ in sent] == ["opened", "resolved (edit)", what]
    assert len([i for i in incidents if i.resolved is None]) == 1


def test_what_is_back_has_its_first_hour_anew_and_its_end_is_an_edit_again():
    more, much = verdicts({"views": -0.3, "feed_users": -0.2}), verdicts({"views": -0.48})
    sent, incidents = story(*BLIP, *[FINE] * 12, BLIP[0], more, much, *[FINE] * 3, *[FINE] * 13)
    assert [(n, what) for n, what, _ in sent[2:]] == [(16, "again (edit)"), (17, "more (edit)"), (18, "worse (edit)"), (26, "resolved (edit)")]  # fmt: skip
    sent, _ = story(*BLIP, *[FINE] * 12, *[BLIP[0]] * 17)
    assert [(n, what) for n, what, _ in sent[2:]] == [(16, "again (edit)"), (32, "still")]


def test_what_is_back_while_nothing_minor_is_told_is_told_when_it_may_be():
    sent, _ = story(*BLIP, *[BLIP[0]] * 4, suppress=dict.fromkeys(range(4, 6), "minor"))
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (3, "resolved (edit)"), (6, "again (edit)")]
    sent, _ = story(*BLIP, BLIP[0], *[FINE] * 4, suppress={4: "minor"})
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (3, "resolved (edit)"), (7, "resolved (edit)")]


def test_what_was_over_by_a_message_does_not_come_back():
    sent, incidents = story(verdicts({"views": -0.6}), *[FINE] * 4, BLIP[0])
    assert [what for _, what, _ in sent] == ["opened", "resolved", "opened"] and len(incidents) == 1


def test_what_turns_critical_is_a_message_also_in_the_first_hour():
    minor, critical = verdicts({"views": -0.3}), verdicts({"views": -0.6})
    assert [what for _, what, _ in story(minor, verdicts({"views": -0.48}))[0]] == ["opened", "worse (edit)"]
    assert [what for _, what, _ in story(minor, critical, critical)[0]] == ["opened", "worse"]
    assert [what for _, what, _ in story(critical, verdicts({"views": -0.95}))[0]] == ["opened", "worse (edit)"]


def test_an_incident_of_before_goes_on():
    known = Incident("anomaly-1", "anomaly", START, START, {"views": -0.3}, told=START, told_metrics={"views": -0.3})
    state = {name: value for name, value in known.as_dict().items() if name != "first_told"}
    (read,), events = advance([Incident(**state)], START + 16 * QUARTER, verdicts({"views": -0.3}), METRICS)
    assert [e.what for e in events] == ["still"] and read.told == START + 16 * QUARTER
    for n in range(1, 9):
        left, events = advance([read], START + (16 + n) * QUARTER, FINE, METRICS)
        read = (left or [read])[0]
    assert [(e.what, e.is_edit) for e in events] == [("resolved", False)] and not left


def test_the_other_direction_later_is_another_incident():
    sent, incidents = story(DROP, DROP, verdicts({"views": -0.4, "messages_sent": 2.0}))
    assert [what for _, what, _ in sent] == ["opened", "opened"] and len(incidents) == 2


def test_the_other_direction_in_the_same_slot_is_the_same_incident():
    sent, incidents = story(verdicts({"views": 1.5, "ctr": -0.6}))
    assert sent == [(0, "opened", ("ctr", "views"))] and len(incidents) == 1


def test_the_same_direction_joins_within_the_hour_and_not_later():
    feed, messenger, hour = (
        verdicts({"views": -0.4}),
        verdicts({"views": -0.4, "messages_sent": -0.45}),
        HOUR // QUARTER,
    )
    sent, incidents = story(feed, FINE, messenger)
    assert [what for _, what, _ in sent] == ["opened", "spread (edit)"] and len(incidents) == 1
    gone = verdicts(missing=("feed",))  # keeps the first incident open
    sent, incidents = story(feed, *[gone] * (hour + 1), verdicts({"messages_sent": -0.5}, missing=("feed",)))
    assert sent[-1][1:] == ("opened", ("messages_sent",)) and len(incidents) == 3


def test_a_source_without_data_is_an_incident_of_its_own_and_says_nothing_of_others():
    gone = verdicts(missing=("feed",))
    sent, incidents = story(FINE, gone, gone, FINE, FINE, FINE)
    assert sent == [(1, "opened", ("feed",)), (5, "resolved", ("feed",))] and not incidents


def test_both_sources_without_data_are_one_incident():
    sent, _ = story(FINE, verdicts(missing=("feed", "messages")), verdicts(missing=("feed", "messages")))
    assert sent == [(1, "opened", ("feed", "messages"))]


def test_missing_data_never_ends_an_incident():
    gone = verdicts(missing=("feed",))
    sent, incidents = story(DROP, gone, gone, gone, gone, gone)
    assert [what for _, what, _ in sent] == ["opened", "opened"]
    assert sorted(i.kind for i in incidents) == ["anomaly", "missing"]
    sent, incidents = story(DROP, FINE, FINE, gone, FINE)
    assert (4, "resolved", ("likes", "views")) in sent, "the slots before and after count"


def test_a_suppressed_notification_is_sent_when_it_may_be_and_is_still_there():
    sent, _ = story(DROP, DROP, DROP, suppress={0: "all", 1: "all"})
    assert [(n, what) for n, what, _ in sent] == [(2, "opened")]
    minor = verdicts({"views": -0.2})
    sent, _ = story(minor, minor, minor, suppress={0: "minor", 1: "minor"})
    assert [(n, what) for n, what, _ in sent] == [(2, "opened")]


def test_what_is_critical_is_reported_in_quiet_hours_too():
    for seen in (verdicts({"views": -0.6}), verdicts(missing=("messages",))):
        sent, _ = story(seen, suppress={0: "minor"})
        assert [what for _, what, _ in sent] == ["opened"]


def test_what_was_over_before_it_could_be_reported_is_reported_as_missed():
    sent, incidents = story(DROP, FINE, FINE, FINE, FINE, suppress=dict.fromkeys(range(4), "all"))
    assert [(n, what) for n, what, _ in sent] == [(3, "missed")] and not incidents


def test_the_same_slot_twice_gives_the_same_events():
    incidents, _ = advance([], START, DROP, METRICS)
    once = advance(incidents, START + QUARTER, verdicts({"views": -0.9}), METRICS)
    assert once == advance(incidents, START + QUARTER, verdicts({"views": -0.9}), METRICS)


def test_when_a_word_comes_is_the_policys():
    for hours in (1.0, 2.5):
        sent, _ = story(*[DROP] * 21, policy=Policy(repeat_hours=hours))
        assert [n for n, what, _ in sent] == list(range(0, 21, int(hours * 4))), "opened, then every so often"
    sent, _ = story(*[DROP] * 21, policy=Policy(still_hours=(1.0, 2.5)))
    assert [n for n, *_ in sent] == [0, 4, 10]
    sent, _ = story(DROP, FINE, FINE, policy=Policy(normal_slots=1))
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (1, "resolved")]
    sent, _ = story(DROP, DROP, FINE, FINE, FINE, FINE, policy=Policy(long_hours=0.25, long_normal_slots=4))
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (5, "resolved")]
    sent, _ = story(DROP, verdicts({"views": -0.9}), policy=Policy(edit_hours=0.2))
    assert [(n, what) for n, what, _ in sent] == [(0, "opened"), (1, "worse")]
    seen = (verdicts({"views": -0.2}), verdicts({"views": -0.31}))
    assert [what for _, what, _ in story(*seen)[0]] == ["opened"]
    assert [what for _, what, _ in story(*seen, policy=Policy(worse_by=0.05))[0]] == ["opened", "worse (edit)"]
    assert [what for _, what, _ in story(*seen, policy=Policy(worse_by=0.05, worse=2.0))[0]] == ["opened"]
    for critical, sent in ((0.31, ["opened"]), (0.32, [])):
        assert [
            what for _, what, _ in story(seen[1], suppress={0: "minor"}, policy=Policy(critical=critical))[0]
        ] == sent
        assert Incident("x", "anomaly", 0, 0, {"views": -0.31}).is_critical(Policy(critical=critical)) == bool(sent)
    assert Incident("x", "missing", 0, 0, {"feed": 0.0}).is_critical(Policy(critical=1.0))


def test_what_is_no_longer_watched_leaves_its_incident_and_one_of_nothing_else_is_gone():
    (both,) = advance([], START, DROP, METRICS)[0]
    rows = FINE[~FINE["metric"].isin(["likes"])]
    rest = {metric: source for metric, source in METRICS.items() if metric != "likes"}
    (left,), events = advance([both], START + QUARTER, rows, rest)
    assert list(left.metrics) == ["views"] and left.normal == 1 and not events
    assert advance([left], START + 2 * QUARTER, rows[rows["metric"] != "views"], {m: s for m, s in rest.items() if m != "views"}) == ([], [])  # fmt: skip
    (silent,), _ = advance([], START, verdicts(missing=("messages",)), METRICS)
    feed = {metric: source for metric, source in METRICS.items() if source == "feed"}
    assert advance([silent], START + QUARTER, FINE[FINE["metric"].isin(feed)], feed) == ([], [])


def test_a_ratio_of_two_sources_says_nothing_of_either():
    def seen(missing=(), off=None):
        known = verdicts(off, missing)
        gone = bool(missing)
        both = dict(
            metric="messages_per_reader", value=float("nan") if gone else 1.0, deviation=0.0, anomaly=gone, score=1.0
        )
        return pd.concat([known, pd.DataFrame([both])], ignore_index=True)

    sent, incidents = story(seen(("messages",)), seen(), seen(), seen())
    assert sent == [(0, "opened", ("messages",)), (3, "resolved", ("messages",))] and not incidents
    sent, incidents = story(seen(("messages",)), seen(("feed",)), seen(("feed",)), seen(("feed",)))
    assert sent == [(0, "opened", ("messages",)), (1, "spread (edit)", ("feed", "messages"))] and len(incidents) == 1
    off = seen().assign(anomaly=lambda rows: rows["metric"] == "messages_per_reader", deviation=-0.4)
    assert story(off)[0] == [(0, "opened", ("messages_per_reader",))]


# -- how it is drawn


def test_a_picture_shows_the_metrics_that_are_off_most_and_what_they_were_a_week_ago():
    rows = FINE.assign(score=[1.0, 3.0, float("nan"), 2.0, 9.0, 0.5])
    assert metrics_of(["likes", "views", "ctr"], METRICS, rows) == ["views", "ctr"]
    assert metrics_of(["messages"], METRICS, rows) == ["messenger_users", "messages_sent"]
    assert metrics_of(["likes"], METRICS, rows) == ["likes"]
    index = pd.date_range("2026-11-01", periods=9 * 96, freq="15min", tz="Europe/Moscow")
    history = pd.DataFrame({"ctr": np.arange(len(index)) / 1000}, index=index).drop(index[5])
    judged = pd.DataFrame(
        {
            "slot": index[7 * 96 :],
            "metric": "ctr",
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "score": 0.1,
            "anomaly": False,
        }
    )
    judged = pd.concat([judged, judged.assign(metric="views")])
    slots = with_week_ago(judged, history, "ctr")
    expected = [float("nan") if at == 5 else at / 1000 for at in range(2 * 96)]
    assert list(slots.index) == list(index[7 * 96 :])
    np.testing.assert_allclose(slots["week_ago"], expected)
    assert draw("A day", ["ctr"], index[-1], judged, history, "en").startswith(b"\x89PNG")


def test_a_week_ago_is_the_same_time_by_the_clock_also_where_clocks_change():
    """Berlin, 2026: clocks went back on 25 October from 03:00 to 02:00, and forward on 29 March."""
    index = pd.date_range("2026-03-20", "2026-11-05", freq="15min", tz="Europe/Berlin")
    history = pd.DataFrame({"views": index.tz_localize(None).to_series().to_numpy()}, index=index)
    for slot, days, expected in (
        ("2026-10-27 09:15", 7, "2026-10-20 09:15"),
        ("2026-10-26 02:30", 1, "2026-10-25 02:30"),  # it was there twice
        ("2026-03-30 02:30", 1, "2026-03-29 03:00"),  # it was not there
        ("2026-03-30 12:00", 7, "2026-03-23 12:00"),
    ):
        (found,) = days_before(history, "views", pd.DatetimeIndex([slot], tz="Europe/Berlin"), days)
        assert found == pd.Timestamp(expected), slot
    first = pd.DatetimeIndex(["2026-10-25 02:30"]).tz_localize("Europe/Berlin", ambiguous=[True])
    marked = history.assign(views=(history.index == first[0]).astype(float))
    assert days_before(marked, "views", pd.DatetimeIndex(["2026-10-26 02:30"], tz="Europe/Berlin"), 1) == [1.0]
    assert np.isnan(days_before(marked, "views", pd.DatetimeIndex(["2026-03-20 12:00"], tz="Europe/Berlin"), 7)).all()


# -- what explains it


def counted(before: dict, now: dict) -> pd.DataFrame:
    rows = [(d, v, now.get((d, v), 0), n) for (d, v), n in before.items()]
    return pd.DataFrame(rows, columns=["dimension", "value", "now", "before"])


BEFORE = {
    ("os", "iOS"): 3500,
    ("os", "Android"): 6500,
    ("city", "Moscow"): 2000,
    ("city", "Kazan"): 1000,
    ("city", "other"): 7000,
}


def test_the_slice_that_lost_is_found_with_its_share_of_the_loss():
    now = {
        ("os", "iOS"): 100,
        ("os", "Android"): 640,
        ("city", "Moscow"): 148,
        ("city", "Kazan"): 74,
        ("city", "other"): 518,
    }
    first, *others = explain(counted(BEFORE, now | {("os", "iOS"): 10, ("os", "Android"): 650}), 660, 1000)
    assert (first.dimension, first.values, first.certain) == ("os", ("iOS",), True) and not others
    assert first.share == pytest.approx((350 - 10) / 340) and first.usual == pytest.approx(0.35)


def test_several_slices_of_one_dimension_are_named_together():
    now = {
        ("os", "iOS"): 245,
        ("os", "Android"): 455,
        ("city", "Moscow"): 0,
        ("city", "Kazan"): 0,
        ("city", "other"): 700,
    }
    (found,) = explain(counted(BEFORE, now), 700, 1000)
    assert found.dimension == "city" and found.values == ("Moscow", "Kazan") and found.share == pytest.approx(1)


def test_a_gain_is_explained_too():
    now = {
        ("os", "iOS"): 350,
        ("os", "Android"): 1150,
        ("city", "Moscow"): 300,
        ("city", "Kazan"): 150,
        ("city", "other"): 1050,
    }
    (found,) = explain(counted(BEFORE, now), 1500, 1000)
    assert found.values == ("Android",) and found.share == pytest.approx(1)


def test_an_even_change_and_pure_chance_explain_nothing():
    even = {key: n * 0.06 for key, n in BEFORE.items()}
    assert explain(counted(BEFORE, even), 600, 1000) == []
    chance, found = np.random.default_rng(1), 0
    for _ in range(300):
        now = {key: chance.poisson(n * 0.06) for key, n in BEFORE.items()}
        found += bool(explain(counted(BEFORE, now), sum(n for (d, _), n in now.items() if d == "os"), 1000))
    assert found <= 3


def test_a_total_outage_and_an_unknown_history_explain_nothing():
    assert explain(counted(BEFORE, {}), 0, 1000) == []
    assert explain(counted(dict.fromkeys(BEFORE, 0), {("os", "iOS"): 5}), 5, 1000) == []


def sliced(rows: list[tuple], *counts: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["dimension", "value", "now", *counts])


def test_slices_that_overlap_are_scaled_to_the_whole_and_others_are_as_they_are():
    usual = [
        ("os", "iOS", False, 30),
        ("os", "iOS", False, 30),
        ("os", "Android", False, 60),
        (WHOLE, WHOLE, False, 80),
    ]
    found = compared(
        sliced([*usual, ("os", "iOS", True, 15), ("os", "tv", True, 6), (WHOLE, WHOLE, True, 18)], "n"), "n"
    )
    assert found.values.tolist() == [["os", "Android", 0.0, 40.0], ["os", "iOS", 10.0, 40.0], ["os", "tv", 4.0, 0.0]]
    exact = [("os", "iOS", False, 3), ("os", "Android", False, 7), (WHOLE, WHOLE, False, 10), ("os", "iOS", True, 0.1)]
    assert compared(sliced(exact, "n"), "n")[["now", "before"]].values.tolist() == [[0.0, 7.0], [0.1, 3.0]]
    assert compared(sliced([("os", "iOS", True, 5), (WHOLE, WHOLE, True, 5)], "n"), "n").values.tolist() == [["os", "iOS", 5.0, 0.0]]  # fmt: skip


def test_slices_of_a_ratio_are_what_their_denominators_would_bring_at_the_usual_rate():
    rows = [
        ("os", "iOS", False, 20, 100), ("os", "Android", False, 60, 200), (WHOLE, WHOLE, False, 80, 300),
        ("os", "iOS", True, 1, 50), ("os", "Android", True, 30, 100), ("os", "tv", True, 5, 10), (WHOLE, WHOLE, True, 36, 160),
    ]  # fmt: skip
    found = compared(sliced(rows, "likes", "views"), "likes", "views")
    assert found.values.tolist() == [["os", "Android", 30.0, 30.0], ["os", "iOS", 1.0, 10.0]], (
        "the tv's rate is not known"
    )


# -- slots that were corrected


def raises(*slots: pd.DataFrame, open_before: list[Incident] = ()) -> list[Incident]:
    """The incidents of slots in a row."""
    starts = pd.to_datetime([START + number * QUARTER for number in range(len(slots))], unit="s", utc=True)
    rows = pd.concat([seen.assign(slot=start) for seen, start in zip(slots, starts, strict=True)])
    return raised(rows, [*open_before], METRICS)


def test_slots_that_are_corrected_to_and_fro_are_noted_each_time_once():
    off, fine = raises(FINE, DROP, DROP, FINE, FINE, FINE, FINE), raises(*[FINE] * 7)
    (incident,) = off
    assert fine == [] and (incident.opened, incident.last) == (START + QUARTER, START + 2 * QUARTER)
    for is_raised in (True, False):
        known = {incident.id: (incident, is_raised)}
        assert notes(known, off, fine) == ([(incident, False)] if is_raised else [])
        assert notes(known, fine, off) == ([] if is_raised else [(incident, True)])
        assert notes(known, off, off) == notes(known, fine, fine) == [], "it is not the correction that differs"
    assert notes({}, fine, off) == [(incident, True)] and notes({}, off, fine) == notes({}, off, off) == []


def test_an_incident_that_begins_later_or_has_fewer_metrics_is_the_same_and_one_of_other_metrics_or_times_is_not():
    (incident,) = before = raises(FINE, DROP, DROP, DROP, FINE)
    known = {incident.id: (incident, True)}
    assert notes(known, before, raises(FINE, FINE, verdicts({"likes": -0.3}), FINE, FINE)) == []
    for slots in ([FINE, verdicts({"ctr": -0.3}), FINE, FINE, FINE], [FINE, FINE, FINE, FINE, DROP],
                  [FINE, verdicts(missing=("feed",)), FINE, FINE, FINE]):  # fmt: skip
        now = raises(*slots)
        assert notes(known, before, now) == [(incident, False), (now[0], True)]


def test_what_was_open_before_the_slots_is_not_raised_by_them():
    (incident,) = raises(DROP)
    assert raises(DROP, DROP, FINE, open_before=[incident]) == []
