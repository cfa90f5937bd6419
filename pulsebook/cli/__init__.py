"""The command line: `pulsebook COMMAND …`, or `python -m pulsebook`."""

import argparse
import logging
import sys

from pulsebook.base import embedded
from pulsebook.base.settings import ROOT, SettingsError, settings
from pulsebook.cli import archive, check, doctor, forget, new, run, trial

COMMANDS = (new, check, trial, run, archive, forget, doctor)
ASKING = {"try", "run", "forget"}  # commands that ask a warehouse; `doctor` says itself which


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. What is parsed has `run(arguments)`, which returns the exit code."""
    made = argparse.ArgumentParser(prog="pulsebook", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in COMMANDS:
        command.add_to(commands)
    return made


def main(words: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    line = parser()
    arguments = line.parse_args(words)
    try:
        if arguments.command in ASKING and (said := which_warehouse()):
            print(said, file=sys.stderr)
        return arguments.run(arguments)
    except SettingsError as error:
        line.error(str(error))


def which_warehouse() -> str:
    """A sentence on the warehouse that is taken where no setting names one; empty where one does, or none is here."""
    if "clickhouse_url" in settings().model_fields_set or not embedded.folder(ROOT).exists():
        return ""
    if there := embedded.url(ROOT):
        return f"PULSEBOOK_CLICKHOUSE_URL is not set: this is the warehouse of this folder, http://{there.rpartition('@')[2]}"
    return (
        "PULSEBOOK_CLICKHOUSE_URL is not set, and the warehouse of this folder does not run: `make warehouse` starts it"
    )
