"""Tokens are those of the engine's own lexer, whatever the text; and what a server reads from a statement's head."""

import json
import time

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.local.insert import Insert
from pulsebook.local.sql import significant, tokens
from pulsebook.local.statement import Statement

SIGNS = """ ' '' \\ \\' ` `` " /* */ -- // # #! $ $a $a$ $$ x' b' X'1f' 0 1 _ 0x 0b . e E+ - p a file ( ) ] [ { } ? :: | ||
    @@ \\G ; ^ ~ ! != <=> % x 1e 1_0 SELECT ‘ ’ “ ” − ж , """
SPACES = [b" ", b"\n", b"\r", b"\t", b"# ", b"\xc2\xa0", b"\xe3\x80\x80"]
PIECES = [*SIGNS.encode().split(), *SPACES, b"\xff", b"\xe2", b"\x00"]
KINDS = {"Whitespace": "space", "Comment": "comment", "BareWord": "word", "Number": "number", "StringLiteral": "string",
         "HereDoc": "string", "QuotedIdentifier": "name"}  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map(b"".join)


def runs(found: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Without signs, of which the engine takes some together; spaces in one piece; nothing after an error."""
    merged = []
    for kind, begin, end in found:
        if merged and kind == merged[-1][0] == "space":
            merged[-1] = (kind, merged[-1][1], end)
        elif kind == "error":
            return [*merged, (kind, begin, 0)]
        elif kind != "symbol":
            merged.append((kind, begin, end))
    return merged


@settings(deadline=None, derandomize=True, max_examples=20)
@given(batch=st.lists(texts, min_size=60, max_size=60))
def test_tokens_are_those_of_the_engines_lexer(server, batch):
    rows = ", ".join(f"'{text.hex()}'" for text in batch)
    ask = f"SELECT tokenizeQuery(unhex(arrayJoin([{rows}]))) AS found FORMAT JSONEachRow"
    answer = requests.post(server, data=ask.encode(), timeout=120)
    assert answer.ok, answer.text
    for text, line in zip(batch, answer.text.splitlines(), strict=True):
        theirs = []
        for found in json.loads(line)["found"]:
            begin, end, kind = found.values() if isinstance(found, dict) else found
            if kind != "EndOfStream":
                known = KINDS.get(kind, "error" if kind.startswith("Error") else "symbol")
                theirs.append((known, int(begin), int(end)))
        ours = [(token.kind, token.start, token.end) for token in tokens(text)]
        assert runs(ours) == runs(theirs), text


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.one_of(texts, st.binary(max_size=60)))
def test_the_tokens_put_together_are_the_text(text):
    found = list(tokens(text))
    assert b"".join(token.text for token in found) == text
    assert all(text[token.start : token.end] == token.text != b"" for token in found)


ESCAPES = [
    "\\\\",
    "\\'",
    "\\`",
    "''",
    "``",
    '""',
    "\\x41",
    "\\n",
    "\\N",
    "\\q",
    "\\=",
    "\\u0041",
    "a",
    "é",
    "4",
    "$",
    "\n",
    "%",
]


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    batch=st.lists(st.lists(st.sampled_from(ESCAPES), min_size=1, max_size=6).map("".join), min_size=30, max_size=30)
)
def test_values_of_strings_and_of_names_in_quotes_are_what_the_engine_reads(server, batch):
    for quote, kind in (("'", "string"), ("`", "name"), ('"', "name")):
        spelt = {f"{quote}{text}{quote}" for text in batch}
        found = [next(tokens(text.encode())) for text in spelt]
        whole = [t for t, text in zip(found, spelt, strict=True) if t.kind == kind and t.end == len(text.encode())]
        whole = list({t.value: t for t in whole if t.value}.values())  # no column twice, none without a name
        columns = [t.text if kind == "string" else b"1 AS " + t.text for t in whole]
        if kind == "string":
            columns = [b"hex(%s)" % column for column in columns]
        ask = b"SELECT " + b", ".join(columns or [b"''"]) + b" FORMAT JSONCompact"
        answer = requests.post(server, data=ask, timeout=60)
        assert answer.ok, answer.text
        known = [t.value.decode("utf-8", "replace") for t in whole]
        if kind == "string":
            assert [bytes.fromhex(value) for value in answer.json()["data"][0][: len(whole)]] == [
                t.value for t in whole
            ]
        else:
            assert [column["name"] for column in answer.json()["meta"]][: len(whole)] == known


HOSTILE = {
    "comments": b"-- x\n" * 200_000 + b"SELECT 1",
    "comments in a block": b"/**/" * 250_000 + b"SELECT 1",
    "nested comments": b"/*" * 500_000,
    "spaces": b" " * 1_000_000 + b"SELECT",
    "brackets": b"(" * 1_000_000,
    "quotes": b"'\\" * 500_000,
    "double quotes": b'"' * 999_999,
    "unclosed quotes of word processors": "‘“".encode() * 170_000,
    "heredocs without an end": b"".join(b"$%d$ " % n for n in range(150_000)),
    "one heredoc": b"$a$" + b"$" * 1_000_000,
    "dollars": b"$ " * 500_000,
    "digits": b"1_" * 500_000,
    "powers": b"1e+" * 330_000,
    "insert": b"INSERT INTO t (" + b"`a`, " * 200_000,
    "formats": b"SELECT 1 " + b"FORMAT " * 140_000,
    "with": b"WITH " + b"insert AS " * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_anything_is_read_in_linear_time(name):
    """A quadratic expression would take hours of a million bytes; the bound is wide enough for any machine."""
    began = time.thread_time()
    statement = Statement(HOSTILE[name])
    _ = statement.keyword, statement.reads, statement.insert, statement.several, statement.format
    assert sum(token.end - token.start for token in tokens(HOSTILE[name])) == len(HOSTILE[name])
    assert time.thread_time() - began < 60


def test_words_are_compared_in_capitals_and_quoted_ones_are_none():
    assert [t.upper for t in significant(b"select `select` 'x' (")] == ["SELECT", "", "", "("]


@pytest.mark.parametrize(
    ("text", "keyword", "reads", "format"),
    [
        ("SELECT 1", "SELECT", True, None),
        ("/* a /* b */ */ -- c\n # d\n ((select 1) union all (select 2)) format JSON;", "SELECT", True, "JSON"),
        ("SELECT 'FORMAT CSV' -- FORMAT TSV", "SELECT", True, None),
        ("SELECT format CSV", "SELECT", True, None),
        ("SELECT a.format x FROM t", "SELECT", True, None),
        ("SELECT 1 FORMAT `CSV` SETTINGS max_threads = 1", "SELECT", True, "CSV"),
        ("SELECT * FROM (SELECT 1 FORMAT CSV)", "SELECT", True, None),
        ("FROM t SELECT x", "FROM", True, None),
        ("WITH 1 AS insert SELECT insert", "WITH", True, None),
        ("WITH insert AS (SELECT 1) SELECT * FROM insert", "WITH", True, None),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "WITH", False, None),
        ("EXPLAIN SELECT 1", "EXPLAIN", True, None),
        ("DROP TABLE t", "DROP", False, None),
        ("SET a = 1", "SET", False, None),
        ("DESCRIBE TABLE t FORMAT JSON", "DESCRIBE", True, "JSON"),
        ("-- nothing", "", False, None),
        ("'SELECT'", "", False, None),
    ],
)
def test_a_statement_says_what_it_is(text, keyword, reads, format):
    statement = Statement(text.encode())
    assert (statement.keyword, statement.reads, statement.format) == (keyword, reads, format)


@pytest.mark.parametrize(
    ("head", "how", "data", "expected"),
    [
        ("INSERT INTO t ", "FORMAT CSV\n", "1,2", ("CSV", False)),
        ("INSERT INTO t ", "FORMAT CSV\r\n", "\n1,2", ("CSV", False)),
        ("INSERT INTO t ", "FORMAT CSV;\n", "1,2", ("CSV", False)),
        ("INSERT INTO t ", "FORMAT CSV", "", ("CSV", False)),
        ('insert into `a``b`."x" (`select`, y) ', "format JSONEachRow ", '{"y": 1}', ("JSONEachRow", False)),
        ("INSERT INTO t (* EXCEPT(a)) SETTINGS a = 1, b = 'FORMAT' ", "FORMAT Native\n", "\x00\x01", ("Native", False)),
        ("INSERT INTO values (format) ", "VALUES ", "(1), ('it''s')", ("Values", False)),
        ("INSERT INTO {t:Identifier} ", "VALUES /* one */ ", "({x:Int8})", ("Values", False)),
        ("INSERT INTO FUNCTION null('a Int8') ", "VALUES ", "(1)", ("Values", False)),
        ("/* 1 */ INSERT INTO t ", "SELECT * FROM input('a Int8') FORMAT CSV\n", "1", ("CSV", True)),
    ],
)
def test_an_insert_says_where_its_data_begin(head, how, data, expected):
    text = (head + how + data).encode("latin-1")
    insert = Statement(text).insert
    assert (insert.format, insert.selects) == expected
    assert text[: insert.head].decode("latin-1") == head and text[insert.data :].decode("latin-1") == data
    assert not Statement(text).several, "data are no statement"


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a, b) SELECT format, values FROM x",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t (a) WITH 1 AS x SELECT x",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    ],
)
def test_an_insert_of_a_query_has_no_data(text):
    insert = Statement(text.encode()).insert
    assert insert.selects and insert.data is None and not Statement(text.encode()).reads


def test_what_is_cut_off_or_from_a_file_has_no_data_either():
    assert Statement(b"INSERT INTO t (a, b").insert == Insert(19)
    assert Statement(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV").insert.from_file
    assert Statement(b"SELECT 1").insert is None


def test_several_statements_are_told_from_one():
    for text, several in {"SELECT 1;;": False, "SELECT ';'; -- x": False, "SELECT 1; SELECT 2": True}.items():
        assert Statement(text.encode()).several == several, text
    assert Statement(b" ;-- x").empty and not Statement(b"SELECT 1").empty
