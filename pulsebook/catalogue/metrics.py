"""Metrics: all that anything shows, stores or watches, each once.

A count is an aggregate over the rows of one source; a ratio is one metric over another and brings both along. A flag makes a
count a column of the ETL's tables, `alert=Alert()` makes a count or a ratio watched every 15 minutes; `correction=Correction(…)`
says from when on a number of it that was told is corrected.
"""

import re
from dataclasses import dataclass

from pulsebook.catalogue.alerts import Alert, Correction
from pulsebook.catalogue.checks import (
    EVENT_COLUMNS,
    TABLE_COLUMNS,
    CatalogueError,
    check_name,
    check_sql,
    check_texts,
    once,
)  # fmt: skip
from pulsebook.catalogue.sources import SOURCES

# columns that others rely on
GIVEN = ("views", "likes", "messages_received", "messages_sent", "users_received", "users_sent")
APP = "app"  # feed and messenger as one: counted by the app's report


@dataclass(frozen=True)
class Count:
    """An aggregate over the rows that count of a source; `{receiver}` in it is the column of who receives, however it is
    spelt, `{timezone}` the business time zone."""

    name: str
    en: str
    ru: str
    source: str  # feed, messages; app: both, of which SQL reads the users of a day (`user`), each once
    sql: str = ""  # the aggregate; empty where the app's report computes it from days
    unit: str = ""  # users, posts, …
    digits: int = 0  # after the decimal separator
    column: bool = False  # also counted for each user and day: a column of the ETL's tables
    user: str = "user_id"  # whom a row counts for there: user_id, or {receiver}
    alert: Alert | None = None
    correction: Correction = Correction(least=10)

    def __post_init__(self):
        _check(self)
        if self.source not in (*SOURCES, APP):
            raise CatalogueError(
                f"metric {self.name!r}: source must be one of {', '.join(SOURCES)}, {APP}; got {self.source!r}"
            )
        if self.sql or self.source != APP:
            check_sql("metric", self.name, "sql", self.sql)
        if self.source == APP and (self.column or self.alert):
            raise CatalogueError(
                f"metric {self.name!r}: only counts of one source can be columns or watched, it is of both"
            )
        receivers = self.source in SOURCES and SOURCES[self.source].receivers
        if self.user not in ("user_id", "{receiver}") or "{receiver}" in self.user + self.sql and not receivers:
            raise CatalogueError(
                f"metric {self.name!r}: nobody receives in {self.source}, or user is not user_id or {{receiver}}"
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the counts that it is computed from."""
        return (self.name,)

    @property
    def additive(self) -> bool:
        """Whether the aggregate over all rows is known to be the sum over users: it counts rows."""
        return bool(re.fullmatch(r"count(If)?\([^()]*\)", self.sql))

    def label(self, language: str) -> str:
        """Its name for people."""
        return getattr(self, language)


@dataclass(frozen=True)
class Ratio:
    """A count over another; not known where the second is zero."""

    name: str
    en: str
    ru: str
    numerator: str
    denominator: str
    unit: str = ""  # %: a share of one
    digits: int = 1  # after the decimal separator
    helper: bool = False  # alerts: tells a fault of its numerator from a change of the audience, while both are watched
    alert: Alert | None = None
    correction: Correction = Correction()

    def __post_init__(self):
        _check(self)
        if self.alert and self.alert.groups:
            raise CatalogueError(f"metric {self.name!r}: a ratio fails on its own: leave the alert's groups empty")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the counts that it is computed from."""
        return self.numerator, self.denominator

    @property
    def source(self) -> str:
        """What it is counted from: that of its numerator."""
        return metric(self.numerator).source

    def label(self, language: str) -> str:
        """Its name for people."""
        return getattr(self, language)


def _check(entry: Count | Ratio) -> None:
    check_name("metric", entry.name, (*EVENT_COLUMNS, *TABLE_COLUMNS))
    check_texts("metric", entry.name, en=entry.en, ru=entry.ru)
    if not isinstance(entry.digits, int) or not 0 <= entry.digits <= 6:
        raise CatalogueError(f"metric {entry.name!r}: digits must be a number from 0 to 6, got {entry.digits!r}")
    if entry.alert is not None and not isinstance(entry.alert, Alert):
        raise CatalogueError(f"metric {entry.name!r}: alert must be Alert(…), got {entry.alert!r}")
    if not isinstance(entry.correction, Correction):
        raise CatalogueError(f"metric {entry.name!r}: correction must be Correction(…), got {entry.correction!r}")


FEED, MESSENGER = Alert(groups=("feed", "app")), Alert(groups=("messages", "app"))

METRICS: dict[str, Count | Ratio] = once(
    "metric",
    (
        Count("dau", "App users (DAU)", "Пользователи приложения (DAU)", "app", "uniqExact(user)", "users"),
        Count("feed_users", "Feed users", "Пользователи ленты", "feed", "uniqExact(user_id)", "users", alert=FEED),
        Count("messenger_users", "Senders", "Отправители", "messages", "uniqExact(user_id)", "users", alert=MESSENGER),
        Count("views", "Views", "Просмотры", "feed", "countIf(action = 'view')", "views", column=True, alert=FEED),
        Count("likes", "Likes", "Лайки", "feed", "countIf(action = 'like')", "likes", column=True, alert=FEED),
        Count("posts", "Posts seen", "Просмотренные посты", "feed", "uniqExactIf(post_id, action = 'view')", "posts"),
        Ratio("ctr", "CTR", "CTR", "likes", "views", "%", alert=Alert()),
        Count("messages_sent", "Messages", "Сообщения", "messages", "count()", "messages", column=True, alert=MESSENGER),
        Count("messages_received", "Received", "Полученные", "messages", "count()", "messages", column=True, user="{receiver}"),
        Count("users_sent", "Written to", "Кому писали", "messages", "uniqExact({receiver})", "users", column=True),
        Count("users_received", "Heard from", "Кто писал", "messages", "uniqExact(user_id)", "users", column=True, user="{receiver}"),
        Ratio("views_per_user", "Views per user", "Просмотров на пользователя", "views", "feed_users", helper=True),
        Ratio("likes_per_user", "Likes per user", "Лайков на пользователя", "likes", "feed_users"),
        Ratio("messages_per_sender", "Messages per sender", "Сообщений на отправителя", "messages_sent", "messenger_users", helper=True),
        Count("wau", "WAU", "WAU", "app", unit="users"),
        Count("mau", "MAU", "MAU", "app", unit="users"),
        Ratio("stickiness", "DAU / MAU", "DAU / MAU", "dau", "mau", "%"),
        Count("new_users", "New users", "Новые пользователи", "app", unit="users"),
        Count("returned", "Returned after a week", "Вернулись спустя неделю", "app", unit="users"),
        Count("lost", "Lost since last week", "Не вернулись с прошлой недели", "app", unit="users"),
    ),
)  # fmt: skip


def metric(name: str) -> Count | Ratio:
    """The metric of that name.

    Raises:
        CatalogueError: there is none.
    """
    return METRICS[name]


def watched() -> tuple[Count | Ratio, ...]:
    """The metrics that have an alert, in the catalogue's order."""
    return tuple(entry for entry in METRICS.values() if entry.alert)


def per_user(source: str = "") -> tuple[Count, ...]:
    """The counts that are columns of the ETL's tables, those of one source or all: `GIVEN` first, then the catalogue's order."""
    columns = {name: entry for name, entry in METRICS.items() if isinstance(entry, Count) and entry.column}
    if missing := [name for name in GIVEN if name not in columns]:
        raise CatalogueError(f"metric {missing[0]!r} must be a count with column=True: others rely on that column")
    ordered = [columns[name] for name in dict.fromkeys((*GIVEN, *columns))]
    return tuple(count for count in ordered if source in ("", count.source))


def counts_of(*names: str) -> tuple[Count, ...]:
    """The counts that these metrics are computed from, each once."""
    return tuple(metric(part) for part in dict.fromkeys(part for name in names for part in metric(name).parts))


def select(*names: str) -> str:
    """The columns of a SELECT that compute these metrics' counts, all of one source; `with_ratios` then adds the ratios.

    Raises:
        CatalogueError: they are of several sources, or are not counted from events.
    """
    counts = counts_of(*names)
    if uncounted := [count.name for count in counts if not count.sql]:
        raise CatalogueError(
            f"{', '.join(uncounted)} cannot be counted from events: the app's report computes it from days"
        )
    if len({count.source for count in counts}) > 1:
        found = ", ".join(f"{count.name} of {count.source}" for count in counts)
        raise CatalogueError(f"a SELECT reads one source, got {found}: name those of one source")
    return ", ".join(f"{count.sql} AS {count.name}" for count in counts)


def _check_ratios() -> None:
    for entry in METRICS.values():
        for part in () if isinstance(entry, Count) else entry.parts:
            if not isinstance(METRICS.get(part), Count):
                raise CatalogueError(f"metric {entry.name!r}: {part!r} must be a count of the catalogue")
        if entry.alert and any(not count.sql or count.source == APP for count in counts_of(entry.name)):
            raise CatalogueError(f"metric {entry.name!r}: only what is counted from one source's events can be watched")


def _check_watched() -> None:
    """What alerts need: a count that tells how many rows a source has, and one that tells that it sends none."""
    for source in SOURCES.values():
        here = [entry for entry in watched() if any(count.source == source.name for count in counts_of(entry.name))]
        volume = METRICS.get(source.volume)
        if (here or source.volume) and not (isinstance(volume, Count) and volume.source == source.name):
            raise CatalogueError(
                f"source {source.name!r}: volume must be a count of it, which alerts take for its rows; got {source.volume!r}"
            )
        if here and all(len({count.source for count in counts_of(entry.name)}) > 1 for entry in here):
            raise CatalogueError(
                f"metric {here[0].name!r}: a ratio of two sources is watched only beside a metric of each; "
                f"make one of {source.name} watched, which tells when that has no data"
            )


_check_ratios()
per_user()  # checks what is given
_check_watched()
