"""The embedded warehouse, as clients that nobody here wrote see it."""

import gzip
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib

import clickhouse_connect
import lz4.frame
import pandahouse
import pandas as pd
import pytest
import requests
import zstandard

from pulsebook.local.server import running
from tests.conftest import PASSWORD

CODE = "X-ClickHouse-Exception-Code"
# An error after two megabytes and about a second.
LATE_ERROR = """
    SELECT number, repeat('x', 10000), sleepEachRow(0.005), throwIf(number = 250) FROM numbers(500)
    SETTINGS max_block_size = 50, max_threads = 1
"""


@pytest.fixture
def table(execute, databases):
    name = f"{databases[0]}.t"
    execute(f"CREATE TABLE {name} (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    return name


def test_it_answers_a_ping_and_queries_in_url_and_body(server, execute):
    assert requests.get(f"{server}/ping").text == "Ok.\n"
    assert requests.get(server, params={"query": "SELECT 1"}).text == "1\n"
    assert execute("SELECT {x:UInt8} + 1", param_x="41") == "42\n"
    assert execute("SELECT 1 AS a", default_format="JSONEachRow") == '{"a":1}\n'
    assert execute("/* FORMAT CSV */ SELECT 'FORMAT CSV'") == "FORMAT CSV\n"


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("CSV", '1,"x"\n2,"y"\n'),
        ("TabSeparated", "1\tx\n2\ty\n"),
        ("JSONEachRow", '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'),
        ("Values", "(1,'x'),(2,'y')"),
    ],
)
@pytest.mark.parametrize("way", ["url", "body"])
def test_data_arrive_with_the_statement_in_the_url_or_before_them(server, execute, table, format, data, way):
    statement = f"INSERT INTO {table} FORMAT {format}"
    if way == "body":
        execute(f"{statement}\n{data}")
    else:
        assert requests.post(server, params={"query": statement}, data=data).ok
    assert execute(f"SELECT * FROM {table} ORDER BY a") == "1\tx\n2\ty\n"


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress), ("lz4", lz4.frame.compress)],
)
def test_packed_bodies_arrive_whole_or_are_refused(server, execute, table, encoding, pack):
    def post(body):
        query = {"query": f"INSERT INTO {table} FORMAT CSV"}
        return requests.post(server, params=query, data=body, headers={"Content-Encoding": encoding})

    one = pack("".join(f'{i},"row {i}"\n' for i in range(50_000)).encode())
    assert post(one).ok and execute(f"SELECT count(), max(b) FROM {table}") == "50000\trow 9999\n"
    assert post(pack(b'60000,"x"\n') + pack(b'60001,"y"\n')).ok, "several frames are one body"
    assert execute(f"SELECT a, b FROM {table} WHERE a >= 60000 ORDER BY a") == "60000\tx\n60001\ty\n"
    for broken in (one[:-9], pack(b'70000,"x"\n')[:-2], b"junk"):
        answer = post(broken)
        assert answer.status_code >= 400 and answer.headers[CODE]
    assert execute(f"SELECT count() FROM {table}") == "50002\n", "of a broken body nothing may stay"


@pytest.mark.parametrize("format", ["Native", "Parquet"])
def test_binary_formats_come_back_as_they_went(server, execute, table, format):
    out = requests.post(
        server, data=f"SELECT toUInt32(number) AS a, 'z' AS b FROM numbers(200000) FORMAT {format}"
    ).content
    assert requests.post(server, params={"query": f"INSERT INTO {table} FORMAT {format}"}, data=out).ok
    assert execute(f"SELECT count(), sum(a) FROM {table}") == "200000\t19999900000\n"


