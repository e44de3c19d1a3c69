"""Periods of voiced sound: the power of a frame that one period leaves, and that two at once leave.

A voice repeats itself after a period: what is subtracted from itself so much later is gone. Of two voices at once the
period of one takes away only that one, and the periods of both take away nearly all.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from deident.audio import RATE, Floats, Ints, Samples
from deident.dsp import fft
from deident.dsp.stft import BLOCK, frame_view

SIZE, HOP = 1_024, 640  # samples; five periods of a low voice, hardly longer than it keeps its pitch
FFT_SIZE = 2_048  # holds a frame and the longest sum of two lags without wrapping
LOWEST_HZ, HIGHEST_HZ = 80.0, 400.0  # of the pitch
BAND_HZ = 70.0, 1_200.0, 1_500.0  # begin, end, and the end of the slope: higher harmonics are less periodic
LAG_STEP = 2  # samples
LOUD_DB = 25.0  # frames this far below the loudest count as a pause


def power_left(samples: Samples) -> Floats:
    """Measure the share of the power of each loud frame that cancelling one period leaves, and cancelling two.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.

    Returns
    -------
    (frames, 2) float32
        After the best period, and after the best pair of periods: about 0 where nothing is left.

    References
    ----------
    de Cheveigné (1993), "Separation of concurrent harmonic sounds", JASA 93(6).
    """
    frames = frame_view(np.ascontiguousarray(samples, np.float32), SIZE, HOP)
    window = np.hanning(SIZE + 2)[1:-1].astype(np.float32)
    first, last = _bins()
    powers = [
        np.square(np.abs(fft.rfft(frames[start : start + BLOCK] * window, FFT_SIZE)[:, first:last]))
        for start in range(0, len(frames), BLOCK)
    ]
    correlation = np.concatenate([np.empty((0, last - first), np.float32), *powers]) @ _to_lags()
    power = correlation[:, :1]
    loud = power[:, 0] > power.max(initial=0.0) * np.float32(10.0 ** (-LOUD_DB / 10.0))
    correlation = correlation[loud] / power[loud]
    blocks = range(0, len(correlation), BLOCK)
    return np.concatenate(
        [np.empty((0, 2), np.float32), *(_left(correlation[k : k + BLOCK]) for k in blocks)]
    )


def _left(correlation: Floats) -> Floats:
    """Return what one period leaves and what two leave, (frames, 2), by the autocorrelation of (frames, lags).

    What x(t) - x(t - T) leaves, and the same of that with another T, the autocorrelation tells.
    """
    shortest, first, second = _pairs()
    one = 1.0 - correlation[:, shortest : second[-1] + 1].max(axis=1)
    both = correlation[:, first + second]
    both += correlation[:, second - first]
    both *= np.float32(0.5)
    both -= correlation[:, first]
    both -= correlation[:, second]
    return np.stack([one, 1.0 + both.min(axis=1)], axis=1)


@cache
def _pairs() -> tuple[int, Ints, Ints]:
    """Return the shortest lag, and the shorter and the longer one of each pair, (pairs,), in steps."""
    lags = np.arange(round(RATE / HIGHEST_HZ), round(RATE / LOWEST_HZ) + 1, LAG_STEP) // LAG_STEP
    first, second = np.triu_indices(len(lags))
    return int(lags[0]), lags[first], lags[second]


def _bins() -> tuple[int, int]:
    """Return the first and last bin of the band, half-open."""
    return math.ceil(BAND_HZ[0] * FFT_SIZE / RATE), math.ceil(BAND_HZ[2] * FFT_SIZE / RATE)


@cache
def _to_lags() -> Floats:
    """(bins, lags): from the power in the band to the autocorrelation over that of the window, from lag 0 on."""
    hz = np.arange(*_bins()) * (RATE / FFT_SIZE)
    lags = np.arange(0, 2 * round(RATE / LOWEST_HZ) + 1, LAG_STEP)
    window = np.hanning(SIZE + 2)[1:-1]
    own = np.array([np.dot(window[: SIZE - lag], window[lag:]) for lag in lags])
    weights = np.clip((BAND_HZ[2] - hz) / (BAND_HZ[2] - BAND_HZ[1]), 0.0, 1.0)
    matrix = weights[:, None] * np.cos(2.0 * np.pi / RATE * hz[:, None] * lags) * (own[0] / own)
    return np.asarray(matrix, np.float32)
