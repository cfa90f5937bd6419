"""The charts: what an axis says is where its lines are; a picture has room for its panels."""

import io
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pulsebook.base.settings import settings
from pulsebook.chat.pictures import fitting
from pulsebook.present import charts, panels

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "тыс.": 10**3, "млн": 10**6, "млрд": 10**9}


def read(label: str, language: str) -> Decimal:
    """The number that a label stands for."""
    if language == "ru":
        label = label.replace(",", ".")
    written = label.replace("\xa0", "").rstrip("%")
    digits = written.rstrip("KMBтысмлнрд." if language == "ru" else "KMB")
    unit = written[len(digits) :]
    return Decimal(digits) * UNITS[unit] / (100 if "%" in label else 1)


def labels(ax) -> tuple[list[float], list[str]]:
    """The ticks that are in sight, and what is written at them."""
    ax.figure.draw_without_rendering()
    low, high = ax.get_ylim()
    ticks = [(tick.get_loc(), tick.label1.get_text()) for tick in ax.yaxis.get_major_ticks()]
    places, texts = zip(*((place, text) for place, text in ticks if low <= place <= high), strict=True)
    return list(places), list(texts)


COUNTS = [(0, 3), (0, 900), (950, 1_150), (5_650, 6_180), (5_900, 5_960), (18_000, 23_000), (99_000, 101_000),
          (0, 1_234_567), (1_230_000, 1_240_000), (999_000_000, 1_001_000_000)]  # fmt: skip
SHARES = [(0.2, 0.21), (0.2025, 0.2110), (0.205, 0.2052), (0, 0.3), (0.1, 0.9), (0.0001, 0.0004)]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(("name", "range_"), [*(("views", r) for r in COUNTS), *(("ctr", r) for r in SHARES)])
def test_labels_of_an_axis_are_exact(name, range_, language):
    days = pd.date_range("2026-11-06", periods=14)
    ax = charts.Picture("").panel("")
    charts.week(ax, pd.Series(np.linspace(*range_, 14), days), name, language)
    places, texts = labels(ax)
    numbers = [read(text, language) for text in texts]
    assert len(numbers) >= 3
    assert [float(number) for number in numbers] == pytest.approx(places, rel=1e-9, abs=1e-9)
    assert len({b - a for a, b in zip(numbers, numbers[1:], strict=False)}) == 1, texts
    assert "-0" not in texts and max(map(len, texts)) <= 11, texts


DAYS = pd.date_range("2026-11-06", periods=14)
WIDTH, ROW = 1080, 540  # pixels


def grown(panels: int, columns: int = 2) -> charts.Picture:
    picture = charts.Picture("Title", columns)
    for number in range(panels):
        charts.week(picture.panel(f"panel {number}"), pd.Series(np.arange(14.0) + number, DAYS), "views", "en")
    return picture


