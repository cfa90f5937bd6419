"""Markdown as markup: with nbconvert's renderer, within bounds; what it cannot render is shown as it was written."""

import html
import logging
import re
from urllib.parse import quote

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from pulsebook.archive.inert import clean
from pulsebook.archive.surroundings import Surroundings, note, shortened, size
from pulsebook.base.words import say

log = logging.getLogger(__name__)
LARGEST = 40_000  # characters, pictures not counted: what is longer is no prose, and may take the renderer minutes
STEEP = 3_000_000  # characters that the renderer may look through for the ends of formulas
_BEGINNINGS = ("\\begin{", "\\\\[", "\\\\(", "$$")
_PICTURE = re.compile(r"data:image/[\w.+-]{1,40};base64,[A-Za-z0-9+/=%]{200,}+")
_SPACED = re.compile(r"\]\(attachment:([^()<>\n]*? [^()<>\n]*)\)")


def rendered(source: str, around: Surroundings) -> tuple[str, set[str]]:
    """The markup of some Markdown, and what of it is lost on a page without scripts (see `inert`)."""
    kept = []

    def keep(found: re.Match) -> str:
        kept.append(found[0])
        return f"kept-picture:{len(kept) - 1}"

    def picture(address: str) -> str:
        number = address.removeprefix("kept-picture:")
        return around.lookup(
            kept[int(number)] if number != address and number.isdigit() and int(number) < len(kept) else address
        )

    prose = _PICTURE.sub(keep, source)
    prose = _SPACED.sub(lambda found: f"](attachment:{quote(found[1])})", prose)
    if not around.take(len(prose)):
        return note(
            say("{} of Markdown are left out: the page is full. The notebook holds them.", size(len(source)))
        ), set()
    steep = sum(prose.count(beginning) for beginning in _BEGINNINGS) * len(prose) > STEEP
    if len(prose) > LARGEST or steep:
        return _as_written(prose, say("{} of Markdown are shown as they were written.", size(len(prose)))), set()
    try:
        made = MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(prose)
    except Exception as error:  # whatever the renderer meets, the reader sees the text
        log.warning("Markdown that cannot be rendered: %s: %s", type(error).__name__, error)
        why = say("Markdown is shown as it was written: it cannot be rendered ({}).", type(error).__name__)
        return _as_written(prose, why), set()
    return clean(made, picture)


class _Renderer(IPythonRenderer):
    """nbconvert's, but pictures keep their address: `Surroundings` looks for them."""

    def _embed_image_or_attachment(self, src: str) -> str:
        return src


def _as_written(prose: str, why: str) -> str:
    return f"{note(why)}<pre>{html.escape(shortened(prose, 200_000))}</pre>"
