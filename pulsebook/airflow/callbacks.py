"""What happens when a task has failed for good: the operations chat hears of it, once."""

import logging
import re

from pulsebook.airflow.connections import connections
from pulsebook.airflow.operator import folder_for

log = logging.getLogger(__name__)
WORDS = {
    "en": {"notebook": "executed notebook", "log": "log", "try": "try"},
    "ru": {"notebook": "выполненный ноутбук", "log": "журнал", "try": "попытка"},
}


def tell_operations(context) -> None:
    """`on_failure_callback` of every task: DAG, day, task, the error's first line, links to log and notebook."""
    with connections():
        from pulsebook import chat
        from pulsebook.settings import settings

        ti, words = context["ti"], WORDS[settings().language]
        error = str(context.get("exception") or "the task was killed, or its worker died").strip().splitlines()[0]
        parameters = getattr(ti.task, "parameters", None)  # None: a task without a notebook
        folder = folder_for(ti, parameters or {})
        day = f" · {chat.escape(folder.parent.name)}" if parameters is not None else ""
        lines = [
            f"<b>✗ {chat.escape(ti.dag_id)}{day}</b>",
            f"{chat.escape(ti.task_id)}, {words['try']} {ti.try_number}: {chat.escape(error[:700])}",
        ]
        page, known = folder / f"{ti.task_id}-try{ti.try_number}.html", settings()
        if known.archive_url and parameters is not None:
            address = f"{known.archive_url}/{page.relative_to(known.outputs)}"
            lines.append(f'<a href="{chat.escape(address)}">{words["notebook"]}</a>')
        elif parameters is not None:
            lines.append(f"{words['notebook']}: <code>{chat.escape(page)}</code>")
        if log_url := getattr(ti, "log_url", None):
            lines.append(f'<a href="{chat.escape(log_url)}">{words["log"]}</a>')
        key = f"failure/{ti.dag_id}/{ti.run_id}/{ti.task_id}-try{ti.try_number}"
        if "T" in (period := folder.parent.name):  # a slot: the same failure every 15 minutes is told once a day
            key = f"failure/{ti.dag_id}/{period[:10]}/{ti.task_id}/{re.sub(r'[0-9T:+-]+', '#', error)[:100]}"
        print(f"operations chat: {chat.post(key, chr(10).join(lines), to='operations')}")
