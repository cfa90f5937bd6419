"""Secrets that stand beside their name without a sign between: in prose, in markup, in tables.

    your password is Zt7kq9    <tr><td>password</td><td>pw-1</td></tr>    <input name="password" value="pw-1">

    user  password        user,password        | user | password |        <th>user</th><th>password</th>
    me    pw-1            me,pw-1              | me   | pw-1     |        <td>me</td><td>pw-1</td>

Numbers stay: a table counts passwords far more often than it holds such.
"""

import re
from collections.abc import Iterator

from pulsebook.base.redact.judging import is_random, is_strong, is_value
from pulsebook.base.secret_names import is_password, is_secret

Span = tuple[int, int]
_CELL = r"</(?:td>\s{0,60}<t[hd]|th>\s{0,60}<td|dt>\s{0,60}<dd)(?:\s[^<>]{0,200})?>"
_BESIDE = re.compile(  # in markup
    rf"(?:(?P<cell>{_CELL})|(?P<attributes>\s[^<>]{{0,200}}>)(?=[^<]{{1,1000}}</)"
    r"|(?P<valued>[\"']\s(?:[^<>]{0,200}?\s)?(?:value|content)\s?=\s?(?P<quote>[\"'])))"
)
_PROSE = re.compile(
    r"(?:[\"'`]|\*{1,3})?:?(?:\*{1,3})?"
    r"(?P<between>(?:[ ](?:is|was|now|for|of|must|not|be|to|set|with|by|the|user|provided|[\"']?[\w.@-]{1,60}[\"']?(?=:| is )))"
    r"{0,4}:?(?:[ \t]{0,20}(?:->|→|[|│┃]|[–—]|\.{3,80})|(?<=:)\n)?[ \t]{1,20})(?P<quote>[\"'`«“]?)"
    r"(?P<word>[^\s\"'`<>«»“”|│┃]{6,512})"
)
_TAGGED = re.compile(  # with tags between
    r"(?:[\"'][^<>]{0,200}>)?\s{0,4}[:=]?(?:\s{0,40}</?\w[^<>]{0,200}>\s{0,4}[:=]?){0,6}\s{0,40}(?:<!\[CDATA\[)?"
    r"(?P<word>[^\s<>\"'\]]{6,512})(?=\s{0,20}(?:<|\]\]>|\Z))"
)
_VALUE_FIRST = re.compile(
    r"<input\s(?:[^<>]{0,200}\s)?value=[\"']([^\"'<>]{1,500})[\"']\s(?:[^<>]{0,200}\s)?(?:name|id|type)=[\"']\Z"
)
_REFUSED = re.compile(r"(?i)\b(?:invalid|incorrect|wrong|bad|expired|unknown|revoked) (?:[\w-]{1,20} )?\Z")
_CELLS = re.compile(r"<t[hd](?:\s[^<>]{0,300})?>([^<]{0,2000})")
_BARS = "│┃|"
_HEADER_CELL = re.compile(r"[ \w./%()-]{0,64}")
MOST_LINES, MOST_COLUMNS, LONGEST_LINE = 5000, 8, 5000


def mentioned(text: str, names: list[Span], code: bool) -> Iterator[Span]:
    """Start and end of each value, from start and end of each name that holds a keyword; linear in the text's length."""
    has_tables, tables, columns = "<table" in text, set(), set()
    below = 0  # where the table under the last header ends
    for start, end in names:
        if not is_secret(name := text[start:end]):
            continue
        yield from _in_markup(text, name, start, end)
        if has_tables and (table := text.rfind("<table", max(0, start - 20_000), start)) not in tables | {-1}:
            tables.add(table)
            yield from _in_html_table(text, table)
        if code:
            continue
        yield from _in_prose(text, name, start, end)
        header = _line_start(text, start)
        of_header = sum(at == header for at, _ in columns)
        if (start >= below or 0 < of_header < MOST_COLUMNS) and (header, name) not in columns:
            found, reach = _in_columns(text, name, start, end)
            yield from found
            if reach:
                below, columns = reach, {(at, of) for at, of in columns if at == header} | {(header, name)}


def _in_markup(text: str, name: str, start: int, end: int) -> Iterator[Span]:
    if "<" in text[end : end + 400] and ">" in text[end : end + 200]:
        tagged = _TAGGED.match(text, end)
        between = text[end : tagged.start("word")] if tagged else ""
        if tagged and is_strong(tagged["word"]) and not ("</th" in between and "<th" in between):  # two headers
            yield tagged.span("word")
    if text[start - 1 : start] in ("'", '"') and (first := _VALUE_FIRST.search(text, max(0, start - 600), start)):
        yield first.span(1)
    found = _BESIDE.match(text, end)
    if not found or (found["attributes"] and text[start - 1 : start] != "<"):
        return
    stop = text.find(found["quote"] or "<", found.end(), found.end() + 1000)
    if stop >= 0 and is_value(name, text[found.end() : stop]):
        yield found.end(), stop


