"""Which slice of the users explains a change: where the lost or gained volume lies, and how sure that is.

>>> counts = pd.DataFrame({"dimension": "os", "value": ["iOS", "Android"] * 2,
...                        "now": [True, True, False, False], "views": [100, 650, 350, 650]})
>>> (found,) = explain(compared(counts, "views"), total=750, expected=1000)
>>> found.values, found.share, found.usual, found.certain
(('iOS',), 1.0, 0.35, True)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

LIKELY, CERTAIN = 3.0, 5.0  # standard deviations by which a slice's change must differ from the rest's
LEAST_EXCESS = 0.15  # of the change: how much more than its usual share must fall on a slice
DISPERSION = 2.0  # variance of a slice's count over its mean: users act in visits


@dataclass(frozen=True)
class Explanation:
    """Slices of one dimension that changed more than the others."""

    dimension: str
    values: tuple[str, ...]
    share: float  # of the lost or gained volume
    usual: float  # of the volume in usual times
    certain: bool


WHOLE = ""  # the dimension of all users as one slice


def compared(counts: pd.DataFrame, count: str, given: str = "") -> pd.DataFrame:
    """Slices of a metric in a slot beside what is usual, as `explain` takes them.

    Where a slot's slices of a dimension usually add up to more than the whole (a post that is seen in two cities counts in
    each), they are scaled down to it.

    Args:
        counts: columns dimension, value, now (True in the slot, False in usual times), and the metric's counts; the
            dimension `WHOLE` holds all users.
        count, given: the metric is this count, or the ratio of the two.

    Returns:
        Columns dimension, value, now, before. Of a ratio both are its numerator: `before` is what the slice's denominator
        in the slot would have brought at its usual rate; slices whose rate is not known are left out.
    """
    names = [count, given] if given else [count]
    wide = counts.pivot_table(index=["dimension", "value"], columns="now", values=names, aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=pd.MultiIndex.from_product([names, [True, False]]), fill_value=0).astype(float)
    whole = wide.loc[(WHOLE, WHOLE)] if (WHOLE, WHOLE) in wide.index else pd.Series(0.0, wide.columns)
    slices = wide.drop(index=WHOLE, level="dimension", errors="ignore")
    for name in names:
        sums = slices[name, False].groupby(level="dimension").transform("sum")
        overlap = (sums / whole[name, False]).where(sums * whole[name, False] > 0, 1.0)
        slices[name, True], slices[name, False] = slices[name, True] / overlap, slices[name, False] / overlap
    now, before = slices[count, True], slices[count, False]
    if given:
        before = slices[given, True] * before / slices[given, False].where(slices[given, False] > 0)
    return pd.DataFrame({"now": now, "before": before}).dropna().reset_index()


def explain(counts: pd.DataFrame, total: float, expected: float, most: int = 2) -> list[Explanation]:
    """Rank the dimensions by how much of the change their outstanding slices explain.

    Args:
        counts: columns dimension, value, now (count in the slot), before (count in usual times).
        total, expected: the metric's count in the slot and what was expected; their difference is the change.
        most: explanations at most.

    Returns:
        The best first; empty when no slice stands out, that is when the change is spread evenly.
    """
    found = []
    for dimension, rows in counts.groupby("dimension"):
        if rows["before"].sum() == 0 or total == expected:
            continue
        usual = (rows["before"] / rows["before"].sum()).to_numpy(float)
        now = rows["now"].to_numpy(float)
        change = (now.sum() or total) - expected
        if change == 0:
            continue
        delta = now - usual * expected
        excess = delta / change - usual  # share of the change beyond the usual share
        even = usual * now.sum()  # what the slice would hold had all slices changed alike
        z = np.abs(now - even) / np.sqrt(DISPERSION * np.maximum(even, 1))
        out = (excess > 0) & (z >= LIKELY)
        if out.any() and excess[out].sum() >= LEAST_EXCESS:
            order = np.argsort(-excess * out)[: out.sum()]
            values = tuple(rows["value"].iloc[order])
            share = float(min(1.0, (delta[order] / change).sum()))
            found.append(
                (excess[out].sum(), Explanation(dimension, values, share, float(usual[order].sum()), bool(z[out].max() >= CERTAIN)))
            )  # fmt: skip
    return [e for _, e in sorted(found, key=lambda pair: -pair[0])][:most]
