"""The markup of a cell's outputs. A page runs no script: of what a notebook shows in several forms it takes one that stands
still. What it cannot show, and what it leaves out for its size, is said in its place.
"""

import html
import json
import re

from nbconvert.filters import ansi2html
from nbformat import NotebookNode

from pulsebook.archive import notebook as facts
from pulsebook.archive import pictures
from pulsebook.archive.document import ODD, text
from pulsebook.archive.inert import clean
from pulsebook.archive.surroundings import Surroundings, note, short, shortened, size
from pulsebook.base.facts import KIND
from pulsebook.base.words import say

TEXT, MARKUP = 200_000, 1_000_000  # characters of one output: of text, of HTML
COLOURS = 2_000  # codes of colour in one text: a text with more is shown without
_PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")
_STILL = ("text/html", "text/markdown", "image/svg+xml", "text/latex", *_PICTURES[1:], "application/json", "text/plain")
_STATIC_FIRST = (*_PICTURES, *(kind for kind in _STILL if kind not in _PICTURES))
_LIVE = {  # what a script in the browser would draw
    "application/vnd.plotly": "plotly",
    "application/vnd.vega": "Vega, Altair",
    "application/vnd.bokeh": "Bokeh",
    "application/vnd.holoviews": "HoloViews",
    "application/vnd.jupyter.widget": "a widget",
    "application/javascript": "JavaScript",
    "text/javascript": "JavaScript",
    "application/geo+json": "a map",
    "text/vnd.mermaid": "Mermaid",
}
_CODE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_VISIBLE = re.compile(r"<(?:img|svg|hr|progress|meter)\b|[^\s<>](?![^<]*>)", re.I)
_STYLE = re.compile(r"<style[^>]*>.*?</style>", re.S)


def markup(output: NotebookNode, around: Surroundings) -> str:
    """An output as markup that is whole and holds nothing active."""
    if output.output_type == "stream":
        shown = _text(output.text, around, f"output_stream output_{output.name}")
    elif facts.is_exit(output):
        shown = note(say("The notebook ended itself here: what comes after did not run."))
    elif output.output_type == "error":
        traceback = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        shown = _text(traceback, around, "output_error")
    else:
        shown = _bundle(output, around)
    return f"<div class=output_area>{shown}</div>" if shown else ""


def _bundle(output: NotebookNode, around: Surroundings) -> str:
    """One form of an output that comes in several."""
    notes = [note(say("Something is not shown: {}.", text(said))) for said in output.metadata.get(ODD, [])]
    data = {text(kind): value for kind, value in output.data.items()}
    live = dict.fromkeys(say(name) for kind in data for start, name in _LIVE.items() if kind.startswith(start))
    shown, static = "", _STATIC_FIRST if live else _STILL
    for kind in (kind for kind in static if kind in data):
        try:
            shown, lost = _form(kind, data[kind], output, around)
        except pictures.NoPicture as why:
            notes.append(note(say("A picture ({}) is not shown: {}.", kind, why)))
            continue
        live |= dict.fromkeys(sorted(lost))
        if shown:
            break
    if live:
        said = say("An interactive output ({}) is not shown: this page runs no scripts.", ", ".join(live))
        notes.append(note(f"{said} {say('This is its static form:')}" if shown else said))
    elif (
        not shown and not notes and (unknown := [kind for kind in data if kind != KIND and data[kind] not in ("", [])])
    ):
        kinds = ", ".join(short(kind) for kind in unknown[:5])
        notes.append(note(say("An output is not shown: no page shows the kind {}. The notebook holds it.", kinds)))
    return "".join(notes) + shown


def _form(kind: str, given, output: NotebookNode, around: Surroundings) -> tuple[str, set[str]]:
    """An output in one of its forms, and what of it is lost on a page; nothing where nothing would be seen."""
    extra = " output_execute_result" if output.output_type == "execute_result" else ""
    if kind.startswith("image/"):
        found = around.admit(pictures.picture(kind, given))
        damaged = note(say("The picture is damaged: {}.", found.damaged)) if found.damaged else ""
        name = kind.partition("/")[2].partition("+")[0]
        image = f'<img src="{found.address}"{_measures(kind, output.metadata, around.heading)}>'
        return f'{damaged}<div class="output_{name} output_subarea{extra}">{image}</div>', set()
    if kind == "application/json":
        return _text(json.dumps(given, indent=1, ensure_ascii=False), around, extra), set()
    given = text(given)
    if kind == "text/plain":
        return _text(given, around, extra) if given else "", set()
    if kind == "text/latex":
        inside = html.escape(shortened(given, TEXT)) if given.strip() else ""
        return f'<div class="output_latex output_subarea{extra}">{inside}</div>' if inside else "", set()
    if kind == "text/markdown":
        from pulsebook.archive.markdown import rendered

        inside, lost, left = *rendered(given, around), 0
    else:
        head = given if len(given) <= MARKUP else given[: given.rfind(">", 0, MARKUP) + 1]
        left = len(given) - len(head)
        if not around.take(len(head)):
            return _no_room(len(given)), set()
        inside, lost = clean(head, around.lookup)
    if not left and not _VISIBLE.search(_STYLE.sub("", inside)):
        return "", lost
    said = note(say("{} of this output are left out; the notebook holds them.", size(left))) if left else ""
    name = kind.partition("/")[2]
    return f'<div class="output_{name} rendered_html output_subarea{extra}" tabindex=0>{inside}</div>{said}', lost


def _text(given: str, around: Surroundings, kind: str) -> str:
    shown = shortened(given, TEXT)
    if not around.take(len(shown)):
        return _no_room(len(given))
    return f'<div class="output_subarea output_text {kind.strip()}"><pre tabindex=0>{coloured(shown)}</pre></div>'


def coloured(given: str) -> str:
    """A text with a terminal's colours as markup; without them where they are many or no terminal's."""
    if "\x1b" not in given:
        return html.escape(given, quote=False)
    if given.count("\x1b[") <= COLOURS:
        try:
            return ansi2html(given)
        except (IndexError, ValueError):  # a code that is cut short
            pass
    return html.escape(_CODE.sub("", given), quote=False)


def _no_room(characters: int) -> str:
    return note(say("An output of {} is left out: the page is full. The notebook holds it.", size(characters)))


def _measures(kind: str, metadata: dict, heading: str) -> str:
    """Attributes of a picture: its size, and what it shows: as its output says, or else the heading that it stands under."""
    own = metadata.get(kind)
    given = {**metadata, **(own if isinstance(own, dict) else {})}
    sides = {
        side: given[side] for side in ("width", "height") if re.fullmatch(r"\d{1,5}(?:\.\d+)?%?", str(given.get(side)))
    }
    of = say("picture: {}", heading) if heading else say("picture of a cell")
    alt = given["alt"] if isinstance(given.get("alt"), str) and given["alt"] else of
    return "".join(f' {name}="{html.escape(str(value))}"' for name, value in {**sides, "alt": text(alt)}.items())
