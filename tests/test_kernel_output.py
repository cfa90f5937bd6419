"""What a kernel's processes write to their own output reaches the task's log, and no secret with it."""

import atexit
import base64
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import zmq
from ipykernel.control import ControlThread
from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import Session

from pulsebook import runner
from pulsebook.base.redact import known
from pulsebook.execution.in_kernel import end_in_turn
from pulsebook.execution.kernel_output import LONGEST_LINE, KernelOutput
from tests.test_archive import a_notebook, only_record

SECRET = "s3cr-et'of/9"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEAvT8kAbCd12\n-----END PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def one_secret(monkeypatch, outputs):
    monkeypatch.setattr(known, "_registered", {SECRET})


def written(capfd, *parts: bytes, pause: float = 0.0) -> str:
    """What reaches the task's output of what is written in parts."""
    output = KernelOutput()
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(output.stdout, view) :]
        time.sleep(pause)
    output.end()
    return capfd.readouterr().out


def test_lines_pass_and_secrets_do_not(capfd):
    assert written(capfd, b"one\n", f"is {SECRET} here\n".encode(), b"two") == "one\nis [redacted] here\ntwo"


def test_a_secret_over_two_writes_is_found(capfd):
    half = len(SECRET) // 2
    assert written(capfd, SECRET[:half].encode(), SECRET[half:].encode() + b"\n", pause=0.2) == "[redacted]\n"


def test_a_private_key_over_several_writes_is_found(capfd):
    parts = [line.encode() for line in KEY.splitlines(keepends=True)]
    assert written(capfd, *parts, b"after\n", pause=0.1) == "[redacted]\nafter\n"


def test_a_secret_over_lines_of_base64_that_come_one_by_one_is_found(capfd):
    lines = base64.encodebytes(b"x" * 50 + SECRET.encode() + b"y" * 60).splitlines(keepends=True)
    said = written(capfd, b"first\n", *lines, b"last\n", pause=0.1)
    assert SECRET.encode() not in base64.b64decode(said[6:-5].replace("[redacted]", "AAAA"))
    assert said.startswith("first\n") and said.endswith("last\n") and "[redacted]" in said


def test_a_secret_in_a_line_without_end_is_found_wherever_it_lies(capfd):
    line = b"x" * (LONGEST_LINE - len(SECRET) // 2)
    said = written(capfd, line, SECRET.encode(), b"y" * LONGEST_LINE, SECRET.encode())
    assert SECRET[:5] not in said and SECRET[-5:] not in said and said.count("[redacted]") == 2
    assert said.replace("[redacted]", "") == (line + b"y" * LONGEST_LINE).decode()


def test_bytes_that_are_no_text_pass_as_they_are(capfdbinary):
    output = KernelOutput()
    os.write(output.stderr, b"\xff\x00\xd0 caf\xe9\r\n" + SECRET.encode() + b"\xfe\n")
    output.end()
    assert capfdbinary.readouterr().err == b"\xff\x00\xd0 caf\xe9\r\n[redacted]\xfe\n"


def test_a_process_that_outlives_the_kernel_keeps_nobody_waiting(capfd):
    output = KernelOutput()
    flood = subprocess.Popen(["yes"], stdout=output.stdout, start_new_session=True)
    idle = subprocess.Popen(["sleep", "60"], stdout=output.stdout, stderr=output.stderr, start_new_session=True)
    started = time.monotonic()
    time.sleep(0.2)
    output.end()
    assert time.monotonic() - started < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "kernel output 2"]
    flood.wait(20)  # its pipe is gone
    idle.kill()
    idle.wait()


