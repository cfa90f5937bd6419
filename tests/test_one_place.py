"""What the catalogue holds stands nowhere else: the notebooks have no aggregate, table or row filter of its own."""

import re

import nbformat
import pytest

from pulsebook.catalogue import DIMENSIONS, METRICS, SOURCES, Count
from pulsebook.settings import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def bare(code: str) -> str:
    return re.sub(r"\s+", "", code)


HELD = {
    *(source.table for source in SOURCES.values()),
    *(bare(source.rows) for source in SOURCES.values() if source.rows),
    *(bare(m.sql) for m in METRICS.values() if isinstance(m, Count) and m.sql not in ("", "count()")),
    *(spelt for source in SOURCES.values() for spelt in source.receivers),
    *(bare(dimension.sql) for dimension in DIMENSIONS if dimension.sql),
    "action=",
    "actionIN",
    "uniqExact(user_id)",
    "countIf(action",
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_nothing_that_the_catalogue_holds(notebook):
    cells = nbformat.read(notebook, 4).cells
    code = bare("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    assert not [held for held in HELD if held in code]


def test_what_is_held_would_be_found():
    assert {"countIf(action='view')", "feed_actions", "actionIN('view','like')", "reciever_id"} <= HELD
    assert len(NOTEBOOKS) >= 10
