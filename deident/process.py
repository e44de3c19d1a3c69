"""What a process that holds keys, paths and sound must not leave behind, and whom it must not outlive."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, TypeVar


def leave_no_core() -> None:
    """No image of this process's memory on disk or in a crash reporter's hands, nor of those it starts."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # a reporter that cores are piped to does not ask for the limit
        with contextlib.suppress(OSError, AttributeError):
            import ctypes

            pr_set_dumpable = 4
            ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def hold_standard_streams() -> None:
    """Nothing in place of the standard streams that were closed: the next file to be opened would take the number of
    one, and what some library says on it would go into that file."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # for those of the processes that are started from here
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process


def be_a_worker() -> None:
    """In a worker of a pool: no core, no traceback at Ctrl-C, which is for the parent, and no life without it."""
    import multiprocessing

    leave_no_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """A worker whose parent was killed would wait for work for ever, or go on with what was queued."""
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold them, for the whole process, while the main thread is in here. In another it does nothing: what several
    threads set and give back by turns ends at one thread for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all libraries that are loaded, which takes 7 ms


def each_on_one_thread(items: Generator[T]) -> Generator[T]:
    """The items; between them, the caller has all threads."""
    with closing(items):
        while True:
            with one_thread():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
