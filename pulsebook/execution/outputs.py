"""Keeps what cells put out within limits, as it arrives: neither memory nor the notebook grows with what is left out.

    >>> notebook, outputs = NotebookOutputs(Limits()), []
    >>> cell = notebook.of(outputs)  # one for each cell; fills that list
    >>> cell.add(new_output("stream", text="2 rows\\n"))  # any number of times
    >>> cell.flush()  # the list is now what the cell has put out: head, what was left out, tail
    >>> outputs
    [{'output_type': 'stream', 'name': 'stdout', 'text': '2 rows\\n'}]

The texts of a cell may take `Limits.cell` characters: the first half and the last half stay. All that the notebook has put
out, pictures included, may take `Limits.notebook`. A cell takes at most half of what is left of that, so that those after
it can still show something, and `LEAST` in any case.
"""

import time
from collections import deque
from dataclasses import dataclass, field

from nbformat import NotebookNode
from nbformat.v4 import new_output

from pulsebook.base.redact import redact
from pulsebook.execution.trim import FRAME, fit, head_of, left_out, sizes, tail_of, writable

LEAST = 10_000  # characters that every cell may say
PARTS = 16  # of a full tail: so much of it goes at once
FLUSH_EVERY = 1.0  # seconds after which a cell's list is brought up to date


@dataclass(frozen=True)
class Limits:
    """Characters that the texts of a cell, and all outputs of the notebook, may take."""

    cell: int = 1_000_000
    notebook: int = 20_000_000


@dataclass(eq=False)
class _Entry:
    """One output that is kept. The text of a stream is in `parts`; settling puts it into the node."""

    node: NotebookNode
    text: int  # characters
    pictures: int = 0
    display_id: str | None = None
    owner: "CellOutputs | None" = None
    parts: deque = field(default_factory=deque)
    late: bool = False  # whether it is part of the tail

    @property
    def stream(self) -> str | None:
        return self.node.name if self.node.output_type == "stream" else None


