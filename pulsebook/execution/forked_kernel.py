"""A kernel out of the fork server, for the task that asked for it: a child of the server, and yet under the task's control."""

import asyncio
import json
import os
import select
import signal
import socket
from contextlib import suppress

from pulsebook.execution.fork import READY

SAID = 5.0  # seconds for the server to say how a kernel has ended
BEGUN = 60.0  # seconds for a fork to become a kernel
UNKNOWN = 256  # stands for an exit code that nobody knows: the server has ended before its kernel


class Kernel:
    """A forked process that becomes a kernel, with the methods of `subprocess.Popen`. It ends when this object is closed.

    Args:
        server: the connection: the fork reads there what it shall be, then the server tells how it has ended.
        pidfd: of the process.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, server: socket.socket, pidfd: int):
        self.pid, self.returncode = pid, None
        self._server, self._pidfd = server, pidfd
        self._held, self._life = os.pipe()  # the fork gets the one end, and goes when the other is closed

    def begin(self, wanted: dict, stdout: int, stderr: int) -> None:
        """Tell it what it shall be.

        Raises:
            OSError: it refuses, or has died.
        """
        request = os.memfd_create("request")
        with open(request, "w+", encoding="utf-8") as file:
            json.dump(wanted, file)
            file.seek(0)
            socket.send_fds(self._server, [b"begin"], [request, stdout, stderr, self._held])
        self._server.settimeout(BEGUN)
        answer = self._server.recv(2000)
        if answer != READY:
            raise OSError(f"the fork server refused: {answer.decode('utf-8', 'replace')}")

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs; `UNKNOWN` where its server is gone."""
        if self.returncode is None and _readable(self._pidfd, 0):
            said = b""
            if _readable(self._server.fileno(), SAID):
                with suppress(OSError):
                    said = self._server.recv(16)
            self.returncode = int(said) if said else UNKNOWN
        return self.returncode

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        _readable(self._pidfd)
        code = self.poll()
        self.close()
        return code

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end; whether it has come."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, over.set)
        try:
            await asyncio.wait_for(over.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._pidfd)
        return True

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        if self._life is not None:
            self.returncode = UNKNOWN if self.poll() is None else self.returncode
            self._server.close()
            for number in (self._pidfd, self._held, self._life):
                os.close(number)
            self._life = None


def _readable(number: int, seconds: float | None = None) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(seconds if seconds is None else seconds * 1000))
