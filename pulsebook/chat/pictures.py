"""Pictures within Telegram's limits."""

import io
import math
import warnings

from PIL import Image, ImageOps

BYTES, SIDES = 10_000_000, 10_000  # what Telegram takes: bytes, width + height in pixels
RATIO = 20  # of the longer side to the shorter
MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}  # of pixels, which a PNG holds as they are


def fitting(photo: bytes) -> bytes:
    """A picture as the chat takes it: a PNG as it is, made smaller where it is too large, with margins where it is too
    narrow; another kind as a PNG.

    Raises:
        ValueError: no picture, one that is cut off, or one of too many pixels to be read.
    """
    picture, changed = _read(photo), False
    if picture.format != "PNG" or picture.mode not in MODES:
        picture, changed = picture.convert("RGBA"), True
    if max(picture.size) > RATIO * min(picture.size):
        least = math.ceil(max(picture.size) / RATIO * 1.05)  # sizes are rounded below
        picture = ImageOps.pad(picture.convert("RGBA"), [max(side, least) for side in picture.size], color="white")
        changed = True
    photo = _png(picture) if changed else photo
    while len(photo) > BYTES or sum(picture.size) > SIDES:
        factor = min(0.9, SIDES / sum(picture.size), math.sqrt(BYTES / len(photo)))
        picture = picture.resize([max(1, int(side * factor)) for side in picture.size])
        photo = _png(picture)
    return photo


def _read(photo: bytes) -> Image.Image:
    if not isinstance(photo, bytes | bytearray | memoryview):
        raise ValueError(
            f"a picture must be the bytes of a PNG, as Picture.png() gives them; got {type(photo).__name__}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # from half of what is refused on
            picture = Image.open(io.BytesIO(photo))
            picture.load()
        return picture
    except Image.DecompressionBombError as error:
        raise ValueError(f"a picture has too many pixels: draw it smaller, or with a lower dpi ({error})") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # all of which Pillow raises for odd bytes
        found = f"{len(photo):,} bytes that are no whole picture ({error})" if len(photo) else "no bytes at all"
        raise ValueError(f"a picture must be the bytes of a PNG, found {found}: draw it anew") from None


def _png(picture: Image.Image) -> bytes:
    picture.save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()
