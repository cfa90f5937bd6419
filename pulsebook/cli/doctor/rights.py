"""The rights of the target's user, tried on a table that is dropped again."""

import time
import uuid
from functools import partial

from pulsebook.base.settings import Settings
from pulsebook.cli.doctor.findings import LIMIT, Check, Skipped, Wrong
from pulsebook.cli.doctor.servers import DENIED, FORBIDDEN, Servers, code, said, user_of
from pulsebook.warehouse import WarehouseError
from pulsebook.warehouse.probe import Probe

RIGHTS = (  # in the order in which they can be tried on a table; docs/grants.md says what each is for
    ("CREATE TABLE", "CREATE TABLE {table} (day Date, n UInt64) ENGINE = MergeTree PARTITION BY day ORDER BY n"),
    ("INSERT", "INSERT INTO {table} (day, n) SELECT toDate('2026-01-01'), toUInt64(1)"),
    ("SELECT", "SELECT count() FROM {table}"),
    ("ALTER ADD COLUMN", "ALTER TABLE {table} ADD COLUMN more Nullable(UInt64)"),
    ("ALTER MODIFY COLUMN", "ALTER TABLE {table} MODIFY COLUMN more Nullable(Int64)"),
    ("ALTER DROP COLUMN", "ALTER TABLE {table} DROP COLUMN more"),
    ("ALTER DELETE", "ALTER TABLE {table} DROP PARTITION '2026-01-01'"),
    ("TRUNCATE", "TRUNCATE TABLE {table}"),
)


def checks(servers: Servers, known: Settings) -> list[Check]:
    """The check of the target's user."""
    return [Check("target rights", partial(rights, servers.target, known.target_database), (servers.target_name,))]


def rights(probe: Probe, database: str) -> str:
    """Whether the target's user may do what docs/grants.md lists: tried on a table that is dropped again."""
    try:
        exists = bool(int(probe.rows(f"SELECT count() FROM system.databases WHERE name = '{database}'")[0][0]))
    except WarehouseError as error:
        raise Wrong("system.databases to be readable", said(error), "Grant SELECT on it.") from None
    names = ["CREATE DATABASE", *(right for right, _ in RIGHTS), "DROP TABLE"]
    if not exists:
        _not_forbidden(probe, database)
        missing = [right for right in names if not _granted(probe, right, database)]
        _demand(probe, database, missing, "no such database yet, and no right to")
        return f"the database {database} does not exist yet and may be made; all {len(names)} rights are granted"
    table, missing, left = f"{database}.doctor__scratch_{uuid.uuid4().hex[:12]}", [], None  # `load` drops old ones
    try:
        _try(Probe(probe.url, LIMIT / 5), database, table, missing)
    finally:
        if "CREATE TABLE" not in missing:
            left = _drop(Probe(probe.url, LIMIT / 5), table)
        if left and code(left) not in DENIED:
            raise Wrong(f"{table} to be dropped again", said(left), f"DROP TABLE {table}")
    if left:
        _demand(
            probe, database, [*missing, "DROP TABLE"], f"{table}, which could not be dropped (drop it), no right to"
        )
    _demand(probe, database, missing, "no right to")
    return f"all {len(names)} rights in {database} were tried on a table that is dropped again"


def _not_forbidden(probe: Probe, database: str) -> None:
    """Old servers list only the databases that a user may use."""
    try:
        probe.columns(f"{database}.chat_messages")  # whether or not it is there
    except WarehouseError as error:
        if code(error) == FORBIDDEN:
            users = f"Add {database} to its <allow_databases> in users.xml (docs/grants.md)."
            raise Wrong(f"{user_of(probe)} to be allowed the database {database}", said(error), users) from None


def _try(probe: Probe, database: str, table: str, missing: list[str]) -> None:
    """Use every right but the last on a table; adds those that are missing."""
    latest = time.monotonic() + LIMIT / 2
    for right, statement in (("CREATE DATABASE", f"CREATE DATABASE IF NOT EXISTS {database}"), *RIGHTS):
        if time.monotonic() > latest:
            raise Skipped(f"not all tried: the server took {LIMIT / 2:g} s for those before {right}")
        try:
            probe.execute(statement.format(table=table))
        except WarehouseError as error:
            if code(error) not in DENIED:
                raise Wrong(
                    f"{right} to work in {database}", said(error), "Run it again; see docs/grants.md."
                ) from None
            missing.append(right)
            if right == "CREATE TABLE":
                return


def _drop(probe: Probe, table: str) -> WarehouseError | None:
    """Drop a table; why it could not be."""
    try:
        probe.execute(f"DROP TABLE IF EXISTS {table}")
        return None
    except WarehouseError as error:
        return error


def _granted(probe: Probe, right: str, database: str) -> bool:
    """Whether a right is granted, without using it.

    Raises:
        Skipped: the server cannot say.
    """
    try:
        return bool(int(probe.ask(f"CHECK GRANT {right} ON {database}.*")))
    except (WarehouseError, ValueError):
        raise Skipped(
            f"the database {database} does not exist yet, and this server cannot say what its user may do: the first run "
            "makes it. Or make it now and run this again."
        ) from None


def _demand(probe: Probe, database: str, missing: list[str], found: str) -> None:
    if missing:
        user, names = user_of(probe), ", ".join(missing)
        raise Wrong(
            f"{user} to have the rights of docs/grants.md in {database}",
            f"{found} {names}",
            f"GRANT {names} ON {database}.* TO {user}",
        )
