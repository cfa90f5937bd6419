"""What the catalogue holds stands nowhere else: the SQL of notebooks has no aggregate, table or row filter of its own."""

import pytest

from pulsebook.cli.checks.held import held


def named(text: str) -> list[str]:
    """What of the catalogue a text holds."""
    return [what for what, *_ in held(text)]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("FEED = f'{database}.feed_actions'", "table of feed"),
        ("SELECT uniqExact(\n  user_id ) AS feed_users", "metric feed_users or messenger_users or users_received"),
        ("SELECT uniqExact({messages.receiver}) AS n", "metric users_sent"),
        ("SELECT uniqExactIf(post_id, action = 'view')", "metric posts"),
        ("countIf(action  =  'view') AS views", "metric views"),
        ('countIf(action = "like")', "metric likes"),
        ("count(DISTINCT user_id) AS users", "metric feed_users or messenger_users or users_received"),
        ("COUNT( distinct  user_id )", "metric feed_users or messenger_users or users_received"),
        ("sum(action = 'view') AS views", "metric views"),
        ("sumIf(1, action='like')", "metric likes"),
        ("where action in ('view','like')", "rows of feed"),
        ("WHERE action IN ('view', 'like') AND 1", "rows of feed"),
        ("WHERE action IN ('view')", "a filter of actions"),
        ("avgIf(1, action != 'like')", "a count of actions"),
        ("receiver = 'reciever_id'", "spelling reciever_id"),
        ("multiIf(gender = 1, 'female', gender = 0, 'male', '')", "dimension gender"),
    ],
)
def test_what_a_notebook_would_hold_is_found(code, what):
    assert named(code) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "count() AS rows, action_of(feed), max(time), countIf(feed = 1), transaction = 1, uniqExact(post)",
        "SELECT sum(views) AS views, sum({name}) FROM {SLICES}",
        "uniqExact({key}), uniqExact(metric), countIf(in_week) AS wau",
        "clear the run from extract_feed; staging_feed_actions",
    ],
)
def test_what_has_nothing_to_do_with_the_catalogue_is_let_be(text):
    assert not named(text)
