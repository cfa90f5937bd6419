"""Other arrangements than one server: the numbers of ETL, reports and alerts are those of the embedded one, to the digit.

Real servers (18.16) where the embedded one cannot do it: users with few rights, a cluster, replicated tables.
"""

import os
import re
import subprocess
import sys
import uuid
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import nbformat
import pandas as pd
import pytest
import requests

from pulsebook.base.settings import ROOT, settings
from pulsebook.chat.ledger import Ledger
from pulsebook.cli import main, trial
from pulsebook.local import sample
from pulsebook.local.server import running
from pulsebook.warehouse import Warehouse, WarehouseError, engine
from tests.clickhouse import ZOOKEEPER, Ports, clickhouse_server, user, zookeeper
from tests.conftest import PASSWORD
from tests.etl import STEPS, before_the_catalogue

pytestmark = pytest.mark.skipif("PULSEBOOK_TEST_SERVER" not in os.environ, reason="`make test-server` runs these")
ZONE = ZoneInfo("Europe/Moscow")
UNTIL = datetime(2026, 11, 24, 9, 0, tzinfo=ZONE)
DAY, SLOT = date(2026, 11, 22), "2026-11-20T15:30"  # the slot of the sample's feed spike
TABLES = ("feed_actions", "message_actions")
SIMULATOR, TARGET = "simulator", "test"
GUIDE = (ROOT / "docs/grants.md").read_text()  # the rights that these tests run with
SOURCE_USER, TARGET_USER = "pulsebook_source", "pulsebook_target"


def guided(element: str) -> str:
    """What is inside an element of users.xml, as the guide gives it."""
    return re.search(rf"<{element}>(.*?)</{element}>", GUIDE, re.S)[1]


def granted(*users: str) -> list[str]:
    """The GRANT statements of the guide for these users, as statements for the embedded server's only user."""
    found = re.findall(r"^(GRANT .*) TO (\w+);$", GUIDE, re.M)
    return [grant for grant, name in found if name in users]


def cells(notebook: str, **parameters) -> dict:
    """The cells of a notebook in this process; returns their variables."""
    code = [c for c in nbformat.read(ROOT / f"notebooks/{notebook}.ipynb", 4).cells if c.cell_type == "code"]
    given = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    variables = {}
    exec(compile("\n".join([code[0].source, given, *(c.source for c in code[1:])]), notebook, "exec"), variables)
    return variables


def etl() -> None:
    for name, own in STEPS:
        cells(f"etl/{name}", run_date=str(DAY), **own)


