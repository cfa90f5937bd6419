"""Settings that Airflow Connections supply, for the time of one run.

    pulsebook_clickhouse   host, port, login, password, schema http or https
    pulsebook_source       the same, where the event tables are on another server
    pulsebook_telegram     password: the bot's token; login: the chat's id; host: the API, where it is not Telegram's own;
                           extra: {"ops_chat_id": "…", "thread_id": 5}

A variable of the environment wins over a Connection. The kernel inherits the variables; they are removed afterwards.
`python -m pulsebook.airflow.connections` writes them as JSON, for `pulsebook doctor`: it holds their secrets.
"""

import json
from contextlib import contextmanager
from urllib.parse import quote

from pulsebook.base.environment import supplied


@contextmanager
def connections():
    """Within this context `settings()` holds what the Connections say."""
    with supplied(variables()):
        yield


def variables() -> dict:
    """What the Connections say, as variables of the environment."""
    return {**_server("clickhouse"), **_server("source"), **_telegram()}


def _server(name: str) -> dict:
    if not (found := _connection(f"pulsebook_{name}")):
        return {}
    login = f"{quote(found.login or 'default', safe='')}:{quote(found.password or '', safe='')}"
    scheme = found.schema or "http"
    return {f"PULSEBOOK_{name.upper()}_URL": f"{scheme}://{login}@{found.host}:{found.port or 8123}"}


def _telegram() -> dict:
    if not (found := _connection("pulsebook_telegram")):
        return {}
    extra = found.extra_dejson
    return {
        "PULSEBOOK_TELEGRAM_TOKEN": found.password,
        "PULSEBOOK_TELEGRAM_CHAT_ID": found.login,
        "PULSEBOOK_TELEGRAM_API_URL": found.host,
        "PULSEBOOK_TELEGRAM_OPS_CHAT_ID": extra.get("ops_chat_id"),
        "PULSEBOOK_TELEGRAM_THREAD_ID": extra.get("thread_id"),
    }


def _connection(name: str):
    from airflow.exceptions import AirflowNotFoundException
    from airflow.sdk.bases.hook import BaseHook

    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None  # supplied by the environment instead


if __name__ == "__main__":
    print(json.dumps({name: str(value) for name, value in variables().items() if value}))
