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

from deident.errors import SettingError, all_of, kind_of, truth
from deident.pools import check_not_starting
from deident.pools import outcomes as outcomes_of
from deident.pools import releaser as releaser_of
from deident.remote import location
from deident.secret import check_key
from deident.sources import Recording, expand
from deident.work import FINE, STATES, Outcome

if TYPE_CHECKING:
    from distributed import Client

    from deident.pipeline import Reading
    from deident.policy import Policy
    from deident.secret import Key
    from deident.store import Entry, Link, Linkage, Store
    from deident.store.remote import RemoteStore


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
    reading: Reading | None = None,
) -> Summary:
    """De-identify recordings into a store.

    recordings : files and folders, or URIs of such, or `Recording`s.   out : the store, a folder or a URI,
    made if need be.   jobs : processes, by default one a core.   executor : yours instead, of any kind, or a
    `distributed.Client`; its workers must see the recordings and the store.   again : release anew what was
    released before, under another voice; two versions of one snippet tell more than one.
    linkage : a sealed file, apart from the store, that remembers which snippets came from which recording, so
    that they can be erased; needs the key.
    progress : called with every outcome as it comes.   reading : called in between with the seconds of sound
    that were read, where the processes are this machine's own.
    A recording that fails ends as `refused` and never ends the run. In a script, call it below
    `if __name__ == "__main__":`, for its workers read the script too. Raises `StoreError` when the store
    cannot be written or is in use, `SettingError` and `KeyMaterialError` before anything is read."""
    from deident.pipeline import Tally
    from deident.policy import Policy
    from deident.store import Linkage, open_store

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress)
    truth("again", again)
    for name, place in (("out", out), ("linkage", "" if linkage is None else linkage)):
        all_of(str | os.PathLike, name, [place], "a path or URI")
    _check_linkage(linkage, key, out)
    fingerprint = policy.fingerprint()  # once: it is a digest of everything
    started = time.monotonic()
    summary = Summary()
    waiting = list(expand(recordings))
    links = Linkage(linkage, key) if linkage is not None and key is not None else None
    with open_store(out, key=key, spread=releaser_of(executor)) as store:
        if links is not None:
            links.forget_unreleased(store)
        todo = []

        def settings(recording: Recording) -> str:
            told = fingerprint + _bounds(store, recording)
            return "-".join(filter(None, (told, _muted(store, recording, policy))))

        # Before anything is read: what changes meanwhile is another recording, for the next run.
        places = [_place(store, recording) for recording in waiting]
        for number, recording in enumerate(waiting):
            entry = store.entry(places[number])
            released_as = {entry.policy} if entry is not None and entry.state in _RELEASED else set()
            if _was_heard(store, recording, policy, released_as):
                outcome = Outcome(number, "refused", Tally(), *_UNMUTED)
                _tell(summary, outcome, recording, store.key, progress)
            elif entry is None or not _is_done(entry, settings(recording), again):
                todo.append((number, recording))
            else:
                _tell(summary, Outcome(number, "skipped", Tally()), recording, store.key, progress)
        random.SystemRandom().shuffle(todo)  # the order of the input says who belongs together
        try:
            with closing(
                outcomes_of(todo, policy, key, str(store.staging), jobs, executor, reading)
            ) as results:
                for outcomes, spool in results:
                    if again:
                        _refuse_heard(store, [o for o in outcomes if o.state in _RELEASED], waiting, policy)
                    _commit(store, outcomes, spool, waiting, places, settings, again, links)
                    known = [o for o in outcomes if o.code == "released-before"]
                    _refuse_heard(store, known, waiting, policy)
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
    reading: Reading | None = None,
) -> Summary:
    """What `run` would release into a new store, without disguising or writing anything.

    Takes what `run` takes; lengths and seconds are those before the disguise."""
    from deident.policy import Policy
    from deident.secret import Key

    policy = Policy.given(policy)
    _check(policy, key, jobs, progress)
    started = time.monotonic()
    summary = Summary()
    names = key or Key.fresh()
    waiting = list(expand(recordings))
    todo = list(enumerate(waiting))
    known: set[str] = set()
    with closing(outcomes_of(todo, policy, key, None, jobs, None, reading)) as results:
        for outcomes, _ in results:
            for outcome in outcomes:
                if outcome.state in _RELEASED:
                    if outcome.tally.digest in known:
                        outcome.state, outcome.code, outcome.message = "skipped", *_RELEASED_BEFORE
                    known.add(outcome.tally.digest)
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


