"""The command line: `pulsebook COMMAND …`, or `python -m pulsebook`."""

import argparse
import logging

from pulsebook.base.settings import SettingsError
from pulsebook.cli import archive, check, doctor, forget, new, run, trial

COMMANDS = (new, check, trial, run, archive, forget, doctor)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. What is parsed has `run(arguments)`, which returns the exit code."""
    made = argparse.ArgumentParser(prog="pulsebook", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return made


def main(words: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    line = parser()
    arguments = line.parse_args(words)
    try:
        return arguments.run(arguments)
    except SettingsError as error:
        line.error(str(error))
