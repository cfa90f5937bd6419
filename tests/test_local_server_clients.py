"""The embedded warehouse as clients of ClickHouse see it: sessions, external tables, formats, headers, refusals."""

import gzip
import io
import json
import lzma
import re
import threading
import time
import uuid
import zlib
from urllib.parse import quote

import clickhouse_connect
import lz4.frame
import pandahouse
import pandas as pd
import pytest
import requests
import urllib3
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.local.clauses import NO_OPERAND

CODE = "X-ClickHouse-Exception-Code"


@pytest.fixture
def table(execute, databases):
    name = f"{databases[0]}.t"
    execute(f"CREATE TABLE {name} (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    return name


@pytest.fixture
def session():
    return {"session_id": uuid.uuid4().hex}


def refused(answer: requests.Response, code: int) -> bool:
    return not answer.ok and answer.headers[CODE] == str(code) and answer.text.startswith(f"Code: {code}. DB::Excep")


# -- sessions


def test_a_session_keeps_settings_database_and_temporary_tables(server, execute, databases, session):
    execute("SET session_timezone = 'Asia/Tokyo'", **session)
    execute(f"USE {databases[1]}", **session)
    execute("CREATE TEMPORARY TABLE kept (a UInt8)", **session)
    execute("INSERT INTO kept FORMAT CSV\n7\n", **session)
    found = execute("SELECT toDateTime(0), currentDatabase(), (SELECT max(a) FROM kept)", **session)
    assert found == f"1970-01-01 09:00:00\t{databases[1]}\t7\n"
    assert execute("SELECT toDateTime(0), currentDatabase()") == "1970-01-01 00:00:00\tdefault\n"
    assert refused(requests.post(server, data="SELECT * FROM kept"), 60)


def test_parameters_of_a_request_do_not_stay_in_its_session(execute, databases, session):
    read = "SELECT getSetting('max_block_size'), currentDatabase()"
    execute("SET max_block_size = 77", **session)
    assert execute(read, max_block_size="1234", database=databases[0], **session) == f"1234\t{databases[0]}\n"
    assert execute(read, **session) == "77\tdefault\n"
    execute("SET max_threads = 3", max_block_size="5", **session)
    assert execute("SELECT getSetting('max_threads'), getSetting('max_block_size')", **session) == "3\t77\n"


def test_a_session_ends_and_can_be_asked_for(server, execute, session):
    assert refused(requests.post(server, data="SELECT 1", params={**session, "session_check": "1"}), 372)
    execute("SET max_block_size = 77", session_timeout="1", **session)
    assert execute("SELECT getSetting('max_block_size')", session_timeout="1", session_check="1", **session) == "77\n"
    time.sleep(1.5)
    assert refused(requests.post(server, data="SELECT 1", params={**session, "session_check": "1"}), 372)
    for wrong in ("x", "-1", "99999"):
        assert refused(requests.post(server, data="SELECT 1", params={**session, "session_timeout": wrong}), 36)


def test_a_session_runs_one_statement_at_a_time(server, execute, session):
    long = threading.Thread(target=execute, args=("SELECT sleep(2)",), kwargs=session)
    long.start()
    time.sleep(0.7)
    assert refused(requests.post(server, data="SELECT 1", params=session), 373)
    long.join()
    assert execute("SELECT 1", **session) == "1\n"


# -- results


TOTALS = "SELECT number % 3 AS n, count() AS c FROM numbers(10) GROUP BY n WITH TOTALS ORDER BY n"


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("TSV", "0\t4\n1\t3\n2\t3\n\n0\t10\n\n0\t3\n2\t4\n"),
        ("CSV", "0,4\n1,3\n2,3\n\n0,10\n\n0,3\n2,4\n"),
        ("TSVWithNames", "n\tc\n0\t4\n1\t3\n2\t3\n\n0\t10\n\n0\t3\n2\t4\n"),
    ],
)
def test_totals_and_extremes_are_in_text(execute, format, text):
    assert execute(f"{TOTALS} FORMAT {format}", extremes="1") == text


def test_totals_and_extremes_are_in_json(execute):
    found = json.loads(execute(f"{TOTALS} FORMAT JSON", extremes="1"))
    assert (found["totals"], found["extremes"]["max"]) == ({"n": 0, "c": 10}, {"n": 2, "c": 4})


def test_a_select_without_rows_is_executed_once(execute, databases):
    begin = time.monotonic()
    execute("SELECT 1 WHERE sleep(2) = 5 FORMAT TSV")
    assert time.monotonic() - begin < 3.8


