"""The key of a message: who sends it and what it is about. Who sends is known from the run, never typed.

>>> key("2026-11-22", by_hand="feed_report")  # in a run of Airflow the DAG comes first, whatever `by_hand` says
'feed_report/2026-11-22'
"""

from pathlib import PurePosixPath
from typing import NamedTuple

from pulsebook.base import names
from pulsebook.base.settings import settings


class Sender(NamedTuple):
    """The run that executes this notebook; empty texts: none does, somebody works by hand."""

    dag_id: str = ""
    task: str = ""  # DAG and task, of a mapped task with its index


def sender() -> Sender:
    """Who executes this notebook, as its place in the archive says."""
    parts = (
        names.split_try(str(PurePosixPath(settings().executed_as).with_suffix("")), 3)
        if settings().executed_as
        else None
    )
    if not parts:
        return Sender()
    dag_id = names.identity(parts[0])
    return Sender(dag_id, f"{dag_id}.{names.identity(names.step_of(parts[-1]))}")


def key(about: object, by_hand: str = "") -> str:
    """The key of a message.

    Args:
        about: what tells this message from the others of its DAG: the day or slot, and a part where there are several.
        by_hand: whose message it is, the id of a DAG, where no run says it.

    Raises:
        ValueError: no run executes this notebook and `by_hand` is empty.
    """
    dag_id = sender().dag_id or by_hand
    if not dag_id:
        raise ValueError(
            "no run of Airflow executes this notebook, so the message needs a sender: set the parameter post_as, such as "
            f"feed_report, with post=True. It is then posted as feed_report/{about}, once. Nothing was posted."
        )
    return f"{dag_id}/{about}"
