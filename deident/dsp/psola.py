"""Pitch-synchronous overlap-add (PSOLA): pitch and duration changed between glottal pulses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deident.audio import RATE, Doubles, Floats, Ints
from deident.dsp.pitch import Pitch
from deident.dsp.ragged import Ragged
from deident.dsp.stft import frame_view

UNVOICED = RATE // 100  # samples from one crossfade to the next where there are no pulses
PULSE_FRAME = 1_024  # samples around a frame's centre in which its pulses are located
PULSE_STEP = 8  # samples whose energy is one point
STEEPEST = 5.0  # a crossfade takes at least 1 / STEEPEST of the time from one pulse to the next
BLOCK = 32_768  # samples worked on at a time, to stay in the cache
TAPS = 16  # samples on which a value halfway between two depends
MARGIN = 2_048  # zeros before and after the samples; no crossfade reaches that far out


def repitch(samples: Floats, pitch: Pitch, ratio: float, stretch: float = 1.0) -> Floats:
    """Change pitch and duration of speech and keep its formants.

    A closed form without grains: the new pulses follow from inverting the integrated new pitch, the old pulse
    that each one shows from the phase of the energy around it, and between two new pulses the output fades from
    the surroundings of one old pulse to those of the next. Never fails on finite input.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.
    pitch : Pitch
        Of the samples. Unvoiced sounds change their duration only.
    ratio : float
        New over old pitch.
    stretch : float
        New over old duration.

    Returns
    -------
    (round(samples · stretch),) float32

    References
    ----------
    Moulines & Charpentier (1990).
    """
    return repitch_all([samples], [pitch], [ratio], [stretch])[0]


def repitch_all(
    pieces: Sequence[Floats], pitches: Sequence[Pitch], ratios: Sequence[float], stretches: Sequence[float]
) -> list[Floats]:
    """Apply `repitch` to each segment, with the pulses of all located in one batch."""
    offsets = pulse_offsets(pieces, pitches)
    return [_repitched(*one) for one in zip(pieces, pitches, offsets, ratios, stretches, strict=True)]


def _repitched(samples: Floats, pitch: Pitch, offsets: Doubles, ratio: float, stretch: float) -> Floats:
    """Overlap and add periods at the new pitch marks, (samples,)."""
    length = round(samples.shape[-1] * stretch)
    if length == 0:
        return np.zeros(0, dtype=np.float32)
    voiced = pitch.voiced
    period = np.full(len(voiced), float(UNVOICED))
    period[voiced] = RATE / pitch.f0_hz[voiced]
    pulses = _new_pulses(np.where(voiced, period / ratio, UNVOICED), pitch.hop * stretch, length)
    wanted = pulses / stretch
    frame = np.minimum(np.rint(wanted / pitch.hop).astype(np.int64), len(voiced) - 1)
    old = _old_pulses(wanted, frame * pitch.hop, offsets[frame], period[frame])
    old = np.where(voiced[frame], old, pulses + np.rint(wanted - pulses))  # hiss needs no half samples
    starts = np.rint(pulses).astype(np.int64)
    halves = np.rint(2.0 * (old - pulses)).astype(np.int64)
    table, further = _with_halfway(samples)
    back = (halves >> 1) + (halves & 1) * further + MARGIN
    return _crossfade(table, starts, back, period[frame], length)


def pulse_offsets(pieces: Sequence[Floats], pitches: Sequence[Pitch]) -> list[Doubles]:
    """Locate the glottal pulse next to the centre of each frame.

    A pulse lies where the energy of the positive half-waves concentrates in a period: at the phase of that
    energy's component at the frame's pitch. Half-waves, because both halves of a pure tone would hide its period.

    Parameters
    ----------
    pieces : sequence of (samples,) float32
    pitches : sequence of Pitch

    Returns
    -------
    list of (frames,) float64
        Samples from each frame's centre to its pulse; 0 where unvoiced.
    """
    if not pieces:
        return []
    hop = pitches[0].hop
    ragged = Ragged(tuple(len(pitch.f0_hz) for pitch in pitches))
    f0_hz = np.concatenate([pitch.f0_hz for pitch in pitches])
    offsets, voiced = np.zeros(ragged.frames), np.flatnonzero(f0_hz)
    window = np.hanning(PULSE_FRAME // PULSE_STEP + 2)[1:-1].astype(np.float32)
    around = _half_waves(pieces, ragged, hop, voiced) * window
    around -= (around.sum(axis=1) / window.sum())[:, None] * window
    later, earlier = around[:, len(window) // 2 :], around[:, len(window) // 2 - 1 :: -1]
    at = ((np.arange(len(window) // 2) + 0.5) * PULSE_STEP).astype(np.float32)
    f0_hz = f0_hz[voiced]
    angle = np.multiply.outer(f0_hz * np.float32(2.0 * np.pi / RATE), at)
    re = np.einsum("fp,fp->f", later + earlier, np.cos(angle))
    im = np.einsum("fp,fp->f", later - earlier, np.sin(angle))
    offsets[voiced] = np.arctan2(im, re) / (2.0 * np.pi) * RATE / f0_hz
    return [offsets[own] for own in ragged.slices]


def _half_waves(pieces: Sequence[Floats], ragged: Ragged, hop: int, chosen: Ints) -> Floats:
    """Compute the energy of the positive half-waves around the centres of frames, (chosen, points)."""
    between = -(-PULSE_FRAME // hop) - 1  # frames that would span two segments
    positive = np.zeros((ragged.frames + between * len(pieces)) * hop, dtype=np.float32)
    for number, (piece, own) in enumerate(zip(pieces, ragged.slices, strict=True)):
        start, stop = ((place + between * number) * hop for place in (own.start, own.stop + between))
        here = positive[start + PULSE_FRAME // 2 : stop][: piece.shape[-1]]
        np.maximum(piece[: len(here)], 0.0, out=here)
    points = positive.reshape(-1, PULSE_STEP)
    frames = frame_view(np.einsum("ps,ps->p", points, points), PULSE_FRAME // PULSE_STEP, hop // PULSE_STEP)
    around: Floats = frames[chosen + between * ragged.segment_ids[chosen]]
    return around


def _new_pulses(period: Doubles, hop: float, length: int) -> Doubles:
    """Place new pulses, (pulses,), from at most 0 to at least `length`, by one period for each frame."""
    rate = 1.0 / np.append(period, period[-1])
    phase = np.concatenate(([0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * hop)))
    pulses = np.interp(np.arange(int(phase[-1]) + 1), phase, np.arange(len(phase)) * hop)
    return np.append(pulses, max(length, pulses[-1]) + period[-1])


def _old_pulses(wanted: Doubles, centre: npt.NDArray[np.int64], offset: Doubles, period: Doubles) -> Doubles:
    """Find the old pulse nearest to each wanted position, in the series through its frame's own pulse."""
    own = centre + offset
    return own + np.rint((wanted - own) / period) * period


