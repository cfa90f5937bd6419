"""Handlers of signals that end a run also where the signal comes while an event loop is in the middle of something.

Python calls a handler wherever the main thread happens to be. What it raises within a callback of a loop (Airflow's time
limit, our `Killed`) asyncio writes to the log and forgets, unless it is KeyboardInterrupt or SystemExit
(`asyncio.Handle._run`): the task would go on without a limit.
"""

import asyncio
import signal
import threading
from collections import deque
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """Carries what a handler has raised out of a loop."""


@contextmanager
def handled_between_callbacks(loop: asyncio.AbstractEventLoop):
    """Within this context handlers of signals are called between two callbacks of a loop; what they raise leaves it.

    While the loop does not run, they are called as always. In another thread than the main one, or from within the loop,
    nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread() or loop.is_running():
        yield
        return
    handlers = {number: how for number in signal.valid_signals() if callable(how := signal.getsignal(number))}
    waiting: deque[tuple] = deque()

    def received(number, frame):
        if loop.is_running():
            waiting.append((number, frame))
            loop.call_soon_threadsafe(between)  # wakes the loop, too
        else:
            handlers[number](number, frame)

    def between():
        try:
            handle()
        except BaseException as raised:
            raise Interrupted from raised

    def handle():
        while waiting:
            number, frame = waiting.popleft()
            handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, received)
    try:
        yield
    except Interrupted as interrupted:
        raise interrupted.__cause__ from None
    finally:
        for number, how in handlers.items():
            signal.signal(number, how)
        handle()  # those that came as the loop ended
