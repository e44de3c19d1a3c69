"""Settings of a whole process: core dumps, standard streams, signals, and threads of numeric libraries."""

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


def disable_core_dumps() -> None:
    """Keep this process's memory, and that of its children, out of core files and crash reporters."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # a crash reporter to which cores are piped ignores the limit
        with contextlib.suppress(OSError, AttributeError):
            import ctypes

            pr_set_dumpable = 4
            ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def reserve_standard_streams() -> None:
    """Open the null device for each standard stream that is closed: the next file would get its descriptor
    otherwise, and whatever a library prints would go into that file."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # child processes need them too
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process


def set_up_worker() -> None:
    """Set up a worker of a pool: no core dump, Ctrl-C ignored (the parent handles it), and an end when the parent
    ends."""
    import multiprocessing

    disable_core_dumps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """End this process when its parent is killed: it would wait for work for ever, or go on with queued work."""
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread in the whole process while the main thread is inside; elsewhere, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # it searches all loaded libraries, which takes 7 ms


def each_on_one_thread(items: Generator[T]) -> Generator[T]:
    """Yield the items, each made with BLAS limited to one thread; between them the caller has all threads."""
    with closing(items):
        while True:
            with one_thread():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
