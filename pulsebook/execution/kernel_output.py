"""What a kernel's processes write to their own output (a child process of a cell, C code) reaches the task's log redacted.

    >>> import subprocess
    >>> output = KernelOutput()
    >>> ended = subprocess.run(["echo", "password=pw-1"], stdout=output.stdout, stderr=output.stderr)
    >>> output.end()

The kernel writes into pipes; a thread beside the task reads them line by line and writes on what is left. Whoever holds a pipe
is never kept waiting: what cannot be written on is dropped, and the log says so.
"""

import logging
import os
import re
import select
import threading
import time

from pulsebook.base.redact import WithoutSecrets, redact

log = logging.getLogger(__name__)
log.addFilter(WithoutSecrets())
LONGEST_LINE = 65_536  # bytes; a longer one goes on in parts
OVERLAP = 4096  # bytes that wait for what comes after them: a secret may lie across two parts
LAST_WORDS = 1.0  # seconds that are read on after the kernel's end: a process that outlived it may write for ever
KEY_BEGINS, KEY_ENDS = b"-----BEGIN ", b"-----END "  # a private key has several lines
BASE64 = re.compile(
    rb"[ \t>]*[A-Za-z0-9+/_-]{40,200}={0,2}[ \t]*[\r\n]+\Z"
)  # a line of it: the next one may end a secret


class KernelOutput:
    """Two pipes for a kernel, `stdout` and `stderr`, each read to the task's own until `end`."""

    def __init__(self):
        self._streams = [_Stream(1), _Stream(2)]
        self.stdout, self.stderr = (stream.written for stream in self._streams)

    def end(self) -> None:
        """After the kernel's end: pass on what is left in the pipes, and close them. Takes at most some two seconds."""
        for stream in self._streams:
            stream.finish()
        for stream in self._streams:
            stream.thread.join(2 * LAST_WORDS)


class _Stream:
    """One pipe and the thread that reads it."""

    def __init__(self, number: int):
        self.target = _copy(number)
        self.read, self.written = os.pipe()
        self._over, self._ending = os.pipe()
        os.set_blocking(self.read, False)
        self.thread = threading.Thread(target=self._run, name=f"kernel output {number}", daemon=True)
        self.thread.start()

    def finish(self) -> None:
        os.close(self.written)
        os.close(self._ending)

    def _run(self) -> None:
        try:
            self._pass_on()
        except Exception:
            log.exception("what the kernel's processes write is not in the log from here on")
            self._drain()
        finally:
            for number in (self.read, self._over, self.target):
                os.close(number)

    def _pass_on(self) -> None:
        pending = b""
        for data in self._chunks():
            lines, pending = _split(pending + data)
            self._write(lines)
        self._write(pending)

    def _drain(self) -> None:
        for _ in self._chunks():
            continue

    def _chunks(self):
        """What arrives, until all writers have gone or the end is called and nothing is left."""
        last = float("inf")
        while time.monotonic() < last:
            ready, _, _ = select.select([self.read, self._over], [], [])
            if self._over in ready and last == float("inf"):
                last = time.monotonic() + LAST_WORDS
            try:
                data = os.read(self.read, LONGEST_LINE)
            except BlockingIOError:
                if self._over in ready:
                    return
                continue
            if not data:
                return
            yield data

    def _write(self, data: bytes) -> None:
        if not data:
            return
        clean = redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        while clean:
            clean = clean[os.write(self.target, clean) :]


def _split(data: bytes) -> tuple[bytes, bytes]:
    """What can be written on, and what waits: an unfinished line, lines of base64, a private key without its end."""
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    key = data.rfind(KEY_BEGINS, 0, end)
    if key >= 0 and data.find(KEY_ENDS, key, end) < 0 and len(data) < LONGEST_LINE:
        end = key
    while (line := _last_line(data, end)) < end and BASE64.match(data[line:end]):
        end = line
    if len(data) - end >= LONGEST_LINE:
        text = redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return text[:-OVERLAP], text[-OVERLAP:]
    return data[:end], data[end:]


def _last_line(data: bytes, end: int) -> int:
    """Where the line begins that ends there."""
    return max(data.rfind(b"\n", 0, max(end - 1, 0)), data.rfind(b"\r", 0, max(end - 2, 0))) + 1


def _copy(number: int) -> int:
    """A descriptor of the task's own output; of nothing, where the task has none."""
    try:
        return os.dup(number)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