def test_parquet_is_what_other_tools_read_and_write(server, execute, table):
    frame = pd.DataFrame({"a": [1, 2], "b": ["it's", "😀"]}).astype({"a": "uint32"})
    file = io.BytesIO()
    frame.to_parquet(file, engine="pyarrow")
    assert requests.post(server, params={"query": f"INSERT INTO {table} FORMAT Parquet"}, data=file.getvalue()).ok
    out = requests.post(server, data=f"SELECT a, b FROM {table} ORDER BY a FORMAT Parquet").content
    found = pd.read_parquet(io.BytesIO(out), engine="pyarrow")
    assert found["a"].tolist() == [1, 2]
    assert [v.decode() if isinstance(v, bytes) else v for v in found["b"]] == ["it's", "😀"]


def test_an_encoding_that_nobody_knows_is_refused(server, table):
    answer = requests.post(server, data="SELECT 1", headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.headers[CODE]) == (400, "117")


def test_a_result_without_rows_keeps_its_names_and_types(execute):
    text = execute("SELECT toUInt8(1) AS a, 'x' AS b, toDate(0) AS d WHERE 0 FORMAT TSVWithNamesAndTypes")
    assert text == "a\tb\td\nUInt8\tString\tDate\n"


@pytest.mark.parametrize("format", ["TSVWithNamesAndTypes", "TabSeparatedWithNames", "CSVWithNames", "JSONCompact"])
@pytest.mark.parametrize("rows", [0, 1, 400_000])
def test_a_result_of_any_size_is_one_document_with_one_header(server, execute, format, rows):
    text = execute(f"SELECT number AS a, count() AS b FROM numbers({rows}) GROUP BY a FORMAT {format}")
    if format == "JSONCompact":
        assert len(json.loads(text)["data"]) == rows
    else:
        header = 2 if "Types" in format else 1
        lines = text.splitlines()
        assert len(lines) == rows + header
        assert [line for line in lines if "a" in line] == lines[:1]


def test_a_setting_lasts_for_its_query_only(server, execute):
    read = "SELECT getSetting('max_block_size')"
    usual = execute(read)
    assert execute(read, max_block_size="1234") == "1234\n" != usual
    assert [execute(read) for _ in range(20)] == [usual] * 20
    refused = requests.post(server, data="SELECT 1", params={"no_such_setting": "1"})
    assert (refused.status_code, refused.headers[CODE]) == (400, "115")


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELECT nope", 400, 47),
        ("SELEC 1", 400, 62),
        ("SELECT * FROM nope", 404, 60),
        ("SELECT 1 FROM nope.t", 404, 81),
    ],
)
def test_errors_are_statuses_with_the_engines_own_text(server, statement, status, code):
    answer = requests.post(server, data=statement)
    assert (answer.status_code, answer.headers[CODE]) == (status, str(code))
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_an_error_in_mid_result_is_a_status_or_a_broken_transfer(server):
    statement = LATE_ERROR
    whole = requests.post(server, data=statement, params={"wait_end_of_query": "1"})
    assert (whole.status_code, whole.headers[CODE]) == (500, "395")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(server, data=statement)


def test_an_error_in_mid_result_is_written_after_the_rows(server):
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=60)
    connection.request("POST", "/", LATE_ERROR)
    answer, tail, size = connection.getresponse(), b"", 0
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as broken:
        while chunk := answer.read(1 << 20):
            tail, size = chunk, size + len(chunk)
    connection.close()
    assert size > 1 << 20 and b"\nCode: 395. DB::Exception: " in tail + broken.value.partial


def test_a_bad_row_in_an_insert_is_an_error_and_writes_nothing(server, execute, table):
    answer = requests.post(server, params={"query": f"INSERT INTO {table} FORMAT CSV"}, data='1,"x"\noops\n')
    assert answer.status_code >= 400 and answer.headers[CODE]
    assert execute(f"SELECT count() FROM {table}") == "0\n"


def test_a_get_cannot_write(server, execute, table):
    for statement in (
        f"DROP TABLE {table}",
        f"INSERT INTO {table} VALUES (1, 'x')",
        f"CREATE TABLE {table}2 AS {table}",
    ):
        for more in ({}, {"readonly": "0"}, {"readonly": "1"}):
            refused = requests.get(server, params={"query": statement, **more})
            assert (refused.status_code, refused.headers[CODE]) == (403, "164")
    assert execute(f"SELECT count() FROM {table}") == "0\n" and execute(f"EXISTS TABLE {table}2") == "0\n"
    usable = requests.get(server, params={"query": "SELECT getSetting('max_block_size')", "max_block_size": "99"})
    assert usable.text == "99\n", "a setting for one query is no write"


