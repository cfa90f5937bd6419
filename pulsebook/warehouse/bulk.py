"""Many values at once: the cells that `wire` makes one by one, for the columns that frames mostly have, in a fraction of
the time. A column with any value that may not fit is left to `wire`, which says which."""

import numpy as np
import pandas as pd

from pulsebook.warehouse import kinds
from pulsebook.warehouse.unfit import UnfitError
from pulsebook.warehouse.wire import Wire


def cells(values: pd.Series, kind: str, wire: Wire) -> list[str] | None:
    """The cells of a column, or None where it has to go value by value."""
    plain = kinds.unwrapped(kind)[0]
    name = kinds.kind(plain).name
    numbers = isinstance(values.dtype, np.dtype)
    if numbers and values.dtype.kind in "iu" and name.removeprefix("U").startswith("Int"):
        return _encoded(wire, [values.min(), values.max()]) and [f"={v}" for v in values.tolist()]
    if numbers and values.dtype == np.float64 and name == "Float64" and not values.isna().any():
        text = values.to_numpy().astype("<f8").tobytes().hex()
        return [f"={text[at : at + 16]}" for at in range(0, len(text), 16)]
    if isinstance(values.dtype, pd.DatetimeTZDtype) and name == "DateTime" and not values.isna().any():
        times = values.dt.tz_convert("UTC").dt.tz_localize(None)
        seconds = times.astype("datetime64[s]")
        if (seconds == times).all() and _encoded(wire, [values.min(), values.max()]):
            return [f"={v:010}" for v in seconds.astype("int64").tolist()]
    if isinstance(values.dtype, pd.StringDtype | pd.CategoricalDtype | pd.DatetimeTZDtype) or values.dtype.kind == "M":
        codes, unique = pd.factorize(values, use_na_sentinel=False)
        encoded = _encoded(wire, pd.Series(unique)) if 2 * len(unique) < len(values) else None
        return encoded and [encoded[code] for code in codes.tolist()]
    return None


def _encoded(wire: Wire, values) -> list[str] | None:
    """Their cells, None where one does not fit."""
    try:
        return [wire.encode(value) for value in values]
    except UnfitError:
        return None
