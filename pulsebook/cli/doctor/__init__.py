"""`pulsebook doctor`: what is wrong with an installation, before its first run and after an upgrade.

Each line is `ok`, `!!` (wrong: what was expected, what was found, what to do) or `--` (not looked at, and why). Nothing is
posted, and what is written to try a right is removed again.
"""

import json


def add_to(commands) -> None:
    """Add the command `doctor` to a parser's commands. What is parsed has `run(arguments)`, which returns an exit code."""
    command = commands.add_parser(
        "doctor", help="what is wrong with this installation; exit code 1 if anything is", description=__doc__
    )
    command.add_argument("--json", action="store_true", help="a list of check, status (ok, wrong, skipped) and text")
    command.set_defaults(run=_doctor)


def _doctor(arguments) -> int:
    from pulsebook.cli.doctor.everything import findings  # it brings drivers: not for other commands

    wrong, found = 0, []
    for finding in findings():
        wrong += finding.status == "wrong"
        found.append({"check": finding.check, "status": finding.status, "text": finding.text})
        if not arguments.json:
            print(finding, flush=True)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(f"{wrong} of {len(found)} lines need something done" if wrong else "nothing is wrong")
    return 1 if wrong else 0
