"""Many recordings to one store; each ends in exactly one state."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deident.datasets.recordings import LINKS, collect
from deident.errors import SettingError, all_of, kind_of, truth
from deident.keys import check_key
from deident.process import with_owner_allowed, without_core_dumps
from deident.recording import Recording, Totals
from deident.runs.commit import RELEASED, RELEASED_BEFORE, Commits, pseudonym
from deident.runs.gate import Gate
from deident.runs.local import check_executor, check_not_starting
from deident.runs.local import outcomes as outcomes_of
from deident.runs.local import releaser as releaser_of
from deident.runs.worker import FINE, STATES, Outcome

if TYPE_CHECKING:
    from distributed import Client

    from deident.keys import Key
    from deident.policy import Policy
    from deident.recording import OnRead


@dataclass
class Summary(Totals):
    """The seconds and counts of a run.

    Attributes
    ----------
    recordings : int
    states : dict of str to int
        Recordings by the state they ended in: see `Outcome`.
    codes : dict of str to int
        Recordings by the code of why they were not released, or not whole.
    cancelled : int
        Recordings in which the channels of a mix cancelled each other.
    passed_over : dict of str to int
        Links, files of other kinds, hidden files and stores in folders, which were not read.
    elapsed_seconds : float
        Wall time of the run.

    Notes
    -----
    It has the attributes of `Totals` too, summed over the recordings: `read_seconds`, `speech_seconds`,
    `released_seconds`, `snippets`, `lengths`, `dropped_seconds` and `cancelled_seconds`, in seconds of audio.
    """

    recordings: int = 0
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    codes: dict[str, int] = field(default_factory=dict)
    cancelled: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    elapsed_seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count a recording.

        Parameters
        ----------
        outcome : Outcome
        """
        self.recordings += 1
        self.states[outcome.state] += 1
        if outcome.code:
            self.codes[outcome.code] = self.codes.get(outcome.code, 0) + 1
        self.cancelled += outcome.tally.cancelled_seconds > 0.0
        self.include(outcome.tally)

    @property
    def times_real_time(self) -> float:
        """Seconds of audio read per second of wall time."""
        return self.read_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def fine(self) -> bool:
        """True when every recording was released or had no speech, now or earlier, and no link was passed over."""
        fine = all(not count or state in FINE for state, count in self.states.items())
        return fine and not self.passed_over.get(LINKS)

    def to_mapping(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON.

        Returns
        -------
        dict
        """
        lengths = dict(sorted(self.lengths.items(), key=lambda length: float(length[0])))
        whole = {**vars(self), "lengths": lengths, "times_real_time": round(self.times_real_time, 1)}
        return {**{name: _rounded(value) for name, value in whole.items()}, "fine": self.fine}

    def _repr_html_(self) -> str:
        """Lay the summary out as a table for a notebook."""

        def shown(value: Any) -> str:
            if isinstance(value, dict):
                counts = (f"{escape(str(k))}: {shown(v)}" for k, v in value.items() if v)
                return ", ".join(counts) or "none"
            return f"{value:.1f}" if isinstance(value, float) else str(value)

        rows = (
            f"<tr><th>{name}</th><td>{shown(value)}</td></tr>" for name, value in self.to_mapping().items()
        )
        return f"<table>{''.join(rows)}</table>"


def _rounded(value: Any) -> Any:
    """Round seconds to microseconds, for sums of many have digits that say nothing; there is no zero with a sign."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 6) + 0.0 if isinstance(value, float) else value


Progress = Callable[[Outcome, Recording], None]


@without_core_dumps()
@with_owner_allowed()
def run(
    recordings: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    out: str | os.PathLike[str],
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    jobs: int | None = None,
    executor: Executor | Client | None = None,
    again: bool = False,
    follow_links: bool = False,
    linkage: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_read: OnRead | None = None,
) -> Summary:
    """De-identify recordings into a store.

    A recording that fails ends as "refused" and never ends the run. In a script, call this below
    `if __name__ == "__main__":`, because worker processes import the script.

    Parameters
    ----------
    recordings : path-like, Recording, or iterable of these
        Files, folders to look through, and URIs of such; or a frame of pandas with the column path.
    out : path-like
        The store, a folder or a URI; it is made if need be.
    policy : Policy, optional
        By default the preset "review".
    key : Key, optional
        Needed where the policy is repeatable, its scope is "speaker", speakers are carried, or a linkage is kept.
    jobs : int, optional
        Processes; by default one a core.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Takes the place of local processes. Its workers must see the recordings and the store.
    again : bool, optional
        Release again, under another voice, what was released before. Two versions of one snippet tell more than one.
    follow_links : bool, optional
        Read through symbolic links.
    linkage : path-like, optional
        A sealed file outside the store that remembers which snippets came from which recording, so that they can be
        erased.
    progress : callable, optional
        Called with every `Outcome` and its `Recording`.
    on_read : callable, optional
        Called with the seconds of audio that were read since; only where no executor is given.

    Returns
    -------
    Summary

    Raises
    ------
    SettingError, KeyMaterialError
        Before anything is read.
    StoreError
        When the store cannot be written or is in use.
    ExtraMissingError
        When a URI or a cluster needs a package that is not installed.

    Examples
    --------
    >>> import deident, tempfile
    >>> summary = deident.run("examples/recordings/call.wav", tempfile.mkdtemp() + "/store", jobs=1)
    >>> summary.states["released"]
    1
    """
    from deident.policy import Policy
    from deident.store import Linkage, open_store

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress, on_read)
    check_executor(executor)
    truth("again", again)
    for name, path in (("out", out), ("linkage", "" if linkage is None else linkage)):
        all_of(str | os.PathLike, name, [path], "a path or URI")
    if policy.programme.is_active and linkage is None:
        raise SettingError(
            "a [programme] needs a linkage, which remembers days, consent and speakers: give --linkage FILE,"
            " outside the store"
        )
    _check_linkage(linkage, key, out)
    started = time.monotonic()
    passed_over: Counter[str] = Counter()
    summary = Summary()
    waiting = collect(recordings, follow_links=follow_links, passed_over=passed_over)
    links = Linkage(linkage, key) if linkage is not None and key is not None else None
    with open_store(out, key=key, spread=releaser_of(executor)) as store:
        commits = Commits(store, waiting, policy, again=again, linkage=links, key=key)
        todo = []
        for number, recording in enumerate(waiting):
            if outcome := commits.known(number):
                _report(summary, outcome, recording, store.key, progress)
            else:
                todo.append((number, recording))
        commits.count_not_drawn()
        random.SystemRandom().shuffle(todo)  # the order of the input tells which recordings belong together
        staging = str(store.staging)
        try:
            with closing(outcomes_of(todo, policy, key, staging, jobs, executor, on_read)) as results:
                for outcomes, spool in results:
                    commits.add(outcomes, spool)
                    for outcome in outcomes:
                        _report(summary, outcome, waiting[outcome.number], store.key, progress)
        finally:  # all workers have ended
            store.recover()
    summary.elapsed_seconds = time.monotonic() - started
    summary.passed_over = dict(passed_over)
    return summary


