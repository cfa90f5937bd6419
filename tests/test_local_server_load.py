"""The embedded warehouse under many clients, half of them slow or hostile: the honest ones are served, in bounded memory.

The same for a minute with 500 clients: `make soak`.
"""

import pytest

from tests.server_soak import load, wrong


@pytest.mark.timeout(200)
def test_honest_clients_are_served_beside_hostile_ones(tmp_path):
    figures = load(tmp_path, seconds=6, number=120, quiet=2)
    broken = [rule for rule in wrong(figures) if "pings" not in rule]  # how fast they are `make soak` judges, alone
    assert not broken, (broken, figures)


def test_the_rules_of_a_soak_can_be_broken():
    times = {"number": 9, "median": 0.1, "p99": 0.2, "highest": 0.3}
    kinds = ("select", "insert", "large", "session")
    good = {
        "answered": dict.fromkeys(kinds, 5), "failed": [], "stored": 5, "tries": dict.fromkeys("abcdef", 1), "ping": times,
        "ping of a server that does nothing": times, "memory": {"idle": 1, "highest": 3, "kept": 2},
    }  # fmt: skip
    assert wrong(good) == []
    for change in (
        {"failed": ["a client"]},
        {"stored": 6},
        {"ping": {**times, "p99": 2.0}},
        {"memory": {**good["memory"], "kept": 1 << 29}},
        {"memory": {**good["memory"], "highest": 1 << 30}},
    ):
        assert len(wrong({**good, **change})) == 1, change
