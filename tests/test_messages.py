"""Messages as templates: what is put in is escaped and written as its language does, and a mistake is a sentence."""

import html
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsebook.catalogue import Dimension
from pulsebook.chat.markup import check, plain
from pulsebook.present.messages import MessageError, preview, render

SEX = Dimension("gender", "sex", "пол", values={"female": "женщины", "male": "мужчины"})
MOSCOW = ZoneInfo("Europe/Moscow")


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
        ("{{ at | date('EEE d MMM, HH:mm') }}", "en", {"at": datetime(2026, 11, 5, 23, 15, tzinfo=MOSCOW)}, "Thu 5 Nov, 23:15"),
        ("{{ d | label }} {{ v | named(d) }}", "ru", {"d": SEX, "v": "male"}, "пол мужчины"),
        ("{{ d | label }} {{ v | named(d) }}", "en", {"d": SEX, "v": "<i>" + "long " * 40}, "sex &lt;i&gt;" + "long " * 7 + "l…"),
        ("{{ s | counts(d) }}", "ru", {"s": pd.Series({"female": 1200, "male": 0, "unknown": 3}), "d": SEX}, "женщины 1\xa0200 · неизвестно 3"),
        ("{{ s | shares(d) }}", "en", {"s": pd.Series({"<b>": 30, "male": 10}), "d": SEX}, "&lt;b&gt; 75\xa0% · male 25\xa0%"),
        ("{{ s | shares(d) }}", "en", {"s": pd.Series({"female": 698, "male": 297, "unknown": 5}), "d": SEX}, "female 70\xa0% · male 30\xa0%"),
        ("{{ now | change(then, 'views') }}", "en", {"now": 90, "then": 100}, "▼\xa010.0\xa0%"),
        ("{{ n | duration }}", "ru", {"n": 5400}, "1 ч 30 мин"),
        ("{{ url | link('page & more') }}", "en", {"url": "https://x.y/?a=1&b=2"}, '<a href="https://x.y/?a=1&amp;b=2">page &amp; more</a>'),
        ("last line\n\n{{ url | link('page') }}", "en", {"url": ""}, "last line"),
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


def test_what_goes_to_the_chat_is_shown_as_markup_and_pictures(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    preview("<b>Feed</b>\n1 &lt; 2", b"\x89PNG one", b"\x89PNG two")
    text, *pictures = shown
    assert "<b>Feed</b>\n1 &lt; 2" in text.html and "pre-wrap" in text.html and text.stated["message"] == text.text
    assert [picture.data for picture in pictures] == [b"\x89PNG one", b"\x89PNG two"]
