"""Retention against a count of users one by one."""

import numpy as np
import pandas as pd
import pytest

from pulsebook.present.retention import curve, retained

LAST = pd.Timestamp("2026-11-22")
FIRST_DAYS = pd.date_range(end=LAST, periods=12)


@pytest.fixture
def users() -> dict[int, tuple[int, set[int]]]:
    """User -> the day on which they were new, and the ages at which they were active; on the sixth day nobody was new."""
    random = np.random.default_rng(5)
    came = [(user, int(random.integers(12))) for user in range(400)]
    return {
        user: (day, {0, *(age for age in range(1, 8) if day + age < 12 and random.random() < 0.9 / age)})
        for user, day in came
        if day != 5
    }


@pytest.fixture
def cohorts(users) -> pd.DataFrame:
    frame = pd.DataFrame(0, FIRST_DAYS, range(8))
    for day, ages in users.values():
        for age in ages:
            frame.iloc[day, age] += 1
    return frame


def test_the_curve_takes_every_cohort_that_has_reached_the_age(users, cohorts):
    found = curve(cohorts, LAST)
    assert list(found.index) == [*range(1, 8)]
    for age in found.index:
        old = [ages for day, ages in users.values() if day + age <= 11]
        assert found[age] == pytest.approx(sum(age in ages for ages in old) / len(old))


def test_of_a_day_it_is_that_of_the_cohort_which_reached_the_age_then(users, cohorts):
    for age in (1, 4, 7):
        members = [ages for day, ages in users.values() if day == 11 - age]
        assert retained(cohorts, LAST, age) == pytest.approx(sum(age in ages for ages in members) / len(members))


def test_what_no_cohort_has_reached_is_not_known(cohorts):
    assert np.isnan(retained(cohorts, LAST, 6)), "nobody was new on that day"
    assert np.isnan(retained(cohorts.tail(2), LAST, 7)), "the cohorts begin later"
    assert curve(cohorts.tail(3), LAST).isna().tolist() == [False, False, *[True] * 5]
    assert curve(cohorts.iloc[:0], LAST).isna().all()
