"""Secrets that stand within a cell's code: what looks like one there, in its texts (URLs, DSNs, JSON, SQL) and its comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import lru_cache

from pulsebook.base.redact.judging import is_random
from pulsebook.base.redact.shapes import secret_spans
from pulsebook.base.secret_names import is_strange

_OF_A_SHELL = re.compile(r"\s*%%(?:bash|sh|script|writefile|sql|html|perl|ruby|js)\b")
SHORTEST = 6  # characters: shorter ones are hidden where they stand, not wherever they occur
LONGEST = 100_000  # characters of a source that are looked at so closely


@lru_cache(maxsize=512)
def secrets_in(source: str) -> frozenset[str]:
    """What of a cell's source is to be hidden wherever it occurs; nothing that may be an ordinary word."""
    source = source[:LONGEST]
    of_shell = bool(_OF_A_SHELL.match(source))
    found = {secret for secret in shaped(source, code=not of_shell) if of_shell or is_strange(secret)}
    for text in _texts(source):
        found.update(shaped(text))
    return frozenset(found)


def shaped(text: str, code: bool = False) -> Iterator[str]:
    """Parts of a text that look like a secret and like no ordinary word."""
    for start, end in secret_spans(text, code):
        if len(secret := text[start:end].strip()) >= SHORTEST and is_random(secret):
            yield secret


def pieces(source: str) -> list[str]:
    """The texts that stand beside each other in an expression: `"one" "two"`; none of a single text."""
    texts = [*_literals(_tokens(f"({source})"))]
    return texts if len(texts) > 1 else []


def _texts(source: str) -> Iterator[str]:
    tokens = _tokens(source)
    yield from _literals(tokens)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


def _tokens(source: str) -> list[tokenize.TokenInfo]:
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            found.append(token)
    except (tokenize.TokenError, SyntaxError, ValueError):  # a magic, another language: what came before it counts
        pass
    return found


def _literals(tokens: list[tokenize.TokenInfo]) -> Iterator[str]:
    for token in tokens:
        if token.type == tokenize.STRING:
            try:
                value = ast.literal_eval(token.string)
            except (SyntaxError, ValueError):
                continue
            yield value if isinstance(value, str) else value.decode("utf-8", "replace")
