"""The catalogue: each metric once, with its name, labels, unit, source, and how it is computed.

    select("feed_users", "views")     # "uniqExact(user_id) AS feed_users, countIf(action = 'view') AS views"
    frame = with_ratios(frame, "ctr") # adds the column from its numerator and denominator
    text(0.213, "ctr", "ru")          # "21,3 %"

A new metric is one entry of `METRICS` here and one line in the notebook that shows it.
"""

import math
from dataclasses import dataclass

import pandas as pd
from babel.numbers import format_decimal

from pulsebook.anomaly.streams import Stream

MISSING = "–"  # a value that is not known, or a change that cannot be told
SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Metric:
    """One metric. A count has `sql`, an aggregate over the rows of its source; a ratio has two other metrics."""

    name: str
    en: str
    ru: str
    source: str  # feed: views and likes of feed_actions; messages: message_actions; app: both
    sql: str = ""
    numerator: str = ""
    denominator: str = ""
    unit: str = ""  # users, posts, …; %: a share of one
    digits: int = 0  # after the decimal separator
    sensitivity: float = 1.0  # alerts: 1.2 alarms sooner, 0.8 later; tune it with the backtest notebook
    min_deviation: float = 0.15  # alerts: the least change against what was expected, as a share

    def label(self, language: str) -> str:
        """Its name for people."""
        return getattr(self, language)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("dau", "DAU", "DAU", "app", sql="uniqExact(user)", unit="users"),
        Metric("feed_users", "Feed users", "Пользователи ленты", "feed", sql="uniqExact(user_id)", unit="users"),
        Metric("views", "Views", "Просмотры", "feed", sql="countIf(action = 'view')", unit="views"),
        Metric("likes", "Likes", "Лайки", "feed", sql="countIf(action = 'like')", unit="likes"),
        Metric("posts", "Posts seen", "Просмотренные посты", "feed", sql="uniqExactIf(post_id, action = 'view')", unit="posts"),
        Metric("messenger_users", "Senders", "Отправители", "messages", sql="uniqExact(user_id)", unit="users"),
        Metric("messages_sent", "Messages", "Сообщения", "messages", sql="count()", unit="messages"),
        Metric("ctr", "CTR", "CTR", "feed", numerator="likes", denominator="views", unit="%", digits=1),
        Metric("views_per_user", "Views per user", "Просмотров на пользователя", "feed", numerator="views", denominator="feed_users", digits=1),
        Metric("likes_per_user", "Likes per user", "Лайков на пользователя", "feed", numerator="likes", denominator="feed_users", digits=1),
        Metric("messages_per_sender", "Messages per sender", "Сообщений на отправителя", "messages", numerator="messages_sent", denominator="messenger_users", digits=1),
        Metric("wau", "WAU", "WAU", "app", unit="users"),
        Metric("mau", "MAU", "MAU", "app", unit="users"),
        Metric("stickiness", "Stickiness", "Stickiness", "app", numerator="dau", denominator="mau", unit="%", digits=1),
    )
}  # fmt: skip

ALERTS = ("feed_users", "messenger_users", "views", "likes", "ctr", "messages_sent")  # watched every 15 minutes
HELPERS = ("views_per_user", "messages_per_sender")  # tell a fault of an alert's metric from a change of the audience
KNOWN_DAYS: dict[str, str] = {}  # ISO day -> why it is unusual (holiday, campaign): only critical alerts are told then


def streams() -> tuple[Stream, ...]:
    """What the anomaly detector watches: the metrics of `ALERTS` in this order, and the helpers of those.

    The counts of a source fail together, and all counts do when the app fails; a ratio fails on its own.
    """
    helpers = [name for name in HELPERS if {_metric(name).numerator, _metric(name).denominator} <= set(ALERTS)]
    return (*(_stream(name) for name in ALERTS), *(_stream(name, helper=True) for name in helpers))


def _stream(name: str, helper: bool = False) -> Stream:
    metric = _metric(name)
    if metric.numerator:
        return Stream(name, metric.numerator, given=metric.denominator, helper=helper)
    return Stream(name, name, groups=tuple(dict.fromkeys((metric.source, "app"))), helper=helper)


def label(name: str, language: str) -> str:
    """A metric's name for people."""
    return _metric(name).label(language)


def select(*names: str) -> str:
    """The columns of a SELECT that compute these counts, all of one source."""
    sources = {name: _metric(name).source for name in names}
    for name in names:
        if not METRICS[name].sql:
            parts = " and ".join(filter(None, (METRICS[name].numerator, METRICS[name].denominator)))
            raise ValueError(
                f"{name} is no count of its own" + (f": select {parts} and use with_ratios" if parts else "")
            )
    if len(set(sources.values())) > 1:
        raise ValueError(f"a SELECT reads one source, got {', '.join(f'{n} of {s}' for n, s in sources.items())}")
    return ", ".join(f"{METRICS[name].sql} AS {name}" for name in names)


def with_ratios(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The frame with a column for each ratio; a denominator of zero gives NaN, never an error and never zero."""
    ratios = {}
    for name in names:
        parts = _metric(name).numerator, _metric(name).denominator
        if not all(parts):
            raise ValueError(f"{name} is no ratio")
        if missing := [part for part in parts if part not in frame]:
            raise ValueError(f"{name} needs the column {missing[0]}; the frame has {', '.join(map(str, frame))}")
        numerator, denominator = (frame[part].astype("Float64").astype(float) for part in parts)  # any NULL becomes NaN
        ratios[name] = numerator / denominator.where(denominator != 0)
    return frame.assign(**ratios)


def text(value: float, name: str, language: str) -> str:
    """A value as people read it: `1,234,567`, `21.3 %` (en), `1 234 567`, `21,3 %` (ru); `–` when it is missing."""
    metric = _metric(name)
    return percent(value, language, metric.digits) if metric.unit == "%" else number(value, language, metric.digits)


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


def change(now: float, before: float, name: str, language: str) -> str:
    """How a metric moved: `▲ 2.1 %` or `▼ 0.3 pp` (percentage points, for shares); `–` against a missing or zero day."""
    share = _metric(name).unit == "%"
    if _is_missing(now) or _is_missing(before):
        return MISSING
    now, before = float(now), float(before)  # unsigned integers would wrap around
    if share:
        points = {"en": "pp", "ru": "п.п."}[language]
        return _moved((now - before) * 100, language, points)
    return MISSING if before == 0 else _moved((now / before - 1) * 100, language, "%")


def changes(days: pd.Series, name: str, language: str) -> str:
    """The last of consecutive days against the day before and against the same weekday a week ago: `▲ 2.1 % · –`."""
    now, before = days.iloc[-1], [days.iloc[-1 - back] if back < len(days) else None for back in (1, 7)]
    return " · ".join(change(now, then, name, language) for then in before)


def _moved(difference: float, language: str, unit: str) -> str:
    size = number(abs(difference), language, 1)
    mark = "＝" if size == number(0, language, 1) else "▲" if difference > 0 else "▼"
    return f"{mark}{SPACE}{size}{SPACE}{unit}"


def _is_missing(value) -> bool:
    return value is None or pd.isna(value) or math.isinf(value)


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ValueError(f"no metric is named {name}; there are {', '.join(METRICS)}")
    return METRICS[name]
