"""Many recordings: over processes, with every one ending in exactly one state."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deident.errors import DeidentError, RecordingError, SettingError, StoreError
from deident.sources import Recording, expand

if TYPE_CHECKING:
    from deident.pipeline import Tally
    from deident.policy import Policy
    from deident.secret import Key
    from deident.store import Entry, Link, Linkage, Staged, Store

# released: at least one snippet.   no-speech: none was found.   dropped: all of it was.   partial: released,
# but the recording's end was missing.   refused: nothing could be used.   skipped: done by an earlier run.
STATES = ("released", "no-speech", "dropped", "partial", "refused", "skipped")
FINE = frozenset({"released", "no-speech", "skipped"})

CHUNK_BYTES = 4 << 20
CHUNK_RECORDINGS = 32
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass
class Outcome:
    """How one recording ended. `number` is its place in the input; `code` and `message` say why it is not fine;
    `id` speaks of it without naming it (`pseudonym`)."""

    number: int
    state: str
    tally: Tally
    code: str = ""
    message: str = ""
    snippets: list[Staged] = field(default_factory=list)
    id: str = ""


@dataclass
class Summary:
    """How a run ended. seconds are of sound, `elapsed_seconds` of the clock."""

    recordings: int = 0
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    codes: dict[str, int] = field(default_factory=dict)
    read_seconds: float = 0.0
    speech_seconds: float = 0.0
    released_seconds: float = 0.0
    snippets: int = 0
    dropped_seconds: dict[str, float] = field(default_factory=dict)
    elapsed_seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.recordings += 1
        self.states[outcome.state] += 1
        if outcome.code:
            self.codes[outcome.code] = self.codes.get(outcome.code, 0) + 1
        tally = outcome.tally
        self.read_seconds += tally.read_seconds
        self.speech_seconds += tally.speech_seconds
        if outcome.state in ("released", "partial"):
            self.released_seconds += tally.released_seconds
            self.snippets += tally.snippets
        for reason, seconds in tally.dropped_seconds.items():
            self.dropped_seconds[reason] = self.dropped_seconds.get(reason, 0.0) + seconds

    @property
    def times_real_time(self) -> float:
        return self.read_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def fine(self) -> bool:
        """Whether every recording was released or had no speech, now or in an earlier run."""
        return all(not count or state in FINE for state, count in self.states.items())

    def to_mapping(self) -> dict[str, Any]:
        return {**vars(self), "times_real_time": round(self.times_real_time, 1), "fine": self.fine}


Progress = Callable[[Outcome, Recording], None]


def run(
    recordings: Iterable[str | os.PathLike[str] | Recording],
    out: str | os.PathLike[str],
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    again: bool = False,
    linkage: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """De-identify recordings into a store.

    recordings : files and folders, or `Recording`s.   out : the store, made if need be.
    jobs : processes, by default one a core.   executor : yours instead, of any kind; it must share the file
    system.   again : release anew what was released before, under another voice; two versions of one
    snippet tell more than one.   linkage : a sealed file, apart from the store, that remembers which snippets
    came from which recording, so that they can be erased; needs the key.
    progress : called with every outcome as it comes.
    A recording that fails ends as `refused` and never ends the run. Raises `StoreError` when the store
    cannot be written or is in use, `SettingError` and `KeyMaterialError` before anything is read."""
    from deident.policy import Policy
    from deident.store import Linkage, Store

    policy = policy or Policy()
    _check(policy, key, linkage)
    started = time.monotonic()
    summary = Summary()
    waiting = list(expand(recordings))
    links = Linkage(linkage, key) if linkage is not None and key is not None else None
    with Store(out, key=key) as store:
        todo = []
        for number, recording in enumerate(waiting):
            if _is_done(store, recording, policy, again):
                _tell(summary, _skipped(number), recording, store.key, progress)
            else:
                todo.append((number, recording))
        random.SystemRandom().shuffle(todo)  # the order of the input says who belongs together
        try:
            with closing(_results(todo, policy, key, str(store.staging), jobs, executor)) as results:
                for outcomes, spool in results:
                    _commit(store, outcomes, spool, waiting, policy, again, links)
                    for outcome in outcomes:
                        _tell(summary, outcome, waiting[outcome.number], store.key, progress)
        finally:  # no worker is at work any more
            store.recover()
    summary.elapsed_seconds = time.monotonic() - started
    return summary


def dry_run(
    recordings: Iterable[str | os.PathLike[str] | Recording],
    policy: Policy | None = None,
    *,
    progress: Progress | None = None,
) -> Summary:
    """What `run` would release, without disguising or writing anything."""
    from deident.pipeline import Tally, plan
    from deident.policy import Policy
    from deident.secret import Key

    policy = policy or Policy()
    key = Key.fresh()  # nothing is kept, so nothing needs to be found again
    started = time.monotonic()
    summary = Summary()
    for number, recording in enumerate(expand(recordings)):
        try:
            tally = plan(recording.path, policy, recording.segments)
            outcome = Outcome(number, _state(tally), tally)
        except RecordingError as error:
            outcome = Outcome(number, "refused", Tally(), error.code, str(error))
        _tell(summary, outcome, recording, key, progress)
    summary.elapsed_seconds = time.monotonic() - started
    return summary


def process(
    chunk: Sequence[tuple[int, Recording]], policy: Policy, key: Key | None, staging: str
) -> tuple[list[Outcome], str | None]:
    """The outcomes of some recordings, and the spool in `staging` that holds their snippets: a task.

    Runs in a worker; returns rows, not sound."""
    from pathlib import Path

    from deident.store import new_spool

    spool = new_spool(Path(staging))
    try:
        outcomes = [_one(number, recording, policy, key, spool) for number, recording in chunk]
        if not any(outcome.snippets for outcome in outcomes):
            spool.discard()
            return outcomes, None
        spool.close()
    except BaseException:
        spool.discard()
        raise
    return outcomes, spool.name


def _one(number: int, recording: Recording, policy: Policy, key: Key | None, spool: Any) -> Outcome:
    from deident.audit import inspect
    from deident.pipeline import Tally, deidentify
    from deident.store import Staged

    tally = Tally()
    staged = []
    try:
        for snippet in deidentify(
            recording.path,
            policy,
            key=key,
            speaker=recording.speaker,
            segments=recording.segments,
            tally=tally,
        ):
            data = snippet.encode(policy.container)
            found = inspect(data, max_seconds=policy.cutting.max_seconds)
            staged.append(
                Staged(
                    name=f"{snippet.name}.{policy.container}",
                    spool=spool.name,
                    start=spool.append(data),
                    size=len(data),
                    seconds=round(found.seconds, 6),
                    sha256=hashlib.sha256(data).hexdigest(),
                    labels=_labels(recording),
                )
            )
    except RecordingError as error:
        return Outcome(number, "refused", tally, error.code, str(error))
    except (StoreError, SettingError, MemoryError):
        raise
    except Exception as error:
        # Of an unforeseen failure only the type is told: its text may hold what it failed on.
        where = "" if isinstance(error, DeidentError) else f" ({type(error).__name__})"
        return Outcome(number, "refused", tally, "failed", f"processing failed unexpectedly{where}")
    outcome = Outcome(number, _state(tally), tally, snippets=staged)
    if tally.partial:
        outcome.code, outcome.message = (
            tally.partial,
            "the end of the recording is missing; kept what was read",
        )
    return outcome


def _labels(recording: Recording) -> str:
    import json

    return json.dumps(recording.labels, sort_keys=True, ensure_ascii=False)


def _state(tally: Tally) -> str:
    if tally.partial:
        return "partial"
    if tally.snippets:
        return "released"
    return "dropped" if set(tally.dropped_seconds) - {"too_short"} else "no-speech"


def _results(
    todo: list[tuple[int, Recording]],
    policy: Policy,
    key: Key | None,
    staging: str,
    jobs: int | None,
    executor: Executor | None,
) -> Generator[tuple[list[Outcome], str | None]]:
    chunks = _chunks(todo)
    if executor is not None:
        return _windowed(executor, chunks, 64, policy, key, staging)
    jobs = min(jobs or available_cores(), max(1, len(todo)))
    if jobs == 1:
        return _here(chunks, policy, key, staging)
    return _pooled(chunks, jobs, policy, key, staging)


def _here(
    chunks: Iterable[list[tuple[int, Recording]]], *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """In this process. Its matrices are small: more than one numeric thread would only wait for the others."""
    from threadpoolctl import threadpool_limits

    for chunk in chunks:
        with threadpool_limits(1):
            result = process(chunk, *settings)
        yield result


def _chunks(todo: Sequence[tuple[int, Recording]]) -> Iterator[list[tuple[int, Recording]]]:
    """Small recordings together, so that a task is worth its way."""
    chunk: list[tuple[int, Recording]] = []
    size = 0
    for number, recording in todo:
        chunk.append((number, recording))
        size += _size(recording)
        if size >= CHUNK_BYTES or len(chunk) >= CHUNK_RECORDINGS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _windowed(
    executor: Executor, chunks: Iterable[list[tuple[int, Recording]]], window: int, *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """Results as they come, with at most `window` tasks waiting. Raises `_BrokenPoolError` when a worker dies."""
    pending: dict[Future[Any], list[tuple[int, Recording]]] = {}
    source = iter(chunks)
    more = True
    while pending or more:
        while more and len(pending) < window:
            chunk = next(source, None)
            more = chunk is not None
            if chunk is not None:
                pending[executor.submit(process, chunk, *settings)] = chunk
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                result = future.result()
            except BrokenProcessPool:
                raise _BrokenPoolError(list(pending.values()), source) from None
            del pending[future]
            yield result


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
    while True:
        try:
            with _pool(jobs) as pool:
                yield from _windowed(pool, rest, 2 * jobs, *settings)
            return
        except _BrokenPoolError as broken:
            rest = broken.rest
            yield from _one_by_one([numbered for chunk in broken.suspects for numbered in chunk], *settings)


def _one_by_one(
    suspects: list[tuple[int, Recording]], *settings: Any
) -> Generator[tuple[list[Outcome], str | None]]:
    """One at a time in one worker, so that a death has one cause."""
    from deident.pipeline import Tally

    waiting = iter(suspects)
    while True:
        with _pool(1) as pool:
            for numbered in waiting:
                try:
                    result = pool.submit(process, [numbered], *settings).result()
                except BrokenProcessPool:
                    why = "the process that read it died, twice"
                    yield [Outcome(numbered[0], "refused", Tally(), "worker-died", why)], None
                    break
                yield result
            else:
                return


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes with one numeric thread each: more would only wait for each other."""
    held = {name: os.environ.get(name) for name in _THREAD_COUNTS}
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in held.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(policy: Policy, key: Key | None, linkage: object) -> None:
    if key is None and linkage is not None:
        raise SettingError("a linkage is sealed under a key: make one with `deident keygen`")
    if key is None and (policy.repeatable or policy.scope == "speaker"):
        raise SettingError("a repeatable run and scope=speaker need a key: make one with `deident keygen`")


