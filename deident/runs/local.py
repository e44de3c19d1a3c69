"""Batches of recordings over processes, so that one that kills its process takes nothing else along."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from deident.errors import SettingError, StoreError
from deident.process import set_up_worker, worker_environment
from deident.runs.worker import Batch, Outcome, Result, process, warm_up

if TYPE_CHECKING:
    from distributed import Client

    from deident.keys import Key
    from deident.policy import Policy
    from deident.recording import OnRead, Recording
    from deident.store.bucket import Release


BATCH_BYTES = 4 << 20
BATCH_RECORDINGS = 32
BATCHES_PER_WORKER = 4  # about, in a small run, so that none is left alone with a large one at its end
POLL_SECONDS = 0.2
_GUARD = 'in a script, call deident.run below `if __name__ == "__main__":`'


def outcomes(
    todo: Batch,
    policy: Policy,
    key: Key | None,
    staging: str | None,
    jobs: int | None,
    executor: Executor | Client | None,
    on_read: OnRead | None = None,
) -> Generator[Result]:
    """Yield the results of recordings in any order.

    Parameters
    ----------
    todo : list of (int, Recording)
    policy, key, staging
        As `worker.process` takes them.
    jobs : int, optional
        Processes; by default one a core.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Takes the place of local processes.
    on_read : callable, optional
        Called with seconds of audio that were read; not where an executor is given.

    Yields
    ------
    Result

    Raises
    ------
    SettingError
        When the policy cannot be sent to other processes, or these cannot start.
    StoreError
        When a worker cannot write.
    """
    if executor is not None and not isinstance(executor, Executor):
        from deident.runs.dask import outcomes as clustered

        return clustered(executor, partial(_batches, todo), policy, key, staging)
    if executor is not None:
        task = partial(process, policy=policy, key=key, staging=staging)
        if isinstance(executor, ProcessPoolExecutor):
            _check_sendable(task)
        return _windowed(executor, _batches(todo, available_cores()), 64, task)
    jobs = min(jobs or available_cores(), max(1, len(todo)))
    batches = _batches(todo, jobs)
    if jobs == 1:
        return _here(batches, policy, key, staging, on_read)
    task = partial(_process, policy=policy, key=key, staging=staging)
    _check_sendable(task)
    return _pooled(batches, jobs, task, on_read)


def check_executor(executor: Executor | Client | None) -> None:
    """Raise `SettingError` for the executor of a Dask client, which sends paths, speakers and the key unsealed."""
    dask = sys.modules.get("distributed.cfexecutor")
    if dask is not None and isinstance(executor, dask.ClientExecutor):
        raise SettingError(
            "expected as executor the distributed.Client itself: what its get_executor() gives would send the key,"
            " paths and speakers through the scheduler unsealed"
        )


def _check_sendable(task: object) -> None:
    """Refuse a policy that cannot be pickled."""
    try:
        pickle.dumps(task)
    except Exception:
        raise SettingError(
            "the policy cannot be sent to other processes: define its detector and disguise at the top of a module that"
            " can be imported, not as a lambda or inside a function; or run with jobs=1"
        ) from None


def releaser(executor: Executor | Client | None) -> Release | None:
    """Return what releases the snippets of a store at a URI: the workers of a cluster, or None for this process."""
    if executor is None or isinstance(executor, Executor):
        return None
    from deident.runs.dask import Releaser

    return Releaser(executor)


def _here(batches: Iterable[Batch], *settings: Any) -> Generator[Result]:
    """Process batches in this process."""
    for batch in batches:
        yield process(batch, *settings)


def _batches(todo: Sequence[tuple[int, Recording]], workers: int) -> Iterator[Batch]:
    """Put small recordings together, so that a task is worth sending; few enough that no worker waits for the last."""
    sizes = [_size(recording) for _, recording in todo]
    parts = BATCHES_PER_WORKER * workers
    most, most_bytes = min(BATCH_RECORDINGS, len(todo) / parts), min(BATCH_BYTES, sum(sizes) / parts)
    batch: Batch = []
    held = 0
    for numbered, size in zip(todo, sizes, strict=True):
        batch.append(numbered)
        held += size
        if held >= most_bytes or len(batch) >= most:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _windowed(
    executor: Executor,
    batches: Iterable[Batch],
    window: int,
    task: Callable[[Batch], Result],
    poll: Callable[[], object] | None = None,
) -> Generator[Result]:
    """Yield results as they come, with at most `window` tasks waiting; call `poll` now and then meanwhile.

    Raises `_BrokenPoolError` when a worker dies, after the results of the others. Leaves no task behind: one that goes
    on would put snippets into a store that is closed.
    """
    pending: dict[Future[Any], Batch] = {}
    suspects: list[Batch] = []
    source: Iterator[Batch] = iter(batches)
    broken = False
    try:
        while True:
            for batch in islice(source, 0 if broken else window - len(pending)):
                try:
                    pending[executor.submit(task, batch)] = batch
                except BrokenProcessPool:  # a worker died while the caller had the last result
                    source, broken = chain([batch], source), True
                    break
            if not pending:
                break
            done, _ = wait(pending, POLL_SECONDS if poll else None, return_when=FIRST_COMPLETED)
            if poll:
                poll()
            for future in done:
                batch = pending.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    broken = True
                    suspects.append(batch)
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
    batches: Iterable[Batch], jobs: int, task: Callable[[Batch], Result], on_read: OnRead | None
) -> Generator[Result]:
    """Yield results of local processes.

    When a process dies, the recordings that were under way are tried again, each alone: the one that kills its worker
    is refused, and the others lose nothing.
    """
    rest = iter(batches)
    has_started = False
    meter = _Meter(on_read) if on_read else None
    while True:
        try:
            with _pool(jobs, meter) as pool:
                if not has_started:
                    _await_start(pool)
                    has_started = True
                yield from _windowed(pool, rest, 2 * jobs, task, meter.read if meter else None)
            return
        except _BrokenPoolError as broken:
            rest = broken.rest
            yield from _one_by_one([numbered for batch in broken.suspects for numbered in batch], task)


class _Meter:
    """Counts the seconds of audio that workers have read, in memory that they share.

    It has no lock, which a killed worker could hold for ever: two that add at once may lose a minute. The totals of a
    run do not come from here.
    """

    def __init__(self, on_read: OnRead) -> None:
        self.seconds = multiprocessing.get_context("spawn").RawValue("d")
        self._on_read = on_read
        self._reported = 0.0

    def read(self) -> None:
        new = self.seconds.value - self._reported
        if new > 0:
            self._reported += new
            self._on_read(new)


def _one_by_one(suspects: Batch, task: Callable[[Batch], Result]) -> Generator[Result]:
    """Yield the results of recordings one at a time in one worker, so that a death has one cause.

    A worker that dies idle is replaced, and no recording is to blame.
    """
    waiting = suspects[::-1]
    while waiting:
        with _pool(1) as pool, suppress(BrokenProcessPool):
            while waiting:
                future = pool.submit(task, [waiting[-1]])
                number, _ = waiting.pop()
                try:
                    result = future.result()
                except BrokenProcessPool:
                    why = "the process that read it died, twice"
                    result = [Outcome.empty(number, "refused", "worker-died", why)], None
                yield result


@contextmanager
def _pool(jobs: int, meter: _Meter | None = None) -> Iterator[ProcessPoolExecutor]:
    """Start processes with one numeric thread each: more would only wait for each other."""
    with worker_environment():
        pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(meter.seconds if meter else None,),
        )
        try:
            with _uninterrupted(), suppress(BrokenProcessPool):  # `submit` raises it again
                for _ in range(jobs):
                    pool.submit(os.getpid)
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started, for the executor would lose count of them.

    They inherit this, until `set_up_worker` ignores the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _await_start(pool: ProcessPoolExecutor) -> None:
    """Raise `SettingError` when the processes of a pool cannot even start: no recording is to blame for that."""
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool:
        raise SettingError(f"worker processes could not be started: {_GUARD}; or run with jobs=1") from None


def check_not_starting() -> None:
    """Raise `SettingError` in a worker that is just starting, and imports the script that started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SettingError(f"a worker of this run started the run again: {_GUARD}")


_read_seconds: Any = None  # in a worker, its run's `_Meter.seconds`


def _start(seconds: Any) -> None:
    """Set up a worker process."""
    global _read_seconds
    _read_seconds = seconds
    set_up_worker()
    warm_up()


def _process(batch: Batch, policy: Policy, key: Key | None, staging: str | None) -> Result:
    return process(batch, policy, key, staging, None if _read_seconds is None else _count)


def _count(seconds: float) -> None:
    _read_seconds.value += seconds


def available_cores() -> int:
    """Count the cores that this process may use."""
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
