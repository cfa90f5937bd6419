"""The gate before a notebook: a day that is not complete yet is waited for, without a kernel, a worker or a retry.

Only the scheduled run of a day waits, until the deadline of its DAG; every other one (a backfill, a day by hand, a day of the
past) runs at once, and the notebook refuses what is not complete. While a task waits Airflow has it in `up_for_reschedule`;
each look is the same try. The archive has one record for it, and the operations chat hears once that it waits, and once how
that has ended.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from airflow.sdk.exceptions import AirflowRescheduleException

from pulsebook.airflow.given import due
from pulsebook.base.files import files
from pulsebook.base.names import is_try_of
from pulsebook.base.periods import Day, run_date_of, run_day
from pulsebook.base.settings import settings
from pulsebook.base.words import say
from pulsebook.catalogue import SOURCES

log = logging.getLogger(__name__)
EVERY = timedelta(minutes=5)  # between two looks
# From the end of one look to the next: a task that is queued again before the scheduler has seen the end of its process is
# taken for one that was killed, and costs a retry
APART = timedelta(seconds=30)
ETL = "etl"  # what is waited for beside sources: that it has loaded the day
WORDS = {
    "en": {
        "waits": "waits: {}. It looks every {} minutes until {}, and uses no retry.",
        "on": "went on at {}", "up": "gave up waiting at {}: {}",
    },
    "ru": {
        "waits": "ждёт: {}. Проверяет каждые {} мин до {}, попыток не тратит.",
        "on": "продолжено в {}", "up": "больше не ждёт с {}: {}",
    },
}  # fmt: skip


def time_of_day(text: str, what: str) -> time:
    """A time of day such as `11:00`.

    Raises:
        ValueError: it is none; says `what` needs one.
    """
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{what} needs a time of day such as 11:00, got {text!r}") from None


@dataclass(frozen=True)
class TaskTry:
    """A try as its record names it."""

    folder: Path
    name: str
    number: int
    map_index: int | None
    airflow: dict  # as its record says


@dataclass(frozen=True)
class Gate:
    """What a task waits for: sources of the catalogue, `etl`, or both; until when in the business zone; and how often it looks."""

    waits_for: tuple[str, ...]
    deadline: time
    every: timedelta = EVERY

    def __post_init__(self):
        if unknown := [name for name in self.waits_for if name not in (*SOURCES, ETL)]:
            raise ValueError(f"waits_for must name {', '.join((*SOURCES, ETL))}, got {unknown[0]!r}")

    def until(self, dag_run, parameters: dict) -> datetime | None:
        """Until when a run may wait; None: it is no scheduled run of its own day."""
        instant = due(dag_run)
        if dag_run.run_type != "scheduled" or parameters.get("run_date") not in (None, "", run_date_of(instant)):
            return None
        return datetime.combine(instant.astimezone(settings().timezone).date(), self.deadline, settings().timezone)

    def hold(self, dag_run, tried: TaskTry, notebook: Path, parameters: dict):
        """Let the try of a notebook pass: at once where nothing is to be waited for, or when its wait is over.

        Returns:
            The record of its wait; None: it has not waited.

        Raises:
            AirflowRescheduleException: it waits.
        """
        until = self.until(dag_run, parameters)
        if until is None:
            return None
        waited, now = _waited(tried), _now()
        if waited is None and now >= until:
            return None
        day = run_day(run_date_of(due(dag_run)))
        sources = () if parameters.get("allow_unfinished") else SOURCES
        names = [name for name in self.waits_for if name == ETL or name in sources]
        reason = "; ".join(missing(names, day, parameters.get("quiet_hours") or 0.0))
        about = f"{tried.airflow['dag_id']} · {day}"
        key = _key(tried)
        words, clock = WORDS[settings().language], f"{now.astimezone(until.tzinfo):%H:%M}"
        if reason and now < until:
            said = words["waits"].format(reason, round(self.every.total_seconds() / 60), f"{until:%H:%M}")
            _tell(key, "⏳", about, said)
            next_look = max(min(now + self.every, until), _now() + min(self.every, APART))
            _stated(waited, reason, next_look, tried, notebook, parameters)
            log.info("%s waits: %s; the next look is at %s", tried.name, reason, next_look)
            raise AirflowRescheduleException(next_look)
        if waited:
            said = words["up"].format(clock, reason) if reason else words["on"].format(clock)
            _tell(f"{key}/end", "✗" if reason else "✓", about, said, reply_to=key)
        return waited


def missing(names: Iterable[str], day: Day, quiet_hours: float = 0.0) -> list[str]:
    """What of these is not there yet for a day, in words, by one cheap statement each. A server that cannot be reached is
    waited for; what else is wrong with one the notebook says."""
    from pulsebook.warehouse import WarehouseError  # pandas: not at DAG import
    from pulsebook.warehouse.errors import PassingError

    found = []
    for name in names:
        try:
            found.append(_etl(day) if name == ETL else _source(name, day, quiet_hours))
        except PassingError as error:
            found.append(str(error).splitlines()[0])
        except WarehouseError:
            log.exception("%s cannot be looked at", name)
    return [why for why in dict.fromkeys(found) if why]


def _source(name: str, day: Day, quiet_hours: float) -> str:
    from pulsebook.warehouse import Warehouse
    from pulsebook.warehouse.events import events

    server = Warehouse.source()
    table = events(server, name)
    seen = table.seen(server, day)
    return table.source.unfinished(table.table, day, seen["rows"], seen["last_event"], quiet_hours)


def _etl(day: Day) -> str:
    from pulsebook.warehouse import Warehouse
    from pulsebook.warehouse.etl_tables import is_loaded

    return "" if is_loaded(Warehouse.target(), day) else say("etl has not loaded {} yet", day)


def _now() -> datetime:
    return datetime.now(settings().timezone)


def _waited(tried: TaskTry):
    """The record of this try, where it waits. Of an earlier try it is closed: this one goes on in its place."""
    from pulsebook.archive import waiting

    own = None
    for record in waiting.waits(tried.folder, tried.name, tried.map_index):
        if record.airflow.get("try_number") == tried.number:
            own = record
        else:
            waiting.give_up(record, say("it waited, and try {} goes on in its place", tried.number))
            _show(record)
    return own


def _stated(waited, reason: str, next_look: datetime, tried: TaskTry, notebook: Path, parameters: dict) -> None:
    from pulsebook.archive import origin, waiting
    from pulsebook.base.redact import register_secrets_of
    from pulsebook.parameters import recorded

    register_secrets_of(parameters)
    is_news = waited is None or waited.waiting["reason"] != reason
    names = (tried.folder, tried.name, tried.number, tried.map_index)
    facts = {"notebook": origin.source(notebook), "parameters": recorded(parameters), "airflow": tried.airflow}
    record = waiting.wait(waited, reason, next_look, *names, **facts)
    if is_news:
        _show(record)


def _show(record) -> None:
    from pulsebook.archive import index

    try:
        index.update(settings().outputs, record)
    except Exception:
        log.exception("%s is not in the index", record.path)


def _key(tried: TaskTry) -> str:
    """Of what operations hear. It is the same for all tasks of a run, and for a retry that goes on with a wait; a task whose
    notebook was executed, and which then waits again, has another."""
    notebooks = files(tried.folder, "*.ipynb")
    executed = sum(is_try_of(notebook.stem, tried.name, tried.map_index) for notebook in notebooks)
    return f"waiting/{'/'.join(tried.folder.parts[-3:])}/{executed + 1}"


def _tell(key: str, sign: str, about: str, said: str, reply_to: str = "") -> None:
    """A word to operations, once per key. A chat that cannot be reached keeps no task waiting."""
    from pulsebook import chat

    try:
        text = f"{sign} <b>{chat.escape(about)}</b> {chat.escape(said[:700])}"
        chat.post(key, text, to="operations", reply_to=reply_to)
    except Exception:
        log.exception("operations did not hear: %s", said)
