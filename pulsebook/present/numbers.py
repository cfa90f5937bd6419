"""Numbers as people read them, and nothing said where nothing is known.

    >>> text(1234.5, "views_per_user", "en"), text(float("nan"), "views", "en")
    ('1,234.5', '–')
    >>> with_ratios(pd.DataFrame({"likes": [21, 0], "views": [100, 0]}), "ctr")["ctr"].tolist()
    [0.21, nan]

What a metric is stands in `pulsebook.catalogue`.
"""

import math

import pandas as pd
from babel.numbers import format_decimal

from pulsebook.base.spelling import meant
from pulsebook.catalogue import CatalogueError, Count, metric

MISSING = "–"  # a value that is not known, or a change that cannot be told
SPACE = "\N{NO-BREAK SPACE}"


def label(name: str, language: str) -> str:
    """A metric's name for people."""
    return metric(name).label(language)


def with_ratios(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The frame with a column for each of these metrics that is a ratio; a denominator of zero gives NaN, never an error
    and never zero.

    Raises:
        CatalogueError: the frame lacks one of these counts, or one that a ratio needs.
    """
    ratios = {}
    for name in names:
        if missing := [part for part in metric(name).parts if part not in frame]:
            there = [str(column) for column in frame]
            raise CatalogueError(
                f"{name} needs the column {missing[0]}; the frame has {', '.join(there)}{meant(missing[0], there)}"
            )
        if isinstance(metric(name), Count):
            continue
        numerator, denominator = (
            frame[part].astype("Float64").astype(float) for part in metric(name).parts
        )  # any NULL becomes NaN
        ratios[name] = numerator / denominator.where(denominator != 0)
    return frame.assign(**ratios)


def by_day(frame: pd.DataFrame, day, days: int) -> pd.DataFrame:
    """The frame with a row for each of the last `days` days up to `day` (index), by its column `day`; one that it lacks is
    missing, not zero."""
    return frame.set_index("day").reindex(pd.date_range(end=str(day), periods=days))


def text(value: float, name: str, language: str) -> str:
    """A value as people read it: `1,234,567`, `21.3 %` (en), `1 234 567`, `21,3 %` (ru); `–` when it is missing."""
    write = percent if is_share(name) else number
    return write(value, language, metric(name).digits)


def is_share(name: str) -> bool:
    """Whether a metric is a share of one, written in percent."""
    return metric(name).unit == "%"


def number(value: float, language: str, digits: int = 0) -> str:
    """A number with the language's separators; `–` when it is missing."""
    if _is_missing(value):
        return MISSING
    written = format_decimal(value, f"#,##0.{'0' * digits}".rstrip("."), locale=language)
    return written if set(written) & set("123456789") else written.lstrip("-")


def plural(count: int, noun: str) -> str:
    """A number of things in English, as headlines have it: `1 slot`, `1,200 slots`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(value: float, language: str, digits: int = 1) -> str:
    """A share of one as percent; `–` when it is missing."""
    return MISSING if _is_missing(value) else f"{number(value * 100, language, digits)}{SPACE}%"


def signed(share: float, language: str) -> str:
    """A change as a share of one, with its sign: `−62.3 %`, `+4.0 %`; `–` when it is missing."""
    return MISSING if _is_missing(share) else f"{'−' if share < 0 else '+'}{percent(abs(share), language)}"


def duration(seconds: int, language: str) -> str:
    """A time as people say it, to the minute: `1 d 5 h 30 min`, `45 мин`."""
    names = {"en": ("d", "h", "min"), "ru": ("д", "ч", "мин")}[language]
    parts = zip((seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60), names, strict=True)
    return " ".join(f"{count} {name}" for count, name in parts if count)


def moved(now: float, before: float, name: str, language: str) -> str:
    """How a metric was corrected: `+3.2 %` or `−0.3 pp` (percentage points, for shares); `–` where one is not known or was zero."""
    arrow = change(now, before, name, language)
    signs = {"▲": "+", "▼": "−", "=": "±"}
    return signs[arrow[0]] + arrow[2:] if arrow[0] in signs else arrow


def change(now: float, before: float, name: str, language: str) -> str:
    """How a metric moved: `▲ 2.1 %` or `▼ 0.3 pp` (percentage points, for shares); `–` against a missing or zero day."""
    if _is_missing(now) or _is_missing(before):
        return MISSING
    now, before = float(now), float(before)  # unsigned integers would wrap around
    if is_share(name):
        points = {"en": "pp", "ru": "п.п."}[language]
        return _moved((now - before) * 100, language, points)
    return MISSING if before == 0 else _moved((now / before - 1) * 100, language, "%")


def changes(days: pd.Series, name: str, language: str) -> str:
    """The last of consecutive days against the day before and against the same weekday a week ago: `▲ 2.1 % · –`."""
    now, before = days.iloc[-1], [days.iloc[-1 - back] if back < len(days) else None for back in (1, 7)]
    return " · ".join(change(now, then, name, language) for then in before)


def _moved(difference: float, language: str, unit: str) -> str:
    size = number(abs(difference), language, 1)
    mark = "=" if size == number(0, language, 1) else "▲" if difference > 0 else "▼"
    return f"{mark}{SPACE}{size}{SPACE}{unit}"


def _is_missing(value) -> bool:
    return value is None or pd.isna(value) or math.isinf(value)
