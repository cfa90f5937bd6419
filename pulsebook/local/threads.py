"""Threads that work while the event loop answers: they yield the processor to it."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

NICE = 5  # of the threads that work; the event loop runs at the process's own


def yielding() -> None:
    """Let this thread, and all that it starts, give way to others of the process (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":  # there alone a thread has a priority of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def workers(number: int, name: str) -> ThreadPoolExecutor:
    """Threads that yield."""
    return ThreadPoolExecutor(number, name, initializer=yielding)


def made_by_worker(make: Callable[[], Made]) -> Made:
    """What a function makes in a thread that yields: the threads that it starts there yield as well."""
    with workers(1, "maker") as threads:
        return threads.submit(make).result()
