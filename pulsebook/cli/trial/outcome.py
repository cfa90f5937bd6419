"""What a try has shown: its messages, what `pulsebook check` says of the notebook, and what differs from the archived run."""

import ast
import dataclasses
import json
from pathlib import Path

import nbformat

from pulsebook.archive import code_diff, diff, diff_page, diff_text, index_entries, lookup, origin
from pulsebook.archive.code_diff import CellChange
from pulsebook.archive.index_entries import GOOD
from pulsebook.archive.record import Record
from pulsebook.base.settings import settings
from pulsebook.chat import page
from pulsebook.chat.markup import plain
from pulsebook.cli import check
from pulsebook.cli.trial import database
from pulsebook.parameters import known_of


def shown(record: Record, notebook: Path, telling: set[str], html: Path | None) -> int:
    """Print all there is to say of a try; returns the exit code. `telling`: see `archived`."""
    chat = record.path.parents[3] / "chat"
    messages = page.read(chat)
    for message in messages:
        print(
            f"\nwould be posted to {message['chat']}, with {len(message['photos'])} pictures:\n{plain(message['text'])}"
        )
    print(f"\nas the chat shows it: {chat / 'index.html'}" if messages else "\nnothing would be posted")
    print("\n`pulsebook check`, of what can be seen without executing:")
    check.show(check.findings([notebook]))
    if record.status not in (GOOD, "skipped"):
        print(f"\nnot compared: the notebook {record.status}")
        return 1
    earlier = archived(record, notebook, telling)
    if earlier is None:
        print(f"\nnothing to compare with: the archive has no succeeded run of {notebook.name} for {record.period}")
    else:
        compared = _as_if_there(diff.compare(earlier, record), notebook)
        print(f"\ncompared with the archived run of {record.period}:\n{diff_text.render(compared)}")
        if html:
            html.write_text(diff_page.render(compared), encoding="utf-8")
            print(html)
    return 0


def archived(record: Record, notebook: Path, telling: set[str]) -> Record | None:
    """The archived run that a try is compared with: of the same notebook and day or slot, with the parameters that differ
    least, and of those the latest.

    Args:
        telling: parameters that tell the tasks of the notebook apart: they are the same.
    """
    outputs, own = settings().outputs, values(record, notebook)
    names = [
        name
        for name, run in lookup.entries_of(outputs, index_entries.entry_of(record)["day"]).items()
        if (run["dag"], run["period"], run["status"]) == (record.path.parents[2].name, record.period, GOOD)
    ]
    known = index_entries.looked_at(outputs / f"{name}.json" for name in names)
    same = [other for _, other in known if other and Path(other.notebook).name == notebook.name]
    same = [other for other in same if all(values(other, notebook).get(name) == own.get(name) for name in telling)]

    def likeness(other: Record) -> tuple:
        return sum(own.get(name) == value for name, value in other.parameters.items()), other.started

    return max(same, key=likeness, default=None)


def _as_if_there(compared: diff.Comparison, notebook: Path) -> diff.Comparison:
    """A comparison in which the try's tables are called as those of the target, and defaults are no differences; with what has
    changed in the catalogue since the earlier run."""
    earlier, tried = compared.notebooks
    text = json.dumps(tried).replace(f"{database.name()}.", f"{settings().target_database}.")
    records = [dataclasses.replace(one, parameters=values(one, notebook)) for one in (compared.earlier, compared.later)]
    notebooks = earlier, nbformat.from_dict(json.loads(text))
    return diff.Comparison(*records, notebooks, *_catalogue(compared.earlier))


def _catalogue(earlier: Record) -> tuple[tuple[CellChange, ...], tuple[str, ...]]:
    """What has changed in the catalogue since a run, and what is not known of that."""
    found = origin.catalogue_since(earlier.git_commit)
    if found is None:
        return (), ("The catalogue is not compared: the commit of the archived run is not known here.",)
    changed = [
        dataclasses.replace(change, heading=name)
        for name, texts in found.items()
        for change in code_diff.changes(*([text] if text else [] for text in texts))
    ]
    dirty = ("The archived run had changed files: its catalogue may differ from that of its commit.",)
    return tuple(changed), dirty if earlier.git_dirty else ()


def values(record: Record, notebook: Path) -> dict:
    """All parameters of a run: those it was given, and the notebook's defaults."""
    defaults = {name: known.default for name, known in known_of(notebook).items() if known.default is not None}
    return {name: _value(code) for name, code in defaults.items()} | record.parameters


def _value(code: str) -> object:
    try:
        return ast.literal_eval(code)
    except ValueError:  # computed: it is like nothing that was given
        return None
