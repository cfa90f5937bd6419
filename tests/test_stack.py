"""What `make up` starts, `make down` ends: whatever died meanwhile, whatever ignores being asked, whatever was forked."""

import json
import os
import re
import runpy
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pulsebook import cli
from pulsebook.base import embedded
from pulsebook.base.settings import ROOT, Settings, settings
from pulsebook.local import demo, lab, sample, services, shared, stack, week
from pulsebook.local.live import Plan
from pulsebook.local.processes import MARK, Member, ProcessError, ProcessGroup

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = f"""
import subprocess, sys, time
for session in (False, True):
    subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=session)
print("up", flush=True); time.sleep(600)"""
PLAIN = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture
def group(tmp_path):
    group = ProcessGroup(tmp_path / "up")
    yield group
    group.stop(grace=0.2)


def start(group: ProcessGroup, name: str, program: str = PLAIN, lines: int = 1):
    """A member that has got so far as to say so many times that it is up."""
    started = group.start(name, [sys.executable, "-c", program], dict(os.environ), group.folder)
    group.wait_for(lambda: group.log(name).read_text().count("up") >= lines, 20, f"{name} up")
    return started


def marked(mark: str) -> list[str]:
    """All processes of this machine that carry a group's mark, found another way than by the group itself."""
    found = subprocess.run(["grep", "-lsa", f"{MARK}={mark}", *map(str, Path("/proc").glob("[0-9]*/environ"))],
                           capture_output=True, text=True).stdout  # fmt: skip
    return found.split()


def test_all_that_a_group_has_started_ends_with_it_also_when_half_of_it_is_dead(group):
    start(group, "plain")
    start(group, "stubborn", STUBBORN)
    parent = start(group, "parent", PARENT, lines=3)
    assert len(marked(group.mark)) == 5
    parent.send_signal(signal.SIGKILL)  # its two children live on, one of them in a session of its own
    parent.wait()
    later = ProcessGroup.load(group.folder)
    assert later.dead() == ["parent"]
    began = time.monotonic()
    assert later.stop("plain", grace=1) == 4
    assert time.monotonic() - began < 8 and marked(group.mark) == []
    assert ProcessGroup.load(group.folder) is None


