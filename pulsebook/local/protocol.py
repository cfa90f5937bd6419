"""HTTP on a connection: uvicorn's, with deadlines for clients that do not send, and URLs of ClickHouse's size.

uvicorn waits for ever for the rest of a request, takes any number of requests before it has answered the first, and its
parser splits no URL of more than 64 KiB.
"""

import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_HEAD = 2 << 20  # bytes of request line and headers; ClickHouse takes URLs of 1 MiB
PATIENCE = 30  # seconds that a client may take for the head of a request, or say nothing within its body
AHEAD = 20  # requests that a client may send before the first is answered
CHECK = 1.0  # seconds between two looks


class Protocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._head, self._in_head = 0, True
        self._since = self.loop.time()
        self._look = self.loop.call_later(CHECK, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        else:
            self._since = self.loop.time()
        super().data_received(data)
        if self._in_head and self._head > REQUEST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The request's URL and headers take more than {REQUEST_HEAD} bytes.")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= AHEAD:
            self._drop()
            raise ConnectionAbortedError  # ends the parsing of what came with it
        super().on_message_begin()
        self._in_head = True
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        self._since = self.loop.time()
        whole = self.url
        path, mark, query = whole.partition(b"?")
        self.url = path if len(whole) > 1 << 15 else whole
        super().on_headers_complete()
        if self.url is not whole and mark:  # the request is handled later, with what stands in its scope then
            self.scope["query_string"] = query.partition(b"#")[0]
        self.scope["state"] |= {"abort": self._drop, "break_off": self._break_off}

    def _drop(self) -> None:
        """End the connection now: the kernel keeps nothing of what was written for a client that does not take it."""
        if connected := self.transport.get_extra_info("socket"):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _break_off(self) -> None:
        """Close after what was written, and without an end of the answer."""
        self.transport.close()

    def _check(self) -> None:
        """Drop a client that owes bytes."""
        self._look = self.loop.call_later(CHECK, self._check)
        owes = self._in_head if self.cycle is None or self.cycle.response_complete else self.cycle.more_body
        waits = self.timeout_keep_alive_task is not None or self.flow.read_paused
        if owes and not waits and self.loop.time() - self._since > PATIENCE:
            self._drop()
