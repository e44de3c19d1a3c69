"""Excitation of a source-filter vocoder: glottal pulses and aspiration noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from deident.audio import RATE, Complexes, Doubles, Floats, Ints
from deident.dsp import fft
from deident.dsp.level import random_bytes
from deident.dsp.ragged import Ragged
from deident.dsp.stft import BLOCK

TAPS = 8  # of the band-limited pulse
STEPS = 32  # positions between two samples that a pulse can have
LEAD = 12  # samples of a pulse's shape before its centre
SHAPE = 48  # samples of a pulse's shape, or as many times that as its delays need


def fill_with_noise(
    out: Floats,
    rngs: Sequence[np.random.Generator],
    voiced: Floats,
    breath: Doubles,
    hop: int,
    ragged: Ragged,
) -> None:
    """Fill `out` with white noise of power 1 where unvoiced, and of the power of `noise_share` where voiced.

    Parameters
    ----------
    out : (frames·hop,) float32
        Overwritten.
    rngs : sequence of numpy.random.Generator
        One for each segment.
    voiced : (frames,) float32
        Degree of voicing, 0 to 1, from sample k·hop to the next.
    breath : (segments,) float64
        Breathiness, 0 to 1.
    hop : int
        Samples a frame.
    ragged : Ragged
        Layout of the frames.
    """
    low, high = (
        np.sqrt(1.0 - voiced * ragged.spread(1.0 - end).astype(np.float32))[:, None] for end in _ends(breath)
    )
    unit = np.float32(0.5 * np.sqrt(12.0) / 256.0)
    now, before = unit * (high + low), unit * (high - low)  # two taps of these two gains
    drawn = np.empty(out.size + 1, dtype=np.int8)
    drawn[0] = 0
    for rng, piece in zip(rngs, ragged.slices, strict=True):
        own = drawn[piece.start * hop + 1 : piece.stop * hop + 1]
        own[:] = random_bytes(own.size, rng).view(np.int8)
    rows = out.reshape(-1, hop)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        white = drawn[start * hop :][: rows[block].size + 1].astype(np.float32)
        np.multiply(white[1:].reshape(-1, hop), now[block], out=rows[block])
        rows[block] -= white[:-1].reshape(-1, hop) * before[block]


def noise_share(breath: Doubles | float, hz: Doubles) -> Doubles:
    """Give the share of noise in the power of voiced sounds at frequencies `hz`: little below, most at the top.

    breath : breathiness, 0 to 1.
    """
    low, high = _ends(breath)
    rising: Doubles = low + (high - low) * np.sin(np.pi / RATE * hz) ** 2  # two taps can follow that
    return rising


def _ends(breath: Doubles | float) -> tuple[Doubles, Doubles]:
    """Give the share at 0 Hz and at RATE / 2."""
    breath = np.asarray(breath)
    return 0.004 + 0.14 * breath, np.minimum(0.95, 0.68 + 0.8 * breath)


def shape_size(delay_seconds: float) -> int:
    """Choose the length in samples of a pulse with at most this group delay."""
    size = SHAPE
    while size < 2 * LEAD + RATE * delay_seconds:
        size *= 2
    return size


def pulse_shapes(breath: Doubles | float, delays_seconds: Doubles) -> Floats:
    """Make band-limited pulses at each position between two samples, with the power that noise leaves to them.

    Parameters
    ----------
    breath : (...,) float64
        Breathiness, 0 to 1.
    delays_seconds : (..., knots) float64
        Group delay at frequencies evenly spaced from 0 to RATE / 2, not negative.

    Returns
    -------
    (..., STEPS, samples) float32
        The centre of each pulse lies `LEAD` samples after its start.
    """
    size = shape_size(float(delays_seconds.max()))
    delay = delays_seconds @ _interpolation(delays_seconds.shape[-1], size // 2 + 1)
    turns = np.cumsum(delay, axis=-1) - 0.5 * (delay + delay[..., :1])
    pulses = np.sqrt(1.0 - noise_share(np.asarray(breath)[..., None], _grid_hz(size // 2 + 1)))
    response = (pulses * np.exp((-2j * np.pi * RATE / size) * turns)).astype(np.complex64)
    shapes: Floats = fft.irfft(_pulse_spectra(size) * response[..., None, :], size)
    return shapes


def add_pulses(
    out: Floats, f0_hz: Doubles, gain: Floats, hop: int, phase: Doubles, shapes: Floats, ragged: Ragged
) -> None:
    """Add a train of pulses of power 1, whatever its rate, to `out`.

    Parameters
    ----------
    out : (frames·hop,) float32
        Changed in place.
    f0_hz, gain : (frames,)
        Rate and amplitude of the pulses from sample k·hop to the next.
    hop : int
        Samples a frame.
    phase : (segments,) float64
        Of the first pulse, 0 to 1.
    shapes : (segments, STEPS, samples) float32
        From `pulse_shapes`.
    ragged : Ragged
        Layout of the frames.
    """
    size = shapes.shape[-1]
    at, counts = _instants(f0_hz, phase, hop, size, ragged)
    whole = at.astype(np.intp)
    rows = ((at - whole) * STEPS).astype(np.intp)
    rows += np.repeat(STEPS * np.arange(len(shapes)), counts)
    pulses = shapes.reshape(-1, size)[rows]
    height = gain * np.sqrt(RATE / f0_hz).astype(np.float32)
    pulses *= height[whole // hop, None]
    windows: Floats = np.ndarray((len(out) - size + 1, size), out.dtype, out, strides=(out.itemsize,) * 2)
    stride = int(size * f0_hz.max() / RATE) + 1
    for first in range(stride):  # pulses that do not overlap are added together
        windows[whole[first::stride]] += pulses[first::stride]


def _instants(f0_hz: Doubles, phase: Doubles, hop: int, size: int, ragged: Ragged) -> tuple[Doubles, Ints]:
    """Locate the pulses, (pulses,) in samples, that end within their segment, and count those of each."""
    cycles = np.concatenate(([0.0], np.cumsum(f0_hz) * (hop / RATE)))
    before = cycles[ragged.starts] - phase
    counts = (cycles[ragged.stops] - before).astype(np.intp)
    lasts = np.cumsum(counts)
    number = np.arange(1, lasts[-1] + 1) - np.repeat(lasts - counts, counts)
    at = np.interp(number + np.repeat(before, counts), cycles, hop * np.arange(len(cycles), dtype=np.float64))
    within = at < np.repeat(ragged.stops * hop - size, counts)
    kept = np.concatenate(([0], np.cumsum(within)))
    return at[within], kept[lasts] - kept[lasts - counts]


@lru_cache
def _interpolation(knots: int, points: int) -> Doubles:
    """Make the (knots, points) matrix of linear interpolation."""
    columns = [np.interp(_grid_hz(points), _grid_hz(knots), row) for row in np.eye(knots)]
    return np.stack(columns)


@lru_cache
def _grid_hz(points: int) -> Doubles:
    return np.linspace(0.0, RATE / 2, points)


@lru_cache
def _pulse_spectra(size: int) -> Complexes:
    """Make the (STEPS, size // 2 + 1) spectra of Hann-windowed sincs, delayed by `LEAD` and each step."""
    at = np.arange(size) - LEAD - np.arange(STEPS)[:, None] / STEPS
    shapes = np.sinc(at) * (0.5 + 0.5 * np.cos(2.0 * np.pi * np.clip(at / TAPS, -0.5, 0.5)))
    spectra: Complexes = fft.rfft(shapes.astype(np.float32))
    return spectra
