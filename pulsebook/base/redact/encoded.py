"""Secrets within base64 and hexadecimal digits, also in the middle of longer ones and of ones wrapped into lines."""

import base64
import re
from collections.abc import Iterable

CORE = 6  # characters of base64 that are no coincidence in a megabyte of pictures
HEX = 12  # digits that are none
_BETWEEN = rb"(?:\\{1,8}[nr]|[\s\"',\\])*+"  # the lines of base64, also as JSON and Python write them
_IGNORED = b" \t\r\n\"',\\"


class Encoded:
    """Finds secrets in base64 and hexadecimal digits."""

    def __init__(self, secrets: Iterable[str]):
        self.whole, cores = set(), set()
        for secret in secrets:
            data = secret.encode("utf-8", "surrogatepass")
            self.whole |= {base64.b64encode(data), base64.urlsafe_b64encode(data)}
            self.whole |= {
                digits for digits in (data.hex().encode(), data.hex().upper().encode()) if len(digits) >= HEX
            }
            cores |= {core for shift in range(3) if len(core := _core(data, shift)) >= CORE}
        self.cores = cores | {core.replace(b"+", b"-").replace(b"/", b"_") for core in cores}
        self.all = [*self.cores, *(spelt for spelt in self.whole if not any(core in spelt for core in self.cores))]

    def may_be_in(self, data: bytes) -> bool:
        """Whether a closer look is due."""
        return bool(self._found(data))

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Start and end of each place that holds one, with the characters beside it that hold its first and last bits."""
        return [
            found.span()
            for spelt in self._found(data)
            for found in _pattern(spelt, around=spelt in self.cores).finditer(data)
        ]

    def _found(self, data: bytes) -> list[bytes]:
        together = data.replace(b"\\n", b"").replace(b"\\r", b"").translate(None, _IGNORED)
        return [spelt for spelt in self.all if spelt in together]


def _core(data: bytes, shift: int) -> bytes:
    """The characters that base64 gives a secret whatever stands around it, when it begins `shift` bytes into a group."""
    padded = b"\0" * shift + data
    return base64.b64encode(padded)[(0, 2, 3)[shift] : len(padded) * 4 // 3]


def _pattern(spelt: bytes, around: bool) -> re.Pattern:
    body = _BETWEEN.join(re.escape(bytes([byte])) for byte in spelt)
    if not around:
        return re.compile(body)
    return re.compile(rb"[\w+/-]{0,2}" + body + rb"[\w+/-]{0,2}={0,2}")
