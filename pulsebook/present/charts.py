"""One look for all pictures: panels of 7 days, readable on a phone.

    >>> views = pd.Series(range(14), pd.date_range("2026-11-09", periods=14))
    >>> picture = Picture("Feed")
    >>> week(picture.panel("Views"), views, "views", "en")
    >>> picture.png()[1:4]  # the bytes that the chat takes
    b'PNG'

Each function draws one kind of chart into a panel; what they share is in `pulsebook.present.panels`.
"""

from collections.abc import Collection, Sequence
from datetime import date
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pulsebook.base.texts import visible
from pulsebook.present import numbers
from pulsebook.present.panels import NAME as NAME
from pulsebook.present.panels import SMALL, Picture, amount_axis, day_axis, label, legend
from pulsebook.present.parts import PARTS, largest

PALETTE = sns.color_palette("deep")
MAIN, FAINT = PALETTE[0], "#b8bec6"
ALARM = PALETTE[3]
BAND = ("value", "low", "high", "week_ago", "anomaly")  # columns that a band is drawn of
WORDS = {
    "en": {
        "before": "the week before", "nothing": "no data", "expected": "expected", "ago": "a week ago", "rest": "other",
        "corrected": "corrected since",
    },
    "ru": {
        "before": "неделей раньше", "nothing": "нет данных", "expected": "ожидание", "ago": "неделю назад", "rest": "другие",
        "corrected": "исправлено позже",
    },
}  # fmt: skip


def week(ax: Axes, values: pd.Series, name: str, language: str, corrected: Collection[date] = ()) -> None:
    """A metric over its last 7 days, the 7 days before as a faint line, the last point labelled.

    Args:
        values: 14 days (index: days), NaN where there is no data: a gap in the line.
        name: the metric, for formats.
        corrected: days whose numbers were told otherwise before; their points are hollow.

    Raises:
        ValueError: it is no series, or of less than 14 days.
    """
    if not isinstance(values, pd.Series) or len(values) < 14:
        found = f"{len(values)} days" if isinstance(values, pd.Series) else f"a {type(values).__name__}"
        raise ValueError(
            f"the chart of {name} takes a series of 14 days, found {found}: reindex the days, NaN is a gap"
        )
    values = values.astype(float)
    days, now, before = values.index[-7:], values.to_numpy()[-7:], values.to_numpy()[-14:-7]
    ax.plot(range(7), before, color=FAINT, linewidth=2, label=WORDS[language]["before"])
    ax.plot(range(7), now, color=MAIN, linewidth=3, marker="o", markersize=6)
    _mark(ax, days, now, corrected, MAIN, language)
    if np.isfinite(now[-1]):
        label(ax, 6, now[-1], numbers.text(now[-1], name, language), MAIN, below=now[-2] > now[-1])
    day_axis(ax, days, language)
    amount_axis(ax, language, share=numbers.is_share(name))
    ax.margins(y=0.25)
    ax.legend(frameon=False, fontsize=SMALL, loc="best")


def lines(
    ax: Axes, frame: pd.DataFrame, language: str, names: Sequence[str] = (), corrected: Collection[date] = ()
) -> None:
    """Several metrics of the same kind over days (index), one line each, named in the legend; gaps where NaN.

    Args:
        names: the metrics of the columns, for formats; without them they are counts.
        corrected: as for `week`.

    Raises:
        ValueError: some are shares, others are not: they have no axis in common; or they are not as many as the columns.
    """
    if names and len(names) != frame.shape[1]:
        raise ValueError(
            f"each column takes the name of its metric: found {len(names)} names, {frame.shape[1]} columns"
        )
    shares, marked = {numbers.is_share(name) for name in names}, []
    if len(shares) > 1:
        raise ValueError(
            f"metrics of one panel must all be shares, or none; got {', '.join(names)}: give each its panel"
        )
    share, drawn = shares == {True}, []
    for place, (color, (_, values)) in enumerate(zip(cycle(PALETTE), frame.items(), strict=False)):
        drawn += ax.plot(range(len(values)), values.astype(float), color=color, linewidth=3, marker="o")
        marked += _mark(ax, frame.index, values.to_numpy(float), corrected, color, language)
        if np.isfinite(last := float(values.iloc[-1])):
            written = numbers.text(last, names[place], language) if names else numbers.number(last, language)
            label(ax, len(values) - 1, last, written, color)
    day_axis(ax, frame.index, language)
    amount_axis(ax, language, share)
    ax.set_ylim(0, np.nanmax([0.01 if share else 1, *frame.max().astype(float)]) * 1.2)
    named = [*frame, *(line.get_label() for line in marked[:1])]
    legend(ax, drawn + marked[:1], named, loc="best")


def _mark(ax: Axes, days: pd.Index, values: np.ndarray, corrected: Collection[date], color, language: str) -> list:
    """The points of corrected days, hollow; nothing where there are none."""
    places = [place for place, day in enumerate(days) if day.date() in corrected and np.isfinite(values[place])]
    how = {"color": color, "markerfacecolor": "white", "markersize": 6, "zorder": 4}
    return ax.plot(places, values[places], "o", label=WORDS[language]["corrected"], **how) if places else []


def days(
    picture: Picture,
    frame: pd.DataFrame,
    names: Sequence[str],
    language: str,
    title: str = "",
    corrected: Collection[date] = (),
) -> None:
    """A panel of metrics over the last 7 of 14 days (index), called as they are or by its title: one metric beside its week
    before, as in `week`; several as in `lines`. The points of days that were corrected are hollow."""
    called = [numbers.label(name, language) for name in names]
    panel = picture.panel(title or " · ".join(called))
    if len(names) == 1:
        week(panel, frame[names[0]], names[0], language, corrected)
    else:
        lines(panel, frame[list(names)].tail(7).set_axis(called, axis=1), language, names, corrected)


