"""Detection of signalling tones on telephone lines: keypad (DTMF) and call-progress tones."""

from __future__ import annotations

import itertools

import numpy as np

from deident.audio import RATE, Bools, Complexes, Floats, Ints, Segment, segments_of
from deident.dsp import fft
from deident.dsp.stft import BLOCK, frame_view

LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1_209.0, 1_336.0, 1_477.0, 1_633.0)
FRAME, HOP = RATE // 40, 3 * RATE // 200  # 25 ms, every 15 ms: a key sounds for 40 ms at least
KEY_SHARE = 0.7  # of a frame's power in its two tones, at 5 dB over noise and 1.5 % off their frequencies
MAX_TWIST_DB = 12.0  # between the two tones: 8 by the standard, and what lines and codecs add
MAX_DEVIATION_HZ = 28.0  # of a tone; 33 Hz is the most that can be told
KEY_FRAMES = 2  # of one key, in succession
STEP = 4  # samples averaged into one before the search for steady tones, up to 2 kHz
LONG_FRAME, LONG_HOP = RATE // 5, RATE // 20  # 200 ms: a busy tone sounds for 250 ms at least
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
MIN_POWER = 1e-8  # full scale = 1


def find_tones(samples: Floats) -> list[Segment]:
    """Find keypad tones and steady call-progress tones: dial, ringback, busy and information tones.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.

    Returns
    -------
    list of Segment
        In order, apart, with a margin of 25 ms.

    References
    ----------
    ITU-T Q.23 and Q.24, on keypad tones; E.180, on call-progress tones.
    """
    active = np.zeros(-(-samples.size // HOP), dtype=np.bool_)
    for run in segments_of(_keys(samples), HOP):  # around the centres of its frames
        stop = run.stop - HOP + FRAME // 2 + MARGIN
        active[max(0, run.start + FRAME // 2 - MARGIN) // HOP : -(-stop // HOP)] = True
    for run in segments_of(_steady(samples), LONG_HOP):
        stop = run.stop - LONG_HOP + LONG_FRAME + MARGIN
        active[max(0, run.start - MARGIN) // HOP : -(-stop // HOP)] = True
    return [Segment(s.start, min(s.stop, samples.size)) for s in segments_of(active, HOP)]


def _keys(samples: Floats) -> Bools:
    """Decide which 25 ms frames, 15 ms apart, hold the two tones of a key: (frames,)."""
    frames = frame_view(samples, FRAME, HOP)
    count = len(frames)
    if count < KEY_FRAMES:
        return np.zeros(count, dtype=np.bool_)
    products, power = np.empty((count, 16), np.float32), np.empty(count, np.float32)
    for start in range(0, count, BLOCK):
        windowed = frames[start : start + BLOCK] * _WINDOW
        np.matmul(windowed, _WAVES, out=products[start : start + BLOCK])
        np.einsum("ij,ij->i", windowed, windowed, out=power[start : start + BLOCK])
    lines: Complexes = products[:, :8] - np.complex64(1j) * products[:, 8:]
    levels = np.square(np.abs(lines)) * np.float32(2.0 * np.dot(_WINDOW, _WINDOW) / _WINDOW.sum() ** 2)
    rows = np.arange(count)
    keys = levels[:, :4].argmax(axis=1), 4 + levels[:, 4:].argmax(axis=1)
    low, high = (levels[rows, column] for column in keys)
    likely: Bools = (low + high > KEY_SHARE * power) & (power > FRAME * MIN_POWER)
    twist = 10.0 ** (MAX_TWIST_DB / 10.0)
    likely &= (low < twist * high) & (high < twist * low)
    if not likely.any():
        return likely
    for column in keys:  # the phase advances by the tone's frequency
        advance = np.angle(lines[rows[1:], column[1:]] * np.conj(lines[rows[:-1], column[1:]]))
        cycles = advance / (2.0 * np.pi) - _KEY_HZ[column[1:]] * HOP / RATE
        exact = np.abs(cycles - np.rint(cycles)) * RATE / HOP < MAX_DEVIATION_HZ
        likely &= np.append(exact, False) | np.insert(exact, 0, False)
    return _long_runs(likely, 4 * keys[0] + keys[1], KEY_FRAMES)


def _steady(samples: Floats) -> Bools:
    """Decide which 200 ms frames, 50 ms apart, hold one or two call-progress tones and nothing else: (frames,)."""
    size, rate = LONG_FRAME // STEP, RATE // STEP
    blocks = samples[: samples.size // LONG_HOP * LONG_HOP].reshape(-1, LONG_HOP)
    energy = frame_view(np.einsum("ij,ij->i", blocks, blocks), LONG_FRAME // LONG_HOP, 1)
    ratio = energy.max(axis=1, initial=0.0) / (energy.min(axis=1, initial=np.inf) + 1e-20)
    steady: Bools = (ratio < MAX_RING_RATIO) & (energy.sum(axis=1) > LONG_FRAME * MIN_POWER)
    chosen = np.flatnonzero(steady)
    if not chosen.size:
        return steady
    frames = frame_view(samples, LONG_FRAME, LONG_HOP)[chosen]
    slow = (frames.reshape(-1, STEP) @ np.ones(STEP, np.float32)).reshape(-1, size)
    power = np.square(np.abs(fft.rfft(slow * _LONG_WINDOW)))
    power *= _EVEN
    whole = (np.square(frames) @ _LONG_SQUARES) * np.float32(0.5 * size * STEP)
    pairs, alone = _lines(power, whole, rate / size)
    for line in (*pairs, alone):  # of each frame, its frequency in Hz, 0 for none
        hz = np.zeros(len(steady), dtype=np.float32)
        hz[chosen] = line
        near = (np.abs(np.diff(hz)) < rate / size) & (hz[1:] > 0.0) & (hz[:-1] > 0.0)
        line[:] = np.where(np.append(near, False) | np.insert(near, 0, False), hz, 0.0)[chosen]
    is_even = ratio[chosen] < MAX_LEVEL_RATIO
    steady[chosen] = (is_even & ((pairs[0] * pairs[1] > 0.0) | (alone > 0.0))) | _rings(
        power, whole, rate / size
    )
    return _long_runs(steady, np.zeros(len(steady), dtype=np.intp), LINE_FRAMES)


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


def _long_runs(likely: Bools, kinds: Ints, least: int) -> Bools:
    """Keep runs of at least `least` likely frames of one kind."""
    out = np.zeros(len(likely), dtype=np.bool_)
    changes = np.flatnonzero(np.diff(np.where(likely, kinds, -1))) + 1
    edges = np.concatenate(([0], changes, [len(likely)]))
    for start, stop in itertools.pairwise(edges):
        out[start:stop] = likely[start] and stop - start >= least
    return out


def _hann(size: int) -> Floats:
    window: Floats = np.hanning(size + 1)[:-1].astype(np.float32)
    return window


def _correction() -> Floats:
    """Invert the response of the average over `STEP` samples, for powers, (bins,)."""
    turn = np.pi * np.arange(LONG_FRAME // STEP // 2 + 1) / LONG_FRAME
    response = np.ones(len(turn))
    response[1:] = np.sin(STEP * turn[1:]) / (STEP * np.sin(turn[1:]))
    factors: Floats = (response**-2.0).astype(np.float32)
    return factors


_KEY_HZ = np.array(LOW_HZ + HIGH_HZ)
_PHASES = 2.0 * np.pi / RATE * np.outer(np.arange(FRAME), _KEY_HZ)
_WAVES = np.hstack((np.cos(_PHASES), np.sin(_PHASES))).astype(np.float32)
_WINDOW = _hann(FRAME)
_LONG_WINDOW = _hann(LONG_FRAME // STEP)
_LONG_SQUARES = np.square(_hann(LONG_FRAME))
_EVEN = _correction()
