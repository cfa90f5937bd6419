"""The event tables: which of their rows count, and when a day of theirs is complete."""

from dataclasses import dataclass

from pulsebook.base.periods import Day
from pulsebook.base.words import number, say
from pulsebook.catalogue.checks import CatalogueError, check_name, check_sql, once


@dataclass(frozen=True)
class Source:
    """An event table of the source database. Its rows have `user_id`, who acts, and `time`."""

    name: str
    table: str
    columns: tuple[str, ...]  # that it must have
    rows: str = ""  # SQL that is true for the rows that count; empty: all of them
    receivers: tuple[str, ...] = ()  # spellings of the column of who receives, the right one first
    volume: str = (
        ""  # its count that alerts take for its rows: where usual slots have few of it, an empty one is no gap
    )
    complete_hours: float = 3.0  # a finished day has events until so many hours before midnight
    en: str = ""  # what people call it; empty: its name
    ru: str = ""

    def __post_init__(self):
        check_name("source", self.name)
        check_name("source", self.table)
        for column in ("user_id", "time"):
            if column not in self.columns:
                raise CatalogueError(f"source {self.name!r}: columns must hold {column}, got {self.columns}")
        if self.rows:
            check_sql("source", self.name, "rows", self.rows)
        if not 0 < self.complete_hours <= 24:
            raise CatalogueError(f"source {self.name!r}: complete_hours must be in (0, 24], got {self.complete_hours}")

    def label(self, language: str) -> str:
        """Its name for people."""
        return getattr(self, language) or self.name

    def unfinished(self, table: str, day: Day, rows: float, last_event: float, quiet_hours: float = 0.0) -> str:
        """Why a day is not complete in its table, in words; empty: it is. It must have rows, and the last of them must not lie
        too long before midnight: else it is still being loaded.

        Args:
            rows: that count; NaN: not known.
            last_event: the time of the last one, in seconds since 1970.
            quiet_hours: that may lie between it and midnight; 0: `complete_hours`.
        """
        quiet, expected = (day.end.timestamp() - last_event) / 3600, quiet_hours or self.complete_hours
        if not rows > 0:
            return say("{} has no rows on {}", table, day)
        if quiet <= expected:
            return ""
        unfinished = "{} looks unfinished on {}: its last event is {} hours before midnight, expected at most {}"
        return say(unfinished, table, day, number(f"{quiet:.1f}"), number(f"{expected:g}"))


SOURCES = once(
    "source",
    (
        Source(
            "feed",
            "feed_actions",
            ("user_id", "action", "time"),
            rows="action IN ('view', 'like')",
            volume="views",
            en="Feed",
            ru="Лента",
        ),
        Source(
            "messages",
            "message_actions",
            ("user_id", "time"),
            receivers=("receiver_id", "reciever_id"),
            volume="messages_sent",
            en="Messenger",
            ru="Мессенджер",
        ),
    ),
)
