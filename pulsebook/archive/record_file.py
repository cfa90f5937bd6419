"""What the file of a run record may hold. Everything else is damage, and said so.

Names that are not known are left alone: a later version may have written them. What an earlier version did not write yet
has a value that says nothing.
"""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pulsebook.base.errors import PulsebookError

LARGEST = 2**53  # a browser counts no further
HALF = re.compile("[\ud800-\udfff]")  # half of a character: JSON can spell it, no file can hold it


class Damaged(PulsebookError, ValueError):
    """A file does not hold what it should; the message says what is wrong."""


def _instant(text: str) -> str:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("must be an instant with its offset from UTC")
    try:
        return iso(instant.astimezone(UTC))
    except OverflowError:
        raise ValueError("must be an instant of the years 1 to 9999") from None


def _file_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("must be the name of a file")
    return name


Instant = Annotated[str, AfterValidator(_instant)]
FileName = Annotated[str, AfterValidator(_file_name)]
Pid = Annotated[int, Field(ge=0, lt=2**31)]  # 0: not known
Count = Annotated[int, Field(ge=-LARGEST, le=LARGEST), BeforeValidator(lambda n: int(n) if isinstance(n, bool) else n)]


class Worker(BaseModel):
    """A process, as `pulsebook.archive.process` names it."""

    model_config = ConfigDict(strict=True)
    host: str
    pid: Pid
    process: str | None = None


class Waiting(BaseModel):
    """What a try waits for."""

    model_config = ConfigDict(strict=True)
    reason: str
    since: Instant
    next: Instant


class Facts(BaseModel):
    """The facts of a try, each of its type."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)
    notebook: str
    parameters: dict[str, Any]
    airflow: dict[str, Any] = {}
    status: Annotated[str, Field(min_length=1)]  # a later version may know more of them
    started: Instant
    ended: Instant | None = None
    duration: Annotated[float, Field(allow_inf_nan=False)] | None = None
    error: str | None = None
    headline: str | None = None
    incidents: Count | None = None
    facts: list[dict[str, Any]] = []  # `pulsebook.base.facts.read` passes over what is none
    host: str = ""
    pid: Pid = 0
    process: str | None = None
    waiting: Waiting | None = None
    ending: Worker | None = None
    git_commit: str = "unknown"
    git_dirty: bool | None = None
    versions: dict[str, Any] = {}
    sha256: dict[FileName, str] = {}


def facts(text: str) -> dict:
    """The facts in a record's text.

    Raises:
        Damaged: they cannot be read, or one is missing or of another type.
    """
    if HALF.search(text):
        raise Damaged("it is not UTF-8")
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            value = json.loads(printable(json.dumps(value, ensure_ascii=False)))
        found = Facts.model_validate(value)
    except ValidationError as error:
        raise Damaged("; ".join(_said(problem) for problem in error.errors(include_url=False)[:3])) from None
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    if found.status not in ("running", "waiting") and found.ended is None:
        raise Damaged(f"ended is missing although its status is {found.status[:40]}")
    if found.status == "waiting" and found.waiting is None:
        raise Damaged("waiting is missing although that is its status")
    parts = {"waiting": found.waiting, "ending": found.ending}
    plain = {name: part.model_dump() if part else None for name, part in parts.items()}
    return {name: getattr(found, name) for name in Facts.model_fields} | plain


def printable(text: str) -> str:
    """The text with U+FFFD in place of halves of characters: every file and page can hold it."""
    return HALF.sub("\ufffd", text)


def iso(instant: datetime) -> str:
    """An instant as records spell it."""
    return instant.isoformat(timespec="milliseconds")


def _said(problem: dict) -> str:
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}, found {type(problem['input']).__name__}"
