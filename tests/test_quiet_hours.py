"""Quiet hours of the alerts: of the run, else of the settings, else of the policy; a wrong text stops before anything."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsebook import catalogue
from pulsebook.base.quiet_hours import FORM
from pulsebook.base.settings import ROOT, SettingsError
from pulsebook.catalogue import Policy, QuietHours
from tests.alert_notebooks import epoch, on_the_page, run

WRONG = ["23-8", "9:00-18:00", "23:00–08:00", "24:00-08:00", "08:00-08:00", "None"]
SLOT = "2026-11-12T12:00"


@given(
    st.one_of(
        st.text(max_size=6), st.just("none"), st.from_regex(r"[0-2]\d:[0-5]\d[-–][0-2]\d:[0-6]\d", fullmatch=True)
    )
)
def test_a_form_takes_what_quiet_hours_take(text):
    try:
        QuietHours(text)
    except ValueError:
        assert not re.search(FORM, text) or text.endswith("\n")
    else:
        assert re.search(FORM, text)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_setting_that_is_none_is_named_with_what_was_expected(wrong, monkeypatch, configured):
    with pytest.raises(SettingsError) as caught:
        configured(quiet_hours=wrong)
    said = str(caught.value)
    assert said.startswith(
        "PULSEBOOK_QUIET_HOURS cannot be used: quiet hours must be two different times of day such as"
    )
    assert said.endswith(f"or none, got {wrong!r}")


@pytest.fixture
def slots(configured, databases, execute):
    """Four quiet weeks of slots of every watched metric, the last with a fifth less than usual of what the feed counts."""
    table = f"{databases[1]}.slot_metrics"
    execute(f"CREATE TABLE {table} (slot DateTime, metric String, value Nullable(Float64), base Nullable(Float64), collected DateTime)"
            " ENGINE = ReplacingMergeTree(collected) ORDER BY (slot, metric)")  # fmt: skip
    profile = (
        "time DateTime, gender UInt8, age Int16, country String, city String, os String, source String, exp_group UInt8"
    )
    for events in ("feed_actions (action String, post_id UInt32,", "message_actions (receiver_id UInt32,"):
        execute(f"CREATE TABLE {databases[0]}.{events} user_id UInt32, {profile}) ENGINE = MergeTree ORDER BY time")
    usual = {"feed_users": 20000, "messenger_users": 3000, "views": 200000, "likes": 40000, "messages_sent": 9000}
    at = f"toDateTime({epoch(SLOT)} - number * 900)"
    for metric, mean in usual.items():
        low = "if(number = 0, 0.7, 1)" if metric in ("feed_users", "views", "likes") else "1"
        execute(f"INSERT INTO {table} SELECT {at}, '{metric}', round({mean} * (1 + 0.01 * sin(number * 7)) * {low}), NULL, now() FROM numbers({28 * 96})")  # fmt: skip
    return table


def notified(**parameters) -> list[str]:
    return [event.what for event in run("check", slot=SLOT, **parameters)["events"]]


def test_quiet_hours_are_those_of_the_run_else_of_the_settings_else_of_the_policy(slots, configured, monkeypatch):
    assert notified() == ["opened"], "30 % less are an incident, and not a critical one"
    assert notified(quiet="11:00-13:00") == [] and notified(quiet="13:00-11:00") == ["opened"]
    configured(quiet_hours="11:00-13:00")
    assert notified() == [] and notified(quiet="none") == ["opened"] and notified(quiet="22:00-08:00") == ["opened"]
    configured(quiet_hours="")
    monkeypatch.setattr(catalogue, "POLICY", Policy(quiet_hours=QuietHours("11:00-13:00")))
    assert notified() == [] and notified(quiet="none") == ["opened"]
    configured(quiet_hours="none")
    assert notified() == ["opened"] and notified(quiet="11:00-13:00") == []


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_text_stops_a_check_before_anything_is_written_or_posted(wrong, slots, databases, execute):
    with pytest.raises(ValueError, match="quiet hours must be two different times of day such as 23:00-08:00"):
        run("check", slot=SLOT, quiet=wrong, post=True)
    assert execute(f"SHOW TABLES FROM {databases[1]}") == "slot_metrics\n" and on_the_page() == []


def test_the_form_refuses_a_wrong_text_and_hands_on_a_right_one():
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.exceptions import ParamValidationError

    dag = DagBag(ROOT / "dags" / "alerts.py").dags["alerts"]
    form, check = dag.params.get_param("quiet_hours"), dag.get_task("check")
    assert form.resolve() == "" and "23:00-08:00" in form.description
    for wrong in (*WRONG, None, 23):
        with pytest.raises(ParamValidationError):
            form.resolve(wrong)
    for text in ("", "none", "23:00-08:00"):
        params = {"slot": None, "quiet_hours": form.resolve(text)}
        assert check.render_template(check.parameters, {"params": params}) == {"post": True, "quiet": text}
