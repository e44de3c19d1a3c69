"""The commits of a run: which outcomes go into the store, given what it remembers."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from deident.disguise.presets import PRESETS
from deident.errors import StoreError
from deident.runs.gate import FULL, NO_CONSENT, NOT_DRAWN, Gate, Refusal, count_name, has_consent
from deident.runs.worker import Outcome
from deident.uris import location

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.policy import Policy, ProgrammeSettings
    from deident.recording import Recording
    from deident.segmentation.turns import Turn
    from deident.store import Entry, Link, Linkage, Staged, Store

RELEASED = ("released", "partial")
RELEASED_BEFORE = "skipped", "released-before", "the same audio was released or erased before"
METHODS = "methods"  # the fact of a store that says which disguises were used
PROGRAMME = "programme"  # the fact of a store that says what its programme promises
DROPPED = ("found", "two_voices")  # reasons that a store counts, in seconds
_TOGETHER = 10_000  # recordings of one commit
_CONSENT_GONE = (
    "refused",
    "consent-gone",
    "it was released before, and has no consent any more: `deident erase` what came from it",
)
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
    key : Key or None
        Of the run.
    """

    def __init__(
        self,
        store: Store,
        recordings: Sequence[Recording],
        policy: Policy,
        *,
        again: bool,
        linkage: Linkage | None,
        key: Key | None = None,
    ) -> None:
        self._store = store
        self._recordings = recordings
        self._again = again
        self._linkage = linkage
        self._fingerprint = policy.fingerprint()  # once: it is a digest of everything
        self._margin = repr(policy.mute.margin_seconds)
        # Before anything is read: a file that changes meanwhile is another recording, for the next run.
        self._places = [_place(store, recording) for recording in recordings]
        if linkage is not None:
            linkage.attach(store, is_written=True)  # first: one of another store changes nothing
        keep_promise(store, policy.programme)
        self._most = policy.programme.max_per_speaker
        self._gate = Gate(policy, key, store)
        self._not_drawn: list[Entry] = []
        store.allow(_columns(recordings, policy))
        if linkage is not None:
            _remember_method(store, policy)
            linkage.add([])  # a purge or a withdrawal may come before the first release

    def known(self, number: int) -> Outcome | None:
        """Return the outcome of a recording that is not to be read again; None for others."""
        entry = self._store.entry(self._places[number])
        if refusal := self._gate.refusal(self._recordings[number]):
            return self._left_out(number, entry, refusal)
        if entry is None or entry.state == "not-drawn":
            return None
        if entry.state in RELEASED and self._released_unmuted(self._recordings[number], {entry.policy}):
            return Outcome.empty(number, *_UNMUTED)
        return Outcome.empty(number, "skipped") if self._is_done(entry, number) else None

    def _left_out(self, number: int, entry: Entry | None, refusal: Refusal) -> Outcome:
        """Make the outcome of a recording that is not read, and remember one that was not drawn."""
        from deident.store import Entry

        if refusal is NOT_DRAWN and (entry is None or entry.state != "not-drawn"):
            sound = self._store.content(f"not drawn {self._gate.draw(self._recordings[number])}")
            origin, file = self._store.origin("", ""), self._store.file("")
            self._not_drawn.append(Entry(self._places[number], sound, "not-drawn", "", origin, file))
        is_released = entry is not None and entry.state in RELEASED
        return Outcome.empty(number, *(_CONSENT_GONE if refusal is NO_CONSENT and is_released else refusal))

    def count_not_drawn(self) -> None:
        """Commit which recordings were not drawn, once each, so that the share can be told over the store's life."""
        for at in range(0, len(self._not_drawn), _TOGETHER):
            self._store.commit((entry, []) for entry in self._not_drawn[at : at + _TOGETHER])
        self._not_drawn.clear()

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
        counts = {} if self._most is None else self._cap(done, self._most)
        counts.update(self._found(done))
        entries = [self._entry(outcome) for outcome in done]
        if self._linkage is not None:
            self._linkage.add(self._links(entries, done))
        rows = ((entry, outcome.snippets) for entry, outcome in zip(entries, done, strict=True))
        committed = store.commit(rows, spool=spool, again=again, counts=counts)
        for outcome, counted in zip(done, committed, strict=True):
            if not counted:
                outcome.withhold(*RELEASED_BEFORE)
        for outcome in outcomes:
            if outcome.code == RELEASED_BEFORE[1]:
                self._refuse_unmuted(outcome)

    def _found(self, done: list[Outcome]) -> Counter[str]:
        """Count the ranges that were muted in what is released, by kind, and the seconds that `verify` dropped."""
        counts: Counter[str] = Counter()
        for outcome in done:
            recording = self._recordings[outcome.number]
            if self._store.is_released(self._store.content(outcome.tally.content_sha256), again=self._again):
                continue  # `commit` leaves it out as a whole
            if outcome.snippets:
                counts.update(f"found:{kind}" for kind in recording.kinds)
                counts["found:UNNAMED"] += len(recording.mute) - len(recording.kinds)
            for reason in DROPPED:
                counts[f"dropped:{reason}"] += math.ceil(outcome.tally.dropped_seconds.get(reason, 0.0))
        return +counts

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
        """Return the digest of all settings that apply to a recording."""
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
        """Tell whether an entry of the ledger means that there is nothing to do."""
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
        """Withhold snippets of a recording that was released in another version, or erased."""
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
            if not outcome.keep(kept):
                outcome.withhold(*RELEASED_BEFORE)
            taken.update(snippet.name for snippet in outcome.snippets)

    def _cap(self, done: list[Outcome], most: int) -> dict[str, int]:
        """Leave out the snippets of speakers who had as many as is allowed; the counts to commit with the others.

        Which snippets of a recording stay follows from their names, and so from nothing that tells where they were.
        """
        store, counts, whole = self._store, Counter[str](), set()
        for outcome in done:
            content = store.content(outcome.tally.content_sha256)
            if content in whole or store.is_released(content, again=self._again):
                continue  # `commit` leaves it out as a whole
            if not self._again:
                whole.add(content)
            speakers = [self._speaker(outcome, turn) or "" for turn in outcome.turns]
            before = self._gate.released(set(speakers))
            kept = []
            order = sorted(zip(outcome.snippets, outcome.turns, speakers, strict=True), key=_name)
            for snippet, turn, speaker in order:
                name = count_name(store, "speaker", speaker)
                if before[speaker] + counts[name] >= most:
                    outcome.tally.withdraw("max_per_speaker", snippet.seconds)
                    continue
                counts[name] += 1
                kept.append((snippet, turn))
            if not outcome.keep(kept):
                outcome.withhold(*FULL)
        return dict(counts)

    def _speaker(self, outcome: Outcome, turn: Turn | None) -> str | None:
        return (turn and turn.speaker) or self._recordings[outcome.number].speaker

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
            speaker = self._speaker(outcome, turn)
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
                consent=has_consent(recording),
                draw=self._gate.draw(recording),
            )
            for speaker, own in by_speaker.items()
        ]


