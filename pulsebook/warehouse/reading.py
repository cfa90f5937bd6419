"""A result on its way to a frame: SQL that turns each column into what cannot be misread, and the values made of it."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd

from pulsebook.warehouse import kinds
from pulsebook.warehouse.kinds import identifier

_INTEGER = re.compile(r"U?Int(8|16|32|64)")  # that numpy has; others are read as int
_NULL = "-"  # an empty text would be an empty line, which pandas skips

# A frame's labels are texts of pandas' own kind, which arrow would hold: it takes no text that is not UTF-8, Python does.
pd.set_option("mode.string_storage", "python")


def to_wire(name: str, kind: str) -> str:
    """SQL of a column: an integer, or '=' and hexadecimal text, '-' for NULL."""
    value = identifier(name)
    if _INTEGER.fullmatch(kind):
        return value
    bare, nullable = kinds.unwrapped(kind)
    plain = kinds.kind(bare)
    if plain.name in ("Date", "Date32"):  # whole days: old servers write day 0 as 0000-00-00
        value = f"{'toUInt16' if plain.name == 'Date' else 'toInt32'}({value})"
    elif plain.name == "DateTime" and kinds.zone(plain):
        value = f"toUInt32({value})"
    elif plain.name == "DateTime64" and kinds.zone(plain):
        value = f"toTimeZone({value}, 'UTC')"
    text = f"concat('=', hex(toString({value})))"
    if nullable or bare == "Nothing":
        return f"ifNull(CAST({text}, 'Nullable(String)'), '{_NULL}')"
    return f"CAST({text}, 'String')"


def from_wire(cells: pd.Series, kind: str) -> pd.Series:
    """A column of a frame from what `to_wire` made of it."""
    if _INTEGER.fullmatch(kind):
        return cells.astype(kind.lower())
    plain = kinds.kind(kinds.unwrapped(kind)[0])
    codes, found = pd.factorize(cells, use_na_sentinel=False)  # most columns say the same few values again and again
    texts = pd.Series(np.array([_from_hex(cell) for cell in found], dtype=object)[codes], dtype=object)
    if plain.name in ("Date", "Date32"):
        days = [np.datetime64("NaT") if t is None else np.datetime64(int(t), "D") for t in texts]
        return pd.Series(np.array(days, dtype="datetime64[D]").astype("datetime64[us]"))
    if plain.name == "DateTime" and kinds.zone(plain):
        seconds = [np.datetime64("NaT") if t is None else np.datetime64(int(t), "s") for t in texts]
        instants = pd.Series(np.array(seconds, dtype="datetime64[s]").astype("datetime64[us]"))
        return instants.dt.tz_localize("UTC").dt.tz_convert(kinds.zone(plain))
    return from_text(texts, kind)


def from_text(texts: pd.Series, kind: str) -> pd.Series:
    """A column of a frame from ClickHouse's texts of its values, None for NULL."""
    bare, nullable = kinds.unwrapped(kind)
    plain = kinds.kind(bare)
    if _INTEGER.fullmatch(bare):
        values = [None if t is None else int(t) for t in texts]
        return pd.Series(pd.array(values, dtype=bare)) if nullable else pd.Series(values, dtype=bare.lower())
    if re.fullmatch(r"U?Int\d+", bare):
        return pd.Series([None if t is None else int(t) for t in texts], dtype=object)
    if plain.name.startswith("Float"):
        return texts.astype(float)
    if bare == "Bool":
        return texts.map({"true": True, "false": False, None: None}).astype("boolean" if nullable else "bool")
    if plain.name in ("DateTime", "DateTime64") and kinds.zone(plain):
        return pd.to_datetime(texts, format="ISO8601", utc=True).dt.tz_convert(kinds.zone(plain))
    if plain.name in ("Date", "Date32", "DateTime", "DateTime64"):
        return pd.to_datetime(texts, format="ISO8601")
    if plain.name == "Decimal":
        return pd.Series([None if t is None else Decimal(t) for t in texts], dtype=object)
    return texts


def _from_hex(cell: str) -> str | None:
    if cell == _NULL:
        return None
    if not cell.startswith("="):
        raise ValueError(f"expected '=' and hexadecimal text, found {cell[:80]!r}")
    return bytes.fromhex(cell[1:]).decode("utf-8", "surrogateescape")
