"""The names in the archive: the one place that makes them from ids, and reads ids out of them.

    {outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-try{n}
    {outputs}/{dag_id}/{run_date or slot}/{run_id}/{task_id}-map{i}-try{n}     a mapped task

Letters, digits and `_ . : + ~ -` stand for themselves. Everything else, and a dot in front, is written as the bytes of its
UTF-8: `a/b` is `a=2Fb`. Two ids never share a name, no name leads out of the archive, and none is hidden. What would be too
long for a file system ends in `=~` and a checksum of the whole.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

ODD = re.compile(r"^\.|[^\w.:+~-]")
LOOKS_MAPPED = re.compile(r"-(?=map(0|[1-9][0-9]*)$)")
TRY = re.compile(r"(?P<task>.+?)(-map(?P<index>0|[1-9][0-9]*))?-try(?P<number>0|[1-9][0-9]*)", re.S)
RECORDS = "*-try*.json"  # finds the records among a run's files; what else it finds `parse_try` tells apart
LONGEST = 255  # bytes of a name in a file system
LONGEST_TASK = 200  # it is followed by map index, try and suffixes


class Try(NamedTuple):
    """What the name of a try's files says. `map_index` is None where the task is not mapped."""

    task_id: str
    map_index: int | None
    number: int


def period_of(parameters: dict | None) -> str:
    """The day or slot that a notebook is given; `undated` where it is given none."""
    given = parameters if isinstance(parameters, dict) else {}
    periods = [given[name] for name in ("run_date", "slot") if given.get(name) and isinstance(given[name], str)]
    return next(iter(periods), "undated")


def folder_of(outputs: Path, dag_id: str, period: str, run_id: str) -> Path:
    """The folder of a run."""
    return outputs.joinpath(*map(part, (dag_id, period, run_id)))


def try_name(task_id: str, map_index: int | None, number: int) -> str:
    """The name of a try's files, without suffix."""
    return f"{step_name(task_id, map_index)}-try{number}"


def step_name(task_id: str, map_index: int | None) -> str:
    """What the names of all tries of a task, or of one of its map indexes, begin with."""
    name = part(task_id, LONGEST_TASK)
    return LOOKS_MAPPED.sub("=2D", name) if map_index is None else f"{name}-map{map_index}"


def step_of(try_name: str) -> str:
    """A try's name without its number: the opposite of what `try_name` adds to `step_name`."""
    return try_name.rpartition("-try")[0]


def parse_try(name: str) -> Try | None:
    """The opposite of `try_name`; None: no try is called so, such as a copy beside it."""
    found = TRY.fullmatch(name)
    if not found:
        return None
    index = found["index"]
    return Try(identity(found["task"]), None if index is None else int(index), int(found["number"]))


def is_try_of(name: str, task_id: str, map_index: int | None = None) -> bool:
    """Whether a try of this task is called so.

    >>> is_try_of("load-try2", "load"), is_try_of("load-try2", "load", 0), is_try_of("load", "load")
    (True, False, False)
    """
    found = parse_try(name)
    return found is not None and name == try_name(task_id, map_index, found.number)


def split_try(path: str, folders: int) -> list[str] | None:
    """The parts of a try's path, without suffix, below so many folders; None: no try lies there. None of them is hidden."""
    parts = path.split("/")
    visible = all(part and part[0] != "." and "\0" not in part for part in parts)
    return parts if len(parts) == folders + 1 and visible and parse_try(parts[-1]) else None


def resembles_try(name: str) -> bool:
    """Whether a file is called as if it were of a try: also such as `parse_try` refuses, a copy for instance."""
    return bool(re.match(r"[^.].*-try", name, re.S))


def part(text: str, longest: int = LONGEST) -> str:
    """An id as one part of a path."""
    name = ODD.sub(lambda found: _escaped(found[0]), text) or "="
    if len(name.encode()) <= longest:
        return name
    checksum = hashlib.sha256(_bytes(text)).hexdigest()[:32]
    begin = name.encode()[: longest - len(checksum) - 2].decode(errors="ignore")
    return f"{re.sub('=.?$', '', begin)}=~{checksum}"


def identity(name: str) -> str:
    """The opposite of `part`, but for what was too long: that keeps its name."""
    return "" if name == "=" else re.sub(r"(=[0-9A-F]{2})+", lambda found: _unescaped(found[0]), name)


def is_part(name: str) -> bool:
    """Whether a text can be one part of a path of the archive, as it is now or as it was before ids were escaped."""
    return bool(re.fullmatch(r"(?!\.)[\w.:+~=-]+", name)) and len(name.encode()) <= LONGEST


def parts_before(*identities: str) -> tuple[str, ...]:
    """How ids were written in archives from before they were escaped: several of them could share a name."""
    return tuple(re.sub(r"[^\w.:+~-]", "_", text).lstrip(".") or "_" for text in identities)


def _escaped(text: str) -> str:
    return "".join(f"={byte:02X}" for byte in _bytes(text))


def _unescaped(text: str) -> str:
    try:
        return bytes.fromhex(text.replace("=", "")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text  # no name of ours: it is shown as it is


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
