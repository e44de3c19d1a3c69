"""Pitch tracking: the fundamental frequency of all frames at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deident.audio import RATE, Bools, Doubles, Floats, Ints
from deident.dsp import fft
from deident.dsp.ragged import Ragged
from deident.dsp.stft import frame_view
from deident.errors import SettingError

DECIMATION = 8  # to 2 kHz: the first harmonics tell the period, and cost an eighth
SIZE = 1_024  # samples a frame: three periods of the lowest voices
LAG_STEP, LAG_POWER = 0.8e-3, 1.6  # of lags as powers of evenly spaced numbers: 0.12 to 0.3 ms apart
BANDS = 4  # of lags, each narrower than an octave, so that a period and its double are two candidates
SEQUENTIAL_STEPS = 6  # so few steps of a path are not worth halving
BLOCK = 192  # frames whose spectra stay in the cache


@dataclass(frozen=True)
class Pitch:
    """The pitch of every frame; frame k is centred on sample k·hop.

    Parameters
    ----------
    f0_hz : (frames,) float32
        Fundamental frequency, 0 where unvoiced.
    strength : (frames,) float32
        Periodicity, 0 to 1.
    hop : int
        Samples from one frame to the next.
    """

    f0_hz: Floats
    strength: Floats
    hop: int

    @property
    def voiced(self) -> Bools:
        """(frames,) True where voiced."""
        return self.f0_hz > 0.0

    @property
    def median_hz(self) -> float:
        """Median frequency of the voiced frames; 0 without any."""
        voiced = self.f0_hz[self.voiced]
        middle = voiced.size // 2
        return float(np.partition(voiced, middle)[middle]) if voiced.size else 0.0


@dataclass(frozen=True)
class PitchTracker:
    """Pitch tracker: autocorrelation, then the best path through a few candidates a frame.

    Parameters
    ----------
    hop : int
        Samples at 16 kHz, a multiple of 8.
    floor_hz, ceiling_hz : float
        Range of voices.
    threshold : float
        A frame with less periodicity is unvoiced.
    silence_db : float
        Periodicity this far below the loud frames counts half.
    octave_cost : float
        Against a lower octave, per octave.
    jump_cost : float
        Against a change by an octave between frames.
    voicing_cost : float
        Against a change between voiced and unvoiced.

    Raises
    ------
    SettingError
        For settings that cannot work.

    References
    ----------
    Boersma (1993), with the path over all frames found in log2(frames) steps.
    """

    hop: int = 128
    floor_hz: float = 50.0
    ceiling_hz: float = 500.0
    threshold: float = 0.5
    silence_db: float = -30.0
    octave_cost: float = 0.02
    jump_cost: float = 0.8
    voicing_cost: float = 0.25

    def __post_init__(self) -> None:
        if self.hop < DECIMATION or self.hop % DECIMATION:
            raise SettingError(f"expected a hop that is a multiple of {DECIMATION} samples; got {self.hop}")
        if not 40.0 <= self.floor_hz < self.ceiling_hz / 2 <= 400.0:
            raise SettingError(
                "expected floor_hz from 40, ceiling_hz to 800 and an octave between them; "
                f"got {self.floor_hz:g} and {self.ceiling_hz:g}"
            )

    def track(self, samples: Floats) -> Pitch:
        """Track the pitch of (samples,) at 16 kHz, in samples // hop + 1 frames. Never fails on finite input."""
        return self.track_all([samples])[0]

    def track_all(self, pieces: Sequence[Floats]) -> list[Pitch]:
        """Track the pitch of each of several segments, (samples,), in one ragged batch."""
        ragged = Ragged(tuple(piece.shape[-1] // self.hop + 1 for piece in pieces))
        octave, strength = self._candidates(pieces, ragged)
        states, steps = self._costs(octave, strength)
        steps[:, :, ragged.starts[1:] - 1] = 0.0  # segments are independent
        best = _best_path(states, steps)
        voiced = best < BANDS
        where = np.minimum(best, BANDS - 1) * len(best) + np.arange(len(best))
        f0_hz = np.exp2(octave.take(where)) * voiced
        strongest = np.where(voiced, strength.take(where), strength.max(axis=0))
        strongest.clip(0.0, 1.0, out=strongest)
        return [Pitch(f0_hz[piece], strongest[piece], self.hop) for piece in ragged.slices]

    @cached_property
    def _first_root(self) -> float:
        """Return the first point of the lag axis, a root of the shortest lag."""
        return float(self.ceiling_hz ** (-1.0 / LAG_POWER)) - 1.5 * LAG_STEP

    @cached_property
    def _lags(self) -> Doubles:
        """(lags,) seconds, finer where periods are short, with one more at each end for the parabola."""
        last_root = self.floor_hz ** (-1.0 / LAG_POWER)
        count = int(np.ceil((last_root - self._first_root) / LAG_STEP)) + 2
        roots = self._first_root + LAG_STEP * np.arange(count, dtype=np.float64)
        lags: Doubles = np.power(roots, LAG_POWER)
        return lags

    @cached_property
    def _bands(self) -> list[slice]:
        """Columns of the autocorrelation in which each candidate lies."""
        edges = np.geomspace(self._lags[1], self._lags[-1], BANDS + 1)
        starts = np.searchsorted(self._lags, edges) + 1
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(starts)]

    @cached_property
    def _window(self) -> Floats:
        window: Floats = np.hanning(SIZE // DECIMATION + 2)[1:-1].astype(np.float32)
        return window

    @cached_property
    def _fft_size(self) -> int:
        """Return an FFT size that holds a window and the longest lag without wrapping."""
        longest = int(np.ceil(self._lags[-1] * RATE / DECIMATION))
        return int(fft.next_fast_len(SIZE // DECIMATION + longest, real=True))

    @cached_property
    def _to_lags(self) -> Floats:
        """(bins, 1 + lags): from power to energy, and to the autocorrelation over that of the window."""
        bins = self._fft_size // 2 + 1
        fold = np.full((bins, 1), 2.0)
        fold[0] = fold[-1] = 1.0  # the other bins stand for their mirror images too
        if self._fft_size % 2:
            fold[-1] = 2.0
        hz = np.arange(bins)[:, None] * (RATE / DECIMATION / self._fft_size)
        matrix = fold * np.cos(2.0 * np.pi * hz * np.concatenate(([0.0], self._lags)))
        of_window = (np.abs(fft.rfft(self._window.astype(np.float64), self._fft_size)) ** 2) @ matrix
        matrix *= of_window[0] / of_window
        below = hz[:, 0] < 0.8 * self.floor_hz  # offset, wind, a drifting microphone: no voice
        matrix[below, 1:] = 0.0
        matrix[below, 0] *= 0.01  # but what leaks from there through the window is no voice either
        folded: Floats = matrix.astype(np.float32)
        return folded

    def _candidates(self, pieces: Sequence[Floats], ragged: Ragged) -> tuple[Floats, Floats]:
        """Find the best period in each band of lags: log2 of Hz and strength, (BANDS, frames) each."""
        correlation = self._correlation(self._frames(pieces, ragged))
        energy = correlation[:, 0]
        lag, height = _peaks(correlation, self._bands)
        loud = np.array([_loud(energy[piece]) for piece in ragged.slices])
        height /= energy + ragged.spread(
            np.float32(10.0 ** (self.silence_db / 10.0)) * loud + np.float32(1e-12)
        )
        root = lag * np.float32(LAG_STEP) + np.float32(self._first_root - LAG_STEP)  # column 0 is the energy
        np.log(root, out=root)
        root *= np.float32(-LAG_POWER / np.log(2.0))
        return root, height

    def _correlation(self, frames: Floats) -> Floats:
        """Compute energy and autocorrelation of (frames, size), as (frames, 1 + lags)."""
        correlation = np.empty((len(frames), self._to_lags.shape[1]), dtype=np.float32)
        padded = np.zeros((min(BLOCK, len(frames)), self._fft_size), dtype=np.float32)
        for start in range(0, len(frames), BLOCK):
            block = frames[start : start + BLOCK]
            np.multiply(block, self._window, out=padded[: len(block), : block.shape[1]])
            parts = fft.rfft(padded[: len(block)]).view(np.float32)
            np.square(parts, out=parts)
            np.matmul(parts[:, 0::2] + parts[:, 1::2], self._to_lags, out=correlation[start : start + BLOCK])
        return correlation

    def _frames(self, pieces: Sequence[Floats], ragged: Ragged) -> Floats:
        """Frame decimated samples, (frames, size); frame k of each segment is centred on its sample k·hop."""
        between = -(-SIZE // self.hop) - 1  # frames that would span two segments
        step = len(_DECIMATE)
        needed = (ragged.frames + between * len(pieces)) * self.hop
        padded = np.zeros((-(-needed // step) + 1, step), dtype=np.float32)
        firsts = ragged.starts + between * np.arange(len(pieces))
        for piece, first, count in zip(pieces, firsts.tolist(), ragged.counts, strict=True):
            start = first * self.hop + SIZE // 2 + step // 2
            stop = (first + count + between) * self.hop - step // 2
            inside = padded.reshape(-1)[start:stop][: piece.shape[-1]]
            np.subtract(piece[: len(inside)], piece.mean() if piece.size else 0.0, out=inside)
        spread = padded @ _DECIMATE
        rows = spread.shape[1] // 2
        decimated = spread[:-1, rows:] + spread[1:, :rows]
        frames = frame_view(decimated.reshape(-1), SIZE // DECIMATION, self.hop // DECIMATION)
        if len(pieces) == 1:
            return frames[: ragged.frames]
        own: Floats = frames[np.arange(ragged.frames) + between * ragged.segment_ids]
        return own

    def _costs(self, octave: Floats, strength: Floats) -> tuple[Floats, Floats]:
        """Score each state, (states, frames), and step, (from, to, frames - 1). Unvoiced is the last state."""
        frames = octave.shape[1]
        states = np.full((BANDS + 1, frames), self.threshold, dtype=np.float32)
        states[:BANDS] = strength + np.float32(self.octave_cost) * octave
        states[BANDS] += np.float32(self.octave_cost * np.log2(self.floor_hz))
        steps = np.full((BANDS + 1, BANDS + 1, frames - 1), -self.voicing_cost, dtype=np.float32)
        steps[BANDS, BANDS] = 0.0
        np.abs(octave[:, None, :-1] - octave[None, :, 1:], out=steps[:BANDS, :BANDS])
        steps[:BANDS, :BANDS] *= np.float32(-self.jump_cost)
        return states, steps


def _decimation(reach: int = 4) -> Floats:
    """Make the (samples, 2·rows) matrix from a block of samples to the decimated ones before it and in it.

    A Hamming-windowed sinc to 0.85 of the new band.
    """
    length = 2 * reach * DECIMATION
    at = np.arange(length) - length // 2
    taps = np.sinc(0.85 * at / DECIMATION) * (0.54 + 0.46 * np.cos(2.0 * np.pi * at / length))
    rows = length // DECIMATION
    matrix = np.zeros((length, 2 * rows), dtype=np.float32)
    for row in range(1, 2 * rows):
        start = (row - rows) * DECIMATION
        inside = slice(max(0, start), min(length, start + length))
        matrix[inside, row] = (taps / taps.sum())[inside.start - start : inside.stop - start]
    return matrix


_DECIMATE = _decimation()


def _loud(energy: Floats) -> np.float32:
    """Find the energy that a tenth of the frames exceed."""
    rank = len(energy) - 1 - len(energy) // 10
    loud: np.float32 = np.partition(energy, rank)[rank]
    return loud


def _peaks(correlation: Floats, bands: list[slice]) -> tuple[Floats, Floats]:
    """Locate the largest value of each row in each band by a parabola: position and height, (bands, frames)."""
    frames, columns = correlation.shape
    top = np.stack([correlation[:, band].argmax(axis=1) + band.start for band in bands])
    where = top + np.arange(frames) * columns
    flat = correlation.ravel()
    below, middle, above = flat[where - 1], flat[where], flat[where + 1]
    slope = 0.25 * (above - below)
    bend = middle - 0.5 * (below + above)
    shift = np.divide(slope, bend, out=np.zeros_like(slope), where=bend > np.abs(slope))
    return top.astype(np.float32) + shift, middle + 0.5 * slope * shift


def _best_path(states: Floats, steps: Floats) -> Ints:
    """Find the path with the largest sum of states and steps, as the state of each frame, (frames,).

    The largest sum through each state is that of the best way to it and the best way from it; either is a
    chain of (max, +) products, which are associative and therefore need log2(frames) steps instead of frames
    (Särkkä & García-Fernández, 2021).
    """
    states = states - states.max(axis=0)  # small sums keep float32 precise
    onto = steps + states[None, :, 1:]
    back = onto.transpose(1, 0, 2)[:, :, ::-1]
    start = np.stack((states[:, 0], np.zeros_like(states[:, 0])))
    to, onward = _chain(start, np.stack((onto, back)))
    best: Ints = (to + onward[:, ::-1]).argmax(axis=0)
    return best


def _chain(start: Floats, steps: Floats) -> Floats:
    """Multiply start, (..., states), in (max, +) by the first 0 ... n of steps, (..., states, states, n).

    Returns (..., states, n + 1).
    """
    count = steps.shape[-1]
    out = np.empty((*start.shape, count + 1), dtype=np.float32)
    out[..., 0] = start
    if count <= SEQUENTIAL_STEPS:
        for k in range(count):
            (out[..., :, None, k] + steps[..., k]).max(axis=-2, out=out[..., k + 1])
        return out
    even = np.ascontiguousarray(steps[..., 0::2])  # strided sums would be slower than the copies
    odd = np.ascontiguousarray(steps[..., 1::2])
    pairs = even[..., :, :, None, : count // 2] + odd[..., None, :, :, :]
    out[..., 0 : count // 2 * 2 + 1 : 2] = _chain(start, pairs.max(axis=-3))
    before = np.ascontiguousarray(out[..., :, None, 0:count:2])
    out[..., 1::2] = (before + even).max(axis=-3)
    return out