def test_who_writes_is_not_kept_waiting_where_the_tasks_output_is_gone(tmp_path):
    program = (
        "import os, sys\nfrom pulsebook.execution.kernel_output import KernelOutput\n"
        "reader, writer = os.pipe()\nos.dup2(writer, 1)\nos.close(writer)\nos.close(reader)\n"
        "output = KernelOutput()\n"
        "for _ in range(50):\n    os.write(output.stdout, b'x' * 9999 + b'\\n')\n"
        "output.end()\nos._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, cwd=runner.ROOT).returncode == 7


CHILD = """
import ctypes, os, subprocess, sys
secret = __import__("base64").b64decode({encoded!r}).decode()
subprocess.run([sys.executable, "-c", f"import os; os.write(1, {{secret!r}}.encode() + b' from a child\\\\n')"])
os.write(1, b"out " + secret[:5].encode()); os.write(1, secret[5:].encode() + b" in two\\n")
os.write(2, b"err " + secret.encode() + b"\\n")
ctypes.CDLL(None).puts(secret.encode()); ctypes.CDLL(None).fflush(None)
os.system("echo harmless >&2")
"""


@pytest.mark.parametrize("how", ["ends", "dies"])
def test_neither_child_nor_c_code_of_a_cell_writes_a_secret_to_the_tasks_log(
    how, tmp_path, outputs, capfd, monkeypatch
):
    folder = outputs / "etl" / "2026-11-20" / "run-1"
    cell = CHILD.format(encoded=base64.b64encode(SECRET.encode()).decode())
    cells = [
        cell,
        f"import os, signal\nos.kill(os.getpid(), {int(signal.SIGKILL)})" if how == "dies" else "1",
    ]
    try:
        runner.run(a_notebook(tmp_path / "step.ipynb", "## Load", *cells), {"place": "x"}, folder)
    except runner.NotebookFailed:
        assert how == "dies"
    said = capfd.readouterr()
    assert only_record(folder).status == ("kernel died" if how == "dies" else "succeeded")
    for text in (said.out, said.err, only_record(folder).executed.read_text()):
        assert SECRET not in text and SECRET[:5] not in text and SECRET[5:] not in text
    assert "[redacted] from a child" in said.out + only_record(folder).executed.read_text()


@pytest.mark.parametrize("asked", [True, False])
def test_what_cells_put_out_is_logged_where_it_is_asked_for_and_no_secret_with_it(asked, outputs, tmp_path, caplog):
    half = len(SECRET) // 2
    code = f"""
import sys
print("first of all", {SECRET[:half]!r}, sep="\\n", end="", flush=True)
import time; time.sleep(0.3)
print({SECRET[half:]!r}, flush=True)
print("a complaint", file=sys.stderr)
"the value"
"""
    caplog.set_level("INFO")
    runner.run(a_notebook(tmp_path / "n.ipynb", code, "print('next')"), {}, outputs / "x", log_output=asked)
    said = [
        (entry.levelname, entry.getMessage()) for entry in caplog.records if entry.name == "pulsebook.runner.kernel"
    ]
    expected = [
        ("INFO", "first of all\n[redacted]\n"), ("WARNING", "a complaint\n"), ("INFO", "'the value'"), ("INFO", "next\n")
    ]  # fmt: skip
    assert [one for one in said if one in expected] == (expected if asked else [])
    assert SECRET not in caplog.text and SECRET[half:] not in caplog.text


@pytest.mark.parametrize("asked", [True, False])
def test_the_output_of_a_cell_that_fails_is_logged_as_well(asked, outputs, tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(runner.NotebookFailed):
        runner.run(a_notebook(tmp_path / "n.ipynb", "print('so far')\n1 / 0"), {}, outputs / "x", log_output=asked)
    assert ("so far\n" in [entry.getMessage() for entry in caplog.records]) == asked


def test_the_thread_that_sends_outputs_stops_after_the_control_thread_which_flushes_through_it():
    """Both threads are ipykernel's own; the end of the one takes half a second, in which the other asks it for a last word."""
    with zmq.Context() as context:
        outputs = IOPubThread(context.socket(zmq.PUB), pipe=False)
        stream, control = OutStream(Session(), outputs, "stdout", watchfd=False), ControlThread(daemon=True)
        close, said, stream.flush_timeout = outputs.io_loop.close, [], 5.0
        outputs.io_loop.close = lambda **how: (time.sleep(0.5), close(**how))
        outputs.start()
        end_in_turn(SimpleNamespace(iopub_thread=outputs, control_thread=control))
        control.io_loop.add_callback(lambda: (time.sleep(0.2), stream.flush(), said.append(outputs.thread.is_alive())))
        control.start()
        outputs.stop()
        assert said == [True] and not control.is_alive() and not outputs.thread.is_alive()
        atexit.unregister(outputs.stop)
        outputs.close()
