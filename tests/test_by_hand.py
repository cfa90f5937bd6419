"""`pulsebook run`: a notebook by hand is a run like another, in the archive of its DAG."""

from datetime import date
from zoneinfo import ZoneInfo

import nbformat
import pytest

from pulsebook.archive import lookup
from pulsebook.archive.record import Record
from pulsebook.base.settings import ROOT, settings
from pulsebook.chat import page
from pulsebook.cli import main
from pulsebook.cli.run import dag_of
from tests.world import raw_rows

DAY = "2026-11-20"


@pytest.fixture
def notebooks(tmp_path, configured):
    """A folder of notebooks; call it with a name and code cells."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    configured(notebooks=folder)

    def written(name: str, *code: str):
        cells = [nbformat.v4.new_code_cell(text) for text in code]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)

    return written


def records() -> list[Record]:
    return [Record.load(path) for path in sorted(settings().outputs.rglob("by_hand__*/*.json"))]


@pytest.mark.slow
def test_a_report_by_hand_posts_the_message_of_its_dag_once(configured, fill, capsys):
    fill(*raw_rows(date.fromisoformat(DAY), ZoneInfo("Europe/Moscow")))
    words = ["run", "reports/feed_report.ipynb", "-p", f"run_date={DAY}", "-p", "post=true", "-p", "quiet_hours=24"]
    assert [main(words), main(words)] == [0, 0]
    (message,) = page.read(settings().outputs / "chat")
    first, second = records()
    assert first.path.parents[1] == settings().outputs / "feed_report" / DAY
    assert first.parameters == {"run_date": DAY, "post": True, "quiet_hours": 24.0} == second.parameters
    assert {record.status for record in (first, second)} == {"succeeded"}
    assert str(second.executed) in capsys.readouterr().out
    assert len(lookup.entries(settings().outputs)) == 2


def test_what_is_not_given_is_the_day_or_slot_of_now(notebooks, capsys):
    notebooks("day.ipynb", 'run_date: str = ""\nn: int = 1', "print(run_date, n)")
    assert main(["run", "day.ipynb", "-p", "n=3"]) == 0
    (record,) = records()
    day = date.fromisoformat(record.parameters["run_date"])
    assert 0 <= (date.today() - day).days <= 2 and record.parameters["n"] == 3
    assert record.path.parents[1] == settings().outputs / "day" / str(day)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["day.ipynb", "-p", "m=1"], "day.ipynb has no parameter m; it has run_date, n"),
        (["day.ipynb", "-p", "n=many"], "parameter n of day.ipynb must be"),
        (["day.ipynb", "-p", "n"], "-p must be NAME=VALUE"),
        (["nothing.ipynb"], "there is no notebook nothing.ipynb"),
        (["fails.ipynb"], "ZeroDivisionError"),
    ],
)
def test_what_fails_says_so_and_exits_with_an_error(notebooks, words, said, capsys):
    notebooks("day.ipynb", 'run_date: str = ""\nn: int = 1')
    notebooks("fails.ipynb", "n: int = 0", "1 / n")
    try:
        code = main(["run", *words])
    except SystemExit as refused:
        code = refused.code
    assert code in (1, 2) and said in capsys.readouterr().err


def test_the_dag_of_a_notebook_is_known_from_its_file(configured):
    names = {path.stem: dag_of(path) for path in (ROOT / "notebooks").rglob("*.ipynb")}
    assert names == {
        **dict.fromkeys(("extract_feed", "extract_messages", "merge_users", "slice", "load"), "etl"),
        **dict.fromkeys(("collect", "check", "watch"), "alerts"),
        **dict.fromkeys(("recount", "correct", "recheck"), "recount"),
        "feed_report": "feed_report",
        "app_report": "app_report",
        "backtest": "backtest",
    }
