"""What the other end of the Bot API may say: any JSON, any status, is an answer or a ChatError, never another error."""

import json

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.chat import answers

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
fields = {
    "ok": st.booleans() | anything,
    "result": anything
    | st.fixed_dictionaries({"message_id": anything})
    | st.lists(st.fixed_dictionaries({"message_id": anything})),
    "error_code": anything | st.sampled_from([400, 403, 429, 500]),
    "description": anything,
    "parameters": anything
    | st.fixed_dictionaries({}, optional={"retry_after": anything, "migrate_to_chat_id": anything}),
}
spoken = st.fixed_dictionaries({}, optional=fields) | anything


def response(body: bytes, status: int = 200, **headers) -> requests.Response:
    made = requests.Response()
    made._content, made.status_code = body, status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    spoken.map(lambda said: json.dumps(said).encode()) | st.binary(max_size=30),
    st.integers(200, 599),
    st.text(max_size=9),
)
def test_whatever_is_answered_is_an_answer_or_a_chat_error(body, status, wait):
    try:
        answer = answers.read("sendMessage", response(body, status, Retry_After=wait))
    except answers.ChatError as error:
        assert isinstance(error, answers.TryLater | answers.Refused | answers.Uncertain)
        return
    said = json.loads(body)
    assert answer.ok is said["ok"]
    if answer.ok:
        given_ids = said["result"] if isinstance(said["result"], list) else [said["result"]]
        assert list(answer.message_ids) == [message["message_id"] for message in given_ids]
        assert answer.message_ids and all(type(id) is int for id in answer.message_ids)
    else:
        assert type(answer.code) is int and len(answer.description) <= answers.DESCRIBED
        assert answer.retry_after is None or 0 <= answer.retry_after < 1e400


@pytest.mark.parametrize("status", [200, 302, 504])
def test_what_may_have_arrived_is_uncertain(status):
    with pytest.raises(answers.Uncertain):
        answers.read("sendMessage", response(b"<html>", status))


@pytest.mark.parametrize(("wait", "seconds"), [("7", 7.0), ("-5", None), ("soon", None), ("²", None), ("", None)])
def test_a_proxys_429_and_5xx_may_be_tried_again_after_the_time_it_names(wait, seconds):
    for status in (429, 500, 502, 503):
        with pytest.raises(answers.TryLater) as caught:
            answers.read("sendMessage", response(b"Bad Gateway", status, Retry_After=wait))
        assert caught.value.seconds == seconds


def test_a_json_nested_too_deeply_is_no_answer():
    with pytest.raises(answers.Uncertain):
        answers.read("sendMessage", response(b"[" * 200_000))
