"""What the throat does: pulses and noise, made anew."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from deident.audio import RATE
from deident.dsp.level import random_bytes
from deident.dsp.stft import Complexes, Floats

TAPS = 8  # of the band-limited pulse
STEPS = 32  # places between two samples where a pulse may lie
LEAD = 12  # samples of a pulse's shape before its centre
SHAPE = 48  # samples of a pulse's shape, or as many times that as its delays need

Doubles = npt.NDArray[np.float64]


def noise(rng: np.random.Generator, voiced: Floats, breath: float, hop: int) -> Floats:
    """(frames·hop,) float32: white and of power 1 where nothing is voiced, what `shares` leaves to noise where
    all is, and the sum of their powers in between.

    voiced : (frames,) 0 to 1, from sample k·hop to the next."""
    low, high = (np.sqrt(1.0 - voiced * np.float32(1.0 - end))[:, None] for end in _ends(breath))
    white = random_bytes(len(voiced) * hop + 1, rng).view(np.int8).astype(np.float32)
    unit = np.float32(0.5 * np.sqrt(12.0) / 256.0)
    out: Floats = white[1:].reshape(-1, hop) * (unit * (high + low))  # two taps of these two gains
    out -= white[:-1].reshape(-1, hop) * (unit * (high - low))
    return out.reshape(-1)


def shares(breath: float, hz: Doubles) -> Doubles:
    """The share of noise in the power of voiced sounds at these frequencies: little where a voice is strong,
    most of it at the top. breath : 0 to 1."""
    low, high = _ends(breath)
    rising: Doubles = low + (high - low) * np.sin(np.pi / RATE * hz) ** 2  # two taps can follow that
    return rising


def _ends(breath: float) -> tuple[float, float]:
    """The share at 0 Hz and at RATE / 2."""
    return 0.004 + 0.14 * breath, min(0.95, 0.68 + 0.8 * breath)


def pulse_shapes(breath: float, delays_seconds: Doubles) -> Floats:
    """(STEPS, samples) a band-limited pulse at each place between two samples, `LEAD` samples from the left,
    of what `shares` leaves to pulses.

    delays_seconds : (knots,) its group delay from 0 to RATE / 2, not negative."""
    size = SHAPE
    while size < 2 * LEAD + RATE * float(delays_seconds.max()):
        size *= 2
    hz = _grid_hz(size // 2 + 1)
    delay = np.interp(hz, _grid_hz(len(delays_seconds)), delays_seconds)
    turns = np.cumsum(delay) - 0.5 * (delay + delay[0])
    response = np.sqrt(1.0 - shares(breath, hz)) * np.exp((-2j * np.pi * RATE / size) * turns)
    shapes: Floats = scipy.fft.irfft(_pulse_spectra(size) * response.astype(np.complex64), size)
    return shapes


def add_pulses(out: Floats, f0_hz: Doubles, gain: Floats, hop: int, phase: float, shapes: Floats) -> None:
    """Add pulses of power 1, whatever their rate, to (samples,) `out`.

    f0_hz, gain : (frames,) rate and amplitude of the pulses from sample k·hop to the next.
    phase : 0 to 1, of the first.   shapes : of `pulse_shapes`, no longer than `out`."""
    size = shapes.shape[1]
    cycles = np.concatenate(([phase], phase + np.cumsum(f0_hz) * (hop / RATE)))
    at = np.interp(np.arange(1, int(cycles[-1]) + 1), cycles, np.arange(len(cycles)) * float(hop))
    at = at[: np.searchsorted(at, len(out) - size)]
    whole = at.astype(np.intp)
    pulses = shapes[((at - whole) * STEPS).astype(np.intp)]
    height = gain * np.sqrt(RATE / f0_hz).astype(np.float32)
    pulses *= height[whole // hop, None]
    places: Floats = np.ndarray((len(out) - size + 1, size), out.dtype, out, strides=(out.itemsize,) * 2)
    apart = int(size * f0_hz.max() / RATE) + 1
    for first in range(apart):  # pulses that do not overlap are added together
        places[whole[first::apart]] += pulses[first::apart]


@lru_cache
def _grid_hz(points: int) -> Doubles:
    return np.linspace(0.0, RATE / 2, points)


@lru_cache
def _pulse_spectra(size: int) -> Complexes:
    """(STEPS, size // 2 + 1) of Hann-windowed sincs, moved right by each step, about `LEAD`."""
    at = np.arange(size) - LEAD - np.arange(STEPS)[:, None] / STEPS
    shapes = np.sinc(at) * (0.5 + 0.5 * np.cos(2.0 * np.pi * np.clip(at / TAPS, -0.5, 0.5)))
    spectra: Complexes = scipy.fft.rfft(shapes.astype(np.float32))
    return spectra
