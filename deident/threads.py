"""The library behind numpy's matrix products held at one thread: the matrices here are small, and more threads would
only wait for each other, which can make the same work take ten times as long."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, TypeVar

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
