"""A statement as its author wrote it, made ready to be read: what may stand around it, and errors in its own lines.

>>> statement("SELECT 1; -- one").text
'SELECT 1'
>>> statement("SELECT 1 FORMAT CSV")
Traceback (most recent call last):
pulsebook.warehouse.statement.StatementError: line 1, column 10: leave out FORMAT CSV: ...
"""

import re
from dataclasses import dataclass

from pulsebook.base.errors import PulsebookError

# Each alternative takes what it has begun to the end, without going back: time grows with the length alone
_TOKEN = re.compile(
    r"""(?P<space>\s++|--[^\n]*+|//[^\n]*+|\#[ !][^\n]*+)
    | (?P<comment>/\*)
    | (?P<heredoc>\$\w*+\$)
    | (?P<quoted>'(?:[^'\\]++|\\.|'')*+(?:'|\Z)|"(?:[^"\\]++|\\.|"")*+(?:"|\Z)|`(?:[^`\\]++|\\.|``)*+(?:`|\Z))
    | (?P<word>\w++)
    | (?P<sign>.)""",
    re.S | re.X,
)
_COMMENT = re.compile(r"/\*|\*/")
_SELECTS = {"SELECT", "WITH", "FROM", "VALUES", "("}
_SHOWS = {"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"}
# Before FORMAT: what makes it a name
_NAMING = {"AS", "FROM", "JOIN", "SELECT", "WHERE", "AND", "OR", "NOT", "BY", "DISTINCT", "ON", "DATABASE", "TABLE"}
_ENDINGS = {"SETTINGS", ";"}
DESCRIBED = ("DESCRIBE TABLE (", "\n) FORMAT JSONCompact")  # around a SELECT
_END = "the end of the statement"
_POSITION = re.compile(r"position (\d+)( \(.*?\))?? \(line \d+, col \d+\)", re.S)


class StatementError(PulsebookError, ValueError):
    """A statement cannot be read as it stands."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        text: as it was written, up to its last word: without `;` and comments after it.
        selects: whether it is a SELECT, which may stand within another; else it is a SHOW, DESCRIBE and the like.
    """

    text: str
    selects: bool

    def in_own_words(self, answer: str, around: tuple[str, str] = DESCRIBED) -> str:
        """A server's error about the statement with `around` it, as if it had been sent alone."""
        before, after = around
        sent = self.text.encode("utf-8", "surrogateescape")

        def own(match: re.Match) -> str:
            at = int(match[1]) - 1 - len(before.encode())
            if at >= len(sent):
                return _END
            here = len(sent[: max(at, 0)].decode(errors="ignore"))
            return f"position {here + 1}{match[2] or ''} ({_place(self.text, here, 'line {}, col {}')})"

        said = _POSITION.sub(own, answer.replace(after, ""))
        return re.sub(rf"({_END}): [) ]*(FORMAT )?\w+", r"\1", said)  # what it quotes from there on is not the author's


def _place(text: str, at: int, pattern: str = "line {}, column {}") -> str:
    return pattern.format(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def tokens(sql: str) -> list[tuple[int, str]]:
    """Places and texts of what is no space and no comment; names and words, quoted texts, single signs."""
    found, at = [], 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        end = match.end()
        if match.lastgroup == "comment":
            end = _comment_end(sql, at)
            if end is None:
                raise StatementError(f"{_place(sql, at)}: this comment is never closed")
        elif match.lastgroup == "heredoc":
            close = sql.find(match[0], end)
            end = close + len(match[0]) if close >= 0 else end
        if match.lastgroup not in ("space", "comment"):
            found.append((at, sql[at:end]))
        at = end
    return found


def _comment_end(sql: str, start: int) -> int | None:
    """Where a comment ends. Newer servers let comments hold comments; where they do not close, the first end counts."""
    depth, first = 0, 0
    for match in _COMMENT.finditer(sql, start):
        depth += 1 if match[0] == "/*" else -1
        if match[0] == "*/":
            first = first or match.end()
        if not depth:
            return match.end()
    return first or None


def statement(sql: str) -> Statement:
    """A statement whose rows can be read into a frame.

    Raises:
        StatementError: says where, and what to do: none or several statements, one that returns no rows, parentheses
            that do not match, FORMAT, INTO OUTFILE.
    """
    found = tokens(sql)
    while found and found[-1][1] == ";":
        found.pop()
    if not found:
        raise StatementError("expected a statement such as SELECT …, found none")
    end = found[-1][0] + len(found[-1][1])
    words = [text.upper() for _, text in found]
    if words[0] not in _SELECTS | _SHOWS:
        raise StatementError(
            f"{_place(sql, found[0][0])}: expected a statement that returns rows (SELECT, WITH, SHOW, DESCRIBE, EXISTS, "
            f"EXPLAIN, CHECK), found {found[0][1][:40]}; `execute` runs others"
        )
    open_at = []
    for i, ((at, text), word) in enumerate(zip(found, words, strict=True)):
        before, following = words[i - 1] if i else "", words[i + 1 : i + 3]
        if text == "(":
            open_at.append(at)
        elif text == ")":
            if not open_at:
                raise StatementError(f"{_place(sql, at)}: this ) closes nothing")
            open_at.pop()
        elif text == ";":
            raise StatementError(f"{_place(sql, at)}: expected one statement, found another one after the ;")
        elif word == "FORMAT" and not open_at and _is_clause(before, following):
            raise StatementError(
                f"{_place(sql, at)}: leave out FORMAT {found[i + 1][1][:40]}: the rows become a frame; "
                "the text of a format is for other clients"
            )
        elif word == "INTO" and following[:1] == ["OUTFILE"] and not open_at:
            raise StatementError(
                f"{_place(sql, at)}: leave out INTO OUTFILE: the rows become a frame; to_csv writes a file"
            )
    if open_at:
        raise StatementError(f"{_place(sql, open_at[-1])}: this ( is never closed")
    return Statement(sql[:end], words[0] in _SELECTS)


def _is_clause(before: str, following: list[str]) -> bool:
    """Whether a FORMAT is the clause: a name follows it and then nothing, or SETTINGS; and it is no name itself."""
    ends = bool(following) and re.fullmatch(r"\w+", following[0]) and (not following[1:] or following[1] in _ENDINGS)
    return bool(ends) and before not in _NAMING and not re.fullmatch(r"[-+*/%=<>,.]", before)