def everything(folder: Path, **where) -> dict:
    """Run all notebooks on the servers that the settings in `where` name; returns what they counted and said."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"outputs": folder, **where}.items():
            environment.setenv(f"PULSEBOOK_{name.upper()}", str(value))
        settings.cache_clear()
        try:
            etl()
            found = {
                name: cells(f"reports/{name}", run_date=str(DAY))["message"] for name in ("feed_report", "app_report")
            }
            cells("alerts/collect", slot=SLOT)
            checked = cells("alerts/check", slot=SLOT, post=True, post_as="alerts", sensitivity=2.0)
            found["alerts"] = [text for _, text, *_ in checked["messages"]]
            checked["explain"] = lambda slices, *_: slices  # what an explanation is made from
            found["slices"] = checked["explanations"]("views")
            target, database = Warehouse.target(), settings().target_database
            found["final"] = target.read(
                f"SELECT * FROM {database}.metrics_by_dimension ORDER BY dimension, dimension_value"
            )
            found["slots"] = target.read(
                f"SELECT toUInt32(slot) AS slot, metric, value, base FROM {database}.slot_metrics FINAL ORDER BY slot, metric"
            )
            found["ledger"] = target.scalar(f"SELECT count() FROM {database}.chat_messages WHERE status = 'sent'")
            return found
        finally:
            settings.cache_clear()


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], value, obj=name)
        else:
            assert found[name] == value, name


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """URL of an embedded server with five weeks of the sample, and its numbers."""
    with running(tmp_path_factory.mktemp("single")) as url:
        sample.fill(sample.http(url), 36, 800, 5, UNTIL, ZONE.key, SIMULATOR)
        where = dict(clickhouse_url=url, source_database=SIMULATOR, target_database=TARGET)
        numbers = everything(tmp_path_factory.mktemp("outputs"), **where)
        assert len(numbers["final"]) > 30 and len(numbers["slots"]) > 14_000 and numbers["ledger"]
        assert "🔴" in numbers["alerts"][0] and numbers["slices"]["dimension"].nunique() == 7
        yield url, numbers


def copy_sample(url: str, to: str, database: str = SIMULATOR, where: str = "1") -> None:
    """The two event tables, or some of their rows, on another server."""
    there = Warehouse(to)
    there.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    for table in TABLES:
        columns = Warehouse(url).columns(f"{SIMULATOR}.{table}")
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        there.execute(f"CREATE TABLE {database}.{table} ({typed}) ENGINE = MergeTree ORDER BY time")
        select = f"SELECT * FROM {SIMULATOR}.{table} WHERE {where} FORMAT Native"
        rows = requests.post(url, data=select, timeout=60).content
        statement = {"query": f"INSERT INTO {database}.{table} FORMAT Native"}
        answer = requests.post(to, params=statement, data=rows, timeout=60)
        assert answer.ok, answer.text


def as_user(url: str, name: str) -> str:
    return url.replace("//", f"//{name}:{quote(PASSWORD, safe='')}@")


@pytest.fixture(scope="module")
def read_only(single, tmp_path_factory):
    """URL of a real server with the sample, as a user who may read it and nothing else; and as one who may all."""
    reader = user(SOURCE_USER, PASSWORD, guided(SOURCE_USER))
    folder = tmp_path_factory.mktemp("source")
    with clickhouse_server(folder, users=reader, profiles=guided("profiles")) as url:
        copy_sample(single[0], url)
        yield as_user(url, SOURCE_USER), url


@pytest.mark.slow
def test_a_source_that_may_only_be_read_gives_the_numbers_of_the_single_server(single, read_only, tmp_path):
    url, expected = single
    source, everybody = read_only
    before = Warehouse(everybody).read("SELECT database, name, engine FROM system.tables WHERE database != 'system'")
    where = dict(source_url=source, source_database=SIMULATOR)
    same(everything(tmp_path / "1", clickhouse_url=url, target_database="of_another", **where), expected)
    with clickhouse_server(tmp_path / "target", users=user(TARGET_USER, PASSWORD, guided(TARGET_USER))) as target:
        there = as_user(target, TARGET_USER)
        Warehouse(target).execute("CREATE DATABASE other")
        with pytest.raises(WarehouseError, match="denied"):
            Warehouse(there).execute("CREATE TABLE other.x (a Int8) ENGINE = Memory")
        same(everything(tmp_path / "2", clickhouse_url=there, target_database=TARGET, **where), expected)
    after = Warehouse(everybody).read("SELECT database, name, engine FROM system.tables WHERE database != 'system'")
    pd.testing.assert_frame_equal(after, before)
    for statement in (
        f"INSERT INTO {SIMULATOR}.feed_actions SELECT * FROM {SIMULATOR}.feed_actions LIMIT 1",
        f"CREATE TABLE {SIMULATOR}.x (a Int8) ENGINE = Memory",
        f"ALTER TABLE {SIMULATOR}.feed_actions DROP COLUMN os",
        f"DROP TABLE {SIMULATOR}.feed_actions",
        "SET readonly = 0",
    ):
        with pytest.raises(WarehouseError, match="readonly"):
            Warehouse(source).execute(statement)


@contextmanager
def with_grants(folder: Path, *grants: str):
    """The embedded server on a data folder, its only user having these grants alone."""
    queries = "".join(f"<query>{grant}</query>" for grant in grants)
    users = user("default", rights=f"<profile>default</profile><grants>{queries}</grants>")
    elements = f"<profiles><default/></profiles><quotas><default/></quotas><users>{users}</users>"
    (folder / "users.xml").write_text(f"<clickhouse>{elements.replace('127.0.0.1', '::/0')}</clickhouse>")
    (folder / "config.xml").write_text(f"<clickhouse><users_config>{folder}/users.xml</users_config></clickhouse>")
    with running(folder / "warehouse", config=folder / "config.xml") as url:
        yield url


@pytest.mark.slow
def test_the_grants_of_the_guide_are_enough_and_allow_nothing_more(single, tmp_path):
    source_grants, target_grants = granted(SOURCE_USER), granted(TARGET_USER)
    assert len(source_grants) == 2 and len(target_grants) == 2
    for name in ("source", "target", "both"):
        (tmp_path / name).mkdir()
        with running(tmp_path / name / "warehouse") as url:
            if name != "target":
                copy_sample(single[0], url)
            Warehouse(url).execute("CREATE DATABASE other")
            Warehouse(url).execute("CREATE TABLE other.x ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a")
            if name == "target":  # an installed database of the version before is brought up with the same rights
                install_before(url)
    where = dict(source_database=SIMULATOR, target_database=TARGET)
    for right, missed in (("ALTER MODIFY COLUMN", etl), ("ALTER ADD COLUMN", Ledger)):
        fewer = [grant.replace(f"{right}, ", "") for grant in target_grants]
        with with_grants(tmp_path / "target", *fewer) as target, pytest.MonkeyPatch.context() as environment:
            environment.setenv("PULSEBOOK_SOURCE_URL", single[0])
            with_settings(environment, clickhouse_url=target, **where)
            with pytest.raises(WarehouseError, match=rf"Grant it: GRANT {right} ON {TARGET}\.\* TO .*docs/grants.md"):
                missed()
    settings.cache_clear()
    with (
        with_grants(tmp_path / "source", *source_grants) as source,
        with_grants(tmp_path / "target", *target_grants) as target,
    ):
        same(upgraded(everything(tmp_path / "1", clickhouse_url=target, source_url=source, **where)), single[1])
        tried(tmp_path / "1", clickhouse_url=target, source_url=source, **where)
        refused(source, target)
    with with_grants(tmp_path / "both", *source_grants, *target_grants) as both:
        same(everything(tmp_path / "2", clickhouse_url=both, **where), single[1])
        tried(tmp_path / "2", clickhouse_url=both, **where)
        refused(both, both)


def tried(folder: Path, **where) -> None:
    """A notebook that reads the target and one that reads the source can be tried with the same rights."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(trial, "HOME", folder / "try")
        with_settings(environment, outputs=folder / "outputs", **where)
        for words in (["etl/slice.ipynb", "-p", "dimension=os"], ["etl/extract_messages.ipynb"]):
            assert main(["try", *words, "-p", f"run_date={DAY}"]) == 0
    settings.cache_clear()


