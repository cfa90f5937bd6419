"""What may stand around a statement that is read, and errors in its author's own lines."""

import re
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulsebook.warehouse import Warehouse, WarehouseError
from pulsebook.warehouse.statement import StatementError, statement


@pytest.fixture(scope="module")
def warehouse(server):
    return Warehouse(server)


ENDINGS = [
    ";",
    " ; ",
    ";;",
    "; -- one",
    " -- it's; \"odd",
    "\n;\n-- x\n;",
    " /* ; ' */ ;",
    "; /* it's */ -- '",
    "// ' ;",
    "\n\t",
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "sql", ["SELECT 7 AS a", "-- it's\nSELECT 7 AS a", "/* ; */ (SELECT 7 AS a)", "WITH 7 AS b SELECT b AS a"]
)
def test_what_follows_a_statement_does_not_matter(sql, ending, warehouse):
    assert warehouse.row(sql + ending) == {"a": 7}


@pytest.mark.parametrize(
    "text", ["';'", "'it''s; -- x'", r"'\';'", "'/*'", "'--'", "'FORMAT CSV'", "'{x}'", "'('", "'\";'", "')'"]
)
def test_what_stands_in_quotes_is_no_part_of_the_statement(text, warehouse):
    wanted = text[1:-1].replace("''", "'").replace("\\'", "'")
    assert warehouse.row(f"SELECT {text} AS `a;b)`; -- {text}") == {"a;b)": wanted}


@pytest.mark.parametrize(
    ("sql", "column", "holds"),
    [
        ("SHOW TABLES FROM system; -- all", "name", "one"),
        ("show databases", "name", "system"),
        ("DESCRIBE TABLE system.one;", "name", "dummy"),
        ("DESC system.one", "type", "UInt8"),
        ("DESCRIBE (SELECT 1 AS format)", "name", "format"),
        ("EXISTS TABLE system.one -- ?", "result", 1),
        ("EXISTS TABLE system.no_such", "result", 0),
    ],
)
def test_show_describe_and_exists_are_read_too(sql, column, holds, warehouse):
    assert holds in warehouse.read(sql)[column].tolist()


def test_explain_and_check_are_read_where_the_server_knows_them(warehouse):
    if warehouse.scalar("SELECT version()").startswith("18."):
        with pytest.raises(WarehouseError, match=r"Syntax error.*\nin: EXPLAIN SELECT 1$"):
            warehouse.read("EXPLAIN SELECT 1")
    else:
        assert len(warehouse.read("EXPLAIN SELECT 1; -- x"))
        assert warehouse.read("EXPLAIN SYNTAX SELECT 1 AS x")["explain"].str.contains("1 AS x").any()


@pytest.mark.parametrize("name", ["format", "FORMAT", "settings", "outfile"])
def test_the_words_of_clauses_may_be_names(name, warehouse):
    assert warehouse.row(f"SELECT 7 AS {name}") == {name: 7}
    assert warehouse.row(f"SELECT {name}.a AS b FROM (SELECT 7 AS a) AS {name}") == {"b": 7}
    assert warehouse.row(f"SELECT max(`{name}`) AS b FROM (SELECT 7 AS `{name}`)") == {"b": 7}


