"""Speech segments in a row, and what the searches for tones in them share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from deident.audio import RATE, Bools, Doubles, Floats, Ints, Segment

FRAME, HOP = RATE // 40, 3 * RATE // 200  # 25 ms, every 15 ms: a key sounds for 40 ms at least
LONG_FRAME, LONG_HOP = RATE // 5, RATE // 20  # 200 ms: a busy tone sounds for 250 ms at least
GRID = 3 * LONG_HOP  # samples; both kinds of frames begin on it
ENERGY_BLOCK = RATE // 400  # 2.5 ms
STEP = 4  # samples averaged into one before a search up to 2 kHz
MIN_POWER = 1e-8  # full scale = 1


class Row:
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
        self.slow: Floats = self.samples[::STEP] + self.samples[1::STEP]
        for first in range(2, STEP):  # three times as fast as the sum of an axis
            self.slow += self.samples[first::STEP]
        blocks = self.samples.reshape(-1, ENERGY_BLOCK)
        self._energy: Floats = np.einsum("ij,ij->i", blocks, blocks)

    def energies(self, size: int) -> Floats:
        """Measure the energies of blocks of a size, a multiple of `ENERGY_BLOCK`: (blocks,)."""
        count = size // ENERGY_BLOCK
        return (
            self._energy.reshape(-1, count) @ np.ones(count, dtype=np.float32) if count > 1 else self._energy
        )

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


def widened(mask: Bools, by: int) -> Bools:
    """Mark what is at most `by` entries from a marked one, too."""
    wide = mask.copy()
    for shift in range(1, by + 1):
        wide[shift:] |= mask[:-shift]
        wide[:-shift] |= mask[shift:]
    return wide


def long_runs(likely: Bools, kinds: Ints, least: int) -> Bools:
    """Keep runs of at least `least` likely frames of one kind."""
    out = np.zeros(len(likely), dtype=np.bool_)
    if not likely.any():
        return out
    changes = np.flatnonzero(np.diff(np.where(likely, kinds, -1))) + 1
    edges = np.concatenate(([0], changes, [len(likely)]))
    for start, stop in itertools.pairwise(edges):
        out[start:stop] = likely[start] and stop - start >= least
    return out


def hann(size: int) -> Floats:
    window: Floats = np.hanning(size + 1)[:-1].astype(np.float32)
    return window


def waves(hz: Sequence[float] | Doubles, window: Floats, step: int = 1) -> Floats:
    """Make (samples, 2 · tones) cosines and sines at `RATE / step` in a window."""
    phases = 2.0 * np.pi * step / RATE * np.outer(np.arange(len(window)), hz)
    waves: Floats = (np.hstack((np.cos(phases), np.sin(phases))) * window[:, None]).astype(np.float32)
    return waves
