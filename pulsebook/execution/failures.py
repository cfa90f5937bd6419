"""How a cell failed, in words; and whether it has not failed but left."""

import re

from nbformat import NotebookNode
from nbformat.v4 import new_output

from pulsebook.base.errors import PulsebookError
from pulsebook.execution.trim import FIELD, shortened, writable

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
POINTED = re.compile(r"^-+> *\d+ (.*)", re.M)  # the line of the cell that IPython's traceback points to
# What is wrong in the code or the statement itself, and stays so however often it is tried: no list of all, but sure. And a
# day that is not complete: time alone mends it, and more of it than lies between two tries; and a message that may have
# arrived: a person alone can see whether it has.
LASTING = {
    "NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError", "UsageError",
    "CatalogueError", "MessageError", "PeriodError", "StatementError",
    "UnfinishedDay", "Uncertain",
}  # fmt: skip
# ClickHouse: arguments, functions, columns, syntax, aggregates. Not tables: another step may make them
WRONG_SQL = re.compile(r"ClickHouse at \S+: Code: (42|43|46|47|62|63|184|215)\b")
LOST = (
    "NoReply",
    "the kernel is idle and has not said how the cell ended: whether it did its work is unknown",
)


class CellFailed(PulsebookError, RuntimeError):
    """A cell raised an exception; the message is what it said. `lasting`: no retry repairs it."""

    def __init__(self, message: str, lasting: bool = False):
        super().__init__(message)
        self.lasting = lasting


class KernelDied(PulsebookError, RuntimeError):
    """The kernel cannot go on; the message says why, as far as that can be known."""


class CellTimedOut(PulsebookError, RuntimeError):
    """A cell took longer than it may."""


def failure_of(cell: NotebookNode, reply: dict | None, stated: dict | None) -> tuple[str, str] | None:
    """Name and message of what a cell raised; None if it succeeded. The cell's outputs show it afterwards.

    Args:
        reply: the kernel's reply to the cell; None: none came.
        stated: what the kernel stated by itself (see `in_kernel`), as far as it did.
    """
    if reply and any(p.get("source") == "ask_exit" and not p.get("keepkernel") for p in reply.get("payload") or []):
        stated = {"ename": "SystemExit", "evalue": "0"}
    elif reply and reply["status"] == "ok":
        return None
    shown = [output for output in cell.outputs if output.output_type == "error"]
    known = stated or (shown[-1] if shown else None) or (reply if reply and reply.get("ename") else None)
    name, message = (str(known["ename"]), str(known.get("evalue") or "")) if known else LOST
    if name == "SystemExit" and message in ("", "None", "False"):
        message = "0"
    name, message = writable(shortened(name, FIELD)), writable(shortened(message, FIELD))
    if not shown:
        cell.outputs.append(new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"]))
    elif stated:
        shown[-1].update(ename=name, evalue=message)
    return name, message


def is_lasting(name: str, message: str) -> bool:
    """Whether what a cell raised is of a kind that no retry repairs.

    >>> is_lasting("NameError", "name 'x' is not defined"), is_lasting("KeyError", "'x'")
    (True, False)
    """
    return name in LASTING or WRONG_SQL.match(message) is not None


def said(name: str, message: str, cell: NotebookNode) -> str:
    """What a cell raised, in one text. An exception without a message is named by the line that raised it."""
    name = name.strip() or "an exception without a name"
    if message.strip():
        return f"{name}: {message}"
    traceback = [line for output in cell.outputs if output.output_type == "error" for line in output.traceback]
    lines = POINTED.findall(COLOUR.sub("", "\n".join(traceback)))
    return f"{name} without a message{f', in the line: {lines[-1].strip()}' if lines else ''}"
