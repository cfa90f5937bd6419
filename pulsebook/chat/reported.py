"""What was told: the table `{target_db}.reported`, the numbers of each message of the team's chat.

They are stated before their message is sent, and count where the ledger says that it was sent, or may have been: nothing that
was told is missing, wherever a process dies. A reply tells numbers of the message that it answers.
"""

import time
from collections.abc import Iterable
from datetime import date

import pandas as pd

from pulsebook.base.facts import Fact
from pulsebook.base.periods import Day
from pulsebook.base.settings import settings
from pulsebook.chat.ledger import Ledger
from pulsebook.warehouse import Warehouse

TABLE = "reported"
COLUMNS = dict.fromkeys(("period", "metric", "slice"), "String") | {
    "value": "Nullable(Float64)",
    "message": "String",
    "key": "String",
    "told_at": "UInt64",
}
NUMBER = ["message", "period", "metric", "slice"]  # of several rows the last one counts


def table(target: Warehouse) -> str:
    """Its name; made where it is missing."""
    name = f"{settings().target_database}.{TABLE}"
    return target.ensure(name, COLUMNS, partition="substring(period, 1, 7)", order="(period, message, metric, slice)")


def state(key: str, facts: Iterable[Fact], reply_to: str = "") -> None:
    """State what a message tells that is about to be sent under a key.

    Args:
        reply_to: the key of the message that it answers.
    """
    target, message = Warehouse.target(), (reply_to or key).partition("|")[0]  # a resend tells of the same message
    rows = [(f.period, f.metric, f.slice, f.value, message, key, time.time_ns() // 1000) for f in facts]
    frame = pd.DataFrame(rows, columns=[*COLUMNS]).astype({"value": "Float64"})
    target.write(frame, table(target))


def told(first: Day, last: Day, *, surely: bool = False) -> pd.DataFrame:
    """What was told of some days, and of their slots, as it was told last.

    Args:
        surely: leave out what replies told that may not have arrived.

    Columns: those of the table; `key` is that of the message, or of its reply, that told it; `answers` that of the message, as it
    was posted last.
    """
    rows = _rows(first, last)
    rows = rows[rows.pop("is_sure").eq(1) | _is_own(rows) | (not surely)]
    own = rows[_is_own(rows)].drop_duplicates("message", keep="last").set_index("message")["key"]
    rows = rows.drop_duplicates(NUMBER, keep="last")
    return rows.assign(answers=rows["message"].map(own)).reset_index(drop=True)


def corrected(first: Day, last: Day) -> set[date]:
    """The days of which a number was corrected where it had been told. What alerts told of slots is never corrected there."""
    rows = _rows(first, last).drop_duplicates([*NUMBER, "key"])
    rows = rows[rows["period"].str.len() == len(str(first))]
    rows = rows[rows.duplicated(NUMBER) & ~_is_own(rows)]  # what a reply tells for the first time corrects nothing
    return {date.fromisoformat(period[:10]) for period in rows["period"]}


def _rows(first: Day, last: Day) -> pd.DataFrame:
    """What was told of these days, in the order in which it was told."""
    target, ledger = Warehouse.target(), Ledger()
    sent = f"SELECT key FROM {ledger.table} WHERE revision IS NULL AND status IN"
    return target.read(f"""
        SELECT {", ".join(COLUMNS)}, key IN ({sent} ('sent')) AS is_sure FROM {table(target)}
        WHERE period >= '{first}' AND period < '{last + 1}' AND key IN ({sent} ('sent', 'uncertain'))
        ORDER BY told_at
    """)


def _is_own(rows: pd.DataFrame) -> pd.Series:
    """Whether a message told it itself, not a reply."""
    return rows["key"].str.replace(r"\|.*", "", regex=True) == rows["message"]
