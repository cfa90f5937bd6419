"""The embedded warehouse cannot be stopped from answering: clients that do not read, do not send, or send too much."""

import concurrent.futures
import gzip
import json
import socket
import threading
import time
import zlib
from pathlib import Path

import lz4.frame
import pytest
import requests
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pulsebook.local.server import running
from pulsebook.local.work import PARALLEL

CODE = "X-ClickHouse-Exception-Code"
ENDLESS = "SELECT number FROM system.numbers"
LARGE = "SELECT repeat('x', 1000) FROM numbers(20000)"  # 20 MB: more than sockets hold


@pytest.fixture(scope="module")
def maltreated(tmp_path_factory):
    """The folder of that server."""
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="module")
def alone(maltreated):
    """A server of its own, which may be maltreated."""
    with running(maltreated) as url:
        requests.post(url, data="CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a").raise_for_status()
        yield url


def asking(url: str, statement: str) -> socket.socket:
    """A client that asks and does not read."""
    return sending(url, f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(statement)}\r\n\r\n{statement}")


def sending(url: str, text: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(text.encode())
    return client


def ping(url: str) -> float:
    """Seconds until a ping is answered."""
    begin = time.monotonic()
    assert requests.get(f"{url}/ping", timeout=30).text == "Ok.\n"
    return time.monotonic() - begin


def answer(url: str, statement: str = "SELECT 1") -> str:
    response = requests.post(url, data=statement, timeout=60)
    assert response.ok, response.text
    return response.text


@pytest.mark.slow
@pytest.mark.parametrize("statement", [LARGE, ENDLESS])
def test_clients_that_ask_and_do_not_read_hold_nobody_up(alone, statement):
    clients = [asking(alone, statement) for _ in range(40)]  # more than run at a time
    try:
        begin = time.monotonic()
        assert answer(alone) == "1\n" and ping(alone) < 5
        assert time.monotonic() - begin < 40, "their places end when others need them, long before their 20 s each"
    finally:
        for client in clients:
            client.close()
    assert answer(alone) == "1\n"


def test_statements_that_wait_for_their_readers_hold_no_turn(alone):
    clients = [asking(alone, ENDLESS) for _ in range(PARALLEL + 1)]
    try:
        begin = time.monotonic()
        assert answer(alone) == "1\n"
        assert time.monotonic() - begin < 18, "each waits 20 s for its reader"
    finally:
        for client in clients:
            client.close()
    assert answer(alone) == "1\n"


def test_statements_that_take_long_keep_short_ones_from_nothing(alone):
    clients = [
        asking(alone, f"SELECT sleepEachRow(1), {i} FROM numbers(15) SETTINGS max_block_size = 1")
        for i in range(PARALLEL + 2)
    ]
    try:
        begin = time.monotonic()
        assert answer(alone) == "1\n"
        assert time.monotonic() - begin < 10, "each takes 15 s"
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize(("ahead", "answered"), [(3, True), (500, False)])
def test_a_client_that_sends_many_requests_before_an_answer_is_dropped(alone, ahead, answered):
    slow = "SELECT sleep(1)"
    first = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(slow)}\r\n\r\n{slow}"
    client = sending(alone, first + ahead * "GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    client.settimeout(10)
    said = b""
    try:
        while said.count(b"Ok.\n") < ahead and (more := client.recv(1 << 16)):
            said += more
    except ConnectionResetError:
        pass
    client.close()
    assert (said.count(b"Ok.\n") == ahead) is answered


def test_a_client_that_pauses_keeps_its_statement_while_nobody_needs_its_place(alone):
    with requests.post(alone, data="SELECT number FROM numbers(100000000)", stream=True) as large:
        pieces = large.iter_content(1 << 20)
        size = len(next(pieces))
        time.sleep(4)
        assert answer(alone) == "1\n"
        assert size + sum(map(len, pieces)) == 888_888_890


def test_more_statements_than_run_at_a_time_are_all_answered(alone):
    with concurrent.futures.ThreadPoolExecutor(80) as threads:
        answers = list(threads.map(lambda i: answer(alone, f"SELECT {i}, sleep(0.05)"), range(80)))
    assert answers == [f"{i}\t0\n" for i in range(80)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "POST / HT",
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\nINSERT INTO t FORMAT CSV\n1,",
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nSELEC\r\n",
    ],
)
def test_clients_that_do_not_go_on_take_no_turn(alone, text):
    clients = [sending(alone, text) for _ in range(40)]
    assert answer(alone) == "1\n" and ping(alone) < 5
    for client in clients:
        client.close()
    assert answer(alone, "SELECT count() FROM t") == "0\n", "of half a body nothing is stored"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_clients_that_neither_send_nor_read_are_dropped(alone):
    clients = [sending(alone, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"), asking(alone, LARGE)]
    time.sleep(45)
    for client in clients:
        client.settimeout(20)
        with pytest.raises(ConnectionResetError):
            while client.recv(1 << 20):
                pass
            raise ConnectionResetError  # an orderly end is as good


@pytest.mark.parametrize(
    ("before", "spaces"), [("/* a */ " * 2000, ""), ("-- a\n" * 2000, ""), ("", " " * 200_000), ("((", " \n" * 100_000)]
)
def test_a_long_beginning_costs_no_time(alone, before, spaces):
    begin = time.monotonic()
    brackets = ")" * before.count("(")
    assert answer(alone, before + spaces + "SELECT 1" + brackets) == "1\n"
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("size", [None, 90, 300_000])
def test_a_query_is_as_long_as_max_query_size_says(alone, size):
    params, most = ({"max_query_size": size}, size) if size else ({}, 262_144)
    assert requests.post(alone, params=params, data=b"SELECT 1".ljust(most)).text == "1\n"
    refused = requests.post(alone, params=params, data=b"SELECT 1".ljust(most + 1))
    assert (refused.status_code, refused.headers[CODE]) == (400, "62") and "Max query size exceeded" in refused.text
    assert f"more than {most} bytes" in refused.text


def test_max_query_size_is_raised_in_a_session_and_no_further_than_to_a_megabyte(alone):
    params, long = {"session_id": "long"}, b"SELECT 1".ljust(300_000)
    assert requests.post(alone, params=params, data="SET max_query_size = 400000").ok
    assert requests.post(alone, params=params, data=long).text == "1\n"
    assert requests.post(alone, data=long).headers[CODE] == "62"
    for size in (0, 1 << 40):
        refused = requests.post(alone, params={"max_query_size": size}, data=bytes((1 << 20) + 1))
        assert refused.headers[CODE] == "62" and f"more than {1 << 20} bytes" in refused.text


def test_data_parameters_and_external_tables_are_no_part_of_a_querys_size(alone):
    answer(alone, "CREATE OR REPLACE TABLE long (a String) ENGINE = MergeTree ORDER BY a")
    for head, row in (("VALUES ", "('0123456789'),"), ("FORMAT TSV\n", "0123456789\n")):
        answer(alone, f"INSERT INTO long {head}" + row * 50_000)
    assert answer(alone, "SELECT count() FROM long") == "100000\n"
    parameter = {"query": (None, "SELECT length({a:String})"), "param_a": (None, "x" * 500_000)}
    assert requests.post(alone, files=parameter).text == "500000\n"
    params = {"query": "SELECT count() FROM e", "e_structure": "a String"}
    assert requests.post(alone, params=params, files={"e": ("e", "0123456789\n" * 50_000)}).text == "50000\n"
    late = requests.post(alone, data="INSERT INTO long " + " " * 262_144 + "VALUES ('a')")
    assert late.headers[CODE] == "62", "what comes before the data counts"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["(" * 250_000, "(" * (2 << 20), "SELECT " + "\\" * 250_000])
def test_a_long_statement_does_not_hold_up_others(alone, text):
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        long = [threads.submit(requests.post, alone, data=text, timeout=60) for _ in range(4)]
        waits = [ping(alone)]
        while not all(one.done() for one in long):
            waits.append(ping(alone))
            time.sleep(0.05)
    assert all(one.result().headers[CODE] in ("62", "306") for one in long)
    assert max(waits) < 2


def bomb(pack) -> bytes:
    """3 GB of zeros, packed frame after frame."""
    return pack(bytes(100 << 20)) * 30


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", lambda data: gzip.compress(data, 9)),
        ("deflate", lambda data: zlib.compress(data, 9)),
        ("zstd", zstandard.compress),
        ("lz4", lz4.frame.compress),
    ],
)
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(alone, maltreated, encoding, pack):
    before = memory(maltreated)
    highest, done = [0], threading.Event()

    def watch():
        while not done.wait(0.05):
            highest[0] = max(highest[0], memory(maltreated))

    watcher = threading.Thread(target=watch)
    watcher.start()
    refused = requests.post(alone, data=bomb(pack), headers={"Content-Encoding": encoding}, timeout=120)
    done.set()
    watcher.join()
    assert (refused.status_code, refused.headers[CODE]) == (413, "396") and "unpacked" in refused.text
    assert highest[0] - before < 300 << 20
    assert answer(alone) == "1\n"


