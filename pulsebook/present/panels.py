"""A picture of panels, and what all charts in them share: names, legends, labels, axes.

Figures are drawn without pyplot: nothing global, nothing to close.
"""

import io
import math
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from textwrap import wrap

import seaborn as sns
from babel.dates import format_date
from babel.numbers import format_compact_decimal
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pulsebook.base.texts import short
from pulsebook.present import numbers
from pulsebook.present.days import holiday

PIXELS, DPI = 1080, 120  # width of a picture; its height is half as much for each row of panels
SMALL, LARGE = 13, 17  # points
RED = "#b3261e"  # of holidays
NAME, TITLE = 40, 120  # characters of a name from data, of a title
WIDE = 36  # characters that fit below a panel of half the picture


class Picture:
    """A figure of panels, in rows of `columns` from the upper left: it grows with its panels. A single one is as wide as the
    picture; a place without a panel stays blank."""

    def __init__(self, title: str, columns: int = 2):
        self.figure = Figure(dpi=DPI, layout="constrained")
        self.figure.get_layout_engine().set(hspace=0.05, wspace=0.04, h_pad=0.1, w_pad=0.1)
        self.figure.suptitle(called(title, TITLE), fontsize=LARGE + 3, fontweight="bold")
        self._columns = columns

    def panel(self, title: str) -> Axes:
        """The next panel."""
        with sns.axes_style("whitegrid", {"axes.edgecolor": "#d5d9de"}):
            ax = self.figure.add_subplot()
        panels = self.figure.axes
        columns = min(self._columns, len(panels))
        rows = math.ceil(len(panels) / columns)
        self.figure.set_size_inches(PIXELS / DPI, PIXELS / DPI * rows / 2)
        grid = self.figure.add_gridspec(rows, columns)
        for place, panel in enumerate(panels):
            panel.set_subplotspec(grid[divmod(place, columns)])
        ax.set_title(called(title, TITLE), loc="left", fontweight="bold", fontsize=LARGE)
        ax.tick_params(labelsize=SMALL)
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax, left=True)
        return ax

    def png(self) -> bytes:
        """The picture; the same data give the same bytes."""
        self.figure.savefig(buffer := io.BytesIO(), format="png", metadata={"Software": None})
        return buffer.getvalue()


def called(text, most: int = NAME) -> str:
    """A text as matplotlib shows it to the letter: a `$` of its own would begin a formula."""
    return short(text, most).replace("$", r"\$")


def legend(ax: Axes, drawn: list, names: Iterable, **how):
    """A legend of what was drawn, by its names, such as a frame's columns. matplotlib leaves out labels that begin with `_`, unless
    they are handed to the legend itself."""
    return ax.legend(drawn, [called(name) for name in names], frameon=False, fontsize=SMALL, **how)


def label(ax: Axes, x: float, y: float, text: str, color, below: bool = False) -> None:
    """A value above its point, or below it where the line comes from above; legible where another line passes."""
    ax.annotate(
        text, (x, y), xytext=(0, -9 if below else 9), textcoords="offset points", ha="center", va="top" if below else "bottom",
        fontweight="bold", color=color, fontsize=SMALL + 1, path_effects=[withStroke(linewidth=4, foreground="white")], zorder=5,
    )  # fmt: skip


def day_axis(ax: Axes, days, language: str) -> None:
    """Day names on the axis; public holidays red, as in a calendar, and named below."""
    days = [date(d.year, d.month, d.day) for d in days]
    ax.set_xticks(range(len(days)), [format_date(day, "EEE\nd", locale=language) for day in days], fontsize=SMALL)
    ax.set_xlim(-0.5, len(days) - 0.3)
    names = [holiday(day, language) for day in days]
    for tick, name in zip(ax.get_xticklabels(), names, strict=True):
        if name:
            tick.set(color=RED, fontweight="bold")
    if different := list(dict.fromkeys(filter(None, names))):
        lines = wrap(called(" · ".join(different), 3 * NAME), WIDE)
        ax.set_xlabel("\n".join(lines), fontsize=SMALL, color=RED)


def amount_axis(ax: Axes, language: str, share: bool = False) -> None:
    """Short numbers on the axis, never rounded: 500K, 5.85K, 20 %, 20.5 %."""

    def shown(value, _):
        exact = Decimal(f"{value * (100 if share else 1):.10g}") + 0  # without a float's noise, and no -0
        if share:
            return numbers.percent(exact / 100, language, max(0, -exact.as_tuple().exponent))
        return format_compact_decimal(exact, locale=language, fraction_digits=10)

    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))  # few digits
    ax.yaxis.set_major_formatter(FuncFormatter(shown))
