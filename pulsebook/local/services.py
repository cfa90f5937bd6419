"""Airflow on this machine: its commands, its environment, its services on loopback, and whether they are well.

Nothing of an Airflow that the shell may be set up for gets in: neither its database nor its executor.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests

from pulsebook.base.settings import ROOT
from pulsebook.local.processes import ProcessGroup

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
LOGIN = "admin"
LOCAL_SETTINGS = Path(__file__).parent / "sqlite"  # where Airflow finds its local settings
PAUSED = "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"
SERVICES = ("api-server", "tasks-api-server", "dag-processor", "scheduler")
PAGES, EXECUTION = "AIRFLOW__API__BASE_URL", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"


def sample_only(url: str) -> dict[str, str]:
    """Settings for work on sample data, which win over those of `.env`: the embedded warehouse, nobody's chat, and a
    folder as archive, this project's own unless the environment names one."""
    outputs = os.environ.get("PULSEBOOK_OUTPUTS", "")
    return {
        "PULSEBOOK_CLICKHOUSE_URL": url,
        "PULSEBOOK_SOURCE_URL": "",
        "PULSEBOOK_TABLE_ENGINE": "MergeTree",
        "PULSEBOOK_TELEGRAM_TOKEN": "",
        "PULSEBOOK_HEARTBEAT_URL": "",
        "PULSEBOOK_OUTPUTS": str(ROOT / "outputs") if not outputs or "://" in outputs else outputs,
    }


def environment(home: Path, dags: Path = ROOT / "dags") -> dict[str, str]:
    """For commands of an Airflow on SQLite in `home`, with these DAGs and nothing else."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "AIRFLOW_HOME": str(home),
        # a writer waits for the others this many seconds before it gives up with "database is locked"; 5 are too few
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONWARNINGS": "ignore",
    }


def commanded(home: Path, dags: Path = ROOT / "dags") -> dict[str, str]:
    """For commands beside services that use the same database."""
    return {
        **environment(home, dags),
        "PYTHONPATH": os.pathsep.join(map(str, (LOCAL_SETTINGS, LOCAL_SETTINGS.parents[2]))),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "pulsebook" / "airflow" / "plugins"),
    }


def served(home: Path, port: int, dags: Path = ROOT / "dags", users: str = f"{LOGIN}:admin") -> dict[str, str]:
    """For the services of an Airflow whose pages are on `port`, with the review and a login per user."""
    address = f"http://127.0.0.1:{port}"
    return {
        **commanded(home, dags),
        PAUSED: "False",  # a new DAG runs without being switched on
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",  # seconds after which new files are looked for
        EXECUTION: f"http://127.0.0.1:{free_port()}/execution/",
        PAGES: address,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(home)),
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # seconds; a task waits so long for the one before it
        "AIRFLOW__API__WORKERS": "1",
        # Airflow counts looks of a task that waits as starts at which it found no DAG; see docs/operators.md
        "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "120",
    }


def passwords_file(home: Path) -> Path:
    return home / "passwords.json"


def passwords(home: Path, *users: str) -> dict[str, str]:
    """The users' passwords: made at random where there are none yet, and kept in a file that only its owner can read."""
    file = passwords_file(home)
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if missing := [user for user in users if user not in known]:
        home.mkdir(parents=True, exist_ok=True)
        known |= {user: secrets.token_urlsafe(12) for user in missing}
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
            os.fchmod(opened.fileno(), 0o600)
            json.dump(known, opened)
    return known


def warehouse_password(file: Path) -> str:
    """The embedded warehouse's: made at random where there is none yet, in a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(secrets.token_urlsafe(18) + "\n")
    try:
        os.link(new, file)  # whole, and only where there is none
    except FileExistsError:
        file.chmod(0o600)
    finally:
        new.unlink()
    return file.read_text("utf-8").strip()


def how_to_query(address: str, file: Path) -> str:
    """What a person needs to ask the embedded warehouse something."""
    return f"""curl -u "default:$(cat '{file}')" {address} -d 'SHOW DATABASES'"""


def run(environment: dict[str, str], *words: str) -> str:
    """Run a command of Airflow to its end; returns what it printed.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    home = Path(environment["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([AIRFLOW, *words], env=environment, capture_output=True, text=True, cwd=home)
    if done.returncode:
        raise RuntimeError(f"airflow {' '.join(words)} failed:\n{(done.stdout + done.stderr).strip()[-6000:]}")
    return done.stdout


def start(group: ProcessGroup, environment: dict[str, str], triggerer: bool = False) -> None:
    """Start the API server for people and the one for tasks, DAG processor and scheduler.

    On SQLite the two cannot be one process: a click would wait, and all else with it, for the request of a task that has
    written and can end its transaction only after the click, until SQLite gives up. The triggerer waits for what none of
    our DAGs needs; Airflow's first page calls its absence ill health.
    """
    for name in (*SERVICES, *(["triggerer"] if triggerer else [])):
        start_one(name, group, environment)


def start_one(name: str, group: ProcessGroup, environment: dict[str, str]) -> None:
    """Start one of the services."""
    people, tasks = (str(urlsplit(environment[address]).port) for address in (PAGES, EXECUTION))
    words = {
        "api-server": ["api-server", "--apps", "core", "--port", people],
        "tasks-api-server": ["api-server", "--apps", "execution", "--port", tasks],
        "dag-processor": ["dag-processor"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "triggerer": ["triggerer", "--skip-serve-logs"],
    }[name]
    group.start(name, [AIRFLOW, *words], environment, cwd=Path(environment["AIRFLOW_HOME"]))


def healthy(environment: dict, parts: tuple[str, ...] = ("metadatabase", "scheduler", "dag_processor")) -> bool:
    """Whether both API servers answer and the parts all say that they are well."""
    try:
        health = requests.get(f"{environment[PAGES]}/api/v2/monitor/health", timeout=10).json()
        tasks = requests.get(f"{environment[EXECUTION]}health", timeout=10)
    except (requests.RequestException, ValueError):  # not listening yet
        return False
    return tasks.ok and all((health.get(part) or {}).get("status") == "healthy" for part in parts)


def bearer(address: str, user: str, password: str) -> dict[str, str]:
    """Headers of a user who has logged in."""
    login = requests.post(f"{address}/auth/token", json={"username": user, "password": password}, timeout=60)
    login.raise_for_status()
    return {"Authorization": f"Bearer {login.json()['access_token']}"}


def free_port(wish: int = 0, whose: str = "") -> int:
    """The port wished for, or any other where that one is taken, which is then said."""
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            port = probe.getsockname()[1]
        if wish and port != wish and whose:
            print(f"port {wish} is taken by another program: {whose} listens on {port} this time", flush=True)
        return port
    raise RuntimeError("expected a free port on loopback, found none")
