"""`pulsebook doctor`: what is wrong with an installation, before its first run and after an upgrade.

Each line is `ok`, `!!` (wrong: what was expected, what was found, what to do) or `--` (not looked at, and why). Nothing is
posted, and what is written to try a right is removed again.
"""

import json
from collections.abc import Iterator

from pulsebook.base.environment import supplied
from pulsebook.base.settings import Settings, settings
from pulsebook.cli.doctor import airflow, archive, chat, here, rights, servers, sources, tables
from pulsebook.cli.doctor.findings import Check, Finding, examine


def add_to(commands) -> None:
    """Add the command `doctor` to a parser's commands. What is parsed has `run(arguments)`, which returns an exit code."""
    command = commands.add_parser(
        "doctor", help="what is wrong with this installation; exit code 1 if anything is", description=__doc__
    )
    command.add_argument("--json", action="store_true", help="a list of check, status (ok, wrong, skipped) and text")
    command.set_defaults(run=_doctor)


def findings() -> Iterator[Finding]:
    """All that is found, line by line."""
    connections = airflow.Connections()
    for found in examine([Check("connections", connections.look_up, limit=airflow.LIMIT)]):
        yield found
    with supplied(connections.variables) as names:
        unusable = False
        for found in examine([Check("settings", lambda: here.settings_said(names)), *here.CHECKS, *airflow.CHECKS]):
            unusable |= found.check == "settings" and found.status == "wrong"
            yield found
        if not unusable:
            yield from examine(_of_settings(settings()))


def _of_settings(known: Settings) -> list[Check]:
    """The checks of what the settings name."""
    both = servers.servers_of(known)
    warehouse = [
        *servers.checks(both),
        *sources.checks(both, known),
        *rights.checks(both, known),
        *tables.checks(both, known),
    ]
    return [*warehouse, *archive.CHECKS, *chat.checks(known)]


def _doctor(arguments) -> int:
    wrong, found = 0, []
    for finding in findings():
        wrong += finding.status == "wrong"
        found.append({"check": finding.check, "status": finding.status, "text": finding.text})
        if not arguments.json:
            print(finding, flush=True)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"{wrong} of {len(found)} lines need something done" if wrong else "nothing is wrong")
    return 1 if wrong else 0
