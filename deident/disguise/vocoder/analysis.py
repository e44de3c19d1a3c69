"""Analysis of speech: spectral envelopes as mel cepstra, with voicing, pitch and presence of speech in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deident.audio import Floats
from deident.disguise.vocoder.background import QUIET, find_background, percentile
from deident.disguise.vocoder.bandwidth import find_missing, predict_missing
from deident.disguise.vocoder.tables import BANDS
from deident.dsp.mel import MelCepstrum
from deident.dsp.pitch import Pitch, PitchTracker
from deident.dsp.ragged import Ragged
from deident.dsp.stft import Stft
from deident.dsp.timing import smooth

STFT = Stft(512, 256)  # frames every 8 ms cost a fifth more, and bring the recogniser nothing
TRACKER = PitchTracker(hop=256)
CEPSTRUM = MelCepstrum(STFT)
LOUD = 95  # percentile of the frames' powers that stands for the level of the speech
HIGHEST_GATE_DB = -36.0
ABOVE_QUIET_DB = 10.0
LEAST_DB = -58.0
UNDER_DB = 2.0  # what is softer than steady noise by this, after its subtraction, is a rest of it
STEADY = np.float32(0.3)  # steadiness of a background from which on it is noise that may hide a band
HIDDEN = np.float32(2.0)  # times what was subtracted from it, and no more, has a band that noise hides


@dataclass(frozen=True)
class Analysis:
    """Features of the frames of a ragged batch of snippets.

    Attributes
    ----------
    ragged : Ragged
        Which frames belong to which snippet.
    cepstra : (frames, order) float32
        Mel cepstrum of the log envelope.
    weight : (frames,) float32
        0 to 1, the weight of a frame in the statistics of its snippet: that of loud frames is 1.
    presence : (frames,) float32
        0 to 1, presence of speech.
    voiced : (frames,) float32
        0 to 1.
    octaves : (frames,) float32
        Pitch over the median of its snippet, 0 where unvoiced.
    level : (snippets,) float32
        Mean square of the loud frames, full scale 1.
    """

    ragged: Ragged
    cepstra: Floats
    weight: Floats
    presence: Floats
    voiced: Floats
    octaves: Floats
    level: Floats

    @cached_property
    def evidence(self) -> Floats:
        """(snippets,) the sum of the weights."""
        return self.ragged.segment_sum(self.weight)


def analyse(
    snippets: Sequence[Floats],
    pitches: Sequence[Pitch],
    rngs: Sequence[np.random.Generator],
    *,
    floor_db: float,
    noise: float,
    gate_db: float,
) -> Analysis:
    """Analyse (samples,) snippets, and bring each to a common long-term spectrum.

    Parameters
    ----------
    snippets : sequence of (samples,) float32
    pitches : sequence of Pitch
        Of each snippet, by `TRACKER`.
    rngs : sequence of Generator
        One of each snippet, for bands that are predicted.
    floor_db : float
        Floor of a band below its average.
    noise : float
        Times the background of a band that is subtracted from its power.
    gate_db : float
        Gate for speech below the level of the loud frames.

    Returns
    -------
    Analysis
    """
    ragged = STFT.ragged([len(samples) for samples in snippets])
    powers = CEPSTRUM.powers_of_padded(STFT.concatenate(snippets, ragged), ragged.frames)
    total, background, steadiness = _without_background(powers, noise, ragged)
    level = _loudness(total, ragged)
    total /= ragged.spread(level)
    level_db = np.float32(10.0) * np.log10(total + np.float32(1e-6))
    weight, audible = _soft_step(level_db, (-18.0, -24.0), (1.5, 1.7))
    # Where there is a background, the gate lies above it: what is between words tells the room.
    quiet_db = np.array([_quiet_db(level_db[own]) for own in ragged.slices], dtype=np.float32)
    gate = np.clip(quiet_db + ABOVE_QUIET_DB, -gate_db, max(-gate_db, HIGHEST_GATE_DB))
    noise_db = np.float32(10.0) * np.log10(_mean(background) / level + np.float32(1e-9))
    gate = np.maximum(gate, noise_db - np.float32(UNDER_DB))
    (presence,) = _soft_step(level_db - ragged.spread(gate), (0.0,), (1.2,))
    strength, octaves = _pitch(pitches, ragged)
    (voiced,) = _soft_step(strength, (0.5,), (0.07,))
    voiced *= audible
    average = ragged.segment_product(weight[None], powers)[:, 0] / (
        ragged.segment_sum(weight)[:, None] + np.float32(1e-3)
    )
    powers *= ragged.spread(BANDS / (average + np.float32(1e-6) * level[:, None]))
    powers += BANDS * np.float32(10.0 ** (-0.1 * floor_db))
    np.log(powers, out=powers)
    missing = find_missing(powers, average / level[:, None], total, weight, CEPSTRUM.bands_hz, ragged)
    missing |= (steadiness[:, None] > STEADY) & (average < HIDDEN * background)
    predict_missing(powers, missing, voiced, rngs, ragged)
    # Power per mean square: size / 2 by Parseval, times three as mel bands are dense where speech is strong.
    energy = np.float32(1.5 * STFT.size)
    return Analysis(
        ragged,
        powers @ CEPSTRUM.analysis,
        weight,
        presence,
        voiced,
        octaves,
        level / energy,
    )


def _without_background(powers: Floats, noise: float, ragged: Ragged) -> tuple[Floats, Floats, Floats]:
    """Subtract the background from (frames, bands) powers, in place.

    Returns (frames,) the mean of what is left, (snippets, bands) what was subtracted, and (snippets,) its steadiness.
    """
    total, snippets = _mean(powers), len(ragged.counts)
    if not noise:
        return total, np.zeros((snippets, powers.shape[1]), np.float32), np.zeros(snippets, np.float32)
    background, steadiness = find_background(powers, total, _loudness(total, ragged), ragged)
    background *= np.float32(noise)
    powers -= ragged.spread(background)
    np.maximum(powers, np.float32(0.0), out=powers)
    return _mean(powers), background, steadiness


def _mean(powers: Floats) -> Floats:
    """Average (frames, bands) over the bands."""
    mean: Floats = powers @ np.full(powers.shape[1], 1.0 / powers.shape[1], dtype=np.float32)
    return mean


def _loudness(total: Floats, ragged: Ragged) -> Floats:
    """(snippets,) the power of the loud frames, of (frames,)."""
    loud: Floats = np.array([percentile(total[own], LOUD) for own in ragged.slices]) + np.float32(1e-12)
    return loud


def _pitch(pitches: Sequence[Pitch], ragged: Ragged) -> tuple[Floats, Floats]:
    """Sample strength of periodicity, and pitch over the median of its snippet in octaves, at every frame."""
    tracked = Ragged(tuple(len(pitch.f0_hz) for pitch in pitches))
    centres = (ragged.local_index + 1) * STFT.hop - STFT.size // 2
    at = np.maximum((centres + TRACKER.hop // 2) // TRACKER.hop, 0) + ragged.spread(tracked.starts)
    np.minimum(at, ragged.spread(tracked.stops - 1), out=at)
    middle = np.array([pitch.median_hz or 1.0 for pitch in pitches], dtype=np.float32)
    octaves = np.zeros(ragged.frames, dtype=np.float32)
    f0_hz = np.concatenate([pitch.f0_hz for pitch in pitches])[at]
    np.log2(f0_hz / ragged.spread(middle), out=octaves, where=f0_hz > 0.0)
    strength = np.concatenate([pitch.strength for pitch in pitches])[at]
    return smooth(strength, 0.5, ragged), octaves.clip(-0.6, 0.6, out=octaves)


def _quiet_db(level_db: Floats) -> float:
    """Estimate the level of the background from frames that are not digital silence."""
    sounding = level_db[level_db > LEAST_DB]
    return float(percentile(sounding, QUIET)) if sounding.size else LEAST_DB


def _soft_step(values: Floats, thresholds: tuple[float, ...], softness: tuple[float, ...]) -> Floats:
    """Map (n,) values to (thresholds, n) from 0 to 1, a half at each threshold."""
    slope = np.array(softness, dtype=np.float32)[:, None] * np.float32(2.0)
    scaled: Floats = (values - np.array(thresholds, dtype=np.float32)[:, None]) / slope
    np.tanh(scaled, out=scaled)
    scaled += np.float32(1.0)
    scaled *= np.float32(0.5)
    return scaled