def _in_prose(text: str, name: str, start: int, end: int) -> Iterator[Span]:
    """A word that is none of a language, after the name."""
    found = _PROSE.match(text, end)
    if not found:
        return
    refused = bool(_REFUSED.search(text, max(0, start - 40), start))
    word = found["word"].rstrip(".,;:!?)")
    quoted = found["quote"] and text[found.end("word") : found.end("word") + 1] in ("'", '"', "`", "»", "”")
    if not is_password(name) and not (is_strong(word) and (quoted or refused)):
        return
    if is_value(name, word) and (is_strong(word) or (quoted and is_random(word))):
        yield found.start("word"), found.start("word") + len(word)


# -- tables


def _in_html_table(text: str, start: int) -> Iterator[Span]:
    """The cells under the headers that are secret; counted from the right, where headers of indexes make no difference."""
    stop = text.find("</table", start)
    stop = stop if stop >= 0 else len(text)
    head = min(end for end in (text.find("</thead", start, stop), text.find("</tr", start, stop), stop) if end >= 0)
    if (thead := text.find("</thead", start, stop)) >= 0:
        head = thead
    secret = set()
    for row in _rows(text, start, head):
        for place, (a, b) in enumerate(reversed(row)):
            if is_secret(name := text[a:b].strip()):
                secret.add((place, name))
    if not secret:
        return
    for row in _rows(text, head, stop):
        cells = row[::-1]
        for place, name in secret:
            if place < len(cells) and is_value(name, text[slice(*cells[place])].strip()):
                yield cells[place]


def _rows(text: str, start: int, stop: int) -> Iterator[list[Span]]:
    """The cells of each row."""
    at = text.find("<tr", start, stop)
    while at >= 0:
        following = text.find("<tr", at + 3, stop)
        end = following if following >= 0 else stop
        yield [
            found.span(1) for found in re.compile(r"<t[hd](?:\s[^<>]{0,300})?>([^<]{0,2000})").finditer(text, at, end)
        ]
        at = following


def _in_columns(text: str, name: str, start: int, end: int) -> tuple[list[Span], int]:
    """The values under a header, and where they end: between bars, commas or tabs, or aligned by blanks as pandas does."""
    begin = _line_start(text, start)
    stop = _end_of_line(text, end)
    line = text[begin:stop]
    if not 0 < len(line) <= LONGEST_LINE or stop == len(text):
        return [], 0
    sign = next((sign for sign in (*_BARS, "\t", ",", ";") if sign in line), "")
    if sign:
        cells = [cell.strip(" \"'") for cell in line.split(sign)]
        if len(cells) < 2 or name not in cells or not all(map(_HEADER_CELL.fullmatch, cells)):
            return [], 0
        place = cells.index(name)
    elif "  " not in line.strip() and not line.startswith(" ") or re.search(r"(?:^|\s)[\d.,%]+(?:\s|$)", line):
        return [], 0  # a sentence, or a row
    elif text[end:stop].lstrip(" ")[:1] and text[end : end + 2] != "  " or start > begin and text[start - 1] != " ":
        return [], 0
    header, found = begin, []
    for _ in range(MOST_LINES):
        begin, stop = stop + 1, _end_of_line(text, stop + 1)
        row = text[begin:stop]
        if begin >= len(text) or not row.strip():
            break
        if sign:
            here = next((bar for bar in _BARS if bar in row), sign) if sign in _BARS else sign
            parts = row.split(here)
            if len(parts) != len(cells):
                if sign in _BARS:
                    continue  # a ruled line
                break
            at, value = begin + sum(len(part) + 1 for part in parts[:place]), parts[place]
        else:
            left, value = _aligned(row, start - header, end - header)
            at = begin + left
        bare = value.strip(" \"'")
        if bare and is_value(name, bare):
            at += value.index(bare)
            found.append((at, at + len(bare)))
    return found, begin


def _aligned(row: str, left: int, right: int) -> tuple[int, str]:
    """Where the value under a header begins, and the value: it ends where the header ends, or begins where it begins."""
    if row[right - 1 : right] not in ("", " ") and row[right : right + 1] in ("", " "):
        value = row[:right].rsplit("  ", 1)[-1].strip()
        return right - len(value), value
    if row[left : left + 1] not in ("", " ") and (left == 0 or row[left - 1] == " "):
        return left, row[left:].split("  ", 1)[0]
    return 0, ""


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", max(0, at - LONGEST_LINE), at) + 1


def _end_of_line(text: str, at: int) -> int:
    stop = text.find("\n", at, at + LONGEST_LINE)
    return stop if stop >= 0 else min(len(text), at + LONGEST_LINE)
