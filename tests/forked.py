"""Scripts in processes of their own that begin at once: forks of one process that has imported what notebooks need."""

import os
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["pulsebook.chat", "pulsebook.incidents", "pulsebook.present.charts", "pulsebook.warehouse.days"]
)


def script(code: str, **changes: str) -> ForkServerProcess:
    """Run the code with this process's environment and these changes of it; what it prints is dropped. Exit code 1: it raised."""
    process = _FORKS.Process(target=_run, args=(code, {**os.environ, **changes}))
    process.start()
    return process


def exit_code(process: ForkServerProcess, seconds: float) -> int | None:
    """Of a script that has ended within that time; minus the signal that killed it."""
    process.join(seconds)
    return process.exitcode


def _run(code: str, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    exec(compile(code, "script", "exec"), {"__name__": "__main__"})
