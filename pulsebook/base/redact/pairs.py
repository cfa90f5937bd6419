"""Secrets whose name is itself a value: of lists of variables, of pairs, of the arguments of a command.

{"name": "DB_PASSWORD", "value": "pw-1"}      - name: DB_PASSWORD      ['password', 'pw-1']      ['mysql', '--password', 'pw-1']
                                                value: pw-1
"""

import re
from collections.abc import Iterator

from pulsebook.base.redact.judging import is_value
from pulsebook.base.secret_names import is_password, is_secret, is_strange, shortest_of

Span = tuple[int, int]
_QUOTE = r"\\{0,8}[\"']"
_SAYS_NAME = re.compile(
    rf"(?i)\b(?:name|key|variable|setting|option|property|header|field){_QUOTE}?\s?[:=]\s?{_QUOTE}?\Z"
)
_SAYS_VALUE = re.compile(
    rf"(?:{_QUOTE})?\s{{0,4}},?\s{{0,60}}(?:{_QUOTE})?(?i:value|val|default)(?:{_QUOTE})?\s{{0,4}}[:=]\s{{0,4}}"
    rf"(?:(?P<quote>{_QUOTE})(?P<quoted>[^\"'\n]{{1,1000}}?)(?=\\{{0,8}}[\"'])|(?P<bare>[^\s\"'<>,{{}}\[\]]{{4,512}}))"
)
_NEXT_ITEM = re.compile(rf"{_QUOTE}\s{{0,4}},\s{{0,60}}[bru]?{_QUOTE}(?P<word>[^\s\"'\\]{{4,512}})\\{{0,8}}[\"']")
_ITEM = re.compile(rf"[\[(,{{]\s{{0,60}}[bru]?{_QUOTE}\Z")


def paired(text: str, names: list[Span], code: bool) -> Iterator[Span]:
    """Start and end of each value that follows its name in a list; linear in the text's length."""
    for start, end in names:
        if text[end : end + 1] not in ("'", '"', "\\", ",", "\n") or not is_secret(name := text[start:end]):
            continue
        before = text[max(0, start - 80) : start]
        if _SAYS_NAME.search(before):
            found = _SAYS_VALUE.match(text, end)
            kind = "quoted" if found and found["quoted"] else "bare"
            if (
                found
                and is_value(name, found[kind])
                and (is_password(name) or is_strange(found[kind], shortest_of(name)))
            ):
                yield found.span(kind)
        elif _ITEM.search(before) and (found := _NEXT_ITEM.match(text, end)):
            option = name.startswith("--") and is_password(name)
            if is_value(name, found["word"]) if option else not code and is_strange(found["word"]):
                yield found.span("word")