@pytest.mark.parametrize(
    ("format", "content_type"),
    [("JSON", "application/json"), ("CSV", "text/csv"), ("TabSeparated", "text/tab-separated-values")],
)
@pytest.mark.parametrize("way", ["clause", "parameter", "header"])
def test_headers_say_the_format_of_a_result(server, format, content_type, way):
    statement = f"SELECT 1 FORMAT {format}" if way == "clause" else "SELECT 1"
    params = {"default_format": format} if way == "parameter" else {}
    headers = {"X-ClickHouse-Format": format} if way == "header" else {}
    answer = requests.post(server, data=statement, params=params, headers=headers)
    assert answer.headers["X-ClickHouse-Format"] == format
    assert answer.headers["Content-Type"].startswith(content_type)


def test_what_has_no_result_has_no_format_and_the_summary_counts(server, table):
    answer = requests.post(server, data=f"INSERT INTO {table} VALUES (1, 'x'), (2, 'y')")
    assert "X-ClickHouse-Format" not in answer.headers
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    read = json.loads(requests.post(server, data=f"SELECT * FROM {table}").headers["X-ClickHouse-Summary"])
    assert (read["read_rows"], read["result_rows"]) == ("2", "2")
    assert "X-ClickHouse-Format" not in requests.post(server, data=f"DROP TABLE {table}").headers


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("CREATE TABLE {db}.made (a UInt8) ENGINE = Memory", 0),
        ("INSERT INTO {table} VALUES (1, 'x'), (2, 'y')", 2),
        ("INSERT INTO {table} FORMAT CSV\n1,x\n2,y\n3,z\n", 3),
        ("INSERT INTO {table} SELECT number, 'n' FROM numbers(4)", 4),
        ("SELECT 1", 0),
    ],
)
def test_a_summary_has_all_counts(server, databases, table, statement, rows):
    answer = requests.post(server, data=statement.format(db=databases[0], table=table))
    counts = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert {"read_rows", "written_rows", "total_rows_to_read", "result_rows", "result_bytes", "elapsed_ns"} < set(
        counts
    )
    assert counts["written_rows"] == str(rows)
    assert all(isinstance(count, str) and count.isdecimal() for count in counts.values())


UNPACK = {
    "gzip": lambda data: zlib.decompress(data, 31), "deflate": zlib.decompress, "lz4": lz4.frame.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "xz": lzma.decompress,
}  # fmt: skip


@pytest.mark.parametrize("encoding", UNPACK)
@pytest.mark.parametrize("rows", [0, 1, 50_000])
def test_an_answer_is_packed_as_asked(server, encoding, rows):
    statement = f"SELECT number FROM numbers({rows}) FORMAT CSV"
    headers = {"Accept-Encoding": encoding}
    packed = requests.post(
        server, data=statement, params={"enable_http_compression": "1"}, headers=headers, stream=True
    )
    if not rows and "Content-Encoding" not in packed.headers:  # some packers make nothing of nothing
        assert packed.content == b""
        return
    assert packed.headers["Content-Encoding"] == encoding
    assert UNPACK[encoding](packed.raw.read()) == "".join(f"{i}\n" for i in range(rows)).encode()
    plain = requests.post(server, data=statement, headers=headers)
    assert "Content-Encoding" not in plain.headers, "without the parameter no answer is packed"


@pytest.mark.parametrize("encoding", UNPACK)
@pytest.mark.parametrize("statement", ["SELECT throwIf(1, 'early')", "SELECT 1 +", "DROP TABLE no_such"])
def test_an_error_is_packed_as_a_result(server, encoding, statement):
    headers, params = {"Accept-Encoding": encoding}, {"enable_http_compression": "1"}
    packed = requests.post(server, data=statement, params=params, headers=headers, stream=True)
    assert not packed.ok and packed.headers["Content-Encoding"] == encoding
    assert UNPACK[encoding](packed.raw.read()).startswith(f"Code: {packed.headers[CODE]}. DB::Exception: ".encode())
    plain = requests.post(server, data=statement, headers=headers, stream=True)
    assert "Content-Encoding" not in plain.headers and plain.raw.read().startswith(b"Code: ")


def _frames(encoding: str, data: bytes) -> bytes:
    """What all frames of a packed answer hold."""
    made = b""
    while data:
        frame = zlib.decompressobj(31) if encoding == "gzip" else lz4.frame.LZ4FrameDecompressor()
        made += frame.decompress(data)
        data = frame.unused_data
    return made