@pytest.mark.parametrize(("panels", "rows"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (12, 6)])
def test_a_picture_grows_with_its_panels(panels, rows):
    picture = grown(panels)
    png = picture.png()
    image = Image.open(io.BytesIO(png))
    assert image.size == (WIDTH, ROW * rows)
    assert fitting(png) == png, "the chat takes it as it is"
    places = [panel.get_position() for panel in picture.figure.axes]
    assert [panel.get_title(loc="left") for panel in picture.figure.axes] == [f"panel {n}" for n in range(panels)]
    for number, place in enumerate(places):
        row, column = divmod(number, 2)
        assert 1 - (row + 1) / rows <= place.y0 < place.y1 <= 1 - row / rows, "rows from above"
        assert column / 2 <= place.x0 < place.x1 <= (column + 1) / 2 or panels == 1
    if panels == 1:
        assert places[0].width > 0.8, "a single one is wide"
    elif panels % 2:
        blank = image.convert("RGB").crop((WIDTH // 2 + 20, ROW * (rows - 1) + 60, WIDTH, ROW * rows))
        assert blank.getcolors() == [(blank.width * blank.height, (255, 255, 255))], "no panel, no axes"


def test_panels_of_a_column_lie_below_each_other():
    picture = grown(3, columns=1)
    assert Image.open(io.BytesIO(picture.png())).size == (WIDTH, ROW * 3)
    assert [panel.get_position().width > 0.8 for panel in picture.figure.axes] == [True] * 3


def test_lines_are_written_as_their_metrics_are():
    frame = pd.DataFrame({"a": [0.2, 0.215], "b": [0.3, 0.31]}, DAYS[:2])
    for names, written in (
        (("ctr", "stickiness"), ["21.5\xa0%", "31.0\xa0%"]),
        (("views_per_user", "likes_per_user"), ["0.2", "0.3"]),
        ((), ["0", "0"]),
    ):
        ax = charts.Picture("").panel("")
        charts.lines(ax, frame, "en", names)
        assert [text.get_text() for text in ax.texts] == written
        places, shown = labels(ax)
        assert [float(read(label, "en")) for label in shown] == pytest.approx(places, abs=1e-9)
    with pytest.raises(ValueError, match="must all be shares, or none; got ctr, views: give each its panel"):
        charts.lines(charts.Picture("").panel(""), frame, "en", ("ctr", "views"))


def test_a_metric_of_days_is_drawn_beside_its_week_before_and_several_are_lines_of_one_panel():
    frame = pd.DataFrame({"ctr": np.arange(14) / 100, "views": np.arange(14), "likes": np.arange(14) * 2}, DAYS)
    picture = charts.Picture("Title")
    charts.days(picture, frame, ["ctr"], "en")
    charts.days(picture, frame, ("views", "likes"), "ru")
    charts.days(picture, frame, ["views"], "en", "Seen")
    assert [panel.get_title(loc="left") for panel in picture.figure.axes] == ["CTR", "Просмотры · Лайки", "Seen"]
    drawn = [[list(line.get_ydata()) for line in panel.lines] for panel in picture.figure.axes]
    seven = [*range(7, 14)]
    assert drawn[0] == [[n / 100 for n in range(7)], [n / 100 for n in seven]], "the week before, and the week"
    assert drawn[1] == [seven, [n * 2 for n in seven]] and drawn[2] == [[*range(7)], seven]


@pytest.mark.parametrize(("country", "red", "named"), [("RU", ["4"], "День народного единства"), ("", [], "")])
def test_public_holidays_are_red_and_named(country, red, named, outputs, monkeypatch):
    monkeypatch.setenv("PULSEBOOK_COUNTRY", country)
    settings.cache_clear()
    picture = charts.Picture("")
    charts.week(picture.panel(""), pd.Series(range(14), pd.date_range("2026-10-25", periods=14)), "views", "ru")
    (ax,) = picture.figure.axes
    assert [tick.get_text().split("\n")[1] for tick in ax.get_xticklabels() if tick.get_color() == panels.RED] == red
    assert ax.get_xlabel() == named


@pytest.mark.parametrize("name", ["views", "ctr"])
def test_the_legend_of_an_alert_lies_beside_its_curve_and_its_last_value(name):
    slots = pd.date_range("2026-11-13 13:30", periods=96, freq="15min", tz="Europe/Moscow")
    usual = np.linspace(0.3, 0.2, 96)  # high on the left, where a legend usually lies
    values = np.append(usual[:-1], 0.5)
    columns = {"value": values, "low": usual * 0.9, "high": usual * 1.1, "week_ago": usual, "anomaly": values > 0.4}
    ax = charts.Picture("", columns=1).panel("Пользователи ленты")
    charts.band(ax, pd.DataFrame(columns, slots), name, "ru")
    ax.figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    (last,) = ax.texts
    for other in (ax, ax._left_title, last):
        assert not legend.overlaps(other.get_window_extent())
