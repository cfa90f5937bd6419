"""The dead man's switch: a monitor elsewhere hears of every scheduled run, and notices when none comes.

Healthchecks' convention (https://healthchecks.io/docs/http_api/): below PULSEBOOK_HEARTBEAT_URL `{dag_id}/start` when a run
begins, `{dag_id}` when it has succeeded, `{dag_id}/fail` when it has failed. Each DAG has a path of its own: what is called every
15 minutes must not hide that a daily one is dead. Nor does a backfill or a run by hand say that the schedule is alive.

How a run has ended is told by the DAG processor, where Airflow runs the callbacks of DAGs; how it begins by the worker. Both know
the setting from their environment or `.env`; a Connection does not supply it.
"""

import logging
import threading
import time
from urllib.parse import quote, urlsplit

from pulsebook.base.settings import settings

log = logging.getLogger(__name__)
LIMIT = 5.0  # seconds that a run may wait for the monitor, whatever happens
ATTEMPTS, PAUSE = 3, 0.5  # seconds before the second attempt; twice as many before the third
SCHEDULED = "scheduled__"  # how Airflow begins the id of a run that the schedule has made


def of_dag() -> dict:
    """What a DAG takes; nothing where no monitor is named."""
    return {"on_success_callback": succeeded, "on_failure_callback": failed} if _base() else {}


def of_tasks() -> dict:
    """What the tasks of a DAG take; nothing where no monitor is named."""
    return {"on_execute_callback": started} if _base() else {}


def started(context) -> None:
    """Of each task: the first of its DAG tells it, once, however often it waits or is tried."""
    ti, first = context["ti"], min(context["dag"].roots, key=lambda task: task.task_id)
    if ti.task_id == first.task_id and ti.try_number == 1 and not context.get("task_reschedule_count"):
        _ping(context, "/start")


def succeeded(context) -> None:
    """Of a DAG: its run has succeeded."""
    _ping(context, "")


def failed(context) -> None:
    """Of a DAG: its run has failed."""
    _ping(context, "/fail")


def _base() -> str:
    return settings().heartbeat_url.get_secret_value()


def _ping(context, sign: str) -> None:
    """Tell the monitor. Without an answer in time the log says so, and nothing else happens."""
    if not context["run_id"].startswith(SCHEDULED):
        return
    place, problems = f"{quote(context['dag'].dag_id, safe='')}{sign}", ["no answer in time"]
    # a thread: the look-up of a name has no time limit, nor has an answer that comes byte by byte
    caller = threading.Thread(target=_call, args=(f"{_base()}/{place}", problems), name="ping", daemon=True)
    caller.start()
    caller.join(LIMIT)
    if problems[-1]:
        log.warning("the monitor at %s was not told of %s: %s", urlsplit(_base()).hostname, place, problems[-1])


def _call(url: str, problems: list[str]) -> None:
    """Ask for an address, again where that may help. The last of `problems` is what was wrong; empty: nothing."""
    import requests

    from pulsebook.base.redact import hide_in_logs_of_requests

    hide_in_logs_of_requests()
    for attempt in range(ATTEMPTS):
        time.sleep(attempt * PAUSE)
        try:
            with requests.get(url, timeout=LIMIT, allow_redirects=False, stream=True) as answer:
                problems.append("" if answer.status_code < 300 else f"status {answer.status_code}")
                if answer.status_code < 500:
                    return
        except Exception as error:  # whatever it is; its message names the address, which is secret
            problems.append(type(error).__name__)
