"""Our tables as they are: their columns, what the next run changes, their engine."""

import re
from functools import partial

from pulsebook.base.settings import Settings
from pulsebook.cli.doctor.expected import Table, tables
from pulsebook.cli.doctor.findings import Check, Wrong
from pulsebook.cli.doctor.servers import ABSENT, Servers, code, said
from pulsebook.warehouse import WarehouseError
from pulsebook.warehouse.errors import PassingError
from pulsebook.warehouse.probe import Probe
from pulsebook.warehouse.tables import changes


def checks(servers: Servers, known: Settings) -> list[Check]:
    """The checks of the target's tables."""
    after = (servers.target_name,)
    return [
        Check("target tables", partial(structure, servers.target, known), after),
        Check("table engine", partial(engine, servers.target, known), after),
    ]


def structure(target: Probe, known: Settings) -> list[str | Wrong]:
    """Whether every table that is there has the columns that the code expects, and what the next run does."""
    as_expected, made, changed, wrong, hidden = [], [], [], [], {}
    for table in tables(known.notebooks):
        name = f"{known.target_database}.{table.name}"
        try:
            found = target.columns(name)
        except WarehouseError as error:
            if code(error) in ABSENT:
                made.append(table.name)
            else:
                hidden[table.name] = said(error)
            continue
        if found == table.columns:
            as_expected.append(table.name)
        elif why := _unfit(table, found):
            rename = f"RENAME TABLE {name} TO {name}_before; the next run makes it anew, without the rows of before."
            wrong.append(Wrong(f"{name} with the columns that the code writes", why, rename))
        elif altered := changes(name, found, table.columns, refill=table.refill):
            empties = " and empties it: clear half-done runs from the extracts on" if table.refill else ""
            changed.append(f"{table.name} ({', '.join(altered)}){empties}")
        else:
            as_expected.append(table.name)
    if hidden:
        seen = f"the columns of {', '.join(hidden)} to be visible"
        wrong.append(Wrong(seen, next(iter(hidden.values())), "Grant the rights of docs/grants.md, or run it again."))
    parts = [f"{len(as_expected)} as expected"]
    if made:
        parts.append(f"the next runs make {', '.join(made)}")
    if changed:
        parts.append(f"the next run changes {'; '.join(changed)}")
    return [*wrong, "; ".join(parts)]


def _unfit(table: Table, found: dict[str, str]) -> str:
    """How a table differs in a way that no run mends; empty: it does not."""
    own = table.columns
    missing = [f"{name} {kind} is missing" for name, kind in own.items() if name not in found]
    other = [f"{name} is {found[name]}, not {kind}" for name, kind in own.items() if found.get(name, kind) != kind]
    try:
        changes(table.name, found, table.columns, refill=table.refill)
        return ""
    except WarehouseError:
        extra = [f"{name} {kind} is not written by it" for name, kind in found.items() if name not in own]
        return "; ".join([*missing, *other, *extra])


def engine(target: Probe, known: Settings) -> str:
    """Whether PULSEBOOK_TABLE_ENGINE is what the tables have, and what the server can do."""
    wanted, database = known.table_engine, known.target_database
    names = ", ".join(f"'{table.name}'" for table in tables(known.notebooks))
    rows = _patient(
        target, f"SELECT name, engine FROM system.tables WHERE database = '{database}' AND name IN ({names})"
    )
    kind = re.match(r"(Replicated|Shared)?", wanted)[0]
    if differ := [f"{name} is {found}" for name, found in rows if re.match(r"(Replicated|Shared)?", found)[0] != kind]:
        raise Wrong(
            f"tables of the engine {wanted} (PULSEBOOK_TABLE_ENGINE)",
            ", ".join(differ),
            "Set it to what they are, or rename them: the next run makes them anew.",
        )
    if kind == "Replicated":
        _replicated(target, wanted)
    return f"{wanted}, as the {len(rows)} tables that are there" if rows else f"{wanted}, of tables still to be made"


def _replicated(target: Probe, wanted: str) -> None:
    """Whether the server has what replicated tables need: a keeper, and the macros that their paths name."""
    try:
        target.rows("SELECT count() FROM system.zookeeper WHERE path = '/'")
    except WarehouseError as error:
        raise Wrong(
            f"a server with ZooKeeper or Keeper for {wanted}",
            said(error),
            "Configure it, or set PULSEBOOK_TABLE_ENGINE=MergeTree.",
        ) from None
    needed = set(re.findall(r"\{(\w+)\}", wanted)) - {"table", "database", "uuid"}
    known = {macro for (macro,) in target.rows("SELECT macro FROM system.macros")}
    if needed - known:
        raise Wrong(
            f"macros {', '.join(sorted(needed))} on the server",
            ", ".join(sorted(known)) or "none",
            "Add them to its configuration (<macros>).",
        )


def _patient(target: Probe, sql: str) -> list[list]:
    """Rows of system.tables, which old servers cannot list while another run drops a table."""
    for _ in range(2):
        try:
            return target.rows(sql)
        except PassingError:
            continue
    return target.rows(sql)
