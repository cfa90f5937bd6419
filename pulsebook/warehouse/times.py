"""Days and times of a frame as the texts that carry them.

- a day: whole days since 1970;
- a time with a zone is an instant, whatever the zone of column or server: ten digits of seconds since 1970 for DateTime,
  a UTC time and a `Z` for DateTime64;
- a time without a zone is what the clock of the column's zone shows. Where the column has none it is the server's, which
  only the server knows: it travels as it is, without `Z`.
"""

import re
from datetime import date, datetime

import numpy as np
import pandas as pd

from pulsebook.warehouse.unfit import UnfitError, shown

_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?", re.A)
_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2299-12-31 23:59:59.999999")
_LATEST_NS = pd.Timestamp("2262-04-11 23:47:16")  # of what pandas holds with nanoseconds


def day(value, text: str, low: int, high: int) -> str:
    """A date, or a time at midnight (of its own zone)."""
    limits = f"{text} ({date.fromordinal(_EPOCH + low)} to {date.fromordinal(_EPOCH + high)})"
    if not isinstance(value, date) or isinstance(value, datetime):
        moment = _moment(value, limits)
        if any((moment.hour, moment.minute, moment.second, moment.microsecond, moment.nanosecond)):
            raise UnfitError(f"{shown(value)} does not fit into {limits}: it has a time of day")
        value = moment
    number = value.toordinal() - _EPOCH
    if not low <= number <= high:
        raise UnfitError(f"{shown(value)} does not fit into {limits}")
    return str(number)


def second(value, text: str, zone: str | None) -> str:
    """A time of whole seconds."""
    limits = f"{text} (1970-01-01 to 2106-02-07, whole seconds)"
    moment = _located(value, _moment(value, limits), zone, limits)
    if moment.microsecond or moment.nanosecond:
        raise UnfitError(f'{shown(value)} does not fit into {limits}: .dt.floor("s") cuts the fraction off')
    seconds = int(moment.timestamp())  # of a time without a zone: as if in UTC, within a day of the truth
    slack = 86400 if moment.tz is None else 0
    if not -slack <= seconds < 2**32 + slack:
        raise UnfitError(f"{shown(value)} does not fit into {limits}")
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment.tz is None else f"{seconds:010}"


def fraction(value, text: str, digits: int, zone: str | None) -> str:
    """A time with so many digits of a second's fraction."""
    latest = _LATEST_NS if digits > 6 else _LATEST
    limits = f"{text} ({_EARLIEST.date()} to {latest.date()}, {digits} digits of a fraction)"
    moment = _located(value, _moment(value, limits), zone, limits)
    instant = moment.tz is not None
    if instant:
        moment = moment.tz_convert("UTC").tz_localize(None)
    if not _EARLIEST <= moment <= latest:
        raise UnfitError(f"{shown(value)} does not fit into {limits}")
    carried = f"{moment.microsecond:06}{moment.nanosecond:03}"
    if carried[digits:].strip("0"):
        raise UnfitError(f"{shown(value)} does not fit into {limits}: .dt.floor cuts the rest off")
    point = "." if digits else ""
    return f"{moment.strftime('%Y-%m-%d %H:%M:%S')}{point}{carried[:digits]}{'Z' if instant else ''}"


def _moment(value, limits: str) -> pd.Timestamp:
    """A date, time or ISO text as a Timestamp, nothing rounded."""
    fits = isinstance(value, date | np.datetime64) or (isinstance(value, str) and _TIME.fullmatch(value))
    if isinstance(value, np.datetime64) and np.datetime_data(value)[0] in ("ps", "fs", "as"):
        fits = False
    if not fits:
        raise UnfitError(
            f"{shown(value)} is {type(value).__name__}, no time for {limits}; pd.to_datetime makes times of texts and numbers"
        )
    try:
        return pd.Timestamp(value)
    except ValueError as error:  # 2026-02-30, or a year that pandas does not know
        raise UnfitError(f"{shown(value)} does not fit into {limits}: {error}") from None


def _located(value, moment: pd.Timestamp, zone: str | None, limits: str) -> pd.Timestamp:
    """A time without a zone in that of its column. Where clocks change, it must be there, once."""
    if zone is None or moment.tz is not None:
        return moment
    try:
        return moment.tz_localize(zone, ambiguous="raise", nonexistent="raise")
    except (ValueError, OverflowError):
        raise UnfitError(
            f"{shown(value)} does not fit into {limits}: clocks of {zone} show it twice or never; .dt.tz_localize says which"
        ) from None
