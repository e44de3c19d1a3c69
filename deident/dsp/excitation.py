"""What the throat does: pulses and noise, made anew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from deident.audio import RATE
from deident.dsp import fft
from deident.dsp.level import random_bytes
from deident.dsp.ragged import Ragged
from deident.dsp.stft import BLOCK, Complexes, Floats

TAPS = 8  # of the band-limited pulse
STEPS = 32  # places between two samples where a pulse may lie
LEAD = 12  # samples of a pulse's shape before its centre
SHAPE = 48  # samples of a pulse's shape, or as many times that as its delays need

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def fill_with_noise(
    out: Floats,
    rngs: Sequence[np.random.Generator],
    voiced: Floats,
    breath: Doubles,
    hop: int,
    joined: Ragged,
) -> None:
    """Make (frames·hop,) `out` white and of power 1 where nothing is voiced, what `shares` leaves to noise
    where all is, and the sum of their powers in between.

    rngs, breath : one of each piece.   voiced : (frames,) 0 to 1, from sample k·hop to the next."""
    low, high = (
        np.sqrt(1.0 - voiced * joined.spread(1.0 - end).astype(np.float32))[:, None] for end in _ends(breath)
    )
    unit = np.float32(0.5 * np.sqrt(12.0) / 256.0)
    now, before = unit * (high + low), unit * (high - low)  # two taps of these two gains
    drawn = np.empty(out.size + 1, dtype=np.int8)
    drawn[0] = 0
    for rng, piece in zip(rngs, joined.slices, strict=True):
        own = drawn[piece.start * hop + 1 : piece.stop * hop + 1]
        own[:] = random_bytes(own.size, rng).view(np.int8)
    rows = out.reshape(-1, hop)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        white = drawn[start * hop :][: rows[block].size + 1].astype(np.float32)
        np.multiply(white[1:].reshape(-1, hop), now[block], out=rows[block])
        rows[block] -= white[:-1].reshape(-1, hop) * before[block]


def shares(breath: Doubles | float, hz: Doubles) -> Doubles:
    """The share of noise in the power of voiced sounds at these frequencies: little where a voice is strong,
    most of it at the top. breath : 0 to 1."""
    low, high = _ends(breath)
    rising: Doubles = low + (high - low) * np.sin(np.pi / RATE * hz) ** 2  # two taps can follow that
    return rising


def _ends(breath: Doubles | float) -> tuple[Doubles, Doubles]:
    """The share at 0 Hz and at RATE / 2."""
    breath = np.asarray(breath)
    return 0.004 + 0.14 * breath, np.minimum(0.95, 0.68 + 0.8 * breath)


def shape_size(delay_seconds: float) -> int:
    """Samples of the shape of a pulse whose group delay is this at most."""
    size = SHAPE
    while size < 2 * LEAD + RATE * delay_seconds:
        size *= 2
    return size


def pulse_shapes(breath: Doubles | float, delays_seconds: Doubles) -> Floats:
    """(..., STEPS, samples) a band-limited pulse at each place between two samples, `LEAD` samples from the
    left, of what `shares` leaves to pulses.

    breath : (...,).   delays_seconds : (..., knots) its group delay from 0 to RATE / 2, not negative."""
    size = shape_size(float(delays_seconds.max()))
    delay = delays_seconds @ _between(delays_seconds.shape[-1], size // 2 + 1)
    turns = np.cumsum(delay, axis=-1) - 0.5 * (delay + delay[..., :1])
    pulses = np.sqrt(1.0 - shares(np.asarray(breath)[..., None], _grid_hz(size // 2 + 1)))
    response = (pulses * np.exp((-2j * np.pi * RATE / size) * turns)).astype(np.complex64)
    shapes: Floats = fft.irfft(_pulse_spectra(size) * response[..., None, :], size)
    return shapes


def add_pulses(
    out: Floats, f0_hz: Doubles, gain: Floats, hop: int, phase: Doubles, shapes: Floats, joined: Ragged
) -> None:
    """Add pulses of power 1, whatever their rate, to (frames·hop,) `out`.

    f0_hz, gain : (frames,) rate and amplitude of the pulses from sample k·hop to the next.
    phase : (pieces,) 0 to 1, of the first.   shapes : (pieces, STEPS, samples) of `pulse_shapes`."""
    size = shapes.shape[-1]
    at, counts = _instants(f0_hz, phase, hop, size, joined)
    whole = at.astype(np.intp)
    rows = ((at - whole) * STEPS).astype(np.intp)
    rows += np.repeat(STEPS * np.arange(len(shapes)), counts)
    pulses = shapes.reshape(-1, size)[rows]
    height = gain * np.sqrt(RATE / f0_hz).astype(np.float32)
    pulses *= height[whole // hop, None]
    places: Floats = np.ndarray((len(out) - size + 1, size), out.dtype, out, strides=(out.itemsize,) * 2)
    apart = int(size * f0_hz.max() / RATE) + 1
    for first in range(apart):  # pulses that do not overlap are added together
        places[whole[first::apart]] += pulses[first::apart]


def _instants(f0_hz: Doubles, phase: Doubles, hop: int, size: int, joined: Ragged) -> tuple[Doubles, Ints]:
    """(pulses,) the places of those that end, `size` samples on, within their piece; and how many each has."""
    cycles = np.concatenate(([0.0], np.cumsum(f0_hz) * (hop / RATE)))
    before = cycles[joined.starts] - phase
    counts = (cycles[joined.stops] - before).astype(np.intp)
    lasts = np.cumsum(counts)
    number = np.arange(1, lasts[-1] + 1) - np.repeat(lasts - counts, counts)
    at = np.interp(number + np.repeat(before, counts), cycles, hop * np.arange(len(cycles), dtype=np.float64))
    within = at < np.repeat(joined.stops * hop - size, counts)
    kept = np.concatenate(([0], np.cumsum(within)))
    return at[within], kept[lasts] - kept[lasts - counts]


@lru_cache
def _between(knots: int, points: int) -> Doubles:
    """(knots, points) from values at knots to those at points, by straight lines."""
    columns = [np.interp(_grid_hz(points), _grid_hz(knots), row) for row in np.eye(knots)]
    return np.stack(columns)


@lru_cache
def _grid_hz(points: int) -> Doubles:
    return np.linspace(0.0, RATE / 2, points)


@lru_cache
def _pulse_spectra(size: int) -> Complexes:
    """(STEPS, size // 2 + 1) of Hann-windowed sincs, moved right by each step, about `LEAD`."""
    at = np.arange(size) - LEAD - np.arange(STEPS)[:, None] / STEPS
    shapes = np.sinc(at) * (0.5 + 0.5 * np.cos(2.0 * np.pi * np.clip(at / TAPS, -0.5, 0.5)))
    spectra: Complexes = fft.rfft(shapes.astype(np.float32))
    return spectra
