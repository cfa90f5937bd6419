"""Cuts what is too long: the head and the tail stay, and between them stands how much was left out.

Sizes are characters, which for most output is bytes. No cut goes through a secret: what is cut is redacted first.
"""

import json
import re

from nbformat import NotebookNode

from pulsebook.base.redact import redact

NEAR = 2000  # characters: a cut moves by so many at most to the end of a line
FIELD = 2000  # characters of an error's name or message
PICTURE = re.compile(r"(image|video|audio)/(?!svg)|application/pdf")
HALF = re.compile("[\ud800-\udfff]")  # half a surrogate pair: no file can hold it


def size_of(value) -> int:
    """Characters of a text, or of the JSON of something else."""
    return len(value) if isinstance(value, str) else len(json.dumps(value, default=str))


def amount(size: int) -> str:
    """A size as people write it: 115 MB, 1.2 MB, 40 KB."""
    if size >= 10_000_000:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(1, round(size / 1000))} KB"


def left_out(size: int, what: str = "") -> str:
    """The words that stand for what is missing."""
    return f"… {amount(size)} {f'of {what} ' if what else ''}left out …"


def head_of(text: str, size: int) -> str:
    """The first characters, up to the end of a line where one is near."""
    if len(text) <= size:
        return text
    end = text.rfind("\n", max(0, size - NEAR), size)
    return text[: end + 1 if end >= 0 else size]


def tail_of(text: str, size: int) -> str:
    """The last characters, from the beginning of a line where one is near."""
    if len(text) <= size:
        return text
    begin = len(text) - size
    line = text.find("\n", begin, begin + NEAR)
    return text[line + 1 if line >= 0 else begin :]


def shortened(text: str, size: int) -> str:
    """The text, or its head and tail, together some `size` characters long, with a line that says what was left out."""
    if len(text) <= size:
        return text
    text = redact(text)
    head, tail = head_of(text, size // 2), tail_of(text, size // 2)
    missing = len(text) - len(head) - len(tail)
    return f"{head}\n{left_out(missing)}\n{tail}" if missing > 0 else text


def writable(value):
    """The same with every half of a surrogate pair spelt out: `\\ud83d`."""
    if isinstance(value, str):
        return HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, list | tuple):
        return [writable(item) for item in value]
    return {writable(key): writable(item) for key, item in value.items()} if isinstance(value, dict) else value


def output_of(kind: str, content: dict) -> NotebookNode | None:
    """The output that a message of the kernel tells of; None if it tells of none.

    nbformat's own way validates, which takes seconds for a large one.
    """
    if kind == "stream":
        return NotebookNode(output_type=kind, name=content["name"], text=content.get("text", ""))
    if kind == "error":
        return NotebookNode({"output_type": kind, "ename": "", "evalue": "", "traceback": [], **content})
    if kind not in ("display_data", "execute_result"):
        return None
    shown = {"data": NotebookNode(content.get("data") or {}), "metadata": NotebookNode(content.get("metadata") or {})}
    if kind == "execute_result":
        shown["execution_count"] = content.get("execution_count")
    return NotebookNode(output_type=kind, **shown)


def fit(output: NotebookNode, text_room: int, picture_room: int) -> None:
    """Shorten an output in place: its texts to `text_room` characters together, its pictures to `picture_room`.

    Text is cut; what cannot be cut (a picture, markup, JSON) is left out whole, and the plain text says so.
    """
    if output.output_type == "stream":
        output["text"] = writable(shortened(output["text"], text_room))
    elif output.output_type == "error":
        _fit_error(output, text_room)
    else:
        _fit_data(output, text_room, picture_room)


def _fit_error(output: NotebookNode, room: int) -> None:
    output["ename"] = writable(shortened(str(output.get("ename")), FIELD))
    output["evalue"] = writable(shortened(str(output.get("evalue")), FIELD))
    lines = [str(line) for line in output.get("traceback") or []]
    if sum(map(len, lines)) > room:
        lines = shortened("\n".join(lines), room).split("\n")
    output["traceback"] = writable(lines)


def _fit_data(output: NotebookNode, text_room: int, picture_room: int) -> None:
    data, notes = output["data"], []
    plain = data.get("text/plain", "")
    room = text_room - min(size_of(plain), text_room // 2)
    for mime in sorted(set(data) - {"text/plain"}, key=lambda name: size_of(data[name])):
        size = size_of(data[mime])
        if PICTURE.match(mime):
            fits = size <= picture_room
            picture_room -= size * fits
        else:
            fits = size <= room
            room -= size * fits
        if not fits:
            notes.append(left_out(size, mime))
            del data[mime]
    if isinstance(plain, str) and (plain or notes):
        data["text/plain"] = "\n".join([*([shortened(plain, text_room // 2)] if plain else []), *notes])
    if size_of(output.get("metadata") or {}) > text_room:
        output["metadata"] = {}
    output.update(data=NotebookNode(writable(data)), metadata=NotebookNode(writable(output.get("metadata") or {})))


def sizes(output: NotebookNode) -> tuple[int, int]:
    """Characters of an output's texts, with what its frame takes in a file, and of its pictures."""
    data = output.get("data", {})
    pictures = sum(size_of(data[mime]) for mime in data if PICTURE.match(mime))
    texts = sum(size_of(data[mime]) for mime in data if not PICTURE.match(mime))
    said = (output.get("text", ""), output.get("evalue", ""), *(output.get("traceback") or []))
    return texts + sum(map(len, said)) + FRAME, pictures


FRAME = 150  # characters that an output takes in the notebook's file besides what it says
