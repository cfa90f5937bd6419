"""What the outputs of one page share, and how a page speaks in its own name: notes, sizes, what is left out."""

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

from pulsebook.archive import pictures
from pulsebook.archive.document import text
from pulsebook.base.words import number, say

PAGE_TEXT, PAGE_PICTURES = 8_000_000, 60_000_000  # characters of all outputs, of all pictures' addresses


@dataclass
class Surroundings:
    """What outputs of one page share: where pictures lie, and what the page may still hold."""

    folder: Path | None = None  # of the notebook as its author wrote it
    text_left: int = PAGE_TEXT  # characters
    pictures_left: int = PAGE_PICTURES
    attachments: dict = field(default_factory=dict)  # of the cell at hand, by name
    heading: str = ""  # under which the cell at hand stands

    def take(self, characters: int) -> bool:
        """Whether the page has room for so much; then it has less from now on."""
        fits = characters <= self.text_left
        self.text_left -= characters * fits
        return fits

    def admit(self, found: pictures.Picture) -> pictures.Picture:
        """The same picture; NoPicture where the page holds too many already."""
        if len(found.address) > self.pictures_left:
            raise pictures.NoPicture(say("the page holds {} MB of pictures already", f"{PAGE_PICTURES / 1e6:.0f}"))
        self.pictures_left -= len(found.address)
        return found

    def lookup(self, address: str) -> str:
        """A picture that markup or Markdown names: its `data:` address, or a note in its place."""
        name = address.removeprefix("attachment:")
        try:
            found = self.admit(self._looked_up(address))
        except pictures.NoPicture as why:
            return note(say("The picture {} is not shown: {}.", short(name), why), "span")
        if found.damaged:
            shown = f'<img src="{found.address}" alt="">'
            return shown + note(say("The picture {} is damaged: {}.", short(name), found.damaged), "span")
        return found.address

    def _looked_up(self, address: str) -> pictures.Picture:
        if address.startswith("attachment:"):
            return pictures.attached(self.attachments, address.removeprefix("attachment:"))
        if address[:5].lower() == "data:":
            return pictures.from_address(address)
        if address.startswith("//") or re.match(r"[a-z][a-z0-9+.-]*:", address, re.I):
            raise pictures.NoPicture(say("a page fetches nothing from elsewhere"))
        return pictures.beside(self.folder, address)


def note(sentence: str, tag: str = "p") -> str:
    """A sentence of the page's own, in the place of what it speaks of."""
    return f"<{tag} class=note>{html.escape(sentence)}</{tag}>"


def size(characters: int) -> str:
    """115 MB, 3 kB, 12 characters."""
    if characters < 1000:
        return say("{} characters", characters)
    if characters < 1e5:
        return say("{} kB", number(f"{characters / 1e3:,.0f}"))
    return say("{} MB", number(f"{characters / 1e6:,.1f}"))


def shortened(long: str, most: int) -> str:
    """Head and tail of a text, and between them what was left out."""
    if len(long) <= most:
        return long
    head, tail = long[: most * 3 // 4], long[-most // 4 :]
    left = say("… {} left out; the notebook holds them …", size(len(long) - len(head) - len(tail)))
    return f"{head}\n{left}\n{tail}"


def short(name: str) -> str:
    """A name as it is shown: at most 80 characters of it."""
    return text(name if len(name) <= 80 else f"{name[:80]}…")
