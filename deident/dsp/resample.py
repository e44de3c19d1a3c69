"""Playing faster or slower: a windowed sinc as a few small matrix products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deident.dsp.stft import Floats, frame_view

CYCLE = 256  # outputs after which the places between samples repeat
ROW = 32  # outputs of one product
TAPS = 32
PASS = 0.94  # of the band that both sides have


def playable(ratio: float) -> float:
    """The nearest ratio that `faster` plays exactly, within 0.2 %."""
    return round(ratio * CYCLE) / CYCLE


def faster(samples: Floats, ratio: float, length: int) -> Floats:
    """(length,) `samples` played `ratio` times as fast: every frequency times that, padded at its end.

    ratio : a `playable` one. With 256 outputs to a whole number of samples, eight matrices make all of them:
    for one ratio, a third of the cost of a resampler that takes any."""
    step = round(ratio * CYCLE)
    cycles = -(-length // CYCLE)
    reach = int(np.ceil(0.5 * TAPS * max(1.0, ratio)))
    width = int(np.ceil(ratio * ROW)) + 2 * reach + 1
    padded = np.zeros(max(cycles * step, samples.shape[-1]) + width + reach, dtype=np.float32)
    padded[reach : reach + samples.shape[-1]] = samples
    places = ratio * np.arange(CYCLE).reshape(-1, ROW)
    firsts = places[:, 0].astype(np.int64)
    matrices = _taps(places - firsts[:, None] + reach, width, ratio)
    out = np.empty((cycles, len(firsts), ROW), dtype=np.float32)
    for part, first in enumerate(firsts):
        out[:, part] = frame_view(padded[first:], width, step)[:cycles] @ matrices[part]
    return out.reshape(-1)[:length]


def _taps(places: npt.NDArray[np.floating], width: int, ratio: float) -> Floats:
    """(rows, width, places): from so many samples to the values at (rows, places) among them.

    A Hamming window: what would fold back stays 53 dB down."""
    narrow = np.float32(PASS * min(1.0, 1.0 / ratio))
    half = np.float32(0.5 * TAPS * max(1.0, ratio))
    away = (np.arange(width)[:, None] - places[:, None, :]).astype(np.float32)
    window = np.cos(np.clip(away / half, -1.0, 1.0) * np.float32(np.pi))
    window *= np.float32(0.46)
    window += np.float32(0.54)
    window[np.abs(away) > half] = 0.0
    taps = np.sinc(narrow * away) * window
    taps /= taps.sum(axis=1, keepdims=True)
    unit: Floats = taps
    return unit
