"""Variables of the environment beside the settings: those of other programs, and what is supplied for a while."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pulsebook.base.settings import settings


def variables(prefix: str = "") -> dict[str, str]:
    """The variables whose names begin so, by name."""
    return {name: value for name, value in os.environ.items() if name.startswith(prefix)}


def exchange(values: Mapping[str, str]) -> None:
    """From now on the process has these variables and no others, also in `settings()`."""
    os.environ.clear()
    os.environ.update(values)
    settings.cache_clear()


@contextmanager
def supplied(values: Mapping[str, object]) -> Iterator[list[str]]:
    """Within this context `settings()` holds these values, where they are not empty and the environment has no such name.

    Yields the names that were supplied.
    """
    added = {name: str(value) for name, value in values.items() if value and name not in os.environ}
    os.environ.update(added)
    settings.cache_clear()
    try:
        yield list(added)
    finally:
        for name in added:
            os.environ.pop(name, None)
        settings.cache_clear()
