"""Playing faster or slower: a windowed sinc as a few small matrix products."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

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
    """Where each row of outputs begins among the samples, how far back it reaches, and its matrix.

    Returns (rows,), samples, and (rows, width, ROW): from `width` samples to the values of one row.
    A Hamming window: what would fold back stays 53 dB down."""
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
