"""The command line: `pulsebook archive verify|diff|prune|index`."""

import argparse
import logging

from pulsebook.base.settings import SettingsError
from pulsebook.cli import archive


def main(words: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    parser = argparse.ArgumentParser(prog="pulsebook", description=__doc__)
    archive.add_to(parser.add_subparsers(required=True, metavar="archive"))
    arguments = parser.parse_args(words)
    try:
        return arguments.run(arguments)
    except SettingsError as error:
        parser.error(str(error))
