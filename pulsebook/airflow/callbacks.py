"""What happens when a task has failed for good: the operations chat hears of it, once."""

import logging
import re
from pathlib import Path
from urllib.parse import quote

from pulsebook.airflow.connections import connections
from pulsebook.airflow.given import due
from pulsebook.airflow.operator import map_index_of
from pulsebook.archive import lookup
from pulsebook.archive.record import Record
from pulsebook.base import files, names
from pulsebook.base.names import period_of
from pulsebook.base.periods import PeriodError, run_day, run_slot
from pulsebook.base.settings import settings

log = logging.getLogger(__name__)
WORDS = {
    "en": {
        "notebook": "executed notebook", "log": "log", "try": "try", "died": "the task was killed, or its worker died",
    },
    "ru": {
        "notebook": "выполненный ноутбук", "log": "журнал", "try": "попытка", "died": "задачу остановили, или её исполнитель погиб",
    },
}  # fmt: skip


def notify_operations(context) -> None:
    """`on_failure_callback` of every task: DAG, day, task, the error's first line, links to log and notebook.

    What failed before it had a day (its templates could not be rendered) is named by its run; a notebook is named where
    there is one.
    """
    with connections():
        from pulsebook import chat

        ti, words = context["ti"], WORDS[settings().language]
        error, number = _first_line(context.get("exception"), words["died"]), map_index_of(ti)
        parameters = getattr(ti.task, "parameters", None)  # None: a task without a notebook, or not yet unfolded
        record = _record_of(ti)
        period = names.identity(record.period) if record else _period(parameters)
        step = ti.task_id if number is None else f"{ti.task_id} [{number}]"
        lines = [
            f"<b>✗ {chat.escape(ti.dag_id)} · {chat.escape(period or ti.run_id)}</b>",
            f"{chat.escape(step)}, {words['try']} {ti.try_number}: {chat.escape(error[:700])}",
        ]
        if page := record and next((file for file in (record.html, record.executed) if file.exists()), None):
            lines.append(_notebook(page, words["notebook"], chat.escape))
        if log_url := getattr(ti, "log_url", None):
            lines.append(f'<a href="{chat.escape(log_url)}">{words["log"]}</a>')
        dag, name = names.part(ti.dag_id), names.step_name(ti.task_id, number)
        key = f"failure/{dag}/{names.part(ti.run_id)}/{names.try_name(ti.task_id, number, ti.try_number)}"
        if day := _day_of_slot(period, parameters, context):  # the same failure every 15 minutes is reported once a day
            key = f"failure/{dag}/{day}/{name}/{re.sub(r'[0-9T:+-]+', '#', error)[:100]}"
        print(f"operations chat: {chat.post(key, chr(10).join(lines), to='operations')}")


def _first_line(exception, died: str) -> str:
    if exception is None or exception == "":
        return died
    text = str(exception).strip() or type(exception).__name__
    return text.splitlines()[0].encode("utf-8", "replace").decode()


def _record_of(ti) -> Record | None:
    """The record of the try that failed; None: it came to none, or the archive cannot be read."""
    outputs = settings().outputs
    try:
        known = lookup.tries(outputs, names.folder_of(outputs, ti.dag_id, "any", ti.run_id), ti.task_id)
        own = [one for one in known if one.map_index == map_index_of(ti) and one.number >= ti.try_number]
        # a try whose files were there already took the next number
        for one in sorted(own, key=lambda one: one.number, reverse=True):
            record = Record.load(known[one])
            if isinstance(record.airflow, dict) and record.airflow.get("try_number") == ti.try_number:
                return record
    except (*files.failures(outputs), ValueError, RecursionError):  # the failure must be reported all the same
        log.exception("no record of %s, try %s, in %s", ti.task_id, ti.try_number, ti.run_id)
    return None


def _period(parameters: dict | None) -> str:
    """The day or slot that a task was given; empty where that is still a template, or nothing."""
    period = period_of(parameters)
    try:
        (run_slot if "T" in period else run_day)(period)
    except PeriodError:
        return ""
    return period


def _day_of_slot(period: str, parameters: dict | None, context) -> str:
    """The day of the slot that a run was about; empty where it was about no slot."""
    if re.match(r"\d{4}-\d\d-\d\dT", period):
        return period[:10]
    run = context.get("dag_run")
    instant = run and due(run)
    if period or not instant or "slot" not in [*(parameters or {}), *(context.get("params") or {})]:
        return ""
    return instant.astimezone(settings().timezone).date().isoformat()


def _notebook(page: Path, word: str, escape) -> str:
    known = settings()
    if not known.archive_url:
        return f"{word}: <code>{escape(page)}</code>"
    return f'<a href="{escape(f"{known.archive_url}/{quote(str(page.relative_to(known.outputs)))}")}">{word}</a>'
