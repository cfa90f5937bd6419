"""A server that is asked once: without trying again, as a read does otherwise."""

import json

from pulsebook.warehouse import http
from pulsebook.warehouse.client import Warehouse


class Probe(Warehouse):
    """For checks that must be over in time. What `columns`, `require`, `types` and `events` need works as ever."""

    def rows(self, sql: str) -> list[list]:
        """The rows of a statement without FORMAT, as JSON has them: integers of 64 bits may be text."""
        return self._rows(sql)

    def ask(self, sql: str) -> str:
        """The answer to a statement that takes no FORMAT, as the server writes it."""
        return http.post(self.url, self.timeout, sql, None, stream=False).text.strip()

    def execute(self, sql: str) -> None:
        """Run a statement that returns nothing."""
        self.ask(sql)

    def _answer(self, sql: str) -> dict:
        return json.loads(self.ask(sql))
