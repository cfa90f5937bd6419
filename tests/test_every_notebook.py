"""Every notebook of the tree, a new one too, runs on its defaults, and each of its cells can be run twice in a row."""

import re
from contextlib import redirect_stdout
from io import StringIO

import nbformat
import pytest

from pulsebook.base.settings import ROOT, settings
from pulsebook.local import sample
from tests.etl import quick

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
COLLECT = ROOT / "notebooks" / "alerts" / "collect.ipynb"
DAYS, DAU = 31, 300


@pytest.fixture(scope="module")
def app(server, tmp_path_factory):
    """A social app that is alive now, its ETL done for yesterday."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "clickhouse_url": server,
            "source_database": "every_source",
            "target_database": "every_target",
            "timezone": "Europe/Moscow",
            "outputs": str(tmp_path_factory.mktemp("outputs")),
        }.items():
            patch.setenv(f"PULSEBOOK_{name.upper()}", value)
        settings.cache_clear()
        sample.fill(sample.http(server), DAYS, DAU, 1, None, "Europe/Moscow", "every_source")
        with redirect_stdout(StringIO()):
            quick("")
        yield
    settings.cache_clear()
    for database in ("every_source", "every_target"):
        sample.http(server)(f"DROP DATABASE {database}")


def executed(path, times: int) -> str:
    """What the last cell prints, when each code cell has run so many times. The last slot has been collected before."""
    if path.parent == COLLECT.parent and path != COLLECT:
        executed(COLLECT, 1)
    names = {"display": lambda *_: None}
    for number, cell in enumerate(nbformat.read(path, 4).cells):
        if cell.cell_type == "code":
            for _ in range(times):
                with redirect_stdout(StringIO()) as said:
                    exec(compile(cell.source, f"{path.stem}, cell {number}", "exec"), names)
    return said.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_on_its_defaults_and_every_cell_twice(app, path):
    for _ in range(2):  # in the first round a quarter of an hour may begin
        once, twice = executed(path, 1), executed(path, 2)
        if once == twice:
            break
    assert once.strip() and once == twice


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_summary_of_every_notebook_is_russian_for_a_russian_team(app, path):
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PULSEBOOK_LANGUAGE", "ru")
            settings.cache_clear()
            said = executed(path, 1)
    finally:
        settings.cache_clear()
    names = {
        "CTR",
        "DAU",
        "WAU",
        "MAU",
        "every_target",
        "metrics_by_dimension",
        "iOS",
        "Android",
    }  # the table that is loaded
    assert re.search("[а-я]{3}", said) and {*re.findall("[A-Za-z_]{2,}", said)} <= names, said
