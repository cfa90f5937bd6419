"""What all tests share: one embedded warehouse, and settings that point at it."""

import os
import uuid
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
import requests
from IPython import display
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parents[1]

# Before anything imports Airflow: a home of its own, no examples, our DAGs.
os.environ.setdefault("AIRFLOW_HOME", str(ROOT / ".local" / "test-airflow"))
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from pulsebook.base.facts import Statement, read  # noqa: E402
from pulsebook.base.settings import settings  # noqa: E402
from pulsebook.cli import trial  # noqa: E402
from pulsebook.local.processes import MARK, ProcessGroup  # noqa: E402
from pulsebook.local.server import running  # noqa: E402
from tests.browser import browser  # noqa: E402, F401 (likewise)
from tests.clickhouse import clickhouse_server, user  # noqa: E402
from tests.etl import fill, final  # noqa: E402, F401 (fixtures of several modules)
from tests.services import airflow  # noqa: E402, F401 (likewise)

ANALYST = "analyst"  # a user with that password, where a server has users; the embedded one knows only `default`
USER = ANALYST if "PULSEBOOK_TEST_SERVER" in os.environ else "default"
ON_AIRFLOW = {"test_airflow.py", "test_browser.py"}
PASSWORD = "p@ss/wörd"  # needs escaping wherever it could leak; without one of its own the embedded one takes any


class Files(LoadFileScheduling):
    """A worker takes a file as a whole; those on a running Airflow are one, which mostly waits."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "airflow" if Path(file).name in ON_AIRFLOW else file


def pytest_xdist_make_scheduler(config, log):
    return Files(config, log)


def pytest_collection_modifyitems(items):
    """The files with the most slow tests come first, so that no worker is left with one at the end; what needs Airflow comes last in its unit."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    on_airflow = {item.path.name for item in items if "airflow" in item.fixturenames}
    assert on_airflow <= ON_AIRFLOW, f"expected tests on a running Airflow in {ON_AIRFLOW}, found them in {on_airflow}"

    def place(item) -> tuple:
        return item.path.name not in ON_AIRFLOW, "airflow" in item.fixturenames, -slow[item.path], item.path

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    """Airflow ends with the last test on it: it takes a third of a core from all others."""
    if "airflow" in getattr(item, "funcargs", ()) and "airflow" not in getattr(nextitem, "fixturenames", ()):
        item.funcargs["airflow"].stop()


@pytest.fixture(scope="session", autouse=True)
def fork_servers(tmp_path_factory):
    """What tests start to fork kernels from ends with them: it carries the mark of a group of processes."""
    group = ProcessGroup(tmp_path_factory.mktemp("processes"))
    os.environ[MARK] = group.mark
    yield
    group.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """URL of the embedded warehouse, without a password; of a clickhouse-server if PULSEBOOK_TEST_SERVER says so, or of the server that
    it names."""
    kind, folder = os.environ.get("PULSEBOOK_TEST_SERVER"), tmp_path_factory.mktemp("warehouse")
    if kind is None:
        started = running(folder)
    elif kind == "clickhouse-server":
        started = clickhouse_server(folder, users=user(ANALYST, PASSWORD))
    else:
        started = nullcontext(kind)
    with started as url:
        yield url


@pytest.fixture(scope="session")
def execute(server):
    """Runs a statement on the warehouse the short way; returns the answer's text."""

    def run(statement: str, **params) -> str:
        response = requests.post(server, data=statement.encode(), params=params, timeout=120)
        assert response.ok, response.text
        return response.text

    return run


def fresh_names() -> tuple[str, str]:
    """Of a source and a target database."""
    suffix = uuid.uuid4().hex[:8]
    return f"source_{suffix}", f"target_{suffix}"


@pytest.fixture
def database_names():
    """What the databases of a test are called; a module whose tests share what one has made has names of its own."""
    return fresh_names()


@pytest.fixture
def databases(execute, database_names):
    """Names of a fresh source and a fresh target database; dropped afterwards."""
    for name in database_names:
        execute(f"CREATE DATABASE {name}")
    yield database_names
    for name in database_names:
        execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def configured(monkeypatch, server, databases, tmp_path):
    """Settings for this test: call with names and values to change some. The archive goes to `tmp_path/outputs`."""

    monkeypatch.setattr(trial, "HOME", tmp_path / "try")

    def configure(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"PULSEBOOK_{name.upper()}", str(value))
        settings.cache_clear()
        return settings()

    yield (
        configure(
            clickhouse_url=server,
            source_database=databases[0],
            target_database=databases[1],
            timezone="Europe/Moscow",
            outputs=tmp_path / "outputs",
        )
        and configure
    )
    settings.cache_clear()


@pytest.fixture
def facts(monkeypatch):
    """What summaries in this process state from now on: values by metric and slice."""
    found, show = {}, display.display

    def kept(*shown, **how):
        for one in (one for one in shown if isinstance(one, Statement)):
            found.update({(fact.metric, fact.slice): fact.value for fact in read(one.stated)})
        show(*shown, **how)

    monkeypatch.setattr(display, "display", kept)
    return found


@pytest.fixture
def outputs(monkeypatch, tmp_path):
    """An archive of its own, without a warehouse."""
    monkeypatch.setattr(trial, "HOME", tmp_path / "try")
    monkeypatch.setenv("PULSEBOOK_OUTPUTS", str(tmp_path / "outputs"))
    settings.cache_clear()
    yield tmp_path / "outputs"
    settings.cache_clear()
