"""`{target_db}.incidents`: one row for each slot in which something became of an incident, and one for each check.

The state before any slot can be read back, so a check that is repeated comes to the same events. What the slots would say of an
incident now that they are corrected is a row of its own, a note; so is the state of a day's rows that its slots were corrected for.
"""

import json
from collections.abc import Iterable

from pulsebook.base.periods import Day
from pulsebook.base.settings import settings
from pulsebook.incidents import QUARTER, Incident
from pulsebook.warehouse import Warehouse, quoted

CHECKED, RECOUNTED = "checked", "recounted"  # in place of an incident
NOTES = {True: "would be raised", False: "would not be raised"}  # the status of a note: by the slots as they are now
COLUMNS = {
    "slot": "DateTime", "at": "DateTime", "incident": "String", "status": "String", "opened": "DateTime", "state": "String",
}  # fmt: skip
FORGOTTEN = 31 * 86400  # seconds: how far back open incidents are looked for


class Store:
    """The table, made at its first use."""

    def __init__(self):
        self.warehouse, table = Warehouse.target(), f"{settings().target_database}.incidents"
        self.table = self.warehouse.ensure(table, COLUMNS, partition="toYYYYMM(slot)", order="(slot, incident, at)")

    def last_checked(self, slot: int) -> int | None:
        """The newest slot before `slot` that was checked to the end; None: there is none."""
        found = self.warehouse.scalar(f"""
            SELECT toInt64(toUInt32(max(slot))) FROM {self.table}
            WHERE incident = '{CHECKED}' AND slot < toDateTime({slot})
        """)
        return int(found) or None

    def is_past(self, slot: int) -> bool:
        """Whether a later slot was checked to the end: what `slot` holds is no news any more."""
        found = self.warehouse.scalar(f"""
            SELECT count() FROM {self.table} WHERE incident = '{CHECKED}' AND slot > toDateTime({slot})
        """)
        return found > 0

    def open_before(self, slot: int) -> list[Incident]:
        """The incidents that were open before a slot, or may come back in it, oldest first."""
        rows = self.warehouse.read(f"""
            SELECT incident, toInt64(toUInt32(slot)) AS since, toInt64(toUInt32(at)) AS written, state
            FROM {self.table}
            WHERE {self._of_incidents()} AND NOT {self._is_note()}
                AND slot < toDateTime({slot}) AND slot >= toDateTime({slot - FORGOTTEN})
        """)
        newest = rows.sort_values(["since", "written"]).groupby("incident")["state"].last()
        known = [Incident(**json.loads(state)) for state in newest]
        return sorted((i for i in known if i.resolved is None or i.may_come_back(slot)), key=lambda i: i.opened)

    def save(self, slot: int, incidents: list[Incident]) -> None:
        """State what became of incidents in a slot."""
        for incident in incidents:
            status = "opened" if incident.opened == slot else "updated"
            if incident.resolved is not None:
                status = "resolved"
            self._add(slot, incident.id, status, incident.opened, json.dumps(incident.as_dict()))

    def close(self, slot: int) -> None:
        """State that a slot was checked to the end, its messages delivered."""
        self._add(slot, CHECKED, CHECKED, slot, "")

    def opened(self, days: Iterable[Day]) -> dict[str, tuple[Incident, bool]]:
        """The incidents that opened on these days, by id, as they were seen last, and whether they would be raised: as the last
        note says, else they were raised."""
        within = " OR ".join(f"({day.bounds('opened')})" for day in days)
        rows = self.warehouse.read(f"""
            SELECT incident, status, state, {self._is_note()} AS is_note
            FROM {self.table} WHERE {self._of_incidents()} AND ({within})
            ORDER BY is_note DESC, slot, at
        """)
        said = rows[rows["is_note"] == 1].groupby("incident")["status"].last()
        states = rows.groupby("incident")["state"].last()  # a note's only where there is no other
        return {name: (Incident(**json.loads(state)), said.get(name) != NOTES[False]) for name, state in states.items()}

    def note(self, incident: Incident, would_be_raised: bool) -> None:
        """State what the slots as they are now say of an incident."""
        self._add(incident.opened, incident.id, NOTES[would_be_raised], incident.opened, json.dumps(incident.as_dict()))

    def recounted(self, days: Iterable[Day]) -> dict[Day, str]:
        """In which state the rows of a day were that its slots were counted from anew, as `recount` was told; not of other days."""
        rows = self.warehouse.read(f"""
            SELECT toInt64(toUInt32(slot)) AS epoch, argMax(state, at) AS last_state FROM {self.table}
            WHERE incident = '{RECOUNTED}' GROUP BY epoch
        """)
        known = dict(rows.itertuples(index=False, name=None))
        starts = {day: int(day.start.timestamp()) for day in days}
        return {day: known[start] for day, start in starts.items() if start in known}

    def recount(self, day: Day, rows: str) -> None:
        """State that a day's slots are those of its rows, which are in this state."""
        start = int(day.start.timestamp())
        self._add(start, RECOUNTED, RECOUNTED, start, rows)

    @staticmethod
    def _of_incidents() -> str:
        return f"incident NOT IN ('{CHECKED}', '{RECOUNTED}')"

    @staticmethod
    def _is_note() -> str:
        return f"status IN ({', '.join(map(quoted, NOTES.values()))})"

    def _add(self, slot: int, incident: str, status: str, opened: int, state: str) -> None:
        self.warehouse.execute(
            f"INSERT INTO {self.table} ({', '.join(COLUMNS)}) "
            f"SELECT toDateTime({slot}), now(), {quoted(incident)}, {quoted(status)}, "
            f"toDateTime({opened}), {quoted(state)}"
        )


def backlog(store: Store, slot: int, most: int) -> list[int]:
    """The slots to check, oldest first: those since the last check, `most` at most, up to `slot` itself."""
    last = store.last_checked(slot)
    first = slot if last is None else max(last + QUARTER, slot - (most - 1) * QUARTER)
    return list(range(first, slot + 1, QUARTER))