@pytest.mark.parametrize("encoding", ["identity", "gzip", "lz4"])
def test_an_error_after_rows_is_where_clients_look_for_it(server, encoding):
    """The number before the tag counts the message and the end of its line: that is how clients find where it begins."""
    statement = (
        "SELECT number, hex(sipHash128(number)), throwIf(number = 200000, 'late') FROM numbers(300000) FORMAT CSV"
    )
    headers, params = {"Accept-Encoding": encoding}, {"enable_http_compression": "1"}
    answer, data = requests.post(server, data=statement, params=params, headers=headers, stream=True), b""
    assert answer.ok
    with pytest.raises(urllib3.exceptions.ProtocolError):
        while True:
            data += answer.raw.read1(decode_content=False)
    text, tag = (
        data if encoding == "identity" else _frames(encoding, data),
        answer.headers["X-ClickHouse-Exception-Tag"],
    )
    found = re.search(rf"\r\n__exception__\r\n{tag}\r\n(.*\n)(\d+) {tag}\r\n__exception__\r\n\Z".encode(), text, re.S)
    assert int(found[2]) == len(found[1])
    assert found[1].startswith(b"Code: 395. DB::Exception: late") and text.startswith(b"0,")


# -- statements


@pytest.mark.parametrize("word", sorted(NO_OPERAND))
def test_a_format_stands_after_any_name(server, word):
    """Also after one that is a word of clauses elsewhere, as in `FROM system.settings FORMAT JSON`."""
    for statement in (
        f"SELECT 1 AS {word}",
        f"SELECT t.{word} FROM (SELECT 1 AS `{word}`) AS t",
        f"SELECT * FROM (SELECT 1) AS {word}",
        f"WITH `{word}` AS (SELECT 1) SELECT * FROM {word}",
    ):
        answer = requests.post(server, data=f"{statement} FORMAT CSV")
        assert answer.text == "1\n" and answer.headers["X-ClickHouse-Format"] == "CSV", statement


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count() > 9 FROM system.settings",
        "SELECT number + 1 FROM numbers(1) GROUP BY ALL",
        "SELECT 1 ORDER BY ALL",
        "SELECT 1 ORDER BY ALL SETTINGS max_threads = 1",
        "SELECT DISTINCT 1 UNION ALL SELECT 1 LIMIT 1",
        "EXISTS system.settings",
    ],
)
def test_a_format_stands_after_any_clause(server, statement):
    answer = requests.post(server, data=f"{statement} FORMAT CSV")
    assert answer.text.startswith("1\n") and answer.headers["X-ClickHouse-Format"] == "CSV"


@pytest.mark.parametrize("alias", ["interval", "case", "then", "by"])
def test_where_a_format_is_not_seen_there_are_rows_all_the_same(server, alias):
    answer = requests.post(server, data=f"SELECT 1 {alias} FORMAT CSVWithNames")
    assert answer.text == f'"{alias}"\n1\n'


@pytest.mark.parametrize("column", ["format x", "DISTINCT format x", "ALL format x", "1, format x"])
def test_a_column_may_be_called_format(server, column):
    answer = requests.post(server, data=f"SELECT {column} FROM (SELECT 7 AS format)")
    assert answer.ok and answer.headers["X-ClickHouse-Format"] == "TabSeparated", answer.text


@pytest.mark.parametrize("statement", ["foobar", "invalid", "1 + 1", "number"])
def test_what_is_no_statement_is_a_syntax_error(server, statement, session):
    for params in ({}, session, session):
        assert refused(requests.post(server, data=statement, params=params), 62)


def test_inserts_of_every_kind(server, execute, table):
    execute(f"INSERT INTO {table} VALUES ({{x:UInt32}}, {{s:String}})", param_x="1", param_s="it's")
    execute(f"WITH 2 AS x INSERT INTO {table} SELECT x, 'with'")
    execute(f"INSERT INTO {table} WITH 3 AS x SELECT x, 'inner'")
    execute(f"INSERT INTO {table} (a, b) SELECT number, 'n' FROM numbers(4, 1)")
    from_data = f"INSERT INTO {table} SELECT a, b FROM input('a UInt32, b String') FORMAT CSV\n5,input\n"
    assert refused(requests.post(server, data=from_data), 48), "the engine would take nothing of it and say nothing"
    execute(f"/* INSERT */ INSERT INTO {table} (a) SETTINGS async_insert = 0 FORMAT TSV\n6\n")
    assert requests.post(server, params={"query": f"INSERT INTO {table} VALUES"}, data="(7, 'body')").ok
    expected = "1\tit\\'s\n2\twith\n3\tinner\n4\tn\n6\t\n7\tbody\n"
    assert execute(f"SELECT * FROM {table} ORDER BY a") == expected


