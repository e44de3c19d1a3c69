"""A pitch shifter, as voice changers have it: the baseline of what is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deident.audio import Audio
from deident.disguise.base import Method, ordered
from deident.disguise.psola import move
from deident.dsp.resample import exact_ratio


@dataclass(frozen=True)
class PitchShiftVoice:
    """The drawn change of all frequencies, in semitones."""

    semitones: float = field(repr=False)


@dataclass(frozen=True)
class PitchShift(Method[PitchShiftVoice]):
    """Move pitch and formants together by a drawn interval; timing stays.

    The weakest method here, for comparison: one number undoes it. The speech is stretched between its pulses, and
    resampled to its length.

    Parameters
    ----------
    semitones : (lower, upper), 1 to 12
        Range of the drawn change of all frequencies, up or down. Default (3, 5).

    Raises
    ------
    SettingError
        For a setting out of its range.
    """

    keeps_time = True
    semitones: tuple[float, float] = (3.0, 5.0)

    def __post_init__(self) -> None:
        ordered("semitones", self.semitones, 1.0, 12.0)

    def draw(self, rng: np.random.Generator) -> PitchShiftVoice:
        """Draw a voice; see `Disguise.draw`."""
        return PitchShiftVoice(float(rng.uniform(*self.semitones) * rng.choice((-1.0, 1.0))))

    def apply(self, audio: Audio, voice: PitchShiftVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; see `Disguise.apply`."""
        return PitchShift.apply_all(self, [audio], [voice], [rng])[0]  # a subclass's may call this

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[PitchShiftVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets; their pitch is tracked in one pass."""
        ratios = [exact_ratio(2.0 ** (voice.semitones / 12.0)) for voice in voices]
        return move(audios, ratios, ratios)
