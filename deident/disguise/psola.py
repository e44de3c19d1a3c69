"""The most natural disguise: another pitch and another vocal tract, the voice's own sound otherwise."""

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
    """What was drawn: by how much the pitch moves, and by which ratio the formants."""

    semitones: float = field(repr=False)
    formant_ratio: float = field(repr=False)


@dataclass(frozen=True)
class Psola(Method[PsolaVoice]):
    """Pitch and formants moved, independently of each other; timing, noise and manner stay.

    semitones : the range of the pitch's move, drawn up or down.   formant_ratio : the range of the formants'
    move, above 1, drawn as it is or inverted. Neither range reaches the voice as it was.
    It moves a voice and whoever knows the method can move it back: the sound is natural, the protection weak.
    Speech is joined anew between its pulses, at another pace, and then played faster or slower by the same
    factor, which moves all formants alike. Raises `SettingError` for ranges that cannot work."""

    keeps_time = True  # what is said stays where it was
    semitones: tuple[float, float] = (2.5, 5.0)
    formant_ratio: tuple[float, float] = (1.1, 1.22)

    def __post_init__(self) -> None:
        ordered("semitones", self.semitones, 1.0, 12.0)
        ordered("formant_ratio", self.formant_ratio, 1.05, 1.5)

    def draw(self, rng: np.random.Generator) -> PsolaVoice:
        semitones = rng.uniform(*self.semitones) * rng.choice((-1.0, 1.0))
        ratio = np.exp(rng.uniform(*np.log(self.formant_ratio)) * rng.choice((-1.0, 1.0)))
        return PsolaVoice(float(semitones), float(ratio))

    def apply(self, audio: Audio, voice: PsolaVoice, rng: np.random.Generator) -> Audio:
        return Psola.apply_all(self, [audio], [voice], [rng])[0]  # a subclass's may call this

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[PsolaVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """`apply` for each audio and its voice; the pulses of all are found at once."""
        steps = [2.0 ** (voice.semitones / 12.0) for voice in voices]
        return moved(audios, steps, [voice.formant_ratio for voice in voices])


def moved(
    audios: Sequence[Audio], pitch_ratios: Sequence[float], formant_ratios: Sequence[float]
) -> list[Audio]:
    """Each audio with its pitch and its formants at these ratios, as long as it was."""
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
