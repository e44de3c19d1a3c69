"""Levels in mel bands over time, and their noise floors."""

from __future__ import annotations

import numpy as np

from deident.audio import RATE, Floats
from deident.dsp import fft
from deident.dsp.mel import MelCepstrum
from deident.dsp.stft import BLOCK, Stft

FRAME = RATE // 50  # samples; 20 ms, without overlap: levels need no more, at half the cost
BANDS = MelCepstrum(Stft(FRAME, FRAME // 2), bands=16, narrowest_hz=60.0)
FLOOR_SECONDS = 30
FLOOR_STEP_SECONDS = 5
FLOOR_PERCENTILE = 10
_SILENCE = np.float32(1e-10)  # power of digital silence, re full scale


def band_levels_db(samples: Floats) -> Floats:
    """Measure the level in each mel band, smoothed over three frames.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.

    Returns
    -------
    (frames, 16) float32
        dB re full scale; a frame has 20 ms, and the last one may be partial.
    """
    count = -(-samples.size // FRAME)
    power = np.empty((count + 2, BANDS.bands), dtype=np.float32)
    work = np.empty((min(BLOCK, count), FRAME), dtype=np.float32)
    for start in range(0, count, BLOCK):
        block = samples[start * FRAME : (start + BLOCK) * FRAME]
        frames = work[: count - start]
        frames.reshape(-1)[: block.size] = block
        frames.reshape(-1)[block.size :] = 0.0
        frames *= _WINDOW
        parts = fft.rfft(frames).view(np.float32)
        np.square(parts, out=parts)
        np.matmul(parts, _WEIGHTS, out=power[1 + start : 1 + start + len(frames)])
    power[[0, -1]] = power[[1, -2]]
    levels = power[1:-1] + power[:-2]
    levels += power[2:]
    levels *= np.float32(1.0 / 3.0)
    levels += _SILENCE
    np.log10(levels, out=levels)
    levels *= np.float32(10.0)
    return levels


def noise_floor_db(levels: Floats) -> Floats:
    """Estimate the noise floor: the 10th percentile of the surrounding 30 s, band by band.

    Parameters
    ----------
    levels : (frames, bands) float32
        From `band_levels_db`.

    Returns
    -------
    (frames, bands) or (1, bands) float32
    """
    size, step = (seconds * RATE // FRAME for seconds in (FLOOR_SECONDS, FLOOR_STEP_SECONDS))
    columns = np.ascontiguousarray(levels.T)
    if len(levels) <= size:
        return _percentile(columns)[None]
    starts = np.arange(0, len(levels) - size + 1, step)
    floors = np.array([_percentile(columns[:, at : at + size]) for at in starts])
    at = np.arange(len(levels))
    return np.stack([np.interp(at, starts + size // 2, floor) for floor in floors.T], axis=1).astype(
        np.float32
    )


def _percentile(columns: Floats) -> Floats:
    """Find the 10th percentile of each row in a third of the time of `np.percentile`."""
    rank = columns.shape[1] * FLOOR_PERCENTILE // 100
    return np.partition(columns, rank, axis=1)[:, rank]


_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)
_WINDOW /= np.linalg.norm(_WINDOW)
_WEIGHTS = np.repeat(BANDS.weights, 2, axis=0)  # of real and imaginary parts
