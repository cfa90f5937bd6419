"""ClickHouse through pandahouse: read a frame, execute, write a frame, replace a partition atomically.

    >>> from pulsebook.base.settings import settings
    >>> target = Warehouse.target()
    >>> columns = {"day": "Date", "views": "UInt64"}
    >>> table = target.ensure(f"{settings().target_database}.daily", columns, partition="day", order="day")
    >>> target.replace_partition(table, "'2026-11-22'", "SELECT toDate('2026-11-22') AS day, toUInt64(7) AS views")
    1
    >>> target.read(f"SELECT day, views FROM {table}")
             day  views
    0 2026-11-22      7

pandahouse (2018) does the talking. What it cannot do is closed here:

- every column type, NULL, nan and any text: values travel as text that needs no escaping between the statement and the
  frame, and the frame's dtypes come from ClickHouse's own types (`reading`);
- what is read back equals what was written, or nothing is written (`values`, `wire`, `writing`);
- an error in mid-result is an error: the server is asked to hold a result until it is complete, and what arrives is
  compared with the columns that were announced;
- timeouts, retries of reads, and credentials in a header instead of the URL (`http`);
- errors about a SELECT name its own lines, not those of the statement around it (`statement`);
- writes that are whole or not at all: rows go to a scratch table first and move in one statement (`partitions`).

Every failure is a `WarehouseError` that shows the statement and ClickHouse's message and never a password.
"""

from pulsebook.warehouse.client import Warehouse
from pulsebook.warehouse.errors import WarehouseError
from pulsebook.warehouse.kinds import identifier, quoted
from pulsebook.warehouse.tables import alone as _alone
from pulsebook.warehouse.tables import engine

__all__ = ["Warehouse", "WarehouseError", "_alone", "engine", "identifier", "quoted"]