def install_before(url: str, **settings_of_tables) -> None:
    """The tables of the version before, as its tasks made them."""
    Warehouse(url).execute(f"CREATE DATABASE IF NOT EXISTS {TARGET}")
    with pytest.MonkeyPatch.context() as environment:
        with_settings(environment, **settings_of_tables)
        for statement in before_the_catalogue(TARGET, str(DAY), engine):
            Warehouse(url).execute(statement)
    settings.cache_clear()


def with_settings(environment: pytest.MonkeyPatch, **values) -> None:
    for name, value in values.items():
        environment.setenv(f"PULSEBOOK_{name.upper()}", str(value))
    settings.cache_clear()


def upgraded(found: dict) -> dict:
    """What was found without the day that the version before had loaded, which must be as it was."""
    final = found["final"]
    old = final[final["event_date"] == "2026-11-19"]
    assert old.iloc[:, 1:].values.tolist() == [["os", "iOS", 5, 1, 2, 3, 4, 6]]
    return {**found, "final": final.drop(old.index).reset_index(drop=True)}


def refused(source: str, target: str) -> None:
    for url, statement in (
        (source, f"INSERT INTO {SIMULATOR}.feed_actions SELECT * FROM {SIMULATOR}.feed_actions LIMIT 1"),
        (source, f"ALTER TABLE {SIMULATOR}.feed_actions DELETE WHERE 1"),
        (source, f"DROP TABLE {SIMULATOR}.feed_actions"),
        (source, f"CREATE TABLE {SIMULATOR}.x (a Int8) ENGINE = Memory"),
        (source, "SELECT * FROM other.x"),
        (target, "SELECT * FROM other.x"),
        (target, "CREATE TABLE other.y (a Int8) ENGINE = Memory"),
        (target, f"DROP DATABASE {TARGET}"),
        (target, "CREATE USER x"),
    ):
        with pytest.raises(WarehouseError, match="Not enough privileges"):
            Warehouse(url).execute(statement)


