"""A value that a column cannot hold as it is."""

from pulsebook.base.errors import PulsebookError


class UnfitError(PulsebookError, ValueError):
    """Says the value, the type and its range."""


def shown(value) -> str:
    """A value in an error: on one line, and not all of it where it is long."""
    text = repr(value) if isinstance(value, str | bytes | bytearray | list | dict | tuple) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:80]} …"
