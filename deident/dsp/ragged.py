"""Ragged batches: frames of several snippets in one array, so that one call works on all of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from deident.audio import Floats, Ints

Numbers = TypeVar("Numbers", bound=npt.NDArray[Any])

_ALL = slice(None)


@dataclass(frozen=True)
class Ragged:
    """Layout of a ragged batch: the frames of several segments, one segment after another.

    What concerns single frames is done to all in one call. The methods here do what concerns segments: sums over
    their frames, products with a matrix each, smoothing that knows their ends. A short segment then costs a few
    small calls instead of hundreds.

    Parameters
    ----------
    counts : tuple of int
        Frames of each segment, at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> batch = Ragged((2, 3))
    >>> batch.segment_ids
    array([0, 0, 1, 1, 1])
    >>> batch.segment_sum(np.arange(5.0))
    array([1., 9.])
    """

    counts: tuple[int, ...]

    @cached_property
    def frames(self) -> int:
        """Number of frames of all segments."""
        return sum(self.counts)

    @cached_property
    def slices(self) -> list[slice]:
        """The frames of each segment."""
        stops = itertools.accumulate(self.counts)
        return [slice(stop - count, stop) for count, stop in zip(self.counts, stops, strict=True)]

    @cached_property
    def starts(self) -> Ints:
        """(segments,) the first frame of each."""
        return np.array([own.start for own in self.slices], dtype=np.intp)

    @cached_property
    def stops(self) -> Ints:
        """(segments,) the frame after the last of each."""
        return np.array([own.stop for own in self.slices], dtype=np.intp)

    @cached_property
    def segment_ids(self) -> Ints:
        """(frames,) the segment that each frame belongs to."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def local_index(self) -> Ints:
        """(frames,) the index of each frame in its segment."""
        return np.arange(self.frames) - self.spread(self.starts)

    def spread(self, values: Numbers, frames: slice = _ALL) -> Numbers:
        """Repeat (segments, ...) for every frame, as (frames, ...).

        Of a single segment it stays (1, ...), which numpy broadcasts at no cost.
        """
        return (
            values if len(self.counts) == 1 else cast(Numbers, values.take(self.segment_ids[frames], axis=0))
        )

    def segment_sum(self, values: Numbers) -> Numbers:
        """Sum (frames,) over the frames of each segment, to (segments,)."""
        return cast(Numbers, np.add.reduceat(values, self.starts))

    def segment_product(self, weights: Floats, rows: Floats) -> Floats:
        """Multiply (a, frames) weights by (frames, b) rows segment by segment, to (segments, a, b)."""
        if len(self.counts) == 1:
            whole: Floats = weights @ rows
            return whole[None]
        out = np.empty((len(self.counts), len(weights), rows.shape[1]), dtype=np.float32)
        for own, segment in zip(out, self.slices, strict=True):
            np.matmul(weights[:, segment], rows[segment], out=own)
        return out

    def transform(self, rows: Floats, matrices: Floats) -> Floats:
        """Multiply each of (frames, a) rows by its segment's matrix of (segments, a, b), to (frames, b)."""
        if len(self.counts) == 1:
            mapped: Floats = rows @ matrices[0]
            return mapped
        out = np.empty((self.frames, matrices.shape[2]), dtype=np.float32)
        for matrix, segment in zip(matrices, self.slices, strict=True):
            np.matmul(rows[segment], matrix, out=out[segment])
        return out

    def pad(self, rows: Floats, reach: int) -> Floats:
        """Repeat the first and the last row of each segment `reach` times more."""
        if len(self.counts) == 1:
            return rows.take(np.arange(-reach, self.frames + reach), axis=0, mode="clip")
        wide = Ragged(tuple(count + 2 * reach for count in self.counts))
        at = np.arange(wide.frames) - reach * (2 * wide.segment_ids + 1)
        first, last = self.starts[wide.segment_ids], self.stops[wide.segment_ids] - 1
        return cast(Floats, rows[at.clip(first, last, out=at)])

    def unpad(self, rows: Floats, reach: int) -> Floats:
        """Keep the rows that lie within a segment, of one for each window of 2·reach + 1 padded ones."""
        return rows if len(self.counts) == 1 else rows[np.arange(self.frames) + 2 * reach * self.segment_ids]
