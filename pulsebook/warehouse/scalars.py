"""How a value of one type travels to a table, and the types whose values are not made of others."""

from collections.abc import Callable
from dataclasses import dataclass

from pulsebook.warehouse import kinds
from pulsebook.warehouse.kinds import quoted
from pulsebook.warehouse.values import carrier

# Carried texts that stand in for NULL; "0" for the others
_BLANKS = {
    "Float32": "00000000",
    "Float64": "0000000000000000",
    "String": "",
    "UUID": "00000000-0000-0000-0000-000000000000",
    "IPv4": "0.0.0.0",
    "IPv6": "::",
    "DateTime": "0000086400",
    "DateTime64": "1970-01-02 00:00:00Z",
}


@dataclass(frozen=True)
class Wire:
    """How values of one type travel.

    Attributes:
        encode: makes a cell of a value; raises `UnfitError`.
        decode: SQL of the value, from SQL of its cell.
        check: SQL that is true where the server holds what the cell says; None where that is certain.
        blank: a cell's text after its mark, where there is no value.
    """

    encode: Callable[[object], str]
    decode: Callable[[str], str]
    check: Callable[[str], str] | None
    blank: str


def scalar(kind: str) -> Wire | None:
    """How values of a plain type travel; None: only as ClickHouse's own text of them."""
    carry = carrier(kind)
    if carry is None:
        return None
    plain = kinds.kind(kind)
    name, check, blank = plain.name, None, _BLANKS.get(plain.name, "0")

    def cast(text: str) -> str:
        return f"CAST({text}, {quoted(kind)})"

    if name.removeprefix("U").startswith("Int"):
        decode = f"to{name}({{}})".format
    elif name in ("Float32", "Float64"):
        decode = f"reinterpretAs{name}(unhex({{}}))".format
    elif name == "String":
        decode = "unhex({})".format
    elif name in ("FixedString", "Enum8", "Enum16"):
        decode = lambda text: cast(f"unhex({text})")  # noqa: E731
        blank = kinds.names(plain)[0].encode().hex() if name != "FixedString" else ""
    elif name in ("Date", "Date32", "Bool"):
        number = {"Date": "toUInt16", "Date32": "toInt32", "Bool": "toUInt8"}[name]
        decode = lambda text: cast(f"{number}({text})")  # noqa: E731
    elif name == "DateTime":
        decode = cast
        check = _second_check(cast)
    elif name == "DateTime64":
        decode = _fraction_decode(cast, kind)
        check = _fraction_check(decode)
    else:
        decode = cast
    return Wire(carry, decode, check, blank)


def _second_check(decode: Callable[[str], str]) -> Callable[[str], str]:
    """Ten digits are an instant, all else is what a clock shows; a server may put another time in its place."""

    def check(text: str) -> str:
        value = decode(text)
        return f"if(length({text}) = 10, toUInt32({value}) = toUInt32OrZero({text}), toString({value}) = {text})"

    return check


def _fraction_decode(cast: Callable[[str], str], kind: str) -> Callable[[str], str]:
    """With a `Z` it is an instant, else what a clock shows."""
    utc = quoted(f"DateTime64({kinds.kind(kind).arguments[0]}, 'UTC')")

    def decode(text: str) -> str:
        bare = f"replaceOne({text}, 'Z', '')"
        return f"if(endsWith({text}, 'Z'), {cast(f'CAST({bare}, {utc})')}, {cast(bare)})"

    return decode


def _fraction_check(decode: Callable[[str], str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        value = decode(text)
        utc = f"concat(toString(toTimeZone({value}, 'UTC')), 'Z')"
        return f"if(endsWith({text}, 'Z'), {utc}, toString({value})) = {text}"

    return check
