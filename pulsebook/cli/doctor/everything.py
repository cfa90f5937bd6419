"""All checks of an installation, in their order."""

from collections.abc import Iterator

from pulsebook.base.environment import supplied
from pulsebook.base.settings import Settings, settings
from pulsebook.cli.doctor import airflow, archive, chat, here, monitor, rights, servers, sources, tables
from pulsebook.cli.doctor.findings import Check, Finding, examine


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
    return [*warehouse, *archive.CHECKS, *chat.checks(known), *monitor.checks(known)]
