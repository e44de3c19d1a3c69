"""Detection of signalling tones on telephone lines: keypad (DTMF) and call-progress tones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from deident.audio import RATE, Bools, Complexes, Doubles, Floats, Ints, Segment, segments_of
from deident.dsp import fft
from deident.dsp.stft import frame_view

LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1_209.0, 1_336.0, 1_477.0, 1_633.0)
FRAME, HOP = RATE // 40, 3 * RATE // 200  # 25 ms, every 15 ms: a key sounds for 40 ms at least
KEY_SHARE = 0.7  # of a frame's power in its two tones, at 5 dB over noise and 1.5 % off their frequencies
MAX_TWIST_DB = 12.0  # between the two tones: 8 by the standard, and what lines and codecs add
MAX_DEVIATION_HZ = 28.0  # of a tone; 33 Hz is the most that can be told
KEY_FRAMES = 2  # of one key, in succession
HOWL_HZ = (1_400.0, 2_060.0, 2_450.0, 2_600.0)  # for a tenth of a second, every two tenths
HOWL_SHARE, LEAST_HOWL = 0.8, 0.03  # of a frame's power in its four tones, and in the weakest
SCREENED_HOWL_SHARE = 0.4
HOWL_FRAMES = 3  # in succession
ANSWER_HZ = 2_100.0  # V.25, V.8: 15 Hz wide at most, with its modulation
ANSWER_SHARE = 0.9  # of a frame's power within 25 Hz
STEP = 4  # samples averaged into one before the search for steady tones, up to 2 kHz
LONG_FRAME, LONG_HOP = RATE // 5, RATE // 20  # 200 ms: a busy tone sounds for 250 ms at least
SCREENED_KEY_SHARE, SCREENED_TWIST_DB = 0.4, 18.0  # where a key is looked for closely
SCREENED_LINE_SHARE, SCREENED_RING_SHARE = 0.2, 0.9  # of the power up to 2 kHz: in one bin, and in the band
STEADY_SHARE = 0.985  # of a frame's power in its lines
LINE_BINS = 3  # on either side of a line
LINE_FRAMES = 2
MAX_LEVEL_RATIO = 1.6  # between the parts of a frame, of 50 ms: of speech, few are that steady
LOWEST_HZ = 300.0  # of call-progress tones
SINGLE_HZ = np.array((400.0, 425.0, 440.0, 450.0, 950.0, 1_100.0, 1_400.0, 1_800.0))  # tones that come alone
SINGLE_DEVIATION_HZ = np.array(
    (5.0, 5.0, 5.0, 5.0, 52.0, 40.0, 52.0, 52.0)
)  # E.180 and T.30 (fax) allow so much
RING_HZ = (
    340.0,
    500.0,
)  # band of tones of 400 to 450 Hz that are modulated, as in Japan, India and Australia
MAX_RING_OCTAVE_DB = -34.0  # of the band an octave above; a vowel has more
MAX_RING_RATIO = 12.0  # between the parts of such a frame
MAX_HARMONIC_DB = -40.0  # of a tone that comes alone; a sung vowel has louder ones
CHORDS = np.array((4 / 3, 3 / 2, 2.0, 3.0, 4.0))  # ratios of harmonics, as of a vowel
MARGIN = RATE // 40  # samples added on both sides
GRID = 3 * LONG_HOP  # samples; both kinds of frames begin on it
MIN_POWER = 1e-8  # full scale = 1


def find_tones(samples: Floats, segments: Sequence[Segment] | None = None) -> list[Segment]:
    """Find keypad tones and call-progress tones: dial, ringback, busy, information, fax and howler tones.

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
    ITU-T Q.23 and Q.24, on keypad tones; E.180, on call-progress tones; T.30 and V.25, on a fax's.
    """
    places = segments if segments is not None else [Segment(0, samples.size)] if samples.size else []
    if not places:
        return []
    row = _Row(samples, places)
    active = np.zeros(row.samples.size // HOP, dtype=np.bool_)
    keys, howls = _screened(row)
    for run in segments_of(_keys(row, keys) | _howls(row, howls), HOP):  # around the centres of its frames
        row.mark(active, run.start + FRAME // 2 - MARGIN, run.stop - HOP + FRAME // 2 + MARGIN)
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


class _Row:
    """Segments in a row, each from a multiple of `GRID` samples on, so that frames of all are taken at once.

    samples : (samples,), with zeros between them.   slow : (samples / STEP,), sums of `STEP` samples.   starts :
    (segments + 1,), where each begins, and the end.
    """

    def __init__(self, samples: Floats, segments: Sequence[Segment]) -> None:
        lengths = np.array([len(segment) for segment in segments], dtype=np.int64)
        self.starts = np.concatenate(([0], np.cumsum(lengths // GRID + 1) * GRID))
        self.stops = self.starts[:-1] + lengths
        self.samples = np.zeros(self.starts[-1], dtype=np.float32)
        for segment, start in zip(segments, self.starts[:-1], strict=True):
            self.samples[start : start + len(segment)] = samples[segment.start : segment.stop]
        self.slow: Floats = (self.samples.reshape(-1, len(_SUMS)) @ _SUMS).reshape(-1)

    def within(self, size: int, hop: int) -> Bools:
        """Tell which frames of a size, `hop` samples apart, lie in one segment: (frames,)."""
        inside = np.zeros(max(0, (self.samples.size - size) // hop + 1), dtype=np.bool_)
        for start, stop in zip(self.starts[:-1], self.stops, strict=True):
            inside[start // hop : max(start, stop - size + hop) // hop] = True
        return inside

    def mark(self, active: Bools, start: int, stop: int) -> None:
        """Mark the hops from `start` to `stop`, as far as they are in the segment that holds their middle."""
        own = int(np.searchsorted(self.starts, (start + stop) // 2, side="right")) - 1
        first, last = max(start, self.starts[own]), min(stop, self.starts[own + 1])
        active[first // HOP : -(-last // HOP)] = True


def _keys(row: _Row, likely: Bools) -> Bools:
    """Decide which of the likely 25 ms frames, 15 ms apart, hold the two tones of a key: (frames,)."""
    at = np.flatnonzero(likely)
    found = np.zeros(len(likely), dtype=np.bool_)
    if at.size < KEY_FRAMES:
        return found
    windowed = frame_view(row.samples, FRAME, HOP)[at] * _WINDOW
    products, power = windowed @ _WAVES, np.einsum("ij,ij->i", windowed, windowed)
    lines: Complexes = products[:, :8] - np.complex64(1j) * products[:, 8:]
    levels = np.square(np.abs(lines)) * np.float32(2.0 * np.dot(_WINDOW, _WINDOW) / _WINDOW.sum() ** 2)
    rows = np.arange(at.size)
    keys = levels[:, :4].argmax(axis=1), 4 + levels[:, 4:].argmax(axis=1)
    low, high = (levels[rows, column] for column in keys)
    is_key = (low + high > KEY_SHARE * power) & (power > FRAME * MIN_POWER)
    is_key &= _are_level(low, high, MAX_TWIST_DB)
    if not is_key.any():
        return found
    following = np.diff(at) == 1
    for column in keys:  # the phase advances by the tone's frequency
        advance = np.angle(lines[rows[1:], column[1:]] * np.conj(lines[rows[:-1], column[1:]]))
        cycles = advance / (2.0 * np.pi) - _KEY_HZ[column[1:]] * HOP / RATE
        exact = (np.abs(cycles - np.rint(cycles)) * RATE / HOP < MAX_DEVIATION_HZ) & following
        is_key &= np.append(exact, False) | np.append(False, exact)
    found[at] = is_key
    kinds = np.zeros(len(found), dtype=np.intp)
    kinds[at] = 4 * keys[0] + keys[1]
    return _long_runs(found, kinds, KEY_FRAMES)


def _screened(row: _Row) -> tuple[Bools, Bools]:
    """Screen the frames of `_keys` and of `_howls` in a quarter of the samples: (frames,) each.

    Every other frame is enough: of two in succession, one is.
    """
    inside = row.within(FRAME, HOP)
    frames = frame_view(row.slow, FRAME // STEP, 2 * HOP // STEP)
    products, power = np.square(frames @ _SLOW_WAVES), np.square(frames) @ _SLOW_SQUARES
    levels = products[:, :8] + products[:, 8:16]
    low, high = levels[:, :4].max(axis=1), levels[:, 4:].max(axis=1)
    are_keys = (low + high > SCREENED_KEY_SHARE * power) & _are_level(low, high, SCREENED_TWIST_DB)
    are_howls = products[:, 16:].sum(axis=1) > SCREENED_HOWL_SHARE * power
    keys, howls = np.zeros((2, len(inside)), dtype=np.bool_)
    keys[::2], howls[::2] = (found[: (len(inside) + 1) // 2] for found in (are_keys, are_howls))
    return _widened(keys, KEY_FRAMES) & inside, _widened(howls, HOWL_FRAMES) & inside


def _are_level(low: Floats, high: Floats, most_db: float) -> Bools:
    """Tell where neither of two powers is that many dB over the other."""
    twist = np.float32(10.0 ** (most_db / 10.0))
    level: Bools = (low < twist * high) & (high < twist * low)
    return level


def _widened(mask: Bools, by: int) -> Bools:
    """Mark what is at most `by` entries from a marked one, too."""
    wide = mask.copy()
    for shift in range(1, by + 1):
        wide[shift:] |= mask[:-shift]
        wide[:-shift] |= mask[shift:]
    return wide


def _steady(row: _Row) -> Bools:
    """Decide which 200 ms frames, 50 ms apart, hold one or two call-progress tones and nothing else: (frames,)."""
    blocks = row.samples.reshape(-1, LONG_HOP)
    energy = frame_view(np.einsum("ij,ij->i", blocks, blocks), LONG_FRAME // LONG_HOP, 1)
    ratio = energy.max(axis=1, initial=0.0) / (energy.min(axis=1, initial=np.inf) + 1e-20)
    steady = row.within(LONG_FRAME, LONG_HOP)
    steady &= (ratio < MAX_RING_RATIO) & (energy.sum(axis=1) > LONG_FRAME * MIN_POWER)
    likely = np.zeros(len(steady), dtype=np.bool_)
    every_other = np.flatnonzero(steady[::2]) * 2  # of two in succession, one is among them
    likely[every_other] = _may_be_lines(_powers(row, every_other), RATE / LONG_FRAME)
    steady &= _widened(likely, LINE_FRAMES - 1)
    chosen = np.flatnonzero(steady)
    if not chosen.size:
        return steady
    power, step_hz = _powers(row, chosen), RATE / LONG_FRAME
    whole = np.square(frame_view(row.samples, LONG_FRAME, LONG_HOP)[chosen]) @ _LONG_SQUARES
    whole *= np.float32(0.5 * LONG_FRAME)
    pairs, alone = _lines(power, whole, step_hz)
    for line in (*pairs, alone):  # of each frame, its frequency in Hz, 0 for none
        hz = np.zeros(len(steady), dtype=np.float32)
        hz[chosen] = line
        near = (np.abs(np.diff(hz)) < step_hz) & (hz[1:] > 0.0) & (hz[:-1] > 0.0)
        line[:] = np.where(np.append(near, False) | np.append(False, near), hz, 0.0)[chosen]
    is_even = ratio[chosen] < MAX_LEVEL_RATIO
    steady[chosen] = (
        (is_even & ((pairs[0] * pairs[1] > 0.0) | (alone > 0.0)))
        | _rings(power, whole, step_hz)
        | _answers(row, chosen, power, whole)
    )
    return _long_runs(steady, np.zeros(len(steady), dtype=np.intp), LINE_FRAMES)


def _powers(row: _Row, frames: Ints) -> Floats:
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
    one &= (np.abs(hz[0] - SINGLE_HZ[:, None]) < SINGLE_DEVIATION_HZ[:, None]).any(axis=0)
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


def _answers(row: _Row, chosen: Ints, power: Floats, whole: Floats) -> Bools:
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


def _howls(row: _Row, likely: Bools) -> Bools:
    """Decide which of the likely 25 ms frames, 15 ms apart, hold the tones of a receiver off the hook: (frames,)."""
    at = np.flatnonzero(likely)
    windowed = frame_view(row.samples, FRAME, HOP)[at] * _WINDOW
    products = np.square(windowed @ _HOWL_WAVES) * np.float32(
        2.0 * np.dot(_WINDOW, _WINDOW) / _WINDOW.sum() ** 2
    )
    levels, power = products[:, :4] + products[:, 4:], np.einsum("ij,ij->i", windowed, windowed)
    found = np.zeros(len(likely), dtype=np.bool_)
    found[at] = (
        (levels.sum(axis=1) > HOWL_SHARE * power)
        & (levels.min(axis=1) > LEAST_HOWL * power)
        & (power > FRAME * MIN_POWER)
    )
    return _long_runs(found, np.zeros(len(found), dtype=np.intp), HOWL_FRAMES)


def _long_runs(likely: Bools, kinds: Ints, least: int) -> Bools:
    """Keep runs of at least `least` likely frames of one kind."""
    out = np.zeros(len(likely), dtype=np.bool_)
    if not likely.any():
        return out
    changes = np.flatnonzero(np.diff(np.where(likely, kinds, -1))) + 1
    edges = np.concatenate(([0], changes, [len(likely)]))
    for start, stop in itertools.pairwise(edges):
        out[start:stop] = likely[start] and stop - start >= least
    return out


def _hann(size: int) -> Floats:
    window: Floats = np.hanning(size + 1)[:-1].astype(np.float32)
    return window


def _waves(hz: Sequence[float] | Doubles, window: Floats, step: int = 1) -> Floats:
    """Make (samples, 2 · tones) cosines and sines at `RATE / step` in a window."""
    phases = 2.0 * np.pi * step / RATE * np.outer(np.arange(len(window)), hz)
    waves: Floats = (np.hstack((np.cos(phases), np.sin(phases))) * window[:, None]).astype(np.float32)
    return waves


def _slow_waves(hz: Sequence[float]) -> Floats:
    """Make waves for sums of `STEP` samples; the squares of their products are the power of a tone in them."""
    gain = np.float32(np.sqrt(2.0 * np.dot(_SLOW_WINDOW, _SLOW_WINDOW)) / _SLOW_WINDOW.sum())
    waves: Floats = _waves(hz, _SLOW_WINDOW, STEP) * gain
    return waves


def _correction() -> Floats:
    """Invert the response of the average over `STEP` samples, for powers, (bins,)."""
    turn = np.pi * np.arange(LONG_FRAME // STEP // 2 + 1) / LONG_FRAME
    response = np.ones(len(turn))
    response[1:] = np.sin(STEP * turn[1:]) / (STEP * np.sin(turn[1:]))
    factors: Floats = (response**-2.0).astype(np.float32)
    return factors


_KEY_HZ = np.array(LOW_HZ + HIGH_HZ)
_WINDOW = _hann(FRAME)
_WAVES, _HOWL_WAVES = (_waves(hz, np.ones_like(_WINDOW)) for hz in (_KEY_HZ, HOWL_HZ))
_LONG_WINDOW = _hann(LONG_FRAME // STEP)
_SUMS = np.repeat(np.eye(8, dtype=np.float32), STEP, axis=0)  # eight at a time: twice as fast as one by one
_SLOW_WINDOW = _hann(FRAME // STEP)
_SLOW_SQUARES = np.square(_SLOW_WINDOW)
_SLOW_HOWL_HZ = [hz if hz < RATE / STEP / 2 else RATE / STEP - hz for hz in HOWL_HZ[:3]]
_SLOW_WAVES = np.hstack((_slow_waves(LOW_HZ + HIGH_HZ), _slow_waves(_SLOW_HOWL_HZ)))
_ANSWER_WAVES = _waves(ANSWER_HZ + np.arange(-25.0, 26.0, RATE / LONG_FRAME), _hann(LONG_FRAME))
_LONG_SQUARES = np.square(_hann(LONG_FRAME))
_EVEN = _correction()
