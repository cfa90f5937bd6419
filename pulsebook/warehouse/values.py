"""One value of a frame as the text that carries it to a column, exactly; what a column cannot hold is `UnfitError`.

    >>> carrier("UInt8")(5.0)
    '5'
    >>> carrier("UInt8")(300)
    Traceback (most recent call last):
    pulsebook.warehouse.unfit.UnfitError: 300 does not fit into UInt8 (0 to 255)

What is read back equals what was given: the same number, the same text, the same day, the same instant. So

- a whole number may come as int, 5.0, Decimal or digits; a fraction has no place in an integer column;
- a float column takes a number that it can hold, or that is spelt the same in it: Decimal("0.1") in a Float64, 0.1 in a
  Float32; what would lose digits is refused (`.astype("float32")` rounds where that is meant);
- text columns take str, and bytes as they are; nothing else becomes text by itself;
- a day takes no time of day, a time no finer fraction of a second than its column has.
"""

import ipaddress
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from pulsebook.warehouse import kinds, times
from pulsebook.warehouse.unfit import UnfitError, shown

_DIGITS = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def carrier(text: str) -> Callable[[object], str] | None:
    """The function that turns a value for a plain type into its carrying text; None where the type is not known here.

    The text: digits for integers, whole days for days; hexadecimal for the bytes of texts and floats; see `times`.
    """
    kind = kinds.kind(text)
    if integer := re.fullmatch(r"(U?)Int(\d+)", kind.name):
        bits = int(integer[2])
        low, high = (0, 2**bits - 1) if integer[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return lambda value: _integer(value, text, low, high)
    makers = {
        "Float64": lambda: lambda value: struct.pack("<d", _float(value, text)).hex(),
        "Float32": lambda: lambda value: struct.pack("<f", _single(_float(value, text), text)).hex(),
        "Decimal": lambda: _decimal(text, *map(int, kind.arguments)),
        "Bool": lambda: lambda value: _bool(value, text),
        "String": lambda: lambda value: _bytes(value, text).hex(),
        "FixedString": lambda: lambda value: _fixed(value, text, int(kind.arguments[0])).hex(),
        "Enum8": lambda: _enum(text, kinds.names(kind)),
        "Enum16": lambda: _enum(text, kinds.names(kind)),
        "UUID": lambda: lambda value: _uuid(value, text),
        "IPv4": lambda: lambda value: _address(value, text, ipaddress.IPv4Address),
        "IPv6": lambda: lambda value: _address(value, text, ipaddress.IPv6Address),
        "Date": lambda: lambda value: times.day(value, text, 0, 65535),
        "Date32": lambda: lambda value: times.day(value, text, -25567, 120529),
        "DateTime": lambda: lambda value: times.second(value, text, kinds.zone(kind)),
        "DateTime64": lambda: lambda value: times.fraction(value, text, int(kind.arguments[0]), kinds.zone(kind)),
    }
    return makers[kind.name]() if kind.name in makers else None


def _is_integer(value) -> bool:
    return isinstance(value, int | np.integer | np.bool_) and not isinstance(value, np.timedelta64)


def _is_float(value) -> bool:
    return isinstance(value, float | np.floating)


def _is_decimal(value) -> bool:
    """A Decimal, or a number in a text."""
    return isinstance(value, Decimal) or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)


def _integer(value, text: str, low: int, high: int) -> str:
    limits = f"{text} ({low} to {high})"
    if isinstance(value, Decimal) and value.is_finite():
        whole = value.adjusted() < 400 and value == int(value)
    elif isinstance(value, str):
        whole = _DIGITS.fullmatch(value) is not None
    else:
        whole = _is_integer(value) or (_is_float(value) and value.is_integer())
    if not whole:
        raise UnfitError(f"Cannot parse {shown(value)} as a whole number for {limits}")
    if not low <= int(value) <= high:
        raise UnfitError(f"{shown(value)} does not fit into {limits}")
    return str(int(value))


