"""Analysis of speech: spectral envelopes as mel cepstra, with voicing, pitch and presence of speech in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deident.audio import Floats
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
QUIET = 10  # percentile of a band's powers that stands for its noise
EMPTY = np.float32(1e-4)  # times the common power of a band: less is a band that a line has cut


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
    floor_db : float
        Floor of a band below its average.
    noise : float
        Times the noise floor of a band that is subtracted from its power.
    gate_db : float
        Gate for speech below the level of the loud frames.

    Returns
    -------
    Analysis
    """
    ragged = STFT.ragged([len(samples) for samples in snippets])
    powers = CEPSTRUM.powers_of_padded(STFT.concatenate(snippets, ragged), ragged.frames)
    total = powers @ np.full(powers.shape[1], 1.0 / powers.shape[1], dtype=np.float32)
    level: Floats = np.array([_percentile(total[own], LOUD) for own in ragged.slices]) + np.float32(1e-12)
    level_db = np.float32(10.0) * np.log10(total / ragged.spread(level) + np.float32(1e-6))
    weight, audible = _soft_step(level_db, (-18.0, -24.0), (1.5, 1.7))
    # Where there is a background, the gate lies above it: what is between words tells the room.
    quiet_db = np.array([_background(level_db[own]) for own in ragged.slices])
    gate = np.clip(quiet_db + ABOVE_QUIET_DB, -gate_db, max(-gate_db, HIGHEST_GATE_DB))
    (presence,) = _soft_step(level_db - ragged.spread(gate.astype(np.float32)), (0.0,), (1.2,))
    if noise:
        quiet = np.array([_percentile(powers[own].T, QUIET) for own in ragged.slices])
        powers -= ragged.spread(np.float32(noise) * quiet)
        np.maximum(powers, np.float32(0.0), out=powers)
    average = ragged.segment_product(weight[None], powers)[:, 0] / (
        ragged.segment_sum(weight)[:, None] + np.float32(1e-3)
    )
    _fill_empty_bands(powers, average, level, ragged)
    powers *= ragged.spread(BANDS / (average + np.float32(1e-6) * level[:, None]))
    powers += BANDS * np.float32(10.0 ** (-0.1 * floor_db))
    np.log(powers, out=powers)
    strength, octaves = _pitch(pitches, ragged)
    (voiced,) = _soft_step(strength, (0.5,), (0.07,))
    voiced *= audible
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


def _fill_empty_bands(powers: Floats, average: Floats, level: Floats, ragged: Ragged) -> None:
    """Give bands that hold no speech the movement of the nearest that does, in place.

    A band that is missing tells the line, and so does one that hardly moves.

    powers : (frames, bands).   average : (snippets, bands) of the loud frames.   level : (snippets,) of all bands.
    """
    empty = average < EMPTY * BANDS * level[:, None]
    for snippet, (own, missing) in enumerate(zip(ragged.slices, empty, strict=True)):
        if missing.any() and not missing.all():
            full = np.flatnonzero(~missing)
            nearest = full[np.abs(full[:, None] - np.arange(len(missing))).argmin(axis=0)]
            powers[own] = powers[own][:, nearest]
            average[snippet] = average[snippet][nearest]


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


def _background(level_db: Floats) -> float:
    """Estimate the level of the background from frames that are not digital silence."""
    sounding = level_db[level_db > LEAST_DB]
    return float(_percentile(sounding, QUIET)) if sounding.size else LEAST_DB


def _percentile(values: Floats, percent: int) -> Floats:
    """Percentile of (..., n) values along the last axis, without interpolation."""
    rank = percent * (values.shape[-1] - 1) // 100
    ranked: Floats = np.partition(values, rank, axis=-1)[..., rank]
    return ranked


def _soft_step(values: Floats, thresholds: tuple[float, ...], softness: tuple[float, ...]) -> Floats:
    """Map (n,) values to (thresholds, n) from 0 to 1, a half at each threshold."""
    slope = np.array(softness, dtype=np.float32)[:, None] * np.float32(2.0)
    scaled: Floats = (values - np.array(thresholds, dtype=np.float32)[:, None]) / slope
    np.tanh(scaled, out=scaled)
    scaled += np.float32(1.0)
    scaled *= np.float32(0.5)
    return scaled
