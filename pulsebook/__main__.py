"""The command line: `python -m pulsebook archive verify|diff|prune|index`."""

import argparse
import logging
import sys

from pulsebook.archive import cli
from pulsebook.settings import SettingsError


def main(words: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    parser = argparse.ArgumentParser(prog="pulsebook", description=__doc__)
    cli.add_to(parser.add_subparsers(required=True, metavar="archive"))
    arguments = parser.parse_args(words)
    try:
        return arguments.run(arguments)
    except SettingsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
