"""What people use today: the whole voice shifted up or down, formants and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deident.audio import Audio
from deident.disguise.base import Method, ordered
from deident.disguise.psola import moved
from deident.dsp.resample import exact_ratio


@dataclass(frozen=True)
class PitchShiftVoice:
    """What was drawn: by how much every frequency moves."""

    semitones: float = field(repr=False)


@dataclass(frozen=True)
class PitchShift(Method[PitchShiftVoice]):
    """A pitch shifter: pitch and formants moved together, timing kept.

    semitones : the range of the move, drawn up or down; it does not reach the voice as it was.
    The weakest method here, for comparison: one number undoes it. Speech is stretched with its pitch in
    place, then played faster. Raises `SettingError` for a range that cannot work."""

    keeps_time = True  # what is said stays where it was
    semitones: tuple[float, float] = (3.0, 5.0)

    def __post_init__(self) -> None:
        ordered("semitones", self.semitones, 1.0, 12.0)

    def draw(self, rng: np.random.Generator) -> PitchShiftVoice:
        return PitchShiftVoice(float(rng.uniform(*self.semitones) * rng.choice((-1.0, 1.0))))

    def apply(self, audio: Audio, voice: PitchShiftVoice, rng: np.random.Generator) -> Audio:
        return PitchShift.apply_all(self, [audio], [voice], [rng])[0]  # a subclass's may call this

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[PitchShiftVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """`apply` for each audio and its voice; the pulses of all are found at once."""
        ratios = [exact_ratio(2.0 ** (voice.semitones / 12.0)) for voice in voices]
        return moved(audios, ratios, ratios)
