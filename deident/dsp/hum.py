"""Detection and removal of mains hum, whose frequency dates a recording against a grid's logs (Grigoras, 2005).

Hum is a family of lines at multiples of one frequency near 50 or 60 Hz, present between the words too. Speech holds
no such line for longer than a moment, so a line estimated from the quiet frames, and followed through the loud ones,
can be subtracted with hardly a trace in the speech.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from deident.audio import RATE, Complexes, Floats
from deident.dsp import fft
from deident.dsp.stft import frame_view

MAINS = (50.0, 60.0)  # Hz
DRIFT = 0.5  # Hz to either side: more than any public grid leaves its nominal frequency
SLOW = 16  # samples averaged into one: hum is looked for at 1 kHz
DETECTION_HARMONICS = 8
HIGHEST = 2_400  # Hz; higher harmonics are masked by everything else
FRAME, HOP = RATE // 4, RATE // 8  # short enough to fit into a pause
STEADY = 25  # frames, Hann-weighted: about the 1.5 s over which a line keeps its amplitude
MIN_COHERENCE = 28.0  # of all harmonics together; noise and speech without hum stay under 27
MIN_LINE_COHERENCE = 2.5  # of one harmonic over the frames of a window; without a line about 1.3
FINE = 16  # search steps within the frequency resolution of a length: two for the highest harmonic
MANY = 64  # frames that are worked on at a time
FEWEST = 7  # frames: in less than a second hum cannot be distinguished from a vowel


def remove_hum(samples: Floats) -> Floats:
    """Remove mains hum and its harmonics, where there are any.

    Detection costs a thousandth of what follows it.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.

    Returns
    -------
    (samples,) float32
        The same array where no hum was found.
    """
    mains = find_hum(samples)
    return samples if mains is None else subtract_harmonics(samples, mains)


def find_hum(samples: Floats) -> float | None:
    """Find the frequency in Hz of mains hum in (samples,) at 16 kHz; None without hum."""
    best, mains = 0.0, None
    for nominal, offsets, scores in coherence(samples):
        at = int(np.argmax(scores))
        if scores[at] > best:
            best, mains = float(scores[at]), nominal + float(offsets[at])
    return mains if best > MIN_COHERENCE else None


def coherence(samples: Floats) -> Iterator[tuple[float, Floats, Floats]]:
    """Measure the phase coherence of a family of harmonics in (samples,) at 16 kHz, for each nominal frequency.

    Yields
    ------
    nominal : float
        Hz.
    offsets : (offsets,) float32
        Offsets from it in Hz that were tried.
    scores : (offsets,) float32
        Sum over harmonics of coherent over incoherent power: about 1 a harmonic without hum.
    """
    slow = samples[: samples.size // SLOW * SLOW].reshape(-1, SLOW) @ _MEAN
    frames = frame_view(slow, FRAME // SLOW, HOP // SLOW)
    if len(frames) < FEWEST:
        return
    weight = _quiet_weights(frames)
    size = fft.next_fast_len(FINE * len(frames))
    reach = int(DRIFT * size * HOP / RATE)
    steps = np.arange(-reach, reach + 1)
    offsets = (steps * (RATE / HOP / size)).astype(np.float32)
    for nominal in MAINS:
        tracks = _tracks(frames, _harmonics(nominal, DETECTION_HARMONICS, FRAME // SLOW, RATE // SLOW))
        tracks *= _rotations(nominal, DETECTION_HARMONICS, len(frames))
        tracks *= weight
        scores = np.zeros(len(offsets), dtype=np.float32)
        spectra = fft.fft(tracks.T, size)
        for number, (track, spectrum) in enumerate(zip(tracks.T, spectra, strict=True), 1):
            together = np.abs(spectrum[number * steps % size]) ** 2
            scores += together / (np.vdot(track, track).real + np.float32(1e-20))
        yield nominal, offsets, scores


def subtract_harmonics(samples: Floats, mains: float) -> Floats:
    """Subtract the lines at multiples of `mains` Hz that stand out from (samples,) at 16 kHz."""
    count = int(HIGHEST / mains)
    out = np.zeros(-(-samples.size // HOP) * HOP + 2 * HOP, dtype=np.float32)
    out[HOP : HOP + samples.size] = samples
    frames = frame_view(out, FRAME, HOP)
    harmonics, rotations = _harmonics(mains, count, FRAME, RATE), _rotations(mains, count, len(frames))
    tracks = _tracks(frames, harmonics) * rotations
    weight = _quiet_weights(frames)
    weight[[0, -1]] *= np.float32(1e-3)  # half of them is not there
    summed, tiny = _smooth(tracks * weight), np.float32(1e-20)
    steady = summed / (_smooth(weight) + tiny)
    together = np.abs(summed) ** 2 / (_smooth(weight**2 * np.abs(tracks) ** 2) + tiny)
    shows = np.mean(together, axis=0) > MIN_LINE_COHERENCE
    steady, columns = (steady * np.conj(rotations))[:, shows], np.flatnonzero(shows)
    hum = np.hstack((steady.real, -steady.imag)) @ harmonics[:, np.append(columns, count + columns)].T
    hum *= np.float32(FRAME / 4)  # half the sum of a Hann window: what `_harmonics` is divided by
    rows = out.reshape(-1, HOP)
    rows[:-1] -= hum[:, :HOP]
    rows[1:] -= hum[:, HOP:]
    return out[HOP : HOP + samples.size]


def _quiet_weights(frames: Floats) -> Floats:
    """Weight quiet frames most, (frames, 1): they show the steady sound. Frames of zeros were muted: no weight."""
    power = np.einsum("ij,ij->i", frames, frames)
    floor = np.float32(1e-3) * power.mean() + np.float32(1e-12)
    weights: Floats = np.where(power > 0.0, floor / (power + floor), np.float32(0.0))
    return weights[:, None]


def _tracks(frames: Floats, harmonics: Floats) -> Complexes:
    """Demodulate every harmonic, (frames, harmonics) complex amplitudes from the start of each frame."""
    real, imaginary = np.hsplit(frames @ harmonics, 2)
    tracks: Complexes = real - np.complex64(1j) * imaginary
    return tracks


@lru_cache(maxsize=len(MAINS) + 1)
def _harmonics(mains: float, count: int, size: int, rate: int) -> Floats:
    """Make the (size, 2 · count) Hann-windowed cosines and sines of `count` harmonics, for an amplitude of 1."""
    time = np.arange(size) / rate
    phase = 2.0 * np.pi * mains * np.outer(time, np.arange(1, count + 1))
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)) * (4.0 / size)
    harmonics: Floats = (np.hstack((np.cos(phase), np.sin(phase))) * window[:, None]).astype(np.float32)
    return harmonics


def _rotations(mains: float, count: int, frames: int) -> Complexes:
    """Make the (frames, count) factors that rotate phases at each frame's start to that of the first frame."""
    return _many_rotations(mains, count, -(-frames // MANY) * MANY)[:frames]


@lru_cache(maxsize=len(MAINS) + 1)
def _many_rotations(mains: float, count: int, frames: int) -> Complexes:
    cycles = mains * HOP / RATE * np.outer(np.arange(frames), np.arange(1, count + 1))
    rotations: Complexes = np.exp(-2j * np.pi * (cycles % 1.0)).astype(np.complex64)
    return rotations


def _smooth(rows: Any) -> Any:
    """Smooth (frames, columns) by a moving Hann window of `STEADY` frames: a product with a band of a matrix."""
    columns = rows.view(np.float32)
    count, width = columns.shape
    padded = np.zeros((-(-count // MANY) * MANY + STEADY - 1, width), dtype=np.float32)
    padded[STEADY // 2 : STEADY // 2 + count] = columns
    out = np.empty((len(padded) - STEADY + 1, width), dtype=np.float32)
    for start in range(0, len(out), MANY):
        np.matmul(_BAND, padded[start : start + MANY + STEADY - 1], out=out[start : start + MANY])
    return out[:count].view(rows.dtype)


def _band() -> Floats:
    """Make the (MANY, MANY + STEADY - 1) matrix that smooths `MANY` frames at a time."""
    band = np.zeros((MANY, MANY + STEADY - 1), dtype=np.float32)
    for row in range(MANY):
        band[row, row : row + STEADY] = np.hanning(STEADY + 2)[1:-1]
    return band


_MEAN = np.full(SLOW, 1.0 / SLOW, dtype=np.float32)
_BAND = _band()
