"""Resampling by a ratio near 1: a windowed sinc as a few small matrix products."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from deident.audio import Floats
from deident.dsp.stft import frame_view

CYCLE = 256  # outputs after which the positions between samples repeat
ROW = 32  # outputs of one matrix product
TAPS = 32
PASS = 0.94  # cut-off, of the lower Nyquist frequency


def exact_ratio(ratio: float) -> float:
    """Round a ratio to the nearest that `resample` takes, within 0.2 %."""
    return round(ratio * CYCLE) / CYCLE


def resample(samples: Floats, ratio: float, length: int) -> Floats:
    """Play samples `ratio` times as fast, which multiplies every frequency by it.

    256 outputs span a whole number of samples, so eight matrices make all of them: a third of the cost of a
    resampler that takes any ratio.

    Parameters
    ----------
    samples : (samples,) float32
    ratio : float
        From `exact_ratio`.
    length : int
        Samples of output; zeros where the input has ended.

    Returns
    -------
    (length,) float32
    """
    step = round(ratio * CYCLE)
    cycles = -(-length // CYCLE)
    firsts, reach, matrices = _products(step)
    width = matrices.shape[1]
    padded = np.zeros(max(cycles * step, samples.shape[-1]) + width + reach, dtype=np.float32)
    padded[reach : reach + samples.shape[-1]] = samples
    out = np.empty((cycles, len(firsts), ROW), dtype=np.float32)
    for part, first in enumerate(firsts):
        np.matmul(frame_view(padded[first:], width, step)[:cycles], matrices[part], out=out[:, part])
    return out.reshape(-1)[:length]


@lru_cache(maxsize=64)
def _products(step: int) -> tuple[list[int], int, Floats]:
    """Make the matrices of a ratio of step / CYCLE: first sample of each row, reach in samples, (rows, width, ROW).

    A Hamming window keeps aliasing 53 dB down.
    """
    ratio = step / CYCLE
    reach = int(np.ceil(0.5 * TAPS * max(1.0, ratio)))
    width = int(np.ceil(ratio * ROW)) + 2 * reach + 1
    places = ratio * np.arange(CYCLE).reshape(-1, ROW)
    firsts = places[:, 0].astype(np.int64)
    away = np.arange(width)[:, None] - (places - firsts[:, None] + reach)[:, None, :]
    half = 0.5 * TAPS * max(1.0, ratio)
    window = (0.54 + 0.46 * np.cos(np.pi * away / half)) * (np.abs(away) <= half)
    taps = np.sinc(PASS * min(1.0, 1.0 / ratio) * away) * window
    matrices: Floats = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return firsts.tolist(), reach, matrices
