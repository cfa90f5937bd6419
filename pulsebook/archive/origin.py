"""Where a try comes from: the project's commit, and the versions of what executed it."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pulsebook.base.settings import ROOT

PACKAGES = ("papermill", "nbclient", "ipykernel", "pandas", "matplotlib", "apache-airflow")


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
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+dirty", "--exclude=*"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        return said.removesuffix("+dirty"), said.endswith("+dirty")
    except (OSError, subprocess.SubprocessError):
        return "unknown", None
