"""Known secrets (those of the settings, of the environment, and registered ones) and where they stand in a text.

However a secret is spelt, it is found: see `escapes` and `encoded`. A secret of fewer than 4 characters is left alone (within
a URL its place gives it away), one of fewer than 8 is hidden only as a word of its own: hiding every "a" would shred the
document.
"""

from collections.abc import Iterable
from functools import lru_cache

from pulsebook.base.redact.encoded import Encoded
from pulsebook.base.redact.escapes import LEFT_OUT, View, folded
from pulsebook.base.settings import settings

HIDDEN = "[redacted]"
SHORTEST, UNMISTAKABLE = 4, 8  # characters: shorter secrets are left alone; from here on hidden within words too
LINE = 16  # characters of a line of a secret that is hidden by itself too: the body of a key
_registered: set[str] = set()


def register(secret: str) -> None:
    """Know one more secret, for the rest of this process."""
    if secret:
        _registered.add(secret)


def known() -> frozenset[str]:
    """All that is known."""
    return frozenset((*settings().secrets, *settings().secrets_of_environment, *_registered))


def hide_known(text: str) -> str:
    """The text with `[redacted]` in place of every known secret."""
    finder = _finder(known())
    data = text.encode("utf-8", "surrogatepass")
    if not finder.may_be_in(data):
        return text
    return _without(data, finder.spans(data), HIDDEN.encode()).decode("utf-8", "surrogatepass")


def replaced(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with `[redacted]` in place of its spans."""
    return _without(text, spans, HIDDEN) if spans else text


class _Form:
    """One way in which a secret's characters become bytes."""

    def __init__(self, secret: str, spelt: bytes):
        self.folded = folded(spelt)
        self.word = len(secret) < UNMISTAKABLE
        self.leaves_out = any(sign in spelt.strip(LEFT_OUT) for sign in (b"'", b'"', b"\\", b"%", b"$"))


class _Finder:
    """Finds a set of secrets in texts."""

    def __init__(self, secrets: Iterable[str]):
        whole = [secret for secret in secrets if len(secret.strip()) >= SHORTEST]
        lines = [line.strip() for secret in whole if "\n" in secret for line in secret.splitlines()]
        each = {*whole, *(line for line in lines if len(line) >= LINE and not line.startswith("-----"))}
        self.forms, self.exact = [], []
        for secret in sorted(each, key=len, reverse=True):
            spelt = {secret.encode("utf-8", "surrogatepass"), _latin(secret)}
            forms = [_Form(secret, data) for data in spelt]
            self.forms += [form for form in forms if len(form.folded) >= SHORTEST]
            self.exact += [(data, len(secret) < UNMISTAKABLE) for data in spelt]
        self.encoded = Encoded(each)

    def may_be_in(self, data: bytes) -> bool:
        """Whether a closer look is due."""
        plain = folded(data)
        return (
            any(form.folded in plain for form in self.forms)
            or any(secret in data for secret, _ in self.exact)
            or self.encoded.may_be_in(data)
        )

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Start and end of each place that holds one."""
        view, found = View(data), self.encoded.spans(data)
        for form in self.forms:
            for start in _places(form.folded, view.folded):
                end = start + len(form.folded)
                if (not form.word or view.is_word(start, end)) and (not form.leaves_out or view.leaves_out(start, end)):
                    found.append(view.origin(start, end))
        for secret, word in self.exact:
            for start in _places(secret, data):
                if not word or _is_word(data, start, start + len(secret)):
                    found.append((start, start + len(secret)))
        return found


@lru_cache(maxsize=8)
def _finder(secrets: frozenset[str]) -> _Finder:
    return _Finder(secrets)


def _latin(secret: str) -> bytes:
    r"""As where `\xe9` stands for é: a byte for each character that has one."""
    return b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("utf-8", "surrogatepass") for c in secret)


def _places(part: bytes, whole: bytes) -> Iterable[int]:
    at = whole.find(part)
    while at >= 0:
        yield at
        at = whole.find(part, at + len(part))


def _is_word(data: bytes, start: int, end: int) -> bool:
    beside = data[max(start - 1, 0) : start] + data[end : end + 1]
    return not any(chr(byte).isalnum() for byte in beside if byte < 128)


def _without(text, spans: list[tuple[int, int]], instead):
    parts, last = [], 0
    for start, end in sorted(spans):
        if start >= last:
            parts += [text[last:start], instead]
        last = max(last, end)
    return text[:0].join([*parts, text[last:]])
