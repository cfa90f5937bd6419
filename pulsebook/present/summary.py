"""The summary of a notebook: one call that shows its numbers and states them as facts.

    >>> summary("2026-11-22", {"views": 1234, "likes": float("nan"), "rows": 1500})
    2026-11-22: Views 1,234, Likes –, rows 1,500

What a metric is called, its format and its unit are those of the catalogue; any other number is called by its own name, or
by the words that `pulsebook.base.russian` has for it.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from pulsebook.base.facts import Fact, Statement, within
from pulsebook.base.settings import settings
from pulsebook.base.words import number, say
from pulsebook.catalogue import METRICS
from pulsebook.present import numbers as written
from pulsebook.present.names import called

HEADLINE = 300  # characters
Numbers = Mapping | pd.Series | pd.DataFrame


def summary(period, numbers: Mapping | pd.Series, *more: Numbers, said: str = "") -> None:
    """Show the summary of a notebook, and state its numbers as facts, under which record, index and comparison find them.

    Args:
        period: the day or slot that they are of.
        numbers: by name, a metric's of the catalogue where it is one: they are shown, and stated of all.
        more: stated too, and shown by the cell as it likes: numbers by name, or a frame with a row for each value of a
            dimension (its index, named as the dimension) and a column for each number.
        said: words that begin the summary, in place of the numbers.

    Raises:
        ValueError: a number is stated twice with different values, or a frame's index has no name.
        TypeError: one is no number.
    """
    from IPython.display import display

    stated = facts(period, numbers, *more)
    shown = ", ".join(f"{called(name, settings().language)} {_text(value, name)}" for name, value in numbers.items())
    lines = [f"{period}: {said or shown}", *([shown] if said and shown else [])]
    kept = within(stated)
    left = len(stated) - len(kept)
    lines += [say("{} more numbers are not stated as facts", number(f"{left:,}"))] if left else []
    display(Statement("\n".join(lines), headline=lines[0][:HEADLINE], facts=kept, left_out=left))


def days_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers of days (a row each, the days its index) as people read them: a line for each number, the newest day first.

    >>> days_table(pd.DataFrame({"views": [1200, 1500]}, index=pd.to_datetime(["2026-11-20", "2026-11-21"])))
          2026-11-21 2026-11-20
    Views      1,500      1,200
    """
    days = {
        f"{day:%Y-%m-%d}": [_text(value, name) for name, value in row.items()] for day, row in frame[::-1].iterrows()
    }
    return pd.DataFrame(days, index=[called(name, settings().language) for name in frame])


def facts(period, *given: Numbers) -> list[Fact]:
    """Numbers as facts, each once; what is given, and what is raised, is as for `summary`.

    >>> [(fact.metric, fact.value, fact.unit) for fact in facts("2026-11-22", {"views": 1234})]
    [('views', 1234, 'views')]
    """
    stated: dict[tuple[str, str], Fact] = {}
    for metric, part, value in (one for numbers in given for one in _each(numbers)):
        fact = Fact.of(period, metric, part, value, METRICS[metric].unit if metric in METRICS else "")
        before = stated.setdefault((fact.metric, fact.slice), fact)
        if before.value != fact.value:
            raise ValueError(
                f"{metric}{f' of {part}' if part else ''} is stated as {before.value} and as {fact.value}: expected one "
                "value, give one of them another name"
            )
    return list(stated.values())


def _each(given: Numbers) -> Iterator[tuple[str, str, object]]:
    """Metric, slice and value of each number."""
    if not isinstance(given, pd.DataFrame):
        yield from ((name, "", value) for name, value in given.items())
        return
    if given.index.name is None:
        raise ValueError("a frame of facts needs an index that is named as its dimension, such as os: see set_index")
    for value, row in zip(given.index, given.itertuples(index=False, name=None), strict=True):
        yield from ((name, f"{given.index.name}={value}", one) for name, one in zip(given, row, strict=True))


def _text(value, name: str) -> str:
    if name in METRICS:
        return written.text(value, name, settings().language)
    shown = written.number(value, settings().language)
    return shown if shown == written.MISSING or float(value).is_integer() else number(f"{float(value):,.4g}")
