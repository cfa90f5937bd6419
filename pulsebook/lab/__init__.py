"""JupyterLab as the analysts' workbench: the start page, `%pulsebook try` in any cell, help where a mistake happens.

`make lab` sets all of it up. Elsewhere `%load_ext pulsebook.lab` in a kernel brings what is for kernels.
"""

import sys


def load_ipython_extension(shell):
    """IPython's hook."""
    from pulsebook.execution.in_kernel import own_programs_first
    from pulsebook.lab import magic, stale

    own_programs_first()
    magic.load(shell)
    stale.load(shell)
    shell.events.register("post_run_cell", _say_what_there_is)


def _say_what_there_is(result) -> None:
    """Below pandas' own message about a column that is not there."""
    from pulsebook.execution.in_kernel import lacking

    if about := lacking(result.error_in_exec):
        print(about.removeprefix("; "), file=sys.stderr)
