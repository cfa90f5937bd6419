"""docs/analysts.md: what differs between JupyterLab and a run is what its table says; a test for each row."""

import base64
import io
import os
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from pulsebook import runner
from pulsebook.base.settings import ROOT
from pulsebook.lab.server import EXTENSION
from tests.test_archive import only_record

ROWS = re.findall(
    r"(?m)^\| (.+?) \| .+? \| .+? \|$",
    (ROOT / "docs" / "analysts.md").read_text().partition("| a notebook with |")[2].partition("\n\n")[0],
)
SEEN = set()


@pytest.fixture
def row(request):
    """The row of the table that a test is about."""
    (found,) = [row for row in ROWS if request.param in row]
    SEEN.add(found)
    return found


def about(row: str):
    return pytest.mark.parametrize("row", [row], indirect=True)


@pytest.fixture
def folder(outputs):
    return outputs / "by_hand" / "2026-11-20" / "run-1"


@pytest.fixture
def execute(folder, tmp_path):
    """Runs cells as a notebook; returns its record and its page."""

    def run(*cells, metadata=None, **how):
        made = [cell if isinstance(cell, dict) else new_code_cell(cell) for cell in cells]
        nbformat.write(new_notebook(cells=made, metadata=metadata or {}), tmp_path / "step.ipynb")
        try:
            record = runner.run(tmp_path / "step.ipynb", {}, folder, **how)
        except (runner.NotebookFailed, runner.KernelMissing):
            record = only_record(folder)
        return record, record.html.read_text().partition("<main>")[2] if record.html.exists() else ""

    return run


def in_the_lab(code: str, folder) -> str:
    """What a cell prints in a kernel as `make lab` starts it."""
    document = new_notebook(cells=[new_code_cell(code)])
    client = NotebookClient(document, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.extra_arguments = [EXTENSION]
    client.execute()
    return "".join(output.get("text", "") for output in document.cells[0].outputs)


@about("a file beside it")
def test_a_file_beside_the_notebook_is_found(row, execute, tmp_path):
    (tmp_path / "plan.csv").write_text("7")
    code = "print('plan', open('plan.csv').read())"
    assert in_the_lab(code, tmp_path) == "plan 7\n"
    record, page = execute(code)
    assert record.status == "succeeded" and "plan 7" in page


@about("a picture beside it")
def test_a_picture_beside_the_notebook_is_in_the_page(row, execute, tmp_path):
    Image.new("RGB", (3, 3), "teal").save(made := io.BytesIO(), "PNG")
    (tmp_path / "logo.png").write_bytes(made.getvalue())
    _, page = execute(new_markdown_cell("![](logo.png)"), "1")
    assert base64.b64encode(made.getvalue()).decode()[:60] in page


@pytest.mark.parametrize("leaving", ["import sys; sys.exit(0)", "exit()", "quit()"])
@about("`sys.exit(0)`")
def test_leaving_skips_the_rest_without_an_error(row, leaving, execute):
    record, page = execute("print('first')", leaving, "print('never')")
    assert (record.status, record.error) == ("skipped", None)
    assert "first" in page and "SystemExit" not in page and "output_error" not in page
    assert "UserWarning" not in page and "The notebook ended itself here" in page
    assert ">never<" not in page


@about("`raises-exception`")
def test_a_cell_that_may_fail_shows_its_error_and_the_run_goes_on(row, execute):
    cell = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    record, page = execute(cell, "print('after', 40 + 2)")
    assert record.status == "succeeded" and "ZeroDivisionError" in page and "after 42" in page


@about("`input()`")
def test_nobody_answers_a_question(row, execute):
    record, _ = execute("input('sure?')")
    assert record.status == "failed" and "StdinNotImplementedError" in record.error


@about("`!pip`")
def test_programs_are_those_of_the_kernels_environment(row, execute, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")  # another Python comes first
    code = "import sys\nfound = !python -c 'import sys; print(sys.prefix)'\nprint('same', found == [sys.prefix])\n"
    code += "!pip --version"
    said = in_the_lab(code, tmp_path)
    assert "same True" in said and os.path.join("lib", "python") in said
    record, page = execute(code)
    assert record.status == "succeeded" and "same True" in page


@about("no kernel named")
def test_without_a_kernel_it_is_this_environments(row, execute):
    assert execute("1")[0].status == "succeeded"


@about("not installed")
def test_a_kernel_that_is_missing_fails_at_once_with_what_to_do(row, execute):
    record, _ = execute("1", metadata={"kernelspec": {"name": "elsewhere", "language": "python", "display_name": "x"}})
    assert record.status == "failed" and "kernel_name='python3'" in record.error


@about("plotly, altair")
def test_interactive_outputs_have_a_static_form_or_a_word(row, execute):
    show = "from IPython.display import display\ndisplay({}, raw=True)"
    vega = {"application/vnd.vegalite.v5+json": {}, "text/plain": "alt.Chart(…) of 7 rows"}
    _, page = execute(
        show.format({"application/vnd.plotly.v1+json": {"data": []}}), show.format(vega),
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass",
    )  # fmt: skip
    assert "An interactive output (plotly" in page and "is not shown" in page
    assert "alt.Chart(…) of 7 rows" in page and "An interactive output (a widget) is not shown" in page


@about("`%pulsebook`")
def test_a_line_for_jupyterlab_is_refused(row, execute):
    record, _ = execute("%pulsebook try")
    assert record.status == "failed" and "take that line out" in record.error


@about("a catalogue that has changed")
def test_each_run_reads_the_catalogue_anew(row, execute, tmp_path):
    for word in ("one", "two"):
        (tmp_path / "our_catalogue.py").write_text(f"WORD = '{word}'")
        record, page = execute("import sys\nsys.dont_write_bytecode = True\nimport our_catalogue\nprint('word', our_catalogue.WORD)",
                               attempt=1 + (word == "two"))  # fmt: skip
        assert record.status == "succeeded" and f"word {word}" in page


def test_each_row_has_a_test():
    assert len(ROWS) == 11
    if SEEN:  # all of this file was run
        assert {*ROWS} == SEEN
