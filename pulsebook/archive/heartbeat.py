"""The heartbeat of a try: the time of its record's file."""

import logging
import threading
from contextlib import contextmanager
from pathlib import Path

from pulsebook.base.files import touch
from pulsebook.base.redact import WithoutSecrets

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())
BEAT = 15.0  # seconds between heartbeats


@contextmanager
def heartbeat(file: Path):
    """Make heartbeats within this context."""
    over = threading.Event()

    def beat():
        while not over.wait(BEAT):
            try:
                touch(file)
            except OSError:  # the next one may reach the store again
                log.exception("no heartbeat of %s", file)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        over.set()
