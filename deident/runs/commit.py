"""The commits of a run: which outcomes go into the store, given what it remembers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deident.runs.worker import Outcome
from deident.uris import location

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.policy import Policy
    from deident.recording import Recording
    from deident.store import Entry, Link, Linkage, Store

RELEASED = ("released", "partial")
RELEASED_BEFORE = "skipped", "released-before", "the same audio was released or erased before"
_CHANGED = (
    "refused",
    "changed",
    "another version of it was released from this path: its audio would be released a second time; run with --again,"
    " or begin a new store; a new recording needs a new name",
)
_ERASED = (
    "refused",
    "changed",
    "another version of it was released from this path, and erased: it stays out; a new recording needs a new name",
)
_UNMUTED = (
    "refused",
    "mute-changed",
    "released before with other parts muted: begin a new store, or erase here what came from it",
)


class Commits:
    """Commits the outcomes of a run to its store.

    No audio is released twice unless that is asked for, and no recording whose muted parts were released before.

    Parameters
    ----------
    store : Store
    recordings : sequence of Recording
        All of the run, in the order of their numbers.
    policy : Policy
    again : bool
        Release again what was released before, but not what was erased.
    linkage : Linkage or None
        Where to write which snippets came from which recording.
    """

    def __init__(
        self,
        store: Store,
        recordings: Sequence[Recording],
        policy: Policy,
        *,
        again: bool,
        linkage: Linkage | None,
    ) -> None:
        self._store = store
        self._recordings = recordings
        self._again = again
        self._linkage = linkage
        self._fingerprint = policy.fingerprint()  # once: it is a digest of everything
        self._margin = repr(policy.mute.margin_seconds)
        # Before anything is read: a file that changes meanwhile is another recording, for the next run.
        self._places = [_place(store, recording) for recording in recordings]
        store.allow(_columns(recordings, policy))
        if linkage is not None:
            linkage.attach(store)

    def known(self, number: int) -> Outcome | None:
        """Return the outcome of a recording that is not to be read again; None for others."""
        from deident.recording import Tally

        entry = self._store.entry(self._places[number])
        if entry is None:
            return None
        if entry.state in RELEASED and self._released_unmuted(self._recordings[number], {entry.policy}):
            outcome = Outcome(number, "refused", Tally())
            outcome.withhold(*_UNMUTED)
            return outcome
        return Outcome(number, "skipped", Tally()) if self._is_done(entry, number) else None

    def add(self, outcomes: list[Outcome], spool: str | None) -> None:
        """Commit outcomes, and release their snippets, which are in `spool`: the point of no return.

        Outcomes of recordings that may not be released are changed to say so.
        """
        store, again = self._store, self._again
        for outcome in outcomes:
            if again and outcome.state in RELEASED:
                self._refuse_unmuted(outcome)
            if outcome.snippets:
                self._refuse_changed(outcome)
        done = [outcome for outcome in outcomes if outcome.state not in ("refused", "skipped")]
        if not again:
            self._drop_taken(done)
        entries = [self._entry(outcome) for outcome in done]
        if self._linkage is not None:
            self._linkage.add(self._links(entries, done))
        rows = ((entry, outcome.snippets) for entry, outcome in zip(entries, done, strict=True))
        for outcome, counted in zip(done, store.commit(rows, spool=spool, again=again), strict=True):
            if not counted:
                outcome.withhold(*RELEASED_BEFORE)
        for outcome in outcomes:
            if outcome.code == RELEASED_BEFORE[1]:
                self._refuse_unmuted(outcome)

    def _entry(self, outcome: Outcome) -> Entry:
        from deident.store import Entry

        tally = outcome.tally
        store, recording = self._store, self._recordings[outcome.number]
        return Entry(
            self._places[outcome.number],
            store.content(tally.content_sha256),
            outcome.state,
            self._settings(outcome.number),
            store.origin(location(recording.path), tally.head_sha256),
            store.file(tally.file_sha256),
        )

    def _settings(self, number: int) -> str:
        recording = self._recordings[number]
        return "-".join(filter(None, (self._fingerprint + self._bounds(recording), self._muted(recording))))

    def _bounds(self, recording: Recording) -> str:
        """Digest the given segments and turns: a recording is read again when a mistake in them was corrected."""
        if recording.segments is None and not recording.turns:
            return ""
        turns = [(turn.segment, turn.channel) for turn in recording.turns]
        return "." + self._store.key.pseudonym("bounds", repr(recording.segments), repr(turns))[:16]

    def _muted(self, recording: Recording) -> str:
        """Digest the muted parts of a recording."""
        if not recording.mute:
            return ""
        return self._store.key.pseudonym("mute", repr(sorted(recording.mute)), self._margin)[:16]

    def _is_done(self, entry: Entry, number: int) -> bool:
        if self._again:
            return entry.state == "erased"
        # Nothing is released again by accident; a recording without speech may have some under other settings.
        return entry.state in (*RELEASED, "erased") or entry.policy == self._settings(number)

    def _released_unmuted(self, recording: Recording, before: set[str]) -> bool:
        """Tell whether a release under the settings `before` may contain what is to be muted now."""
        mute = self._muted(recording)
        return bool(mute) and any(settings.partition("-")[2] != mute for settings in before)

    def _refuse_unmuted(self, outcome: Outcome) -> None:
        """Refuse a recording whose audio was released with other parts muted, from this path or another."""
        before = self._store.policies(self._entry(outcome))
        if self._released_unmuted(self._recordings[outcome.number], before):
            outcome.withhold(*_UNMUTED)

    def _refuse_changed(self, outcome: Outcome) -> None:
        entry = self._entry(outcome)
        if self._store.is_released(entry.content, again=self._again):
            return  # `commit` leaves it out
        same_file, same_start = self._store.versions(entry)
        if "erased" in same_file | same_start:
            outcome.withhold(*_ERASED)
        elif not self._again and same_file.intersection(RELEASED):
            outcome.withhold(*RELEASED_BEFORE)
        elif not self._again and same_start.intersection(RELEASED):
            outcome.withhold(*_CHANGED)

    def _drop_taken(self, outcomes: list[Outcome]) -> None:
        """Leave out snippets whose names are taken.

        In a repeatable run, two recordings that begin alike give the same names; a released snippet never changes.
        """
        store = self._store
        taken = store.holds(snippet.name for outcome in outcomes for snippet in outcome.snippets)
        whole = set()
        for outcome in outcomes:
            content = store.content(outcome.tally.content_sha256)
            if content in whole or store.is_released(content):
                continue  # `commit` leaves it out as a whole
            whole.add(content)
            kept = []
            for snippet, turn in zip(outcome.snippets, outcome.turns, strict=True):
                if snippet.name in taken:
                    outcome.tally.withdraw("released_before", snippet.seconds)
                else:
                    kept.append((snippet, turn))
            if outcome.snippets and not kept:
                outcome.withhold(*RELEASED_BEFORE)
            outcome.snippets, outcome.turns = [own for own, _ in kept], [turn for _, turn in kept]
            taken.update(snippet.name for snippet in outcome.snippets)

    def _links(self, entries: list[Entry], done: list[Outcome]) -> list[Link]:
        """Make the linkage's records: each recording with speech, and its snippets that will be released."""
        links: list[Link] = []
        contents = set()
        for entry, outcome in zip(entries, done, strict=True):
            if outcome.snippets:
                before = self._store.is_released(entry.content, again=self._again) or (
                    entry.content in contents and not self._again
                )
                contents.add(entry.content)
                links += self._by_speaker(entry, outcome, released=not before)
        return links

    def _by_speaker(self, entry: Entry, outcome: Outcome, *, released: bool) -> list[Link]:
        """Make a link for each speaker of a recording, with the snippets of that speaker."""
        from deident.store import Link, today

        recording = self._recordings[outcome.number]
        by_speaker: dict[str | None, list[tuple[str, str]]] = {}
        for snippet, turn in zip(outcome.snippets, outcome.turns, strict=True):
            speaker = (turn and turn.speaker) or recording.speaker
            by_speaker.setdefault(speaker, []).append((snippet.name, turn.id if turn else ""))
        return [
            Link(
                place=entry.place.hex(),
                content=entry.content.hex(),
                recording=pseudonym(self._store.key, recording.path),
                path=location(recording.path),
                speaker=speaker,
                names=tuple(name for name, _ in own) if released else (),
                day=today(),
                store=self._store.id,
                utterances=tuple(id for _, id in own) if released and any(id for _, id in own) else (),
            )
            for speaker, own in by_speaker.items()
        ]


def _columns(recordings: Sequence[Recording], policy: Policy) -> set[str]:
    """Return the names of all labels that snippets of these recordings may have in the manifest."""
    columns = {*policy.carry, *(["speaker"] if policy.tells_speakers else [])}
    for recording in recordings:
        columns.update(recording.labels, *(turn.labels for turn in recording.turns))
    return columns


def _place(store: Store, recording: Recording) -> bytes:
    if recording.size is not None:
        return store.place(location(recording.path), recording.size, recording.version)
    try:
        info = os.stat(recording.path)
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return store.place(location(recording.path))
    return store.place(location(recording.path), info.st_size, info.st_mtime_ns)


def pseudonym(key: Key, path: str) -> str:
    """Return the 12 hexadecimal digits that stand for a recording in messages; only the key leads back from them."""
    return key.pseudonym("recording", location(path))[:12]
