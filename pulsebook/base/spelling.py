"""A name that is not there: which of those that are may be meant.

>>> meant("veiws", ["views", "likes"])
': is views meant?'
"""

import difflib
from collections.abc import Iterable


def meant(name: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a sentence that names the closest of the known names; empty where none is close.

    Args:
        cutoff: how alike two names must be, from 0 to 1.
    """
    close = difflib.get_close_matches(str(name), list(known), 1, cutoff)
    return f": is {close[0]} meant?" if close else ""
