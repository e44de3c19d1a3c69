"""Several pieces of sound laid end to end, so that what is done to their frames is done to all at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Numbers = TypeVar("Numbers", bound=npt.NDArray[Any])

_ALL = slice(None)


@dataclass(frozen=True)
class Ragged:
    """Which frames are whose, where the frames of pieces follow one another.

    counts : how many frames each piece has, one at least. Whatever is done to a frame alone is done to all in
    one call; here is what is done to a piece: sums over its frames, products with a matrix of its own, and
    smoothing that knows its ends. A short piece costs a few small calls, and not hundreds."""

    counts: tuple[int, ...]

    @cached_property
    def frames(self) -> int:
        return sum(self.counts)

    @cached_property
    def slices(self) -> list[slice]:
        """Of the frames of each piece."""
        stops = itertools.accumulate(self.counts)
        return [slice(stop - count, stop) for count, stop in zip(self.counts, stops, strict=True)]

    @cached_property
    def starts(self) -> Ints:
        """(pieces,) the first frame of each."""
        return np.array([own.start for own in self.slices], dtype=np.intp)

    @cached_property
    def stops(self) -> Ints:
        """(pieces,) the frame after the last of each."""
        return np.array([own.stop for own in self.slices], dtype=np.intp)

    @cached_property
    def which(self) -> Ints:
        """(frames,) the piece that each frame is of."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def local(self) -> Ints:
        """(frames,) the place of each frame in its piece."""
        return np.arange(self.frames) - self.spread(self.starts)

    def spread(self, values: Numbers, frames: slice = _ALL) -> Numbers:
        """(frames, ...) from (pieces, ...): to every frame what its piece has. Of one piece, (1, ...), which
        numpy spreads at no cost."""
        return values if len(self.counts) == 1 else cast(Numbers, values.take(self.which[frames], axis=0))

    def sums(self, values: Numbers) -> Numbers:
        """(pieces,) sums of (frames,)."""
        return cast(Numbers, np.add.reduceat(values, self.starts))

    def products(self, weights: Floats, rows: Floats) -> Floats:
        """(pieces, a, b) sums over the frames of each piece: of weights, (a, frames), times rows, (frames, b)."""
        if len(self.counts) == 1:
            whole: Floats = weights @ rows
            return whole[None]
        out = np.empty((len(self.counts), len(weights), rows.shape[1]), dtype=np.float32)
        for own, piece in zip(out, self.slices, strict=True):
            np.matmul(weights[:, piece], rows[piece], out=own)
        return out

    def through(self, rows: Floats, matrices: Floats) -> Floats:
        """(frames, b) from (frames, a), each times the matrix of its piece, of (pieces, a, b)."""
        if len(self.counts) == 1:
            mapped: Floats = rows @ matrices[0]
            return mapped
        out = np.empty((self.frames, matrices.shape[2]), dtype=np.float32)
        for matrix, piece in zip(matrices, self.slices, strict=True):
            np.matmul(rows[piece], matrix, out=out[piece])
        return out

    def padded(self, rows: Floats, reach: int) -> Floats:
        """`rows` with the first and the last of each piece `reach` times more."""
        if len(self.counts) == 1:
            return rows.take(np.arange(-reach, self.frames + reach), axis=0, mode="clip")
        wide = Ragged(tuple(count + 2 * reach for count in self.counts))
        at = np.arange(wide.frames) - reach * (2 * wide.which + 1)
        return cast(Floats, rows[at.clip(self.starts[wide.which], self.stops[wide.which] - 1, out=at)])

    def kept(self, rows: Floats, reach: int) -> Floats:
        """Of `rows`, one for each 2·reach + 1 padded ones, those within a piece."""
        return rows if len(self.counts) == 1 else rows[np.arange(self.frames) + 2 * reach * self.which]
