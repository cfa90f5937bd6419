"""HTML as a row of tokens, read in time that grows with its length whatever it holds: no input makes it slow or fail.

    list(tokens("<b title=x>a &lt; b</b>"))
    # [Token("open", "b", {"title": "x"}, "<b title=x>"), Token("text", "", {}, "a &lt; b"), Token("close", "b", {}, "</b>")]

What a browser reads as no markup (the inside of a script) is one token `raw` after the element's `open`. Comments and
declarations are left out.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

RAW = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript", "template"}
_PLAIN = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*+)>")  # most tags: the short way
_NAME = re.compile(r"<(/?)([a-zA-Z][^\s/>\0]*+)")
_ATTRIBUTE = re.compile(r"""[\s/]*+([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+("[^"]*"|'[^']*'|[^\s>]*+))?""")
_END = re.compile(r"[\s/]*+>")


class Token(NamedTuple):
    kind: str  # text, open, close or raw
    name: str  # of the element, in lower case
    attributes: dict[str, str]  # of an `open`: decoded, names in lower case; the first of a name counts
    source: str  # as written


def tokens(markup: str) -> Iterator[Token]:
    """The tokens of a document or a part of one, in order."""
    at, end, search = 0, len(markup), _Search(markup)
    while at < end:
        start = markup.find("<", at)
        if start < 0:
            start = end
        if start > at:
            yield Token("text", "", {}, markup[at:start])
        if start == end:
            return
        at = start
        if name := _PLAIN.match(markup, at) or _NAME.match(markup, at):
            tag, at = _tag(markup, name)
            yield tag
            if tag.kind == "open" and tag.name in RAW:
                close = search.closing(tag.name, at)
                yield Token("raw", tag.name, {}, markup[at:close])
                at = close
        elif markup.startswith(("<!", "<?", "</"), at):
            at = _after_comment(markup, at, search)
        else:
            yield Token("text", "", {}, "<")
            at += 1


def _tag(markup: str, name: re.Match) -> tuple[Token, int]:
    """The tag that begins with this name, and where it ends; one that never ends is cut off after its last attribute."""
    at, attributes, kind = name.end(), {}, "close" if name[1] else "open"
    if name.re is _PLAIN:
        return Token(kind, name[2].lower(), attributes, name[0]), at
    while not (end := _END.match(markup, at)):
        found = _ATTRIBUTE.match(markup, at)
        if not found:
            stray = at
            while stray < len(markup) and markup[stray] in "=/ \t\n\r\f\0":
                stray += 1
            if stray == at:  # the text ends within the tag
                break
            at = stray
            continue
        key, value = found[1].lower(), found[2] or ""
        if value[:1] in "\"'" and len(value) > 1 and value[0] == value[-1]:
            value = value[1:-1]
        attributes.setdefault(key, html.unescape(value))
        at = found.end()
    at = end.end() if end else len(markup)
    return Token(kind, name[2].lower(), attributes, markup[name.start() : at]), at


def _after_comment(markup: str, at: int, search: "_Search") -> int:
    """The place after a comment or a declaration; one that does not end hides nothing but its first characters."""
    if markup.startswith("<!--", at):
        if markup.startswith((">", "->"), at + 4):
            return markup.index(">", at) + 1
        end = search.find("-->", at + 4)
        return end + 3 if end >= 0 else at + 4
    end = search.find(">", at)
    return end + 1 if end >= 0 else at + 2


class _Search:
    """Looks for what may not be there: what was not found once is not looked for again."""

    def __init__(self, markup: str):
        self._markup, self._absent = markup, set()

    def find(self, text: str, start: int) -> int:
        if text in self._absent:
            return -1
        found = self._markup.find(text, start)
        if found < 0:
            self._absent.add(text)
        return found

    def closing(self, element: str, start: int) -> int:
        """Where the end tag of an element begins; the end of the text if there is none."""
        found = re.compile(rf"</{element}(?=[\s/>])", re.I).search(self._markup, start)
        return found.start() if found else len(self._markup)
