"""Checks and what they find: each is bounded in time, and one that fails never stops the others."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pulsebook.base.errors import PulsebookError
from pulsebook.base.redact import redact
from pulsebook.base.settings import SettingsError

LIMIT = 10.0  # seconds that a check may take
SHOWN = 600  # characters of a finding


class Wrong(PulsebookError):
    """Something must be done: what was expected, what was found, what to do."""

    def __init__(self, expected: str, found: str, do: str):
        super().__init__(f"expected {expected}, found {found}. {do}")


class Skipped(PulsebookError):
    """Nothing was looked at; the message says why."""


@dataclass(frozen=True)
class Finding:
    """One line: what became of a check, or of a part of it."""

    check: str
    status: Literal["ok", "wrong", "skipped"]
    text: str

    def __str__(self) -> str:
        sign = {"ok": "ok", "wrong": "!!", "skipped": "--"}[self.status]
        return f"{sign}  {self.check}: {self.text}"


Answer = str | Wrong | Skipped


@dataclass(frozen=True)
class Check:
    """A name and a function that says that all is well, or raises `Wrong` or `Skipped`; a list is several lines.

    Attributes:
        after: names of checks without which this one would only say the same again: it is left out where one is wrong.
    """

    name: str
    run: Callable[[], Answer | list[Answer]]
    after: tuple[str, ...] = ()
    limit: float = field(default=LIMIT)


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run checks one after the other; yields their lines as they come."""
    not_well: set[str] = set()
    for check in checks:
        if before := next((name for name in check.after if name in not_well), ""):
            found = [Finding(check.name, "skipped", f"not looked at before {before} is well")]
        else:
            found = [_finding(check.name, answer) for answer in _answers(check)]
        if before or any(finding.status == "wrong" for finding in found):
            not_well.add(check.name)
        yield from found


def _answers(check: Check) -> list[Answer]:
    answers: list[Answer] = []

    def work():
        try:
            given = check.run()
        except (Wrong, Skipped) as said:
            given = said
        except BaseException as error:  # also SystemExit: whatever a check meets is a line
            given = Wrong(
                "this check to come to an end", f"{type(error).__name__}: {error}", "Tell its authors if it stays so."
            )
        answers.extend(given if isinstance(given, list) else [given])

    thread = threading.Thread(target=work, name=f"doctor: {check.name}", daemon=True)
    thread.start()
    try:
        thread.join(check.limit)
    except KeyboardInterrupt:
        thread.join(check.limit)  # what it made for a try is removed first
        raise
    if thread.is_alive():
        late = "Is the network, the server or this machine slow? Run it again."
        return [Wrong(f"an answer within {check.limit:g} s", "none", late)]
    return answers


def _finding(name: str, answer: Answer) -> Finding:
    status = "wrong" if isinstance(answer, Wrong) else "skipped" if isinstance(answer, Skipped) else "ok"
    text = " ".join(_without_secrets(str(answer)).split())
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
    return Finding(name, status, text.encode("utf-8", "backslashreplace").decode())


def _without_secrets(text: str) -> str:
    try:
        return redact(text)
    except SettingsError:  # which secrets there are is not known then; what is looked at without settings says none
        return text
