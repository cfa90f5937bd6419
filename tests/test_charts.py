"""The charts: what an axis says is where its lines are."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from pulsebook import charts

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
