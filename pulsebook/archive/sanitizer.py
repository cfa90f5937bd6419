"""Markup that comes from data, made harmless and whole: what is known to be inert stays, everything else goes.

    clean("<b onclick=x()>7</b><script>y()</script><table><td>8")
    # Cleaned("<b>7</b><table><td>8</td></table>", {"script"})

The result opens nothing that it does not close and closes nothing that it did not open, so it cannot swallow or leave what
it is put into. It takes time in proportion to its length. A browser's policy stands behind it; this keeps the page right
where a policy would only keep it harmless.
"""

import html
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from pulsebook.archive.htmltokens import RAW, Token, tokens

DEEPEST = 100  # elements within each other; tags beyond are left out, their text stays
VOID = {"br", "hr", "img", "wbr", "col"}
_WORD = re.compile(r"\S+")
HTML = VOID | set(
    _WORD.findall(
        "a abbr address article aside b bdi bdo big blockquote caption center cite code colgroup dd del details dfn div dl dt "
        "em figcaption figure font h1 h2 h3 h4 h5 h6 i ins kbd label li mark meter ol p pre progress q rp rt ruby s samp "
        "section small span strike strong style sub summary sup table tbody td tfoot th thead time tr tt u ul var"
    )
)
SVG = set(
    _WORD.findall(
        "svg g path rect circle ellipse line polyline polygon text tspan defs lineargradient radialgradient stop clippath "
        "mask pattern marker symbol use"
    )
)
INTERACTIVE = set(
    _WORD.findall(
        "script iframe object embed applet canvas audio video form input select textarea frame frameset template"
    )
)
ATTRIBUTES = set(
    _WORD.findall(
        "class id title style dir lang role alt width height colspan rowspan align valign scope headers abbr span border "
        "bgcolor cellpadding cellspacing color face size start type reversed open value max min low high optimum datetime "
        "cite download target name"
    )
)
_OF_SVG = re.compile(r"(?!on)[a-z][a-z0-9:-]*")
_WITHOUT_TEXT = RAW - {"textarea", "noscript", "noembed", "noframes", "xmp"} | {"select", "applet"}
_TABLE = {"table", "caption", "colgroup", "thead", "tbody", "tfoot", "tr", "td", "th"}
_ENDS = {  # an opening tag ends these where they are still open, up to one of those
    "li": ({"li"}, {"ul", "ol"}), "dt": ({"dt", "dd"}, {"dl"}), "dd": ({"dt", "dd"}, {"dl"}), "p": ({"p"}, {"div", "li"}),
    "td": ({"td", "th"}, {"tr"}), "th": ({"td", "th"}, {"tr"}), "tr": ({"tr"}, {"tbody", "thead", "tfoot"}),
    "tbody": ({"thead", "tbody", "tfoot"}, set()), "thead": ({"thead", "tbody", "tfoot"}, set()),
    "tfoot": ({"thead", "tbody", "tfoot"}, set()),
}  # fmt: skip
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.I)
_LINKS = {"http", "https", "mailto", "ftp"}
_FILES = re.compile(r"data:(?:text/(?:csv|plain)|application/(?:json|octet-stream|vnd\.[\w.+-]+|zip|pdf))[;,]", re.I)
_IDLE = re.compile(r"[\x00-\x20\x7f]+")


class Cleaned(NamedTuple):
    markup: str
    lost: set[str]  # what a page without scripts cannot show: names of elements, `handler`


def clean(markup: str, picture: Callable[[str], str | None] = lambda address: None) -> Cleaned:
    """A part of a document without anything active in it.

    Args:
        picture: gives for the address of a picture a `data:` address, or markup that stands in its place (it begins with
            `<`); None: the picture is left out.
    """
    writer = _Writer(picture)
    for token in tokens(markup):
        getattr(writer, token.kind)(token)
    return writer.finished()


