"""JupyterLab as the analysts' workbench: the start page, and `%pulsebook try` in any cell.

`make lab` sets all of it up. Elsewhere `%load_ext pulsebook.lab` in a kernel brings the magic.
"""


def load_ipython_extension(shell):
    """IPython's hook."""
    from pulsebook.lab import magic, stale

    magic.load(shell)
    stale.load(shell)
