"""docs/design.md and docs/reviewers.md: floors, constants, proofs, fields and commands are those of the code."""

import dataclasses
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from statistics import NormalDist

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from pulsebook import runner
from pulsebook.anomaly import noise, rules
from pulsebook.archive.record import Record
from pulsebook.base.settings import ROOT

PAGE = (ROOT / "docs" / "design.md").read_text()
REVIEWERS = (ROOT / "docs" / "reviewers.md").read_text()
NORMAL = NormalDist()


def test_the_floors_are_those_that_lint_keeps():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    kept = [{*layer.split(" | ")} for layer in reversed(layers) if layer != "__main__"]
    said = re.findall(r"^\| (\d) \| `(\w+)/?` \|", PAGE, re.M)
    assert [{room for floor, room in said if int(floor) == number} for number in range(1, len(kept) + 1)] == kept


def test_each_proof_is_a_test():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    for name in named:
        assert f"def {name}(" in tests, f"docs/design.md names {name}, which is no test any more"


def test_each_constant_has_its_value():
    rows = re.findall(r"^\| ((?:`\w+\.[A-Z_]+`(?:, )?)+) \| ([\d., ]+) \|", PAGE, re.M)
    assert len(rows) > 10
    for names, values in rows:
        for name, value in zip(re.findall(r"`([^`]+)`", names), values.split(", "), strict=True):
            module, _, constant = name.partition(".")
            assert getattr(importlib.import_module(f"pulsebook.anomaly.{module}"), constant) == float(value), name
    for limits in (rules.LEVEL_Z, rules.JUMP_Z, rules.TOGETHER_Z):
        assert f"| {', '.join(map(str, limits))} | {', '.join(map(str, limits.values()))} |" in PAGE


def test_what_mathematics_gives_is_right():
    reject = noise.REJECT
    within = 1 - 2 * reject * NORMAL.pdf(reject) / (2 * NORMAL.cdf(reject) - 1)
    assert pytest.approx(within, abs=5e-5) == noise.KEPT
    assert pytest.approx(NORMAL.inv_cdf((1 + 0.5 ** (1 / 96)) / 2), abs=5e-3) == noise.DAILY_SURPRISE


def test_reviewers_know_each_field_of_a_record():
    rows = re.findall(
        r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", REVIEWERS[REVIEWERS.index("## Read") : REVIEWERS.index("## Compare")]
    )
    said = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(said) == sorted(field.name for field in dataclasses.fields(Record) if field.name != "path")


def test_the_commands_of_reviewers_do_what_they_say(outputs, tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("print('7 rows')")]), tmp_path / "load.ipynb")
    for day in ("2026-11-21", "2026-11-22"):
        runner.run(tmp_path / "load.ipynb", {}, outputs / "etl" / day / "by_hand")
    commands = [line for block in re.findall(r"(?s)```sh\n(.*?)```", REVIEWERS) for line in block.splitlines()]
    said = {}
    for command in commands:
        words = [sys.executable, "-m", *shlex.split(command, comments=True)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PULSEBOOK_OUTPUTS": str(outputs)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
        said[words[4]] = done.stdout
    assert said["diff"].startswith("from  etl/2026-11-21/by_hand/load-try1") and "code is the same" in said["diff"]
    assert "2 runs" in said["verify"] and "all as they were written" in said["verify"]
    assert said["prune"].startswith("nothing is old enough") and said["index"].startswith("2 runs in ")
