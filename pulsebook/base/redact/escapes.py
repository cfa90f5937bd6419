r"""A text with its escapes resolved, which knows where in the text each byte of it stands.

    >>> folded(b"p%40ss%2fw&#39;d"), folded(b"p%2540ss/w''d"), folded(b"p@ss/w'd")
    (b'p@ss/wd', b'p@ss/wd', b'p@ss/wd')

Every way in which tools spell a text (URL, HTML, JSON, Python, SQL, shell, INI, escape codes of a terminal, several of them one
within another) comes to the same bytes: escapes resolved until none is left; quotes, backslashes, `%` and `$` left out; a space
as `+`; a line end or tab as the letter of its escape (`\n` is n, whatever the number of backslashes).
"""

import html
import re
from bisect import bisect_right
from functools import lru_cache

_SEQUENCE = rb"(?: \[[0-?]{0,64}[ -/]{0,8}[@-~] | \][^\x07\x1b\\]{0,512}(?:\x07|\x1b?\\) )"  # of a terminal
_TOKEN = re.compile(  # every alternative begins with a literal, so that what is none is passed over fast
    rb"""\x1b(?P<colour>%s)
  | \\(?<!\\\\)\\*+ (?: (?P<spelt_colour>(?:u001[bB]|x1[bB]|033|e)%s)
           | u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})
           | (?:u\{0{0,4}(?P<braced>[0-9a-fA-F]{1,6})\} | u(?P<four>[0-9a-fA-F]{4}) | U(?P<eight>[0-9a-fA-F]{8}))
           | (?:x(?P<hex>[0-9a-fA-F]{2}) | (?P<octal>[0-3][0-7]{2}))
           | (?P<control>[nrtbfva0])
         )
  | \\(?P<backslashes>\\++)
  | %%%%{0,64}+(?:25){0,16}(?:(?P<percent>[0-9a-fA-F]{2})|[uU](?P<old>[0-9a-fA-F]{4}))
  | &(?:amp;){0,16}(?:\#0{0,8}[0-9]{1,7}+;? | \#[xX]0{0,8}[0-9a-fA-F]{1,6}+;? | [A-Za-z][A-Za-z0-9]{1,30};)
    """
    % (_SEQUENCE, _SEQUENCE),
    re.X,
)
_SIGNS = (b"\\", b"%", b"&", b"\x1b")  # one of them is in every token
LEFT_OUT = b"\\'\"%$"  # also those that are doubled to stand for themselves
_QUOTING = re.compile(rb"[\\'\"%$]+")
_QUOTING_OR_ESCAPE = re.compile(rb"[\\'\"%$&]")
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"a": b"\a", b"0": b"\0"}
_PLAIN = bytes.maketrans(b"\n\r\t\b\f\v\a\0\x1b ", b"nrtbfva0e+")
ROUNDS = 4  # escapes within escapes: more are nobody's spelling


def folded(data: bytes) -> bytes:
    """The bytes of a text as every spelling of it comes to them."""
    data = data.replace(rb"\n", b"\n")  # the commonest by far, at once
    for _ in range(ROUNDS):
        if not any(sign in data for sign in _SIGNS):
            break
        before, data = data, _TOKEN.sub(lambda found: _resolved(found[0]), data)
        if data == before:
            break
    return data.translate(_PLAIN, LEFT_OUT)


class View:
    """What `folded` makes of a text, and the way back."""

    def __init__(self, data: bytes):
        self._data, self._layers = data, []
        for _ in range(ROUNDS):
            before, data = data, self._layer(data, _TOKEN, _resolved)
            if data == before:
                break
        self._plain = data  # escapes resolved, quotes still there
        self.folded = self._layer(data, _QUOTING, lambda _: b"").translate(_PLAIN)

    def _layer(self, data: bytes, pattern: re.Pattern, resolve) -> bytes:
        parts, starts, tokens, last, length = [], [], [], 0, 0
        for found in pattern.finditer(data):
            if (text := resolve(found[0])) == found[0]:
                continue
            length += found.start() - last
            parts += [data[last : found.start()], text]
            starts.append(length)
            tokens.append((length, length + len(text), found.start(), found.end()))
            length, last = length + len(text), found.end()
        self._layers.append((starts, tokens))
        return b"".join([*parts, data[last:]])

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text's bytes a part of `folded` stands: whole escapes, with the backslashes just before it."""
        start, end = self._within_plain(start, end)
        while self._plain[max(start - 1, 0) : start] == b"\\":
            start -= 1
        for layer in reversed(self._layers[:-1]):
            start, end = _back(layer, start, end)
        return start, end

    def is_word(self, start: int, end: int) -> bool:
        """Whether no ASCII letter or digit stands beside a part of `folded`; the n of a line end's escape is none."""
        start, end = self._within_plain(start, end)
        beside = self._plain[max(start - 1, 0) : start] + self._plain[end : end + 1]
        return not re.search(rb"[A-Za-z0-9]", beside)

    def leaves_out(self, start: int, end: int) -> bool:
        """Whether a part of `folded` comes from a text with signs that are left out, or with escapes, which may hide some."""
        return bool(_QUOTING_OR_ESCAPE.search(self._data, *self.origin(start, end)))

    def _within_plain(self, start: int, end: int) -> tuple[int, int]:
        return _back(self._layers[-1], start, end)


def _back(layer, start: int, end: int) -> tuple[int, int]:
    starts, tokens = layer
    return _origin(starts, tokens, start, 2), _origin(starts, tokens, end - 1, 3)


def _origin(starts, tokens, at: int, side: int) -> int:
    """Where the byte at a place comes from: its start (side 2) or its end (side 3); of an escape as a whole."""
    index = bisect_right(starts, at) - 1
    if index < 0:
        return at + side - 2
    _, new_end, _, old_end = tokens[index]
    return tokens[index][side] if at < new_end else old_end + at - new_end + side - 2


@lru_cache(maxsize=4096)
def _resolved(spelt: bytes) -> bytes:
    token = _TOKEN.fullmatch(spelt)
    if token["colour"] or token["spelt_colour"]:
        return b""
    if token["high"]:
        return (chr(0x10000 + (int(token["high"], 16) - 0xD800) * 0x400 + int(token["low"], 16) - 0xDC00)).encode()
    if code := token["braced"] or token["four"] or token["eight"] or token["old"]:
        return chr(int(code, 16)).encode("utf-8", "surrogatepass") if int(code, 16) < 0x110000 else token[0]
    if byte := token["hex"] or token["percent"]:
        return bytes([int(byte, 16)])
    if token["octal"]:
        return bytes([int(token["octal"], 8)])
    if token["control"]:
        return _CONTROL[token["control"]]
    if token["backslashes"]:
        return b"\\"  # left out with the quotes
    return html.unescape(re.sub(rb"^&(?:amp;)*(?=#|\w+;)", b"&", token[0]).decode()).encode("utf-8", "surrogatepass")
