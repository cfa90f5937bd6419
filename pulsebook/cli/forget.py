"""`pulsebook forget USER`: remove a user from all our tables. Their events are the source's: remove them there first, else the next
run that counts one of their days brings them back.

Sums by day stay as they were counted. The archive and the chat hold no user ids of ours.
"""

import time

from pulsebook.base.settings import settings


def add_to(commands) -> None:
    """Add the command `forget` to a parser's commands."""
    action = commands.add_parser("forget", help="remove a user from our tables", description=__doc__)
    action.add_argument("user", type=int, metavar="USER", help="the user's id")
    action.set_defaults(run=_forget)


def _forget(arguments) -> int:
    from pulsebook.warehouse import Warehouse, quoted  # pandas takes most of a second

    target, database = Warehouse.target(), settings().target_database
    of = f"database = {quoted(database)}"
    found = target.read(f"SELECT table, name FROM system.columns WHERE {of} AND name IN ('user_id', 'version')")
    columns = found.groupby("table")["name"].agg(set)
    changed = []
    for table in columns.index[columns.map(lambda names: "user_id" in names)]:
        theirs = f"user_id = {arguments.user}" + (" AND version = 0" if "version" in columns[table] else "")
        rows = target.scalar(f"SELECT count() FROM {database}.{table} WHERE {theirs}")
        if rows:
            target.execute(f"ALTER TABLE {database}.{table} DELETE WHERE {theirs}")
            changed.append(table)
        print(f"{table}: {rows:,} rows")
    listed, until = ", ".join(map(quoted, ["", *changed])), time.monotonic() + settings().query_timeout
    while going := target.scalar(
        f"SELECT count() FROM system.mutations WHERE {of} AND table IN ({listed}) AND is_done = 0"
    ):
        if time.monotonic() > until:
            print(f"{going} tables are still being rewritten: see system.mutations")
            return 1
        time.sleep(0.2)
    return 0