@pytest.mark.slow
def test_rows_stream_from_server_to_server_in_constant_memory(single, read_only):
    """Peak memory of a process that moves rows: a million, and eight times as many."""
    table = f"{SIMULATOR}.moved"
    Warehouse(single[0]).execute(
        f"CREATE TABLE {table} (d Date, a UInt64, b UInt64) ENGINE = MergeTree PARTITION BY d ORDER BY a"
    )
    script = """
import re, sys
from pathlib import Path
from pulsebook.warehouse import Warehouse
target, source, table, events, times = sys.argv[1:]
select = f"SELECT toDate('2026-01-01') AS d, arrayJoin(range({times})) AS a, cityHash64(user_id, time) AS b FROM {events}"
print(Warehouse(target).replace_partition(table, "'2026-01-01'", select, Warehouse(source)))
print(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
    moved, peaks = [], []
    for times in ("1", "8"):
        command = [sys.executable, "-c", script, single[0], read_only[0], table, f"{SIMULATOR}.feed_actions", times]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        rows, peak = map(int, run.stdout.split())
        moved.append(rows)
        peaks.append(peak)
    Warehouse(single[0]).execute(f"DROP TABLE {table}")
    print(f"{moved} rows moved, peak memory in kB: {peaks}")
    assert moved[0] > 900_000 and moved[1] == 8 * moved[0]
    assert peaks[1] - peaks[0] < 16_000, f"eight times the rows must not need more memory, found {peaks} kB"


@pytest.mark.slow
def test_a_server_with_little_memory_spills_to_disk_instead_of_failing(read_only, monkeypatch):
    """1.5 million users, 360 MB for a statement: too much, until the URL lets it spill at 150 MB; then the same numbers."""
    database, server = f"large_{uuid.uuid4().hex[:6]}", read_only[1]
    everybody = Warehouse(server)
    everybody.execute(f"CREATE DATABASE {database}")
    for table, own in (
        ("feed_actions", "if(number % 5 = 0, 'like', 'view') AS action"),
        ("message_actions", "cityHash64(number + 1, 2) % 1500000 AS receiver_id"),
    ):
        everybody.execute(f"""
            CREATE TABLE {database}.{table} ENGINE = MergeTree ORDER BY time AS
            SELECT cityHash64(number % 1500000) AS user_id, {own}, toDateTime({NOON} + intDiv(number, 36)) AS time,
                1 AS gender, 20 AS age, 'iOS' AS os
            FROM numbers(1500000)
        """)
    where = dict(source_database=database, target_database=f"{database}_target")
    little, spilling = "max_memory_usage=360000000", "max_bytes_before_external_group_by=150000000"
    expected = loaded(monkeypatch, clickhouse_url=server, **where)
    with pytest.raises(WarehouseError, match="Memory limit"):
        loaded(monkeypatch, clickhouse_url=f"{server}/?{little}", **where)
    found = loaded(monkeypatch, clickhouse_url=f"{server}/?{little}&{spilling}", **where)
    pd.testing.assert_frame_equal(found, expected)
    assert found["messages_sent"].sum() == 3 * 1_500_000
    everybody.execute(f"DROP DATABASE {database}")
    everybody.execute(f"DROP DATABASE {database}_target")


def small_world(url: str, feed: pd.DataFrame, messages: pd.DataFrame, time_type: str = "DateTime") -> str:
    """A fresh source database with these rows."""
    database = f"small_{uuid.uuid4().hex[:6]}"
    Warehouse(url).execute(f"CREATE DATABASE {database}")
    profile = f"time {time_type}, gender Int8, age Int16, os String"
    for table, own, frame in (
        ("feed_actions", "user_id UInt64, post_id UInt32, action String", feed),
        ("message_actions", "user_id UInt64, receiver_id UInt64", messages),
    ):
        Warehouse(url).execute(f"CREATE TABLE {database}.{table} ({own}, {profile}) ENGINE = MergeTree ORDER BY time")
        times = pd.to_datetime(frame["time"], unit="s", utc=True)
        Warehouse(url).write(frame.assign(time=times), f"{database}.{table}")
    return database


NOON = int(datetime(2026, 11, 22, 12, tzinfo=ZONE).timestamp())


def loaded(monkeypatch, **where) -> pd.DataFrame:
    """What the ETL loads on the servers that the settings in `where` name."""
    for name, value in {"target_database": f"of_{uuid.uuid4().hex[:6]}", **where}.items():
        monkeypatch.setenv(f"PULSEBOOK_{name.upper()}", str(value))
    settings.cache_clear()
    try:
        etl()
        table = f"{settings().target_database}.metrics_by_dimension"
        return Warehouse.target().read(f"SELECT * FROM {table} ORDER BY dimension, dimension_value")
    finally:
        settings.cache_clear()


@pytest.mark.slow
def test_the_profiles_of_more_users_than_one_statement_holds_come_from_the_other_server(single, read_only, monkeypatch):
    """12,000 users who only received, with ids of 20 digits: their text alone is longer than a statement may be."""
    ids = [2**64 - 1 - n for n in range(12_000)]
    acted = [
        dict(user_id=u, post_id=1, action="view", time=NOON - 86400 * 3, gender=u % 2, age=20 + u % 3, os="iOS")
        for u in ids[:9_000]
    ]
    today = [dict(user_id=7, post_id=1, action="view", time=NOON, gender=1, age=40, os="Android")]
    sent = [dict(user_id=7, receiver_id=u, time=NOON + 11 * 3600, gender=1, age=40, os="Android") for u in ids]
    feed = pd.DataFrame([*acted, *today, {**today[0], "time": NOON + 11 * 3600}])
    database = small_world(read_only[1], feed, pd.DataFrame(sent))
    target = dict(clickhouse_url=single[0], source_database=database)
    found = loaded(monkeypatch, source_url=read_only[1], **target).set_index(["dimension", "dimension_value"])
    received = found["messages_received"].drop(index=[("age", "40")], errors="ignore")
    ages = [20 + u % 3 for u in ids[:9_000]]
    assert received["age", "unknown"] == received["gender", "unknown"] == received["os", "unknown"] == 3_000
    assert [received["age", str(age)] for age in (20, 21, 22)] == [ages.count(age) for age in (20, 21, 22)]
    assert received["gender", "female"] == sum(u % 2 for u in ids[:9_000])


def test_where_the_source_has_milliseconds_the_latest_of_a_second_is_the_latest(single, monkeypatch):
    def view(user, at, age):
        return dict(user_id=user, post_id=1, action="view", time=at, gender=1, age=age, os="iOS")

    at = pd.Timestamp(NOON + 11 * 3600, unit="s", tz="UTC")
    ms = pd.Timedelta(milliseconds=1)
    feed = [view(u, at + ms * (u + step), 20 + step) for u in range(1, 400) for step in (2, 0, 1)]
    feed += [view(u, at + ms * 999, 20) for u in range(400, 500)]
    sent = [view(u, at + ms * (1000 if u % 2 else 998), 30) for u in range(400, 500)]
    sent = pd.DataFrame(sent).drop(columns=["post_id", "action"]).assign(receiver_id=1)
    database = small_world(single[0], pd.DataFrame(feed), sent, "DateTime64(3)")
    found = loaded(monkeypatch, clickhouse_url=single[0], source_database=database)
    found = found[found["dimension"] == "age"].set_index("dimension_value")
    assert found["views"]["22"] == 399 * 3, "every user has the age of the last millisecond"
    assert found["messages_sent"].to_dict() == {"20": 50, "22": 0, "30": 50}, "in whichever table it is"


@pytest.fixture(scope="module")
def cluster(single, tmp_path_factory):
    """URL of the first of two real servers; its `simulator` is Distributed over both, rows spread at random."""
    shards = Ports(), Ports()
    listed = "".join(
        f"<shard><replica><host>127.0.0.1</host><port>{shard.tcp}</port></replica></shard>" for shard in shards
    )
    config = f"<remote_servers><both>{listed}</both></remote_servers>"
    with ExitStack() as stack:
        for number, ports in enumerate(shards):
            stack.enter_context(clickhouse_server(tmp_path_factory.mktemp(f"shard{number}"), config, ports=ports))
            copy_sample(single[0], ports.url, "local", f"cityHash64(user_id, time) % 2 = {number}")
        first = Warehouse(shards[0].url)
        first.execute(f"CREATE DATABASE {SIMULATOR}")
        for table in TABLES:
            first.execute(
                f"CREATE TABLE {SIMULATOR}.{table} AS local.{table} ENGINE = Distributed(both, local, {table}, rand())"
            )
        yield shards[0].url


@pytest.mark.slow
def test_a_source_spread_over_two_shards_gives_the_numbers_of_the_single_server(single, cluster, tmp_path):
    url, expected = single
    here, whole = (
        Warehouse(cluster).scalar(f"SELECT count() FROM {database}.feed_actions") for database in ("local", SIMULATOR)
    )
    assert 0.4 < here / whole < 0.6, "the rows must be spread"
    where = dict(source_database=SIMULATOR, source_url=cluster)
    same(everything(tmp_path / "1", clickhouse_url=cluster, target_database=TARGET, **where), expected)
    same(
        everything(tmp_path / "2", clickhouse_url=url, target_database=f"of_{uuid.uuid4().hex[:6]}", **where), expected
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path(ZOOKEEPER).exists(), reason="no ZooKeeper here: apt-get install zookeeper")
def test_replicated_tables_hold_the_same_numbers_on_both_replicas(single, tmp_path):
    url, expected = single
    with zookeeper(tmp_path / "zookeeper") as keeper, ExitStack() as stack:
        replicas = [
            stack.enter_context(
                clickhouse_server(
                    tmp_path / name, f"{keeper}<macros><shard>1</shard><replica>{name}</replica></macros>"
                )
            )
            for name in ("a", "b")
        ]
        where = dict(source_url=url, source_database=SIMULATOR, target_database=TARGET)
        where |= dict(table_engine="ReplicatedMergeTree('/clickhouse/{shard}/{table}', '{replica}')")
        for replica in replicas:  # both hold the tables of the version before
            Warehouse(replica).execute(f"CREATE DATABASE {TARGET}")
            install_before(replica, table_engine=where["table_engine"])
        for replica in replicas:  # the first brings them up, the second finds them so and writes every table again
            same(upgraded(everything(tmp_path / "outputs", clickhouse_url=replica, **where)), expected)
        first, second = map(Warehouse, replicas)
        kinds = first.read(f"SELECT name, engine FROM system.tables WHERE database = '{TARGET}'")
        assert len(kinds) == 13 and kinds["engine"].str.startswith("Replicated").all(), "and no scratch table is left"
        for table in kinds["name"]:
            first.execute(f"SYSTEM SYNC REPLICA {TARGET}.{table}")
        for table in ("metrics_by_dimension", "staging_users", "chat_messages"):
            rows, total = (w.scalar(f"SELECT count() FROM {TARGET}.{table}") for w in (first, second))
            assert rows == total > 0, table
        final = f"SELECT * FROM {TARGET}.metrics_by_dimension ORDER BY dimension, dimension_value"
        pd.testing.assert_frame_equal(upgraded({"final": first.read(final)})["final"], expected["final"])
