"""What is on this machine: settings, Python and its packages, the kernel that notebooks run in."""

import difflib
import subprocess
import sys
import tomllib
from importlib import metadata

from dotenv import dotenv_values

from pulsebook.base.environment import variables
from pulsebook.base.settings import ROOT, Settings, SettingsError, settings
from pulsebook.cli.doctor.findings import Check, Wrong

PREFIX = "PULSEBOOK_"
KNOWN = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
OTHERS = {f"{PREFIX}{name}" for name in ("LOCAL_SOURCES", "LOCAL_PASSWORD", "TEST_SERVER", "GUARDED", "CREW")}


def settings_said(connections: list[str]) -> str | list:
    """Which settings there are and where they come from; `connections` are variables that Airflow's supply."""
    file = ROOT / ".env"
    in_file = {name.upper() for name in dotenv_values(file)} if file.is_file() else set()
    in_file = {name for name in in_file if name.startswith(PREFIX)}
    in_environment = {name.upper() for name in variables() if name.upper().startswith(PREFIX)} - {*connections}
    try:
        known = settings()
    except SettingsError as error:
        raise Wrong("settings that can be used", str(error), f"Correct them in the environment or in {file}.") from None
    if unknown := sorted((in_file | in_environment) - KNOWN - OTHERS):
        close = [difflib.get_close_matches(name, KNOWN, 1) for name in unknown]
        meant = f"Is {close[0][0]} meant? " if close[0] else ""
        raise Wrong("names of settings alone", ", ".join(unknown), f"{meant}docs/reference.md lists them all.")
    places = [
        f"{', '.join(sorted(names & KNOWN))} from {place}"
        for place, names in (
            ("the environment", in_environment),
            (str(file), in_file - in_environment),
            ("Airflow's Connections", {*connections}),
        )
        if names & KNOWN
    ]
    return f"time zone {known.timezone.key}; home {ROOT}; {'; '.join(places) or 'all are the defaults'}"


def versions() -> str:
    """Whether Python and the packages are those that were tested together."""
    running = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info < (3, 14):
        raise Wrong(
            "Python 3.11, 3.12 or 3.13",
            f"{running} ({sys.executable})",
            "Make the environment with one of them: make setup PYTHON=python3.13",
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = dict(map(_pin, project["dependencies"]))
    extras = project["optional-dependencies"]
    perhaps = dict(map(_pin, (pinned for name in ("local", "cluster") for pinned in extras[name])))
    installed = {name: _version(name) for name in needed | perhaps}
    differ = [f"{n} {installed[n] or 'is missing'} (pinned: {pin})" for n, pin in needed.items() if installed[n] != pin]
    differ += [
        f"{n} {installed[n]} (pinned: {pin})" for n, pin in perhaps.items() if installed[n] and installed[n] != pin
    ]
    if differ:
        raise Wrong(
            "the packages of pyproject.toml",
            ", ".join(differ),
            f"make install PYTHON={sys.executable} installs those that were tested together.",
        )
    return f"Python {running}, {len(needed)} packages as pinned"


def _pin(requirement: str) -> tuple[str, str]:
    name, _, pin = requirement.partition("==")
    return name.partition("[")[0], pin


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def kernel() -> str:
    """Whether the kernel `python3`, which executes notebooks, runs in this environment."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    install = f"{sys.executable} -m ipykernel install --sys-prefix makes it anew."
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise Wrong("a kernel named python3", "none", install) from None
    program = spec.argv[0]
    if program in ("python", "python3", f"python3.{sys.version_info[1]}"):  # jupyter takes the Python that it runs in
        return f"python3 runs in {sys.prefix}"
    try:
        done = subprocess.run([program, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
        prefix = done.stdout.strip()
    except OSError as error:
        prefix = f"{program}, which cannot be run ({error.strerror})"
    if prefix != sys.prefix:
        raise Wrong(
            f"the kernel python3 to run in {sys.prefix}", f"{prefix or program} (in {spec.resource_dir})", install
        )
    return f"python3 runs in {sys.prefix}"


CHECKS = (Check("versions", versions), Check("kernel", kernel))
