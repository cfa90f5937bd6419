"""papermill's client with a loop of its own for a cell: it ends whatever the kernel does, and keeps what was put out in limits.

A cell is over when its reply and its last message have come. It is over as well when the kernel is idle and no reply
comes, when the reply is there and nothing more arrives, and when the kernel is dead, stopped, or no longer listens. A
kernel that merely says nothing is left alone, for as long as the cell may take: it computes.
"""

import asyncio
import time

from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellExecutionComplete, CellExecutionError
from nbclient.util import run_sync
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient

from pulsebook.base.words import number, say
from pulsebook.execution.connected import KernelClient
from pulsebook.execution.failures import CellFailed, CellTimedOut, KernelDied, failure_of, is_lasting, said
from pulsebook.execution.forked import Provisioner
from pulsebook.execution.guard import Guard
from pulsebook.execution.in_kernel import STATED
from pulsebook.execution.interrupts import handled_between_callbacks
from pulsebook.execution.outputs import NotebookOutputs
from pulsebook.execution.signs import Signs
from pulsebook.execution.trim import FRAME, output_of, size_of

GRACE = 5.0  # seconds that a reply may lag behind the kernel's being idle
SILENCE = 10.0  # seconds without a message after the reply: the kernel's last message is lost
WIDGETS = 0.1  # of what a cell may put out: what output widgets may take of it
LAST_WORDS = 0.5  # seconds for what a dead kernel has sent before
EXTENSION = "--IPKernelApp.extra_extensions=pulsebook.execution.in_kernel"
LOOK = 1.0  # seconds between looks at the kernel


class Client(PapermillNotebookClient):
    """Executes the cells of a notebook; `failure` says what the one that failed has said.

    Args:
        guard: ends the kernel with the task.
        kept: takes what the cells put out.
        cell_timeout: seconds that one cell may take; None: no limit.
        fork: whether the kernel may be forked (see `fork_server`).
        log_output: whether what a cell has put out is logged when it is over, to a log that is redacted.
    """

    def __init__(self, *args, guard: Guard, kept: NotebookOutputs, cell_timeout: float | None, fork: bool, **kwargs):
        super().__init__(*args, **kwargs)
        self.guard, self.kept, self.cell_timeout, self.fork = guard, kept, cell_timeout, fork
        self.failure: CellFailed | None = None
        self._widget_size = 0
        self._running: asyncio.Task | None = None

    def create_kernel_manager(self) -> KernelManager:
        """nbclient's hook before the kernel starts."""
        manager = super().create_kernel_manager()
        if any("ipykernel" in part for part in manager.kernel_spec.argv):
            self.extra_arguments = [EXTENSION]
        manager.client_factory = KernelClient
        if self.fork and "kernel_provisioner" not in manager.kernel_spec.metadata:  # the spec names a way of its own
            manager.provisioner = Provisioner(kernel_spec=manager.kernel_spec, parent=manager)
        return manager

    def execute(self, **kwargs) -> NotebookNode:
        """Start the kernel, execute all cells or up to the first that fails or leaves, end the kernel."""
        self.reset_execution_trackers()
        with handled_between_callbacks(ensure_event_loop()), self.setup_kernel(**kwargs):
            self.log.info("Executing notebook with kernel: %s", self.kernel_name)
            self.guard.watch(self.km.provisioner.pgid or self.km.provisioner.pid)
            try:
                info = self.wait_for_reply(self.kc.kernel_info())
                self.nb.metadata["language_info"] = info["content"]["language_info"]
                self._signs = Signs(self.km, self.kc, info["header"]["session"])
                self.papermill_execute_cells()
                self.set_widgets_metadata()
            except BaseException:  # also one that a signal's handler raises: it leaves the cell's loop as it stands
                if self._running:
                    self._running.cancel()
                    self._cell.flush()
                self.shutdown_kernel = "immediate"  # it is busy with a cell that nobody waits for
                raise
        return self.nb

    async def async_execute_cell(self, cell: NotebookNode, cell_index: int, **_) -> NotebookNode:
        """Execute one cell.

        Raises:
            CellExecutionError: it has failed, and may not; or it has ended the notebook.
            CellTimedOut, KernelDied: see there.
        """
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        if self.skip_cells_with_tag in cell.metadata.get("tags", []):
            return cell
        cell["metadata"]["execution"] = {}
        cell.outputs = []
        may_fail = "raises-exception" in cell.metadata.get("tags", [])
        self._cell = self.kept.of(cell.outputs)
        self._stated, self._hooked, self._heard = None, 0, time.monotonic()
        self._running = asyncio.current_task()
        try:
            reply = await self._reply(self.kc.execute(cell.source, stop_on_error=not may_fail), cell, cell_index)
        finally:
            self._cell.flush()
            if self.log_output:  # at the cell's end: a secret may come in several messages
                for output in cell.outputs:
                    self.log_output_message(output)
        self._raise_unless_well(cell, reply, may_fail)
        return cell

    execute_cell = run_sync(async_execute_cell)

    async def _reply(self, request: str, cell: NotebookNode, index: int) -> dict | None:
        """The content of the kernel's reply; None if the kernel is idle and sends none."""
        reading = asyncio.ensure_future(self._read(request, cell, index))
        waiting = asyncio.ensure_future(self._wait_for_reply(request))
        begun = time.monotonic()
        replied_at = None
        try:
            while not (reading.done() and waiting.done()):
                open_tasks = [task for task in (reading, waiting) if not task.done()]
                await asyncio.wait(open_tasks, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                self.nb_man.save_if_due()
                for task in (reading, waiting):
                    if task.done():
                        task.result()
                now = time.monotonic()
                if waiting.done():
                    replied_at = replied_at or now
                    if not reading.done() and now - max(self._heard, replied_at) > SILENCE:
                        self.log.warning("the kernel's last message about cell %s is lost", index)
                        self._cell.incomplete = True
                        break
                elif reading.done() and now - self._heard > GRACE:
                    return None
                elif self.cell_timeout and now - begun > self.cell_timeout:
                    raise CellTimedOut(say("took longer than {} s", number(f"{self.cell_timeout:g}")))
                if not waiting.done():
                    await self._signs.check()
            return waiting.result()
        except KernelDied:
            await asyncio.wait([reading], timeout=LAST_WORDS)
            raise
        finally:
            reading.cancel()
            waiting.cancel()

    async def _read(self, request: str, cell: NotebookNode, index: int) -> None:
        """Take what the kernel puts out, until it is idle."""
        while True:
            message = await self.kc.iopub_channel.get_msg(timeout=None)
            self._signs.seen(message)
            if message["parent_header"].get("msg_id") == request:
                self._heard = time.monotonic()
                try:
                    self.process_message(message, cell, index)
                except CellExecutionComplete:
                    return
            await asyncio.sleep(0)  # a flood of messages must not keep the reply and the looks at the kernel waiting

    async def _wait_for_reply(self, request: str) -> dict:
        while True:
            message = await self.kc.shell_channel.get_msg(timeout=None)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def _raise_unless_well(self, cell: NotebookNode, reply: dict | None, may_fail: bool) -> None:
        raised = failure_of(cell, reply, self._stated)
        if not raised or may_fail:
            return
        name, message = raised
        if (name, message) != ("SystemExit", "0"):
            self.failure = CellFailed(said(name, message, cell), is_lasting(name, message))
        raise CellExecutionError("", name, message)

    def output(self, outs: list, msg: dict, display_id: str | None, cell_index: int) -> NotebookNode | None:
        """nbclient's hook for an output."""
        content = msg["content"]
        if STATED in (content.get("data") or {}):
            self._stated = content["data"][STATED]
            return None
        if self._for_widget(msg):
            self._hooked += FRAME + size_of(content)
            if self._hooked < WIDGETS * self.kept.limits.cell:  # the rest is shown in the cell
                return super().output(outs, msg, display_id, cell_index)
        output = output_of(msg["msg_type"], content)
        if output:
            self._cell.add(output, display_id)
        else:
            self.log.error("unknown message of the kernel: %s", msg["msg_type"])
        return None

    def clear_output(self, outs: list, msg: dict, cell_index: int) -> None:
        """nbclient's hook for `clear_output`."""
        if self._for_widget(msg):
            super().clear_output(outs, msg, cell_index)
        else:
            self._cell.clear(wait=bool(msg["content"].get("wait")))

    def _update_display_id(self, display_id: str, msg: dict) -> None:
        """nbclient's hook for new data of what is shown under an id."""
        if msg["msg_type"] == "update_display_data":
            self.kept.update(display_id, output_of("display_data", msg["content"]))

    def handle_comm_msg(self, outs: list, msg: dict, cell_index: int) -> None:
        """nbclient's hook for widgets. Their state is saved as long as it stays within what the notebook may put out."""
        self._widget_size += size_of(msg["content"]) + sum(map(len, msg.get("buffers") or []))
        if self._widget_size > self.kept.limits.notebook // 2 and self.store_widget_state:
            self.log.warning("the state of the widgets is too large and is not saved")
            self.store_widget_state = False
            self.widget_state, self.widget_buffers, self.comm_objects = {}, {}, {}
            self.output_hook_stack.clear()
        if self.store_widget_state:
            try:
                super().handle_comm_msg(outs, msg, cell_index)
            except (KeyError, TypeError, AttributeError, AssertionError):  # no widget that nbclient knows
                self.log.exception("a message of a widget is not understood")

    def _for_widget(self, msg: dict) -> bool:
        """Whether an output belongs into an output widget."""
        return bool(self.output_hook_stack.get(msg["parent_header"].get("msg_id")))
