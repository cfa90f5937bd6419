"""`pulsebook archive …`: check the archive, compare two runs, remove what is old, make the index anew."""

import time
from contextlib import contextmanager
from pathlib import Path

from pulsebook.archive import index, index_entries, lookup
from pulsebook.base import files
from pulsebook.base.redact import redact
from pulsebook.base.settings import settings
from pulsebook.cli import trial


def add_to(commands) -> None:
    """Add the command `archive` to a parser's commands. What is parsed has `run(arguments)`, which returns an exit code."""
    archive = commands.add_parser("archive", help="executed notebooks: verify, diff, prune, index", description=__doc__)
    actions = archive.add_subparsers(required=True, metavar="verify|diff|prune|index")

    action = actions.add_parser(
        "verify", help="compare every file with its checksum; exit code 1 if something is wrong"
    )
    action.set_defaults(run=_verify)

    action = actions.add_parser("index", help="make outputs/index.html anew from all records")
    action.set_defaults(run=_index)

    action = actions.add_parser("diff", help="compare two runs of a step")
    action.add_argument("runs", nargs="+", metavar="RUN", help="executed notebook, page or record, as a path or as named in the index; one alone: against the previous succeeded run")  # fmt: skip
    action.add_argument("--html", type=Path, metavar="FILE", help="write a page instead, with pictures")
    action.set_defaults(run=_diff, refuse=action.error)

    action = actions.add_parser("prune", help="remove runs whose time is over; without --delete only say which")
    action.add_argument("--delete", action="store_true", help="really remove them")
    action.set_defaults(run=_prune)


@contextmanager
def _archive(*, must_exist: bool = True):
    """The place of the archive; the command ends with a message where it does not exist or fails."""
    outputs = settings().outputs
    try:
        if not _is_there(outputs) and must_exist:
            raise SystemExit(f"there is no archive at {outputs}; is PULSEBOOK_OUTPUTS right?")
        yield outputs
    except files.failures(outputs) as error:
        hint = "are PULSEBOOK_OUTPUTS and, for an object store, AWS's variables right?"
        raise SystemExit(redact(f"the archive at {outputs} cannot be used; {hint}\n{error}")) from None


def _is_there(outputs: Path) -> bool:
    try:
        next(iter(outputs.iterdir()), None)  # `exists` takes a store that cannot be reached for an empty one
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def _verify(_) -> int:
    from pulsebook.archive.verify import verify

    with _archive() as outputs:
        if not (index_entries.records_of(outputs) or lookup.entries(outputs)):
            raise SystemExit(f"the archive at {outputs} holds no run; is PULSEBOOK_OUTPUTS right?")
        found = verify(outputs)
    for finding in found.findings:
        line = f"{finding.what:<16} {finding.file}{f'  ({finding.detail})' if finding.detail else ''}"
        print(line.replace("\n", "\\n").encode("utf-8", "backslashreplace").decode())  # odd names are one line, too
    print(
        f"{found.tries:,} runs, {found.running:,} of them running; {found.files:,} files compared: {_outcome(found.findings)}"
    )
    return 1 if found.findings else 0


def _outcome(findings: list) -> str:
    return f"{len(findings):,} findings" if findings else "all as they were written"


def _index(_) -> int:
    with _archive() as outputs:
        print(f"{index.rebuild(outputs):,} runs in {outputs / 'index.html'}")
    return 0


def _diff(arguments) -> int:
    from pulsebook.archive import diff, diff_page, diff_text

    if len(arguments.runs) > 2:
        arguments.refuse(f"expected one run or two, got {len(arguments.runs)}")
    try:
        with _archive(must_exist=False) as outputs:  # files are named by their paths, too
            *given, later = [diff.find(outputs, run) for run in arguments.runs]
            earlier = given[0] if given else diff.previous(outputs, later)
            compared = diff.compare(earlier, later)
    except diff.DiffError as error:
        arguments.refuse(str(error))
    if arguments.html:
        arguments.html.write_text(diff_page.render(compared), encoding="utf-8")
        print(arguments.html)
    else:
        print(diff_text.render(compared))
    return 0


def _prune(arguments) -> int:
    from pulsebook.archive.retention import prune

    with _archive() as outputs:
        over = prune(outputs, time.time(), delete=arguments.delete)
    for run in over:
        print(run.folder.relative_to(outputs).as_posix())
    tries = sum(len(run.records) for run in over)
    done = "removed" if arguments.delete else "to be removed; --delete removes them"
    print(f"{len(over):,} runs with {tries:,} tries {done}" if over else "nothing is old enough to be removed")
    for name in trial.clean() if arguments.delete else ():
        print(f"{name} removed: a try has left it")
    return 0
