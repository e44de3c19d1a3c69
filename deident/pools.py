"""Chunks of recordings over processes, so that one that kills its process takes nothing else along."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from deident.errors import SettingError, StoreError
from deident.process import be_a_worker
from deident.work import Outcome, process, warm_up

if TYPE_CHECKING:
    from distributed import Client

    from deident.policy import Policy
    from deident.secret import Key
    from deident.sources import Recording
    from deident.store.remote import Release

CHUNK_BYTES = 4 << 20
CHUNK_RECORDINGS = 32
CHUNKS_A_WORKER = 4  # about, in a small run, so that none is left alone with a large one at its end
_GUARD = 'in a script, call deident.run below `if __name__ == "__main__":`'
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def outcomes(
    todo: list[tuple[int, Recording]],
    policy: Policy,
    key: Key | None,
    staging: str,
    jobs: int | None,
    executor: Executor | Client | None,
) -> Generator[tuple[list[Outcome], str | None]]:
    if executor is not None and not isinstance(executor, Executor):
        from deident.cluster import outcomes as clustered

        return clustered(executor, partial(_chunks, todo), policy, key, staging)
    if executor is not None:
        return _windowed(executor, _chunks(todo, available_cores()), 64, policy, key, staging)
    jobs = min(jobs or available_cores(), max(1, len(todo)))
    chunks = _chunks(todo, jobs)
    if jobs == 1:
        return _here(chunks, policy, key, staging)
    return _pooled(chunks, jobs, policy, key, staging)


def releaser(executor: Executor | Client | None) -> Release | None:
    """What releases the snippets of a store at a URI: the workers of a cluster, or (None) this process."""
    if executor is None or isinstance(executor, Executor):
        return None
    from deident.cluster import Releaser

    return Releaser(executor)


def _here(
    chunks: Iterable[list[tuple[int, Recording]]], *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """In this process. Its matrices are small: more than one numeric thread would only wait for the others."""
    from threadpoolctl import threadpool_limits

    for chunk in chunks:
        with threadpool_limits(1):
            result = process(chunk, *settings)
        yield result


def _chunks(todo: Sequence[tuple[int, Recording]], workers: int) -> Iterator[list[tuple[int, Recording]]]:
    """Small recordings together, so that a task is worth its way; not so many that workers wait for the last."""
    sizes = [_size(recording) for _, recording in todo]
    parts = CHUNKS_A_WORKER * workers
    most, most_bytes = min(CHUNK_RECORDINGS, len(todo) / parts), min(CHUNK_BYTES, sum(sizes) / parts)
    chunk: list[tuple[int, Recording]] = []
    held = 0
    for numbered, size in zip(todo, sizes, strict=True):
        chunk.append(numbered)
        held += size
        if held >= most_bytes or len(chunk) >= most:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _windowed(
    executor: Executor, chunks: Iterable[list[tuple[int, Recording]]], window: int, *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """Results as they come, with at most `window` tasks waiting. Raises `_BrokenPoolError` when a worker dies.

    What others finished is told first. Leaves no task behind: one that goes on would put snippets into a store
    that is closed."""
    pending: dict[Future[Any], list[tuple[int, Recording]]] = {}
    suspects: list[list[tuple[int, Recording]]] = []
    source: Iterator[list[tuple[int, Recording]]] = iter(chunks)
    broken = False
    try:
        while True:
            for chunk in islice(source, 0 if broken else window - len(pending)):
                try:
                    pending[executor.submit(process, chunk, *settings)] = chunk
                except BrokenProcessPool:  # a worker died while the last result was looked at
                    source, broken = chain([chunk], source), True
                    break
            if not pending:
                break
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = pending.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    broken = True
                    suspects.append(chunk)
                else:
                    yield result
        if broken:
            raise _BrokenPoolError(suspects, source)
    finally:
        wait([future for future in pending if not future.cancel()])


class _BrokenPoolError(StoreError):
    """A worker died; `suspects` were under way, `rest` had not begun."""

    def __init__(self, suspects: list[Any], rest: Iterator[Any]) -> None:
        super().__init__("a worker process died", "worker-died")
        self.suspects = suspects
        self.rest = rest


def _pooled(
    chunks: Iterable[list[tuple[int, Recording]]], jobs: int, *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """Over local processes. When one dies, the recordings that were under way are tried again, each alone:
    the one that kills its worker is refused, and the others lose nothing."""
    rest = iter(chunks)
    has_started = False
    while True:
        try:
            with _pool(jobs) as pool:
                if not has_started:
                    _await_start(pool, jobs)
                    has_started = True
                yield from _windowed(pool, rest, 2 * jobs, *settings)
            return
        except _BrokenPoolError as broken:
            rest = broken.rest
            yield from _one_by_one([numbered for chunk in broken.suspects for numbered in chunk], *settings)


def _one_by_one(
    suspects: list[tuple[int, Recording]], *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """One at a time in one worker, so that a death has one cause. One that dies idle is replaced, and no recording
    is to blame."""
    from deident.pipeline import Tally

    waiting = suspects[::-1]
    while waiting:
        with _pool(1) as pool, suppress(BrokenProcessPool):
            while waiting:
                future = pool.submit(process, [waiting[-1]], *settings)
                number, _ = waiting.pop()
                try:
                    result = future.result()
                except BrokenProcessPool:
                    why = "the process that read it died, twice"
                    result = [Outcome(number, "refused", Tally(), "worker-died", why)], None
                yield result


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes with one numeric thread each: more would only wait for each other."""
    held = {name: os.environ.get(name) for name in _THREAD_COUNTS}
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in held.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _await_start(pool: ProcessPoolExecutor, jobs: int) -> None:
    """Raise `SettingError` when its processes cannot even start: no recording is to blame for that.

    All are asked, so that all are started now: the executor loses count when it is interrupted at that."""
    try:
        first, *_ = [pool.submit(os.getpid) for _ in range(jobs)]
        first.result()
    except BrokenProcessPool:
        raise SettingError(f"worker processes could not be started: {_GUARD}; or run with jobs=1") from None


def check_not_starting() -> None:
    """Raise `SettingError` in a worker that is being started, and reads the script that started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SettingError(f"a worker of this run came upon the run itself: {_GUARD}")


def _start() -> None:
    be_a_worker()
    warm_up()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _size(recording: Recording) -> int:
    if recording.size is not None:
        return recording.size
    try:
        return os.stat(recording.path).st_size
    except (OSError, ValueError):
        return 0
