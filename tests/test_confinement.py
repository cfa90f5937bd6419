"""Statements stay in the folder of the embedded warehouse, and pages of a browser are not answered: tried over HTTP."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.local import landlock
from pulsebook.local.confinement import ENGINES, FUNCTIONS, MORE_ENGINES, Refusals
from pulsebook.local.failure import Failure
from pulsebook.local.server import running
from pulsebook.local.statement import Statement

SECRET = "not for this warehouse"
REFUSALS = Refusals({*ENGINES, "File", "Executable", "URL"}, {*FUNCTIONS, "file", "url", "executable", "s3"})


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder that no statement may touch: a file with a secret, and where others would appear."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "run.sh").write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def listener():
    """A server that notes who connects: `port`, `connections`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen = SimpleNamespace(port=listening.getsockname()[1], connections=[])

        def accept():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                seen.connections.append(connection.recv(100))
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield seen


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A warehouse of its own with a table."""
    with running(tmp_path_factory.mktemp("house")) as url:
        for statement in (
            "CREATE TABLE t (a String, file String, engine String) ENGINE = MergeTree ORDER BY a",
            "INSERT INTO t VALUES ('x', 'y', 'z')",
        ):
            assert requests.post(url, data=statement).ok
        yield url


HOLES = {
    # reading
    "scalar file": "SELECT file('{out}/secret.txt')",
    "quoted": "SELECT `file`('{out}/secret.txt')",
    "double quotes": "SELECT \"file\" ('{out}/secret.txt')",
    "escapes": "SELECT `fi\\x6ce`('{out}/secret.txt')",
    "word processor": "SELECT “file”('{out}/secret.txt')",
    "comments between": "SELECT file /* ( /* */ */ -- \n ('{out}/secret.txt')",
    "comment that ends late": "SELECT '/*', file('{out}/secret.txt') --*/",
    "heredoc": "SELECT $a$'$a$, file('{out}/secret.txt')",
    "apply": "SELECT * APPLY(file) FROM (SELECT '{out}/secret.txt')",
    "apply without brackets": "SELECT * APPLY `file` FROM (SELECT '{out}/secret.txt')",
    "as an argument": "SELECT arrayMap(file, ['{out}/secret.txt'])",
    "as an argument in brackets": "SELECT arrayMap((`file` AS g), ['{out}/secret.txt'])",
    "as an argument before an insert": "WITH x AS (SELECT arrayMap(file, ['{out}/secret.txt'])[1] AS a) INSERT INTO t (a) SELECT a FROM x",
    "an insert's expression": "INSERT INTO t (file) SELECT arrayMap(file, ['{out}/secret.txt'])[1]",
    "among an insert's columns": "INSERT INTO t (* APPLY(file)) VALUES ('{out}/secret.txt', '', '')",
    "without FUNCTION": "INSERT INTO file('{out}/written', 'CSV', 'a Int8') SELECT 1",
    "as an argument with a sign": "SELECT arrayMap(+file, ['{out}/secret.txt'])",
    "as an argument with a word": "SELECT arrayMap(ALL file, ['{out}/secret.txt'])",
    "as an argument with signs and brackets": "SELECT arrayMap(+(+ /* */ (file)), ['{out}/secret.txt'])",
    "lambda": "SELECT arrayMap(lambda(tuple(x), file(x)), ['{out}/secret.txt'])",
    "in a function": "CREATE FUNCTION read_it AS x -> file(x)",
    "in a default": "CREATE TABLE d1 (a Int8, b String DEFAULT file('{out}/secret.txt')) ENGINE = Memory",
    "in a view": "CREATE VIEW v1 AS SELECT file('{out}/secret.txt')",
    "in an alter": "ALTER TABLE t UPDATE file = file('{out}/secret.txt') WHERE 1",
    "in values": "INSERT INTO t VALUES (file('{out}/secret.txt'), '', '')",
    "in values after more": "INSERT INTO t VALUES ('file', '''', 'file('), (upper(`fi\\x6ce`('{out}/secret.txt')), '', '')",
    "in the rows of a text": "SELECT * FROM format(Values, 'a String', $$(file('{out}/secret.txt'))$$)",
    "in computed rows": "SELECT * FROM format(Values, 'a String', concat('(fi', 'le(''{out}/secret.txt''))'))",
    "a computed format": "SELECT * FROM format(concat('Val', 'ues'), 'a String', concat('(fi', 'le(''{out}/secret.txt''))'))",
    "in the columns of a text": "SELECT * FROM format(JSONEachRow, $$a Int8, b String DEFAULT file('{out}/secret.txt')$$, '{{\"a\":1}}')",
    "in the columns of an input": "INSERT INTO t (a) SELECT b FROM input($$a Int8, b String DEFAULT file('{out}/secret.txt')$$) FORMAT JSONEachRow {{\"a\":1}}",
    "in a filter of rows": "SELECT * FROM t SETTINGS additional_table_filters = {{'t': $$throwIf(1, file('{out}/secret.txt'))$$}}",
    "in a filter of results": "SELECT 1 SETTINGS additional_result_filter = $$throwIf(1, file('{out}/secret.txt'))$$",
    "evaluated": "SELECT * FROM eval(concat('SELECT fi', 'le(''{out}/secret.txt'')')) SETTINGS allow_experimental_eval_table_function = 1",
    "another dialect": "SET dialect = 'kusto'",
    "table function": "SELECT * FROM file('{out}/secret.txt', 'LineAsString')",
    "in a subquery": "SELECT (SELECT line FROM file('{out}/secret.txt', 'LineAsString'))",
    "explained": "EXPLAIN ESTIMATE SELECT * FROM file('{out}/secret.txt', 'LineAsString')",
    "described": "DESCRIBE TABLE file('{out}/secret.txt')",
    "a table as a function": "CREATE TABLE t1 AS file('{out}/secret.txt')",
    "a folder": "SELECT * FROM filesystem('{out}')",
    "a file as a table": "SELECT * FROM `{out}/secret.txt`",
    "a file as a text": "SELECT * FROM '{out}/secret.txt'",
    "a file of default": "SELECT * FROM default.`{out}/secret.txt`",
    "a file in IN": "SELECT 'x' IN `{out}/secret.txt`",
    "a file to join": "SELECT * FROM t JOIN `{out}/secret.txt` AS f ON 1",
    "merge": "SELECT * FROM merge('default', 'secret')",
    "a folder as a database": "CREATE DATABASE fs ENGINE = Filesystem('{out}')",
    "a database as a file": "CREATE DATABASE lite ENGINE = SQLite('{out}/x.db')",
    "an overlay": "CREATE DATABASE over ENGINE = Overlay('default')",
    "a dictionary of a file": "CREATE DICTIONARY dict1 (k String) PRIMARY KEY k SOURCE(FILE(PATH '{out}/secret.txt' FORMAT 'LineAsString')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "a dictionary of a query": "CREATE DICTIONARY dict2 (k String, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(QUERY $$SELECT 'k', file('{out}/secret.txt')$$)) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "a dictionary with a condition": "CREATE DICTIONARY dict3 (a String, file String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' WHERE $$throwIf(file('{out}/secret.txt') != '')$$)) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "a dictionary of a program": "CREATE DICTIONARY dict4 (k String) PRIMARY KEY k SOURCE(EXECUTABLE(COMMAND '{out}/run.sh' FORMAT 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "a schema": "SELECT * FROM format(Protobuf, 'x') SETTINGS format_schema = '{out}/secret.txt:M'",
    "a template": "SELECT 1 FORMAT Template SETTINGS format_template_row = '{out}/secret.txt'",
    "attached": "ATTACH TABLE t2 FROM '{out}' (a Int8) ENGINE = MergeTree ORDER BY a",
    # writing
    "into a file": "SELECT 1 INTO OUTFILE '{out}/written'",
    "into a file and out": "SELECT 1 INTO/**/OUTFILE '{out}/written' AND STDOUT FORMAT CSV",
    "explained into a file": "EXPLAIN SELECT 1 INTO OUTFILE '{out}/written'",
    "shown into a file": "SHOW TABLES INTO OUTFILE '{out}/written'",
    "from a file": "INSERT INTO t FROM INFILE '{out}/secret.txt' FORMAT LineAsString",
    "into a table function": "INSERT INTO FUNCTION file('{out}/written', 'CSV', 'a Int8') SELECT 1",
    "into a table function with data": "INSERT INTO TABLE FUNCTION file('{out}/written', 'CSV', 'a Int8') FORMAT CSV\n1\n",
    "into a file as a table": "INSERT INTO `{out}/written.csv` SELECT 1",
    "a table of a file": "CREATE TABLE t3 (a Int8) ENGINE = File(CSV, '{out}/written')",
    "without a sign": "CREATE TABLE t4 (a Int8) ENGINE File(CSV, '{out}/written')",
    "a temporary table of a file": "CREATE TEMPORARY TABLE t5 (a Int8) ENGINE = File(CSV)",
    "a disk": "CREATE TABLE t6 (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = object_storage, object_storage_type = local, metadata_type = plain, path = '{out}/written/')",
    "a backup": "BACKUP TABLE t TO File('{out}/written')",
    "a restore": "RESTORE TABLE t FROM File('{out}/written')",
    # programs and the server
    "a program": "SELECT * FROM executable('{out}/run.sh', 'TSV', 'a String')",
    "a table of a program": "CREATE TABLE t7 (a String) ENGINE = Executable('{out}/run.sh', 'TSV')",
    "a pool of programs": "CREATE TABLE t8 (a String) ENGINE = ExecutablePool('{out}/run.sh', 'TSV')",
    "an object of Python": "SELECT * FROM Python(os)",
    "all statements": "KILL QUERY WHERE 1",
    "the end": "SYSTEM SHUTDOWN",
    "a user": "CREATE USER u IDENTIFIED BY 'x'",
    "more rights": "GRANT ALL ON *.* TO default",
    "a collection": "CREATE NAMED COLLECTION c AS url = 'http://127.0.0.1:{port}/'",
    # the network
    "url": "SELECT * FROM url('http://127.0.0.1:{port}/?x', 'CSV', 'a Int8')",
    "to a url": "INSERT INTO FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'a String') SELECT 'x'",
    "a table of a url": "CREATE TABLE t9 (a Int8) ENGINE = URL('http://127.0.0.1:{port}/', 'CSV')",
    "remote": "SELECT * FROM remote('127.0.0.1:{port}', 'system.one')",
    "s3": "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a Int8')",
    "gcs": "SELECT * FROM gcs('http://127.0.0.1:{port}/bucket/key', 'CSV', 'a Int8')",
    "azure": "SELECT * FROM azureBlobStorage('http://127.0.0.1:{port}/', 'c', 'b', 'n', 'a2V5', 'CSV', 'auto', 'a Int8')",
    "hdfs": "SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x', 'CSV', 'a Int8')",
    "a lake": "SELECT * FROM icebergS3('http://127.0.0.1:{port}/bucket/key')",
    "a local lake": "SELECT * FROM deltaLakeLocal('{out}')",
    "mysql": "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "postgresql": "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "mongodb": "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a Int8')",
    "redis": "SELECT * FROM redis('127.0.0.1:{port}', 'a', 'a Int8')",
    "sqlite": "SELECT * FROM sqlite('{out}/x.db', 't')",
    "jdbc": "SELECT * FROM jdbc('jdbc:x://127.0.0.1:{port}', 't')",
    "odbc": "SELECT * FROM odbc('DSN=x', 't')",
    "a database elsewhere": "CREATE DATABASE my ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
    "a disk elsewhere": "CREATE TABLE t10 (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web, endpoint = 'http://127.0.0.1:{port}/')",
    "a dictionary elsewhere": "CREATE DICTIONARY dict5 (k String) PRIMARY KEY k SOURCE(HTTP(URL 'http://127.0.0.1:{port}/' FORMAT 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "a dictionary of another server": "CREATE DICTIONARY dict6 (k String) PRIMARY KEY k SOURCE(CLICKHOUSE(HOST '127.0.0.1' PORT {port} TABLE 't')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    "several statements": "SELECT 1; SELECT file('{out}/secret.txt')",
}  # fmt: skip


def untouched(outside: Path, listener) -> None:
    assert sorted(os.listdir(outside)) == ["run.sh", "secret.txt"]
    assert (outside / "secret.txt").read_text() == SECRET and listener.connections == []


@pytest.mark.parametrize("name", HOLES)
def test_a_statement_that_leaves_the_folder_is_refused(name, house, outside, listener):
    statement = HOLES[name].format(out=outside, port=listener.port)
    answer = requests.post(house, data=statement.encode(), timeout=60)
    assert not answer.ok and SECRET not in answer.text, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] in ("497", "452", "47", "60", "62", "81", "636"), answer.text
    untouched(outside, listener)
    assert requests.post(house, data="SELECT count() FROM t").text == "1\n", "nothing was written"


def test_neither_parameters_nor_external_tables_are_a_way_out(house, outside, listener):
    statement = f"SELECT arrayMap({{f:Identifier}}, ['{outside}/secret.txt'])"
    for value in ("file", "`file`", "fi\\x6ce"):
        answer = requests.post(house, data=statement, params={"param_f": value})
        assert not answer.ok and SECRET not in answer.text
    read = f"file('{outside}/secret.txt')"
    for structure, form, rows in (
        (f"a Int8, b String DEFAULT {read}", "CSV", "1\n"),
        ("a Int8) ENGINE = File(CSV", "CSV", "1\n"),
        (f"a String) AS SELECT {read} --", "CSV", "1\n"),
        ("a String", "Values", f"({read})"),
    ):
        about = {"query": "SELECT * FROM x", "x_structure": structure, "x_format": form}
        answer = requests.post(house, params=about, files={"x": rows}, timeout=60)
        assert answer.status_code == 403 and SECRET not in answer.text, answer.text
    for setting in ("additional_result_filter", "dialect", "format_schema", "allow_experimental_eval_table_function"):
        assert not requests.post(house, data="SELECT 1", params={setting: "1"}).ok
    untouched(outside, listener)


def test_what_looks_like_a_way_out_and_is_none_works(house):
    for statement, answer in {
        "SELECT 'file(1)', format('{} {}', 'a', 'b') -- file('x')": "file(1)\ta b\n",
        "SELECT t.file, engine FROM t WHERE file = 'y' ORDER BY file": "y\tz\n",
        "SELECT * FROM format(CSV, 'a Int8', '1')": "1\n",
        "SELECT sum(a) FROM values('a Int8', 1, 2)": "3\n",
        "SELECT count() FROM numbers(5)": "5\n",
        "SELECT count() > 100 FROM system.tables": "1\n",
        "SELECT count() FROM generateRandom('a Int8') LIMIT 0": "",
        "SELECT 'url(' || 'x)' AS executable": "url(x)\n",
        "SHOW TABLES LIKE 't'": "t\n",
        "CREATE TABLE kept (file String, engine String) ENGINE = ReplacingMergeTree ORDER BY engine": None,
        "INSERT INTO kept (file, engine) VALUES ('file(1)', upper('x'))": "",
        "SELECT * FROM kept": "file(1)\tX\n",
        "CREATE DICTIONARY names (a String, file String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' DB 'default'))"
        " LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)": "",
        "SELECT dictGet('names', 'file', 'x')": "y\n",
        "CREATE MATERIALIZED VIEW seen ENGINE = MergeTree ORDER BY a AS SELECT a FROM t": "",
        "CREATE DATABASE other ENGINE = Atomic": "",
        "DROP DATABASE other": "",
        "KILL MUTATION WHERE table = 't'": "",
        "OPTIMIZE TABLE t": "",
        "SYSTEM FLUSH LOGS": "",
        "SELECT 1 FORMAT TSV SETTINGS max_threads = 1": "1\n",
    }.items():
        got = requests.post(house, data=statement.encode())
        if answer is None:
            continue
        assert got.ok and got.text == answer, (statement, got.text)


SPACES = st.lists(
    st.sampled_from([" ", "\n", "\t", "/**/", "/* file( /* */ */", "--'\n", "# `\n", "\u00a0"]), max_size=4
)
NAMES = st.sampled_from(["file", "`file`", '"file"', "`fi\\x6ce`", "`\\x66\\x69le`", "“file”", "url", "URL", "`Url`"])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(NAMES, SPACES, SPACES, st.sampled_from(["SELECT {}", "SELECT 1 + {}", "WITH x AS (SELECT {}) SELECT 1", "({})"]))
def test_a_call_is_seen_however_it_is_spelt(name, before, between, around):
    call = f"{''.join(before)}{name}{''.join(between)}('/x')"
    with pytest.raises(Failure, match="497"):
        REFUSALS.check(Statement(f"SELECT 'a', {around.format(call)}".encode()))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(NAMES, SPACES, st.sampled_from(["'{}'", "-- {}\n1", "/* {} */ 1", "$x${}$x$"]))
def test_what_is_a_text_or_a_comment_is_no_call(name, between, around):
    call = f"{name}{' ' * len(between)}(1)"
    REFUSALS.check(Statement(f"SELECT {around.format(call)}".encode()))


def test_every_table_function_and_engine_that_this_engine_has_is_allowed_by_name_or_refused(house):
    """Also those that a later engine brings."""
    ask = "SELECT name FROM system.{}"
    for table, allowed in (("table_functions", FUNCTIONS), ("table_engines", ENGINES | MORE_ENGINES)):
        for name in requests.post(house, data=ask.format(table)).text.split():
            statement = f"SELECT * FROM {name}(1, 2)" if "func" in table else f"CREATE TABLE x (a Int8) ENGINE = {name}"
            if name not in allowed:
                answer = requests.post(house, data=statement)
                assert answer.headers["X-ClickHouse-Exception-Code"] == "497", name


def test_who_asks_for_sources_has_them(tmp_path, outside):
    with running(tmp_path, sources=True) as url:
        answer = requests.post(url, data=f"SELECT file('{outside}/secret.txt')")
        assert answer.text == SECRET + "\n"


def test_tables_of_the_database_default_outlive_what_lay_under_them(tmp_path):
    for sources in (True, False, False):
        with running(tmp_path, sources=sources) as url:
            requests.post(url, data="CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = MergeTree ORDER BY a")
            assert requests.post(url, data="INSERT INTO t VALUES (1)").ok
    with running(tmp_path) as url:
        assert requests.post(url, data="SELECT sum(a) FROM t").text == "3\n"


@pytest.mark.skipif(not landlock.available(), reason="this kernel has no Landlock")
def test_the_kernel_keeps_a_process_to_its_folders(tmp_path, listener):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "x").write_text("x")
    script = f"""
