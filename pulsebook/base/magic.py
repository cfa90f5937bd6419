"""`%pulsebook try`, the magic of JupyterLab, as it stands in a cell: nothing of the notebook's own.

>>> lines("x = 1\\n%pulsebook try")
[(2, '%pulsebook try')]
>>> without("x = 1\\n%pulsebook try")
'x = 1'
"""

import re

_LINE = re.compile(r"^[ \t]*(%pulsebook\b[^\n]*)\n?", re.M)


def lines(source: str) -> list[tuple[int, str]]:
    """Such lines of a cell, with their numbers."""
    return [(source.count("\n", 0, found.start()) + 1, found[1].rstrip()) for found in _LINE.finditer(source)]


def without(source: str) -> str:
    """The rest of the cell."""
    return _LINE.sub("", source).rstrip("\n") if lines(source) else source


def alone(source: str) -> bool:
    """Whether a cell holds such lines and nothing else."""
    return bool(lines(source)) and not without(source).strip()
