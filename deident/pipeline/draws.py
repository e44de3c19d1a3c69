"""Pieces of a recording, and the voices, noise and names that are drawn for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deident.audio import Audio
from deident.errors import RecordingError, SettingError
from deident.keys import Key, fresh_name, fresh_rng
from deident.policy import Policy
from deident.recording import Recording
from deident.segmentation.turns import Turn, Word


class PieceId(NamedTuple):
    """The identity from which a piece's randomness and name follow in a repeatable run.

    channel, number : of the piece in its channel.   audio_sha256 : of all audio up to the end of its section, as
    muted.   start, stop : samples in the recording.
    """

    channel: int
    number: int
    audio_sha256: bytes
    start: int
    stop: int


@dataclass(frozen=True)
class Piece:
    """A snippet before its disguise. opening_sha256 : of its channel's first section with speech. words, phones : with
    places in the piece.
    """

    audio: Audio
    id: PieceId
    opening_sha256: bytes = b""
    turn: Turn | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    phones: tuple[Word, ...] = ()


class Draws:
    """Draws voices, noise, dither and names: from the operating system, or from the key where that was asked for."""

    def __init__(self, policy: Policy, key: Key | None, recording: Recording) -> None:
        if key is None and (policy.repeatable or policy.scope == "speaker"):
            raise SettingError(
                "a repeatable run and scope=speaker need a key: make one with `deident keygen`"
            )
        known = bool(recording.turns) and all(turn.speaker is not None for turn in recording.turns)
        if policy.scope == "speaker" and recording.speaker is None and not known:
            raise RecordingError(
                "scope=speaker needs the speaker of this recording: give it in a table's column speaker",
                "no-speaker",
            )
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speakers = key if policy.scope == "speaker" else None
        self._speaker = recording.speaker
        self._held: dict[str | int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        """Return the voice of a piece: its own, or that of its channel or speaker."""
        draw = self._policy.disguise.draw
        if self._policy.scope == "snippet":
            return draw(self.rng("voice", *piece.id))
        owner: str | int = piece.id.channel
        if self._speakers is not None:
            owner = (piece.turn and piece.turn.speaker) or self._speaker or ""
        if owner not in self._held:
            if self._speakers is not None:
                rng = self._speakers.subkey("speaker", owner).rng("voice")
            else:
                rng = self.rng("voice", piece.id.channel, piece.opening_sha256)
            self._held[owner] = draw(rng)
        return self._held[owner]

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        """Make a generator for a purpose."""
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        """Draw the name of a piece."""
        return self._key.pseudonym("name", *piece.id) if self._key else fresh_name()