import json, socket, subprocess
from pathlib import Path
from pulsebook.local.landlock import confine
inside, outside = Path({str(inside)!r}), Path({str(outside)!r})
assert confine({{Path("/usr")}}, {{inside}})
def allowed(action):
    try:
        action()
        return True
    except OSError:
        return False
print(json.dumps([allowed(a) for a in (
    lambda: (inside / "x").read_text(), lambda: (inside / "y").write_text("y"), lambda: (outside / "x").read_text(),
    lambda: (outside / "y").write_text("y"), lambda: (outside / "x").unlink(), lambda: list(outside.iterdir()),
    lambda: socket.create_connection(("127.0.0.1", {listener.port})))]))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    *files, connects = json.loads(run.stdout)
    assert files == [True, True, False, False, False, False]
    assert not connects or not listener.connections


def ask(url: str, method: str = "GET", path: str = "/?query=SELECT+1", body: str = "", **headers: str):
    """A request with just these headers; a value of None leaves one out."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": host, "Content-Length": str(len(body)), **headers}.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    return answer


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8123", "127.0.0.1", "localhost", "LocalHost:1", "[::1]:8123", "127.1.2.3:8123"],
)
def test_a_loopback_host_is_answered(house, host):
    assert ask(house, Host=host).text == "1\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8123"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:8123"},
        {"Host": "evil.example@127.0.0.1"},
        {"Host": "127.0.0.1:8123@evil.example"},
        {"Host": "0.0.0.0:8123"},
        {"Host": "10.0.0.1"},
        {"Host": "128.0.0.1"},
        {"Host": "127.0.0.256"},
        {"Host": "[::ffff:10.0.0.1]"},
        {"Host": ""},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://localhost"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "anything"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/?query=SELECT+1", "/ping"])
def test_a_page_from_elsewhere_is_not_answered(house, headers, method, path):
    answer = ask(house, method, path, **headers)
    assert answer.status in (400, 403) and answer.text != "1\n"
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


def test_what_a_browser_asks_by_itself_is_answered_without_cors(house):
    for headers in ({"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "same-origin", "Origin": house}):
        answer = ask(house, **headers)
        assert answer.text == "1\n"
        assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


def test_neither_get_nor_head_writes(house):
    statement = quote("INSERT INTO t VALUES ('GET', '', '')")
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        assert ask(house, method, f"/?query={statement}").status in (403, 405)
        assert ask(house, method, f"/?query={quote('DROP TABLE t')}").status in (403, 405)
    assert requests.post(house, data="SELECT count() FROM t").text == "1\n"


def test_two_hosts_are_none(house):
    host = house.removeprefix("http://")
    with socket.create_connection(host.split(":")) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert connection.makefile("rb").readline().split()[1] in (b"400", b"403")