def keep_promise(store: Store, programme: ProgrammeSettings) -> None:
    """Let a store remember its programme, or prove that a run has the same; `keep_days` may become fewer.

    Raises `StoreError` for another one, and for a store with snippets that were released without one.
    """
    known = store.recall(PROGRAMME)
    if known is None and not programme.is_active:
        return
    if known is None and (next(store.names(), None) is not None or store.sounds()):
        raise StoreError(
            "this store was begun without a [programme]: what is in it may lack consent and count to no share. Begin a"
            " new store"
        )
    said = asdict(programme)
    if known is not None:
        before = {**{field.name: field.default for field in fields(programme)}, **json.loads(known)}
        days, earlier = said["keep_days"], before["keep_days"]
        is_kept = earlier is None or (days is not None and days <= earlier)
        if {**said, "keep_days": 0} != {**before, "keep_days": 0} or not is_kept:
            raise StoreError(
                "this store was begun with another [programme]: expected the same, but for fewer"
                " keep_days. Give that in the policy, or begin a new store"
            )
    store.remember(PROGRAMME, json.dumps(said, sort_keys=True))


def _remember_method(store: Store, policy: Policy) -> None:
    """Let a store remember which disguises were used: presets by name, others by their methods."""
    disguise = policy.to_mapping()["disguise"]
    parts = disguise if isinstance(disguise, list) else [disguise]
    name = next(
        (name for name, preset in PRESETS.items() if preset.disguise == policy.disguise),
        "+".join(str(part["method"]) for part in parts),
    )
    known = json.loads(store.recall(METHODS) or "[]")
    store.remember(METHODS, json.dumps(sorted({*known, name})))


def _name(row: tuple[Staged, Turn | None, str]) -> str:
    return row[0].name


def _columns(recordings: Sequence[Recording], policy: Policy) -> set[str]:
    """Return the names of all labels that snippets of these recordings may have in the manifest."""
    columns = {*policy.carry, *(["speaker"] if policy.tells_speakers else [])}
    for recording in recordings:
        columns.update(recording.labels, *(turn.labels for turn in recording.turns))
    return columns


def _place(store: Store, recording: Recording) -> bytes:
    """Return the pseudonym of a recording's path, size and modification time."""
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