def test_pandahouse_reads_and_writes(server, table):
    connection = {"host": server, "database": table.split(".")[0]}
    frame = pd.DataFrame({"a": range(3000), "b": ["text"] * 3000}).astype({"a": "uint32", "b": object})
    assert pandahouse.to_clickhouse(frame, "t", index=False, connection=connection) == 3000
    found = pandahouse.read_clickhouse("SELECT a, b FROM {db}.t ORDER BY a", connection=connection)
    assert found["a"].tolist() == frame["a"].tolist() and set(found["b"]) == {"text"}


def test_the_official_driver_reads_and_writes(server, table):
    host, port = server.removeprefix("http://").split(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    client.insert(table, [[i, f"row {i}"] for i in range(1000)], column_names=["a", "b"])
    assert client.query(f"SELECT count(), max(b) FROM {table}").result_rows == [(1000, "row 999")]
    assert client.command("SELECT length({x:String})", parameters={"x": "it's\t\\"}) == 6
    with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM nope")


def test_a_long_query_holds_up_neither_pings_nor_others(server, execute):
    long = threading.Thread(target=execute, args=("SELECT sleep(2)",))
    long.start()
    time.sleep(0.3)
    assert requests.get(f"{server}/ping", timeout=10).ok and execute("SELECT 1") == "1\n"
    assert long.is_alive(), "they must have been answered in the meantime"
    long.join()


def test_a_client_that_leaves_in_mid_result_frees_its_place(server, execute):
    for _ in range(40):  # more than run at a time
        answer = requests.post(server, data="SELECT number FROM system.numbers", stream=True)
        next(answer.iter_content(10))
        answer.close()
    assert execute("SELECT 1") == "1\n"


def test_a_password_is_checked_however_it_is_sent(tmp_path):
    with running(tmp_path, password=PASSWORD) as url:
        url = "http://" + url.rpartition("@")[2]
        for key, status in ((PASSWORD, 200), ("wrong", 403), (PASSWORD + "x", 403), ("", 403)):
            for user in ("default", "other"):
                ways = (
                    dict(auth=(user.encode(), key.encode())),
                    dict(headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": key.encode()}),
                    dict(params={"user": user, "password": key}),
                )
                for way in ways:
                    answer = requests.post(url, data="SELECT 1", **way)
                    assert answer.status_code == (status if user == "default" else 403)
                    assert PASSWORD not in answer.text and (answer.ok or answer.headers[CODE] == "516")
        assert requests.post(url, data="SELECT 1").headers[CODE] == "516"
        assert requests.get(f"{url}/ping").text == "Ok.\n", "who only asks whether it is up needs no password"


def test_a_second_start_on_a_folder_says_who_holds_it(tmp_path):
    command = [sys.executable, "-m", "pulsebook.local.server", "--path", str(tmp_path), "--port", "0"]
    with running(tmp_path) as url:
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 1
        owner = json.loads((tmp_path / "owner.json").read_text())
        assert f"in use by process {owner['pid']} (port {url.rpartition(':')[2]}, since" in second.stderr
        assert requests.post(url, data="SELECT 1").text == "1\n"


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    for rows in (1, 2):
        with running(tmp_path) as url:
            requests.post(url, data="CREATE TABLE IF NOT EXISTS t (a UInt32) ENGINE = MergeTree ORDER BY a")
            assert requests.post(url, data=f"INSERT INTO t VALUES ({rows})").ok
            os.kill(json.loads((tmp_path / "owner.json").read_text())["pid"], signal.SIGKILL)
    for _ in ("after the kill", "after an orderly end"):
        with running(tmp_path) as url:
            assert requests.post(url, data="SELECT a FROM t ORDER BY a").text == "1\n2\n"
