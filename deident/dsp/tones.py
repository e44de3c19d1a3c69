"""Detection of signalling tones on telephone lines: of digits, of call progress, and of modems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deident.audio import RATE, Bools, Complexes, Floats, Ints, Segment, segments_of
from deident.dsp import fft
from deident.dsp.short_tones import PULSE_FRAME, find_short_tones
from deident.dsp.stft import frame_view
from deident.dsp.tone_frames import (
    FRAME,
    HOP,
    LONG_FRAME,
    LONG_HOP,
    MIN_POWER,
    STEP,
    Row,
    hann,
    long_runs,
    waves,
    widened,
)

ANSWER_HZ = 2_100.0  # V.25, V.8: 15 Hz wide at most, with its modulation
ANSWER_SHARE = 0.9  # of a frame's power within 25 Hz
SCREENED_LINE_SHARE, SCREENED_RING_SHARE = 0.2, 0.9  # of the power up to 2 kHz: in one bin, and in the band
STEADY_SHARE = 0.985  # of a frame's power in its lines
LINE_BINS = 3  # on either side of a line
LINE_FRAMES = 2
MAX_LEVEL_RATIO = 1.6  # between the parts of a frame, of 50 ms: of speech, few are that steady
LOWEST_HZ = 300.0  # of call-progress tones
SINGLE_HZ = np.array((400.0, 425.0, 440.0, 450.0, 500.0))  # tones that come alone
SINGLE_DEVIATION_HZ = 5.0
# A band of tones of 400 to 450 Hz that are modulated, as in Japan, India and Australia
RING_HZ = (340.0, 500.0)
MAX_RING_OCTAVE_DB = -34.0  # of the band an octave above; a vowel has more
MAX_RING_RATIO = 12.0  # between the parts of such a frame
MAX_HARMONIC_DB = -40.0  # of a tone that comes alone; a sung vowel has louder ones
CHORDS = np.array((4 / 3, 3 / 2, 2.0, 3.0, 4.0))  # ratios of harmonics, as of a vowel
SHIFT_FRAME = RATE // 10  # 100 ms: a beep, a dash of Morse code, and the shortest caller identification
SHIFTED_HZ = (750.0, 4_000.0)  # band of modems, information tones, and howlers that sweep
SHIFTED_SHARE = 0.95  # of a frame's power within
MAX_SPREAD = (
    0.25  # of the power from one moment to the next: 0.2 in noise of -15 dB, 0.35 and more of a sung vowel
)
LEVEL_BLOCK, SCREENED_SPREAD = RATE // 400, 0.15  # over 2.5 ms, that of speech in this band is over 0.2
MARGIN = RATE // 40  # samples added on both sides


def find_tones(samples: Floats, segments: Sequence[Segment] | None = None) -> list[Segment]:
    """Find tones of digits, of call progress (dial, ringback, busy, information), of faxes, modems and howlers.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.
    segments : sequence of Segment, optional
        Where to look, in order, apart; each is looked at on its own. By default everywhere.

    Returns
    -------
    list of Segment
        In order, apart, with a margin of 25 ms, each within a segment.

    References
    ----------
    ITU-T Q.23 and Q.24, on keypad tones; Q.320 and Q.441, on those between exchanges; E.180, on call-progress tones;
    T.30 and V.25, on a fax's; V.21 and V.23, on a modem's.
    """
    places = segments if segments is not None else [Segment(0, samples.size)] if samples.size else []
    if not places:
        return []
    row = Row(samples, places)
    active = np.zeros(row.samples.size // HOP, dtype=np.bool_)
    short, pulses = find_short_tones(row)
    for run in segments_of(short, HOP):  # around the centres of its frames
        row.mark(active, run.start + FRAME // 2 - MARGIN, run.stop - HOP + FRAME // 2 + MARGIN)
    for frames, size in ((pulses, PULSE_FRAME), (_shifted(row), SHIFT_FRAME)):
        for run in segments_of(frames, HOP):
            row.mark(active, run.start - MARGIN, run.stop - HOP + size + MARGIN)
    for run in segments_of(_steady(row), LONG_HOP):
        row.mark(active, run.start - MARGIN, run.stop - LONG_HOP + LONG_FRAME + MARGIN)
    if not active.any():
        return []
    found = []
    for place, first in zip(places, row.starts[:-1], strict=True):
        own = active[first // HOP : (first + len(place)) // HOP + 1]
        ends = (Segment(tone.start, min(tone.stop, len(place))) for tone in segments_of(own, HOP))
        found += [tone.shift(place.start) for tone in ends]
    return found


def _steady(row: Row) -> Bools:
    """Decide which 200 ms frames, 50 ms apart, hold call-progress tones: (frames,)."""
    energy = frame_view(row.energies(LONG_HOP), LONG_FRAME // LONG_HOP, 1)
    ratio = energy.max(axis=1, initial=0.0) / (energy.min(axis=1, initial=np.inf) + 1e-20)
    steady = row.within(LONG_FRAME, LONG_HOP)
    steady &= (ratio < MAX_RING_RATIO) & (energy.sum(axis=1) > LONG_FRAME * MIN_POWER)
    every_other = np.flatnonzero(steady[::2]) * 2  # of two in succession, one is among them
    power = _powers(row, every_other)
    likely = _may_be_lines(power, RATE / LONG_FRAME)
    every_other = every_other[likely]
    lines, others = _measured(row, every_other, power[likely])
    likely = np.zeros(len(steady), dtype=np.bool_)
    likely[every_other] = _are_tones(lines, ratio[every_other] < MAX_LEVEL_RATIO) | others
    steady &= widened(likely, LINE_FRAMES)
    chosen = np.flatnonzero(steady)
    if chosen.size:
        lines, others = _measured(row, chosen, _powers(row, chosen))
        follows = np.diff(chosen) == 1
        for line in lines:
            near = (
                follows & (np.abs(np.diff(line)) < RATE / LONG_FRAME) & (line[1:] > 0.0) & (line[:-1] > 0.0)
            )
            line *= np.append(near, False) | np.append(False, near)
        steady[chosen] = _are_tones(lines, ratio[chosen] < MAX_LEVEL_RATIO) | others
    return long_runs(steady, np.zeros(len(steady), dtype=np.intp), LINE_FRAMES)


def _shifted(row: Row) -> Bools:
    """Decide which 100 ms frames, 15 ms apart, hold one tone at a time, wherever it goes: (frames,)."""
    levels = frame_view(row.energies(LEVEL_BLOCK), SHIFT_FRAME // LEVEL_BLOCK, HOP // LEVEL_BLOCK)
    each = np.full(levels.shape[1], 1.0 / levels.shape[1], dtype=np.float32)
    mean, square = levels @ each, np.square(levels) @ each
    found: Bools = row.within(SHIFT_FRAME, HOP) & (mean > LEVEL_BLOCK * MIN_POWER)
    likely = np.flatnonzero(found & (square < (1.0 + SCREENED_SPREAD**2) * np.square(mean)))
    found[:] = False
    if not likely.size:
        return found
    spectrum: Complexes = fft.rfft(frame_view(row.samples, SHIFT_FRAME, HOP)[likely] * hann(SHIFT_FRAME))
    low, high = (round(hz * SHIFT_FRAME / RATE) for hz in SHIFTED_HZ)
    band, power = spectrum[:, low:high], np.square(np.abs(spectrum))
    count = high - low
    middle = slice(count // 4, 3 * count // 4)  # elsewhere, the window leaves too little
    level = np.square(np.abs(fft.fft(band.conj())[:, middle]) / hann(count)[middle])  # of the analytic signal
    is_even = level.std(axis=1) < MAX_SPREAD * level.mean(axis=1)
    found[likely] = is_even & (power[:, low:high].sum(axis=1) > SHIFTED_SHARE * power.sum(axis=1))
    return found


def _measured(row: Row, chosen: Ints, power: Floats) -> tuple[list[Floats], Bools]:
    """Measure the lines of the chosen long frames in Hz, 0 for none: two of a pair, and one that is alone.

    The second value tells which frames hold a modulated ringback tone or an answer: (frames,).
    """
    whole = np.square(frame_view(row.samples, LONG_FRAME, LONG_HOP)[chosen]) @ _LONG_SQUARES
    whole *= np.float32(0.5 * LONG_FRAME)
    step_hz = RATE / LONG_FRAME
    pairs, alone = _lines(power, whole, step_hz)
    return [*pairs, alone], _rings(power, whole, step_hz) | _answers(row, chosen, power, whole)


def _are_tones(lines: list[Floats], is_even: Bools) -> Bools:
    """Tell which frames hold two lines, or one alone, at a steady level: (frames,)."""
    low, high, alone = lines
    tones: Bools = is_even & ((low * high > 0.0) | (alone > 0.0))
    return tones


def _powers(row: Row, frames: Ints) -> Floats:
    """Measure the power spectra of some long frames up to 2 kHz: (frames, bins)."""
    slow = frame_view(row.slow, LONG_FRAME // STEP, LONG_HOP // STEP)
    parts = fft.rfft(slow[frames] * _LONG_WINDOW).view(np.float32)
    np.square(parts, out=parts)
    power: Floats = parts[:, ::2] + parts[:, 1::2]
    power *= _EVEN
    return power


def _may_be_lines(power: Floats, step_hz: float) -> Bools:
    """Screen frames for `_lines` and `_rings` by the power up to 2 kHz alone: (frames,)."""
    low, high = (round(hz / step_hz) for hz in RING_HZ)
    within = power.sum(axis=1)
    likely: Bools = power.max(axis=1, initial=0.0) > SCREENED_LINE_SHARE * within
    likely |= power[:, low : high + 1].sum(axis=1) > SCREENED_RING_SHARE * within
    return likely


def _lines(power: Floats, whole: Floats, step_hz: float) -> tuple[Floats, Floats]:
    """Measure the lines that hold all of a frame's power: (2, frames) Hz of two, (frames,) Hz of one, 0 for none.

    power : (frames, bins).   whole : (frames,), on the same scale.
    """
    rows, around = np.arange(len(power))[:, None], np.arange(-LINE_BINS, LINE_BINS + 1)
    left, hz, levels = (
        power.copy(),
        np.empty((2, len(power)), np.float32),
        np.empty((2, len(power)), np.float32),
    )
    for number in range(2):
        columns = left[:, LINE_BINS:-LINE_BINS].argmax(axis=1)[:, None] + LINE_BINS + around
        line = left[rows, columns]
        levels[number] = line.sum(axis=1)
        hz[number] = (line * columns).sum(axis=1) / (levels[number] + 1e-20) * step_hz
        left[rows, columns] = 0.0
    low, high = np.sort(hz, axis=0)
    two = (levels.sum(axis=0) > STEADY_SHARE * whole) & (levels[1] > 0.02 * levels[0]) & (low > LOWEST_HZ)
    two &= (np.abs(high / np.maximum(low, 1.0) / CHORDS[:, None] - 1.0) > 0.01).all(axis=0)
    one = levels[0] > STEADY_SHARE * whole
    one &= (np.abs(hz[0] - SINGLE_HZ[:, None]) < SINGLE_DEVIATION_HZ).any(axis=0)
    for harmonic in (2, 3, 4):
        at = np.minimum(np.rint(harmonic * hz[0] / step_hz).astype(np.intp), power.shape[1] - 1)
        one &= power[rows[:, 0], at] < 10.0 ** (MAX_HARMONIC_DB / 10.0) * levels[0]
    return np.stack((low, high)) * two, hz[0] * one


def _rings(power: Floats, whole: Floats, step_hz: float) -> Bools:
    """Decide which frames hold a modulated ringback tone and nothing else: (frames,). Takes what `_lines` takes."""
    low, high = (round(hz / step_hz) for hz in RING_HZ)
    inside = power[:, low : high + 1].sum(axis=1)
    octave = power[:, 2 * low : 2 * high + 1].sum(axis=1)
    rings: Bools = (inside > STEADY_SHARE * whole) & (octave < 10.0 ** (MAX_RING_OCTAVE_DB / 10.0) * inside)
    return rings


def _answers(row: Row, chosen: Ints, power: Floats, whole: Floats) -> Bools:
    """Decide which frames hold the answer tone of a fax or modem, which turns its phase now and then: (frames,).

    In sums of `STEP` samples it is mirrored at 2 kHz. Takes what `_lines` takes.
    """
    mirrored = (RATE / STEP - ANSWER_HZ) * LONG_FRAME / RATE
    answers: Bools = np.abs(power.argmax(axis=1) - mirrored) <= LINE_BINS
    at = np.flatnonzero(answers)
    frames = frame_view(row.samples, LONG_FRAME, LONG_HOP)[chosen[at]]
    inside = np.square(frames @ _ANSWER_WAVES).sum(axis=1)
    answers[at] = inside > ANSWER_SHARE * whole[at]
    return answers


def _correction() -> Floats:
    """Invert the response of the average over `STEP` samples, for powers, (bins,)."""
    turn = np.pi * np.arange(LONG_FRAME // STEP // 2 + 1) / LONG_FRAME
    response = np.ones(len(turn))
    response[1:] = np.sin(STEP * turn[1:]) / (STEP * np.sin(turn[1:]))
    factors: Floats = (response**-2.0).astype(np.float32)
    return factors


_LONG_WINDOW = hann(LONG_FRAME // STEP)
_ANSWER_WAVES = waves(ANSWER_HZ + np.arange(-25.0, 26.0, RATE / LONG_FRAME), hann(LONG_FRAME))
_LONG_SQUARES = np.square(hann(LONG_FRAME))
_EVEN = _correction()
