"""A named pipe through which the engine itself writes a result, and the thread that takes it to a spool."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from pulsebook.local.spool import Closed, Spool

CHUNK = 1 << 20  # bytes that are taken at a time


class Pipe:
    """A named pipe from the engine to a spool, emptied by a thread of its own until the statement has ended."""

    def __init__(self, path: Path, kill: Callable[[], None], spool: Spool):
        """`kill`: ends the statement, where one runs."""
        self.path, self.kill, self.spool = path, kill, spool
        os.mkfifo(self.path, 0o600)
        self._out = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._in = os.open(self.path, os.O_WRONLY)  # so that it does not end before the engine has begun
        os.set_blocking(self._out, True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._empty, daemon=True)
        self._thread.start()

    def _empty(self) -> None:
        try:
            while data := os.read(self._out, CHUNK):
                self.spool.write(data)
        except Exception as error:  # nobody takes the rest: the statement ends, or the engine would wait for ever
            if not isinstance(error, Closed):
                self.spool.error = error
            self._end_statement()
            while os.read(self._out, CHUNK):
                pass
        finally:
            os.close(self._out)

    def _end_statement(self) -> None:
        """Kill it, in a thread: until it has ended, since it may not have begun."""

        def until_it_ended():
            while not self._ended.wait(0.1):
                self.kill()

        threading.Thread(target=until_it_ended, daemon=True).start()

    def end(self) -> None:
        """The statement is over: take what is in the pipe."""
        self._ended.set()
        os.close(self._in)
        self._thread.join()
        self.path.unlink()
