"""Texts of pages and runs in the language that is set. A text is named by its English; `russian` holds the Russian of each.

    >>> say("{} days", number("1,234"))
    '1,234 days'

A text that has no Russian, such as a status of a later version, stays as it is. Logs and commands speak English.
"""

from pulsebook.base.russian import RUSSIAN
from pulsebook.base.settings import settings

_MARKS = str.maketrans({",": "\N{NO-BREAK SPACE}", ".": ","})  # of English numbers, as Russian has them


def say(text: str, *values) -> str:
    """A text in the language that is set, its `{}` replaced by values."""
    said = RUSSIAN.get(text, text) if settings().language == "ru" else text
    return said.format(*values) if values else said


def number(written: str) -> str:
    """A number that is written as in English (1,234.5), written as in the language that is set."""
    return written.translate(_MARKS) if settings().language == "ru" else written
