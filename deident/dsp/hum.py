"""Mains hum found and taken out: its frequency, written second by second in a grid's logs, dates a recording.

Hum is a family of lines at multiples of one frequency near 50 or 60 Hz, and it is there between the words too.
Speech is no such line for longer than a moment, so what is estimated from the quiet frames, and followed through
the loud ones, can be subtracted with hardly a trace in the speech. Grigoras (2005) on the frequency as a clock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import RATE
from deident.dsp import fft
from deident.dsp.stft import frame_view

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex64]

MAINS = (50.0, 60.0)  # Hz
DRIFT = 0.5  # Hz to either side: more than any public grid leaves its nominal frequency
SLOW = 16  # samples averaged into one: hum is looked for at 1 kHz
LOOKED_AT = 8  # harmonics that decide whether there is hum
HIGHEST = 2_400  # Hz; harmonics beyond are lost in everything else
FRAME, HOP = RATE // 4, RATE // 8  # short enough to fit into a pause
STEADY = 25  # frames, Hann-weighted: about the 1.5 s over which a line keeps its amplitude
FOUND = 28.0  # coherence of all harmonics together; of noise and of speech that hums not it stays under 27
SHOWS = 2.5  # coherence of one harmonic over the frames that are smoothed together; without a line about 1.3
FINE = 16  # steps within what a length tells apart in frequency: two for the highest harmonic
FEWEST = 7  # frames: in less than a second nothing can be told from a vowel


def without_hum(samples: Floats) -> Floats:
    """(samples,) at 16 kHz without mains hum and its harmonics; the same array where there is none.

    Looking costs a thousandth of what follows; only where hum is found is anything changed."""
    mains = find_hum(samples)
    return samples if mains is None else subtract(samples, mains)


def find_hum(samples: Floats) -> float | None:
    """The frequency in Hz of the mains that hum in (samples,) at 16 kHz, None where none do."""
    best, mains = 0.0, None
    for nominal, offsets, scores in coherence(samples):
        at = int(np.argmax(scores))
        if scores[at] > best:
            best, mains = float(scores[at]), nominal + float(offsets[at])
    return mains if best > FOUND else None


def coherence(samples: Floats) -> Iterator[tuple[float, Floats, Floats]]:
    """How far a family of harmonics keeps its phase in (samples,), for each nominal frequency: that, the offsets
    from it in Hz that were tried, and for each the sum over harmonics of power added in phase over power added
    anyhow: about 1 a harmonic where there is none."""
    slow = samples[: samples.size // SLOW * SLOW].reshape(-1, SLOW) @ _MEAN
    frames = frame_view(slow, FRAME // SLOW, HOP // SLOW)
    if len(frames) < FEWEST:
        return
    weight = _quietness(frames)
    size = fft.next_fast_len(FINE * len(frames))
    reach = int(DRIFT * size * HOP / RATE)
    steps = np.arange(-reach, reach + 1)
    offsets = (steps * (RATE / HOP / size)).astype(np.float32)
    for nominal in MAINS:
        tracks = _tracks(frames, _waves(nominal, LOOKED_AT, FRAME // SLOW, RATE // SLOW))
        tracks *= _turns(nominal, LOOKED_AT, len(frames))
        tracks *= weight
        scores = np.zeros(len(offsets), dtype=np.float32)
        spectra = fft.fft(tracks.T, size)
        for number, (track, spectrum) in enumerate(zip(tracks.T, spectra, strict=True), 1):
            together = np.abs(spectrum[number * steps % size]) ** 2
            scores += together / (np.vdot(track, track).real + np.float32(1e-20))
        yield nominal, offsets, scores


def subtract(samples: Floats, mains: float) -> Floats:
    """(samples,) at 16 kHz without the lines at multiples of `mains` Hz that stand out."""
    count = int(HIGHEST / mains)
    out = np.zeros(-(-samples.size // HOP) * HOP + 2 * HOP, dtype=np.float32)
    out[HOP : HOP + samples.size] = samples
    frames = frame_view(out, FRAME, HOP)
    waves, turns = _waves(mains, count, FRAME, RATE), _turns(mains, count, len(frames))
    tracks = _tracks(frames, waves) * turns
    weight = _quietness(frames)
    weight[[0, -1]] *= np.float32(1e-3)  # half of them is not there
    summed, tiny = _smoothed(tracks * weight), np.float32(1e-20)
    steady = summed / (_smoothed(weight) + tiny)
    together = np.abs(summed) ** 2 / (_smoothed(weight**2 * np.abs(tracks) ** 2) + tiny)
    shows = np.mean(together, axis=0) > SHOWS
    steady *= np.where(shows, np.conj(turns), np.complex64(0.0))
    hum = np.hstack((steady.real, -steady.imag)) @ waves.T
    hum *= np.float32(FRAME / 4)  # half the sum of a Hann window: what `_waves` is divided by
    rows = out.reshape(-1, HOP)
    rows[:-1] -= hum[:, :HOP]
    rows[1:] -= hum[:, HOP:]
    return out[HOP : HOP + samples.size]


def _quietness(frames: Floats) -> Floats:
    """(frames, 1) weights: the quieter a frame, the more it tells of what is always there. One of zeros was cut
    out of the recording and tells nothing."""
    power = np.einsum("ij,ij->i", frames, frames)
    floor = np.float32(1e-3) * power.mean() + np.float32(1e-12)
    weights: Floats = np.where(power > 0.0, floor / (power + floor), np.float32(0.0))
    return weights[:, None]


def _tracks(frames: Floats, waves: Floats) -> Complexes:
    """(frames, harmonics) amplitude and phase of every harmonic, from the start of its frame."""
    real, imaginary = np.hsplit(frames @ waves, 2)
    tracks: Complexes = real - np.complex64(1j) * imaginary
    return tracks


@lru_cache(maxsize=len(MAINS) + 1)
def _waves(mains: float, count: int, size: int, rate: int) -> Floats:
    """(size, 2 · count) cosines and sines of `count` harmonics under a Hann window, for an amplitude of 1."""
    time = np.arange(size) / rate
    phase = 2.0 * np.pi * mains * np.outer(time, np.arange(1, count + 1))
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)) * (4.0 / size)
    waves: Floats = (np.hstack((np.cos(phase), np.sin(phase))) * window[:, None]).astype(np.float32)
    return waves


def _turns(mains: float, count: int, frames: int) -> Complexes:
    """(frames, count) what brings the phase at a frame's start back to that at the first frame's."""
    cycles = mains * HOP / RATE * np.outer(np.arange(frames), np.arange(1, count + 1))
    turns: Complexes = np.exp(-2j * np.pi * (cycles % 1.0)).astype(np.complex64)
    return turns


def _smoothed(rows: Any) -> Any:
    """(frames, columns) under a moving Hann window of `STEADY` frames."""
    padded = np.zeros((len(rows) + STEADY - 1, rows.shape[1]), dtype=rows.dtype)
    padded[STEADY // 2 : STEADY // 2 + len(rows)] = rows
    out = np.zeros_like(rows)
    for number, tap in enumerate(_KERNEL):
        out += tap * padded[number : number + len(rows)]
    return out


_MEAN = np.full(SLOW, 1.0 / SLOW, dtype=np.float32)
_KERNEL = np.hanning(STEADY + 2)[1:-1].astype(np.float32)
