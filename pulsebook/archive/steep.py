"""Whether markup is too steep to parse: a parser of HTML takes time and memory in proportion to the elements that are open
at once, for every further one. A megabyte of `<div>` takes it minutes; a megabyte of a table, a tenth of a second.

What is certainly closed where it was opened costs nothing: it is taken out from the inside, with regular expressions that
err to the side of counting too much. What is left may be open.
"""

import re

STEEPEST = 3_000_000  # tags that may be open, times all tags
REFERENCES = 100_000  # `&` that begin no entity
ATTRIBUTES = 2_000  # of one tag
DEEPEST = 60  # elements within each other that are looked through
_GIVEN = r"""(?:\s++[\w:.-]++(?:=(?:"[^"<>\x01]*+"|'[^'<>\x01]*+'|[\w:.%#/-]++))?+)*+\s*+/?+>"""
_VOID = re.compile(rf"<(?:br|hr|img|wbr|col|input|meta|link){_GIVEN}", re.I)
_CLOSED = re.compile(rf"<([a-zA-Z][\w-]*+){_GIVEN}[^<>]*+</\1>")
_TAG = re.compile(r"""<[a-zA-Z](?:[^<>"']++|"[^"]*+"|'[^']*+')*+""")
_VALUE = re.compile(r"""["'][^"']*+["']""")
_BARE = re.compile(r"&(?!#?\w{1,32};)")


def is_steep(markup: str) -> bool:
    """Whether parsing it could take longer than a few seconds."""
    count = markup.count("<")
    if "&" in markup and len(_BARE.findall(markup)) > REFERENCES:
        return True
    if any(len(tag) > ATTRIBUTES and len(_VALUE.sub(" ", tag).split()) > ATTRIBUTES for tag in _TAG.findall(markup)):
        return True
    rest = _VOID.sub("\x01", markup)
    for _ in range(DEEPEST):
        if rest.count("<") * count <= STEEPEST:
            return False
        rest, closed = _CLOSED.subn("\x01", rest)
        if not closed:
            break
    return rest.count("<") * count > STEEPEST
