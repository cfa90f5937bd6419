"""The markup of a notebook's cells, one by one: a cell that cannot be shown costs itself, and the page says so."""

import html
import logging
import re
from functools import cache

from nbconvert.filters import Highlight2HTML
from nbconvert.preprocessors import HighlightMagicsPreprocessor
from nbformat import NotebookNode
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from pulsebook.archive import outputs
from pulsebook.archive.document import ODD
from pulsebook.archive.markdown import rendered
from pulsebook.archive.surroundings import Surroundings, note, shortened, size
from pulsebook.base.redact import HIDDEN
from pulsebook.base.words import say

log = logging.getLogger(__name__)
HIGHLIGHTED, SOURCE = 50_000, 200_000  # characters of a cell's code: shown in colours, shown at all
LOST = "The code of this cell has lost a text that looks like a secret: as it stands here it does not do what it did."
_HEADING = re.compile(r"^#{1,6} (.{1,200})", re.M)
_UNTAGGED = re.compile(r"[^\w.:-]")


def markup(cell: NotebookNode, language: str, around: Surroundings) -> str:
    """A cell, in the shape that `document` promises, as markup that is whole and holds nothing active.

    Args:
        language: of the notebook's code, as pygments knows it.
    """
    around.attachments = cell.get("attachments", {})
    if cell.cell_type == "markdown":
        around.heading = ([*_HEADING.findall(cell.source), around.heading])[0]
    kind = "code_cell" if cell.cell_type == "code" else "text_cell"
    tags = "".join(f" celltag_{_UNTAGGED.sub('_', tag)}" for tag in cell.metadata.get("tags", []))
    try:
        inside = _inside(cell, language, around)
    except Exception as error:  # never a page without the others
        log.exception("cell %s cannot be shown", cell.id)
        why = "This cell cannot be shown ({}); this is its source, the notebook holds the rest."
        said = note(say(why, type(error).__name__))
        inside = f"{said}<pre>{html.escape(shortened(cell.source, SOURCE))}</pre>"
    odd = "".join(note(say("Something is not shown: {}.", said)) for said in cell.metadata.get(ODD, []))
    return f'<div id="cell-id={html.escape(cell.id)}" class="cell {kind}{tags}">{odd}{inside}</div>\n'


def _inside(cell: NotebookNode, language: str, around: Surroundings) -> str:
    if cell.cell_type == "code":
        shown = "".join(_output(output, around) for output in cell.outputs)
        made = f"<div class=output_wrapper><div class=output>{shown}</div></div>" if shown else ""
        lost = note(say(LOST)) if HIDDEN in cell.source else ""
        return f"{lost}<div class=input><div class=input_area>{code(cell.source, language, around)}</div></div>{made}"
    if cell.cell_type == "markdown":
        made, lost = rendered(cell.source, around)
        if lost:
            said = "Interactive parts of this cell ({}) are not shown: this page runs no scripts."
            made += note(say(said, ", ".join(sorted(lost))))
        return f"<div class=rendered_html{' tabindex=0' if '<table' in made else ''}>{made}</div>"
    return f"<pre class=raw>{html.escape(shortened(cell.source, SOURCE))}</pre>" if cell.source.strip() else ""


def _output(output: NotebookNode, around: Surroundings) -> str:
    try:
        return outputs.markup(output, around)
    except Exception as error:  # never a page without the others
        log.exception("an output cannot be shown")
        return note(say("An output cannot be shown ({}); the notebook holds it.", type(error).__name__))


def code(source: str, language: str, around: Surroundings) -> str:
    """Code as markup, in colours where it is short enough."""
    if not around.take(len(source)):
        return note(say("{} of code are left out: the page is full. The notebook holds them.", size(len(source))))
    if len(source) <= HIGHLIGHTED:
        return Highlight2HTML(pygments_lexer=_lexer(_magics().which_magic_language(source) or language))(source)
    return f"<div class=highlight><pre>{html.escape(shortened(source, SOURCE))}</pre></div>"


@cache
def _lexer(language: str) -> str:
    """The same language, if pygments knows it."""
    if language == "ipython3":
        return language
    try:
        get_lexer_by_name(language)
    except ClassNotFound:
        return "text"
    return language


@cache
def _magics() -> HighlightMagicsPreprocessor:
    return HighlightMagicsPreprocessor()
