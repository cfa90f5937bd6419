"""docs/design.md: its floors, constants and proofs are those of the code."""

import importlib
import re
import tomllib
from statistics import NormalDist

import pytest

from pulsebook.anomaly import noise, rules
from pulsebook.base.settings import ROOT

PAGE = (ROOT / "docs" / "design.md").read_text()
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
