"""Synthesis: pulses and noise under the envelope of drawn voices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from deident.audio import RATE, Audio, Complexes, Floats
from deident.disguise.vocoder.analysis import STFT
from deident.dsp.excitation import add_pulses, fill_with_noise, pulse_shapes, shape_size
from deident.dsp.level import bend_peaks
from deident.dsp.mel import HIGHEST_HZ, MelCepstrum, mel
from deident.dsp.ragged import Ragged
from deident.dsp.timing import smooth_curve

LEVEL = 0.06  # root mean square of the speech, full scale 1
SILENCE = 1e-7  # power of the loud frames, -70 dB: softer input is not amplified
DRIFT_KNOTS = 64
COMFORT_KNOTS = 6
NEPERS = np.log(10.0) / 20.0  # in a decibel

_BINS_HZ = np.arange(STFT.bins) * RATE / STFT.size
_POSITIONS = mel(_BINS_HZ) / mel(HIGHEST_HZ)  # of the bins on the mel scale, 0 to 1
_COMFORTS = np.stack(  # (knots, bins), linear interpolation from knots to bins
    [np.interp(_POSITIONS, np.linspace(0.0, 1.0, COMFORT_KNOTS), knot) for knot in np.eye(COMFORT_KNOTS)]
)


@dataclass(frozen=True)
class VocoderVoice:
    """The drawn parameters of a voice, independent of the speaker; see the settings of `Vocoder`."""

    f0_hz: float = field(repr=False)
    tract: float = field(repr=False)
    warp: tuple[float, ...] = field(repr=False)
    tilt_db: float = field(repr=False)
    colour: tuple[float, ...] = field(repr=False)
    f0_octaves: float = field(repr=False)
    breath: float = field(repr=False)
    pause_seconds: float = field(repr=False)
    delays: tuple[float, ...] = field(repr=False)
    comfort: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class SynthesisParameters:
    """Parameters of the frames of the output, as a ragged batch.

    Attributes
    ----------
    lengths : list of int
        Samples of each snippet.
    ragged : Ragged
        Which frames belong to which snippet.
    cepstra : (frames, order + 1) float32
        Mel cepstrum, and the tilt in dB over the band.
    voiced, presence : (frames,) float32
        0 to 1.
    octaves : (frames,) float32
        Pitch over that of the voice.
    """

    lengths: list[int]
    ragged: Ragged
    cepstra: Floats
    voiced: Floats
    presence: Floats
    octaves: Floats


def synthesise(
    parameters: SynthesisParameters,
    cepstrum: MelCepstrum,
    voices: Sequence[VocoderVoice],
    rngs: Sequence[np.random.Generator],
    comfort_db: float,
) -> Floats:
    """Filter a new excitation by the envelopes; the comfort noise lies `comfort_db` below the speech.

    Returns (padded,) samples, each snippet where the transform has placed it, of voices of one `batch_key`.
    """
    basis = _basis(cepstrum)
    comfort = _comfort_noise(voices, comfort_db)

    def shape(frames: slice, spectra: Complexes) -> Complexes:
        envelope = parameters.cepstra[frames] @ basis
        np.exp(envelope, out=envelope)
        envelope += parameters.ragged.spread(comfort, frames)
        spectra *= envelope
        spectra[:, :2] = 0.0
        return spectra

    return STFT.process_padded(_excitation(parameters, voices, rngs), shape)


def levelled(sound: Floats, parameters: SynthesisParameters, level: Floats) -> list[Audio]:
    """Cut (padded,) sound, which is overwritten, into snippets at `LEVEL`, with peaks compressed instead of clipped.

    level : (snippets,) mean square of the input; one that was all but silent stays soft.
    """
    hop, ragged = STFT.hop, parameters.ragged
    zero_gaps(sound, parameters)
    rows = sound[hop // 2 : -hop // 2].reshape(-1, hop)
    energy = ragged.segment_sum(parameters.presence * np.einsum("ij,ij->i", rows, rows))
    ends = ragged.spread(np.array(parameters.lengths))
    middles = ragged.local_index * hop
    samples = np.minimum(middles + hop // 2, ends) - np.minimum(np.maximum(middles - hop // 2, 0), ends)
    power = energy / (ragged.segment_sum(parameters.presence * samples.astype(np.float32)) + np.float32(1e-3))
    gain = LEVEL / np.sqrt(power + 1e-12) * np.minimum(1.0, np.sqrt(level / SILENCE))
    # A sample that is not finite makes the power so: without one, `Audio` has nothing to check.
    made = Audio.trusted if np.isfinite(gain * power).all() else Audio
    firsts = STFT.offsets(ragged)
    snippets = [sound[first : first + n] for first, n in zip(firsts, parameters.lengths, strict=True)]
    return [made(bend_peaks(own * amount)[None], RATE) for own, amount in zip(snippets, gain, strict=True)]


def zero_gaps(padded: Floats, parameters: SynthesisParameters) -> None:
    """Set the samples between the snippets to zero, in place."""
    end = 0
    for first, length in zip(STFT.offsets(parameters.ragged), parameters.lengths, strict=True):
        padded[end:first] = 0.0
        end = first + length
    padded[end:] = 0.0


def batch_key(voice: VocoderVoice) -> int:
    """Size of the pulses, which voices that are synthesised together share."""
    return shape_size(max(voice.delays))


@lru_cache
def _basis(cepstrum: MelCepstrum) -> Floats:
    """Build (order + 1, bins): from cepstra, and from the tilt in dB, to log amplitude."""
    tilt = (NEPERS * (_POSITIONS - 0.5)).astype(np.float32)
    return np.vstack((cepstrum.basis(_BINS_HZ) * np.float32(0.5), tilt))  # amplitude, not power


def _comfort_noise(voices: Sequence[VocoderVoice], below_db: float) -> Floats:
    """Amplitudes of the noise between words, (voices, bins)."""
    drawn = np.array([voice.comfort for voice in voices]) @ _COMFORTS
    comfort: Floats = np.exp(0.25 * drawn - below_db * NEPERS - _POSITIONS).astype(np.float32)
    return comfort


def _excitation(
    parameters: SynthesisParameters, voices: Sequence[VocoderVoice], rngs: Sequence[np.random.Generator]
) -> Floats:
    """Glottal pulses and aspiration noise, (padded,), white but for their balance."""
    hop, ragged = STFT.hop, parameters.ragged
    knots = 0.02 * np.array([rng.standard_normal(DRIFT_KNOTS) for rng in rngs])
    drift = smooth_curve(knots, 20.0, ragged)
    f0_hz = np.array([voice.f0_hz for voice in voices])
    f0_hz = ragged.spread(f0_hz) * np.exp(np.log(2.0) * parameters.octaves + drift)
    breath = np.array([voice.breath for voice in voices])
    padded = np.empty((ragged.frames + 1) * hop, dtype=np.float32)
    padded[: hop // 2] = padded[-hop // 2 :] = 0.0
    fill_with_noise(padded[hop // 2 : -hop // 2], rngs, parameters.voiced, breath, hop, ragged)
    shapes = pulse_shapes(breath, np.array([voice.delays for voice in voices]))
    phase = np.array([rng.random() for rng in rngs])
    add_pulses(padded[hop:], f0_hz, np.sqrt(parameters.voiced), hop, phase, shapes, ragged)
    zero_gaps(padded, parameters)
    return padded
