"""The tables that a day fills: those of the ETL, whose columns follow from the catalogue's dimensions and per-user counts, and
those that reports read in place of older events (`days`, `first_days`).

>>> users = etl_table(Warehouse.target(), "staging_users")  # its name; made, or brought up to the catalogue
"""

from pulsebook.base.periods import Day
from pulsebook.base.settings import settings
from pulsebook.catalogue import per_user
from pulsebook.catalogue.metrics import GIVEN
from pulsebook.warehouse import profile
from pulsebook.warehouse.client import Warehouse

FINAL = "metrics_by_dimension"
STAGING = "staging_"  # begins the names of tables with a step's rows for the next one


def metrics_of(source: str = "") -> list[str]:
    """Names of the counts for each user: those of one source, or all in the order of the tables."""
    return [count.name for count in per_user(source)]


def etl_table(target: Warehouse, name: str) -> str:
    """One of these tables, made where it is missing; staging tables of another catalogue are changed and emptied, the
    final table gets the columns that it lacks.

    Raises:
        WarehouseError: what differs cannot be brought up, or a right is missing; says which.
    """
    columns, partition, order = tables()[name]
    table = f"{settings().target_database}.{name}"
    return target.ensure(table, columns, partition=partition, order=order, refill=name.startswith(STAGING))


def is_loaded(target: Warehouse, day: Day) -> bool:
    """Whether the final table has rows of a day."""
    database = settings().target_database
    there = target.scalar(f"SELECT count() FROM system.tables WHERE database = '{database}' AND name = '{FINAL}'")
    return bool(there) and target.scalar(f"SELECT count() FROM {database}.{FINAL} WHERE event_date = '{day}'") > 0


def tables() -> dict[str, tuple[dict[str, str], str, str]]:
    """Columns, partition and order of these tables, by name."""
    user = {"event_date": "Date", "user_id": "UInt64"}
    value = {"event_date": "Date", "dimension": "String", "dimension_value": "String"}
    profiles, latest = profile.types(), {"latest": "UInt64"}
    later = {
        name: "Nullable(UInt64)" for name in metrics_of() if name not in GIVEN
    }  # NULL on days before they were counted
    return {
        "staging_feed": (user | _counts("feed") | profiles | latest, "event_date", "user_id"),
        "staging_messages": (user | _counts("messages") | profiles | latest, "event_date", "user_id"),
        "staging_profiles": (user | profiles, "event_date", "user_id"),
        "staging_users": (user | profiles | _counts(), "event_date", "user_id"),
        "staging_slices": (value | _counts(), "(event_date, dimension)", "dimension_value"),
        FINAL: (value | dict.fromkeys(GIVEN, "UInt64") | later, "event_date", "(dimension, dimension_value)"),
        "daily_metrics": (
            {"event_date": "Date", "metric": "String", "value": "Nullable(Float64)"},
            "event_date",
            "metric",
        ),
        "user_activity": (
            user | {"feed": "UInt8", "messenger": "UInt8", "origin": "String", "version": "UInt64"},
            "event_date",
            "(version, user_id)",
        ),
        "first_days": (
            user | {"origin": "String", "version": "UInt64", "basis": "UInt64"},
            "event_date",
            "(version, user_id)",
        ),
    }


def _counts(source: str = "") -> dict[str, str]:
    return dict.fromkeys(metrics_of(source), "UInt64")