def memory(folder: Path) -> int:
    """Bytes of memory of the server on a folder."""
    pid = json.loads((folder / "owner.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


@pytest.mark.parametrize("query_id", ["a\nb", "a\r\nX-Header: 1", "\0", "x" * 2000, "a\x7f"])
def test_a_query_id_that_no_header_can_hold_is_refused_before_anything_is_done(alone, query_id):
    params = {"query_id": query_id}
    refused = requests.post(alone, params=params, data="INSERT INTO t VALUES (1, 'x')")
    assert (refused.status_code, refused.headers[CODE]) == (400, "36")
    assert answer(alone, "SELECT count() FROM t") == "0\n"


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.encode("utf-8", "ignore").decode() == text))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_any_text_is_a_query_id_or_refused(alone, query_id):
    found = requests.post(alone, params={"query_id": query_id}, data="SELECT 1")
    if found.ok:
        assert found.headers["X-ClickHouse-Query-Id"].encode("latin-1").decode() == query_id
    else:
        assert found.headers[CODE] == "36"


def test_a_result_is_complete_and_its_place_free_before_its_client_reads(alone):
    clients = [requests.post(alone, data=LARGE, stream=True) for _ in range(20)]
    assert answer(alone) == "1\n"
    assert all(len(client.content) == 20_020_000 for client in clients[:3])


def test_the_folder_holds_no_file_of_a_result_for_longer_than_its_client(tmp_path):
    with running(tmp_path) as url:
        client = asking(url, LARGE)
        time.sleep(1)
        client.close()
        answer(url)
        deadline = time.monotonic() + 20
        while list(Path(tmp_path, "tmp").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not list(Path(tmp_path, "tmp").iterdir())
