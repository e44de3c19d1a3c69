"""Many recordings to one store, every one ending in exactly one state."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.datasets.recordings import expand
from deident.errors import SettingError, all_of, kind_of, truth
from deident.keys import check_key
from deident.recording import Recording
from deident.runs.commit import RELEASED, RELEASED_BEFORE, Commits, pseudonym
from deident.runs.local import check_not_starting
from deident.runs.local import outcomes as outcomes_of
from deident.runs.local import releaser as releaser_of
from deident.runs.worker import FINE, STATES, Outcome

if TYPE_CHECKING:
    from distributed import Client

    from deident.keys import Key
    from deident.policy import Policy
    from deident.recording import OnRead


@dataclass
class Summary:
    """How a run ended. seconds are of sound, `elapsed_seconds` of the clock.

    lengths : released snippets by length, in steps of half a second, under where each step starts."""

    recordings: int = 0
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    codes: dict[str, int] = field(default_factory=dict)
    read_seconds: float = 0.0
    speech_seconds: float = 0.0
    released_seconds: float = 0.0
    snippets: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
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
            for step, count in tally.lengths.items():
                self.lengths[step] = self.lengths.get(step, 0) + count
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
    recordings: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    out: str | os.PathLike[str],
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    jobs: int | None = None,
    executor: Executor | Client | None = None,
    again: bool = False,
    linkage: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_read: OnRead | None = None,
) -> Summary:
    """De-identify recordings into a store.

    recordings : files and folders, or URIs of such, or `Recording`s.   out : the store, a folder or a URI,
    made if need be.   jobs : processes, by default one a core.   executor : yours instead, of any kind, or a
    `distributed.Client`; its workers must see the recordings and the store.   again : release anew what was
    released before, under another voice; two versions of one snippet tell more than one.
    linkage : a sealed file, apart from the store, that remembers which snippets came from which recording, so
    that they can be erased; needs the key.
    progress : called with every outcome as it comes.   on_read : called in between with the seconds of sound
    that were read, where the processes are this machine's own.
    A recording that fails ends as `refused` and never ends the run. In a script, call it below
    `if __name__ == "__main__":`, for its workers read the script too. Raises `StoreError` when the store
    cannot be written or is in use, `SettingError` and `KeyMaterialError` before anything is read."""
    from deident.policy import Policy
    from deident.store import Linkage, open_store

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress, on_read)
    truth("again", again)
    for name, place in (("out", out), ("linkage", "" if linkage is None else linkage)):
        all_of(str | os.PathLike, name, [place], "a path or URI")
    _check_linkage(linkage, key, out)
    started = time.monotonic()
    summary = Summary()
    waiting = list(expand(recordings))
    links = Linkage(linkage, key) if linkage is not None and key is not None else None
    with open_store(out, key=key, spread=releaser_of(executor)) as store:
        commits = Commits(store, waiting, policy, again=again, linkage=links)
        todo = []
        for number, recording in enumerate(waiting):
            if outcome := commits.known(number):
                _tell(summary, outcome, recording, store.key, progress)
            else:
                todo.append((number, recording))
        random.SystemRandom().shuffle(todo)  # the order of the input says who belongs together
        staging = str(store.staging)
        try:
            with closing(outcomes_of(todo, policy, key, staging, jobs, executor, on_read)) as results:
                for outcomes, spool in results:
                    commits.add(outcomes, spool)
                    for outcome in outcomes:
                        _tell(summary, outcome, waiting[outcome.number], store.key, progress)
        finally:  # no worker is at work any more
            store.recover()
    summary.elapsed_seconds = time.monotonic() - started
    return summary


def dry_run(
    recordings: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    on_read: OnRead | None = None,
) -> Summary:
    """What `run` would release into a new store, without disguising or writing anything.

    Takes what `run` takes; lengths and seconds are those before the disguise."""
    from deident.keys import Key
    from deident.policy import Policy

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress, on_read)
    started = time.monotonic()
    summary = Summary()
    names = key or Key.fresh()
    waiting = list(expand(recordings))
    todo = list(enumerate(waiting))
    known: set[str] = set()
    with closing(outcomes_of(todo, policy, key, None, jobs, None, on_read)) as results:
        for outcomes, _ in results:
            for outcome in outcomes:
                if outcome.state in RELEASED:
                    if outcome.tally.content_sha256 in known:
                        outcome.state, outcome.code, outcome.message = "skipped", *RELEASED_BEFORE
                    known.add(outcome.tally.content_sha256)
                _tell(summary, outcome, waiting[outcome.number], names, progress)
    summary.elapsed_seconds = time.monotonic() - started
    return summary


def _check_linkage(
    linkage: str | os.PathLike[str] | None, key: Key | None, store: str | os.PathLike[str]
) -> None:
    from deident.store.proof import is_inside

    if linkage is None:
        return
    if key is None:
        raise SettingError("a linkage is sealed under a key: make one with `deident keygen`")
    if is_inside(linkage, store):
        raise SettingError("the linkage must lie outside the store, or whoever gets the one has the other")
    if not Path(linkage).parent.is_dir():
        raise SettingError("the folder for the linkage is not there; make it first")


def _check(policy: Policy, key: Key | None, jobs: int | None, progress: object, on_read: object) -> None:
    check_not_starting()
    if jobs is not None:
        all_of(int, "jobs", [jobs], "a number of processes")
        if jobs < 1:
            raise SettingError(f"expected jobs of at least 1; got {jobs}")
    for name, told in (("progress", progress), ("on_read", on_read)):
        if told is not None and not callable(told):
            raise SettingError(f"expected {name} as a callable; got {kind_of(told)}")
    check_key(key)
    if key is None and policy.needs_key:
        raise SettingError(
            "a repeatable run, scope=speaker and speakers to carry need a key: make one with `deident keygen`"
        )


def _tell(
    summary: Summary, outcome: Outcome, recording: Recording, key: Key, progress: Progress | None
) -> None:
    outcome.id = pseudonym(key, recording.path)
    summary.add(outcome)
    if progress is not None:
        progress(outcome, recording)
