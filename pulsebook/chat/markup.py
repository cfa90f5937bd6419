"""Telegram's HTML: visible length, and splitting with balanced tags."""

import html
import re

from pulsebook.chat.tags import ATOM, ATTRIBUTES, read

TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024  # characters after the tags and entities are parsed


def plain(marked: str) -> str:
    """The text that a reader sees."""
    return "".join(html.unescape(atom[0]) for atom in ATOM.finditer(marked) if not atom["tag"])


def headline(marked: str) -> str:
    """Its first line, short."""
    return plain(marked).strip().split("\n")[0][:200]


def check(marked: str) -> None:
    """Refuse what Telegram would refuse, also where a page takes its place.

    Raises:
        ValueError: an unknown tag or attribute, a link to anywhere but the web, a tag that is not closed, a bare `<`.
    """
    opened = []
    for atom in ATOM.finditer(marked):
        tag = atom["tag"]
        if atom[0] == "<" or tag and tag not in ATTRIBUTES or atom["closing"] and (not opened or opened.pop() != tag):
            around = marked[max(0, atom.start() - 30) : atom.end() + 30]
            raise ValueError(f"Telegram takes no {atom[0]} in {around!r}; what comes from data goes through escape")
        if tag and not atom["closing"]:
            if why := read(atom)[1]:
                raise ValueError(f"Telegram takes no {atom[0][:200]}: {why}; what comes from data goes through escape")
            opened.append(tag)
    if opened:
        raise ValueError(f"<{opened[-1]}> is not closed in {marked[:60]!r}")


def length(marked: str) -> int:
    """Visible characters as Telegram counts them: UTF-16 code units, without tags, an entity as what it stands for."""
    return _units(plain(marked))


def split(marked: str, limit: int = TEXT_LIMIT) -> list[str]:
    """Pieces of at most `limit` visible characters, cut at line ends where possible, else between words; tags that are
    open at a cut are closed there and opened again in the next piece."""
    pieces, piece, size, opened = [], "", 0, []

    def finish():
        closing = "".join(f"</{tag}>" for tag, _ in reversed(opened))
        if plain(piece).strip():
            pieces.append(piece.strip("\n") + closing)

    for part in _parts(marked, limit):
        width = length(part)
        if size + width > limit:
            finish()
            piece, size = "".join(tag for _, tag in opened), 0
            if part.isspace():
                continue  # nobody misses it at a cut
        for atom in ATOM.finditer(part):
            if atom["closing"] and opened:
                opened.pop()
            elif atom["tag"] and not atom["closing"]:
                opened.append((atom["tag"], atom[0]))
        piece, size = piece + part, size + width
    finish()
    return pieces


def limit_of(part: str) -> int:
    """How long the text of a part may be: `text 1`, or the caption of `pictures 1`."""
    return TEXT_LIMIT if part.startswith("text") else CAPTION_LIMIT


def cut(marked: str, limit: int) -> str:
    """A text of at most `limit` visible characters: where it is longer its beginning, up to a line end where possible."""
    return marked if length(marked) <= limit else f"{split(marked, limit - 2)[0]}\n…"


def _parts(marked: str, limit: int):
    """Lines with their line end; of a line that is too long its words and spaces; of such a word its characters."""
    for line in marked.splitlines(keepends=True):
        if length(line) <= limit:
            yield line
            continue
        for word in re.findall(r"(?:<[^>]*>|\S)+|\s+", line):
            if length(word) <= limit:
                yield word
            else:
                yield from (atom[0] for atom in ATOM.finditer(word))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
