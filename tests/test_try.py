"""`pulsebook try`: what a notebook would do, without effect, and what differs from what is archived."""

import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import date
from zoneinfo import ZoneInfo

import nbformat
import pytest
import requests

from pulsebook.archive import diff, diff_page, diff_text
from pulsebook.archive.record import Record
from pulsebook.base.settings import ROOT, SettingsError, settings
from pulsebook.cli import main, trial
from pulsebook.cli.trial import database, gate, outcome, writes
from pulsebook.warehouse import Warehouse, WarehouseError
from tests.etl import quick
from tests.world import raw_rows

DAY = "2026-11-20"
LIKES = ("sum({metric}) AS {metric}", "sum({metric}){' + 1' if metric == 'likes' else ''} AS {metric}")


@pytest.fixture
def home(configured, execute, databases):
    """The place of tries, which no other test has."""
    yield trial.HOME
    execute(f"DROP DATABASE IF EXISTS {databases[1]}_try")


@pytest.fixture
def notebooks(configured, tmp_path):
    """A copy of the notebooks that `edited` changes, by name below it."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        copy = folder / path.relative_to(ROOT / "notebooks")
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    configured(notebooks=folder)

    def edited(name: str, before: str, after: str) -> None:
        notebook = nbformat.read(folder / name, 4)
        (cell,) = [cell for cell in notebook.cells if before in cell.source]
        cell.source = cell.source.replace(before, after)
        nbformat.write(notebook, folder / name)

    return edited


@pytest.fixture
def loaded(fill, notebooks):
    """A day that the ETL has loaded, its slice by os archived."""
    fill(*raw_rows(date.fromisoformat(DAY), ZoneInfo("Europe/Moscow")))
    quick(DAY)
    assert main(["run", "etl/slice.ipynb", "-p", f"run_date={DAY}", "-p", "dimension=os"]) == 0


@pytest.fixture
def state(execute, databases):
    """All that stands in source and target: rows by table."""

    def read() -> dict[str, list[str]]:
        names = execute(
            f"SELECT concat(database, '.', name) FROM system.tables WHERE database IN {databases} FORMAT TSV"
        )
        return {name: sorted(execute(f"SELECT * FROM {name} FORMAT TSV").splitlines()) for name in names.split()}

    return read


def left(execute, databases) -> list[str]:
    return execute(f"SELECT name FROM system.tables WHERE database = '{databases[1]}_try' FORMAT TSV").split()


@pytest.mark.slow
def test_a_try_changes_nothing_and_names_what_would_change(
    loaded, notebooks, home, state, capfd, execute, databases, tmp_path
):
    archived = {path: path.read_bytes() for path in settings().outputs.rglob("*") if path.is_file()}
    before, page = state(), tmp_path / "comparison.html"
    words = ["try", "etl/slice.ipynb", "-p", f"run_date={DAY}", "-p", "dimension=os"]
    assert main([*words, "--html", str(page)]) == 0
    assert re.search(r"facts: 0 differ, \d+ the same\n", capfd.readouterr().out)
    notebooks("etl/slice.ipynb", *LIKES)
    assert main([*words, "--html", str(page)]) == 0
    said = capfd.readouterr().out
    values = execute(
        f"SELECT dimension_value, likes FROM {databases[1]}.staging_slices WHERE dimension = 'os' FORMAT TSV"
    )
    differ = re.findall(r"^  likes · os=(.*?)  +(\d+) +(\d+) ", said, re.M)
    assert {(int(one), int(other)) for _, one, other in differ} == {
        (likes, likes + 1) for likes in (int(line.split("\t")[1]) for line in values.splitlines())
    }
    assert f"facts: {len(values.splitlines())} differ, " in said
    assert LIKES[1].split(" AS")[0] in said and "code" in said and "nothing is wrong" in said
    assert "appeared" not in said and "vanished" not in said
    assert "likes" in page.read_text() and "<script" not in page.read_text()
    assert state() == before and left(execute, databases) == []
    assert {path: path.read_bytes() for path in settings().outputs.rglob("*") if path.is_file()} == archived


@pytest.mark.story
@pytest.mark.slow
def test_steps_before_are_tried_first_where_their_rows_are_gone(loaded, home, state, capfd, execute, databases):
    for table in ("feed", "messages", "profiles", "users"):
        execute(f"ALTER TABLE {databases[1]}.staging_{table} DROP PARTITION '{DAY}'")
    before = state()
    assert main(["try", "etl/slice.ipynb", "-p", f"run_date={DAY}", "-p", "dimension=os"]) == 0
    said = capfd.readouterr().out
    assert re.findall(r"^first (\S+):", said, re.M) == [
        f"etl/{name}.ipynb" for name in ("extract_feed", "extract_messages", "merge_users")
    ]
    assert "facts: 0 differ" in said and state() == before


@pytest.mark.story
@pytest.mark.slow
def test_a_report_is_shown_and_posted_nowhere(loaded, home, state, configured, capfd):
    """With a token, an address that would be asked, and a report that the ledger says was posted."""
    assert main(["run", "reports/feed_report.ipynb", "-p", f"run_date={DAY}", "-p", "post=true"]) == 0
    configured(telegram_token="1:secret", telegram_chat_id="-100", telegram_api_url="http://127.0.0.1:9")
    before = state()
    assert main(["try", "reports/feed_report.ipynb", "-p", f"run_date={DAY}"]) == 0
    said = capfd.readouterr().out
    assert "would be posted" in said and "DAU" in said and "secret" not in said
    assert state() == before and "facts: 0 differ" in said and re.search(r"message 1: \d+ the same\n", said)


def test_what_writes_elsewhere_is_refused(loaded, home, state, capfd, databases, tmp_path):
    """Through our own client and past it, with all that the kernel's environment knows."""
    cells = [
        'run_date: str = ""',
        "import requests, os\nfrom urllib.parse import urlsplit\nfrom pulsebook.warehouse import Warehouse, WarehouseError\n"
        "from pulsebook.base.settings import settings\n"
        f"T, S = '{databases[1]}', '{databases[0]}'\n"
        "url = urlsplit(settings().clickhouse_url.get_secret_value())\n"
        "to = dict(url=f'http://{url.hostname}:{url.port}/', auth=(url.username, url.password))",
        "for sql in (f'INSERT INTO {T}.staging_users SELECT * FROM {T}.staging_users', f'DROP TABLE {T}.staging_users',\n"
        "            f'TRUNCATE TABLE {S}.feed_actions', f'ALTER TABLE {T}.staging_users DELETE WHERE 1',\n"
        "            f'WITH 1 AS x SELECT 1', f'CREATE TABLE {T}_try.x (a Int8) ENGINE = Distributed(c, {T}, y)'):\n"
        "    try:\n        Warehouse.target().execute(sql); print('done', sql)\n"
        "    except WarehouseError as error:\n        print('refused', str(error)[:300])",
        "for sql in (f'DROP TABLE {T}.staging_users', f'SELECT count() FROM {S}.feed_actions'):\n"
        "    for how in (dict(data=sql.encode()), dict(params={'query': sql}, data=b'')):\n"
        "        print(requests.post(**to, **how).status_code)\n"
        "print(requests.post(to['url'], data=b'SELECT 1').status_code)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, tmp_path / "hostile.ipynb")
    before = state()
    assert main(["try", str(tmp_path / "hostile.ipynb"), "-p", f"run_date={DAY}"]) == 0
    (path,) = home.rglob("hostile-try1.ipynb")
    first, second = ("".join(o.text for o in cell.outputs) for cell in nbformat.read(path, 4).cells[-2:])
    assert first.count("refused") == 5 and first.count("done") == 1 and "done WITH" in first, first
    assert "only tables of" in first and second.split() == ["500", "500", "200", "200", "403"]
    assert state() == before
    assert "nothing to compare with" in capfd.readouterr().out


@pytest.mark.story
@pytest.mark.slow
def test_a_try_that_is_killed_at_any_moment_leaves_nothing_that_stays(
    loaded, notebooks, home, state, execute, databases, tmp_path
):
    notebooks("etl/slice.ipynb", *LIKES)
    before = state()
    program = (
        f"from pathlib import Path; from pulsebook.cli import trial, main; trial.HOME = Path({str(home)!r}); "
        f"import sys; sys.exit(main(['try', 'etl/slice.ipynb', '-p', 'run_date={DAY}', '-p', 'dimension=os']))"
    )
    chance = random.Random(7)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", program], env=os.environ, cwd=tmp_path)
        time.sleep(chance.uniform(0.5, 7))
        child.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        child.wait(180)
    assert subprocess.run([sys.executable, "-c", program], env=os.environ, cwd=tmp_path).returncode == 0
    assert state() == before and left(execute, databases) == []
    execute(f"CREATE TABLE {databases[1]}_try.{database.MARK} (a Int8) ENGINE = TinyLog")
    assert len(trial.clean()) == 2 and left(execute, databases) == [] and not (home / "outputs").exists()
    (found,) = [Record.load(path) for path in settings().outputs.rglob("slice-try*.json")]
    assert found.status == "succeeded"


def test_what_has_changed_in_the_catalogue_since_the_archived_run_is_shown(tmp_path, monkeypatch):
    folder = tmp_path / "below" / "pulsebook" / "catalogue"
    folder.mkdir(parents=True)
    monkeypatch.setattr("pulsebook.archive.origin.ROOT", tmp_path / "below")

    def git(*words: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@y")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    for name, text in {"metrics.py": "DAU = 1\nCTR = 2\n", "alerts.py": "x = 1\n", "gone.py": "y = 1\n"}.items():
        (folder / name).write_text(text)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "before")
    archived = Record(
        path=tmp_path / "etl" / "2026-11-20" / "run" / "n-try1.json",
        notebook="n",
        parameters={},
        git_commit=git("rev-parse", "HEAD").strip(),
        git_dirty=False,
    )
    assert outcome._catalogue(archived) == ((), ())
    (folder / "metrics.py").write_text("DAU = 1\nCTR = <3>\n")
    (folder / "gone.py").unlink()
    changed, notes = outcome._catalogue(archived)
    nothing = (nbformat.v4.new_notebook(),) * 2
    found = diff.Comparison(dataclasses.replace(archived), archived, nothing, changed, notes)
    text, page = diff_text.render(found), diff_page.render(found)
    said = "pulsebook/catalogue/gone.py\n  < y = 1\n  pulsebook/catalogue/metrics.py\n  < CTR = 2\n  > CTR = <3>"
    assert said in text and "metrics.py" in page and "<3>" not in page and "alerts.py" not in page + text and not notes
    (_, (note,)) = outcome._catalogue(dataclasses.replace(archived, git_dirty=True))
    assert "may differ from that of its commit" in note
    for commit in ("unknown", "0" * 40, "--output=x"):
        changed, (note,) = outcome._catalogue(dataclasses.replace(archived, git_commit=commit))
        assert not changed and "is not compared" in note


def test_a_database_with_tables_of_others_is_never_emptied(configured, execute, databases, home):
    name = f"{databases[1]}_try"
    execute(f"CREATE DATABASE {name}")
    execute(f"CREATE TABLE {name}.precious (a Int8) ENGINE = TinyLog")
    with pytest.raises(database.Occupied, match="holds tables that no try has made.*precious"), _ready():
        pass
    assert left(execute, databases) == ["precious"]
    with pytest.raises(SettingsError, match="must be a database for tries alone"):
        configured(try_database=databases[1])


def _ready():
    return database.ready(Warehouse.target())


def test_two_tries_do_not_share_a_database(configured, home):
    with _ready(), pytest.raises(database.Occupied, match=rf"since .* \(process {os.getpid()} on"), _ready():
        pass
    with _ready():
        pass


HERE = [
    "INSERT INTO t_try.x VALUES (1)",
    "insert into table `t_try`.`x` (a, b) SELECT * FROM remote('h', test.x)",
    "INSERT INTO t_try -- where\n.y VALUES (1)",
    "INSERT INTO t_try.x FORMAT CSV\n1;2",
    "CREATE DATABASE IF NOT EXISTS t_try",
    "/* why */ CREATE TABLE IF NOT EXISTS t_try.x (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a;",
    "CREATE TABLE t_try.x AS t_try.y",
    "CREATE TABLE t_try.x AS test.y ENGINE = MergeTree ORDER BY a",
    "ALTER TABLE t_try.x REPLACE PARTITION '2026-11-20' FROM test.x",
    "DROP TABLE IF EXISTS t_try.x",
    "TRUNCATE TABLE t_try.x",
    "RENAME TABLE t_try.x TO t_try.y, t_try.z TO t_try.x",
    "EXCHANGE TABLES t_try.x AND t_try.y",
    "OPTIMIZE TABLE t_try.x FINAL",
]
ELSEWHERE = [
    "INSERT INTO test.x SELECT * FROM t_try.x",
    "INSERT INTO x VALUES (1)",
    "INSERT INTO FUNCTION remote('h', t_try.x) VALUES (1)",
    "INSERT INTO `t_try.x` VALUES (1)",
    "CREATE DATABASE test",
    "CREATE TABLE test.x (a Int8) ENGINE = Memory",
    "CREATE TABLE t_try.x (a Int8) ENGINE = Distributed(c, test, x)",
    "CREATE TABLE t_try.x (a Int8) ENGINE = Buffer(test, x, 1, 1, 1, 1, 1, 1, 1)",
    "CREATE TABLE t_try.x AS test.distributed",
    "CREATE TABLE t_try.x AS remote('h', test.x)",
    "CREATE MATERIALIZED VIEW t_try.x TO test.x AS SELECT 1",
    "ALTER TABLE t_try.x MOVE PARTITION 1 TO TABLE test.x",
    "ALTER TABLE test.x DROP PARTITION 1 -- t_try.x",
    "DROP TABLE t_try.x, test.x",
    "DROP DATABASE test",
    "DROP TABLE t_try.x; DROP TABLE test.x",
    "RENAME TABLE t_try.x TO test.x",
    "RENAME TABLE t_try.x TO t_try.y, test.x TO t_try.z",
    "EXCHANGE TABLES t_try.x AND test.x",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "GRANT ALL ON *.* TO me",
    "",
]


def test_what_writes_into_one_database_is_told_from_all_else():
    assert [sql for sql in HERE if not writes.writes_only(sql, "t_try") or writes.reads(sql)] == []
    assert [sql for sql in ELSEWHERE if writes.writes_only(sql, "t_try") or writes.reads(sql)] == []
    assert [sql for sql in HERE if writes.writes_only(sql, "") or writes.writes_only(sql, "test")] == []


def test_the_gate_hands_on_large_bodies_and_answers_as_they_are(server, execute, databases):
    name = databases[1]
    execute(f"CREATE TABLE {name}.x (a UInt64) ENGINE = Memory")
    with gate.opened(server, name) as url:
        own = Warehouse(url)
        own._post(f"INSERT INTO {name}.x FORMAT TSV", (b"%d\n" % n for n in range(300_000)), stream=False)
        own.execute(f"INSERT INTO {name}.x VALUES {', '.join(f'({n})' for n in range(200_000))}")
        assert own.scalar(f"SELECT count() FROM {name}.x") == 500_000
        frame = own.read(f"SELECT a, a AS b FROM {name}.x ORDER BY a LIMIT 200000")
        assert len(frame) == 200_000 and frame["a"].sum() == sum(n // 2 for n in range(200_000))
        with pytest.raises(WarehouseError, match="(?i)unknown|missing"):
            own.read("SELECT nothing_of_that_name")
        assert requests.get(url.replace("try:", "try:not"), params={"query": "SELECT 1"}).status_code == 403
