"""The gate of a run: which recordings may be read at all, by consent, withdrawal and draw."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from deident.datasets.entries import consented
from deident.errors import StoreError
from deident.segmentation.turns import one_form
from deident.uris import is_uri, location, open_uri

if TYPE_CHECKING:
    from deident.keys import Key
    from deident.policy import Policy
    from deident.recording import Recording
    from deident.store import Store

Refusal = tuple[str, str, str]  # state, code and message of an outcome

NO_CONSENT = "skipped", "no-consent", "it has no consent, which the programme requires: it was not read"
NOT_DRAWN = "skipped", "not-drawn", "it is not in the share that is drawn: it was not read"
_WITHDRAWN = "skipped", "withdrawn", "its person withdrew: it was not read"
FULL = (
    "skipped",
    "max-per-speaker",
    "as much of its speakers as the programme allows was released: it was not read",
)
LEFT_OUT = frozenset(code for _, code, _ in (NO_CONSENT, NOT_DRAWN, _WITHDRAWN, FULL))  # by a programme
_NO_SPEAKER = (
    "refused",
    "no-speaker",
    "max_per_speaker counts by speaker, and this recording has none: give a speaker with it and with every turn",
)
_UNREADABLE = (
    "refused",
    "unreadable",
    "it cannot be opened, so it cannot be drawn: check its permissions and the disk",
)
_EDGE = 1 << 16  # bytes
_DIGITS = 16


class Gate:
    """Decides which recordings of a run may be read.

    Parameters
    ----------
    policy : Policy
    key : Key or None
        Of the run; draws.
    store : Store, optional
        Knows who withdrew, and how much of a speaker was released.
    """

    def __init__(self, policy: Policy, key: Key | None, store: Store | None = None) -> None:
        self._promise = policy.programme
        self._key = key.subkey("programme") if key else None
        self._store = store
        self._has_withdrawals = store is not None and store.highest("withdrawn") > 0
        self._draws: dict[str, str] = {}

    def refusal(self, recording: Recording) -> Refusal | None:
        """Return why a recording is not to be read; None for one that may be."""
        if self._is_withdrawn(recording):
            return _WITHDRAWN
        if self._promise.consent == "required" and not has_consent(recording):
            return NO_CONSENT
        if (most := self._promise.max_per_speaker) is not None:
            speakers = speakers_of(recording)
            if None in speakers:
                return _NO_SPEAKER
            if self._store and min(self.released(filter(None, speakers)).values()) >= most:
                return FULL
        if self._promise.share < 1.0:
            try:
                drawn = int(self.draw(recording), 16)
            except (OSError, StoreError, ValueError):
                return _UNREADABLE
            if drawn >= self._promise.share * 2.0 ** (4 * _DIGITS):
                return NOT_DRAWN
        return None

    def draw(self, recording: Recording) -> str:
        """Draw a recording's number by the key: 16 hexadecimal digits; "" where the policy has no share.

        A copy or a renamed file has the same number. Raises `OSError` for a file that cannot be read.
        """
        if self._promise.share == 1.0 or self._key is None:
            return ""
        place = location(recording.path)
        if place not in self._draws:
            self._draws[place] = self._key.derive("share", _identity(place))[: _DIGITS // 2].hex()
        return self._draws[place]

    def released(self, speakers: Iterable[str]) -> dict[str, int]:
        """Count what was released of speakers over the life of the store, by speaker."""
        assert self._store is not None
        names = {speaker: count_name(self._store, "speaker", speaker) for speaker in speakers}
        known = self._store.counts(names.values())
        return {speaker: known.get(name, 0) for speaker, name in names.items()}

    def _is_withdrawn(self, recording: Recording) -> bool:
        """Tell whether a recording or one of its speakers was withdrawn, by any of their names."""
        if not self._has_withdrawals or self._store is None:
            return False
        place = location(recording.path)
        called = {place, recording.id, self._store.key.pseudonym("recording", place)[:12]}
        called |= {speaker for speaker in speakers_of(recording) if speaker is not None}
        return bool(self._store.counts(count_name(self._store, "withdrawn", name) for name in called if name))


def count_name(store: Store, kind: str, who: str) -> str:
    """Return the name under which a store counts something of somebody: a keyed pseudonym behind its kind."""
    return f"{kind}:{store.key.pseudonym(f'counted {kind}', one_form(who))}"


def has_consent(recording: Recording) -> bool:
    """Tell whether a recording carries consent, by itself or by a label of it and of all its turns."""
    if "consent" in recording.labels:
        return consented(recording.labels["consent"])
    said = [consented(turn.labels.get("consent", "")) for turn in recording.turns]
    return all(said) if any("consent" in turn.labels for turn in recording.turns) else recording.consent


def speakers_of(recording: Recording) -> set[str | None]:
    """Return everybody who speaks in a recording; None stands for somebody who is not known."""
    return {turn.speaker or recording.speaker for turn in recording.turns} or {recording.speaker}


def _identity(place: str) -> bytes:
    """Digest a file's size, beginning and end, which stay when it is renamed or copied."""
    if is_uri(place):
        with open_uri(place) as file:
            return _digest(file)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError
        return _digest(file)


def _digest(file: BinaryIO) -> bytes:
    """Digest size, start and end of a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    found = hashlib.sha256(size.to_bytes(8, "big") + file.read(_EDGE))
    if size > _EDGE:
        file.seek(max(_EDGE, size - _EDGE))
        found.update(file.read(_EDGE))
    return found.digest()
