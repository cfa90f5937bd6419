"""`pulsebook doctor`: a healthy installation is well, and each thing that can be wrong is one line that names it."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote

import nbformat
import pandas as pd
import pytest

from pulsebook.archive import index
from pulsebook.archive.record import Record, folder_of
from pulsebook.base.settings import ROOT, settings
from pulsebook.catalogue import SOURCES
from pulsebook.chat.ledger import Ledger
from pulsebook.cli import main
from pulsebook.cli.doctor import airflow, expected, here, servers, sources
from pulsebook.cli.doctor.findings import Check, Finding, Wrong, examine
from pulsebook.incidents.store import Store
from pulsebook.local.server import running
from pulsebook.warehouse import Warehouse
from pulsebook.warehouse.etl_tables import etl_table, tables
from tests.clickhouse import clickhouse_server, user
from tests.conftest import PASSWORD
from tests.object_store import object_store, objects
from tests.test_servers import SOURCE_USER, TARGET_USER, granted, guided, with_grants

TOKEN = "123456789:AAF-a_secret-token_of-the-bot_01234"
GROUP = {"type": "supergroup", "title": "The team", "is_forum": True, "permissions": {"can_send_messages": True}}
PROFILE = dict(gender=1, age=20, country="Russia", city="Moscow", os="iOS", source="ads", exp_group=1)
EVENTS = (
    "user_id UInt32, post_id UInt32, receiver_id UInt32, action String, time DateTime, gender Int8, age Int16, "
    "country String, city String, os String, source String, exp_group Int8"
)


class Bot:
    """A Bot API that only answers questions; `answers` by method, `asked` in order."""

    def __init__(self):
        self.asked, self.url = [], ""
        self.answers = {
            "getMe": {"ok": True, "result": {"id": 7, "username": "the_bot"}},
            "getChat": {"ok": True, "result": dict(GROUP)},
            "getChatMember": {"ok": True, "result": {"status": "member"}},
        }


@contextmanager
def bot_that_answers():
    bot = Bot()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            fields = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            _, token, method = self.path.split("/")
            bot.asked.append((method, fields))
            known = bot.answers.get(method, {"ok": False, "error_code": 404, "description": "Not Found"})
            wrong = {"ok": False, "error_code": 401, "description": "Unauthorized"}
            body = json.dumps(known if token == f"bot{TOKEN}" else wrong).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    bot.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bot
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def bot():
    with bot_that_answers() as server:
        yield server


def events_of(hours_ago: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    at = int(time.time() - 3600 * hours_ago)
    feed = pd.DataFrame([dict(user_id=1, post_id=1, action="view", time=at, **PROFILE)])
    return feed, pd.DataFrame([dict(user_id=1, receiver_id=2, time=at, **PROFILE)])


@pytest.fixture
def world(configured, fill, execute, databases, bot, monkeypatch, tmp_path):
    """An installation in which all is well, and what tests need to break it."""
    fill(*events_of(1), receiver="reciever_id")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))  # no database yet: there are no Connections
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(ROOT / "pulsebook" / "airflow" / "plugins"))
    configured(telegram_token=TOKEN, telegram_chat_id="-42", telegram_api_url=bot.url, telegram_thread_id=5)
    for name in tables():
        etl_table(Warehouse.target(), name)
    Ledger()
    Store()
    names = SimpleNamespace(source=databases[0], target=databases[1])
    return SimpleNamespace(
        configured=configured, fill=fill, execute=execute, bot=bot, patch=monkeypatch, tmp=tmp_path, **vars(names)
    )


@pytest.fixture
def doctor(capsys):
    """Runs the command; returns its exit code and findings by check."""

    def run() -> tuple[int, list[dict]]:
        code = main(["doctor", "--json"])
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err and "hidden-pw" not in said.out + said.err
        return code, json.loads(said.out)

    return run


def wrong(found: list[dict]) -> list[tuple[str, str]]:
    return [(one["check"], one["text"]) for one in found if one["status"] == "wrong"]


def scratch_tables(world) -> str:
    return world.execute(f"SELECT name FROM system.tables WHERE database = '{world.target}' AND name LIKE '%scratch%'")


def test_a_healthy_installation_is_well_and_stays_as_it_is(world, doctor):
    Record.open(folder_of(settings().outputs, "etl", "2026-11-22", "run"), "load", 1, notebook="n.ipynb", parameters={}).close("succeeded")  # fmt: skip
    index.rebuild(settings().outputs)
    before = sorted(map(str, settings().outputs.rglob("*")))
    listed = world.execute(f"SELECT name FROM system.tables WHERE database = '{world.target}' ORDER BY name")
    code, found = doctor()
    assert not wrong(found) and code == 0
    assert [one["check"] for one in found if one["status"] == "skipped"] == ["connections"]
    said = {one["check"]: one["text"] for one in found}
    assert "receiver spelt reciever_id" in said["source messages"] and "index of 1 days" in said["archive runs"]
    assert said["target tables"].startswith("11 as expected; the next runs make slot_metrics")
    assert said["chat"] == "The team (supergroup): the bot is member and may post, topic 5"
    assert sorted(map(str, settings().outputs.rglob("*"))) == before
    assert world.execute(f"SELECT name FROM system.tables WHERE database = '{world.target}' ORDER BY name") == listed
    assert {method for method, _ in world.bot.asked} == {"getMe", "getChat", "getChatMember"}, "nothing is posted"


def test_the_monitor_is_asked_for_nothing_but_an_answer(world, doctor):
    world.configured(heartbeat_url=f"{world.bot.url}/a-ping-key")
    code, found = doctor()
    (said,) = [one["text"] for one in found if one["check"] == "monitor"]
    assert code == 0 and said == f"{world.bot.url} answers; each DAG has a path of its own there"
    assert {method for method, _ in world.bot.asked} == {"getMe", "getChat", "getChatMember"}


def test_lines_for_people_and_the_exit_code(world, capsys):
    assert main(["doctor"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "nothing is wrong" and all(re.match(r"(ok|--)  [a-z ]+: \S", line) for line in lines)
    world.configured(telegram_thread_id=-1)
    assert main(["doctor"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert re.match(r"1 of \d+ lines need", last) and [line for line in lines if line.startswith("!!  chat: expected ")]


# -- what can be wrong: how it is broken, the line that says so


def stranger(world):
    address = settings().clickhouse_url.get_secret_value().partition("//")[2].rpartition("@")[2]
    world.configured(clickhouse_url=f"http://nobody:hidden-pw@{address}")


def column_gone(world):
    world.execute(f"ALTER TABLE {world.source}.message_actions DROP COLUMN city")


def receiver_gone(world):
    world.execute(f"ALTER TABLE {world.source}.message_actions DROP COLUMN reciever_id")


def other_type(world):
    world.execute(f"ALTER TABLE {world.source}.feed_actions DROP COLUMN action")
    world.execute(f"ALTER TABLE {world.source}.feed_actions ADD COLUMN action Array(UInt8)")


def own_column(table: str, change: str):
    return lambda world: world.execute(f"ALTER TABLE {world.target}.{table} {change}")


def clock_off(world):
    world.patch.setattr(servers, "time", SimpleNamespace(time=lambda: time.time() - 7200))


def other_rules(world):
    day = SimpleNamespace(
        **{name: getattr(servers.today(), name) for name in ("zone", "start")}, end=servers.today().start
    )
    other = type("Day", (), {**vars(day), "__str__": lambda self: "2026-11-22", "__add__": lambda self, n: self})()
    world.patch.setattr(servers, "today", lambda: other)


def archive_is_a_file(world):
    (world.tmp / "file").write_text("")
    world.configured(outputs=world.tmp / "file")


def archive_below_a_file(world):
    (world.tmp / "file").write_text("")
    world.configured(outputs=world.tmp / "file" / "outputs")


def index_damaged(world):
    index.rebuild(settings().outputs)
    (settings().outputs / ".index" / "overview.js").write_text("nonsense")


def record_of_another_format(world):
    record = Record.open(folder_of(settings().outputs, "etl", "2026-11-22", "run"), "load", 1, notebook="n.ipynb", parameters={})  # fmt: skip
    record.close("succeeded")
    index.update(settings().outputs, record)
    record.path.write_text('{"notebook": 7}')


def no_room(world):
    world.patch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10_000_000))


def bad_token(world):
    world.configured(telegram_token="123456789:AAF-another_token_that-nobody-knows_01")


def answers(method: str, code: int = 0, description: str = "", **result):
    given = {"ok": False, "error_code": code, "description": description, "parameters": result} if code else {"ok": True, "result": result}  # fmt: skip
    return lambda world: world.bot.answers.update({method: given})


def other_version(world):
    version = here.metadata.version
    world.patch.setattr(here.metadata, "version", lambda name: "1.4.2" if name == "papermill" else version(name))


def package_missing(world):
    def version(name):
        raise here.metadata.PackageNotFoundError(name)

    world.patch.setattr(here.metadata, "version", version)


def environment(name: str, value: str):
    return lambda world: world.patch.setenv(name, value)


def setting(**values):
    return lambda world: world.configured(**values)


def other_driver(world):
    world.patch.setattr(airflow.Connections, "look_up", lambda self: "none")  # which would wait for that server
    world.patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://a:hidden-pw@127.0.0.1:9/a")


BROKEN = {
    "no server": (setting(clickhouse_url="http://127.0.0.1:9"), "server", "no connection.*PULSEBOOK_CLICKHOUSE_URL"),
    "wrong user": (stranger, "server", "to accept the user nobody"),
    "clock": (clock_off, "clock of server", r"7,\d{3} s ahead"),
    "zone rules": (other_rules, "zone rules of server", "to begin and end at midnight in Europe/Moscow"),
    "no source database": (setting(source_database="nowhere"), None, "PULSEBOOK_SOURCE_DATABASE"),
    "no table": (lambda w: w.execute(f"DROP TABLE {w.source}.feed_actions"), "source feed", "expected the event table"),
    "no column": (column_gone, "source messages", "lacks city"),
    "no receiver": (receiver_gone, "source messages", "lacks receiver_id"),
    "a type that cannot be counted": (other_type, "source feed", "as pulsebook/catalogue/ describes it"),
    "no events": (lambda w: w.fill(*(f[:0] for f in events_of(1))), None, "an empty table"),
    "old events": (lambda w: w.fill(*events_of(24 * 9)), None, "216 hours old"),
    "events of tomorrow": (lambda w: w.fill(*events_of(-3)), None, "3 hours in the future"),
    "type of our table": (own_column("metrics_by_dimension", "MODIFY COLUMN views String"), "target tables", "metrics_by_dimension .*views is String, not UInt64"),
    "column of our table": (own_column("incidents", "DROP COLUMN state"), "target tables", "incidents .*state String is missing"),
    "engine": (setting(table_engine="ReplicatedMergeTree('/x/{shard}/{table}', '{replica}')"), "table engine", "is MergeTree"),
    "archive is a file": (archive_is_a_file, "archive", "to be written, read and listed"),
    "archive below a file": (archive_below_a_file, "archive", "to be there or to be made"),
    "disk": (no_room, "archive space", "0.01 GB"),
    "index": (index_damaged, "archive runs", "archive verify"),
    "record": (record_of_another_format, "archive runs", "is no run record"),
    "token": (bad_token, "bot", "401 Unauthorized.*PULSEBOOK_TELEGRAM_TOKEN"),
    "no Bot API": (setting(telegram_api_url="http://127.0.0.1:9"), "bot", "no answer .*PULSEBOOK_TELEGRAM_API_URL"),
    "no monitor": (setting(heartbeat_url="http://127.0.0.1:9/a-ping-key"), "monitor", "no answer .*PULSEBOOK_HEARTBEAT_URL"),
    "no chat": (answers("getChat", 400, "Bad Request: chat not found"), "chat", "chat not found"),
    "moved chat": (answers("getChat", 400, "Bad Request: upgraded", migrate_to_chat_id=-1007), "chat", "new id is -1007"),
    "bot not in chat": (answers("getChatMember", status="left"), "chat", "a bot that is left"),
    "bot may not post": (answers("getChatMember", status="restricted", can_send_messages=False), "chat", "no texts and no pictures"),
    "nobody may post": (answers("getChat", **GROUP | {"permissions": {"can_send_photos": False}}), "chat", "no pictures"),
    "a channel's reader": (answers("getChat", **GROUP | {"type": "channel"}), "chat", "without the right to post"),
    "topic": (answers("getChat", **GROUP | {"is_forum": False}), "chat", "a chat without topics"),
    "version": (other_version, "versions", r"found papermill 1\.4\.2 \(pinned: 2\.\d.*make install"),
    "package": (package_missing, "versions", "pandas is missing"),
    "misspelt setting": (environment("PULSEBOOK_TELEGRAM_TOKNE", "x"), "settings", "PULSEBOOK_TELEGRAM_TOKEN meant"),
    "DAGs": (environment("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "docs")), "airflow dags", "our DAGs in .*/docs"),
    "plugins": (environment("AIRFLOW__CORE__PLUGINS_FOLDER", str(ROOT / "docs")), "airflow plugins", "Notebook tab"),
    "Celery": (environment("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor"), "airflow", "no AIRFLOW__API_AUTH__JWT_SECRET"),
    "driver": (other_driver, "airflow", r"postgresql\+psycopg2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_the_line_that_says_so(name, world, doctor):
    broken, check, says = BROKEN[name]
    broken(world)
    code, found = doctor()
    expected_lines = [check] if check else [f"source {source}" for source in SOURCES]
    assert [line for line, _ in wrong(found)] == expected_lines, found
    assert all(re.search(says, text) and text.startswith("expected ") for _, text in wrong(found)), wrong(found)
    assert code == 1 and not scratch_tables(world)


def test_settings_that_cannot_be_used_end_it_with_a_line(world, doctor):
    world.patch.setenv("PULSEBOOK_TIMEZONE", "Mars/Olympus")
    settings.cache_clear()
    code, found = doctor()
    assert code == 1 and [check for check, _ in wrong(found)] == ["settings"] and "PULSEBOOK_TIMEZONE" in str(found)


def test_a_run_that_was_killed_is_reported_and_not_wrong(world, doctor):
    index.rebuild(settings().outputs)
    record = Record.open(folder_of(settings().outputs, "etl", "2026-11-22", "run"), "load", 1, notebook="n.ipynb", parameters={}, pid=2**22 - 1)  # fmt: skip
    index.update(settings().outputs, record)
    code, found = doctor()
    assert code == 0 and "1 that were killed are closed by the next run" in str(found)
    assert Record.load(record.path).status == "running", "it only looks"


# -- the target


def test_what_the_next_run_changes_is_said_and_is_not_wrong(world, doctor):
    world.execute(f"ALTER TABLE {world.target}.staging_feed ADD COLUMN more String")
    world.execute(f"DROP TABLE {world.target}.chat_messages")
    code, found = doctor()
    (text,) = [one["text"] for one in found if one["check"] == "target tables"]
    assert (
        code == 0 and "changes staging_feed (DROP COLUMN more) and empties it" in text and "make chat_messages" in text
    )


def test_a_database_that_is_still_to_be_made_is_not_made(world, doctor):
    name = f"later_{uuid.uuid4().hex[:8]}"
    world.configured(target_database=name)
    code, found = doctor()
    assert code == 0 and f"the database {name} does not exist yet" in str(found)
    assert name not in world.execute("SHOW DATABASES")


def test_tables_that_notebooks_make_are_known_with_their_columns(tmp_path):
    code = """
