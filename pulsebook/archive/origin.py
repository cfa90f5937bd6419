"""Where a try comes from: the project's commit, its catalogue then, and the versions of what executed it."""

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pulsebook.base.settings import ROOT

CATALOGUE = "pulsebook/catalogue"
PACKAGES = ("papermill", "nbclient", "ipykernel", "pandas", "matplotlib", "apache-airflow")


def source(notebook: Path) -> str:
    """How a record names the notebook that was executed: below the project where it lies there."""
    return str(notebook.relative_to(ROOT)) if notebook.is_relative_to(ROOT) else str(notebook)


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Names and versions of Python and of the packages that matter to a notebook."""
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


@cache
def commit() -> tuple[str, bool | None]:
    """The commit of the project and whether files differ from it; `unknown` and None outside a checkout."""
    try:
        said = _git("describe", "--always", "--abbrev=40", "--dirty=+dirty", "--exclude=*").strip()
        return said.removesuffix("+dirty"), said.endswith("+dirty")
    except (OSError, subprocess.SubprocessError):
        return "unknown", None


def catalogue_since(commit: str) -> dict[str, tuple[str, str]] | None:
    """The catalogue's files that differ now from those of a commit: their texts then and now, by name; None where git knows
    no such commit."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return None
    try:
        then = _git("ls-tree", "--name-only", commit, f"{CATALOGUE}/").split()
        now = [path.relative_to(ROOT).as_posix() for path in (ROOT / CATALOGUE).glob("*.py")]
        texts = {
            name: (_git("show", f"{commit}:./{name}") if name in then else "", _now(name)) for name in {*then, *now}
        }
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return {name: texts[name] for name in sorted(texts) if texts[name][0] != texts[name][1]}


def _now(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).exists() else ""


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout
