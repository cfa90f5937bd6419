"""jupyter_client's client of a kernel, which is ready when the kernel answers, and no fifth of a second later."""

import time
from queue import Empty

from jupyter_client.asynchronous.client import AsyncKernelClient

from pulsebook.base.words import say
from pulsebook.execution.failures import KernelDied


class KernelClient(AsyncKernelClient):
    """It leaves on the channel what the kernel has said before: a reader knows by a message's header what it is about."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers and is heard.

        Raises:
            KernelDied: it died, or has not answered within `timeout` seconds.
        """
        deadline = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < deadline:
            self.kernel_info()
            try:
                reply = await self.shell_channel.get_msg(timeout=1)
                await self.iopub_channel.get_msg(timeout=0.2)
            except Empty:
                if not await self.is_alive():
                    raise KernelDied(say("the kernel died before it was ready")) from None
            else:
                self._handle_kernel_info_reply(reply)
                return
        raise KernelDied(say("the kernel was not ready within {} s", f"{timeout:g}"))
