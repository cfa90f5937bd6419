"""Retention: of the users who were new on a day, the share that was active n days later.

A frame of cohorts has a row for each day on which users were new (index: days), a column for each age in days: 0, 1, …; its
cells count the users who were active at that age.
"""

import pandas as pd


def curve(cohorts: pd.DataFrame, last: pd.Timestamp) -> pd.Series:
    """Retention by age from 1 on, of all cohorts that had reached that age by the day `last`, as a share; NaN where none had."""
    reached = {age: cohorts.index + pd.Timedelta(days=age) <= last for age in cohorts}
    reached = pd.DataFrame(reached, cohorts.index)
    sizes = reached.mul(cohorts[0], axis=0).sum()
    return (cohorts.where(reached).sum() / sizes.where(sizes > 0)).loc[1:]


def retained(cohorts: pd.DataFrame, last: pd.Timestamp, age: int) -> float:
    """Retention at an age of the cohort that reached it on the day `last`, as a share; NaN where there is none."""
    began = last - pd.Timedelta(days=age)
    if began not in cohorts.index or not cohorts.at[began, 0]:
        return float("nan")
    return cohorts.at[began, age] / cohorts.at[began, 0]
