"""Which statements write into one database and nowhere else: those that are recognised as such. All others may only read."""

import re

from pulsebook.warehouse.statement import StatementError, tokens

READS = {"SELECT", "WITH", "FROM", "(", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"}
STORES = re.compile(r"(Replicated|Shared)?\w*MergeTree|Memory|Null|(Tiny|Stripe)?Log", re.I)  # rows in the table itself
FOLLOWS = {"ON", "CLUSTER", "SYNC", "NO", "DELAY"}  # what may come after the name of a table that is dropped or emptied
HEAD = 10_000  # characters that tell what kind of statement it is, and the table that an INSERT goes into


def reads(sql: str) -> bool:
    """Whether a statement begins as one that only reads."""
    words = _words(sql[:HEAD])
    return bool(words) and words[0].upper() in READS


def writes_only(sql: str, database: str, whole: bool = True) -> bool:
    """Whether it is certain that a statement changes nothing but tables of this database, each named with it.

    Args:
        whole: whether that is all of it. Of an INSERT the beginning tells: what follows are its rows, or a SELECT, and of
            several statements a server runs none.
    """
    if _insert(_words(sql[:HEAD]), database):
        return True
    if not whole:
        return False
    words = _words(sql)
    while words and words[-1] == ";":
        words.pop()
    return ";" not in words and any(form(list(words), database) for form in FORMS)


def _insert(words: list[str], database: str) -> bool:
    if not _take(words, "INSERT", "INTO"):
        return False
    _take(words, "TABLE")
    return _target(words, database)


def _create_database(words: list[str], database: str) -> bool:
    if not _take(words, "CREATE", "DATABASE"):
        return False
    _take(words, "IF", "NOT", "EXISTS")
    return [_bare(word) for word in words] == [database]


def _create_table(words: list[str], database: str) -> bool:
    if not _take(words, "CREATE", "TABLE"):
        return False
    _take(words, "IF", "NOT", "EXISTS")
    if not _target(words, database):
        return False
    engines = [words[i + 2] for i, word in enumerate(words[:-2]) if word.upper() == "ENGINE" and words[i + 1] == "="]
    if engines:
        return len(engines) == 1 and bool(STORES.fullmatch(engines[0]))
    return _take(words, "AS") and _target(words, database) and not words  # as another table of this database


def _create_view(words: list[str], database: str) -> bool:
    return _take(words, "CREATE", "VIEW") and _target(words, database)


def _alter(words: list[str], database: str) -> bool:
    elsewhere = ("TO", "TABLE") in {
        (a.upper(), b.upper()) for a, b in zip(words, words[1:], strict=False)
    }  # MOVE PARTITION
    return _take(words, "ALTER", "TABLE") and _target(words, database) and not elsewhere


def _remove(words: list[str], database: str) -> bool:
    if not (_take(words, "DROP") or _take(words, "TRUNCATE")) or not (_take(words, "TABLE") or _take(words, "VIEW")):
        return False
    _take(words, "IF", "EXISTS")
    return _target(words, database) and {word.upper() for word in words} <= FOLLOWS


def _in_place(words: list[str], database: str) -> bool:
    begins = _take(words, "OPTIMIZE", "TABLE") or _take(words, "DELETE", "FROM") or _take(words, "UPDATE")
    return begins and _target(words, database)


def _rename(words: list[str], database: str) -> bool:
    if not (_take(words, "RENAME", "TABLE") or _take(words, "EXCHANGE", "TABLES")):
        return False
    while _target(words, database) and (_take(words, "TO") or _take(words, "AND")) and _target(words, database):
        if not words:
            return True
        if not _take(words, ","):
            break
    return False


FORMS = (_create_database, _create_table, _create_view, _alter, _remove, _in_place, _rename)


def _words(sql: str) -> list[str]:
    try:
        return [text for _, text in tokens(sql)]
    except StatementError:  # a comment that never closes
        return []


def _take(words: list[str], *expected: str) -> bool:
    """Take these words off the beginning, if they are there."""
    if [word.upper() for word in words[: len(expected)]] != list(expected):
        return False
    del words[: len(expected)]
    return True


def _target(words: list[str], database: str) -> bool:
    """Take `database.table` off the beginning, if it is there."""
    if len(words) < 3 or _bare(words[0]) != database or words[1] != "." or not re.match(r"\w|[`\"]", words[2]):
        return False
    del words[:3]
    return True


def _bare(word: str) -> str:
    """A name without its quotes. One that holds an escape stays quoted, and is none of ours."""
    return word[1:-1] if re.fullmatch(r"`\w+`|\"\w+\"", word) else word
