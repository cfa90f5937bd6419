"""Telegram's tags with the attributes that they may have; what a text holds beyond them is text.

>>> shown('<b onclick=x>7</b> <a href="https://x.y">more</a>')
'&lt;b onclick=x&gt;7 <a href="https://x.y">more</a>'
"""

import html
import re
from collections import Counter
from html.parser import HTMLParser

LONGEST = 4_000  # characters of one tag
ATOM = re.compile(
    rf"<(?P<closing>/?)(?P<tag>[a-z][a-z-]*)(?:\s[^<>]{{0,{LONGEST}}})?>|&(?:#\d+|#x[0-9a-fA-F]+|[a-z]+);|.", re.S
)
ATTRIBUTES = {  # of each tag: its attributes, and what they may be
    **{tag: {} for tag in ("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "pre", "tg-spoiler")},
    "a": {"href": re.compile(r"(?:https?|tg)://[^\s\x00-\x1f]+", re.I)},
    "code": {"class": re.compile(r"language-[\w.+#-]{1,50}")},
    "span": {"class": re.compile(r"tg-spoiler")},
    "blockquote": {"expandable": re.compile("|expandable")},
    "tg-emoji": {"emoji-id": re.compile(r"[0-9]{1,30}")},
}


class _Tag(HTMLParser):
    """One opening tag; `attributes` is None where Python reads it as something else."""

    def __init__(self, source: str):
        super().__init__()
        self._source, self.attributes = source, None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.get_starttag_text() == self._source:
            self.attributes = {name: value or "" for name, value in reversed(attrs)}  # the first of a name counts


def read(atom: re.Match) -> tuple[dict[str, str], str]:
    """The attributes of an opening tag, and why Telegram's HTML has no such tag; empty where it has."""
    name = atom["tag"]
    allowed = ATTRIBUTES.get(name)
    if allowed is None:
        return {}, f"there is no tag {name}"
    attributes = _Tag(atom[0]).attributes
    if attributes is None:
        return {}, "it is no whole tag"
    for attribute, value in attributes.items():
        if attribute not in allowed:
            return {}, f"{name} has no attribute {attribute}"
        if not allowed[attribute].fullmatch(value):
            return {}, f"{attribute} of {name} cannot be {value[:60]!r}"
    return attributes, ""


def shown(marked: str) -> str:
    """A message's text as markup: of Telegram's tags those that are right, in pairs; everything else as it is written."""
    parts, opened, open_now = [], [], Counter()
    for atom in ATOM.finditer(marked):
        name = atom["tag"]
        if name and atom["closing"] and name in ATTRIBUTES:
            while open_now[name]:
                parts.append(f"</{opened[-1]}>")
                open_now[opened[-1]] -= 1
                if opened.pop() == name:
                    break
            continue
        if name and not atom["closing"]:
            attributes, why = read(atom)
            if not why:
                given = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
                parts.append(f"<{name}{given}>")
                opened.append(name)
                open_now[name] += 1
                continue
        is_entity = atom[0][0] == "&" and len(atom[0]) > 1
        parts.append(atom[0] if is_entity else html.escape(atom[0], quote=False))
    return "".join(parts) + "".join(f"</{tag}>" for tag in reversed(opened))
