"""The floors of the house: `make lint` fails where a room is entered from the wrong side."""

import ast
import builtins
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pulsebook.base import errors
from pulsebook.base.bucket import Bucket
from pulsebook.base.folder import Folder
from pulsebook.base.store import Store

ROOT = Path(__file__).resolve().parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder, env={"PYTHONPATH": str(folder), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy of the package and its contracts."""
    shutil.copytree(ROOT / "pulsebook", tmp_path / "pulsebook", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_keeps_its_contracts(house):
    said = lint(house)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("base/periods.py", "from pulsebook.warehouse import Warehouse"),  # upwards
        ("catalogue/metrics.py", "from pulsebook.present import numbers"),  # upwards
        ("chat/telegram.py", "from pulsebook.archive import record"),  # the next room
        ("base/files.py", "def f():\n    from pulsebook.runner import run"),  # upwards, and late
        ("archive/record.py", "from pulsebook.archive import diff"),  # a circle in a room
        ("warehouse/client.py", "import airflow.sdk"),  # Airflow below its room
        ("cli/archive.py", "from airflow.sdk import DAG"),
        ("airflow/review.py", "from pulsebook.local.server import running"),  # what only a laptop needs
        ("runner.py", "from pulsebook.local import live"),
        ("unknown.py", '"""A room without a floor."""'),
    ],
)
def test_an_import_from_the_wrong_side_fails(house, module, line):
    with open(house / "pulsebook" / module, "a") as file:
        file.write(f"\n{line}\n")
    said = lint(house)
    assert said.returncode == 1 and "BROKEN" in said.stdout, (module, line, said.stdout + said.stderr)


@pytest.mark.parametrize("kind", [Folder, Bucket])
def test_a_folder_and_a_bucket_can_do_the_same(kind):
    offered = {name for name in vars(Store) if not name.startswith("_")} | set(Store.__annotations__)
    assert {name for name in vars(kind) if not name.startswith("_")} == offered
    for name, operation in inspect.getmembers(Store, inspect.isfunction):
        if not name.startswith("_"):
            assert [*inspect.signature(getattr(kind, name)).parameters] == [*inspect.signature(operation).parameters]


def test_only_one_place_asks_whether_a_path_is_of_a_folder_or_of_a_bucket():
    asking = [p for p in (ROOT / "pulsebook").rglob("*.py") if re.search(r"isinstance\([^)]*\bPath\b", p.read_text())]
    assert asking == [ROOT / "pulsebook" / "base" / "files.py"]


def exceptions_of_the_code() -> dict[str, tuple[set[str], str]]:
    """The classes of the package that derive from an exception, by name: what from, and the module."""
    classes = {}
    for path in (ROOT / "pulsebook").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "pulsebook").with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = {ast.unparse(base) for base in node.bases}, module

    def is_exception(name: str) -> bool:
        kind = getattr(builtins, name, None)
        parents = classes.get(name, ((), ""))[0]
        return isinstance(kind, type) and issubclass(kind, BaseException) or any(map(is_exception, parents))

    return {name: found for name, found in classes.items() if is_exception(name)}


def exceptions_as_drawn() -> dict[str, tuple[set[str], str]]:
    """The same, as the docstring of `pulsebook.base.errors` draws them."""
    drawn, above = {"PulsebookError": ({"Exception"}, "base.errors")}, {4: "PulsebookError"}
    for indent, name, also, module in re.findall(r"^( {8,})(\w+)(?: \((\w+)\))? +([\w.]+)$", errors.__doc__, re.M):
        above[len(indent)] = name
        drawn[name] = ({above[len(indent) - 4], also} - {""}, module)
    for outside, also in re.findall(r"`([\w.]+)` \((\w+)\)", errors.__doc__):
        module, _, name = outside.rpartition(".")
        drawn[name] = ({also}, module)
    return drawn


def test_the_tree_of_exceptions_is_as_it_is_drawn():
    assert exceptions_as_drawn() == exceptions_of_the_code()
