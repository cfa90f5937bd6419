"""A kernel keeps the catalogue that it has imported: when a file of it has changed since, the next cell says so.

It is not imported anew (as `%autoreload` would): what was made of it before, in a cell or in another module, would go on
counting by the old one, and some of a result would be of either.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "pulsebook.catalogue"


def load(shell) -> None:
    """Watch the catalogue of an IPython shell."""
    catalogue = Catalogue()
    shell.events.register("pre_run_cell", catalogue.look)
    shell.events.register("post_run_cell", catalogue.note)


@dataclass
class Catalogue:
    """The files that this process has imported, with their times."""

    imported: dict[Path, float] = field(default_factory=dict)

    def note(self, _=None) -> None:
        """IPython's hook after a cell: what it has imported."""
        for name, module in list(sys.modules.items()):
            if name.startswith(PACKAGE) and (file := getattr(module, "__file__", None)):
                self.imported.setdefault(Path(file), _time(Path(file)))

    def look(self, _=None) -> None:
        """IPython's hook before a cell: what has changed since, once for each change."""
        for file, then in self.imported.items():
            if (now := _time(file)) != then:
                self.imported[file] = now
                print(
                    f"{'/'.join(file.parts[-3:])} has changed since this kernel imported it, which goes on by the old one: "
                    "restart the kernel",
                    file=sys.stderr,
                )


def _time(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