def _place(store: Store, recording: Recording) -> bytes:
    try:
        info = os.stat(recording.path)
    except OSError:
        return store.place(os.path.abspath(recording.path))
    return store.place(os.path.abspath(recording.path), info.st_size, info.st_mtime_ns)


def _size(recording: Recording) -> int:
    try:
        return os.stat(recording.path).st_size
    except OSError:
        return 0


def _is_done(store: Store, recording: Recording, policy: Policy, again: bool) -> bool:
    entry = store.entry(_place(store, recording))
    if entry is None:
        return False
    if again:
        return entry.state == "erased"
    # What was released is never released again by accident; what held nothing may hold something for others.
    return entry.state in ("released", "partial", "erased") or entry.policy == policy.fingerprint()


def _skipped(number: int) -> Outcome:
    from deident.pipeline import Tally

    return Outcome(number, "skipped", Tally())


def _commit(
    store: Store,
    outcomes: list[Outcome],
    spool: str | None,
    recordings: list[Recording],
    policy: Policy,
    again: bool,
    linkage: Linkage | None,
) -> None:
    from deident.store import Entry

    done = [outcome for outcome in outcomes if outcome.state != "refused"]  # those are tried again
    entries = [
        Entry(
            _place(store, recordings[outcome.number]),
            store.content(outcome.tally.digest),
            outcome.state,
            policy.fingerprint(),
        )
        for outcome in done
    ]
    if linkage is not None:
        linkage.add(
            [
                _link(store, entry, outcome, recordings[outcome.number])
                for entry, outcome in zip(entries, done, strict=True)
                if outcome.snippets
            ]
        )
    counts = store.commit(
        ((entry, outcome.snippets) for entry, outcome in zip(entries, done, strict=True)),
        spool=spool,
        again=again,
    )
    for outcome, counted in zip(done, counts, strict=True):
        if not counted:
            outcome.state, outcome.code = "skipped", "released-before"
            outcome.message = "the same sound was released or erased before"


def _link(store: Store, entry: Entry, outcome: Outcome, recording: Recording) -> Link:
    from deident.store import Link, today

    return Link(
        place=entry.place.hex(),
        content=entry.content.hex(),
        recording=pseudonym(store.key, recording.path),
        path=os.path.abspath(recording.path),
        speaker=recording.speaker,
        names=tuple(snippet.name for snippet in outcome.snippets),
        day=today(),
    )


def pseudonym(key: Key, path: str) -> str:
    """How messages speak of a recording: 12 hexadecimal digits that only the key leads back from."""
    return key.pseudonym("recording", os.path.abspath(path))[:12]


def _tell(
    summary: Summary, outcome: Outcome, recording: Recording, key: Key, progress: Progress | None
) -> None:
    outcome.id = pseudonym(key, recording.path)
    summary.add(outcome)
    if progress is not None:
        progress(outcome, recording)
