"""Settings of a whole process: core dumps, umask, standard streams, signals, and threads of numeric libraries."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, TypeVar

KEY_VARIABLE = "DEIDENT_KEY"
THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def disable_core_dumps() -> None:
    """Keep this process's memory, and that of its children, out of core files and crash reporters."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if library := _library():  # a crash reporter to which cores are piped ignores the limit
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@cache
def _library() -> Any:
    """Return the C library of Linux, or None elsewhere."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ImportError):
            import ctypes

            return ctypes.CDLL(None)
    return None


def reserve_standard_streams() -> None:
    """Open the null device for each standard stream that is closed: the next file would get its descriptor
    otherwise, and whatever a library prints would go into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # child processes need them too
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process


def set_up_worker() -> None:
    """Set up a worker of a pool: no core dump, Ctrl-C ignored (the parent handles it), and an end when the parent
    ends.
    """
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


class _Shared:
    """A setting of the whole process that several threads ask for: set by the first, given back by the last."""

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        self._change = change  # it returns a function that undoes it
        self._lock = threading.Lock()
        self._users = 0
        self._undo: Callable[[], object] = int
        if hasattr(os, "register_at_fork"):  # a thread that the forked process lacks may have the lock
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the change for the first user, and undo it after the last."""
        with self._lock:
            if not self._users:
                self._undo = self._change()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._undo()


def _limit_threads(per_caller: bool = False) -> Callable[[], object]:
    """Set BLAS libraries to one thread; return a function that sets them back.

    per_caller : those in which every thread has a limit of its own, or those whose limit all callers share.
    threadpoolctl lets one thread change a shared limit, and ignores others: here never two do so at once.
    """
    found = [(library, library.get_num_threads()) for library in _libraries(per_caller)]
    changed = [(library, count) for library, count in found if count not in (1, None)]
    for library, _ in changed:
        _set_threads(library, 1)

    def undo() -> None:
        for library, count in changed:
            _set_threads(library, count)

    return undo


def _set_threads(library: Any, count: int) -> None:
    """Set the threads of a BLAS, whichever thread set them before."""
    release = getattr(library, "clear_controlling_thread", lambda force: None)  # since threadpoolctl 3.7
    release(force=True)
    library.set_num_threads(count)
    release(force=True)


def _prevent_core_dumps() -> Callable[[], object]:
    """Set what `disable_core_dumps` sets, in a way that can be undone."""
    steps = contextlib.ExitStack()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
        steps.callback(resource.setrlimit, resource.RLIMIT_CORE, before)
    if (library := _library()) and library.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 1:
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        steps.callback(library.prctl, _PR_SET_DUMPABLE, 1, 0, 0, 0)
    return steps.close


def allow_owner() -> Callable[[], object]:
    """Let the owner use new files and folders, whatever the umask denies; return a function that undoes it."""
    before = os.umask(0o077)
    os.umask(before & 0o077)
    return lambda: os.umask(before)


_threads, _cores, _umask = map(_Shared, (_limit_threads, _prevent_core_dumps, allow_owner))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread in the whole process until the last thread that asked for it has left."""
    undo = _limit_threads(per_caller=True)
    try:
        with _threads.held():
            yield
    finally:
        undo()


@contextmanager
def without_core_dumps() -> Iterator[None]:
    """Keep this process's memory out of core files and crash reporters for a while; a decorator too."""
    with _cores.held():
        yield


@contextmanager
def with_owner_allowed() -> Iterator[None]:
    """Use a umask that denies its owner nothing for a while; a decorator too."""
    with _umask.held():
        yield


@contextmanager
def worker_environment() -> Iterator[None]:
    """Change the environment for processes that are started inside: one numeric thread each, and no key."""
    changed: dict[str, str | None] = {**dict.fromkeys(THREAD_COUNTS, "1"), KEY_VARIABLE: None}
    before = {name: os.environ.get(name) for name in changed}
    _set_environment(changed)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@cache
def _libraries(per_caller: bool) -> list[Any]:
    """Find loaded BLAS libraries whose limit each thread has for itself, or all share."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().lib_controllers  # it searches all loaded libraries, which takes 7 ms
    return [
        library
        for library in found
        if library.user_api == "blas" and (getattr(library, "threading_layer", "") == "openmp") == per_caller
    ]


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
