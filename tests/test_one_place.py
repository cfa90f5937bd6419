"""What the catalogue holds stands nowhere else: the notebooks have no aggregate, table or row filter of its own."""

import re

import nbformat
import pytest

from pulsebook.base.settings import ROOT
from pulsebook.catalogue import DIMENSIONS, METRICS, SOURCES, Count

FOLDERS = ("alerts", "etl", "reports")
GENERIC = ("", "count()")  # aggregates that say nothing of what is counted
RECEIVER = r"\{[^{}]+\}"  # in a notebook: {receiver}, or an expression of that name


def bare(code: str) -> str:
    """With one blank where words would touch, none elsewhere, and one kind of quotes."""
    code = code.replace('\\"', "'").replace('"', "'")
    return re.sub(r" ?([^\w ]) ?", r"\1", re.sub(r"\s+", " ", code))


def pattern(sql: str) -> str:
    return re.escape(bare(sql)).replace(re.escape("{receiver}"), RECEIVER)


HELD = {
    **{f"table of {source.name}": pattern(source.table) for source in SOURCES.values()},
    **{f"rows of {source.name}": pattern(source.rows) for source in SOURCES.values() if source.rows},
    **{f"spelling {spelt}": pattern(spelt) for source in SOURCES.values() for spelt in source.receivers},
    **{f"metric {m.name}": pattern(m.sql) for m in METRICS.values() if isinstance(m, Count) and m.sql not in GENERIC},
    **{f"dimension {dimension.name}": pattern(dimension.sql) for dimension in DIMENSIONS if dimension.sql},
    "a filter of actions": r"\baction(=|!=| IN\b| NOT IN\b)",
    "a count of actions": r"If\([^()]*\baction\b",
}


def held(code: str) -> list[str]:
    """What of the catalogue a notebook's code holds."""
    return [what for what, found in HELD.items() if re.search(found, bare(code))]


def code_of(notebook) -> str:
    return "\n".join(cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code")


@pytest.mark.parametrize("notebook", [n for f in FOLDERS for n in sorted((ROOT / "notebooks" / f).glob("*.ipynb"))],
                         ids=lambda path: path.stem)  # fmt: skip
def test_a_notebook_holds_nothing_that_the_catalogue_holds(notebook):
    assert not held(code_of(notebook)), "take it from the catalogue: events(…).table, .rows(…), .select(…), .receiver"


def test_every_folder_of_notebooks_is_looked_at():
    assert {path.parent.name for path in (ROOT / "notebooks").rglob("*.ipynb")} == set(FOLDERS)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("FEED = f'{database}.feed_actions'", "table of feed"),
        ("SELECT uniqExact(\n  user_id ) AS feed_users", "metric feed_users"),
        ("SELECT uniqExact({messages.receiver}) AS n", "metric users_sent"),
        ("SELECT uniqExactIf(post_id, action = 'view')", "metric posts"),
        ("countIf(action  =  'view') AS views", "metric views"),
        ('"countIf(action = \\"like\\")"', "metric likes"),
        ("WHERE action IN ('view', 'like') AND 1", "rows of feed"),
        ("WHERE action IN ('view')", "a filter of actions"),
        ("avgIf(1, action != 'like')", "a count of actions"),
        ("receiver = 'reciever_id'", "spelling reciever_id"),
        ("multiIf(gender = 1, 'female', gender = 0, 'male', '')", "dimension gender"),
    ],
)
def test_what_a_notebook_would_hold_is_found(code, what):
    assert what in held(code)


def test_what_has_nothing_to_do_with_the_catalogue_is_let_be():
    assert not held("count() AS rows, action_of(feed), max(time), countIf(feed = 1), transaction = 1, uniqExact(post)")
