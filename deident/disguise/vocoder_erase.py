"""The erasing half of the vocoder: from sound to what was said, as every speaker would have said it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deident.disguise.vocoder_curve import MEANS, SPREADS
from deident.dsp.mel import FLOOR, MelCepstrum
from deident.dsp.pitch import PitchTracker
from deident.dsp.stft import Floats
from deident.dsp.timing import smooth

FEW = 8.0  # frames of evidence at which a snippet's own statistics count as much as the common ones
LOUD = 95.0  # percentile of the frames' powers that stands for the level of the speech


@dataclass(frozen=True)
class Speech:
    """What the analysis found, frame by frame of the transform.

    cepstra : (frames, order), of power relative to the loud frames.   voiced, spoken : (frames,) 0 to 1.
    loud, for the statistics of the envelope : (frames,) 0 to 1.   offsets : (frames,) the pitch over its
    median, in octaves, 0 where unvoiced.   level : the power of the loud frames, full scale 1."""

    cepstra: Floats
    voiced: Floats
    spoken: Floats
    loud: Floats
    offsets: Floats
    level: float


def analyse(samples: Floats, cepstrum: MelCepstrum, tracker: PitchTracker, gate_db: float) -> Speech:
    """Envelope, voicing and presence of speech in each frame.   gate_db : below the loud is no speech."""
    stft = cepstrum.stft
    powers = cepstrum.band_powers(samples)
    total = powers.mean(axis=1)
    level = float(np.percentile(total, LOUD)) + 1e-12
    powers /= np.float32(level)
    powers += np.float32(FLOOR)
    np.log(powers, out=powers)
    level_db = 10.0 * np.log10(total / level + FLOOR)
    loud = _above(level_db, -18.0, 1.5)
    pitch = tracker.track(samples)
    lag = (
        stft.size // 2 - stft.hop
    ) // stft.hop  # frame k of the transform is centred on sample (k - lag)·hop
    at = np.clip(np.arange(len(total)) - lag, 0, len(pitch.f0_hz) - 1)
    strength = smooth(pitch.strength[at], 1.0)
    voiced = _above(strength, 0.5, 0.07) * _above(level_db, -24.0, 1.7)
    f0_hz = pitch.f0_hz[at]
    offsets = np.zeros(len(total), dtype=np.float32)
    if pitch.median_hz > 0.0:
        np.log2(f0_hz / np.float32(pitch.median_hz), out=offsets, where=f0_hz > 0.0)
    return Speech(
        powers @ cepstrum.analysis,
        voiced,
        _above(level_db, -gate_db, 2.2),
        loud,
        np.clip(offsets, -0.6, 0.6),
        level * 2.0 / stft.size**2 * 2.0,
    )


def normalise(speech: Speech, mean: float, spread: float, classes: bool) -> tuple[Floats, Floats]:
    """(frames, order) the common curve each frame now moves about, and how it moves.

    mean, spread : 0 to 1, how far the snippet's mean envelope and the spread about it go to the common ones.
    classes : voiced and unvoiced frames have means of their own.
    A snippet's statistics are taken with a few frames of the common ones, for it may be short."""
    order = speech.cepstra.shape[1]
    loud = speech.loud[:, None]
    voiced = speech.voiced[:, None]
    total = float(loud.sum()) + 1e-3
    common = voiced * MEANS[0, :order] + (1.0 - voiced) * MEANS[1, :order]
    moved = speech.cepstra - common
    shared = (loud * moved).sum(axis=0) / total
    if classes:
        own = [
            (part * (moved - shared)).sum(axis=0) / (float(part.sum()) + FEW)
            for part in (loud * voiced, loud * (1.0 - voiced))
        ]
        offset = shared + voiced * own[0] + (1.0 - voiced) * own[1]
    else:
        offset = np.broadcast_to(shared, moved.shape)
    moved = moved - offset
    share = float((loud * voiced).sum()) / total
    target = share * SPREADS[0, :order] ** 2 + (1.0 - share) * SPREADS[1, :order] ** 2
    found = ((loud * moved**2).sum(axis=0) + FEW * target) / (total + FEW)
    moved *= (target / found) ** np.float32(0.5 * spread)
    centre = common + np.float32(1.0 - mean) * offset
    return centre.astype(np.float32, copy=False), moved.astype(np.float32, copy=False)


def contour(speech: Speech, octaves: float) -> Floats:
    """(frames,) the pitch's way about its median, in octaves, of a common range and without its details."""
    weight = speech.voiced
    slow = smooth(weight * speech.offsets, 6.0) / (smooth(weight, 6.0) + np.float32(0.05))
    spread = float(np.sqrt((weight * slow**2).sum() / (weight.sum() + 1e-3)))
    slow *= np.float32(octaves / (spread + 0.03))
    return slow


def _above(values: Floats, threshold: float, softness: float) -> Floats:
    """0 to 1, a half at the threshold."""
    risen: Floats = 0.5 + 0.5 * np.tanh((values - np.float32(threshold)) / np.float32(2.0 * softness))
    return risen
