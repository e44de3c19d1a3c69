"""Detection of tones of 40 ms and more: of keypads (DTMF), of exchanges (MF, R2), of howlers, and of pulses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deident.audio import RATE, Bools, Complexes, Floats, Ints
from deident.dsp.stft import frame_view
from deident.dsp.tone_frames import FRAME, HOP, MIN_POWER, STEP, Row, hann, long_runs, waves, widened

LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1_209.0, 1_336.0, 1_477.0, 1_633.0)
MF_HZ = (700.0, 900.0, 1_100.0, 1_300.0, 1_500.0, 1_700.0)  # R1 and C5
FORWARD_HZ = (1_380.0, 1_500.0, 1_620.0, 1_740.0, 1_860.0, 1_980.0)  # R2
BACKWARD_HZ = (540.0, 660.0, 780.0, 900.0, 1_020.0, 1_140.0)
SIGNAL_HZ = (
    2_130.0,
    2_400.0,
    2_600.0,
    2_750.0,
)  # of a caller's identification (CAS), and between exchanges (C5)
MAX_DEVIATION_HZ = 28.0  # of a tone; 33 Hz is the most that can be told
KEY_FRAMES = 2  # of one key, in succession
SCREENED_KEY_SHARE, SCREENED_TWIST_DB = 0.4, 18.0  # where a key is looked for closely
HOWL_HZ = (1_400.0, 2_060.0, 2_450.0, 2_600.0)  # for a tenth of a second, every two tenths
HOWL_SHARE, LEAST_HOWL = 0.8, 0.03  # of a frame's power in its four tones, and in the weakest
SCREENED_HOWL_SHARE = 0.4
HOWL_FRAMES = 3  # in succession
PULSE_FRAME = RATE // 20  # 50 ms, which tells 350 from 440 Hz; a pulse takes 100 ms
STUTTER_HZ, WAITING_HZ = (350.0, 440.0), 400.0  # of a dial tone with a message, and of a British call waiting
PULSE_SHARE, SCREENED_PULSE_SHARE = 0.95, 0.8  # of a frame's power; of speech in a telephone band, up to 0.92
MAX_PULSE_TWIST_DB = 8.0
MAX_OVERTONE_DB = -40.0  # of a tone that comes alone; a sung vowel has louder ones


class Code(NamedTuple):
    """Pairs of tones that stand for digits.

    hz : of its tones.   share : of a frame's power in the two.   twist_db : between the two.   is_grid : each pair
    has one tone of the lower half and one of the upper; any two otherwise.
    """

    hz: tuple[float, ...]
    share: float
    twist_db: float
    is_grid: bool = False

    def loudest(self, levels: Floats) -> tuple[Floats, Floats]:
        """Take the levels of the pair of each frame, of (tones, frames): (frames,) each."""
        if self.is_grid:
            middle = len(levels) // 2
            return levels[:middle].max(axis=0), levels[middle:].max(axis=0)
        first, second = np.maximum(levels[0], levels[1]), np.minimum(levels[0], levels[1])
        for level in levels[2:]:
            second = np.maximum(second, np.minimum(first, level))
            first = np.maximum(first, level)
        return first, second

    def choose(self, levels: Floats) -> tuple[Ints, Ints]:
        """Choose the columns of the pair of each frame, of (frames, tones): (frames,) each, in order."""
        if self.is_grid:
            middle = levels.shape[1] // 2
            return levels[:, :middle].argmax(axis=1), middle + levels[:, middle:].argmax(axis=1)
        columns = np.sort(np.argpartition(levels, -2, axis=1)[:, -2:], axis=1)
        return columns[:, 0], columns[:, 1]


def find_short_tones(row: Row) -> tuple[Bools, Bools]:
    """Decide which frames, 15 ms apart, hold digits or howls, of 25 ms, and pulses, of 50 ms: (frames,) each."""
    *digits, howls, pulses = _screened(row)
    found = _howls(row, howls)
    for code, likely in zip(CODES, digits, strict=True):
        found |= _digits(row, code, likely)
    return found, _pulses(row, pulses)


# Shares: at 5 dB over noise and 1.5 % off their frequencies; a voice in a telephone band has up to .77 of its power in
# two tones of MF, and .95 in two of those that go backward. Twist: what the standards allow, 8, 6 and 7 dB, and what
# lines and codecs add.
CODES = (
    Code(LOW_HZ + HIGH_HZ, 0.7, 12.0, is_grid=True),
    Code(MF_HZ, 0.8, 8.0),
    Code(FORWARD_HZ, 0.8, 8.0),
    Code(BACKWARD_HZ, 0.95, 8.0),
    Code(SIGNAL_HZ, 0.8, 8.0),
)


def _digits(row: Row, code: Code, likely: Bools) -> Bools:
    """Decide which of the likely 25 ms frames, 15 ms apart, hold the two tones of a digit: (frames,)."""
    at = np.flatnonzero(likely)
    found = np.zeros(len(likely), dtype=np.bool_)
    if at.size < KEY_FRAMES:
        return found
    hz = np.array(code.hz)
    windowed = frame_view(row.samples, FRAME, HOP)[at] * _WINDOW
    products, power = windowed @ _WAVES[code], np.einsum("ij,ij->i", windowed, windowed)
    squares = np.square(products)
    levels = (squares[:, : len(hz)] + squares[:, len(hz) :]) * _UNIT
    low, high = code.loudest(levels.T)
    is_digit = (low + high > code.share * power) & (power > FRAME * MIN_POWER)
    is_digit &= _are_level(low, high, code.twist_db)
    if not is_digit.any():
        return found
    lines: Complexes = products[:, : len(hz)] - np.complex64(1j) * products[:, len(hz) :]
    rows, columns = np.arange(at.size), code.choose(levels)
    following = np.diff(at) == 1
    for column in columns:  # the phase advances by the tone's frequency
        advance = np.angle(lines[rows[1:], column[1:]] * np.conj(lines[rows[:-1], column[1:]]))
        cycles = advance / (2.0 * np.pi) - hz[column[1:]] * HOP / RATE
        exact = (np.abs(cycles - np.rint(cycles)) * RATE / HOP < MAX_DEVIATION_HZ) & following
        is_digit &= np.append(exact, False) | np.append(False, exact)
    found[at] = is_digit
    kinds = np.zeros(len(found), dtype=np.intp)
    kinds[at] = len(hz) * columns[0] + columns[1]
    return long_runs(found, kinds, KEY_FRAMES)


def _screened(row: Row) -> list[Bools]:
    """Screen the frames of `_digits`, by code, `_howls` and `_pulses` in a quarter of the samples: (frames,) each.

    Every other frame is enough: of two in succession, one is.
    """
    inside = row.within(FRAME, HOP)
    frames = frame_view(row.slow, FRAME // STEP, 2 * HOP // STEP)
    products, power = np.square(_SLOW_WAVES @ frames.T), np.square(frames) @ _SLOW_SQUARES
    first, screens = 0, []
    for code in CODES:
        count = len(code.hz)
        low, high = code.loudest(
            products[first : first + count] + products[first + count : first + 2 * count]
        )
        are_loud = low + high > SCREENED_KEY_SHARE * power
        screens.append((are_loud & _are_level(low, high, SCREENED_TWIST_DB), KEY_FRAMES))
        first += 2 * count
    for count, share, least in ((6, SCREENED_HOWL_SHARE, HOWL_FRAMES), (6, SCREENED_PULSE_SHARE, KEY_FRAMES)):
        screens.append((products[first : first + count].sum(axis=0) > share * power, least))
        first += count
    masks = []
    for found, least in screens:
        mask = np.zeros(len(inside), dtype=np.bool_)
        mask[::2] = found[: (len(inside) + 1) // 2]
        masks.append(widened(mask, least) & inside)
    return masks


def _are_level(low: Floats, high: Floats, most_db: float) -> Bools:
    """Tell where neither of two powers is that many dB over the other."""
    twist = np.float32(10.0 ** (most_db / 10.0))
    level: Bools = (low < twist * high) & (high < twist * low)
    return level


def _howls(row: Row, likely: Bools) -> Bools:
    """Decide which of the likely 25 ms frames, 15 ms apart, hold the tones of a receiver off the hook: (frames,)."""
    at = np.flatnonzero(likely)
    windowed = frame_view(row.samples, FRAME, HOP)[at] * _WINDOW
    products = np.square(windowed @ _HOWL_WAVES) * _UNIT
    levels, power = products[:, :4] + products[:, 4:], np.einsum("ij,ij->i", windowed, windowed)
    found = np.zeros(len(likely), dtype=np.bool_)
    found[at] = (
        (levels.sum(axis=1) > HOWL_SHARE * power)
        & (levels.min(axis=1) > LEAST_HOWL * power)
        & (power > FRAME * MIN_POWER)
    )
    return long_runs(found, np.zeros(len(found), dtype=np.intp), HOWL_FRAMES)


def _pulses(row: Row, likely: Bools) -> Bools:
    """Decide which of the likely 50 ms frames, 15 ms apart, hold a dial tone or a call waiting: (frames,)."""
    found = row.within(PULSE_FRAME, HOP)
    found &= likely[: len(found)]
    at = np.flatnonzero(found)
    if not at.size:
        return found
    windowed = frame_view(row.samples, PULSE_FRAME, HOP)[at] * _PULSE_WINDOW
    products, power = np.square(windowed @ _PULSE_WAVES), np.einsum("ij,ij->i", windowed, windowed)
    count = products.shape[1] // 2
    low, high, alone, *overtones = (products[:, :count] + products[:, count:]).T * _PULSE_UNIT
    are_pairs = (low + high > PULSE_SHARE * power) & _are_level(low, high, MAX_PULSE_TWIST_DB)
    most = np.float32(10.0 ** (MAX_OVERTONE_DB / 10.0))
    are_alone = (alone > PULSE_SHARE * power) & (np.max(overtones, axis=0) < most * alone)
    found[at] = (are_pairs | are_alone) & (power > PULSE_FRAME * MIN_POWER)
    return long_runs(found, np.zeros(len(found), dtype=np.intp), KEY_FRAMES)


def _slow_waves(hz: tuple[float, ...]) -> Floats:
    """Make waves for sums of `STEP` samples; the squares of their products are the power of a tone in them.

    Tones above half the rate of the sums are mirrored there.
    """
    hz = tuple(min(tone, RATE / STEP - tone) for tone in hz)
    gain = np.float32(np.sqrt(2.0 * np.dot(_SLOW_WINDOW, _SLOW_WINDOW)) / _SLOW_WINDOW.sum())
    slow: Floats = waves(hz, _SLOW_WINDOW, STEP) * gain
    return slow


_WINDOW = hann(FRAME)
_UNIT = np.float32(2.0 * np.dot(_WINDOW, _WINDOW) / _WINDOW.sum() ** 2)
_WAVES = {code: waves(code.hz, np.ones_like(_WINDOW)) for code in CODES}
_HOWL_WAVES = waves(HOWL_HZ, np.ones_like(_WINDOW))
_SLOW_WINDOW = hann(FRAME // STEP)
_SLOW_SQUARES = np.square(_SLOW_WINDOW)
_PULSE_WINDOW = hann(PULSE_FRAME)
_PULSE_UNIT = np.float32(2.0 * np.dot(_PULSE_WINDOW, _PULSE_WINDOW) / _PULSE_WINDOW.sum() ** 2)
_PULSE_HZ = (*STUTTER_HZ, *(WAITING_HZ * n for n in (1, 2, 3, 4)))
_PULSE_WAVES = waves(_PULSE_HZ, np.ones_like(_PULSE_WINDOW))
_SLOW_TONES = (*(code.hz for code in CODES), HOWL_HZ[:3], (*STUTTER_HZ, WAITING_HZ))
_SLOW_WAVES = np.hstack([_slow_waves(hz) for hz in _SLOW_TONES]).T.copy()
