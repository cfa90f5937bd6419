"""The folders of a kernel's sockets and of a fork server's, in the machine's folder for temporary files.

A task removes its own; after a kill its guard does. Where the guard was killed too, or a fork server, the next run sweeps it up.
"""

import re
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, SERVER = "pb-", "pulsebook-fork-"  # of a kernel's folder, of a fork server's
OWN = re.compile(r"k-\d+|kernel\.json|server")  # what such a folder holds: sockets, and the file that names them
YOUNG = 600.0  # seconds: a folder whose kernel may not have started yet


@contextmanager
def sockets():
    """A new folder; its name is short, since a socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove what killed runs have left: folders that hold nothing else, and in which no kernel listens any more."""
    place = Path(tempfile.gettempdir())
    for folder in (*place.glob(f"{PREFIX}*"), *place.glob(f"{SERVER}*")):
        with suppress(OSError):  # somebody else's, or swept up by another run in this moment
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < YOUNG:
                continue
            files = list(folder.iterdir())
            if all(OWN.fullmatch(file.name) for file in files) and not any(map(_listens, files)):
                for file in files:
                    file.unlink()
                folder.rmdir()


def _listens(path: Path) -> bool:
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.settimeout(0.1)
        try:
            knocking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its queue is full, or it is another user's
            return True
    return True
