"""The dead man's switch: whether the monitor can be reached. Nothing is told to it."""

from functools import partial
from urllib.parse import urlsplit

import requests

from pulsebook.base.settings import Settings
from pulsebook.cli.doctor.findings import Check, Wrong

TIMEOUT = 4.0  # seconds for a connection, and for an answer
SETTING = "PULSEBOOK_HEARTBEAT_URL"


def checks(known: Settings) -> list[Check]:
    """The check of the monitor."""
    return [Check("monitor", partial(answers, known.heartbeat_url.get_secret_value()))]


def answers(base: str) -> str:
    """Whether anything answers there: what it says is no matter, since no check of it is asked for."""
    if not base:
        return f"none ({SETTING}): nobody outside notices when runs no longer come"
    parts = urlsplit(base)
    place, problem = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", ""
    try:
        requests.head(place, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        problem = type(error).__name__
    if problem:
        raise Wrong(
            f"a monitor at {place}", f"no answer ({problem})", f"Is {SETTING} right, and may this machine call it?"
        )
    return f"{place} answers; each DAG has a path of its own there"
