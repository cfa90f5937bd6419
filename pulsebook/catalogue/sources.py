"""The event tables: which of their rows count, and when a day of theirs is complete."""

from dataclasses import dataclass

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
