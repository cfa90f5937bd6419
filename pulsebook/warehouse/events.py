"""An event table as it is on its server: its name, the spelling of its columns, the rows of it that count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pulsebook.base.errors import PulsebookError
from pulsebook.base.periods import Day
from pulsebook.base.settings import settings
from pulsebook.base.words import say
from pulsebook.catalogue import SOURCES, CatalogueError, Source, counts_of, select
from pulsebook.catalogue.checks import EVENT_COLUMNS
from pulsebook.warehouse.client import Warehouse


class UnfinishedDay(PulsebookError, ValueError):
    """A day is not complete in its source yet."""


@dataclass(frozen=True)
class Events:
    """SELECT {feed.select("views", "ctr")} FROM {feed.table} WHERE {feed.rows(day.bounds())}"""

    source: Source
    table: str
    receiver: str = ""  # the column of who receives, as this server spells it
    columns: frozenset[str] = frozenset()  # that it has there

    def rows(self, bounds: str) -> str:
        """SQL that is true for the rows that count within bounds of time."""
        return f"({bounds}) AND ({self.source.rows})" if self.source.rows else bounds

    def sql(self, expression: str) -> str:
        """An expression of the catalogue as this server takes it."""
        places = {"receiver": self.receiver, "timezone": settings().timezone.key}
        return re.sub(r"\{(\w+)\}", lambda place: places[place[1]], expression)

    def has(self, expression: str) -> bool:
        """Whether the columns of events that an expression of the catalogue names are there."""
        words = re.findall(r"\w+", re.sub(r"'[^']*'", "", self.sql(expression)))
        return {*words}.intersection(EVENT_COLUMNS) <= self.columns

    def select(self, *names: str) -> str:
        """The columns of a SELECT that compute these metrics' counts; `with_ratios` then adds the ratios.

        Raises:
            CatalogueError: one of them is not counted from this table.
        """
        if others := [count for count in counts_of(*names) if count.source != self.source.name]:
            raise CatalogueError(
                f"{others[0].name} is counted from {others[0].source}, this SELECT reads {self.source.name}: "
                f"name metrics of {self.source.name}"
            )
        return self.sql(select(*names))

    def seen(self, server: Warehouse, day: Day) -> dict[str, int]:
        """What there is of a day: `rows` that count, and `last_event`, the time of the last one in seconds since 1970."""
        return server.row(
            f"SELECT count() AS rows, toInt64(toUInt32(max(time))) AS last_event "
            f"FROM {self.table} WHERE {self.rows(day.bounds())}"
        )

    def require_finished(
        self, day: Day, seen: Mapping, quiet_hours: float, refusal: str, *, unless: bool = False
    ) -> str:
        """What is known of the rows of a day, in words. A day that is not complete (`Source.unfinished`) is refused: reporting
        it would turn missing data into a drop.

        Args:
            seen: `rows` and `last_event` of the day, as `seen` gives them; NaN: there are none.
            quiet_hours: that may lie between the last event of a finished day and midnight; 0: as the catalogue says.
            refusal: what is not done with an unfinished day, and what to do next.
            unless: it is done all the same.

        Raises:
            UnfinishedDay: says what was expected and found, and the `refusal`.
        """
        why = self.source.unfinished(self.table, day, seen["rows"], seen["last_event"], quiet_hours)
        if why and not unless:
            raise UnfinishedDay(f"{why}. {say(refusal)}")
        minutes = f"{(day.end.timestamp() - seen['last_event']) / 60:.0f}"
        return why or say("complete: the last event is {} minutes before midnight", minutes)


def events(server: Warehouse, name: str, *columns: str) -> Events:
    """The event table of a source of the catalogue, checked for the columns that it must have and for `columns`.

    Raises:
        WarehouseError: there is no such table, or it lacks a column.
    """
    source = SOURCES[name]
    table = f"{settings().source_database}.{source.table}"
    found = server.require(table, tuple(dict.fromkeys((*source.columns, *columns))))
    receiver = next((spelt for spelt in source.receivers if spelt in found), "")
    if source.receivers and not receiver:
        server.require(table, source.receivers[:1])
    return Events(source, table, receiver, frozenset(found))
