"""Detection of hold music: its power lies in narrow lines that stay for a while, that of speech does not.

A voice moves its pitch all the time, and its formants change the level of every harmonic: in 200 ms, a harmonic of
1 to 3 kHz spreads over more than the resolution of a frame. The notes of instruments stand still meanwhile, also
under percussion, on a telephone line and through its codecs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deident.audio import RATE, Bools, Floats, Ints, Segment, segments_of
from deident.dsp import fft

FRAME = RATE // 5  # 200 ms, without overlap
STEP = 2  # samples averaged into one
BAND_HZ = (1_100.0, 3_400.0)
PEAK_BINS = 4  # on either side, over which a peak is the highest
LINE_BINS = 2  # on either side of a peak: 10 Hz
LEAST_SHARE, FULL_SHARE = 0.65, 0.9  # of the band's power within lines, for a tonality of 0 and of 1
WINDOW = 20  # frames: 4 s of what was taken for speech
MIN_TONALITY = (
    0.62  # mean of a window; that of speech stays under 0.45, with a pitch that never moves under 0.6
)
EDGE_TONALITY = 0.52  # of windows that continue music
SCREENED_TONALITY = 0.45  # mean of every other frame of a window
MIN_POWER = 1e-8  # full scale = 1


def find_music(samples: Floats, segments: Sequence[Segment]) -> list[Segment]:
    """Find music of some seconds among speech segments.

    Parameters
    ----------
    samples : (samples,) float32
        At 16 kHz.
    segments : sequence of Segment
        What was taken for speech, in order.

    Returns
    -------
    list of Segment
        In order, apart, to a fifth of a second. Music may reach over pauses between segments.
    """
    starts = [np.arange(segment.start, segment.stop - FRAME + 1, FRAME) for segment in segments]
    at = np.concatenate([np.zeros(0, dtype=np.intp), *starts])
    if at.size < WINDOW:
        return []
    every_other = _tonality(samples, at[::2])
    if _means(every_other, WINDOW // 2).max() < SCREENED_TONALITY:
        return []
    tonality = np.empty(at.size, dtype=np.float32)
    tonality[::2], tonality[1::2] = every_other, _tonality(samples, at[1::2])
    means = _means(tonality, WINDOW)
    found = []
    for run in segments_of(means > EDGE_TONALITY):
        if means[run.start : run.stop].max() < MIN_TONALITY:
            continue
        first, last = _most_tonal(tonality[run.start : run.stop + WINDOW - 1])
        found.append(Segment(int(at[run.start + first]), int(at[run.start + last]) + FRAME))
    return found


def _most_tonal(tonality: Floats) -> tuple[int, int]:
    """Locate the first and the last of the frames in which tonality outweighs the lack of it most."""
    sums = np.concatenate(([0.0], np.cumsum(tonality - np.float32(EDGE_TONALITY), dtype=np.float64)))
    stop = int(np.argmax(sums - np.minimum.accumulate(sums)))
    return int(np.argmin(sums[: stop + 1])), stop - 1


def _tonality(samples: Floats, at: Ints) -> Floats:
    """Measure the tonality of the frames that begin at some samples, 0 to 1: (frames,)."""
    power = _powers(samples, at)
    band = power[:, PEAK_BINS:-PEAK_BINS]
    whole = band.sum(axis=1)
    share = (band * _near_peaks(power)).sum(axis=1) / (whole + np.float32(1e-20))
    share[whole < MIN_POWER * _UNIT] = 0.0
    tonality: Floats = np.clip((share - LEAST_SHARE) / (FULL_SHARE - LEAST_SHARE), 0.0, 1.0)
    return tonality


def _powers(samples: Floats, at: Ints) -> Floats:
    """Measure the power in the band and `PEAK_BINS` beside it of the frames that begin at some samples."""
    frames = np.empty((len(at), FRAME // STEP), dtype=np.float32)
    for row, start in zip(frames, at.tolist(), strict=True):
        np.add(samples[start : start + FRAME : STEP], samples[start + 1 : start + FRAME : STEP], out=row)
    frames *= _WINDOW
    parts = fft.rfft(frames).view(np.float32)[:, 2 * (_LOW - PEAK_BINS) : 2 * (_HIGH + PEAK_BINS)]
    parts *= parts
    power: Floats = parts[:, ::2] + parts[:, 1::2]
    return power


def _near_peaks(power: Floats) -> Bools:
    """Mark the bins of the band that lie within `LINE_BINS` of a peak, (frames, bins).

    power : (frames, bins + 2 · PEAK_BINS), of the band and of what is beside it.
    """
    count = power.shape[1] - 2 * PEAK_BINS
    highest = power[:, PEAK_BINS : PEAK_BINS + count]
    peak = np.ones(highest.shape, dtype=np.bool_)
    for shift in range(1, PEAK_BINS + 1):
        peak &= highest >= power[:, PEAK_BINS - shift : PEAK_BINS - shift + count]
        peak &= highest >= power[:, PEAK_BINS + shift : PEAK_BINS + shift + count]
    near = peak.copy()
    for shift in range(1, LINE_BINS + 1):
        near[:, shift:] |= peak[:, :-shift]
        near[:, :-shift] |= peak[:, shift:]
    return near


def _means(values: Floats, window: int) -> Floats:
    """Average every `window` successive values: (values - window + 1,)."""
    sums = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    means: Floats = ((sums[window:] - sums[:-window]) / window).astype(np.float32)
    return means


_WINDOW = np.hanning(FRAME // STEP + 1)[:-1].astype(np.float32)
_LOW, _HIGH = (round(hz * FRAME / RATE) for hz in BAND_HZ)
_UNIT = np.float32(0.5 * STEP**2 * (FRAME // STEP) * np.dot(_WINDOW, _WINDOW))  # power of a full-scale band
