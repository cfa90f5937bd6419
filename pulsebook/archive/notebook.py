"""What an executed notebook shows of itself: where it stopped, its summary, the texts of its outputs."""

import re

from nbformat import NotebookNode

from pulsebook.archive.document import text
from pulsebook.base.words import say

MARKER = "papermill-error-cell-tag"  # papermill's own notes about an error


def finalize(notebook: NotebookNode) -> None:
    """Make every cell's status honest: what never started is pending, what was cut off has failed.

    papermill calls all that is pending completed when a notebook ends without a cell's error.
    """
    for cell in notebook.cells:
        state = _state(cell)
        if not state.get("start_time") and "status" in state:
            state.update(status="pending", exception=None, end_time=None, duration=None)
        elif _has_left(cell):
            state.update(status="completed", exception=False)
        elif state.get("status") == "running" or state.get("exception"):
            state.update(status="failed", exception=True)
            notebook.metadata.setdefault("papermill", {})["exception"] = True


def stopped_at(notebook: NotebookNode) -> str:
    """Number and heading, if any, of the cell that failed or was cut off: `cell [3] under “Load”`; empty if none was."""
    heading, number = "", 0
    for cell in cells(notebook):
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("#"):
            heading = cell.source.lstrip().splitlines()[0].lstrip("# ")
        if cell.cell_type == "code" and cell.source.strip():
            number += 1
            if has_failed(cell):
                shown = cell.get("execution_count") or number
                return say("cell [{}] under “{}”", shown, heading) if heading else say("cell [{}]", shown)
    return ""


def has_failed(cell: NotebookNode) -> bool:
    """Whether an executed cell failed or was cut off. One that may fail (`raises-exception`) shows its error and has not."""
    shows_error = any(output.get("output_type") == "error" for output in outputs(cell))
    return not _has_left(cell) and (_state(cell).get("status") == "failed" or (shows_error and not _may_fail(cell)))


def left_early(notebook: NotebookNode) -> bool:
    """Whether the notebook ended itself before its last cell, with `sys.exit(0)`."""
    return any(_has_left(cell) for cell in notebook.cells)


def is_exit(output: NotebookNode) -> bool:
    """Whether an output is what `sys.exit(0)` leaves."""
    return (
        output.get("output_type") == "error"
        and output.get("ename") == "SystemExit"
        and output.get("evalue") in ("", "0", "None")
    )


def _may_fail(cell: NotebookNode) -> bool:
    return "raises-exception" in (cell.metadata.get("tags") or [])


def _has_left(cell: NotebookNode) -> bool:
    return not _may_fail(cell) and any(is_exit(output) for output in outputs(cell))


def never_ran(cell: NotebookNode) -> bool:
    """Whether a cell of code was not reached."""
    return cell.cell_type == "code" and _state(cell).get("status") == "pending"


def cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells without papermill's notes about an error."""
    return [cell for cell in notebook.cells if MARKER not in (cell.metadata.get("tags") or [])]


def summary(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells of the section `## Summary`; none if there is no such section or nothing of it ran."""
    section, inside = [], False
    for cell in cells(notebook):
        if cell.cell_type == "markdown" and re.match(r"#{1,2} ", cell.source):
            inside = re.match(r"## Summary\b", cell.source) is not None
        if inside:
            section.append(cell)
    return section if any(outputs(cell) for cell in section) else []


def text_of(output: NotebookNode) -> str:
    """The plain text of an output; empty where it has none."""
    return text(output.get("text") or bundle(output).get("text/plain", ""))


def bundle(output: NotebookNode) -> dict:
    """The forms of an output by kind; empty where it has none."""
    data = output.get("data")
    return data if isinstance(data, dict) else {}


def outputs(cell: NotebookNode) -> list[NotebookNode]:
    """The outputs of a cell that are some."""
    found = cell.get("outputs")
    return [output for output in found if isinstance(output, dict)] if isinstance(found, list) else []


def _state(cell: NotebookNode) -> dict:
    """What papermill notes of a cell."""
    state = cell.metadata.get("papermill")
    return state if isinstance(state, dict) else {}
