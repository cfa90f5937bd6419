"""Telegram's tags with the attributes that they may have; what a text holds beyond them is text.

shown('<b onclick=x>7</b> <a href="https://x.y">more</a>')  # '&lt;b onclick=x&gt;7 <a href="https://x.y">more</a>'
"""

import html
import re

from pulsebook.archive.htmltokens import Token, tokens

ATTRIBUTES = {  # of each tag: its attributes, and what they may be
    **{tag: {} for tag in ("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "pre", "tg-spoiler")},
    "a": {"href": re.compile(r"(?:https?|tg)://[^\s\x00-\x1f]+", re.I)},
    "code": {"class": re.compile(r"language-[\w.+#-]{1,50}")},
    "span": {"class": re.compile(r"tg-spoiler")},
    "blockquote": {"expandable": re.compile("|expandable")},
    "tg-emoji": {"emoji-id": re.compile(r"[0-9]{1,30}")},
}


def refused(tag: Token) -> str:
    """Why Telegram's HTML has no such opening tag; empty where it has."""
    allowed = ATTRIBUTES.get(tag.name)
    if allowed is None:
        return f"there is no tag {tag.name}"
    for name, value in tag.attributes.items():
        if name not in allowed:
            return f"{tag.name} has no attribute {name}"
        if not allowed[name].fullmatch(value):
            return f"{name} of {tag.name} cannot be {value[:60]!r}"
    return ""


def shown(marked: str) -> str:
    """A message's text as markup: of Telegram's tags those that are right, in pairs; everything else as it is written."""
    parts, opened = [], []
    for token in tokens(marked):
        if token.kind == "open" and not refused(token):
            given = "".join(f' {name}="{html.escape(value)}"' for name, value in token.attributes.items())
            parts.append(f"<{token.name}{given}>")
            opened.append(token.name)
        elif token.kind == "close" and opened and opened[-1] == token.name:
            parts.append(f"</{opened.pop()}>")
        elif token.kind == "close" and token.name in opened:
            while opened[-1] != token.name:
                parts.append(f"</{opened.pop()}>")
            parts.append(f"</{opened.pop()}>")
        elif token.kind == "text":  # its entities stay what they are
            parts.append(token.source.replace("<", "&lt;").replace(">", "&gt;"))
        elif token.kind != "close" or token.name not in ATTRIBUTES:
            parts.append(html.escape(token.source))
    return "".join(parts) + "".join(f"</{tag}>" for tag in reversed(opened))
