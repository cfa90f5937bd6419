"""Pictures that come from data, as `data:` addresses that a page can hold: they are pictures, or they are refused.

A browser that shows an SVG as a picture runs none of its scripts and fetches nothing for it.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pulsebook.base.errors import PulsebookError
from pulsebook.base.words import say

LARGEST = 10_000_000  # bytes of one picture
KINDS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "image/bmp": b"BM",
    "image/svg+xml": b"",
}
_GIVEN = re.compile(r"data:(image/[a-z0-9.+-]+)(;base64)?,", re.I)
_SPACES = re.compile(r"\s+")


class NoPicture(PulsebookError, ValueError):
    """What was given cannot be shown as a picture; the message says why, as the end of a sentence."""


class Picture(NamedTuple):
    address: str  # data:image/…;base64,…: holds nothing that could end an attribute
    damaged: str = ""  # what a reader reads beside it


def picture(kind: str, data) -> Picture:
    """A picture of a notebook: base64, for an SVG its text; also as a list of lines.

    Raises:
        NoPicture: it is of another kind than it says, too large, or nothing that can be decoded.
    """
    if kind not in KINDS:
        shown = ", ".join(known.removeprefix("image/") for known in KINDS)
        raise NoPicture(say("it is of the kind {}; a page shows {}", kind[:60], shown))
    if isinstance(data, list):
        data = "".join(map(str, data))
    if not isinstance(data, str):
        raise NoPicture(
            say(
                "its data is {}, not text", say("empty") if data is None else say("of the type {}", type(data).__name__)
            )
        )
    if kind == "image/svg+xml":
        return _svg(data)
    if len(data) > 2 * LARGEST:
        raise NoPicture(say("it has more than {} MB", LARGEST // 1_000_000))
    text = _SPACES.sub("", data)
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NoPicture(say("its data is no base64")) from None
    return of_bytes(content, kind)


def of_bytes(content: bytes, kind: str = "") -> Picture:
    """A picture from the bytes of a file.

    Args:
        kind: what it says that it is; default: whatever it is.

    Raises:
        NoPicture: as `picture`.
    """
    if len(content) > LARGEST:
        raise _too_large(len(content))
    found = next((k for k, start in KINDS.items() if start and content.startswith(start)), "")
    if not found and kind in ("", "image/svg+xml") and b"<svg" in content[:4096]:
        return _svg(content.decode("utf-8", "replace"))
    if not content or not found:
        raise NoPicture(
            say("its data is no {}", kind.removeprefix("image/")) if kind else say("its data is no picture")
        )
    cut = found == "image/png" and b"IEND" not in content
    encoded = base64.b64encode(content).decode()
    return Picture(f"data:{found};base64,{encoded}", say("it ends before its end") if cut else "")


def from_address(address: str) -> Picture:
    """A picture that stands in a `data:` address.

    Raises:
        NoPicture: as `picture`.
    """
    given = _GIVEN.match(address)
    if not given:
        raise NoPicture(say("its address holds no picture"))
    kind, data = given[1].lower(), unquote(address[given.end() :])
    kind = "image/jpeg" if kind == "image/jpg" else kind
    if kind == "image/svg+xml" and given[2]:
        try:
            data = base64.b64decode(_SPACES.sub("", data), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise NoPicture(say("its data is no base64")) from None
    return picture(kind, data)


def attached(attachments: dict, name: str) -> Picture:
    """A picture that is attached to a cell, in the best form that it has.

    Raises:
        NoPicture: there is none of that name; as `picture`.
    """
    bundle = attachments.get(name, attachments.get(unquote(name)))
    if bundle is None:
        raise NoPicture(say("it is not attached to the cell"))
    if not isinstance(bundle, dict) or not bundle:
        raise NoPicture(say("its attachment is empty"))
    kinds = sorted(bundle, key=lambda kind: (*KINDS, kind).index(kind) if kind != "image/svg+xml" else -1)
    return picture(kinds[0], bundle[kinds[0]])


def beside(folder: Path | None, name: str) -> Picture:
    """A picture that lies in a folder or below it.

    Args:
        folder: None: it is not known, or not on this machine.
        name: the path as written in a document, encoded as in an address.

    Raises:
        NoPicture: it is not there, no regular file within the folder (also by way of a link), too large or no picture.
    """
    if folder is None:
        raise NoPicture(say("the folder of its notebook is not here"))
    try:
        own, file = folder.resolve(), (folder / unquote(re.split(r"[?#]", name)[0])).resolve()
        if not file.is_relative_to(own):
            raise NoPicture(say("it does not lie in the notebook's folder"))
        if not file.is_file():
            raise NoPicture(say("there is no such file in the notebook's folder"))
        size = file.stat().st_size
        if size > LARGEST:
            raise _too_large(size)
        return of_bytes(file.read_bytes())
    except NoPicture:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, a circle of links
        raise NoPicture(say("its file cannot be read ({})", type(error).__name__)) from None


def _too_large(size: int) -> NoPicture:
    return NoPicture(say("it has {} MB, more than {}", f"{size / 1e6:.0f}", LARGEST // 1_000_000))


def _svg(text: str) -> Picture:
    if len(text) > LARGEST:
        raise _too_large(len(text))
    if "<svg" not in text:
        raise NoPicture(say("its data is no {}", "SVG"))
    if "<!ENTITY" in text:
        raise NoPicture(say("its SVG defines entities, which may grow without end"))
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return Picture(f"data:image/svg+xml;base64,{encoded}")
