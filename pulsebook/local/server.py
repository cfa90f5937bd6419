"""The embedded warehouse: ClickHouse's engine (chDB) behind ClickHouse's HTTP interface, on loopback.

    python -m pulsebook.local.server --path .local/warehouse --port 8123

    >>> with running(Path("warehouse")) as url:
    ...     urllib.request.urlopen(url, b"SELECT 1").read()
    b'1\\n'

Each request has a connection of its own to the one engine of this process, so settings end with the request and a long
query does not hold up others; a request with a session_id has its session's. The first megabyte of a result is held back
(all of it with `wait_end_of_query=1`), so that an error within it is an HTTP status. A later error is written after the
result, as ClickHouse does, and the transfer is broken off. A statement is over when its result is spooled, however slowly
a client reads; what a client may send, leave waiting and how long it may be silent is bounded; a query has at most
`max_query_size` bytes, which a client may raise to 1 MiB. An acknowledged insert is
in files: a killed process loses nothing of it (a power cut may).

Other than at ClickHouse: there is one user and no role; `compress` and `decompress` are refused (HTTP's own compression is
not, but an answer is packed only where `enable_http_compression=1` asks for it); the engine's results name a column
`DateTime('zone')` as `DateTime` in the Native format, so that a driver shows its instants in the server's zone; it keeps
no query log.
"""

import argparse
import ctypes
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pulsebook.base.errors import PulsebookError
from pulsebook.local.landlock import confine

os.environ.setdefault("TZ", "UTC")  # one zone for the engine and for the header that names it


class FolderTaken(PulsebookError, RuntimeError):
    """Another server owns the data folder."""


def own(folder: Path, port: int):
    """Take the folder for this process; the lock ends with it, however it ends. Returns the open lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "owner.json", "a+")  # noqa: SIM115 (held for the life of the process)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = json.loads(lock.read() or "{}")
        raise FolderTaken(
            f"{folder} is in use by process {owner.get('pid')} (port {owner.get('port')}, since {owner.get('since')}); "
            "stop that one or choose another --path"
        ) from None
    lock.truncate(0)
    json.dump({"pid": os.getpid(), "port": port, "since": datetime.now().isoformat(timespec="seconds")}, lock)
    lock.flush()
    return lock


@contextmanager
def running(
    path: Path | str, port: int = 0, password: str = "", config: Path | None = None, sources: bool = False
) -> Iterator[str]:
    """A server as a child process for as long as the block lasts; yields its URL, with credentials if there are any.

    `sources`: whether its statements may use files, servers and programs outside of its folder.
    """
    command = [sys.executable, "-m", "pulsebook.local.server", "--path", str(path), "--port", str(port), "--child"]
    command += ["--config", str(config)] if config else []
    command += ["--allow-sources"] if sources else []
    environment = {**os.environ, "PULSEBOOK_LOCAL_PASSWORD": password}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    try:
        said = []
        while line := server.stdout.readline():
            said.append(line)
            if match := re.search(r"on http://(127\.0\.0\.1:\d+)", line):
                break
        else:
            raise RuntimeError(f"the embedded warehouse did not start: {''.join(said[-5:]).strip()}")
        threading.Thread(target=server.stdout.read, daemon=True).start()  # keeps its pipe from filling up
        host = match[1]
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{host}/ping", timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://default:{password}@{host}" if password else f"http://{host}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _limit(folder: Path, config: Path | None) -> None:
    """Have the kernel keep this process to its folder, where it can; before the engine's threads are there."""
    libraries = {Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")}
    system = (
        "/usr", "/lib", "/lib64", "/bin", "/dev/urandom", "/dev/null", "/etc/localtime", "/etc/ld.so.cache", "/etc/hosts",
        "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf",
        "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/sys/vm",
        "/sys/fs/cgroup", "/sys/devices/system",
    )  # fmt: skip
    read = {*map(Path, (sys.prefix, sys.base_prefix, *system)), *libraries, Path(__file__).parents[1]}
    # a configuration may name clusters: then connections are its affair
    confine(
        read | {config.resolve().parent} if config else read, {folder, Path("/dev/null")}, connect=config is not None
    )


def _served(folder: Path, config: Path | None, user: str, password: str, sources: bool):
    """The server on a data folder."""
    scratch = folder.resolve() / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
    if not sources:
        _limit(folder, config)
    import uvicorn

    from pulsebook.local.engine import Engine
    from pulsebook.local.interface import Interface
    from pulsebook.local.protocol import Protocol
    from pulsebook.local.spool import Room
    from pulsebook.local.threads import SWITCH, made_by_worker

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a client takes up to three files
    sys.setswitchinterval(SWITCH)
    engine = made_by_worker(lambda: Engine(folder / "data", config, scratch, sources))
    interface = Interface(engine, user, password, Room(scratch))
    return uvicorn.Server(
        uvicorn.Config(
            interface.app,
            http=Protocol,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=2,
            lifespan="off",
            backlog=1024,
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="pulsebook.local.server", description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, required=True, help="data folder")
    parser.add_argument("--port", type=int, default=8123, help="0: any free one (default: 8123)")
    parser.add_argument("--user", default="default")
    parser.add_argument(
        "--password-file", type=Path, help="of the user; or PULSEBOOK_LOCAL_PASSWORD; without one: none"
    )
    parser.add_argument("--config", type=Path, help="configuration file of ClickHouse's: users, clusters, limits")
    parser.add_argument(
        "--allow-sources",
        action="store_true",
        default=os.environ.get("PULSEBOOK_LOCAL_SOURCES", "").lower() in ("1", "true"),
        help="let statements use files, servers and programs outside of the folder (or PULSEBOOK_LOCAL_SOURCES=1)",
    )
    parser.add_argument("--child", action="store_true", help="end when the parent process ends (Linux)")
    arguments = parser.parse_args()
    if arguments.child and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", arguments.port))
        port = listener.getsockname()[1]
        lock = own(arguments.path, port)
    except (OSError, FolderTaken) as error:
        print(f"cannot start on port {arguments.port}: {error}", file=sys.stderr)
        return 1
    password = os.environ.pop("PULSEBOOK_LOCAL_PASSWORD", "")
    if arguments.password_file:
        password = arguments.password_file.read_text("utf-8").strip()
    served = _served(arguments.path, arguments.config, arguments.user, password, arguments.allow_sources)
    print(f"Pulsebook warehouse on http://127.0.0.1:{port} (data in {arguments.path})", flush=True)
    served.run(sockets=[listener])
    lock.close()
    os._exit(0)  # statements still running are abandoned, as at a kill


if __name__ == "__main__":
    sys.exit(main())
