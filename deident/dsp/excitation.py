"""What the throat does: pulses and noise, made anew."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from deident.audio import RATE
from deident.dsp.stft import Complexes, Floats

TAPS = 8  # of the band-limited pulse
STEPS = 32  # places between two samples where a pulse may lie
LEAD = 16  # samples of a pulse's shape before its centre
SHAPE = 64  # samples of a pulse's shape, or as many times that as its delays need
ROW = 32  # samples of noise that one product filters
FILTER = 16  # taps

Doubles = npt.NDArray[np.float64]


@lru_cache
def grid_hz(points: int) -> Doubles:
    """(points,) frequencies from 0 to RATE / 2."""
    return np.linspace(0.0, RATE / 2, points)


def pulse_shapes(magnitude: Doubles, delays_seconds: Doubles) -> Floats:
    """(STEPS, samples) a band-limited pulse at each place between two samples, `LEAD` samples from the left.

    magnitude : (points,) of its spectrum from 0 to RATE / 2.   delays_seconds : (knots,) its group delay from 0
    to RATE / 2, not negative."""
    size = SHAPE
    while size < LEAD + 1.5 * float(delays_seconds.max()) * RATE + 2 * TAPS:
        size *= 2
    hz = grid_hz(size // 2 + 1)
    delay = np.interp(hz, grid_hz(len(delays_seconds)), delays_seconds)
    level = np.interp(hz, grid_hz(len(magnitude)), magnitude)
    response = level * np.exp((-2j * np.pi * RATE / size) * np.cumsum(delay))
    shapes: Floats = scipy.fft.irfft(_pulse_spectra(size) * response.astype(np.complex64), size)
    return shapes


def add_pulses(out: Floats, f0_hz: Doubles, gain: Floats, hop: int, phase: float, shapes: Floats) -> None:
    """Add pulses of power 1, whatever their rate, to (samples,) `out`.

    f0_hz, gain : (frames,) rate and amplitude of the pulses from sample k·hop to the next.
    phase : 0 to 1, of the first.   shapes : of `pulse_shapes`."""
    size = shapes.shape[1]
    cycles = np.concatenate(([phase], phase + np.cumsum(f0_hz) * (hop / RATE)))
    at = np.interp(np.arange(1, int(cycles[-1]) + 1), cycles, np.arange(len(cycles)) * float(hop))
    at = at[: np.searchsorted(at, len(out) - size)]
    whole = at.astype(np.intp)
    place = ((at - whole) * STEPS).astype(np.intp)
    frame = whole // hop
    height = gain * np.sqrt(RATE / f0_hz).astype(np.float32)
    pulses = shapes[place]
    pulses *= height[frame, None]
    where = whole[:, None] + np.arange(size)
    groups = 1 + int(size * f0_hz.max() / RATE)  # pulses of one group do not overlap
    for first in range(groups):
        out[where[first::groups]] += pulses[first::groups]


def white_noise(rng: np.random.Generator, samples: int) -> Floats:
    """(samples,) float32 of power 1."""
    noise = np.frombuffer(rng.bytes(samples), dtype=np.int8).astype(np.float32)
    noise += np.float32(0.5)
    noise *= np.float32(np.sqrt(12.0) / 256.0)
    return noise


def filtered(noise: Floats, magnitude: Doubles) -> Floats:
    """(samples,) through a short filter of a magnitude that is given at FILTER / 2 + 1 points from 0 to
    RATE / 2. samples : a multiple of ROW."""
    width = ROW + FILTER
    matrix = np.zeros(ROW * (width + 1), dtype=np.float32)
    matrix.reshape(ROW, width + 1)[:, :FILTER] = magnitude @ _TAPS  # each row one place on
    spread = noise.reshape(-1, ROW) @ matrix[: ROW * width].reshape(ROW, width)
    out = np.ascontiguousarray(spread[:, :ROW])
    out[1:, :FILTER] += spread[:-1, ROW:]
    return out.reshape(-1)


def _pulses() -> Floats:
    """(STEPS, TAPS) Hann-windowed sinc, moved right by each step."""
    at = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(STEPS)[:, None] / STEPS
    shape = np.sinc(at) * (0.5 + 0.5 * np.cos(2.0 * np.pi * np.clip(at / TAPS, -0.5, 0.5)))
    return shape.astype(np.float32)


def _taps() -> Doubles:
    """(FILTER / 2 + 1, FILTER) from magnitudes to a filter that delays by FILTER / 2."""
    return np.roll(np.fft.irfft(np.eye(FILTER // 2 + 1), FILTER), FILTER // 2, axis=1)


_TAPS = _taps()


@lru_cache
def _pulse_spectra(size: int) -> Complexes:
    """(STEPS, size // 2 + 1) of the pulses, their centres at `LEAD`."""
    shapes = np.zeros((STEPS, size), dtype=np.float32)
    first = LEAD - (TAPS // 2 - 1)
    shapes[:, first : first + TAPS] = _pulses()
    spectra: Complexes = scipy.fft.rfft(shapes)
    return spectra
