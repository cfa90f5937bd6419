"""Parts of a whole, as people read them: which are told apart, and in which order."""

import pandas as pd

from pulsebook.catalogue import Dimension

PARTS = 8  # of a whole that are told apart


def largest(frame: pd.DataFrame, most: int, rest: str) -> pd.DataFrame:
    """The columns of a frame, the largest sums first where there are more than `most` (of equal ones those that come first):
    the others added up, as `rest`."""
    if frame.shape[1] <= most:
        return frame
    order = (-frame.sum().to_numpy()).argsort(kind="stable")
    others = frame.iloc[:, order[most - 1 :]].sum(axis=1, min_count=1)
    return pd.concat([frame.iloc[:, order[: most - 1]], others.rename(rest)], axis=1)


def parts(frame: pd.DataFrame, dimension: Dimension) -> pd.DataFrame:
    """The values of a dimension (columns) as people read them: the largest sums first, or in the order of its bands; of many
    the largest `PARTS`, none without any."""
    frame = frame.loc[:, frame.sum() > 0]
    frame = largest(frame.iloc[:, (-frame.sum().to_numpy()).argsort(kind="stable")], PARTS, "other")
    return frame[sorted(frame, key=dimension.order)] if dimension.bands else frame
