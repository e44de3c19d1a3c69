"""Pitch-synchronous overlap-add: speech at another pitch and pace, cut and joined between its pulses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from deident.audio import RATE
from deident.dsp.pitch import Pitch
from deident.dsp.stft import Floats, frame_view

UNVOICED = RATE // 100  # samples from one join to the next where there are no pulses
PULSE_FRAME = 1_024  # samples in which the pulses around a frame's centre are sought
PULSE_STEP = 8  # samples whose energy is one point
STEEPEST = 5.0  # a join takes at least this part of the time from one pulse to the next
BLOCK = 16_384  # samples joined at a time, to stay in the cache

Doubles = npt.NDArray[np.float64]


def repitch(samples: Floats, pitch: Pitch, ratio: float, stretch: float = 1.0) -> Floats:
    """(samples,) at 16 kHz with its pitch times `ratio`, `stretch` times as long, its formants in place.

    pitch : of the samples. What is unvoiced only changes its length.
    Returns (round(samples · stretch),). Never fails on finite input.

    After Moulines & Charpentier (1990), in closed form: where the new pulses lie follows from inverting the
    integrated new pitch, which old pulse each one shows from the phase of the energy around it, and between
    two new pulses the output fades from the surroundings of one old pulse to those of the next. No grain is
    ever made."""
    length = round(samples.shape[-1] * stretch)
    if length == 0:
        return np.zeros(0, dtype=np.float32)
    voiced = pitch.voiced
    period = np.full(len(voiced), float(UNVOICED))
    period[voiced] = RATE / pitch.f0_hz[voiced]
    pulses = _new_pulses(np.where(voiced, period / ratio, UNVOICED), pitch.hop * stretch, length)
    wanted = pulses / stretch
    frame = np.minimum(np.rint(wanted / pitch.hop).astype(np.int64), len(voiced) - 1)
    old = _old_pulses(wanted, frame * pitch.hop, pulse_offsets(samples, pitch)[frame], period[frame])
    old = np.where(voiced[frame], old, wanted)
    starts = np.rint(pulses).astype(np.int64)
    back = np.rint(2.0 * (old - pulses)).astype(np.int64)
    return _join(_twice(samples), starts, back, period[frame], length)


def faster(samples: Floats, ratio: float, length: int) -> Floats:
    """(length,) `samples` played `ratio` times as fast: every frequency times that. Ends in zeros if short."""
    played = soxr.resample(samples, ratio, 1.0, quality="MQ")[:length]
    return np.pad(played, (0, length - len(played)))


def pulse_offsets(samples: Floats, pitch: Pitch) -> Doubles:
    """(frames,) samples from each frame's centre to the pulse next to it; 0 where unvoiced.

    A pulse is where the energy of the positive half-waves gathers in a period: the phase of that energy's
    component at the frame's pitch. Half-waves, because both halves of a pure tone would hide its period."""
    voiced = pitch.voiced
    half = PULSE_FRAME // 2
    size = (len(voiced) - 1) * pitch.hop + PULSE_FRAME
    padded = np.zeros(size, dtype=np.float32)
    padded[half : half + samples.shape[-1]] = samples[: size - half]
    points = padded.reshape(-1, PULSE_STEP)
    energy = np.einsum("ps,ps->p", points, np.maximum(points, 0.0))
    window = np.hanning(PULSE_FRAME // PULSE_STEP + 2)[1:-1].astype(np.float32)
    around = frame_view(energy, len(window), pitch.hop // PULSE_STEP)[voiced] * window
    around -= (around.sum(axis=1) / window.sum())[:, None] * window
    at = (np.arange(len(window)) * PULSE_STEP + 0.5 * (PULSE_STEP - 1) - half).astype(np.float32)
    f0_hz = pitch.f0_hz[voiced]
    angle = np.multiply.outer(f0_hz * np.float32(2.0 * np.pi / RATE), at)
    re, im = np.einsum("fp,fp->f", around, np.cos(angle)), np.einsum("fp,fp->f", around, np.sin(angle))
    offsets = np.zeros(len(voiced))
    offsets[voiced] = np.arctan2(im, re) / (2.0 * np.pi) * RATE / f0_hz
    return offsets


def _new_pulses(period: Doubles, hop: float, length: int) -> Doubles:
    """(pulses,) from at most 0 to at least `length`, for one period a frame, frames `hop` samples apart."""
    rate = 1.0 / np.append(period, period[-1])
    phase = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * hop)))
    pulses = np.interp(np.arange(int(phase[-1]) + 1), phase, np.arange(len(phase)) * hop)
    return np.append(pulses, max(length, pulses[-1]) + period[-1])


