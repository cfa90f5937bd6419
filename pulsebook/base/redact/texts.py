"""Texts, values and log entries without secrets."""

import json
import logging
import re
import traceback

from pulsebook.base import facts
from pulsebook.base.redact.known import HIDDEN, hide_known, replaced
from pulsebook.base.redact.shapes import secret_spans
from pulsebook.base.secret_names import VALUES, is_password, is_secret, is_strange, name_before, said_name, shortest_of

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
        said = said_name(value)
        return {
            redact(str(key)): _below(item, name, str(key), said if str(key).lower() in VALUES else "")
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set):
        items = list(value)
        return [redact_values(item, name_before(items, at) or name) for at, item in enumerate(items)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return HIDDEN if is_password(name) else redacted_number(value)
    return HIDDEN if str(value).strip() and is_secret(name) else redact(str(value))


def redact_facts(given):
    """Facts as `redact_values` gives them, in a hundredth of its time where they hold no secret. Their keys tell nothing, so their
    text as a whole shows whether one of them does."""
    if isinstance(given, list) and len(facts.read({"facts": given})) == len(given):
        text = json.dumps(given, ensure_ascii=False)
        if redact(text) == text:
            return given
    return redact_values(given)


def _below(item, above: str, key: str, said: str):
    """A value under a key that says secret itself, or tells the value of a secret name, or lies below what says secret."""
    if isinstance(item, str) and not is_secret(key) and (said or is_secret(above)):
        return HIDDEN if is_strange(item, shortest_of(said) if said else 0) else redact(item)
    if isinstance(item, list) and not is_secret(key) and is_secret(above):
        return [_below(one, above, key, said) for one in item]
    return redact_values(item, key if is_secret(key) or isinstance(item, str | int | float) else above)


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


_hide = WithoutSecrets()


def hide_in_logs_of_requests() -> None:
    """From now on what urllib3 logs of each request, the path too, is redacted."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_hide)


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
