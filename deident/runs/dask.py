"""Batches of recordings over a Dask cluster.

Tasks and their results (paths, speakers, the key) are sealed under a key of the run that workers hold in a plugin: the
graph, its keys, the dashboard and the logs show a random name and a hidden value. Whoever controls the scheduler
could still read both; between machines, use TLS.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from deident import __version__
from deident.errors import DeidentError, ExtraMissingError, SettingError, StoreError, debug_traceback
from deident.process import one_thread, worker_environment
from deident.runs.worker import Batch, Outcome, Result, process
from deident.store import Store
from deident.store.bucket import Slices, release
from deident.uris import location

try:
    import cloudpickle
    from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, as_completed, get_worker
except ImportError:
    raise ExtraMissingError.of("dask", "a cluster") from None

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.policy import Policy


FIRST_WORKER_SECONDS = 60
CONNECT_SECONDS = 30
RELEASED_A_THREAD = 4
RETRIES = 2  # of a batch whose worker could not write
KEPT_BYTES, MALLOC_BYTES = 1 << 28, 1 << 17  # of freed memory: while we work, and glibc's own
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_ADDRESS = re.compile(r"(?:tcp|tls|ucx|ws|wss)://.")
_NONCE_BYTES = 12  # AES-GCM's (NIST SP 800-38D)


@dataclass(frozen=True, repr=False)
class SealedTask:
    """A message between client and workers that only those of the same run can read: a task, or its result."""

    run: str
    sealed: bytes

    def __repr__(self) -> str:
        return "SealedTask(hidden)"


class TaskCipher(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Seals and opens the messages of one run. Lives in every worker while the run lasts."""

    def __init__(self) -> None:
        self.name = f"deident-{os.urandom(8).hex()}"
        self._key = os.urandom(32)

    def setup(self, worker: object) -> None:
        """Let a worker keep freed memory while the run lasts."""
        _set_malloc(KEPT_BYTES, KEPT_BYTES)

    def teardown(self, worker: object) -> None:
        """Give a worker its own settings back."""
        _set_malloc(int(os.environ.get("MALLOC_TRIM_THRESHOLD_", MALLOC_BYTES)), MALLOC_BYTES)

    def seal(self, content: object) -> SealedTask:
        """Seal a task or a result."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = cloudpickle.dumps((__version__, content))
        return SealedTask(self.name, nonce + self._cipher().encrypt(nonce, plain, self.name.encode()))

    def open(self, message: SealedTask) -> Any:
        """Open a sealed message. Raises `StoreError` when another version of deident sealed it."""
        nonce, sealed = message.sealed[:_NONCE_BYTES], message.sealed[_NONCE_BYTES:]
        version, content = cloudpickle.loads(self._cipher().decrypt(nonce, sealed, message.run.encode()))
        if version != __version__:
            raise StoreError(
                "the workers run another version of deident: install the client's on all of them"
            )
        return content

    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def __repr__(self) -> str:
        return "TaskCipher(hidden)"


def _set_malloc(trim_bytes: int, map_bytes: int) -> None:
    """Set how much freed memory glibc keeps; do nothing with another C library.

    Dask makes its workers give back all above 64 kB, which is then faulted in again for every block of audio, and costs
    a quarter as much again as all our work.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, trim_bytes)
        mallopt(_M_MMAP_THRESHOLD, map_bytes)


