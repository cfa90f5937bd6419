"""Text from data, made fit to be seen: in a message, on an axis, in a legend, in a headline.

>>> visible("Chrome\\x1b[0m\\udcff"), short("x" * 100, 8), escape("1 < 2")
('Chrome�', 'xxxxxxx…', '1 &lt; 2')
"""

import html
import re
import time

# Colours and other commands to a terminal (ECMA-48), then control characters that nobody sees, but for tab and line end
_COMMANDS = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def visible(value) -> str:
    """A text that every encoding, font and page takes: without commands to a terminal and control characters; half a
    surrogate pair, as text that is not UTF-8 arrives, is a `�`."""
    return _COMMANDS.sub("", str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def short(value, most: int) -> str:
    """`visible`, on one line and of at most `most` characters."""
    text = " ".join(visible(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escape(value) -> str:
    """`visible`, so that it appears in a message as it is."""
    return html.escape(visible(value))


def ago(then: float) -> str:
    """How long ago an instant was, in seconds since 1970."""
    passed = max(time.time() - then, 0)
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= seconds:
            count = int(passed // seconds)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return f"{passed:.0f} s ago"
