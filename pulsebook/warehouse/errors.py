"""What can go wrong between us and ClickHouse. All of it is a `WarehouseError`."""

from pulsebook.base.errors import PulsebookError


class WarehouseError(PulsebookError, RuntimeError):
    """ClickHouse refused a statement, answered with an error, or could not be reached; or a value does not fit."""


class RefusedError(WarehouseError):
    """ClickHouse answered with an error: `answer`, in its own words."""

    def __init__(self, message: str, answer: str):
        super().__init__(message)
        self.answer = answer


class PassingError(WarehouseError):
    """A read may succeed when it is tried again: there was no connection, or the server listed its tables while another
    run dropped one, on which servers of 2018 fail ("Table … doesn't exist", or its file cannot be opened)."""
