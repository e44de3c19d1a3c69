"""Pitch and formants moved by pitch-synchronous overlap-add: natural, and weak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deident.audio import RATE, Audio, at_work_rate
from deident.disguise.base import Method, bounded, ordered
from deident.dsp.pitch import PitchTracker
from deident.dsp.psola import repitch_all
from deident.dsp.resample import exact_ratio, resample


@dataclass(frozen=True)
class PsolaVoice:
    """The drawn change of pitch in semitones, and the drawn ratio of the formants."""

    semitones: float = field(repr=False)
    formant_ratio: float = field(repr=False)


@dataclass(frozen=True)
class Psola(Method[PsolaVoice]):
    """Move pitch and formants independently of each other; timing, noise and manner of speaking stay.

    The speech is repitched between its pulses by pitch-synchronous overlap-add, at another rate, and resampled by the
    same factor, which moves all formants alike. It sounds natural and protects little: whoever knows the method can
    retrain on its output.

    Parameters
    ----------
    semitones : (lower, upper), 1 to 12
        Range of the drawn change of pitch, up or down. Default (2.5, 5).
    formant_ratio : (lower, upper), 1.05 to 1.5
        Range of the drawn ratio of the formants, taken as it is or inverted. Default (1.1, 1.22).

    Raises
    ------
    SettingError
        For a setting out of its range.

    References
    ----------
    Moulines & Charpentier (1990), Pitch-synchronous waveform processing techniques for text-to-speech synthesis.
    """

    keeps_time = True
    semitones: tuple[float, float] = (2.5, 5.0)
    formant_ratio: tuple[float, float] = (1.1, 1.22)

    def __post_init__(self) -> None:
        ordered("semitones", self.semitones, 1.0, 12.0)
        ordered("formant_ratio", self.formant_ratio, 1.05, 1.5)

    def draw(self, rng: np.random.Generator) -> PsolaVoice:
        """Draw a voice; see `Disguise.draw`."""
        semitones = rng.uniform(*self.semitones) * rng.choice((-1.0, 1.0))
        ratio = np.exp(rng.uniform(*np.log(self.formant_ratio)) * rng.choice((-1.0, 1.0)))
        return PsolaVoice(float(semitones), float(ratio))

    def apply(self, audio: Audio, voice: PsolaVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; see `Disguise.apply`."""
        return Psola.apply_all(self, [audio], [voice], [rng])[0]  # a subclass's may call this

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[PsolaVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets; their pitch is tracked in one pass."""
        steps = [2.0 ** (voice.semitones / 12.0) for voice in voices]
        return move(audios, steps, [voice.formant_ratio for voice in voices])


def move(
    audios: Sequence[Audio], pitch_ratios: Sequence[float], formant_ratios: Sequence[float]
) -> list[Audio]:
    """Move the pitch and the formants of each audio by ratios, at the same length."""
    if not audios:
        return []
    sounds = [at_work_rate(audio) for audio in audios]
    ratios = [exact_ratio(ratio) for ratio in formant_ratios]
    slower = [pitch / ratio for pitch, ratio in zip(pitch_ratios, ratios, strict=True)]
    slow = repitch_all(sounds, _TRACKER.track_all(sounds), slower, ratios)
    return [
        Audio.trusted(bounded(resample(own, ratio, len(samples)))[np.newaxis], RATE)
        for own, ratio, samples in zip(slow, ratios, sounds, strict=True)
    ]


_TRACKER = PitchTracker(hop=256)