def _check(policy: Policy, key: Key | None, jobs: int | None, progress: object) -> None:
    check_not_starting()
    if jobs is not None:
        all_of(int, "jobs", [jobs], "a number of processes")
        if jobs < 1:
            raise SettingError(f"expected jobs of at least 1; got {jobs}")
    if progress is not None and not callable(progress):
        raise SettingError(f"expected progress as a callable; got {kind_of(progress)}")
    check_key(key)
    if key is None and policy.needs_key:
        raise SettingError(
            "a repeatable run, scope=speaker and speakers to carry need a key: make one with `deident keygen`"
        )


def _place(store: Store | RemoteStore, recording: Recording) -> bytes:
    if recording.size is not None:
        return store.place(location(recording.path), recording.size, recording.version)
    try:
        info = os.stat(recording.path)
    except (OSError, ValueError):  # no file can have such a name
        return store.place(location(recording.path))
    return store.place(location(recording.path), info.st_size, info.st_mtime_ns)


def _bounds(store: Store | RemoteStore, recording: Recording) -> str:
    """Tells whether speech was said to be in the same places: a mistake there is no reason to skip a recording."""
    if recording.segments is None and not recording.turns:
        return ""
    turns = [(turn.segment, turn.channel) for turn in recording.turns]
    return "." + store.key.pseudonym("bounds", repr(recording.segments), repr(turns))[:16]


def _muted(store: Store | RemoteStore, recording: Recording, policy: Policy) -> str:
    """Tells whether the same parts of a recording were muted."""
    if not recording.mute:
        return ""
    return store.key.pseudonym("mute", repr(sorted(recording.mute)), repr(policy.mute.margin_seconds))[:16]


def _is_done(entry: Entry, settings: str, again: bool) -> bool:
    if again:
        return entry.state == "erased"
    # What was released is never released again by accident; what held nothing may hold something for others.
    return entry.state in (*_RELEASED, "erased") or entry.policy == settings


def _was_heard(store: Store | RemoteStore, recording: Recording, policy: Policy, before: set[str]) -> bool:
    """Whether what is to be muted may be heard in what was released under the settings `before`."""
    mute = _muted(store, recording, policy)
    return bool(mute) and any(settings.partition("-")[2] != mute for settings in before)


_RELEASED = ("released", "partial")
_RELEASED_BEFORE = "released-before", "the same sound was released or erased before"
_CHANGED = (
    "changed",
    "another version of it was released or erased before: its sound would be heard under a second voice; begin a new"
    " store, or run with --again; a new recording needs a new name",
)
_UNMUTED = (
    "mute-changed",
    "released before with other parts muted: begin a new store, or erase here what came from it",
)


def _commit(
    store: Store | RemoteStore,
    outcomes: list[Outcome],
    spool: str | None,
    recordings: list[Recording],
    places: list[bytes],
    settings: Callable[[Recording], str],
    again: bool,
    linkage: Linkage | None,
) -> None:
    from deident.store import Entry

    def entry_of(outcome: Outcome) -> Entry:
        recording, tally = recordings[outcome.number], outcome.tally
        origin = store.origin(location(recording.path), tally.head)
        content = store.content(tally.digest)
        return Entry(places[outcome.number], content, outcome.state, settings(recording), origin)

    for outcome in outcomes:
        if outcome.snippets:
            entry = entry_of(outcome)
            if not store.is_released(entry.content, again=again) and store.is_changed(entry, again=again):
                outcome.state, outcome.code, outcome.message = "refused", *_CHANGED
    done = [outcome for outcome in outcomes if outcome.state != "refused"]  # those are tried again
    if not again:
        _drop_held(store, done)
    entries = [entry_of(outcome) for outcome in done]
    if linkage is not None:
        linkage.add(_links(store, entries, done, recordings, again))
    counts = store.commit(
        ((entry, outcome.snippets) for entry, outcome in zip(entries, done, strict=True)),
        spool=spool,
        again=again,
    )
    for outcome, counted in zip(done, counts, strict=True):
        if not counted:
            outcome.state, outcome.code, outcome.message = "skipped", *_RELEASED_BEFORE


