"""A real clickhouse-server (Debian's package, 18.16) as a child process: private folder and ports, loopback only.

    with clickhouse_server(tmp_path) as url:                # http://127.0.0.1:port, user default without a password
        Warehouse(url).scalar("SELECT version()")

Nothing of `/etc/clickhouse-server` or `/var/lib/clickhouse` is read or written, and no service is started. A server ends
with its block and with the process that started it.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BINARY = shutil.which("clickhouse-server", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
MISSING = "no clickhouse-server here: apt-get install clickhouse-server (the service need not run)"
ZOOKEEPER = "/usr/share/java/zookeeper.jar"  # Debian's package zookeeper
START = 60  # seconds that a server may take to answer

CONFIG = """<yandex>
    <logger><level>warning</level><errorlog>{folder}/errors.log</errorlog><log>{folder}/server.log</log></logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{http}</http_port> <tcp_port>{tcp}</tcp_port> <interserver_http_port>{interserver}</interserver_http_port>
    <interserver_http_host>127.0.0.1</interserver_http_host>
    <path>{folder}/data/</path> <tmp_path>{folder}/tmp/</tmp_path> <user_files_path>{folder}/files/</user_files_path>
    <users_config>{folder}/users.xml</users_config>
    <default_profile>default</default_profile> <default_database>default</default_database>
    <timezone>UTC</timezone>
    <mark_cache_size>268435456</mark_cache_size>
    {more}
</yandex>"""

USERS = """<yandex>
    <profiles>
        <default>
            <max_memory_usage>4000000000</max_memory_usage>
            <allow_experimental_low_cardinality_type>1</allow_experimental_low_cardinality_type>
        </default>
        {profiles}
    </profiles>
    <quotas><default></default></quotas>
    <users>{users}</users>
</yandex>"""


def user(name: str, password: str = "", rights: str = "<profile>default</profile>") -> str:
    """A user for users.xml; `rights`: its profile and, where not all are allowed, its databases."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    secret = f"<password_sha256_hex>{digest}</password_sha256_hex>" if password else "<password></password>"
    return f"<{name}>{secret}<quota>default</quota><networks><ip>127.0.0.1</ip></networks>{rights}</{name}>"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass(frozen=True)
class Ports:
    """Where a server listens. Chosen before its start, so that servers can know one another."""

    http: int = field(default_factory=_free_port)
    tcp: int = field(default_factory=_free_port)
    interserver: int = field(default_factory=_free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"


@contextmanager
def clickhouse_server(
    folder: Path, config: str = "", *, users: str = "", profiles: str = "", ports: Ports | None = None
) -> Iterator[str]:
    """A server for as long as the block lasts; yields its URL, without a user.

    Args:
        folder: of this server alone; its data stay there.
        config: more elements of config.xml: remote_servers, zookeeper, macros.
        users, profiles: more elements of users.xml, beside the user `default`, who may do everything.
    """
    if BINARY is None:
        raise FileNotFoundError(MISSING)
    ports, folder = ports or Ports(), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    where = dict(folder=folder, http=ports.http, tcp=ports.tcp, interserver=ports.interserver)
    (folder / "config.xml").write_text(CONFIG.format(**where, more=config))
    (folder / "users.xml").write_text(USERS.format(users=user("default") + users, profiles=profiles))
    command = [BINARY, f"--config-file={folder}/config.xml"]
    if ends_with_parent := shutil.which("setpriv"):
        command = [ends_with_parent, "--pdeathsig", "KILL", *command]
    with open(folder / "output.log", "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, start_new_session=True)
    try:
        _wait(server, f"{ports.url}/ping", folder)
        yield ports.url
    finally:
        server.kill()  # its data are of no further use; a gentle end takes seconds
        server.wait()


@contextmanager
def zookeeper(folder: Path) -> Iterator[str]:
    """ZooKeeper (Debian's package) for as long as the block lasts; yields the element of config.xml that names it."""
    port, jars = _free_port(), f"{ZOOKEEPER}:/usr/share/java/slf4j-simple.jar"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zoo.cfg").write_text(
        f"tickTime=2000\ndataDir={folder}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    command = ["java", "-Xmx256m", "-cp", f"{folder}:{jars}", "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
    with open(folder / "output.log", "wb") as output:
        server = subprocess.Popen([*command, str(folder / "zoo.cfg")], stdout=output, stderr=output, cwd=folder)
    try:
        until = time.monotonic() + START
        while not _serves(port):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"no ZooKeeper:\n{(folder / 'output.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"<zookeeper><node><host>127.0.0.1</host><port>{port}</port></node></zookeeper>"
    finally:
        server.kill()
        server.wait()


def _serves(port: int) -> bool:
    """Whether ZooKeeper answers: it listens before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as asked:
            asked.sendall(b"srvr")
            return b"Mode: " in asked.makefile("rb").read()
    except OSError:
        return False


def _wait(server: subprocess.Popen, ping: str, folder: Path) -> None:
    until = time.monotonic() + START
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(ping, timeout=5) as answer:
                if answer.read() == b"Ok.\n":
                    return
        except OSError:
            time.sleep(0.05)
    said = "\n".join(p.read_text(errors="replace")[-2000:] for p in folder.glob("*.log"))
    raise RuntimeError(f"clickhouse-server did not start (exit code {server.poll()}):\n{said}")
