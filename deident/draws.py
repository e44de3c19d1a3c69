"""Pieces of recordings on their way to snippets, and what is drawn for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deident.audio import Audio
from deident.disguise.base import renewed
from deident.errors import RecordingError, SettingError
from deident.policy import Policy
from deident.secret import Key, fresh_name, fresh_rng
from deident.turns import Turn, Word


@dataclass(frozen=True)
class Piece:
    """A snippet before its disguise. `mark` is what its randomness and its name follow from in a repeatable run: its
    talker, its number, all sound up to its chapter's end, and its place; words have places in the piece."""

    audio: Audio
    talker: int
    mark: tuple[int | bytes, ...]
    opening: bytes
    turn: Turn | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()


class Draws:
    """Voices, dither and names: from the operating system, or from the key where that was asked for."""

    def __init__(
        self, policy: Policy, key: Key | None, speaker: str | None, turns: Sequence[Turn] = ()
    ) -> None:
        if key is None and (policy.repeatable or policy.scope == "speaker"):
            raise SettingError(
                "a repeatable run and scope=speaker need a key: make one with `deident keygen`"
            )
        known = bool(turns) and all(turn.speaker is not None for turn in turns)
        if policy.scope == "speaker" and speaker is None and not known:
            raise RecordingError(
                "scope=speaker needs to know who speaks in this recording: say so in a table's column speaker",
                "no-speaker",
            )
        self._policy = policy
        self._key = key.subkey("run", policy.fingerprint()) if key and policy.repeatable else None
        self._speakers = key if policy.scope == "speaker" else None
        self._speaker = speaker
        self._held: dict[str | int, Any] = {}

    def voice(self, piece: Piece) -> Any:
        disguise = self._policy.disguise
        if self._policy.scope == "snippet":
            return disguise.draw(self.rng("voice", *piece.mark))
        talker: str | int = piece.talker
        if self._speakers is not None:
            talker = (piece.turn and piece.turn.speaker) or self._speaker or ""
        if talker not in self._held:
            if self._speakers is not None:
                rng = self._speakers.subkey("speaker", talker).rng("voice")
            else:
                rng = self.rng("voice", piece.talker, piece.opening)
            self._held[talker] = disguise.draw(rng)
        return renewed(disguise, self._held[talker], self.rng("noise", *piece.mark))

    def rng(self, purpose: str, *parts: int | bytes) -> np.random.Generator:
        return self._key.rng(purpose, *parts) if self._key else fresh_rng()

    def name(self, piece: Piece) -> str:
        return self._key.pseudonym("name", *piece.mark) if self._key else fresh_name()