def _float(value, text: str) -> float:
    """The float64 that equals a number, or that is spelt as it."""
    try:
        if _is_integer(value):
            number = float(value)
            same = int(value) == int(number)
        elif _is_float(value):
            number = float(value)
            same = value == number
        elif _is_decimal(value):
            number = float(Decimal(value))
            same = Decimal(repr(number)) == Decimal(value)
        else:
            raise UnfitError(f"Cannot parse {shown(value)} as a number for {text}")
    except OverflowError:
        same = False
    if not same:
        raise UnfitError(
            f"{shown(value)} does not fit into {text} (about 16 digits, up to 1.8e308): round it, or keep it in a Decimal"
        )
    return number


def _single(number: float, text: str) -> float:
    with np.errstate(over="ignore", under="ignore"):
        single = np.float32(number)
    if float(single) != number and float(str(single)) != number:
        raise UnfitError(
            f'{number!r} does not fit into {text} (about 7 digits, up to 3.4e38): .astype("float32") rounds it'
        )
    return float(single)


def _decimal(text: str, precision: int, scale: int) -> Callable[[object], str]:
    largest = f"{'9' * (precision - scale) or '0'}{'.' if scale else ''}{'9' * scale}"
    limits = f"{text} (-{largest} to {largest})"

    def carry(value) -> str:
        if _is_integer(value):
            number = Decimal(int(value))
        elif _is_float(value):
            number = Decimal(str(value))
        elif _is_decimal(value):
            number = Decimal(value)
        else:
            raise UnfitError(f"Cannot parse {shown(value)} as a number for {limits}")
        sign, digits, exponent = number.as_tuple()
        if not number.is_finite():
            raise UnfitError(f"{shown(value)} does not fit into {limits}")
        significant = "".join(map(str, digits)).lstrip("0")
        exponent += len(significant) - len(significant.rstrip("0"))
        significant = significant.rstrip("0")
        if significant and (exponent < -scale or len(significant) + exponent > precision - scale):
            raise UnfitError(f"{shown(value)} does not fit into {limits}")
        return f"{Decimal((sign, tuple(map(int, significant)), exponent)):f}" if significant else "0"

    return carry


def _bool(value, text: str) -> str:
    if isinstance(value, str) and value in ("true", "false"):
        return "01"[value == "true"]
    if (_is_integer(value) or _is_float(value)) and value in (0, 1):
        return "01"[bool(value)]
    raise UnfitError(f"{shown(value)} does not fit into {text} (true or false)")


def _bytes(value, text: str) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise UnfitError(
            f"{shown(value)} is {type(value).__name__}, and {text} takes text: .astype(str) makes text of it"
        )
    try:
        carried = value.encode("utf-8", "surrogateescape")
        same = carried.decode("utf-8", "surrogateescape") == value
    except UnicodeEncodeError:
        same = False
    if not same:
        raise UnfitError(f"{shown(value)} holds half of a character, which {text} (UTF-8) cannot give back")
    return carried


def _fixed(value, text: str, length: int) -> bytes:
    carried = _bytes(value, text)
    if len(carried) > length:
        raise UnfitError(f"{shown(value)} does not fit into {text} (up to {length} bytes, it has {len(carried)})")
    if carried.endswith(b"\0"):
        raise UnfitError(f"{shown(value)} does not fit into {text}: it ends in NUL, with which {text} fills up texts")
    return carried


def _enum(text: str, known: list[str]) -> Callable[[object], str]:
    def carry(value) -> str:
        if not isinstance(value, str) or value not in known:
            raise UnfitError(f"{shown(value)} does not fit into {text}: it takes {', '.join(map(repr, known))}")
        return value.encode("utf-8", "surrogateescape").hex()

    return carry


def _uuid(value, text: str) -> str:
    if isinstance(value, uuid.UUID) or (isinstance(value, str) and _UUID.fullmatch(value)):
        return str(value).lower()
    raise UnfitError(f"{shown(value)} does not fit into {text} (such as 61f0c404-5cb3-11e7-907b-a6006ad3dba0)")


def _address(value, text: str, of: type) -> str:
    if isinstance(value, str | of):
        try:
            address = of(value)
            if not getattr(address, "scope_id", None):
                return str(address)
        except ValueError:
            pass
    raise UnfitError(f"{shown(value)} does not fit into {text} (such as {of(1)})")
