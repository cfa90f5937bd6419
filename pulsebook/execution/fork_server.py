"""The fork server: a process that has imported what kernels need, and forks one for each task that asks.

A kernel is then there at once, with pandas and the warehouse, instead of after seconds. The server holds nothing of any task: it
has no secrets in its environment, and what a task asks for is read by the fork itself. So a kernel is like one that was
started anew: a session, sockets, environment, folder and random numbers of its own; one that dies harms no other.

It is a program of its own: `python -m pulsebook.execution.fork_server FOLDER`, started by `forked` for whoever has no server yet.
Its socket is in that folder, which belongs to one server at a time. It ends after ten minutes without a kernel, or as soon as a
file that it has imported has changed, once its kernels are over.
"""

import atexit
import fcntl
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import site
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import get_args

from pulsebook.execution.fork import become, leave

IDLE = 600.0  # seconds without a kernel, after which a server ends
LOOK = 30.0  # seconds between looks whether its socket is still there
NAME = "server"  # of the socket
PREPARED = ("ipykernel.ipkernel", "ipykernel.debugger", "ipykernel.kernelapp", "numpy", "pandas", "holidays")
ROOMS = ("warehouse", "present", "anomaly", "chat", "incidents")  # of the package, whose modules notebooks import
LATE = (  # what is imported when a kernel starts, at a first use, and when it ends, as far as this version has it
    *("faulthandler", "pdb", "sqlite3", "tornado.platform.asyncio", "traitlets.config.argcomplete_config"),
    *("IPython.core.completerlib", "IPython.core.debugger", "IPython.core.debugger_backport", "IPython.core.logger"),
    *("IPython.core.oinspect", "IPython.extensions.storemagic", "IPython.utils.wildcard"),
    *("netrc", "matplotlib.backends.backend_agg", "pandas.core.reshape.reshape", "psutil"),
    *("pandas.io.formats.csvs", "pandas.io.formats.html", "pandas.io.formats.string"),
)


class Files:
    """The files that this process has imported, and the folders where packages are installed, as they were.

    Args:
        since: time in seconds; what has changed later was perhaps not imported as it is now.
    """

    def __init__(self, since: float):
        self._since = since
        modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        folders = [folder for folder in (*site.getsitepackages(), site.getusersitepackages()) if os.path.isdir(folder)]
        self._known = {path: _facts(path) for path in {sys.executable, *folders, *filter(None, modules)}}

    def changed(self) -> list[str]:
        """Those that are others now, in some 5 ms for 1,500 files."""
        late = self._since * 1e9
        return [path for path, was in self._known.items() if _facts(path) != was or was and max(was[2:]) >= late]


def _facts(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_own(folder: os.stat_result) -> bool:
    """Whether a folder is this user's, and nobody else may look into it."""
    return stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.getuid() and not folder.st_mode & 0o077


def take(folder: Path) -> int:
    """Make the folder this process's own; returns what keeps it so as long as it is open.

    Raises:
        OSError: it is another server's, or another user's.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    taken = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    facts = os.fstat(taken)
    if not is_own(facts):
        raise PermissionError(f"{folder} is not this user's alone")
    fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not os.path.samestat(facts, os.stat(folder)):
        raise FileNotFoundError(f"{folder} has been removed")
    (folder / NAME).unlink(missing_ok=True)  # of a server that was killed
    return taken


class Server:
    """Listens in a folder; `run` returns in each fork, with its connection, and in the server at the end, with none."""

    def __init__(self, folder: Path, taken: int, files: Files):
        self._socket, self._taken, self._files = folder / NAME, taken, files
        self._kernels: dict[int, tuple[int, socket.socket]] = {}  # by pidfd
        self._waiting = selectors.PollSelector()
        self._listening: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._waiting.register(self._listening, selectors.EVENT_READ)

    def run(self) -> socket.socket | None:
        """Fork for whoever asks, tell them how their kernels ended, and go when nobody needs this server any more."""
        self._listening.bind(str(self._socket))
        self._place = _facts(str(self._socket))
        self._listening.listen(64)
        last = time.monotonic()
        while self._waiting.get_map():
            for key, _ in (ready := self._waiting.select(LOOK)):
                if key.fileobj is not self._listening:
                    self._tell(key.fileobj)
                elif fork := self._fork():
                    return fork
            if ready or self._kernels:
                last = time.monotonic()
            if time.monotonic() - last > IDLE or _facts(str(self._socket)) != self._place:
                self.leave()
        return None

    def leave(self) -> None:
        """Take no more requests: the folder is free for another server."""
        if self._listening is None:
            return
        self._waiting.unregister(self._listening)
        self._listening.close()
        self._listening = None
        if _facts(str(self._socket)) == self._place:
            self._socket.unlink()
            with suppress(OSError):
                self._socket.parent.rmdir()
        os.close(self._taken)

    def _fork(self) -> socket.socket | None:
        connection, _ = self._listening.accept()
        if self._files.changed():
            self.leave()
            connection.close()
            return None
        try:
            pid = os.fork()
        except OSError:  # too many processes
            connection.close()
            return None
        if not pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._listening.close()
            os.close(self._taken)
            for pidfd, (_, other) in self._kernels.items():
                os.close(pidfd)
                other.close()
            return connection
        pidfd = os.pidfd_open(pid)
        self._kernels[pidfd] = pid, connection
        self._waiting.register(pidfd, selectors.EVENT_READ)
        with suppress(OSError):  # whoever asked has gone; so will the fork
            socket.send_fds(connection, [str(pid).encode()], [pidfd])
        return None

    def _tell(self, pidfd: int) -> None:
        pid, connection = self._kernels.pop(pidfd)
        self._waiting.unregister(pidfd)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()
        os.close(pidfd)


def _prepare() -> dict[str, str]:
    """Import and read what kernels need; returns the variables that this has set."""
    from babel import localedata

    from pulsebook.base.environment import variables
    from pulsebook.base.settings import Settings, settings

    before = variables()
    for name in PREPARED:
        importlib.import_module(name)
    for room in ROOMS:
        package = importlib.import_module(f"pulsebook.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in LATE:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for language in get_args(Settings.model_fields["language"].annotation):
        localedata.load(language)  # how it writes numbers and dates: the first one would wait for it
    if not os.fork():
        os._exit(0)  # a first fork ends the threads of OpenBLAS; each kernel begins its own
    os.wait()
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("expected one thread after all imports, found several: with them no process can be forked safely")
    if settings.cache_info().currsize:
        sys.exit("a module has read the settings when it was imported: they would be the server's, not the kernel's")
    return {name: value for name, value in variables().items() if before.get(name) != value}


def main() -> None:
    began, folder = time.time(), Path(sys.argv[1])
    shared: set[str] = set()  # modules; empty where a process is to end as usual
    atexit.register(lambda: shared and leave(shared))  # the first, so it comes last
    try:
        taken = take(folder)
    except OSError as problem:
        sys.exit(str(problem))
    if os.fork():
        os._exit(0)  # whoever has started it need not wait for it
    os.setsid()
    if sys.path[0] == os.getcwd():  # as ipykernel_launcher does
        del sys.path[0]
    set_by_imports = _prepare()
    prepared = set(sys.modules)
    server = Server(folder, taken, Files(began))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    gc.collect()
    gc.freeze()  # so that forks share their memory with it
    try:
        connection = server.run()
    except BaseException:
        server.leave()
        raise
    if connection:
        arguments = become(connection, set_by_imports)
        from ipykernel.kernelapp import IPKernelApp

        IPKernelApp.launch_instance(arguments)
        shared |= prepared


if __name__ == "__main__":
    main()