def _drop_held(store: Store | RemoteStore, outcomes: list[Outcome]) -> None:
    """Leave out snippets whose names are taken: in a repeatable run, those of a sound with which another recording
    begins too. They are in the store, and are not made to say something else now."""
    taken = store.holds(snippet.name for outcome in outcomes for snippet in outcome.snippets)
    whole = set()
    for outcome in outcomes:
        content = store.content(outcome.tally.digest)
        if content in whole or store.is_released(content):
            continue  # the commit leaves it out as a whole
        whole.add(content)
        kept = []
        for snippet, turn in zip(outcome.snippets, outcome.turns, strict=True):
            if snippet.name in taken:
                outcome.tally.withdraw("released_before", snippet.seconds)
            else:
                kept.append((snippet, turn))
        if outcome.snippets and not kept:
            outcome.state, outcome.code, outcome.message = "skipped", *_RELEASED_BEFORE
        outcome.snippets, outcome.turns = [own for own, _ in kept], [turn for _, turn in kept]
        taken.update(snippet.name for snippet in outcome.snippets)


def _refuse_heard(
    store: Store | RemoteStore, outcomes: list[Outcome], recordings: list[Recording], policy: Policy
) -> None:
    """A sound that is in the store from another place, or from this one before it changed, is muted there or not."""
    for outcome in outcomes:
        recording = recordings[outcome.number]
        if not recording.mute:
            continue
        before = store.policies(store.content(outcome.tally.digest))
        if _was_heard(store, recording, policy, before):
            outcome.state = "refused"
            outcome.code, outcome.message = _UNMUTED


def _links(
    store: Store | RemoteStore,
    entries: list[Entry],
    done: list[Outcome],
    recordings: list[Recording],
    again: bool,
) -> list[Link]:
    """What the linkage shall know: each source with speech, and the snippets that will be released of it."""
    links: list[Link] = []
    contents = set()
    for entry, outcome in zip(entries, done, strict=True):
        if outcome.snippets:
            before = store.is_released(entry.content, again=again) or (
                entry.content in contents and not again
            )
            contents.add(entry.content)
            links += _by_speaker(store, entry, outcome, recordings[outcome.number], released=not before)
    return links


def _by_speaker(
    store: Store | RemoteStore, entry: Entry, outcome: Outcome, recording: Recording, *, released: bool
) -> list[Link]:
    """What a recording's snippets are to be found by: a link for each of its speakers."""
    from deident.store import Link, today

    whose: dict[str | None, list[tuple[str, str]]] = {}
    for snippet, turn in zip(outcome.snippets, outcome.turns, strict=True):
        speaker = (turn and turn.speaker) or recording.speaker
        whose.setdefault(speaker, []).append((snippet.name, turn.id if turn else ""))
    return [
        Link(
            place=entry.place.hex(),
            content=entry.content.hex(),
            recording=pseudonym(store.key, recording.path),
            path=location(recording.path),
            speaker=speaker,
            names=tuple(name for name, _ in own) if released else (),
            day=today(),
            store=store.id,
            utterances=tuple(id for _, id in own) if released and any(id for _, id in own) else (),
        )
        for speaker, own in whose.items()
    ]


def pseudonym(key: Key, path: str) -> str:
    """How messages speak of a recording: 12 hexadecimal digits that only the key leads back from."""
    return key.pseudonym("recording", location(path))[:12]


def _tell(
    summary: Summary, outcome: Outcome, recording: Recording, key: Key, progress: Progress | None
) -> None:
    outcome.id = pseudonym(key, recording.path)
    summary.add(outcome)
    if progress is not None:
        progress(outcome, recording)
