"""`%pulsebook try`, `check` and `run` in a cell: the command for the notebook that is open, as it was saved.

    %pulsebook try
    %pulsebook try -p run_date=2026-11-20
    %pulsebook check reports/feed_report.ipynb      # another one, as the command takes it

The command is a process of its own, on the same Python. It executes the file, so a cell that was executed since the file was
saved, with code that the file has not, is named and nothing is done.
"""

import contextlib
import html
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from IPython.core.error import UsageError
from IPython.display import display

from pulsebook.base.environment import variables
from pulsebook.base.magic import without
from pulsebook.base.texts import ago

COMMANDS = ("try", "check", "run")
PATIENCE = 10.0  # seconds that an interrupted command may take to put its end down
STYLE = "width: 100%; height: 40em; resize: vertical; border: 1px solid #d5d9de; background: white"


def load(shell) -> None:
    """Bring the magic into an IPython shell."""
    magic = Magic(shell)
    shell.events.register("pre_run_cell", magic.seen)
    shell.register_magic_function(magic.run, "line", "pulsebook")


@dataclass
class Magic:
    """The magic of one shell, and what cells it has executed: last when, and which code."""

    shell: object
    executed: dict[str, tuple[float, str]] = field(default_factory=dict)

    def seen(self, cell) -> None:
        """IPython's hook before a cell is executed."""
        if cell.store_history:
            self.executed[cell.cell_id or cell.raw_cell] = time.time(), cell.raw_cell

    def run(self, line: str) -> None:
        """`%pulsebook COMMAND [NOTEBOOK] [WORDS]`"""
        command, *words = shlex.split(line) or [""]
        if command not in COMMANDS:
            raise UsageError(f"%pulsebook takes one of {', '.join(COMMANDS)}, got {command or 'nothing'}")
        if words and words[0].endswith(".ipynb"):
            notebook, *words = words
        else:
            notebook = str(path := open_notebook(self.shell.user_ns))
            self._refuse_unsaved(path)
            if command != "try":  # which says it itself
                print(f"{path.name}, saved {ago(path.stat().st_mtime)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            asked = [command, notebook, *words, *(["--html", str(page)] if command == "try" else [])]
            code = _told(asked, but=str(page))
            if page.exists():
                display({"text/html": framed(page.read_text("utf-8")), "text/plain": "the comparison"}, raw=True)
        if code and command != "check":
            raise UsageError(f"pulsebook {command} has failed; what it says stands above")

    def _refuse_unsaved(self, path: Path) -> None:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        known = {without("".join(cell["source"])).strip() for cell in cells}
        saved = path.stat().st_mtime
        for at, code in self.executed.values():
            own = without(code).strip()
            if at > saved and own and own not in known:
                raise UsageError(
                    f"{path.name} was saved {ago(saved)}, and a cell that was executed since is not in it: "
                    f"{own.splitlines()[0][:80]!r} … Save the notebook (Ctrl+S), then ask again"
                )


def open_notebook(names: dict) -> Path:
    """The notebook whose kernel this is, as its JupyterLab or VS Code says; `names` are those of the shell.

    Raises:
        UsageError: neither says one that is there.
    """
    said = variables().get("JPY_SESSION_NAME") or names.get("__vsc_ipynb_file__") or ""
    path = Path(said)
    if path.suffix != ".ipynb":
        raise UsageError("no notebook is open in this kernel: name one, as in %pulsebook try reports/feed_report.ipynb")
    if not path.is_file():
        raise UsageError(f"{path} is not there, was it renamed? Restart the kernel, or name it: %pulsebook try FILE")
    return path


def framed(page: str) -> str:
    """A page within the notebook's: none of its scripts runs, and it belongs to no origin."""
    return f'<iframe sandbox srcdoc="{html.escape(page)}" style="{STYLE}"></iframe>'


def _told(words: list[str], but: str) -> int:
    """Run the command and show what it says as it says it, all but one line; returns its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulsebook", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables() | {"PULSEBOOK_IN_LAB": "1"},
        encoding="utf-8",
        errors="replace",
    )
    try:
        for line in process.stdout:
            if line.strip() != but:  # where its page lies, which is shown below
                print(line, end="", flush=True)
        return process.wait()
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):  # interrupted, as the command was: it closes its record
            process.wait(PATIENCE)
        process.kill()
