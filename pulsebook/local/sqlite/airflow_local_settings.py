"""For an Airflow on SQLite: what is created as a whole becomes visible as a whole.

Python's sqlite3 begins a transaction at the first INSERT, UPDATE or DELETE, but not at a SAVEPOINT, under which Airflow
creates the runs of a backfill. Each would be committed by itself; when a task writes at that moment, SQLite says "database
is locked" without waiting, Airflow deletes the runs it has created so far, and a scheduler that has begun one of them dies.
"""

from sqlalchemy import event
from sqlalchemy.engine import Engine

__all__ = []  # nothing of this is a setting of Airflow's


@event.listens_for(Engine, "savepoint")
def begin(connection, name):
    """Have the transaction, and with it the lock, before the savepoint; SQLite then waits for other writers."""
    if connection.dialect.driver == "pysqlite" and not connection.connection.dbapi_connection.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
