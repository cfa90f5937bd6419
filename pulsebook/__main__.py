"""`python -m pulsebook …`: the command line."""

import sys

from pulsebook.cli import main

if __name__ == "__main__":
    sys.exit(main())
