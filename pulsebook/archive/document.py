"""An executed notebook as it lies in the archive, in a shape that whatever reads it can rely on.

In what `read` gives each cell has `cell_type` (code, markdown, raw), `source` (text), `metadata` (a dict, `tags` a list of
texts) and an `id` of its own; a code cell has `outputs`, each with an `output_type` of nbformat and its fields in their types.
What was otherwise is made so, and what had to be left out for it stands in the cell's `metadata["pulsebook_odd"]`, as sentences
for the reader.
"""

import json
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from pulsebook.base.errors import PulsebookError
from pulsebook.base.words import say

LARGEST = 400_000_000  # bytes of a notebook that is read at all
ODD = "pulsebook_odd"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: no encoding takes it


class DocumentError(PulsebookError, ValueError):
    """A file is no notebook that can be read; the message says why."""


def read(path: Path, content: bytes | None = None) -> NotebookNode:
    """The notebook of a file.

    Args:
        content: what the file holds, where that is known.

    Raises:
        DocumentError: it cannot be read as a notebook at all.
        FileNotFoundError: there is no file.
    """
    try:
        content = path.read_bytes() if content is None else content
        if len(content) > LARGEST:
            raise ValueError(f"it has {len(content) / 1e6:,.0f} MB; up to {LARGEST / 1e6:,.0f} MB are read")
        found = json.loads(content.decode("utf-8", "replace"))
        if isinstance(found, dict) and isinstance(found.get("nbformat"), int) and found["nbformat"] < 4:
            found = nbformat.convert(nbformat.from_dict(found), 4)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever the old formats' readers meet
        raise DocumentError(
            say("{} cannot be read as a notebook: {}", path.name, f"{type(error).__name__}: {error}")
        ) from None
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        raise DocumentError(say("{} is no notebook: it has no list of cells", path.name))
    return normalized(found)


def normalized(found: dict) -> NotebookNode:
    """A notebook, its JSON read, in the shape that this module promises. Nothing that is given is changed."""
    cells, taken = [], set()
    for number, cell in enumerate(found["cells"], 1):
        made = _cell(cell, number)
        if made["id"] in taken:
            made["id"] = f"pulsebook-{number}"
        taken.add(made["id"])
        cells.append(made)
    return NotebookNode(cells=cells, metadata=_node(found.get("metadata")), nbformat=4, nbformat_minor=5)


def text(value) -> str:
    """Text of a notebook: its lines are one text; half a surrogate pair, which no file holds, is shown as �."""
    if isinstance(value, list):
        value = "".join(line if isinstance(line, str) else str(line) for line in value)
    if not isinstance(value, str):
        value = "" if value is None else str(value)
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(value) else value


def _cell(cell, number: int) -> NotebookNode:
    if not isinstance(cell, dict):
        odd = [say("cell {} is no cell but {}", number, _said(cell))]
        return NotebookNode(
            id=f"pulsebook-{number}", cell_type="raw", source="", metadata=_node({"tags": [], ODD: odd})
        )
    odd, metadata = [], _node(cell.get("metadata"))
    tags = metadata.get("tags")
    metadata["tags"] = [text(tag) for tag in tags] if isinstance(tags, list) else []
    if not isinstance(metadata.get("papermill", {}), dict):
        del metadata["papermill"]
    given, kind = cell.get("id"), cell.get("cell_type")
    known = isinstance(given, str) and _ID.fullmatch(given)
    if kind not in ("code", "markdown", "raw"):
        odd.append(say("the kind of this cell is {}, which is none of a notebook's", _said(kind)))
        kind = "raw"
    made = NotebookNode(id=given if known else f"pulsebook-{number}", cell_type=kind, metadata=metadata)
    made["source"] = text(cell.get("source"))
    if kind == "markdown":
        attachments = cell.get("attachments")
        made["attachments"] = {
            text(name): bundle for name, bundle in (attachments if isinstance(attachments, dict) else {}).items()
        }
    if kind == "code":
        made["execution_count"] = cell.get("execution_count") if isinstance(cell.get("execution_count"), int) else None
        outputs = cell.get("outputs")
        if not isinstance(outputs, list):
            odd += [say("the outputs of this cell are {}, not a list", _said(outputs))] * (outputs is not None)
            outputs = []
        made["outputs"] = [_output(output) for output in outputs]
    if odd:
        metadata[ODD] = odd
    return made


def _output(output) -> NotebookNode:
    kind = output.get("output_type") if isinstance(output, dict) else None
    if kind == "stream":
        name = output.get("name") if output.get("name") in ("stdout", "stderr") else "stdout"
        return NotebookNode(output_type=kind, name=name, text=text(output.get("text")), metadata={})
    if kind == "error":
        lines = output.get("traceback")
        lines = [text(line) for line in lines] if isinstance(lines, list) else [text(lines)] * bool(lines)
        named = {"ename": text(output.get("ename")), "evalue": text(output.get("evalue"))}
        return NotebookNode(output_type=kind, traceback=lines, metadata={}, **named)
    if kind in ("display_data", "execute_result"):
        data = output.get("data")
        if isinstance(data, dict):
            return NotebookNode(output_type=kind, data=data, metadata=_node(output.get("metadata")))
        said = say("the data of this output is {}, not a bundle by kind", _said(data))
    elif isinstance(output, dict):
        said = say("this output is of the kind {}", _said(kind))
    else:
        said = say("an output is {}", _said(output))
    return NotebookNode(output_type="display_data", data={}, metadata={ODD: [said]})


def _node(value) -> NotebookNode:
    """Metadata; none where it is no such thing or nested without end."""
    try:
        return nbformat.from_dict(value) if isinstance(value, dict) else NotebookNode()
    except RecursionError:
        return NotebookNode()


def _said(value) -> str:
    """What a sentence says of a value that is none of those expected."""
    named = value is None or isinstance(value, str | int | float)
    return text(str(value) if named else say("of the type {}", type(value).__name__))[:60]
