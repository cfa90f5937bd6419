"""A local server that behaves as the Bot API documents, with faults on demand: the other end of the chat's tests.

with bot_api() as bot:
    bot.faults += ["429", "500"]      # for the next requests; then all is well
    bot.arrived                       # what a chat was sent: (method, fields), once for each that was taken in
    bot.shown                         # what it shows: the text of each message by its id, as it was edited last
"""

import json
import os
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

STALL = 1.5  # seconds of a `stall`: longer than the tests let the client wait

REFUSALS = {  # code, description, parameters
    "400": (400, "Bad Request: can't parse entities", {}),
    "401": (401, "Unauthorized", {}),
    "403": (403, "Forbidden: bot was kicked from the group chat", {}),
    "gone": (400, "Bad Request: message to edit not found", {}),
    "old": (400, "Bad Request: message can't be edited", {}),
    "500": (500, "Internal Server Error", {}),
    "migrate": (
        400, "Bad Request: group chat was upgraded to a supergroup chat", {"migrate_to_chat_id": -100500}
    ),
}  # fmt: skip


class Bot:
    """What the server saw, and what it will do next."""

    def __init__(self):
        self.arrived, self.requests, self.faults, self.url = [], 0, [], ""
        self.shown, self.edits = {}, []  # edits: as arrived, those that changed a text
        self._lock = threading.Lock()

    def take(self, method: str, fields: dict) -> bytes:
        """A message or an edit reaches the chat; returns Telegram's answer."""
        with self._lock:
            if method.startswith("edit"):
                return self._edit(method, fields)
            self.arrived.append((method, fields))
            number = len(self.arrived) * 100
            self.shown[number] = fields.get("text") or fields.get("caption") or ""
        if method == "sendMediaGroup":
            result = [{"message_id": number + n} for n in range(len(json.loads(fields["media"])))]
        else:
            result = {"message_id": number}
        return json.dumps({"ok": True, "result": result}).encode()

    def _edit(self, method: str, fields: dict) -> bytes:
        id, is_text = int(fields["message_id"]), method == "editMessageText"
        text, why = fields["text" if is_text else "caption"], ""
        if id not in self.shown:
            why = REFUSALS["gone"][1]
        elif is_text != (self.arrived[id // 100 - 1][0] == "sendMessage"):
            why = "Bad Request: there is no text in the message to edit"
        elif text == self.shown[id]:
            why = "Bad Request: message is not modified: specified new message content is exactly the same"
        if why:
            return json.dumps({"ok": False, "error_code": 400, "description": why}).encode()
        self.shown[id] = text
        self.edits.append((method, fields))
        return json.dumps({"ok": True, "result": {"message_id": id}}).encode()


@contextmanager
def bot_api(port: int = 0, token: str = "", certificate: Path | None = None):
    """Listens on loopback; `token`: refuse any other with 401; `certificate`: speak TLS with it (and the key in it)."""
    bot = Bot()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, given, method = self.path.split("/")
            fields = form(self.headers["Content-Type"], body)
            with bot._lock:
                bot.requests += 1
                fault = bot.faults.pop(0) if bot.faults else "401" if token and given != f"bot{token}" else "ok"
            if fault == "ok":
                return self.answer(200, bot.take(method, fields))
            if fault.startswith("429"):
                seconds = float(fault[4:] or 0.2)
                return self.refuse(429, f"Too Many Requests: retry after {seconds:g}", {"retry_after": seconds})
            if fault in REFUSALS:
                return self.refuse(*REFUSALS[fault])
            if fault.startswith("page "):  # of a proxy
                return self.answer(int(fault[5:]), b"<html>no word of Telegram</html>")
            if fault.startswith("{"):  # an answer in these words; what says ok has arrived
                if json.loads(fault).get("ok") is True:
                    bot.take(method, fields)
                return self.answer(200, fault.encode())
            if fault == "moved":
                return self.answer(302, b"", Location=f"{bot.url}/elsewhere/sendMessage")
            bot.take(method, fields)  # the rest arrives, but the client does not learn it
            if fault == "stall":
                time.sleep(STALL)
                self.close_connection = True
            elif fault == "garbage":
                self.answer(200, b"{not json")
            elif fault == "no message":
                self.answer(200, b'{"ok": true}')
            elif fault == "two lengths":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}")
                self.close_connection = True
            elif fault == "broken off":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
                self.close_connection = True
            elif fault == "broken TLS":
                os.write(self.connection.fileno(), b"\x15\x03\x03\x00\x02\x02\x50" * 3)  # no record of this connection
                self.close_connection = True
            elif fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

        def refuse(self, code: int, description: str, parameters: dict):
            answer = {"ok": False, "error_code": code, "description": description}
            self.answer(code, json.dumps(answer | ({"parameters": parameters} if parameters else {})).encode())

        def answer(self, status: int, body: bytes, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.handle_error = lambda *args: None  # a client that was killed
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    bot.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield bot
    finally:
        server.shutdown()
        server.server_close()


def form(kind: str, body: bytes) -> dict:
    """Fields of a form; pictures as their bytes."""
    if not kind.startswith("multipart/"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    fields = {}
    for part in body.split(b"--" + kind.rpartition("boundary=")[2].encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name, data = head.split(b'name="')[1].split(b'"')[0].decode(), data.removesuffix(b"\r\n")
        fields[name] = data if b"filename=" in head else data.decode()
    return fields