@given(st.binary(max_size=40))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_any_bytes_are_a_literal(server, data):
    literal = data.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    answer = requests.post(server, data=b"SELECT hex('" + literal + b"')")
    assert answer.text == data.hex().upper() + "\n"


@pytest.mark.parametrize("size", [60_000, 70_000, 500_000, 1_000_000])
def test_a_url_may_have_a_megabyte(server, size):
    answer = requests.get(
        server, params={"query": f"SELECT length('{'ы' * (size // 6)}')", "max_query_size": "9999999"}
    )
    assert answer.text == f"{size // 6 * 2}\n"


def test_a_url_without_end_is_refused(server):
    try:
        answer = requests.get(server, params={"query": f"SELECT '{'x' * 4_000_000}'"})
        assert answer.status_code == 400
    except requests.ConnectionError:
        pass  # refused while it was still being sent
    assert requests.get(f"{server}/ping").ok


def test_several_statements_at_once_are_refused(server, table):
    assert refused(requests.post(server, data=f"DROP TABLE {table}; SELECT 1"), 62)
    assert requests.post(server, data=f"SELECT count() FROM {table};").text == "0\n"
    assert refused(requests.post(server, data=""), 62)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE", "DROP TABLE x 1", "SHOW TABLES FORM x", "DESCRIBE 'a", "SET x", "ALTER"]
)
def test_an_error_of_any_statement_quotes_the_users_words_only(server, statement):
    refused = requests.post(server, data=statement)
    assert not refused.ok and "Code: " in refused.text and "/*" not in refused.text


def test_a_syntax_error_quotes_the_users_words_only(server):
    for statement in ("SELECT 1 +", "SELECT 1 FRM t", "SELECT (1", "SELECT 1 LIMIT", "foobar", "ALTER TABLE t"):
        answer = requests.post(server, data=statement)
        assert refused(answer, 62) and "OUTFILE '" not in answer.text and "/tmp" not in answer.text
        assert "/*" not in answer.text


# -- multipart bodies and external tables


@pytest.mark.parametrize(
    "description",
    [
        {"ids_structure": "id UInt64, name String", "ids_format": "CSV"},
        {"ids_types": "UInt64,String", "ids_format": "CSV"},
    ],
)
def test_an_external_table_is_there_for_its_query(server, description):
    column = "id" if "ids_structure" in description else "_1"
    params = {"query": f"SELECT sum({column}) FROM ids", **description}
    answer = requests.post(server, params=params, files={"ids": ("ids", "1,x\n2,y\n")})
    assert answer.text == "3\n"
    assert refused(requests.post(server, data="SELECT * FROM ids"), 60)


def test_fields_of_a_multipart_body_are_parameters(server):
    fields = {
        "query": (None, "SELECT {x:UInt8} + length({s:String}), getSetting('max_block_size')"),
        "param_x": (None, "2"),
        "param_s": (None, "ы" * 5000),
        "max_block_size": (None, "99"),
    }
    assert requests.post(server, files=fields).text == "10002\t99\n"
    assert refused(requests.post(server, data=b"junk", headers={"Content-Type": "multipart/form-data"}), 36)


def test_pandahouse_sends_external_tables_and_long_queries(server, databases):
    connection = {"host": server, "database": databases[0]}
    ids = pd.DataFrame({"id": [1, 2, 3]})
    found = pandahouse.read_clickhouse(
        "SELECT toInt64(sum(id)) AS s FROM ids", tables={"ids": ids}, index=False, connection=connection
    )
    assert found["s"].tolist() == [6]
    long = "SELECT toInt64(1) AS a /* " + "длинный запрос " * 6000 + "*/"
    assert pandahouse.read_clickhouse(long, connection=connection)["a"].tolist() == [1]