def test_settings_of_a_statement_count(warehouse):
    joined = "SELECT b FROM (SELECT 1 AS a) AS x ANY LEFT JOIN (SELECT 2 AS a, 3 AS b) AS y USING a"
    assert warehouse.row(f"{joined} SETTINGS join_use_nulls = 0;") == {"b": 0}
    assert warehouse.read(f"{joined} SETTINGS join_use_nulls = 1 -- ;")["b"].isna().all()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT 1 FORMAT CSV", "line 1, column 10: leave out FORMAT CSV"),
        ("SELECT 1\nformat JSONEachRow; -- x", "line 2, column 1: leave out FORMAT JSONEachRow"),
        ("SELECT 1 FORMAT TSV SETTINGS max_threads = 1", "leave out FORMAT TSV"),
        ("SELECT 1 SETTINGS max_threads = 1 FORMAT TSV", "leave out FORMAT TSV"),
        ("SHOW TABLES FORMAT TSV", "leave out FORMAT TSV"),
        ("SELECT 1 AS a FROM system.one FORMAT /* x */ CSV -- y", "leave out FORMAT CSV"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "line 1, column 10: leave out INTO OUTFILE"),
        ("SELECT 1 into /**/ outfile '/tmp/x' FORMAT CSV", "leave out INTO OUTFILE"),
        ("SELECT 1; SELECT 2", "line 1, column 9: expected one statement"),
        ("SELECT 1;\n-- it's\nDROP TABLE x;", "line 1, column 9: expected one statement"),
        ("", "expected a statement"),
        (" ;; -- nothing", "expected a statement"),
        ("INSERT INTO t SELECT 1", "line 1, column 1: expected a statement that returns rows .* found INSERT"),
        ("\n  DROP TABLE t", "line 2, column 3: .* found DROP; `execute` runs others"),
        ("SET max_threads = 1", "found SET"),
        ("SELECT 1) FROM (SELECT 2", r"line 1, column 9: this \) closes nothing"),
        ("SELECT\n (1 + (2)", r"line 2, column 2: this \( is never closed"),
        ("SELECT 1 AS a, toString(1) AS a, 2 AS b", "a"),
        ("SELECT 1, 1", "several columns are called 1: name each"),
        ("SELECT 1 -- x\n/* y", "line 2, column 1: this comment is never closed"),
        ("SELECT {x:UInt8}", r"SELECT \{x:UInt8\}"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(sql, says, warehouse):
    with pytest.raises(WarehouseError, match=says) as caught:
        warehouse.read(sql)
    assert f"in: {sql.rstrip('; ')}"[:12] in str(caught.value)
    unwrapped(caught.value)


def unwrapped(error: WarehouseError) -> None:
    """Nothing of the statement around the author's is in an error."""
    assert not re.search(r"DESCRIBE TABLE \(|JSONCompact|__wire|TSVWith|/\* \w{32}", str(error)), error


@pytest.mark.parametrize(
    "before", ["SELECT ", "\nSELECT\n  1, ", "-- it's\nSELECT 'я', ", "WITH 1 AS z\n  SELECT ", "(SELECT "]
)
@pytest.mark.parametrize("wrong", ["1 +* 2", "1 FORM x", "a b c"])
def test_a_syntax_error_is_at_the_authors_own_line(before, wrong, warehouse):
    after = "\nFROM system.one" + ")" * before.count("(")
    sql = f"{before}{wrong}{after}"
    with pytest.raises(WarehouseError) as caught:
        warehouse.read(sql)
    unwrapped(caught.value)
    at = len(before) + {"1 +* 2": 5, "1 FORM x": 7, "a b c": 4}[wrong]
    line, column = before.count("\n") + 1, at - before.rfind("\n") - 1 + 1
    assert f"position {at + 1}" in str(caught.value) and f"(line {line}, col {column})" in str(caught.value), (
        caught.value
    )
    assert f"\nin: {sql}" in str(caught.value)


@pytest.mark.parametrize("sql", ["SELECT", "SELECT 1 +", "SELECT 1 FROM", "SELECT 'a", "SELECT 1 AS `a"])
def test_a_statement_that_breaks_off_is_at_its_end_or_at_what_is_open(sql, warehouse):
    with pytest.raises(WarehouseError) as caught:
        warehouse.read(sql)
    unwrapped(caught.value)


@pytest.mark.parametrize(
    "sql", ["SELECT x FROM system.one", "SELECT * FROM no_such", "SELECT no_such(1)", "SHOW TABLES FROM no_such"]
)
def test_an_error_of_any_other_kind_shows_the_authors_statement(sql, warehouse):
    with pytest.raises(WarehouseError, match=rf"Code: \d+.*\b(x|no_such)\b[\s\S]*\nin: {re.escape(sql)}$") as caught:
        warehouse.read(sql + "; -- it's")
    unwrapped(caught.value)


@pytest.mark.parametrize("sql", ["SELECT '\ud83d'", "DROP TABLE \udfff", "SHOW TABLES LIKE '\ud800'"])
def test_half_of_a_character_in_a_statement_is_reported(sql, warehouse):
    with pytest.raises(WarehouseError, match=r"character \d+ of the statement is half of one") as caught:
        (warehouse.execute if sql.startswith("DROP") else warehouse.read)(sql)
    str(caught.value).encode()
    with pytest.raises(WarehouseError, match="half of one"):
        warehouse.columns("\ud800")


def test_a_text_that_is_not_utf_8_may_stand_in_a_statement(warehouse, caplog):
    caplog.set_level("INFO")
    assert warehouse.read("SELECT 'a\udcff' AS x, length(x) AS n").values.tolist() == [["a\udcff", 2]]
    assert r"'a\udcff'" in caplog.text and caplog.text.encode(), "a log takes nothing but UTF-8"


PIECES = [
    "SELECT",
    " ",
    "1",
    "'",
    '"',
    "`",
    "\\",
    "--",
    "\n",
    "/*",
    "*/",
    ";",
    "(",
    ")",
    "FORMAT",
    "CSV",
    "$a$",
    "#!",
    "я",
    "{",
    "\x00",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=12))
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_text_is_a_statement_or_a_sentence(text):
    for sql in (text, f"SELECT {text}"):
        try:
            found = statement(sql)
        except StatementError as error:
            assert str(error)
        else:
            assert sql.startswith(found.text)
            assert statement(found.text).text == found.text


@pytest.mark.parametrize("piece", ["/*", "'", "\\", "--\n", " ", "(", "'a' ", "$a$", "/* */", "#! \n", '"', "a ", ";"])
def test_the_time_for_a_statement_grows_with_its_length_alone(piece):
    def seconds(times: int) -> float:
        began = time.process_time()
        with suppress(StatementError):
            statement("SELECT 1 " + piece * times)
        return time.process_time() - began

    assert seconds(100_000) < 3  # quadratic: minutes
