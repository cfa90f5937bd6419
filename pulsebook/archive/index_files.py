"""The files of the archive's index: what they hold, how they are read and changed, what damage is.

    .index/overview.js           per day and DAG: [tries, failed, running, incidents]; which records are not over yet
    .index/days/2026-11-22.js    the tries of a day, by name: the record's path below `outputs`, without its suffix

A browser fetches no JSON from disk, so each is a script that calls one function; the value is its second line.
"""

import json
import logging
import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pulsebook.archive.record_file import Damaged
from pulsebook.base import files, names
from pulsebook.base.store import Seen, StoreError

log = logging.getLogger(__name__)


def names_a_record(name: str) -> bool:
    """Whether a text is a record's path below the archive, without suffix: dag/period/run/try."""
    return names.split_try(name, 3) is not None


def is_day(text: str) -> bool:
    """Whether a text is a day such as 2026-11-22."""
    try:
        return re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}", text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _must(holds: Callable[[str], object], expected: str):
    def checked(text: str) -> str:
        if not holds(text):
            raise ValueError(f"must be {expected}")
        return text

    return AfterValidator(checked)


Name = Annotated[str, _must(names_a_record, "a record's path below the archive, without suffix")]
Day = Annotated[str, _must(is_day, "a day")]
Instant = Annotated[str, _must(lambda text: datetime.fromisoformat(text).tzinfo is None, "a time in UTC")]
Count = Annotated[int, Field(ge=0)]


class Entry(BaseModel):
    """What the page shows of a try. Later versions may add to it."""

    model_config = ConfigDict(strict=True)
    dag: str
    task: str
    day: Day
    period: str
    status: str
    started: Instant
    number: int = Field(1, alias="try")
    duration: Annotated[float, Field(allow_inf_nan=False)] | None = None
    headline: str | None = None
    incidents: int | None = None
    compared: bool = False
    error: str | None = None
    parameters: str = ""


class Overview(BaseModel):
    """Counts, and the names of the tries that are to be looked at again."""

    model_config = ConfigDict(strict=True)
    days: dict[Day, dict[str, Annotated[list[Count], Field(min_length=4, max_length=4)]]]
    running: list[Name]


_OVERVIEW, _DAY = TypeAdapter(Overview), TypeAdapter(dict[Name, Entry])


def overview_of(outputs: Path) -> Path:
    """The file of the overview."""
    return outputs / ".index" / "overview.js"


def file_of(outputs: Path, day: str) -> Path:
    """The file of a day."""
    return outputs / ".index" / "days" / f"{day}.js"


def days(outputs: Path) -> list[str]:
    """The days that have a file."""
    return sorted(file.stem for file in (outputs / ".index" / "days").glob("*.js") if is_day(file.stem))


def read(file: Path, default, seen: Seen | None = None):
    """What a file of the index holds; the default where there is none.

    Args:
        seen: what is noted there is taken for it; else it is noted (see `pulsebook.base.files.change`).

    Raises:
        Damaged: it holds something else, or cannot be read.
    """
    seen = {} if seen is None else seen
    try:
        data = seen[str(file)][0] if str(file) in seen else files.read(file, seen)
        return default if data is None else _value(data.decode("utf-8", "surrogateescape"), file)
    except FileNotFoundError:
        if file.is_symlink():
            raise Damaged("a link that leads nowhere") from None
        return default
    except StoreError:  # says nothing of the file
        raise
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from None


def change(file: Path, function: Callable, lost: Callable, seen: Seen | None = None) -> None:
    """Change the value of a file: `function` gets it, or None where there is no file, and its answer None removes the file.

    Args:
        lost: makes a value from elsewhere, where the file is damaged.
    """
    aside = make_room(file)

    def changed(text: str | None) -> str | None:
        try:
            value = None if text is None else _value(text, file)
        except Damaged as error:
            log.error("%s is damaged and made anew: %s", file, error)
            value = lost()
        value = function(lost() if aside and text is None else value)
        return None if value is None else _head(file) + json.dumps(value, separators=(",", ":")) + _TAIL

    files.change(file, changed, seen)


def make_room(file: Path) -> str:
    """Set aside what lies in place of a file, or of its folders within the index, and is none. Returns what was wrong; empty
    where all is well."""
    return files.make_room(
        file, [folder for folder in (file.parent.parent, file.parent) if ".index" in folder.parts[-2:]]
    )


_TAIL = "\n)\n"


def _head(file: Path) -> str:
    return "overview(\n" if file.name == "overview.js" else f"day({json.dumps(file.stem)}, \n"


def _value(text: str, file: Path):
    head, is_overview = _head(file), file.name == "overview.js"
    if not (text.startswith(head) and text.endswith(_TAIL) and text.isascii() and text.count("\n") == 3):
        raise Damaged("it is cut short, or no script of the index")
    try:
        value = json.loads(text[len(head) : -len(_TAIL)])
        (_OVERVIEW if is_overview else _DAY).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise Damaged(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    return value