TABLE = f"{DATABASE}.churn"
target.ensure(TABLE, {"event_date": "Date", "users": "UInt64"}, partition="event_date", order="users", refill=True)
target.ensure(f"{DATABASE}.sums", {"users": "UInt64"}, partition="users", order="users")
"""
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path / "churn.ipynb")
    found = {table.name: table for table in expected.tables(tmp_path)}
    assert found["churn"].refill and found["churn"].columns == {"event_date": "Date", "users": "UInt64"}
    assert (
        not found["user_activity"].refill
        and not found["sums"].refill
        and found["staging_users"].refill
        and not found["metrics_by_dimension"].refill
    )
    assert list(found["slot_metrics"].columns) == ["slot", "metric", "value", "base", "collected"]
    assert found.keys() == {*tables(), "slot_metrics", "chat_messages", "reported", "incidents", "churn", "sums"}


@pytest.mark.slow
def test_the_rights_of_the_guide_are_enough_and_a_missing_one_is_named(tmp_path, monkeypatch, doctor, outputs):
    """On a server whose user has precisely the rights of docs/grants.md, or one less."""
    grants = granted(SOURCE_USER, TARGET_USER)
    with running(tmp_path / "warehouse") as url:
        for name in ("simulator", "test"):
            Warehouse(url).execute(f"CREATE DATABASE {name}")
        for name in ("feed_actions", "message_actions"):
            Warehouse(url).execute(f"CREATE TABLE simulator.{name} ({EVENTS}) ENGINE = MergeTree ORDER BY time")
            Warehouse(url).execute(f"INSERT INTO simulator.{name} (user_id, time) SELECT 1, now()")

    def without(right: str, grant: str) -> str:
        names, _, where = grant.removeprefix("GRANT ").partition(" ON ")
        return f"GRANT {', '.join(name for name in names.split(', ') if name != right)} ON {where}"

    def of_servers(*rights: str) -> list[tuple[str, str]]:
        with with_grants(tmp_path, *rights) as url:
            monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", url)
            settings.cache_clear()
            _, found = doctor()
            left = "doctor__scratch" in Warehouse(url).read("SHOW TABLES FROM test").to_string()
            assert not left
            return [line for line in wrong(found) if not line[0].startswith("airflow")]

    assert of_servers(*grants) == []
    for right in ("INSERT", "ALTER DELETE", "ALTER MODIFY COLUMN", "TRUNCATE", "CREATE DATABASE", "CREATE TABLE"):
        fewer = [without(right, grant) for grant in grants]
        ((check, text),) = of_servers(*fewer)
        assert check == "target rights" and f"GRANT {right} ON test.* TO default" in text
    ((check, text),) = of_servers(*(grant for grant in grants if "feed_actions" not in grant))
    assert check == "source feed" and "GRANT SELECT ON simulator.feed_actions TO default" in text


@pytest.mark.slow
def test_a_table_that_cannot_be_dropped_is_named(tmp_path, monkeypatch, doctor, outputs):
    with running(tmp_path / "warehouse") as url:
        Warehouse(url).execute("CREATE DATABASE test")
    fewer = [grant.replace("DROP TABLE, ", "") for grant in granted(TARGET_USER)]
    with with_grants(tmp_path, *fewer) as url:
        monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", url)
        settings.cache_clear()
        _, found = doctor()
        (text,) = [text for check, text in wrong(found) if check == "target rights"]
        (left,) = Warehouse(url).read("SHOW TABLES FROM test").iloc[:, 0]
    assert (
        f"test.{left}, which could not be dropped (drop it)" in text and "GRANT DROP TABLE ON test.* TO default" in text
    )


@pytest.mark.skipif("PULSEBOOK_TEST_SERVER" not in os.environ, reason="`make test-server` runs these")
def test_on_an_old_server_the_users_of_the_guide_are_enough_and_fewer_rights_are_named(world, doctor, tmp_path):
    users = "".join(
        (
            user(SOURCE_USER, PASSWORD, guided(SOURCE_USER)),
            user(TARGET_USER, PASSWORD, guided(TARGET_USER)),
            user("elsewhere", PASSWORD, guided(TARGET_USER).replace("test", "other")),
        )
    )
    with clickhouse_server(tmp_path / "old", users=users, profiles=guided("profiles")) as url:
        server = Warehouse(url)
        for name in ("simulator", "test", "other"):
            server.execute(f"CREATE DATABASE {name}")
        for name in ("feed_actions", "message_actions"):
            server.execute(f"CREATE TABLE simulator.{name} ({EVENTS}) ENGINE = MergeTree ORDER BY time")
            server.execute(f"INSERT INTO simulator.{name} (user_id, time) SELECT 1, now()")
        of = {name: url.replace("//", f"//{name}:{quote(PASSWORD, safe='')}@") for name in (SOURCE_USER, TARGET_USER, "elsewhere")}  # fmt: skip
        for target, database, lines in (
            (of[TARGET_USER], "test", []),
            (of[SOURCE_USER], "simulator", ["target rights"]),  # reads only
            (of["elsewhere"], "test", ["target rights", "target tables"]),
            (of[TARGET_USER].replace("@", "1@"), "test", ["target server"]),
        ):
            where = dict(source_url=of[SOURCE_USER], source_database="simulator", target_database=database)
            world.configured(clickhouse_url=target, **where)
            _, found = doctor()
            assert [check for check, _ in wrong(found)] == lines, wrong(found)
        assert server.read("SHOW TABLES FROM test").empty


# -- the archive in an object store


def test_an_archive_in_an_object_store_is_tried_and_left_as_it_was(world, doctor):
    with object_store() as variables:
        for name, value in variables.items():
            world.patch.setenv(name, value)
        world.configured(outputs="s3://pulsebook/archive")
        code, found = doctor()
        assert code == 0 and "s3://pulsebook/archive can be written" in str(found) and not objects(variables)
        world.configured(outputs="s3://nowhere/archive")
        code, found = doctor()
    assert [check for check, _ in wrong(found)] == ["archive"] and "PULSEBOOK_OUTPUTS" in str(wrong(found))


# -- the chat and Airflow


def test_without_a_token_the_page_is_named_and_nobody_is_asked(world, doctor):
    world.configured(telegram_token="")
    code, found = doctor()
    assert code == 0 and str(settings().outputs / "chat" / "index.html") in str(found) and not world.bot.asked


def test_the_operations_chat_is_looked_at_too(world, doctor):
    world.configured(telegram_ops_chat_id="-43")
    code, found = doctor()
    assert code == 0 and {"chat", "operations chat"} < {one["check"] for one in found}
    assert {fields["chat_id"] for method, fields in world.bot.asked if method == "getChat"} == {"-42", "-43"}


@pytest.mark.slow
def test_settings_of_airflows_connections_are_looked_at(world, doctor):
    address = re.search(r"127\.0\.0\.1:\d+", settings().clickhouse_url.get_secret_value())[0]
    world.patch.setenv("AIRFLOW_CONN_PULSEBOOK_SOURCE", f"http://nobody:hidden-pw@{address}")
    binary = os.path.join(os.path.dirname(sys.executable), "airflow")
    subprocess.run([binary, "db", "migrate"], capture_output=True, check=True, cwd=world.tmp)
    code, found = doctor()
    said = {one["check"]: one["text"] for one in found}
    assert said["connections"].startswith("they say PULSEBOOK_SOURCE_URL")
    assert "PULSEBOOK_SOURCE_URL from Airflow's Connections" in said["settings"]
    assert [check for check, _ in wrong(found)] == ["source server"] and "nobody" in said["source server"]
    assert "PULSEBOOK_SOURCE_URL" not in os.environ


def test_without_an_airflow_nothing_of_it_is_made(world, doctor, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        monkeypatch.delenv(name)
    code, found = doctor()
    assert code == 0 and {one["status"] for one in found if one["check"].startswith("airflow")} == {"skipped"}
    assert not (world.tmp / "airflow").exists()


def test_airflow_cfg_counts_where_no_variable_does(world):
    world.patch.delenv("AIRFLOW__CORE__DAGS_FOLDER")
    (world.tmp / "airflow").mkdir()
    (world.tmp / "airflow" / "airflow.cfg").write_text("[core]\ndags_folder = {AIRFLOW_HOME}/mine%%\n")
    assert airflow.option("core", "dags_folder") == f"{world.tmp / 'airflow'}/mine%%"
    with pytest.raises(Wrong, match="no folder .*/mine"):
        airflow.dags()


# -- how checks are run


def test_a_check_that_hangs_or_breaks_is_a_line_and_stops_no_other():
    def breaks():
        raise KeyError("x")

    def leaves():
        raise SystemExit(3)

    started = time.monotonic()
    found = list(
        examine(
            [
                Check("hangs", lambda: time.sleep(5) or "", limit=0.2),
                Check("breaks", breaks),
                Check("leaves", leaves),
                Check("later", lambda: "fine", after=("breaks",)),
                Check("well", lambda: "fine"),
            ]
        )
    )
    assert [(one.check, one.status) for one in found] == [
        ("hangs", "wrong"), ("breaks", "wrong"), ("leaves", "wrong"), ("later", "skipped"), ("well", "ok"),
    ]  # fmt: skip
    assert "within 0.2 s" in found[0].text and "KeyError: 'x'" in found[1].text and time.monotonic() - started < 4


def test_a_server_that_never_answers_is_given_up(world, doctor, monkeypatch):
    monkeypatch.setattr(servers, "STATEMENT", 0.3)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        world.configured(source_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        _, found = doctor()
    assert [check for check, _ in wrong(found)] == ["source server"] and "no answer within 0.3 s" in str(wrong(found))


def test_a_finding_is_one_line_without_secrets(world):
    assert list(examine([Check("x", lambda: f"a\nb {TOKEN}")])) == [Finding("x", "ok", "a b [redacted]")]


def test_the_newest_event_is_found_where_the_last_days_have_none(world):
    world.fill(*events_of(100))
    both = servers.servers_of(settings())
    assert round(sources._age(both.source, f"{world.source}.feed_actions")) == 100