def is_harmless(address: str) -> bool:
    """Whether a link may lead there: the web, mail, a place in the archive; a file that is saved, not shown."""
    address = _IDLE.sub("", address)  # browsers overlook them in a scheme
    scheme = _SCHEME.match(address)
    return not scheme or scheme[1].lower() in _LINKS or bool(_FILES.match(address))


class _Writer:
    """Writes tokens as markup; knows what is open."""

    def __init__(self, picture: Callable[[str], str | None]):
        self._picture, self._parts, self._lost, self._skipped = picture, [], set(), ""
        self._stack, self._opened = [], Counter()

    def text(self, token: Token) -> None:
        if not self._skipped:
            text = token.source
            self._parts.append(text.replace("<", "&lt;").replace(">", "&gt;") if "<" in text or ">" in text else text)

    def raw(self, token: Token) -> None:
        if token.name == "style":
            self._parts.append(_style(token.source))
        elif token.name not in _WITHOUT_TEXT:
            self.text(token)

    def open(self, token: Token) -> None:
        name = token.name
        if name in INTERACTIVE:
            self._lost.add(name)
        if name in ("select", "applet") and not self._skipped:
            self._skipped = name
        if self._skipped:
            return
        if name == "img":
            self._parts.append(self._image(token.attributes))
        elif name in VOID:
            self._parts.append(f"<{name}{self._attributes(token)}>")
        elif name in HTML or name in SVG:
            if name in _ENDS and self._stack:
                self._end_implied(name)
            if len(self._stack) < DEEPEST:
                self._parts.append(f"<{name}{self._attributes(token)}>" if token.attributes else f"<{name}>")
                self._stack.append(name)
                self._opened[name] += 1
                if name in SVG and token.source.endswith("/>"):
                    self.close(token)

    def close(self, token: Token) -> None:
        name = token.name
        if self._skipped:
            self._skipped = "" if name == self._skipped else self._skipped
            return
        if not self._opened[name]:
            return
        for depth, opened in enumerate(reversed(self._stack), 1):
            if opened == name:
                self._end(depth)
                return
            if opened in ("td", "th", "table", "svg") and name not in _TABLE:
                return  # it stands outside the table's cell

    def finished(self) -> Cleaned:
        self._end(len(self._stack))
        return Cleaned("".join(self._parts), self._lost)

    def _end_implied(self, name: str) -> None:
        ended, until = _ENDS[name]
        depth = 0
        for at, opened in enumerate(reversed(self._stack), 1):
            if opened in until or opened == "table":
                break
            if opened in ended:
                depth = at
        self._end(depth)

    def _end(self, depth: int) -> None:
        for _ in range(depth):
            name = self._stack.pop()
            self._opened[name] -= 1
            self._parts.append(f"</{name}>")

    def _attributes(self, token: Token) -> str:
        kept = []
        for name, value in token.attributes.items():
            if name.startswith("on"):
                self._lost.add("handler")
            elif name in ("href", "xlink:href"):
                if value.startswith("#") or (token.name == "a" and is_harmless(value)):
                    kept.append((name, value))
            elif name in ATTRIBUTES or (token.name in SVG and name != "src" and _OF_SVG.fullmatch(name)):
                kept.append((name, value))
        return _written(kept)

    def _image(self, attributes: dict[str, str]) -> str:
        given = self._picture(attributes.get("src", ""))
        if given is None or given.startswith("<"):
            return given or ""
        shown = {"src": given, "alt": ""} | {n: v for n, v in attributes.items() if n in ATTRIBUTES}
        return f"<img{_written(shown.items())}>"


def _written(attributes) -> str:
    return "".join(f' {name}="{html.escape(value)}"' for name, value in attributes)


def _style(css: str) -> str:
    r"""A style sheet's text that holds no `<`: nothing that reads it as markup finds any. CSS itself reads `\3c `."""
    return css.replace("<!--", "").replace("-->", "").replace("<", r"\3c ")