def bars(ax: Axes, frame: pd.DataFrame, language: str, share: bool = False) -> None:
    """Parts of a whole over days (index), stacked, one colour for each column; a day of NaN stays empty and says so.
    Of many columns the largest `PARTS` are told apart."""
    frame = largest(frame, PARTS, WORDS[language]["rest"])
    bottom, drawn = np.zeros(len(frame)), []
    for color, (_, values) in zip(PALETTE, frame.items(), strict=False):
        heights = values.astype(float).fillna(0).to_numpy()
        drawn.append(ax.bar(range(len(frame)), heights, bottom=bottom, color=color, width=0.72, linewidth=0))
        bottom += heights
    for place in np.flatnonzero(frame.isna().all(axis=1)):
        ax.annotate(
            WORDS[language]["nothing"],
            (place, 0),
            rotation=90,
            ha="center",
            va="bottom",
            color="#6b7280",
            fontsize=SMALL,
        )
    day_axis(ax, frame.index, language)
    amount_axis(ax, language, share)
    top = bottom.max() if len(bottom) and bottom.max() > 0 else 1
    ax.set_ylim(0, top * 1.3)
    if share:
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    if frame.shape[1]:
        legend(
            ax, drawn, frame, ncols=2, loc="upper left", columnspacing=0.8, handlelength=0.8, handletextpad=0.4,
            borderaxespad=0, labelspacing=0.2,
        ).set_in_layout(False)  # fmt: skip


def curve(ax: Axes, values: pd.Series, language: str, unit: str) -> None:
    """Shares of one over steps (index: 1, 2, …), as a retention curve; first and last point labelled."""
    values = values.astype(float)
    ax.plot(values.index, values, color=MAIN, linewidth=3, marker="o")
    known = values.dropna()
    for place in {known.index[0], known.index[-1]} if len(known) else ():
        label(ax, place, known[place], numbers.percent(known[place], language), MAIN)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(unit, fontsize=SMALL)
    amount_axis(ax, language, share=True)
    ax.set_ylim(0, (known.max() if len(known) else 1) * 1.25)
    ax.set_xlim(values.index[0] - 1.5, values.index[-1] + 1.5)


def nothing(ax: Axes, text: str) -> None:
    """Instead of a chart: why there is none."""
    ax.set_axis_off()
    text = visible(text).replace("$", r"\$")
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="#6b7280", fontsize=SMALL + 2)


def clock(ax: Axes, frame: pd.DataFrame, language: str) -> None:
    """A day by its 15 minutes: the first column as the line, the others faint. Index: minutes since midnight."""
    drawn = []
    for place, (_, values) in reversed(list(enumerate(frame.items()))):
        color, width = (MAIN, 2.5) if place == 0 else ("#9aa3ad", 2)
        drawn += ax.plot(frame.index / 60, values.astype(float), color=color, linewidth=width)
    ax.set_xticks(range(0, 25, 6), [f"{hour:02}:00" for hour in range(0, 25, 6)])
    amount_axis(ax, language)
    ax.set_ylim(bottom=0)
    legend(ax, drawn, frame.iloc[:, ::-1], loc="lower right")


def band(ax: Axes, slots: pd.DataFrame, name: str, language: str) -> None:
    """A metric by its 15 minutes beside what was expected, anomalies marked.

    Args:
        slots: index: slot starts in local time; columns value, low, high, week_ago, anomaly (bool). NaN: a gap.
        name: the metric, for formats.

    Raises:
        ValueError: a column is missing.
    """
    if missing := [column for column in BAND if column not in slots]:
        raise ValueError(
            f"the chart of {name} needs the columns {', '.join(BAND)}; {missing[0]} is not among {', '.join(slots)}"
        )
    place = np.arange(len(slots))
    ax.fill_between(
        place, slots["low"], slots["high"], color=MAIN, alpha=0.18, linewidth=0, label=WORDS[language]["expected"]
    )
    ax.plot(place, slots["week_ago"].astype(float), color=FAINT, linewidth=2, label=WORDS[language]["ago"])
    values = slots["value"].astype(float)
    ax.plot(place, values, color=MAIN, linewidth=2.5)
    off = slots["anomaly"].to_numpy(bool)
    ax.plot(place[off], values[off], "o", color=ALARM, markersize=7)
    for missing in place[off & values.isna().to_numpy()]:
        ax.axvspan(missing - 0.5, missing + 0.5, color=ALARM, alpha=0.25, linewidth=0)
    if len(values) and np.isfinite(last := values.iloc[-1]):
        falls = len(values) > 1 and values.iloc[-2] > last
        label(ax, place[-1], last, numbers.text(last, name, language), ALARM if off[-1] else MAIN, below=falls)
    marks = [n for n, at in enumerate(slots.index) if at.minute == 0 and at.hour % 6 == 0]
    ax.set_xticks(marks, [f"{slots.index[n]:%H:%M}" for n in marks], fontsize=SMALL)
    ax.set_xlim(-1, len(slots) + 3)
    amount_axis(ax, language, share=numbers.is_share(name))
    low, high = ax.get_ylim()
    low = low if numbers.is_share(name) else 0
    ax.set_ylim(low, high + (high - low) / 8)  # room for the value of the last point, which may be the highest
    ax.legend(frameon=False, fontsize=SMALL, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
