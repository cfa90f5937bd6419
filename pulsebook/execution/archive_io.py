"""papermill's way to the files of the archive, and when the notebook that runs is written there.

It is redacted and replaces what was there at once. Its last state is the archive's to write, with the run's end.
"""

import time

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.iorw import papermill_io

from pulsebook.base.files import replace
from pulsebook.base.redact import redact_notebook
from pulsebook.base.settings import place

SCHEME = "archive:"
EVERY = 2.0  # seconds that lie at least between two writes


class Handler:
    """papermill's way to a file of the archive. It writes nothing by itself."""

    def write(self, text, path):
        pass

    def pretty_path(self, path):
        return path.removeprefix(SCHEME)


class Manager(NotebookExecutionManager):
    """papermill's account of a notebook that runs: it writes what has changed at most every two seconds."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._changed, self._written = False, time.monotonic()

    def save(self, **_):
        """papermill's hook where a cell begins or ends."""
        self._changed = True
        self.save_if_due()

    def save_if_due(self):
        """Write what has changed, unless the last time was just now. Called as long as a cell runs."""
        if self._changed and time.monotonic() - self._written >= EVERY:
            save(self.nb, self.output_path)
            self._changed, self._written = False, time.monotonic()
            self.last_save_time = self.now()

    def notebook_complete(self, **_):
        """papermill's hook at the end."""
        self._written = float("inf")  # the archive writes what there is now
        super().notebook_complete()


def save(notebook: nbformat.NotebookNode, path: str) -> None:
    """Write a notebook into the archive as it is now."""
    replace(place(path.removeprefix(SCHEME)), redact_notebook(nbformat.writes(notebook)))


papermill_io.register(SCHEME, Handler())
