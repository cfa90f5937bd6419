"""An event table as it is on its server: its name, the spelling of its columns, the rows of it that count."""

import re
from dataclasses import dataclass

from pulsebook.base.settings import settings
from pulsebook.catalogue import SOURCES, CatalogueError, Source, counts_of, select
from pulsebook.warehouse.client import Warehouse


@dataclass(frozen=True)
class Events:
    """SELECT {feed.select("views", "ctr")} FROM {feed.table} WHERE {feed.rows(day.bounds())}"""

    source: Source
    table: str
    receiver: str = ""  # the column of who receives, as this server spells it

    def rows(self, bounds: str) -> str:
        """SQL that is true for the rows that count within bounds of time."""
        return f"({bounds}) AND ({self.source.rows})" if self.source.rows else bounds

    def sql(self, expression: str) -> str:
        """An expression of the catalogue as this server takes it."""
        places = {"receiver": self.receiver, "timezone": settings().timezone.key}
        return re.sub(r"\{(\w+)\}", lambda place: places[place[1]], expression)

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


def events(server: Warehouse, name: str, *columns: str) -> Events:
    """The event table of a source of the catalogue, checked for the columns that it must have and for `columns`.

    Raises:
        WarehouseError: there is no such table, or it lacks a column.
    """
    source = SOURCES[name]
    table = f"{settings().source_database}.{source.table}"
    receiver = ""
    if source.receivers:
        found = server.columns(table)
        receiver = next((spelt for spelt in source.receivers if spelt in found), source.receivers[0])
    server.require(table, tuple(dict.fromkeys(filter(None, (*source.columns, receiver, *columns)))))
    return Events(source, table, receiver)
