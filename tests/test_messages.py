"""Messages as templates: what is put in is escaped and written as its language does, and a mistake is a sentence."""

import html
from datetime import date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsebook.chat.markup import check, plain
from pulsebook.present.messages import MessageError, render


@pytest.mark.parametrize(
    ("template", "language", "values", "expected"),
    [
        ("{{ 'views' | label }}: {{ n | metric('views') }}", "en", {"n": 1234}, "Views: 1,234"),
        ("{{ n | metric('ctr') }}", "ru", {"n": 0.213}, "21,3\xa0%"),
        ("{{ n | percent(0) }} {{ n | number(2) }}", "en", {"n": 0.5}, "50\xa0% 0.50"),
        ("{{ n | number }}", "en", {"n": float("nan")}, "–"),
        ("{{ at | date('d MMMM') }}", "ru", {"at": date(2026, 11, 5)}, "5 ноября"),
        ("{{ at | date('EEEE') }}", "en", {"at": datetime(2026, 11, 5, 23)}, "Thursday"),
        ("{{ s | changes('views') }}", "en", {"s": pd.Series([100, 110])}, "▲\xa010.0\xa0% · –"),
        ("{{ s | line('views') }}", "en", {"s": pd.Series([100, 110])}, "Views: <b>110</b>  ▲\xa010.0\xa0% · –"),
        ("<b>{{ name }}</b>", "en", {"name": "<a> & 'b'"}, "<b>&lt;a&gt; &amp; &#x27;b&#x27;</b>"),
        ("{{ names | join(' · ') }}", "en", {"names": ["<", "&amp;"]}, "&lt; · &amp;amp;"),
        ("{{ x }}", "en", {"x": "a\x1b[0m\udcff"}, "a�"),
    ],
)  # fmt: skip
def test_what_is_put_in_is_written_as_its_language_does_and_escaped(template, language, values, expected):
    assert render(template, language, **values) == expected


def test_a_line_of_tags_alone_leaves_no_line_and_others_keep_theirs():
    template = """
first
{% for n in numbers %}
{{ n }}{% if n == 2 %} (two){% endif %}
  {% endfor %}

{% if numbers %}{% if 1 %}
last
{% endif %}{% endif %}
"""
    assert render(template, "en", numbers=[1, 2]) == "first\n1\n2 (two)\n\nlast"


@given(st.text())
def test_any_text_from_data_stays_text(text):
    message = render("<b>{{ text }}</b>{% for t in [text] %}{{ t ~ '!' }}{% endfor %}", "en", text=text)
    check(message)
    assert "<" not in message.removeprefix("<b>").replace("</b>", "", 1)
    assert html.unescape(plain(message)).endswith("!")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ veiws }}", "the message uses veiws, which is not given; given are views, day: is views meant?"),
        ("{{ something }}", "the message uses something, which is not given; given are views, day$"),
        ("{{ views.of_yesterday }}", "the message uses what is not there: .*of_yesterday"),
        ("one\n{% for n in views %}", "the message is no template, line 2: "),
        ("{{ views | metrics }}", "the message is no template, line 1: No filter named 'metrics'"),
    ],
)
def test_a_mistake_is_a_sentence(template, said):
    with pytest.raises(MessageError, match=said):
        render(template, "en", views=3, day="x")
