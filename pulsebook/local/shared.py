"""The one warehouse with the sample of this checkout, which demo, lab and `make up` share, and what they say meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pulsebook.base import embedded
from pulsebook.base.settings import ROOT, settings
from pulsebook.local import live, sample, services
from pulsebook.local.server import running

DAYS, DAU = 60, 6_000  # retention of 30 days' cohorts needs the 28 days before them
LOCAL = ROOT / ".local"
WAREHOUSE, PASSWORD = embedded.folder(ROOT), embedded.password_file(ROOT)
PLAN = WAREHOUSE / "sample.json"
SPOKEN = 15.0  # seconds after which a phase says again that it goes on


@contextmanager
def phase(what: str, about: str = "") -> Iterator[None]:
    """A line when a phase begins, with how long it takes, one every so often while it goes on, and one when it is over."""
    print(f"… {what}{f' ({about})' if about else ''}", flush=True)
    started, over = time.monotonic(), threading.Event()

    def speak():
        while not over.wait(SPOKEN):
            print(f"  … {time.monotonic() - started:.0f} s", flush=True)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()
    print(f"  done in {time.monotonic() - started:.1f} s", flush=True)


def prepare(url: str) -> live.Plan:
    """Have the sample in the warehouse, up to now."""
    execute, zone = sample.http(url), settings().timezone.key
    plan = live.prepare(execute, PLAN, DAYS, DAU, zone, settings().source_database)
    live.Live(execute, plan).advance(datetime.now(UTC))
    return plan


@contextmanager
def warehouse(port: int = 0) -> Iterator[str]:
    """The warehouse for as long as the block lasts; yields its URL, with the password. One that runs already, of `make up`,
    `make lab` or `make warehouse`, is taken and left running."""
    if there := embedded.url(ROOT):
        print(f"the warehouse of this folder runs already, at http://{there.rpartition('@')[2]}", flush=True)
        yield there
        return
    password = services.warehouse_password(PASSWORD)
    with running(WAREHOUSE, services.free_port(port, "the warehouse"), password) as url:
        with phase("filling the warehouse up to now", "the first time a minute or two"):
            plan = prepare(url)
        over = threading.Event()
        events = threading.Thread(target=live.keep_alive, args=(url, plan), kwargs={"stopped": over.wait})
        events.start()
        try:
            yield url
        finally:
            over.set()
            events.join()