class NotebookOutputs:
    """What all cells of a notebook have put out."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.used = 0  # characters kept, pictures included
        self._shown: dict[str, list[_Entry]] = {}  # by display id

    def of(self, outputs: list) -> "CellOutputs":
        """The outputs of a cell that begins; they go into the list."""
        share = (self.limits.notebook - self.used) // 2
        return CellOutputs(self, outputs, max(LEAST, min(self.limits.cell, share)), share)

    def update(self, display_id: str, output: NotebookNode) -> None:
        """Put new data in the place of all that is shown under an id."""
        for entry in self._shown.get(display_id, []):
            entry.owner.replace(entry, NotebookNode(output))

    def know(self, entry: _Entry) -> None:
        """Have an output found by its id."""
        if entry.display_id:
            self._shown.setdefault(entry.display_id, []).append(entry)

    def forget(self, entry: _Entry) -> None:
        """It is no longer kept."""
        if entry.display_id:
            same = self._shown[entry.display_id]
            same.remove(entry)
            if not same:
                del self._shown[entry.display_id]


class CellOutputs:
    """What one cell has put out."""

    def __init__(self, notebook: NotebookOutputs, outputs: list, room: int, picture_room: int):
        self.notebook, self.outputs, self.half = notebook, outputs, room // 2
        self._picture_room = picture_room
        self.incomplete = False  # whether the kernel sent more than arrived
        self._flushed = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        self._head: list[_Entry] = []
        self._tail: deque[_Entry] = deque()  # used as soon as the head is full
        self._head_size = self._tail_size = self._missing = 0
        self._full = self._clear_first = False

    def add(self, output: NotebookNode, display_id: str | None = None) -> None:
        """Take an output, or as much of it as may stay."""
        if self._clear_first:
            self.clear()
        if output.output_type == "stream":
            self._add_stream(output.name, writable(output.text))
        else:
            fit(output, self.half, self._picture_room)
            self._keep(_Entry(output, *sizes(output), display_id, self))
        if time.monotonic() - self._flushed > FLUSH_EVERY:
            self.flush()

    def clear(self, wait: bool = False) -> None:
        """Forget everything, at once or when the next output comes."""
        if wait:
            self._clear_first = True
            return
        for entry in (*self._head, *self._tail):
            self._forget(entry)
        self._begin()
        self.outputs[:] = []

    def replace(self, entry: _Entry, output: NotebookNode) -> None:
        """Put new data in the place of what an output shows."""
        room = 2 * self.half - self._head_size - self._tail_size + entry.text
        fit(output, max(FRAME, min(self.half, room)), self._picture_room + entry.pictures)
        text, pictures = sizes(output)
        self._grow(entry, text - entry.text, pictures - entry.pictures)
        entry.node["data"], entry.node["metadata"] = output.data, output.metadata
        self._drop()

    def flush(self) -> None:
        """Make the list say what there is now."""
        for entry in (*self._head, *self._tail):
            if entry.parts:
                entry.node["text"] = "".join(entry.parts)
        head, tail = [e.node for e in self._head], [e.node for e in self._tail]
        notes = [left_out(self._missing)] if self._missing else []
        notes += ["… the kernel put out more than could be taken: some of it is lost …"] if self.incomplete else []
        if notes:
            head.append(new_output("stream", name="stdout", text="\n" + "\n".join(notes) + "\n"))
        elif head and tail and self._head[-1].stream and self._head[-1].stream == self._tail[0].stream:
            head[-1:] = [new_output("stream", name=head[-1].name, text=head[-1].text + tail.pop(0).text)]
        self.outputs[:] = head + tail
        self._flushed = time.monotonic()

    def _add_stream(self, name: str, text: str) -> None:
        if not self._full:
            same = self._head and self._head[-1].stream == name
            room = self.half - self._head_size - (0 if same else FRAME)
            if len(text) <= room:
                self._append(name, text)
                return
            text = redact(text)
            first = head_of(text, max(0, room))
            text = text[len(first) :]
            self._append(name, first)
            self._full = True
        if len(text) > self.half // PARTS:
            text = redact(text)
        if len(text) > self.half:
            kept = tail_of(text, self.half)
            self._missing, text = self._missing + len(text) - len(kept), kept
        while text:
            part = head_of(text, max(1, self.half // PARTS))
            text = text[len(part) :]
            self._append(name, part)
            self._drop()

    def _append(self, name: str, text: str) -> None:
        """Add to the last output, if it is of the same stream; else as one of its own."""
        entries = self._tail if self._full else self._head
        if text and entries and entries[-1].stream == name:
            entries[-1].parts.append(text)
            self._grow(entries[-1], len(text))
        elif text:
            node = new_output("stream", name=name, text="")
            self._keep(_Entry(node, len(text) + FRAME, owner=self, parts=deque([text])))

    def _keep(self, entry: _Entry) -> None:
        self._full = entry.late = self._full or self._head_size + entry.text > self.half
        text, pictures, entry.text, entry.pictures = entry.text, entry.pictures, 0, 0
        (self._tail if entry.late else self._head).append(entry)
        self.notebook.know(entry)
        self._grow(entry, text, pictures)
        self._drop()

    def _grow(self, entry: _Entry, text: int, pictures: int = 0) -> None:
        """Count characters that an output has gained, or lost."""
        entry.text += text
        entry.pictures += pictures
        self._picture_room -= pictures
        self.notebook.used += text + pictures
        if entry.late:
            self._tail_size += text
        else:
            self._head_size += text

    def _forget(self, entry: _Entry) -> None:
        self._grow(entry, -entry.text, -entry.pictures)
        self.notebook.forget(entry)

    def _drop(self) -> None:
        """Leave out what is oldest in the tail."""
        while self._tail_size > self.half and (len(self._tail) > 1 or len(self._tail[0].parts) > 1):
            entry = self._tail[0]
            if len(entry.parts) > 1:
                gone = len(entry.parts.popleft())
                self._grow(entry, -gone)
            else:
                gone = entry.text - FRAME + entry.pictures
                self._forget(self._tail.popleft())
            self._missing += gone
