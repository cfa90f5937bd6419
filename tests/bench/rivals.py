"""Two libraries as they come, for the alert benchmark. They are no dependencies of the project:

    python -m venv rivals && rivals/bin/pip install adtk==0.6.2 statsforecast==2.1.1
    PYTHONPATH=.:.venv/lib/python3.11/site-packages rivals/bin/python -m tests.bench.alerts

- adtk (MPL 2.0): `SeasonalAD` with a week as its season, fitted to the first four weeks; else its defaults.
- statsforecast (Apache 2.0): `SeasonalNaive` with a week as its season and its 99 % interval; every midnight it forecasts the day
  from the 28 days before. Its larger models take seconds for each of these forecasts, of which a seed has some 12,000.
"""

import logging
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd

WEEK, MEMORY = 7 * 96, 28 * 96
TIMES = pd.date_range("2026-06-01", periods=200 * 96, freq="15min")  # both want a regular index without clock changes


def adtk(x: np.ndarray) -> np.ndarray:
    """-1, 0 or 1 for each slot and metric of `x` (slots × metrics)."""
    from adtk.detector import SeasonalAD

    flags = np.zeros(x.shape, int)
    for metric, column in enumerate(x.T):
        known = pd.Series(column, TIMES[: len(x)]).ffill().fillna(0.0)
        detector = SeasonalAD(freq=WEEK)
        detector.fit(known.iloc[:MEMORY])
        off = detector.detect(known).fillna(False).to_numpy(bool)
        usual = known.shift(WEEK).to_numpy()  # it says that a slot is off, not which way
        flags[:, metric] = np.where(off & ~np.isnan(column), np.sign(column - usual), 0)
    return flags


def statsforecast(x: np.ndarray) -> np.ndarray:
    """-1, 0 or 1 for each slot and metric of `x` (slots × metrics)."""
    from statsforecast.models import SeasonalNaive

    flags = np.zeros(x.shape, int)
    for metric, column in enumerate(x.T):
        known = pd.Series(column).ffill().fillna(0.0).to_numpy()
        for start in range(MEMORY, len(x), 96):
            day = slice(start, min(start + 96, len(x)))
            model = SeasonalNaive(season_length=WEEK)
            found = model.forecast(y=known[start - MEMORY : start], h=day.stop - day.start, level=[99])
            flags[day, metric] = (column[day] > found["hi-99"]).astype(int) - (column[day] < found["lo-99"])
    return flags


def installed() -> dict:
    """Those of the two that are installed, by name; of the others a line is printed."""
    rivals = {"adtk": adtk, "statsforecast": statsforecast}
    logging.getLogger("statsforecast").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="adtk")
    for name in rivals:
        if not find_spec(name):
            print(f"{name}: not installed, see tests/bench/rivals.py")
    return {name: rule for name, rule in rivals.items() if find_spec(name)}