@without_core_dumps()
@with_owner_allowed()
def dry_run(
    recordings: Iterable[str | os.PathLike[str] | Recording] | os.PathLike[str] | Recording,
    policy: Policy | None = None,
    *,
    key: Key | None = None,
    jobs: int | None = None,
    follow_links: bool = False,
    progress: Progress | None = None,
    on_read: OnRead | None = None,
) -> Summary:
    """Tally what `run` would release into a new store, without disguising or writing anything.

    Parameters
    ----------
    recordings, policy, key, jobs, progress, on_read
        As `run` takes them.

    Returns
    -------
    Summary
        Lengths and seconds are those before the disguise.

    Raises
    ------
    SettingError, KeyMaterialError
        Before anything is read.
    """
    from deident.keys import Key
    from deident.policy import Policy

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress, on_read)
    started = time.monotonic()
    passed_over: Counter[str] = Counter()
    summary = Summary()
    names = key or Key.fresh()
    waiting = collect(recordings, follow_links=follow_links, passed_over=passed_over)
    gate = Gate(policy, key)
    todo = []
    for number, recording in enumerate(waiting):
        if refusal := gate.refusal(recording):
            _report(summary, Outcome.empty(number, *refusal), recording, names, progress)
        else:
            todo.append((number, recording))
    known: set[str] = set()
    with closing(outcomes_of(todo, policy, key, None, jobs, None, on_read)) as results:
        for outcomes, _ in results:
            for outcome in outcomes:
                if outcome.state in RELEASED:
                    if outcome.tally.content_sha256 in known:
                        outcome.withhold(*RELEASED_BEFORE)
                    known.add(outcome.tally.content_sha256)
                _report(summary, outcome, waiting[outcome.number], names, progress)
    summary.elapsed_seconds = time.monotonic() - started
    summary.passed_over = dict(passed_over)
    return summary


def _check_linkage(
    linkage: str | os.PathLike[str] | None, key: Key | None, store: str | os.PathLike[str]
) -> None:
    """Refuse a linkage without a key, inside a store, or in a folder that does not exist."""
    from deident.store.proof import is_inside

    if linkage is None:
        return
    if key is None:
        raise SettingError("a linkage is sealed under a key: make one with `deident keygen`")
    if is_inside(linkage, store):
        raise SettingError("the linkage must lie outside the store, or whoever gets one has both")
    if not Path(linkage).parent.is_dir():
        raise SettingError("the folder for the linkage does not exist; make it first")


def _check(policy: Policy, key: Key | None, jobs: int | None, progress: object, on_read: object) -> None:
    """Refuse wrong arguments before any work."""
    check_not_starting()
    if jobs is not None:
        all_of(int, "jobs", [jobs], "a number of processes")
        if jobs < 1:
            raise SettingError(f"expected jobs of at least 1; got {jobs}")
    for name, callback in (("progress", progress), ("on_read", on_read)):
        if callback is not None and not callable(callback):
            raise SettingError(f"expected {name} as a callable; got {kind_of(callback)}")
    check_key(key)
    if key is None and policy.needs_key:
        raise SettingError(
            "a repeatable run, scope=speaker, speakers to carry and a [programme] need a key: make one with"
            " `deident keygen`"
        )


def _report(
    summary: Summary, outcome: Outcome, recording: Recording, key: Key, progress: Progress | None
) -> None:
    """Count an outcome under its pseudonym, and report progress."""
    outcome.id = pseudonym(key, recording.path)
    summary.add(outcome)
    if progress is not None:
        progress(outcome, recording)