def _with_halfway(samples: Floats) -> tuple[Floats, int]:
    """Make a table of the samples between two margins, then of the values halfway after each, and its offset.

    Whole samples are too coarse for the pulses of a high voice.
    """
    width, row = _HALFWAY.shape
    size = -(-(samples.shape[-1] + 2 * MARGIN) // (2 * row)) * 2 * row
    table = np.empty(2 * size, dtype=np.float32)
    table[:MARGIN] = 0.0
    table[MARGIN : MARGIN + samples.shape[-1]] = samples
    table[MARGIN + samples.shape[-1] : size] = 0.0
    halfway = table[size:].reshape(-1, 2, row)
    halfway[-1] = 0.0
    for part in (0, 1):  # every other row: frames that overlap would be copied before they are multiplied
        frames = frame_view(table[part * row : size], width, 2 * row)
        np.matmul(frames, _HALFWAY, out=halfway[: len(frames), part])
    return table, size + 1 - TAPS // 2


def _halfway(row: int = 32) -> Floats:
    """Make the (row + taps - 1, row) matrix from samples to the values halfway between them."""
    at = np.arange(TAPS) - 0.5 * (TAPS - 1)
    response = np.sinc(at) * (0.54 + 0.46 * np.cos(2.0 * np.pi * at / TAPS))
    matrix = np.zeros((row + TAPS - 1, row), dtype=np.float32)
    for column in range(row):
        matrix[column : column + TAPS, column] = response / response.sum()
    return matrix


_HALFWAY = _halfway()


def _crossfade(
    table: Floats,
    starts: npt.NDArray[np.int64],
    back: npt.NDArray[np.int64],
    period: Doubles,
    length: int,
) -> Floats:
    """Crossfade, from each start to the next, from the table `back` samples earlier to its successor, (length,).

    Where the new pulses are further apart than the old ones, the fade keeps to the middle: otherwise the
    neighbour of each old pulse would sound as an echo.
    """
    spans = np.maximum(np.diff(starts), 1)
    tight = np.maximum(period[:-1] / spans, 0.5 + 0.5 / STEEPEST)
    steep = np.maximum(0.5 / (tight - 0.5), 1.0)
    slope = steep / spans
    out = np.empty(length, dtype=np.float32)
    first = 0
    while first < len(spans) and starts[first] < length:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + BLOCK)) - 1)
        grains = slice(first, last)
        start, stop = int(starts[first]), min(int(starts[last]), length)
        level = 0.5 - 0.5 * steep[grains] - (starts[grains] - start) * slope[grains]
        here = slice(0, stop - start)
        lengths = starts[first + 1 : last + 1] - starts[grains]
        rise = np.repeat(slope[grains].astype(np.float32), lengths)[here]
        rise *= _COUNT[here]
        rise += np.repeat(level.astype(np.float32), lengths)[here]
        if steep[grains].max() > 1.0:
            np.clip(rise, 0.0, 1.0, out=rise)
        bend = rise * np.float32(-2.0)  # the fade bends at both ends: a straight one blurs close formants
        bend += np.float32(3.0)
        rise *= rise
        rise *= bend
        place = np.arange(start, stop)
        one = table.take(np.repeat(back[:-1][grains], lengths)[here] + place, mode="clip")
        two = table.take(np.repeat(back[1:][grains], lengths)[here] + place, mode="clip")
        two -= one
        two *= rise
        np.add(one, two, out=out[start:stop])
        first = last
    return out


_COUNT = np.arange(BLOCK, dtype=np.float32)
