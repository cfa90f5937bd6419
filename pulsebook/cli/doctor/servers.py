"""The servers of source and target: whether they answer and let the user in, their versions, clocks and time zone rules."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import unquote, urlsplit

from pulsebook.base.periods import today
from pulsebook.base.settings import Settings
from pulsebook.cli.doctor.findings import Check, Wrong
from pulsebook.warehouse import WarehouseError
from pulsebook.warehouse.errors import PassingError, RefusedError
from pulsebook.warehouse.probe import Probe

OLDEST = (18, 16)  # version of ClickHouse
APART = 60  # seconds between two clocks
STATEMENT = 8.0  # seconds that one statement may take
FORBIDDEN = 291  # code: a database that is not among the user's
DENIED = {164, FORBIDDEN, 392, 497}  # readonly, DDL forbidden, not enough privileges
STRANGER = {192, 193, 194, 516}  # unknown user, wrong password, password needed, authentication failed
ABSENT = {60, 81}  # no such table, no such database


@dataclass(frozen=True)
class Servers:
    """Both servers, asked once for each thing, and what their checks are called."""

    source: Probe
    target: Probe
    source_name: str
    target_name: str


def servers_of(known: Settings) -> Servers:
    """The servers that the settings name; one, where they are the same."""
    source = Probe(known.source_url.get_secret_value(), STATEMENT)
    target = Probe(known.clickhouse_url.get_secret_value(), STATEMENT)
    names = ("server", "server") if known.one_server else ("source server", "target server")
    return Servers(source, target, *names)


def checks(servers: Servers) -> list[Check]:
    """The checks of the servers themselves."""
    probes = {servers.source_name: (servers.source, "PULSEBOOK_SOURCE_URL")}
    probes[servers.target_name] = servers.target, "PULSEBOOK_CLICKHOUSE_URL"  # where they are one, it is this one's
    found = []
    for name, (probe, setting) in probes.items():
        found += [
            Check(name, partial(server, probe, setting)),
            Check(f"clock of {name}", partial(clock, probe), (name,)),
            Check(f"zone rules of {name}", partial(zone_rules, probe), (name,)),
        ]
    return found


def said(error: WarehouseError) -> str:
    """What a server said, in short."""
    if isinstance(error, RefusedError):
        return error.answer.split("\n")[0][:300]
    return str(error).split("\nin: ")[0].removesuffix(" (PULSEBOOK_QUERY_TIMEOUT)")  # the limit is ours here


def code(error: WarehouseError) -> int:
    """ClickHouse's number of an error; 0: it is not one of its own."""
    match = re.match(r"Code: (\d+)", error.answer) if isinstance(error, RefusedError) else None
    return int(match[1]) if match else 0


def user_of(probe: Probe) -> str:
    return unquote(urlsplit(probe.url).username or "default")


def server(probe: Probe, setting: str) -> str:
    """Whether a server answers, lets the user in and is new enough."""
    try:
        ((version, zone),) = probe.rows("SELECT version(), timezone()")
    except PassingError:
        raise Wrong(f"a ClickHouse at {probe.address}", "no connection", f"Start it, or correct {setting}.") from None
    except WarehouseError as error:
        if code(error) in STRANGER or "uthentication failed" in str(error):
            raise Wrong(
                f"{probe.address} to accept the user {user_of(probe)}",
                said(error),
                f"Correct user and password in {setting}.",
            ) from None
        raise Wrong(
            f"an answer of ClickHouse at {probe.address}", said(error), f"Is {setting} its HTTP port?"
        ) from None
    except ValueError:
        raise Wrong(
            f"a ClickHouse at {probe.address}", "another program's answer", f"Is {setting} its HTTP port?"
        ) from None
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        raise Wrong("ClickHouse 18.16 or newer", version, "Upgrade it.")
    return f"{probe.address}, ClickHouse {version}, user {user_of(probe)}, zone {zone}"


def clock(probe: Probe) -> str:
    """Whether this machine and a server agree about the time."""
    before = time.time()
    ((now,),) = probe.rows("SELECT toUInt32(now())")
    after = time.time()
    apart = int(now) - (before + after) / 2
    if abs(apart) > APART + (after - before) / 2:
        raise Wrong(
            f"clocks that agree within {APART} s",
            f"the server's {abs(apart):,.0f} s {'ahead' if apart > 0 else 'behind'}",
            "Set the clocks of both machines (NTP).",
        )
    return f"{abs(apart):.0f} s apart"


def zone_rules(probe: Probe) -> str:
    """Whether a server begins and ends today in the business time zone where Python does."""
    day = today()
    zone, own = day.zone.key, [int(day.start.timestamp()), int(day.end.timestamp())]
    midnights = ", ".join(f"toUInt32(toDateTime('{d} 00:00:00', '{zone}'))" for d in (day, day + 1))
    rules = "Bring the time zone rules of both up to date (tzdata); days are those of Python."
    try:
        (found,) = probe.rows(f"SELECT {midnights}")
    except RefusedError as error:
        raise Wrong(f"the server to know the time zone {zone}", said(error), rules) from None
    if [int(value) for value in found] != own:
        other = ", ".join(datetime.fromtimestamp(int(value), day.zone).isoformat() for value in found)
        raise Wrong(f"{day} to begin and end at midnight in {zone}", f"the server's midnights at {other}", rules)
    return f"{day} in {zone} is the same day as here"