def test_a_process_that_only_has_the_number_of_a_dead_member_is_left_alone(group):
    start(group, "plain")
    stranger = subprocess.Popen([sys.executable, "-c", PLAIN], start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        group.members.append(Member("gone", stranger.pid))
        assert group.dead() == ["gone"] and group.stop(grace=1) == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_member_that_ends_too_early_is_named_with_its_last_words(group):
    group.start("brief", [sys.executable, "-c", "raise SystemExit('no such port')"], dict(os.environ), group.folder)
    with pytest.raises(ProcessError, match=r"brief has ended; this is the end of its log, .*brief\.log:\nno such port"):
        group.wait_for(lambda: False, 20, "something")
    start(group := ProcessGroup(group.folder), "plain")
    with pytest.raises(ProcessError, match="expected within 0.1 s: a miracle; the logs are in"):
        group.wait_for(lambda: False, 0.1, "a miracle")
    group.stop()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stack in a folder of its own whose one process is a plain one; it says how it is to start."""
    monkeypatch.setattr(stack, "UP", tmp_path / "up")
    monkeypatch.setattr(stack, "HOME", tmp_path / "up" / "airflow")
    monkeypatch.setattr(stack, "ROOT", tmp_path)
    local = tmp_path / ".local"
    for module in (stack, shared):
        monkeypatch.setattr(module, "WAREHOUSE", local / "warehouse")
        monkeypatch.setattr(module, "PASSWORD", local / "warehouse.password")
        monkeypatch.setattr(module, "PLAN", local / "warehouse" / "sample.json")
    for module in (shared, lab):
        monkeypatch.setattr(module, "ROOT", tmp_path)

    def begin(group: ProcessGroup, port: int, warehouse_port: int, password: str):
        start(group, "plain")
        if (tmp_path / "broken").exists():
            raise ProcessError("the port is taken")
        group.facts = {"airflow": f"http://127.0.0.1:{port}", "warehouse": "http://127.0.0.1:1", "ready": True}
        group.save()

    monkeypatch.setattr(stack, "_start", begin)
    yield tmp_path
    stack.down()


def test_up_says_where_everything_is_and_the_password_once(folder, capsys):
    assert stack.up(0, 0) == 0
    said = capsys.readouterr().out
    password = re.search(r"password (\S+)", said)[1]
    assert services.passwords(stack.HOME, "admin") == {"admin": password}
    for what in ("http://127.0.0.1:", "chat/index.html", "index.html", "make down"):
        assert what in said
    pid = ProcessGroup.load(stack.UP).members[0].pid
    assert stack.up(0, 0) == 0
    again = capsys.readouterr().out
    assert "it is up already" in again and password not in again and "up/airflow/passwords.json" in again
    known = services.warehouse_password(stack.PASSWORD)
    assert known in said and known in again and "http://127.0.0.1:1 " in again, "how to ask the warehouse"
    assert [m.pid for m in ProcessGroup.load(stack.UP).members] == [pid]
    assert stack.down() == 0 and capsys.readouterr().out == "stopped: 1 processes\n"
    assert stack.down() == 0 and capsys.readouterr().out == "nothing is up\n"


def test_up_starts_anew_what_has_partly_died(folder, capsys):
    stack.up(0, 0)
    first = ProcessGroup.load(stack.UP)
    os.kill(first.members[0].pid, signal.SIGKILL)
    os.waitpid(first.members[0].pid, 0)
    assert stack.up(0, 0) == 0
    assert "plain has ended" in capsys.readouterr().out
    assert ProcessGroup.load(stack.UP).mark != first.mark and not ProcessGroup.load(stack.UP).dead()


def test_up_that_fails_says_why_and_leaves_nothing_behind(folder, capsys):
    (folder / "broken").touch()
    assert stack.up(0, 0) == 1
    assert "it is not up, and what was started is stopped: the port is taken" in capsys.readouterr().err
    assert ProcessGroup.load(stack.UP) is None and not services.passwords_file(stack.HOME).exists()
    listed = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout
    assert not listed, "no process of it"


def test_two_commands_at_a_time_do_not_meet(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stack", "down"])
    with stack._alone():
        assert stack.main() == 1
    assert "is at work here" in capsys.readouterr().err
    assert stack.main() == 0


@pytest.mark.parametrize("module", ["demo", "lab"])
def test_a_setting_that_cannot_be_used_ends_a_command_with_one_message(module, folder, monkeypatch, capsys):
    monkeypatch.setenv("PULSEBOOK_TIMEZONE", "Mars/Phobos")
    monkeypatch.setattr("sys.argv", [module])
    monkeypatch.setattr("pulsebook.local.server.running", lambda *_, **__: settings())
    settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(ROOT / "pulsebook" / "local" / f"{module}.py", run_name="__main__")
    assert ended.value.code == 1 and capsys.readouterr().err.startswith("PULSEBOOK_TIMEZONE must be")


def test_the_login_is_random_private_kept_and_never_in_git(tmp_path):
    first = services.passwords(tmp_path / "one", "admin")
    assert len(first["admin"]) >= 16 and services.passwords(tmp_path / "two", "admin") != first
    file = services.passwords_file(tmp_path / "one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    both = services.passwords(tmp_path / "one", "admin", "viewer")
    assert both["admin"] == first["admin"] and both["viewer"] not in ("", first["admin"])
    kept = services.passwords_file(stack.HOME).relative_to(ROOT)
    subprocess.run(["git", "check-ignore", "-q", str(kept)], cwd=ROOT, check=True)


def test_the_warehouses_password_is_random_private_and_made_once(tmp_path):
    file = tmp_path / "new" / "warehouse.password"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(services.warehouse_password, [file] * 40))
    assert len(made) == 1 and len(made.pop()) >= 20 and os.listdir(file.parent) == [file.name]
    assert services.warehouse_password(file) != services.warehouse_password(tmp_path / "other")
    file.chmod(0o644)
    services.warehouse_password(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    subprocess.run(["git", "check-ignore", "-q", str(stack.PASSWORD.relative_to(ROOT))], cwd=ROOT, check=True)


def test_the_warehouse_of_the_stack_asks_for_a_password_that_nobody_else_can_read(folder, group, monkeypatch):
    monkeypatch.setattr(stack, "ROOT", ROOT)  # where the server's module lies
    url = stack._start_warehouse(group, services.free_port())
    password = services.warehouse_password(stack.PASSWORD)
    assert sample.http(url)("SELECT 1") == "1\n"
    with pytest.raises(sample.SampleError, match="Authentication failed"):
        sample.http(group.facts["warehouse"])("SELECT 1")
    dau = 20_000  # so many that each minute has events, at night too
    sample.fill(sample.http(url), 1, dau, 1, None, "Europe/Moscow", "simulator")
    Plan(1, dau, 1, datetime.now(UTC).isoformat(), "Europe/Moscow", "simulator", filled=True).save(stack.PLAN)
    feeder = [
        sys.executable,
        "-m",
        "pulsebook.local.live",
        "--url",
        group.facts["warehouse"],
        "--plan",
        str(stack.PLAN),
    ]
    feeder += ["--password-file", str(stack.PASSWORD), "--interval", "0.2"]
    group.start("live", feeder, dict(os.environ), ROOT)
    began = int(sample.http(url)("SELECT toUInt32(now())"))
    latest = "SELECT toUInt32(max(time)) FROM simulator.feed_actions"
    group.wait_for(lambda: int(sample.http(url)(latest)) > began - 60 and not group.dead(), 60, "live events")
    for member in group.members:
        assert password.encode() not in Path(f"/proc/{member.pid}/cmdline").read_bytes(), member.name
        assert password not in group.log(member.name).read_text(), member.name
    assert password not in (group.folder / "crew.json").read_text()


def test_make_warehouse_says_how_to_ask_it(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lab", "--warehouse-only", "--port", "0"])
    monkeypatch.setattr(shared, "DAYS", 1)
    monkeypatch.setattr(shared, "DAU", 100)
    said = []

    def ask_as_a_person_would():
        said.append(capsys.readouterr().out)
        command = re.search(r"curl .*", said[0])[0]
        said.append(subprocess.run(["sh", "-c", command], capture_output=True, text=True).stdout)
        return 0

    monkeypatch.setattr(lab, "_until_stopped", ask_as_a_person_would)
    assert lab.main() == 0
    password = services.warehouse_password(stack.PASSWORD)
    assert f"password {password}" in said[0] and "PULSEBOOK_CLICKHOUSE_URL=http://default:" in said[0]
    assert "simulator" in said[1].split()


def test_demo_lab_up_and_commands_use_one_warehouse_and_its_ledger(folder, monkeypatch, capsys):
    monkeypatch.setattr(shared, "DAYS", 1)
    monkeypatch.setattr(shared, "DAU", 100)
    assert embedded.url(folder) == ""
    with shared.warehouse() as url:
        assert embedded.url(folder) == url
        sample.http(url)("CREATE TABLE default.ours (x UInt8) ENGINE = MergeTree ORDER BY x")
        with shared.warehouse() as other:  # such as `make lab` beside `make demo`
            assert other == url
        assert embedded.url(folder) == url, "who has found it leaves it running"
    said = capsys.readouterr().out
    assert embedded.url(folder) == "" and "runs already, at http://127.0.0.1:" in said and "actions and" in said
    with shared.warehouse() as again:
        assert sample.http(again)("EXISTS TABLE default.ours") == "1\n", "what was there is not made anew"
    assert "actions and" not in capsys.readouterr().out
    assert demo.shared is shared and lab.shared is shared and stack.prepare is shared.prepare


def test_a_command_that_is_told_no_server_finds_the_warehouse_of_its_folder(tmp_path, server, monkeypatch, capsys):
    monkeypatch.delenv("PULSEBOOK_CLICKHOUSE_URL", raising=False)
    for module in ("pulsebook.base.settings", "pulsebook.cli"):
        monkeypatch.setattr(f"{module}.ROOT", tmp_path)
    settings.cache_clear()
    assert settings().clickhouse_url.get_secret_value() == "http://127.0.0.1:8123" and cli.which_warehouse() == ""
    port = int(server.rpartition(":")[2])
    embedded.folder(tmp_path).mkdir(parents=True)
    embedded.password_file(tmp_path).write_text("a word/@\n")
    owner = embedded.folder(tmp_path) / "owner.json"
    for known in ({}, {"pid": 999_999_999, "port": port}, {"pid": os.getpid(), "port": 1}, None):
        owner.write_text(json.dumps(known) if known is not None else "")
        settings.cache_clear()
        assert settings().clickhouse_url.get_secret_value() == "http://127.0.0.1:8123", "none runs"
        assert "does not run: `make warehouse` starts it" in cli.which_warehouse()
    owner.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    settings.cache_clear()
    url = f"http://default:a%20word%2F%40@127.0.0.1:{port}"
    assert {settings().clickhouse_url.get_secret_value(), settings().source_url.get_secret_value()} == {url}
    assert cli.which_warehouse().endswith(f"this is the warehouse of this folder, http://127.0.0.1:{port}")
    assert "a word/@" in settings().secrets
    monkeypatch.setenv("PULSEBOOK_CLICKHOUSE_URL", "http://real:8123")
    settings.cache_clear()
    assert settings().clickhouse_url.get_secret_value() == "http://real:8123" and cli.which_warehouse() == ""
    settings.cache_clear()


def test_a_port_that_is_taken_is_said(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        port = services.free_port(taken, "Airflow")
    assert port != taken
    assert capsys.readouterr().out == f"port {taken} is taken by another program: Airflow listens on {port} this time\n"


def test_a_long_phase_says_that_it_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(shared, "SPOKEN", 0.1)
    with shared.phase("counting", "a second"):
        time.sleep(0.35)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "… counting (a second)" and lines[-1].startswith("  done in 0.") and 3 <= len(lines) <= 5


@pytest.mark.slow
def test_the_week_before_is_loaded_once_with_its_evidence(server, databases, outputs, monkeypatch, capsys):
    source, target = databases
    execute = sample.http(server)
    monkeypatch.setenv("PULSEBOOK_SOURCE_DATABASE", source)
    monkeypatch.setenv("PULSEBOOK_TARGET_DATABASE", target)
    monkeypatch.setattr(week, "DAYS", 1)
    settings.cache_clear()
    sample.fill(execute, 4, 200, 1, None, settings().timezone.key, source)
    (day,) = week.missing(execute)
    week.load(
        execute,
        os.environ | {"PULSEBOOK_CLICKHOUSE_URL": server, "PULSEBOOK_OUTPUTS": str(outputs), "PYTHONPATH": str(ROOT)},
    )
    assert week.missing(execute) == [] and f"{day} is loaded" in capsys.readouterr().out
    views = f"SELECT sum(views) FROM {target}.metrics_by_dimension WHERE event_date = '{day}' AND dimension = 'os'"
    counted = f"SELECT count() FROM {source}.feed_actions WHERE action = 'view' AND {day.bounds()}"
    assert execute(views) == execute(counted) != "0\n"
    records = {path.stem: json.loads(path.read_text())["status"] for path in outputs.glob(f"etl/{day}/by_hand*/*.json")}
    assert records == dict.fromkeys(
        [
            f"{name}-try1"
            for name in (
                "extract_feed",
                "extract_messages",
                "merge_users",
                "slice_os",
                "slice_gender",
                "slice_age",
                "load",
            )
        ],
        "succeeded",
    )
    week.load(execute, {})  # nothing is missing: nothing is started


def test_sample_work_reaches_neither_a_real_airflow_nor_a_real_chat_or_warehouse(tmp_path, monkeypatch):
    for name, value in {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production/airflow",
        "AIRFLOW_CONN_PULSEBOOK_TELEGRAM": "generic://-42:token@",
        "AIRFLOW_HOME": "/production",
    }.items():
        monkeypatch.setenv(name, value)
    environment = services.served(tmp_path, 8080)
    assert "production" not in str(environment) and not any(n.startswith("AIRFLOW_CONN") for n in environment)
    assert {"127.0.0.1"} == {
        v.split("//")[-1].split(":")[0] for n, v in environment.items() if "API__" in n and ":" in v
    }

    real = "PULSEBOOK_CLICKHOUSE_URL=http://real:8123\nPULSEBOOK_SOURCE_URL=http://source:8123\n"
    real += "PULSEBOOK_OUTPUTS=s3://real/archive\nPULSEBOOK_TABLE_ENGINE=ReplicatedMergeTree\n"
    (tmp_path / ".env").write_text(f"{real}PULSEBOOK_TELEGRAM_TOKEN=1:real\nPULSEBOOK_TELEGRAM_CHAT_ID=-42\n")
    assert Settings(_env_file=tmp_path / ".env").telegram_token.get_secret_value() == "1:real", (
        "what is to be overruled"
    )
    monkeypatch.delenv("PULSEBOOK_OUTPUTS", raising=False)
    for name, value in services.sample_only("http://127.0.0.1:8123").items():
        monkeypatch.setenv(name, value)
    told = Settings(_env_file=tmp_path / ".env")
    assert {told.clickhouse_url.get_secret_value(), told.source_url.get_secret_value()} == {"http://127.0.0.1:8123"}
    assert told.telegram_token.get_secret_value() == ""
    assert told.outputs == ROOT / "outputs" and told.table_engine == "MergeTree"
