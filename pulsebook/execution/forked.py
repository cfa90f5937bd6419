"""Kernels out of the fork server: found, or started for the tasks to come, and a kernel of it as jupyter_client takes one.

A server forks only for tasks that are like it in whatever a process hands on to those that it starts: the variables that Python
and the packages read at their start, limits, rights, groups of processes that share memory and processors. Where there is none
yet, where it refuses or there can be none, the kernel is started anew, as without it.
"""

import hashlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from pulsebook.base.secret_names import is_secret, secrets_of
from pulsebook.execution import fork_server
from pulsebook.execution.fork import NOBODY
from pulsebook.execution.fork_server import NAME
from pulsebook.execution.forked_kernel import Kernel
from pulsebook.execution.guard import MARK
from pulsebook.execution.sockets import SERVER

log = logging.getLogger("pulsebook.runner.kernel")
PATIENCE = 5.0  # seconds for a server to answer
RETRY = 60.0  # seconds after which a server that did not come up is started again
PRESET = {  # variables of a server that kernels do not get from it
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as ipykernel sets it, before matplotlib is imported
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # one thread
}
HANDED_ON = re.compile(  # variables that Python, its packages or their libraries read when they are started or imported
    "PATH|HOME|USER|LOGNAME|SHELL|TERM|DISPLAY|TZ|TMP|TEMP|TMPDIR|VIRTUAL_ENV|SPT_NOENV|IN_SPHINX_RUN|PULSEBOOK_(HOME|CREW)"
    "|(LANG|LC_|LD_|GLIBC_|MALLOC_|_?PY(?!TEST)|DEBUG|PATHS_FROM|GEVENT_|CONDA_|XDG_|SSL|OPENSSL_|CURL_|REQUESTS_|OMP_|GOMP_"
    "|KMP_|MKL_|OPENBLAS_|GOTO_|BLIS_|NUMEXPR_|BOTTLENECK_|NPY_|NUMPY_|PANDAS_|ARROW_|JE_ARROW_|MIMALLOC_|MPL|MATPLOTLIB"
    "|FONTCONFIG_|PILLOW_|PSUTIL_|IPYTHON|JUPYTER).*"
)
LIKE = ("Umask", "Uid", "Gid", "Groups", "Sig(Blk|Ign)", "Cap", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")


class Provisioner(LocalProvisioner):
    """jupyter_client's own way to start a kernel, but that it is forked where that can be done."""

    async def launch_kernel(self, cmd: list[str], **kwargs) -> KernelConnectionInfo:
        """jupyter_client's hook."""
        try:
            self.process = _forked(cmd, kwargs)
        except OSError as problem:
            log.info("the kernel is started anew: %s", problem)
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info

    async def shutdown_requested(self, restart: bool = False) -> None:
        """jupyter_client's hook: it would look every 0.1 s whether the kernel has ended; here its end is waited for."""
        half = self.parent.shutdown_wait_time / 2
        if isinstance(self.process, Kernel) and not await self.process.ends_within(half):
            await self.terminate()

    async def cleanup(self, restart: bool = False) -> None:
        """jupyter_client's hook after the end."""
        await super().cleanup(restart)
        if isinstance(self.process, Kernel):
            self.process.close()


def folder_of(command: list[str], environment: dict[str, str]) -> Path:
    """Where the server is, if there is one, that forks kernels for such a command and environment."""
    status = Path("/proc/self/status").read_text().splitlines()
    alike = [line for line in status if re.match("|".join(LIKE), line)]
    alike += [Path("/proc/self", name).read_text() for name in ("limits", "cgroup", "oom_score_adj")]
    alike += [os.readlink(f"/proc/self/{name}") for name in ("root", "ns/mnt", "ns/net", "ns/pid", "ns/user")]
    what = [__file__, command, sorted(environment.items()), os.getpriority(os.PRIO_PROCESS, 0), *alike]
    return Path(tempfile.gettempdir(), f"{SERVER}{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}")


def handed_on(variables: dict[str, str]) -> dict[str, str]:
    """The variables of a server for kernels with these: none that tells of a task, none that holds a secret."""
    return {k: v for k, v in variables.items() if HANDED_ON.fullmatch(k) and not (is_secret(k) or secrets_of({k: v}))}


def _forked(command: list[str], how: dict) -> Kernel:
    """A kernel that works where and with what jupyter_client's launcher would give it.

    Raises:
        OSError: no server can do it; where there is none yet, one is being started.
    """
    start = _start_of(command)
    variables = handed_on(how["env"])
    if not all(map(os.path.isabs, variables.get("PYTHONPATH", "/").split(os.pathsep))):
        raise OSError("PYTHONPATH depends on the working folder")
    kernel = _asked_of(folder_of(start, variables), start, variables)
    try:
        environment = {**how["env"], "JPY_PARENT_PID": str(os.getpid())}  # as jupyter_client's launcher sets it
        kernel.begin(
            {"cwd": str(how["cwd"]), "env": environment, "command": command, "arguments": command[len(start) :]},
            how["stdout"],
            how["stderr"],
        )
    except BaseException:
        kernel.kill()
        kernel.close()
        raise
    return kernel


def _start_of(command: list[str]) -> list[str]:
    """How this environment's kernel begins: `python -m ipykernel_launcher`, with options of Python.

    Raises:
        OSError: it is another kernel, or this system cannot fork.
    """
    if not hasattr(os, "pidfd_open") or not os.path.isdir("/proc/self/ns"):
        raise OSError("only Linux can fork kernels")
    here = os.path.realpath(os.path.dirname(command[0])) == os.path.realpath(os.path.dirname(sys.executable))
    if not here or "-m ipykernel_launcher" not in " ".join(command):
        raise OSError("it is another environment's, or no Python")
    return command[: command.index("ipykernel_launcher") + 1]


def _asked_of(folder: Path, start: list[str], variables: dict[str, str]) -> Kernel:
    """A fork that waits for what it shall be."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(PATIENCE)
    try:
        if folder.exists() and not fork_server.is_own(folder.lstat()):
            raise PermissionError(f"{folder} is not this user's alone")
        connection.connect(str(folder / NAME))
        said, fds, *_ = socket.recv_fds(connection, 16, 1)
        if not said:
            raise ConnectionError("it has just ended")
        os.set_inheritable(fds[0], False)
    except OSError as problem:
        connection.close()
        if not isinstance(problem, PermissionError | TimeoutError):
            _start(start, folder, variables)
        raise OSError(f"no fork server listens in {folder} ({problem})") from None
    return Kernel(int(said), connection, fds[0])


def _start(start: list[str], folder: Path, variables: dict[str, str]) -> None:
    """Start a server for the tasks to come, if none is being started; it goes on by itself."""
    with suppress(FileNotFoundError):
        if not (folder / NAME).exists() and time.time() - folder.stat().st_mtime < RETRY:
            return
    try:
        subprocess.run(
            [*start[:-1], fork_server.__name__, str(folder)],
            cwd="/",
            env={**PRESET, **variables, MARK: NOBODY},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=PATIENCE,
        )
    except subprocess.SubprocessError as problem:
        log.info("no fork server was started: %s", problem)
