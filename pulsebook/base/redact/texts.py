"""Texts, values and log entries without secrets."""

import logging
import re
import traceback

from pulsebook.base.redact.known import HIDDEN, hide_known, replaced
from pulsebook.base.redact.shapes import secret_spans
from pulsebook.base.secret_names import is_password, is_secret

_COLOUR = re.compile(
    r"(?:\x1b|\\{1,16}(?:u001b|x1b|033|e))(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\\]{0,512}(?:\x07|\x1b?\\))", re.I
)


def redact(text: str, code: bool = False) -> str:
    """The text with `[redacted]` in place of every known secret and of what looks like one. 5 MB take about 0.2 s.

    Args:
        code: the text is code, so that `password = pw2` names a variable.
    """
    text = hide_known(text)
    if ("\x1b" in text or "\\" in text) and (bare := _COLOUR.sub("", text)) != text and secret_spans(bare, code):
        text = bare  # colours stand between a name and its value: without them
    return replaced(text, secret_spans(text, code))


def redact_values(value, name: str = ""):
    """A copy of a JSON-like value, every text and key in it redacted; other objects as their redacted text.

    What a key calls secret is hidden, whatever it holds.
    """
    if isinstance(value, dict):
        return {redact(str(key)): redact_values(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [redact_values(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return HIDDEN if is_password(name) else redacted_number(value)
    return HIDDEN if str(value).strip() and is_secret(name) else redact(str(value))


def redacted_number(value):
    """The number, or a text if it is a known secret."""
    return value if (clean := hide_known(str(value))) == str(value) else clean


class WithoutSecrets(logging.Filter):
    """Lets every entry of a log pass, its message and traceback redacted."""

    def filter(self, entry: logging.LogRecord) -> bool:
        text = entry.getMessage()
        if entry.exc_info and entry.exc_info[0]:
            text += "\n" + "".join(traceback.format_exception(*entry.exc_info)).rstrip()
        entry.msg, entry.args, entry.exc_info, entry.exc_text = redact(text), (), None, None
        return True


def holds_secret(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, says a secret: in its message, its arguments or its notes."""
    seen, open_ends = [], [error]
    while open_ends:
        one = open_ends.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        open_ends += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    said = "\n".join(f"{one}\n{one.args!r}\n{getattr(one, '__notes__', '')}" for one in seen)
    return redact(said) != said
