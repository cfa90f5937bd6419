"""Secrets within base64 and the numbers of bytes, also in the middle of longer ones and of ones wrapped into lines.

Base64 is known of a secret as it is, as URLs and JSON spell it, in UTF-16 (as PowerShell takes commands) and in base64 once more
(as Kubernetes keeps what is base64 already); numbers are known as hexadecimal and decimal ones, whatever stands between them.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

CORE = 6  # characters of base64 that are no coincidence in a megabyte of pictures
HEX = 12  # digits that are none
_LINE_ENDS = (b"<br>", b"<br/>", b"<br />", b"&#13;", b"&#10;", b"' + '", b"' +\n", b'" +\n')
_LINE_STARTS = (b"\n# ", b"\n> ", b"\n// ", b"\n+ ", b"\n| ")
_BETWEEN = (  # the lines of base64, also as JSON, Python, HTML, mails and comments write them
    rb"(?:\\{1,8}[nr]|[\s\"',:\\]|<br ?/?>|&#1[03];|(?<=[\"'] )\+(?=\s)|(?<=\n)(?:[#>+|]|//)(?= ))*+"
)
_BETWEEN_NUMBERS = rb"(?:0x|[\s\"',:\\])*+"
_IGNORED = b" \t\r\n\"',:\\"
RUN, LINE = 16, 24  # characters that may be a token; those of a line of base64
LONGEST_TOKEN = 4000  # characters in which more than plain base64 is sought: longer runs are pictures
_IN_RUNS = bytes(ord("a") if chr(c).isalnum() and c < 128 or c in b"+/-_=%" else ord(" ") for c in range(256))


class Encoded:
    """Finds secrets in base64 and hexadecimal digits."""

    def __init__(self, secrets: Iterable[str]):
        self.whole, cores, self.numbers, nested = set(), set(), set(), set()
        for secret in secrets:
            data = secret.encode("utf-8", "surrogatepass")
            self.whole |= {base64.b64encode(data), base64.urlsafe_b64encode(data)}
            numbers = (data.hex(), data.hex().upper(), "".join(map(str, data)))
            self.numbers |= {digits.encode() for digits in numbers if len(digits) >= HEX}
            mine = _cores(data)
            cores |= mine
            others = {
                quote(secret, safe="").encode(),
                json.dumps(secret)[1:-1].encode(),
                secret.encode("utf-16-le", "replace"),
            }
            nested.update(*map(_cores, mine - {b""}), *map(_cores, others - {data}))
        self.cores = cores | {core.replace(b"+", b"-").replace(b"/", b"_") for core in cores}
        self.nested = nested | {quote(core, safe="").encode() for core in cores if b"+" in core or b"/" in core}
        plain = (spelt for spelt in self.whole if not any(core in spelt for core in self.cores))
        self.all = [*self.cores, *self.numbers, *plain]

    def may_be_in(self, data: bytes) -> bool:
        """Whether a closer look is due."""
        return bool(self._found(data))

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Start and end of each place that holds one, with the characters beside it that hold its first and last bits."""
        return [
            found.span()
            for spelt in self._found(data)
            for found in _pattern(spelt, spelt in self.cores, spelt in self.numbers).finditer(data)
        ]

    def _found(self, data: bytes) -> list[bytes]:
        together, runs = data.replace(rb"\n", b"").replace(rb"\r", b""), [*_runs(data)]
        for sign in (
            (*_LINE_ENDS, *_LINE_STARTS) if any(len(run) >= LINE for run in runs) else ()
        ):  # rare: not sought in prose
            together = together.replace(sign, sign[: sign in _LINE_STARTS])
        together = together.translate(None, _IGNORED)
        found = [spelt for spelt in self.all if spelt in together]
        if b"0x" in data:
            numbers = together.replace(b"0x", b"")
            found += [spelt for spelt in self.numbers if spelt in numbers and spelt not in found]
        token = b" ".join(run for run in runs if len(run) <= LONGEST_TOKEN)
        return found + [spelt for spelt in self.nested if spelt in token]


def _runs(data: bytes) -> Iterable[bytes]:
    """The parts of the data that can be base64."""
    kinds, end = data.translate(_IN_RUNS), 0
    while (found := kinds.find(b"a" * RUN, end)) >= 0:
        start = max(kinds.rfind(b" ", end, found) + 1, end)
        end = kinds.find(b" ", found)
        end = end if end >= 0 else len(data)
        yield data[start:end]


def _cores(data: bytes) -> set[bytes]:
    return {core for shift in range(3) if len(core := _core(data, shift)) >= CORE}


def _core(data: bytes, shift: int) -> bytes:
    """The characters that base64 gives a secret whatever stands around it, when it begins `shift` bytes into a group."""
    padded = b"\0" * shift + data
    return base64.b64encode(padded)[(0, 2, 3)[shift] : len(padded) * 4 // 3]


def _pattern(spelt: bytes, around: bool, numbers: bool) -> re.Pattern:
    body = (_BETWEEN_NUMBERS if numbers else _BETWEEN).join(re.escape(bytes([byte])) for byte in spelt)
    if not around:
        return re.compile(body)
    return re.compile(rb"[\w+/-]{0,2}" + body + rb"[\w+/-]{0,2}={0,2}")
