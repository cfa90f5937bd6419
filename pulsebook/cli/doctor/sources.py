"""The event tables: what the catalogue needs of them, the right to read them, their newest event."""

from functools import partial

from pulsebook.base.settings import Settings
from pulsebook.catalogue import DIMENSIONS, EXPLAINED, METRICS, SOURCES, Count
from pulsebook.cli.doctor.findings import Check, Wrong
from pulsebook.cli.doctor.servers import ABSENT, DENIED, Servers, code, said, user_of
from pulsebook.warehouse import WarehouseError
from pulsebook.warehouse.errors import PassingError
from pulsebook.warehouse.events import events
from pulsebook.warehouse.probe import Probe

STALE, AHEAD = 36, 1  # hours: how old the newest event may be, and how far in the future


def checks(servers: Servers, known: Settings) -> list[Check]:
    """A check of each event table."""
    return [
        Check(
            f"source {name}", partial(source_table, servers.source, name, known.source_database), (servers.source_name,)
        )
        for name in SOURCES
    ]


def source_table(probe: Probe, name: str, database: str) -> str:
    """Whether an event table has what the catalogue needs, may be read, and has new events."""
    attributes = {attribute.name: attribute for attribute in (*DIMENSIONS, *EXPLAINED)}.values()
    needed = dict.fromkeys(column for attribute in attributes for column in attribute.columns)
    counts = [m.name for m in METRICS.values() if isinstance(m, Count) and m.source == name and m.sql]
    try:
        table = events(probe, name, *needed)
        nothing = table.rows("0")
        probe.rows(f"SELECT {table.select(*counts)} FROM {table.table} WHERE {nothing}")
        values = ", ".join(f"{attribute.value} AS value_{n}" for n, attribute in enumerate(attributes))
        probe.rows(f"SELECT {values} FROM {table.table} WHERE {nothing}")
        age = _age(probe, table.table)
    except WarehouseError as error:
        table, user = f"{database}.{SOURCES[name].table}", user_of(probe)
        if code(error) in ABSENT:
            raise Wrong(
                f"the event table {table}", said(error), "Correct PULSEBOOK_SOURCE_DATABASE or PULSEBOOK_SOURCE_URL."
            ) from None
        if code(error) in DENIED:
            raise Wrong(
                f"{user} to read {table}", said(error), f"GRANT SELECT ON {table} TO {user} (docs/grants.md)"
            ) from None
        if isinstance(error, PassingError) or "no answer within" in str(error):
            raise Wrong(f"an answer about {table}", said(error), "Is the server busy? Run it again.") from None
        raise Wrong(
            f"{table} as pulsebook/catalogue/ describes it", said(error), "Correct the table or the catalogue."
        ) from None
    load = "Is it being loaded, and are its times in the zone of their column?"
    if age is None:
        raise Wrong(f"events in {table.table}", "an empty table", load)
    if not -AHEAD <= age <= STALE:
        found = f"{age:,.0f} hours old" if age > 0 else f"{-age:,.0f} hours in the future"
        raise Wrong(f"the newest event of {table.table} to be at most {STALE} hours old", f"one {found}", load)
    spelt = f", receiver spelt {table.receiver}" if table.receiver else ""
    return f"{table.table} has all columns{spelt}; its newest event is {max(age, 0):.1f} hours old"


def _age(probe: Probe, table: str) -> float | None:
    """Hours since the newest event; None: there is none. The last days first: an index may help there."""
    for rows in ("time >= now() - 259200", "1"):
        ((now, newest, count),) = probe.rows(
            f"SELECT toUInt32(now()), toUInt32(max(time)), count() FROM {table} WHERE {rows}"
        )
        if int(count):
            return (int(now) - int(newest)) / 3600
    return None
