"""Threads that work while the event loop answers: they yield the processor to it."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

NICE = 5  # of the threads that work; the event loop runs at the process's own
# Seconds after which a thread that computes hands the interpreter to one that waits. The event loop lets it go at each read
# and write of a socket: with Python's 5 ms, a hundred clients beside one long statement wait for seconds.
SWITCH = 0.0005


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


class found_once:  # noqa: N801 (a decorator)
    """A property that is computed once. Before Python 3.12 `cached_property` has one lock for all objects: a long
    statement in a thread would hold up a short one in the event loop."""

    def __init__(self, compute):
        self.compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner, name: str) -> None:
        self.name = name

    def __get__(self, instance, owner):
        if instance is None:
            return self
        found = instance.__dict__[self.name] = self.compute(instance)
        return found
