"""Errors as ClickHouse words them: a code, a text, a name; and the HTTP status that goes with the code."""

import re

from pulsebook.base.errors import PulsebookError

STATUS = {516: 403, 193: 403, 192: 403, 497: 403, 164: 403, 60: 404, 81: 404, 372: 404, 394: 500, 48: 501}
BAD_REQUEST = {
    6, 16, 26, 27, 36, 38, 41, 43, 46, 47, 50, 53, 62, 69, 70, 72, 73, 115, 117, 130, 215, 377, 456, 457, 511,
}  # fmt: skip
TOO_LARGE = 396


class Failure(PulsebookError, RuntimeError):
    """An error of the server's own, worded as the engine words its errors."""

    def __init__(self, code: int, name: str, text: str, status: int | None = None):
        super().__init__(f"Code: {code}. DB::Exception: {text}. ({name})")
        self.status = status


def text_of(error: Exception) -> str:
    """The error as ClickHouse words it, whatever stood around it."""
    text = str(error).strip()
    return text[text.find("Code: ") :] if "Code: " in text else f"Code: 1002. DB::Exception: {text}"


def code_of(error: Exception) -> int:
    return int((re.match(r"Code: (\d+)", text_of(error)) or ("", "1002"))[1])


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    code = code_of(error)
    return getattr(error, "status", None) or STATUS.get(code, 400 if code in BAD_REQUEST else 500)