class Cluster:
    """Sends sealed tasks to a cluster, and cancels on leaving what is under way."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._cipher = TaskCipher()
        self._count = 0
        self._sent: set[Future] = set()

    def __enter__(self) -> Self:
        _await_workers(self._client)
        try:
            self._client.register_plugin(self._cipher, self._cipher.name)
        except ImportError:
            raise StoreError(
                "deident is not installed on the scheduler and every worker", "cluster"
            ) from None
        return self

    def __exit__(self, *error: object) -> None:
        if self._client.status == "running":
            with suppress(Exception):  # of a cluster that goes away now: what ended the run matters more
                self._client.cancel(list(self._sent), force=True)
                self._client.unregister_worker_plugin(self._cipher.name)
        self._sent.clear()

    def threads(self) -> int:
        """Count the threads of all workers now."""
        return _threads(self._client)

    def send(self, function: Callable[..., Any], *arguments: object, priority: int = 0) -> Future:
        """Send a task: a function and its arguments."""
        future = self._client.submit(
            run_sealed,
            self._cipher.seal((function, arguments)),
            key=f"{self._cipher.name}-{self._count}",
            pure=False,
            retries=RETRIES,
            priority=priority,
        )
        self._count += 1
        self._sent.add(future)
        return future

    def as_completed(self) -> Any:
        """Return an iterator to which tasks are added, and that yields them as they end."""
        return as_completed(loop=self._client.loop)

    def result(self, future: Future) -> Any:
        """Return what a task returned.

        Raises `KilledWorker` when it killed its workers again and again, `StoreError` when the cluster is gone.
        """
        self._sent.discard(future)
        try:
            return self._cipher.open(future.result())
        except (KilledWorker, DeidentError):
            raise
        except Exception as error:
            raise _gone(type(error).__name__) from None
        finally:
            future.release()


def run_sealed(task: SealedTask) -> SealedTask:
    """Run a task in a worker. An unforeseen failure is told by its type alone, for its text may hold a path."""
    failure: Exception
    try:
        cipher: TaskCipher = get_worker().plugins[task.run]
        function, arguments = cipher.open(task)
        with one_thread():
            return cipher.seal(function(*arguments))
    except DeidentError as error:
        kind, told = error.__reduce__()
        failure = kind(*told)
    except MemoryError:
        failure = MemoryError()
    except Exception as error:
        debug_traceback()
        failure = StoreError(f"a worker failed unexpectedly ({type(error).__name__})", "worker")
    raise failure  # here, for Dask sends what an error was raised from along with it, unsealed


def outcomes(
    client: Client,
    batches: Callable[[int], Iterable[Batch]],
    policy: Policy,
    key: Key | None,
    staging: str | None,
) -> Generator[Result]:
    """Yield the results of recordings as workers finish them.

    A batch whose worker is lost is done again by another; one that kills its workers is taken apart, and the
    recording at fault refused.

    Parameters
    ----------
    client : distributed.Client
    batches : callable
        Divides the recordings into batches for a number of threads.
    policy, key, staging
        As `worker.process` takes them.

    Yields
    ------
    Result

    Raises
    ------
    StoreError
        When workers cannot write to the store, or the cluster goes away.
    """

    def send(batch: Batch) -> Future:
        absolute = [
            (number, replace(recording, path=location(recording.path))) for number, recording in batch
        ]
        return cluster.send(process, absolute, policy, key, staging)

    suspects: Batch = []
    with Cluster(client) as cluster:
        yield from _windowed(cluster, send, batches(cluster.threads()), suspects)
        for numbered in suspects:  # one at a time, so that a death has one cause
            try:
                result: Result = cluster.result(send([numbered]))
            except KilledWorker:
                why = "the process that read it died, again and again"
                result = [Outcome.empty(numbered[0], "refused", "worker-died", why)], None
            yield result


def _windowed(
    cluster: Cluster, send: Callable[[Batch], Future], batches: Iterable[Batch], suspects: Batch
) -> Iterator[Result]:
    """Yield results with two batches a thread in the scheduler, however many there are.

    `suspects` gets the recordings that were under way when workers died.
    """
    source, completed = iter(batches), cluster.as_completed()
    pending: dict[Future, Batch] = {}
    while True:
        window = max(4, 2 * cluster.threads())
        for batch in islice(source, max(0, window - len(pending))):
            future = send(batch)
            pending[future] = batch
            completed.add(future)
        if not pending:
            return
        future = next(completed)
        batch = pending.pop(future)
        try:
            result: Result = cluster.result(future)
        except KilledWorker:
            suspects += batch
        else:
            yield result


class Releaser:
    """Releases snippets of a `BucketStore` by the workers, so that no audio passes through the client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def window(self) -> int:
        """Recordings released together, several a thread: releasing waits for the batches under way."""
        return max(Store.WINDOW, RELEASED_A_THREAD * _threads(self._client))

    def __call__(self, uri: str, slices: Slices) -> None:
        with Cluster(self._client) as cluster:
            for future in [cluster.send(release, uri, list(snippets), priority=1) for snippets in slices]:
                try:
                    cluster.result(future)
                except KilledWorker:
                    raise StoreError("workers died releasing snippets", "worker-died") from None


def _threads(client: Client) -> int:
    """Count the threads of all workers now: clusters grow and shrink."""
    return int(sum(client.nthreads().values()))


def _await_workers(client: Client) -> None:
    """Wait for the first worker, or say that the cluster is gone."""
    if not isinstance(client, Client):
        raise SettingError("expected as executor a concurrent.futures.Executor or a distributed.Client")
    if client.status != "running":
        raise _gone(client.status)
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError:
        raise StoreError(f"no worker joined the cluster within {FIRST_WORKER_SECONDS} s", "cluster") from None
    except Exception as error:
        raise _gone(type(error).__name__) from None


def _gone(how: str) -> StoreError:
    return StoreError(f"the cluster went away ({how}); the same command goes on where it stopped", "cluster")


@contextmanager
def connected(address: str, jobs: int) -> Iterator[Client]:
    """Connect to the scheduler at an address, or for "local" to a cluster that is made here for as long.

    A local cluster has `jobs` processes of one thread each. They talk under TLS, for other users of this machine could
    listen. Raises `SettingError` for what is not an address, `StoreError` where no scheduler answers.
    """
    if address != "local" and not _ADDRESS.match(address):
        raise SettingError("expected --dask local, or a scheduler's address such as tls://scheduler:8786")
    with ExitStack() as stack:
        if address == "local":
            stack.enter_context(worker_environment())  # as long as it may start workers
            scheduler: Any = stack.enter_context(
                LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    security=True,
                    protocol="tls://",
                    silence_logs=logging.CRITICAL,  # a worker that is closed complains of what closed it
                )
            )
        else:
            scheduler = address
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"no scheduler answers at that address ({type(error).__name__})", "cluster"
            ) from None
        yield client