def test_the_official_driver_keeps_sessions_and_sends_long_lists(server):
    host, port = server.removeprefix("http://").split(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    client.command("SET session_timezone = 'Asia/Tokyo'")
    assert client.command("SELECT toString(toDateTime(0))") == "1970-01-01 09:00:00"
    ids = list(range(1000, 3000))
    query = "SELECT count() FROM numbers(5000) WHERE number IN {ids:Array(UInt64)}"
    assert client.query(query, parameters={"ids": ids}).result_rows == [(2000,)]
    client.close()


# -- refusals and ends


def test_what_is_not_done_is_refused_and_not_ignored(server):
    for params, code in (
        ({"compress": "1"}, 48),
        ({"decompress": "1"}, 48),
        ({"role": "admin"}, 511),
        ({"user": "somebody"}, 516),
        ({"user": "somebody", "password": "x"}, 516),
    ):
        assert refused(requests.post(server, data="SELECT 1", params=params), code), params
    assert requests.post(server, data="SELECT 1", params={"compress": "0", "user": "default"}).text == "1\n"
    assert refused(requests.post(server, data="SELECT 1", headers={"X-ClickHouse-User": "nobody"}), 516)


@pytest.mark.parametrize(
    "statement", ["SELECT count() FROM system.numbers", "SELECT number FROM system.numbers FORMAT Null"]
)
def test_a_query_is_killed_by_its_id(server, execute, statement):
    query_id, answers = uuid.uuid4().hex, []
    asked = threading.Thread(
        target=lambda: answers.append(requests.post(server, data=statement, params={"query_id": query_id}, timeout=60))
    )
    asked.start()
    time.sleep(0.7)
    assert refused(requests.post(server, data="SELECT 1", params={"query_id": query_id}), 216)
    assert execute(f"KILL QUERY WHERE query_id = '{query_id}' SYNC").startswith(f"finished\t{query_id}\t")
    asked.join(30)
    assert refused(answers[0], 394)
    assert execute(f"KILL QUERY WHERE query_id = '{query_id}'") == ""


def test_a_query_whose_client_leaves_is_ended(server, execute):
    mark = uuid.uuid4().hex
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(server, data=f"SELECT count(), '{mark}' FROM system.numbers", timeout=0.7)
    running = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
    deadline = time.monotonic() + 20
    while execute(running) != "0\n" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert execute(running) == "0\n"


def test_packed_multipart_bodies_are_unpacked(server):
    request = requests.Request("POST", server, files={"query": (None, "SELECT 5")}).prepare()
    body = gzip.compress(io.BytesIO(request.body).read())
    headers = {"Content-Type": request.headers["Content-Type"], "Content-Encoding": "gzip"}
    assert requests.post(server, data=body, headers=headers).text == "5\n"


@pytest.mark.parametrize("insert", ["FORMAT Native", "FORMAT TSV", "FORMAT JSONEachRow", "VALUES"])
def test_an_insert_without_a_row_inserts_none(server, databases, insert):
    """As where a source on another server has no rows of a day."""
    url = f"{server}/?query="
    assert requests.post(server, data=f"CREATE TABLE {databases[0]}.t (a UInt8) ENGINE = Memory").ok
    response = requests.post(url + quote(f"INSERT INTO {databases[0]}.t {insert}"), data=b"")
    assert response.ok, response.text
    assert requests.post(server, data=f"SELECT count() FROM {databases[0]}.t").text == "0\n"


@pytest.mark.parametrize(
    ("in_url", "body"),
    [
        ("VALUES (1, 'a')", "(2, 'b')"),
        ("VALUES (1, 'a'),", "(2, 'b')"),
        ("VALUES (1, 'a'), (2, 'b')", ""),
        ("VALUES", "(1, 'a'), (2, 'b')"),
        ("VALUES ({x:UInt8}, 'a')", "(2, 'b')"),
        ("FORMAT TSV\n1\ta", "2\tb\n"),
        ("FORMAT TSV\n1\ta\n", "2\tb\n"),
        ("FORMAT TSV\n1\ta\n2\tb\n", ""),
        ('FORMAT JSONEachRow {"a": 1, "b": "a"}', '{"a": 2, "b": "b"}'),
    ],
)
def test_rows_in_url_and_body_are_all_inserted(server, databases, in_url, body):
    """The body goes on from the URL's text, as at ClickHouse."""
    table = f"{databases[0]}.t"
    assert requests.post(server, data=f"CREATE TABLE {table} (a UInt8, b String) ENGINE = Memory").ok
    response = requests.post(server, params={"query": f"INSERT INTO {table} {in_url}", "param_x": "1"}, data=body)
    assert response.ok, response.text
    assert requests.post(server, data=f"SELECT * FROM {table} ORDER BY a").text == "1\ta\n2\tb\n"


def test_a_statement_goes_on_in_the_body(server):
    response = requests.post(server, params={"query": "SELECT toUInt8(1) + -- one"}, data="2")
    assert response.text == "3\n"
