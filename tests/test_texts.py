"""Text from data: seen everywhere as it is, and nowhere in the way."""

import html
import io
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pulsebook import chat
from pulsebook.base.texts import short, visible
from pulsebook.catalogue import Dimension
from pulsebook.chat.markup import check
from pulsebook.chat.pictures import fitting
from pulsebook.present import charts
from pulsebook.present.parts import largest, parts

# Every kind of character: half surrogate pairs (as text that is not UTF-8 arrives), controls, formulas, other scripts
texts = st.text(st.characters(categories=None), max_size=30) | st.sampled_from(
    [
        "$x^$",
        "_web",
        "$$",
        r"\$",
        "a$b",
        "__",
        "\x1b[31mred\x1b[0m",
        "\udcff",
        "\ud83d",
        "",
        " ",
        "\0",
        "<b>",
        "%s",
        "{x}",
    ]
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(texts)
@example("\x1b]0;title\x07plain\x1b[1;31mred\x1b[0m")
def test_a_visible_text_can_be_encoded_and_holds_no_commands(text):
    shown = visible(text)
    assert shown.encode("utf-8") and "\x1b" not in shown or not shown
    assert not any(unicodedata.category(c) == "Cc" and c not in "\t\n" for c in shown)
    if text.isprintable():
        assert shown == text
    assert visible(shown) == shown
    assert len(short(text, 8)) <= 8 and "\n" not in short(text, 8)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(texts)
def test_an_escaped_text_is_one_that_the_chat_takes_and_shows(text):
    message = f"<b>{chat.escape(text)}</b>"
    check(message)
    assert html.unescape(message[3:-4]) == visible(text)


@settings(deadline=None, derandomize=True, max_examples=5)
@given(st.lists(texts, min_size=1, max_size=4))
@example(["$x^$", "_web", "\udcff", r"a\$b$"])
@pytest.mark.filterwarnings("ignore:Glyph")  # the font lacks some scripts
@pytest.mark.filterwarnings("ignore:Matplotlib currently does not support")
def test_any_names_are_drawn_and_stand_in_the_legend(names):
    days = pd.date_range("2026-11-16", periods=7)
    frame = pd.DataFrame(np.ones((7, len(names))), days, pd.Index(names, dtype=object))
    for draw in (charts.bars, charts.lines):
        picture = charts.Picture(names[0])
        ax = picture.panel(names[-1])
        draw(ax, frame, "en")
        assert picture.png()
        shown = [text.get_text().replace(r"\$", "$") for text in ax.get_legend().get_texts()]
        assert shown == [short(name, charts.NAME) for name in names]
        charts.nothing(ax, names[-1])
        assert picture.png()


def test_of_many_parts_the_largest_are_told_apart_and_nothing_is_lost():
    days = pd.date_range("2026-11-16", periods=7)
    frame = pd.DataFrame({f"value {n}": np.full(7, n) for n in range(1, 101)}, days, dtype=float)
    frame.iloc[2] = np.nan
    folded = largest(frame, 5, "other")
    assert list(folded) == ["value 100", "value 99", "value 98", "value 97", "other"]
    pd.testing.assert_series_equal(folded.sum(axis=1, min_count=1), frame.sum(axis=1, min_count=1))
    ax = charts.Picture("").panel("")
    charts.bars(ax, frame, "en")
    assert ax.get_legend().get_texts()[-1].get_text() == "other"


def test_parts_stand_by_their_size_or_in_the_order_of_their_bands_and_of_equal_ones_the_first_come_first():
    views = pd.DataFrame({"a": [1, 1], "b": [4, 4], "c": [1, 1], "none": [0, 0], "unknown": [9, np.nan]})
    assert list(parts(views, Dimension("os", "os", "ос"))) == ["unknown", "b", "a", "c"]
    many = pd.DataFrame([[2.0] * 20], columns=[f"v{n:02}" for n in range(20)])
    told = parts(many, Dimension("os", "os", "ос"))
    assert list(told) == [*(f"v{n:02}" for n in range(7)), "other"] and told["other"].tolist() == [26.0]
    ages = pd.DataFrame({"45+": [5], "18–44": [9], "unknown": [7], "<18": [1]})
    assert list(parts(ages, Dimension("age", "age", "возраст", bands=(18, 45)))) == ["<18", "18–44", "45+", "unknown"]
    assert parts(views[["none"]], Dimension("os", "os", "ос")).empty


def png(mode: str, size: tuple[int, int], kind: str = "PNG") -> bytes:
    Image.new(mode, size).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("CMYK", "JPEG"), ("F", "TIFF"), ("RGB", "GIF"), ("1", "PNG")],
)
@pytest.mark.parametrize("size", [(60, 40), (12_000, 30), (1, 300)])
def test_a_picture_of_any_kind_fits_the_chat(mode, kind, size):
    fitted = Image.open(io.BytesIO(fitting(png(mode, size, kind))))
    fitted.load()
    assert fitted.format == "PNG" and sum(fitted.size) <= 10_000 and max(fitted.size) <= 20 * min(fitted.size)


def test_a_picture_that_fits_stays_as_it_is():
    assert fitting(whole := png("RGBA", (60, 40))) == whole


@pytest.mark.parametrize(
    ("photo", "says"),
    [
        (b"", "found no bytes at all"),
        (b"no picture", "found 10 bytes that are no whole picture"),
        (png("RGB", (60, 40))[:-30], "that are no whole picture"),
        (png("1", (15_000, 13_000)), "too many pixels: draw it smaller, or with a lower dpi.*195000000"),
        ("chart.png", "must be the bytes of a PNG, .* got str"),
        (None, "got NoneType"),
    ],
    ids=["empty", "text", "cut off", "195 megapixels", "path", "none"],
)
def test_what_is_no_picture_for_a_chat_is_reported_before_anything_is_sent(photo, says, configured):
    with pytest.raises(ValueError, match=says):
        chat.post("k", "text", [photo])
    assert not (configured().outputs / "chat").exists()
