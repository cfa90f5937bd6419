"""The chDB engine on a data folder: its formats, what statements may not use, and a connection for each of them."""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import chdb

from pulsebook.local.confinement import Refusals, confined
from pulsebook.local.connection import QUERY_SIZE, Connection
from pulsebook.local.failure import code_of


@dataclass
class Format:
    """A format as the engine spells it."""

    name: str
    content_type: str


class Engine:
    """The engine of this process; it runs statements side by side, those of one connection one after another."""

    def __init__(self, path: Path, config: Path | None = None, pipes: Path | None = None, sources: bool = False):
        """
        Args:
            config: a configuration file of ClickHouse's: users, clusters, limits; its grants replace ours.
            pipes: a folder for named pipes.
            sources: whether statements may use what lies outside of the data folder.
        """
        if config is None and not sources:
            config = confined(Path(f"{path}-rights"))
        self.path = f"{path}?config-file={config}" if config else str(path)
        self._keeper = chdb.connect(self.path)  # keeps the engine up between requests
        self._keeping = threading.Lock()
        self.pipes = pipes or Path(tempfile.mkdtemp(prefix="pb-pipes-"))
        rows = self._asked("SELECT name, content_type FROM system.formats FORMAT TSV").splitlines()
        self.formats = {name.lower(): Format(name, kind) for name, kind in (row.split("\t") for row in rows)}
        self.refusals = None if sources else self._confine()
        self.query_size = int(self._asked(QUERY_SIZE))

    def connection(self) -> Connection:
        return Connection(self.path, self.pipes, self.kill, self.refusals)

    def kill(self, number: str) -> None:
        """End the statement that a connection runs, if it runs one: its text holds the connection's number."""
        self._asked(f"KILL QUERY WHERE position(query, '{number}') > 0 AND query NOT ILIKE 'KILL %' FORMAT Null")

    def _confine(self) -> Refusals:
        """Take the file system out of the database `default`, where chDB lays it under the tables."""
        overlay = "SELECT uuid FROM system.databases WHERE name = 'default' AND engine = 'Overlay' FORMAT TSV"
        if number := self._asked(overlay).strip():
            try:
                self._asked("DETACH DATABASE default")
                self._asked(f"ATTACH DATABASE default UUID '{number}' ENGINE = Atomic")
            except RuntimeError as error:
                if code_of(error) != 497:  # a configuration that grants less: it says who may read `default`
                    raise
        engines = "SELECT name FROM system.table_engines UNION ALL SELECT name FROM system.database_engines FORMAT TSV"
        functions = "SELECT name FROM system.table_functions FORMAT TSV"
        return Refusals(self._asked(engines).split(), self._asked(functions).split())

    def _asked(self, statement: str) -> str:
        with self._keeping:
            return self._keeper.query(statement, "TSV").bytes().decode()
