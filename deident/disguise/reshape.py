"""The recorded waveform under another pitch and another spectral envelope: natural, and words keep their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deident.audio import RATE, Audio, Complexes, Floats
from deident.disguise.vocoder.analysis import CEPSTRUM, STFT, TRACKER, analyse
from deident.disguise.vocoder.envelope import RANGES, EnvelopeMethod, EnvelopeVoice, drawn, in_batches
from deident.disguise.vocoder.synthesis import LEVEL, SILENCE, envelope_basis
from deident.dsp.level import bend_peaks
from deident.dsp.pitch import Pitch
from deident.dsp.psola import repitch_all

GAINS = (np.float32(-3.0), np.float32(1.5))  # nepers; beyond, noise would be heard that the speech had masked


@dataclass(frozen=True)
class Reshape(EnvelopeMethod[EnvelopeVoice]):
    """Filter the speech so that its spectral envelope is normalised and redrawn; noise and manner of speaking stay.

    The pitch is moved by pitch-synchronous overlap-add. Each frame of the short-time spectrum is then multiplied by the
    ratio of the new envelope to the old one; the settings of the envelope are those of `Vocoder`. As the excitation is
    that of the recording, it sounds natural, and its words are recognised as before, but breath, hoarseness and the
    details of the pitch remain. Words keep their times.

    Parameters
    ----------
    mean : float, 0 to 1
        Fraction by which the snippet's mean envelope moves to the common one. Default 1.
    spread : float, 0 to 1
        Fraction by which the standard deviation of each cepstrum moves to the common one. Default 1.
    floor_db : float, 6 to 60
        Floor of each band of the envelope, in dB below the band's average. Default 35.
    tract_norm : float, 0 to 1
        Fraction by which the estimated vocal tract moves to the average one. Default 1.
    sounds : float, 0 to 1
        Fraction by which each kind of sound moves to its mean in average speech. Default 0.
    covariance : float, 0 to 1
        Fraction by which the covariance of the cepstra moves to the common one. Default 0.
    gate_db : float, 6 to 60
        Level below the loud frames, in dB, under which a frame is no speech. Default 50.
    f0_hz : (lower, upper), 60 to 400
        Range of the drawn median pitch in Hz, uniform in its logarithm. Default (95, 215).
    tract : (lower, upper), 0.6 to 1.6
        Range of the drawn ratio of all formants, uniform in its logarithm; higher for higher pitch. Default (1, 1).
    warp : float, 0 to 0.4
        Standard deviation of the log slopes of a drawn frequency warp, in nepers. Default 0.
    tilt_db : float, 0 to 12
        Standard deviation of the drawn spectral tilt, in dB over the band. Default 1.5.
    loudness_jitter : float, 0 to 1
        Standard deviation of the drawn log scale of the first cepstrum, in nepers. Default 0.1.
    spread_jitter : float, 0 to 0.5
        The same for each other cepstrum. Default 0.1.
    colour : float, 0 to 2
        Standard deviation of the drawn offsets of each cepstrum, in common standard deviations. Default 0.8.
    mixing : float, 0 to 0.3
        Amount of a drawn linear map of all cepstra but the first, the exponential of amount times a unit normal matrix.
        Default 0.
    speaker : float, 0 to 5
        Standard deviation of drawn coordinates in a space of speakers, in that of real ones. Default 0.
    wander : float, 0 to 0.15
        Standard deviation of a drawn wandering of all formants within a snippet, in nepers. Default 0.
    sharpness : float, 0.5 to 2
        Scale of all cepstra but the first: above 1, formants are sharper than found. Default 1.
    semitones : float, 0 to 12
        Largest change of the median pitch on its way to the drawn one. Default 5.

    Raises
    ------
    SettingError
        For a setting out of its range.

    References
    ----------
    Moulines & Charpentier (1990), Pitch-synchronous waveform processing techniques for text-to-speech synthesis.
    """

    keeps_time = True
    needs_fades: ClassVar[bool] = True

    floor_db: float = 35.0
    sounds: float = 0.0
    covariance: float = 0.0
    gate_db: float = 50.0
    sharpness: float = 1.0
    loudness_jitter: float = 0.1
    spread_jitter: float = 0.1
    semitones: float = 5.0

    @classmethod
    def ranges(cls) -> Sequence[tuple[str, float, float]]:
        return (*RANGES, ("semitones", 0.0, 12.0))

    def draw(self, rng: np.random.Generator) -> EnvelopeVoice:
        """Draw a voice; see `Disguise.draw`."""
        return EnvelopeVoice(**self._drawn_envelope(rng))

    def apply(self, audio: Audio, voice: EnvelopeVoice, rng: np.random.Generator) -> Audio:
        """Disguise one snippet; the output is as long as the input."""
        return in_batches(self._batch, _any_voice, [audio], [voice], [rng])[0]

    def apply_all(
        self, audios: Sequence[Audio], voices: Sequence[EnvelopeVoice], rngs: Sequence[np.random.Generator]
    ) -> list[Audio]:
        """Disguise several snippets in one pass, at the cost per second of a long one."""
        return in_batches(self._batch, _any_voice, audios, voices, rngs)

    def _batch(
        self, snippets: list[Floats], voices: list[EnvelopeVoice], rngs: list[np.random.Generator]
    ) -> list[Audio]:
        pitches = TRACKER.track_all(snippets)
        ratios = [self._pitch_ratio(*one) for one in zip(pitches, voices, strict=True)]
        moved = repitch_all(snippets, pitches, ratios, [1.0] * len(ratios))
        speech = analyse(moved, pitches, floor_db=self.floor_db, noise=0.0, gate_db=self.gate_db)
        change = np.empty((speech.ragged.frames, CEPSTRUM.order + 1), dtype=np.float32)
        change[:, :-1] = self._changed(speech, voices, rngs) - speech.cepstra
        change[:, :-1] += speech.ragged.spread(speech.equaliser)
        change[:, -1] = speech.ragged.spread(drawn(voices, "tilt_db"))
        basis = envelope_basis(CEPSTRUM)

        def shape(frames: slice, spectra: Complexes) -> Complexes:
            gain = change[frames] @ basis
            np.clip(gain, *GAINS, out=gain)
            np.exp(gain, out=gain)
            spectra *= gain
            spectra[:, :2] = 0.0
            return spectra

        sound = STFT.process_padded(STFT.concatenate(moved, speech.ragged), shape)
        out = []
        for first, own, level in zip(STFT.offsets(speech.ragged), snippets, speech.level, strict=True):
            samples = sound[first : first + own.size]
            gain = LEVEL / np.sqrt(np.mean(np.square(samples)) + 1e-12) * min(1.0, np.sqrt(level / SILENCE))
            out.append(Audio(bend_peaks(samples * np.float32(gain))[None], RATE))
        return out

    def _pitch_ratio(self, pitch: Pitch, voice: EnvelopeVoice) -> float:
        """Move the median pitch to the drawn one, by `semitones` at most."""
        most = 2.0 ** (self.semitones / 12.0)
        return float(np.clip(voice.f0_hz / (pitch.median_hz or voice.f0_hz), 1.0 / most, most))


def _any_voice(voice: EnvelopeVoice) -> None:
    """All voices can be used together."""
