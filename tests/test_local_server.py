"""The embedded warehouse, as clients that nobody here wrote see it."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time

import clickhouse_connect
import pandahouse
import pandas as pd
import pytest
import requests

from pulsebook.local.server import running

CODE = "X-ClickHouse-Exception-Code"


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
    ],
)
@pytest.mark.parametrize("way", ["url", "body", "gzip"])
def test_data_arrive_with_the_statement_in_the_url_or_before_them(server, execute, table, format, data, way):
    statement = f"INSERT INTO {table} FORMAT {format}"
    if way == "body":
        execute(f"{statement}\n{data}")
    elif way == "url":
        assert requests.post(server, params={"query": statement}, data=data).ok
    else:
        zipped, headers = gzip.compress(data.encode()), {"Content-Encoding": "gzip"}
        assert requests.post(server, params={"query": statement}, data=zipped, headers=headers).ok
    assert execute(f"SELECT * FROM {table} ORDER BY a") == "1\tx\n2\ty\n"


@pytest.mark.parametrize("format", ["Native", "Parquet"])
def test_binary_formats_come_back_as_they_went(server, execute, table, format):
    out = requests.post(
        server, data=f"SELECT toUInt32(number) AS a, 'z' AS b FROM numbers(200000) FORMAT {format}"
    ).content
    assert requests.post(server, params={"query": f"INSERT INTO {table} FORMAT {format}"}, data=out).ok
    assert execute(f"SELECT count(), sum(a) FROM {table}") == "200000\t19999900000\n"


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
    statement = "SELECT number, throwIf(number = 20000000) FROM numbers(30000000)"
    whole = requests.post(server, data=statement, params={"wait_end_of_query": "1"})
    assert (whole.status_code, whole.headers[CODE]) == (500, "395")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(server, data=statement)


def test_a_bad_row_in_an_insert_is_an_error_and_writes_nothing(server, execute, table):
    answer = requests.post(server, params={"query": f"INSERT INTO {table} FORMAT CSV"}, data='1,"x"\noops\n')
    assert answer.status_code >= 400 and answer.headers[CODE]
    assert execute(f"SELECT count() FROM {table}") == "0\n"


def test_a_get_cannot_write(server, execute, table):
    refused = requests.get(server, params={"query": f"DROP TABLE {table}"})
    assert (refused.status_code, refused.headers[CODE]) == (403, "164")
    assert execute(f"EXISTS TABLE {table}") == "1\n"


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
    long = threading.Thread(target=execute, args=("SELECT sleep(3)",))
    long.start()
    time.sleep(0.3)
    assert requests.get(f"{server}/ping", timeout=2).ok and execute("SELECT 1") == "1\n"
    assert long.is_alive(), "they must have been answered in the meantime"
    long.join()


def test_a_client_that_leaves_in_mid_result_frees_its_place(server, execute):
    for _ in range(40):  # more than run at a time
        answer = requests.post(server, data="SELECT number FROM system.numbers", stream=True)
        next(answer.iter_content(10))
        answer.close()
    assert execute("SELECT 1") == "1\n"


def test_a_password_is_checked_however_it_is_sent(tmp_path):
    with running(tmp_path, password="right one") as url:
        url = "http://" + url.rpartition("@")[2]
        for key, status in (("right one", 200), ("wrong", 403)):
            ways = (
                dict(auth=("default", key)),
                dict(headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": key}),
                dict(params={"user": "default", "password": key}),
            )
            for way in ways:
                answer = requests.post(url, data="SELECT 1", **way)
                assert answer.status_code == status and key not in answer.text
        assert requests.post(url, data="SELECT 1").headers[CODE] == "516"
        assert requests.post(url, data="SELECT 1", auth=("other", "right one")).status_code == 403


def test_a_second_start_on_a_folder_says_who_holds_it(tmp_path):
    command = [sys.executable, "-m", "pulsebook.local.server", "--path", str(tmp_path), "--port", "0"]
    with running(tmp_path) as url:
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 1
        owner = json.loads((tmp_path / "owner.json").read_text())
        assert f"in use by process {owner['pid']} (port {url.rpartition(':')[2]}, since" in second.stderr
        assert requests.post(url, data="SELECT 1").text == "1\n"


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    for rows in (1, 2, 3):
        with running(tmp_path) as url:
            requests.post(url, data="CREATE TABLE IF NOT EXISTS t (a UInt32) ENGINE = MergeTree ORDER BY a")
            assert requests.post(url, data=f"INSERT INTO t VALUES ({rows})").ok
            os.kill(json.loads((tmp_path / "owner.json").read_text())["pid"], signal.SIGKILL)
    with running(tmp_path) as url:
        assert requests.post(url, data="SELECT a FROM t ORDER BY a").text == "1\n2\n3\n"
