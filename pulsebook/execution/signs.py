"""Whether a kernel can still answer. Not whether it is quick: one that computes for hours, also in C, is well."""

import signal
import socket
import time
from pathlib import Path

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import KernelManager

from pulsebook.base.words import say
from pulsebook.execution.failures import KernelDied
from pulsebook.execution.forked_kernel import UNKNOWN

ASKED = 5.0  # seconds between two questions who is there
STOPPED = 10.0  # seconds that a kernel may be stopped, or not listen, before it counts as gone
OUT_OF_MEMORY = "out of memory, or killed from outside?"


class Signs:
    """Watches one kernel.

    Args:
        manager: jupyter's, of a kernel that has started.
        client: jupyter's, connected to it.
        session: the name that the kernel gives its session in its messages; another one is another kernel.
    """

    def __init__(self, manager: KernelManager, client: AsyncKernelClient, session: str):
        self._manager, self._client, self._session = manager, client, session
        self._gone_since: float | None = None
        self._asked = time.monotonic()
        self._restarted = False

    def seen(self, message: dict) -> None:
        """Take note of a message of the kernel."""
        if message["msg_type"] == "status" and message["content"].get("execution_state") in ("starting", "restarting"):
            self._restarted = self._restarted or message["header"]["session"] != self._session

    async def check(self) -> None:
        """Raise if the kernel can no longer answer.

        Raises:
            KernelDied: its process is gone, has been replaced, is stopped, or has closed its sockets.
        """
        if self._restarted or await self._is_another():
            raise KernelDied(say("the kernel restarted itself: all variables are lost"))
        code = await self._manager.provisioner.poll()
        if code is not None:
            raise KernelDied(_ended(code))
        silent = _stopped(self._manager.provisioner.pid) or self._deaf()
        if not silent:
            self._gone_since = None
            return
        self._gone_since = self._gone_since or time.monotonic()
        if time.monotonic() - self._gone_since > STOPPED:
            raise KernelDied(silent)

    async def _is_another(self) -> bool:
        """Whether another kernel answers: what it said at its start is lost where nobody was connected to it yet. Asked on
        the control channel, which a kernel reads while it computes; one that does not is asked again."""
        control = self._client.control_channel
        if time.monotonic() - self._asked > ASKED:
            self._asked = time.monotonic()
            control.send(self._client.session.msg("kernel_info_request"))
        while await control.msg_ready():
            if (await control.get_msg(timeout=0))["header"]["session"] != self._session:
                return True
        return False

    def _deaf(self) -> str:
        """Why nothing can reach the kernel; empty if it listens. A busy or stopped process still does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
            knocking.settimeout(0.1)
            try:
                knocking.connect(f"{self._manager.ip}-{self._manager.shell_port}")
            except (ConnectionRefusedError, FileNotFoundError):
                why = "the kernel no longer listens: another program has taken its process, or it closed its sockets"
                return say(why)
            except OSError:  # its queue is full: it is there
                return ""
        return ""


def _stopped(pid: int) -> str:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:  # no /proc here, or gone meanwhile: then its end is seen next time
        return ""
    return say("the kernel was stopped (SIGSTOP) and not continued") if state == "T" else ""


def _ended(code: int) -> str:
    if code == UNKNOWN:
        return say("the kernel died: how is not known, since the fork server that had started it was ended before")
    if code >= 0:
        return say("the kernel died: its process ended itself with exit code {}", code)
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == signal.SIGKILL:
        return say("the kernel died: {} ({})", say(OUT_OF_MEMORY), name)
    is_crash = -code in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
    return say("the kernel died: {}, a crash in compiled code" if is_crash else "the kernel died: {}", name)
