"""The project's promises about itself: dependencies, layers, README."""

import os
import re
import runpy
import subprocess
import sys
import tomllib

from pulsebook.base.settings import ROOT, Settings
from pulsebook.catalogue import DIMENSIONS, EXPLAINED, METRICS
from pulsebook.catalogue.checks import EVENT_COLUMNS
from pulsebook.chat import ledger
from pulsebook.cli import COMMANDS
from pulsebook.incidents import store

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]


def test_environment_yml_and_pyproject_agree():
    *pinned, last = re.findall(r"^      - (.+)$", (ROOT / "environment.yml").read_text(), re.M)
    assert sorted(pinned) == sorted(DEPENDENCIES) and last == "--editable ."
    (python,) = re.findall(r"^  - python=(\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    assert f">={python}," in PROJECT["requires-python"]


def test_the_lock_holds_every_dependency_with_hashes_and_no_registry():
    lock = (ROOT / "requirements.lock").read_text()
    for dependency in DEPENDENCIES:
        locked = re.sub(r"\[.*\]", "", dependency)  # the lock lists what an extra brings
        assert re.search(rf"^{re.escape(locked)} \\\n    --hash=sha256:", lock, re.M), dependency
    assert "://" not in lock


def test_a_python_that_is_not_supported_is_reported_so_at_once(tmp_path):
    """A program that says what an interpreter of another version would say runs the Makefile's own check."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 10, 1)\n")
    asked = ["make", "setup", f"VENV={tmp_path / 'venv'}", f"PYTHON=env PYTHONPATH={tmp_path} {sys.executable}"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode and "Python 3.11, 3.12 or 3.13 is needed, found" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_build_of_before_python_3_12_finds_what_it_reads():
    """pandahouse's versioneer reads its setup.cfg this way."""
    program = (
        "import configparser, io; parser = configparser.SafeConfigParser(); "
        "parser.readfp(io.StringIO('[versioneer]\\nstyle = pep440')); print(parser.get('versioneer', 'style'))"
    )
    build = {**os.environ, "PYTHONPATH": str(ROOT / "pulsebook" / "local" / "build"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sitecustomize; {program}"], env=build, capture_output=True, text=True
    )
    assert done.stdout == "pep440\n", done.stderr


def test_every_dependency_has_a_reason():
    lines = re.findall(r'^    "[\w,\[\]-]+==[^"]+",(.*)$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert len(lines) == len(DEPENDENCIES) and all(re.match(r"\s+# \w", line) for line in lines)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_short_and_names_every_notebook():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.encode()) <= 6 * 1024
    for path in NOTEBOOKS:
        assert readme.count(f"| `{path.relative_to(ROOT / 'notebooks')}` |") == 1
    assert all(f"({page.relative_to(ROOT)})" in readme for page in PAGES[1:])


def test_the_picture_of_the_flow_names_notebooks_that_are_there():
    drawn = re.findall(r'class="notebook">(.*?)</g>', (ROOT / "docs" / "flow.svg").read_text())
    named = {name for box in drawn for name in re.findall(r">([a-z_]+)</text>", box)}
    assert len(named) == 9 and named <= {path.stem for path in NOTEBOOKS}


REFERENCE = ROOT / "docs" / "reference.md"


def test_the_reference_says_what_the_code_says():
    made_anew = runpy.run_path(str(REFERENCE.with_suffix(".py")))["page"](REFERENCE.read_text())
    assert made_anew == REFERENCE.read_text(), "docs/reference.md is stale: make it anew with `make reference`"


def test_the_reference_names_every_column_setting_metric_and_command():
    """Beside the generator, which could leave something out."""
    reference = REFERENCE.read_text()
    names = [*EVENT_COLUMNS, *METRICS, *(d.name for d in (*DIMENSIONS, *EXPLAINED)), *ledger.COLUMNS, *store.COLUMNS]
    for name in {*names} - {"reciever_id"}:
        assert re.search(rf"^\|[^|]*`{name}`", reference, re.M), name
    for name in Settings.model_fields:
        assert f"\n| `PULSEBOOK_{name.upper()}` |" in reference, name
    for command in COMMANDS:
        assert f"\n### pulsebook {command.__name__.rpartition('.')[2].replace('trial', 'try')}" in reference


def test_pages_name_targets_that_are_there_and_link_to_what_is_there():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        text = page.read_text()
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)) <= targets, page
        for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
            place, _, anchor = "".join(link).partition("#")
            if "://" in place:
                continue
            there = page.parent / place if place else page
            assert there.is_file(), (page, link)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", there.read_text(), re.M)
                assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, (page, link)


def test_one_place_reads_the_environment():
    for path in (ROOT / "pulsebook").rglob("*.py"):
        if "local" not in path.parts and path.name not in (
            "settings.py",
            "environment.py",
            "runner.py",
            "guard.py",
            "in_kernel.py",
        ):
            assert "os.environ" not in path.read_text(), path


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert [line.split()[0] for line in listed.splitlines()] == phony