def _old_pulses(wanted: Doubles, centre: npt.NDArray[np.int64], offset: Doubles, period: Doubles) -> Doubles:
    """(pulses,) the pulse nearest to each wanted place, in the series through its frame's own pulse."""
    own = centre + offset
    return own + np.rint((wanted - own) / period) * period


def _twice(samples: Floats) -> Floats:
    """(2·samples,) with the values halfway between them: whole samples are too coarse for a high voice."""
    rows, taps = _HALFWAY.shape[0], _HALFWAY.shape[1] - _HALFWAY.shape[0] + 1
    count = -(-samples.shape[-1] // rows)
    padded = np.zeros(count * rows, dtype=np.float32)
    padded[: samples.shape[-1]] = samples
    spread = padded.reshape(count, rows) @ _HALFWAY
    halfway = np.zeros((count + 1) * rows, dtype=np.float32)
    halfway[:-rows].reshape(count, rows)[:] = spread[:, :rows]
    halfway[rows:].reshape(count, rows)[:, : taps - 1] += spread[:, rows:]
    twice = np.empty(2 * samples.shape[-1], dtype=np.float32)
    twice[0::2] = samples
    twice[1::2] = np.append(halfway, np.zeros(taps, np.float32))[taps // 2 :][: samples.shape[-1]]
    return twice


def _halfway(rows: int = 32, taps: int = 16) -> Floats:
    """(rows, rows + taps - 1): what each of so many samples adds to the values halfway between samples."""
    at = np.arange(taps) - 0.5 * (taps - 1)
    response = np.sinc(at) * (0.54 + 0.46 * np.cos(2.0 * np.pi * at / taps))
    matrix = np.zeros((rows, rows + taps - 1), dtype=np.float32)
    for row in range(rows):
        matrix[row, row : row + taps] = response / response.sum()
    return matrix


_HALFWAY = _halfway()


def _join(
    samples: Floats,
    starts: npt.NDArray[np.int64],
    back: npt.NDArray[np.int64],
    period: Doubles,
    length: int,
) -> Floats:
    """(length,) fading, from each start to the next, between its `back` and its successor's.

    samples : twice as many a second.   back : half samples from a place in the output to one in them.

    Where the new pulses lie further apart than the old ones, the fade keeps to the middle: otherwise the
    neighbour of each old pulse would be heard as an echo."""
    spans = np.diff(starts)
    tight = np.maximum(period[:-1] / np.maximum(spans, 1), 0.5 + 0.5 / STEEPEST)
    steep = np.maximum(0.5 / (tight - 0.5), 1.0)
    slope = steep / np.maximum(spans, 1)
    out = np.empty(length, dtype=np.float32)
    edges = np.searchsorted(starts, np.arange(0, length + BLOCK, BLOCK))
    first = 0
    for last in edges[1:]:
        last = min(int(last), len(spans))
        if last <= first:
            continue
        grains = slice(first, last)
        start, stop = int(starts[first]), min(int(starts[last]), length)
        place = np.arange(stop - start)
        level = (0.5 - 0.5 * steep[grains] - (starts[grains] - start) * slope[grains]).astype(np.float32)
        count = spans[grains]
        rise = np.repeat(slope[grains].astype(np.float32), count)[: len(place)]
        rise *= place.astype(np.float32)
        rise += np.repeat(level, count)[: len(place)]
        np.clip(rise, 0.0, 1.0, out=rise)
        rise *= rise * (np.float32(3.0) - np.float32(2.0) * rise)
        place += start
        place *= 2
        one = samples.take(place + np.repeat(back[:-1][grains], count)[: len(place)], mode="clip")
        two = samples.take(place + np.repeat(back[1:][grains], count)[: len(place)], mode="clip")
        two -= one
        two *= rise
        np.add(one, two, out=out[start:stop])
        first = last
    return out
