"""Airflow as it is set up here, seen from outside: its variables, airflow.cfg, folders, and our Connections."""

import configparser
import glob
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

from pulsebook.base.environment import variables
from pulsebook.base.redact import register_secrets_of
from pulsebook.base.settings import ROOT
from pulsebook.cli.doctor.findings import Check, Skipped, Wrong

LIMIT = 30.0  # seconds for the Connections: loading Airflow alone takes several
FILES = 2_000  # files of a DAGs folder that are looked into
NONE = "Airflow is not set up here: there is no airflow.cfg, and no variable AIRFLOW__…"


def home() -> Path:
    """Airflow's home folder."""
    return Path(variables("AIRFLOW_HOME").get("AIRFLOW_HOME") or "~/airflow").expanduser()


def config_file() -> Path:
    """Where airflow.cfg is, or would be."""
    return Path(variables("AIRFLOW_CONFIG").get("AIRFLOW_CONFIG") or home() / "airflow.cfg").expanduser()


def option(section: str, name: str, default: str = "") -> str:
    """A setting of Airflow: its variable, else what airflow.cfg says, else the default. Of one that a command or a secrets
    backend supplies (`…_CMD`, `…_SECRET`), that word."""
    variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
    for ending in ("", "_CMD", "_SECRET"):
        given = variables(variable + ending).get(variable + ending)
        if given is not None:
            return ending or given
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(config_file(), encoding="utf-8")
    return parser.get(section, name, fallback=default).replace("{AIRFLOW_HOME}", str(home()))


def _set_up() -> bool:
    return config_file().is_file() or bool(variables("AIRFLOW__"))


class Connections:
    """What Airflow's Connections supply to tasks, as variables of the environment."""

    def __init__(self):
        self.variables: dict[str, str] = {}

    def look_up(self) -> str:
        """Ask Airflow, in a process of its own."""
        if not _set_up():
            raise Skipped(NONE)
        address = option("database", "sql_alchemy_conn", f"sqlite:///{home() / 'airflow.db'}")
        file = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", address)
        if file and not Path(file[1]).is_file():
            raise Skipped("Airflow's database is not made yet (airflow db migrate), so there is no Connection")
        command = [sys.executable, "-m", "pulsebook.airflow.connections"]
        environment = {**variables(), "_AIRFLOW_PROCESS_CONTEXT": "server"}  # which may ask the database
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT - 1)
        except subprocess.TimeoutExpired:
            raise Skipped(
                f"Airflow did not say within {LIMIT - 1:g} s what its Connections are; settings are looked at without them"
            ) from None
        try:
            self.variables = json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Skipped(
                "Airflow could not say what its Connections are (`airflow connections list` says why); "
                "settings are looked at without them"
            ) from None
        register_secrets_of(self.variables)
        if not self.variables:
            return "none of pulsebook_clickhouse, pulsebook_source, pulsebook_telegram"
        return f"they say {', '.join(sorted(self.variables))} (a variable of the environment wins)"


def settings_said() -> str:
    """Where Airflow's settings come from, and whether those of several machines are complete."""
    if not _set_up():
        raise Skipped(NONE)
    executor, database = option("core", "executor", "LocalExecutor"), option("database", "sql_alchemy_conn")
    if "CeleryExecutor" in executor:
        needed = (("api_auth", "jwt_secret"), ("core", "execution_api_server_url"), ("celery", "broker_url"))
        missing = [f"AIRFLOW__{s.upper()}__{n.upper()}" for s, n in needed if not option(s, n)]
        if not database or database.startswith("sqlite"):
            missing.append("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN on PostgreSQL")
        if missing:
            raise Wrong(
                "what tasks on several machines need, the same on each",
                f"no {', no '.join(missing)}",
                "Set it: docs/operators.md, Growing up.",
            )
    if database.startswith("postgresql://"):
        raise Wrong(
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN to begin with postgresql+psycopg2://",
            "postgresql://",
            "Name the driver.",
        )
    file = config_file()
    where = f"{file}" if file.is_file() else f"no {file}"
    return f"{where}, and {len(variables('AIRFLOW__'))} variables AIRFLOW__…; {executor}"


def dags() -> str:
    """Whether Airflow's DAGs folder holds our DAGs, or files that import them."""
    if not _set_up():
        raise Skipped(NONE)
    folders = _dag_folders()
    own = {path.stem for path in (ROOT / "dags").glob("[!_]*.py")}
    do = f"Set AIRFLOW__CORE__DAGS_FOLDER={ROOT / 'dags'}, or link its files there."
    if absent := [folder for folder in folders if not Path(folder).is_dir()]:
        raise Wrong("a DAGs folder with our DAGs", f"no folder {absent[0]}", do)
    where = ", ".join(folders)
    files = itertools.chain.from_iterable(glob.iglob(f"{glob.escape(f)}/**/*.py", recursive=True) for f in folders)
    found = {Path(file).stem for file in itertools.islice(files, FILES) if re.search(r"\bpulsebook\b", _text(file))}
    if not found:
        raise Wrong(f"our DAGs in {where}", "none", do)
    if lacking := own - found:
        raise Wrong(f"all our DAGs in {where}", f"no {', no '.join(sorted(lacking))}", do)
    return f"{where} has {', '.join(sorted(found))}"


def _dag_folders() -> list[str]:
    """The folders that Airflow takes DAGs from.

    Raises:
        Skipped: they come from elsewhere.
    """
    folder = option("core", "dags_folder", str(home() / "dags"))
    try:
        bundles = json.loads(option("dag_processor", "dag_bundle_config_list") or "[]")
        local = [one["kwargs"].get("path") for one in bundles if one["classpath"].endswith("LocalDagBundle")]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Skipped("dag_bundle_config_list cannot be read here") from None
    if bundles and not local:
        raise Skipped("the DAGs come in bundles (dag_bundle_config_list) that are no folders of this machine")
    return [str(Path(path or folder).expanduser()) for path in local or [folder]]


def plugins() -> str:
    """Whether Airflow finds the review."""
    if not _set_up():
        raise Skipped(NONE)
    folder = Path(option("core", "plugins_folder", str(home() / "plugins"))).expanduser()
    own = ROOT / "pulsebook" / "airflow" / "plugins"
    found = glob.iglob(f"{glob.escape(str(folder))}/**/pulsebook_review.py", recursive=True)
    if not any(found):
        raise Wrong(
            "the plugin pulsebook_review.py, which adds the Notebook tab",
            f"none in {folder}",
            f"Set AIRFLOW__CORE__PLUGINS_FOLDER={own}, or link its files there.",
        )
    return f"{folder} has the review"


def importable() -> str:
    """Whether tasks, which start elsewhere, can import the package, and whether it is this one. Kernels are told where it is."""
    if not _set_up():
        raise Skipped(NONE)
    code = "import pulsebook; print(pulsebook.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    found, own = done.stdout.strip(), ROOT / "pulsebook" / "__init__.py"
    if found != str(own):
        raise Wrong(
            f"`import pulsebook` to find {own} from any folder",
            found or "no such module",
            f"Put {ROOT} on the PYTHONPATH of Airflow's services, and run this with it.",
        )
    return f"found from any folder at {own.parent}"


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", errors="replace")
    except OSError:
        return ""


CHECKS = (
    Check("airflow", settings_said),
    Check("airflow package", importable),
    Check("airflow dags", dags),
    Check("airflow plugins", plugins),
)
