"""Markup that comes from data, made harmless and whole by nh3: what is known to be inert stays, everything else goes.

    >>> cleaned = clean("<b onclick=x()>7</b><script>y()</script><table><td>8")
    >>> cleaned.markup, sorted(cleaned.lost)
    ('<b>7</b><table><tbody><tr><td>8</td></tr></tbody></table>', ['handler', 'script'])

The result opens nothing that it does not close and closes nothing that it did not open, so it cannot swallow or leave what
it is put into. A browser's policy stands behind it; this keeps the page right where a policy would only keep it harmless.
"""

import html
import re
from collections.abc import Callable
from typing import NamedTuple

import nh3

from pulsebook.archive.document import text
from pulsebook.archive.steep import is_steep
from pulsebook.base.words import say

_words = re.compile(r"\S+").findall
HTML = set(
    _words(
        "a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl "
        "dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd label li mark meter ol p pre progress q rp rt ruby s "
        "samp section small span strike strong style sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr"
    )
)
SVG = set(
    _words(
        "svg g path rect circle ellipse line polyline polygon text tspan defs linearGradient radialGradient stop clipPath mask "
        "pattern marker symbol use"
    )
)
INTERACTIVE = _words(
    "script iframe object embed applet canvas audio video form input select textarea frame frameset template"
)
GROWTH = 8  # times the length of what was given: more is formatting that is repeated in every paragraph
WITHOUT_TEXT = {"script", "title", "iframe", "select", "applet"}  # what they hold is nothing to read either
ATTRIBUTES = set(
    _words(
        "class id title style dir lang role alt width height colspan rowspan align valign scope headers abbr span border bgcolor "
        "cellpadding cellspacing color face size start type reversed open value max min low high optimum datetime cite name "
        "href d x y x1 x2 y1 y2 dx dy cx cy r rx ry fx fy points transform viewBox preserveAspectRatio xmlns version opacity "
        "offset orient refX refY rotate textLength lengthAdjust pathLength visibility display overflow mask filter "
        "spreadMethod shape-rendering vector-effect paint-order dominant-baseline alignment-baseline letter-spacing"
    )
)
PREFIXES = {"fill", "stroke", "font-", "text-", "clip", "stop-", "marker", "gradient", "pattern", "maskUnits"}
SCHEMES = {"http", "https", "mailto", "ftp"}
_OF_PICTURES = {"data", "attachment", "kept-picture", "file", "blob", "cid"}  # shown, or said why they are not
_LOST = re.compile(rf"<({'|'.join(INTERACTIVE)})(?=[\s/>]|$)|<[a-z][^<>]*[\s\"'/](on)[a-z]+\s*=", re.I)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.I)
_FILES = re.compile(r"data:(?:text/(?:csv|plain)|application/(?:json|octet-stream|vnd\.[\w.+-]+|zip|pdf))[;,]", re.I)
_IDLE = re.compile(r"[\x00-\x20\x7f]+")
_IMAGE = re.compile(r'<img((?: [^\s="]+="[^"]*")*)>')
_SOURCE = re.compile(r' src="(\d+)"')
_STYLE = re.compile(r"(<style\b[^>]*>)([^<]*(?:<(?!/style>)[^<]*)*)")
_TAG = re.compile(r"<[^<>]*>")


class Cleaned(NamedTuple):
    markup: str
    lost: set[str]  # what a page without scripts cannot show: names of elements, `handler`


def clean(markup: str, picture: Callable[[str], str | None] = lambda address: None) -> Cleaned:
    """A part of a document without anything active in it; its bare text where its markup is too entangled (see `steep`).

    Args:
        picture: gives for the address of a picture a `data:` address, or markup that stands in its place (it begins with
            `<`); None: the picture is left out.
    """
    markup = text(markup)
    lost = {found[1].lower() if found[1] else "handler" for found in _LOST.finditer(markup)}
    if is_steep(markup):
        return Cleaned(_bare(markup), lost)
    addresses = []

    def kept(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            addresses.append(value)
            return str(len(addresses) - 1)
        if name == "href" and not (value.startswith("#") or (tag == "a" and is_harmless(value))):
            return None
        return value

    def image(found: re.Match) -> str:
        source = _SOURCE.search(found[1])
        address = addresses[int(source[1])] if source and int(source[1]) < len(addresses) else ""
        given = picture(address)
        if given is None or given.startswith("<"):
            return given or ""
        alt = "" if ' alt="' in found[1] else ' alt=""'
        return f'<img src="{html.escape(given)}"{alt}{_SOURCE.sub("", found[1], count=1)}>'

    made = nh3.clean(
        markup,
        tags=HTML | SVG,
        clean_content_tags=WITHOUT_TEXT,
        attributes={"*": ATTRIBUTES, "img": {"src"}, "a": {"target", "download"}},
        attribute_filter=kept,
        generic_attribute_prefixes=PREFIXES,
        url_schemes=SCHEMES | _OF_PICTURES,
        link_rel=None,
    )
    if len(made) > GROWTH * len(markup) + 1_000:
        return Cleaned(_bare(markup), lost)
    return Cleaned(_IMAGE.sub(image, _STYLE.sub(_style, made)), lost)


def is_harmless(address: str) -> bool:
    """Whether a link may lead there: the web, mail, a place in the archive; a file that is saved, not shown."""
    address = _IDLE.sub("", address)  # browsers overlook them in a scheme
    scheme = _SCHEME.match(address)
    return not scheme or scheme[1].lower() in SCHEMES or bool(_FILES.match(address))


def _bare(markup: str) -> str:
    said = say("An output is shown without its markup, which is too entangled to be made safe.")
    bare = html.escape(html.unescape(_TAG.sub(" ", markup)), quote=False)
    return f'<p class="note">{said}</p><pre>{bare}</pre>'


def _style(found: re.Match) -> str:
    r"""A style sheet that holds no `<`: nothing that reads it as markup finds any. CSS itself reads `\3c `."""
    return found[1] + found[2].replace("<", r"\3c ")
