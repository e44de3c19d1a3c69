"""When things happen: smoothing over frames, and the same frames at other times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deident.dsp.ragged import Ragged
from deident.dsp.stft import Floats

Doubles = npt.NDArray[np.float64]


def smooth(rows: Floats, frames: float, joined: Ragged) -> Floats:
    """(n,) or (n, columns) float32 under a Gaussian of standard deviation `frames` along the first axis; the
    ends of each piece repeat."""
    reach = int(np.ceil(2.5 * frames))
    if reach == 0:
        return rows
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    padded = joined.padded(rows, reach)
    if rows.ndim == 1:
        return joined.kept(np.convolve(padded, taps, "valid"), reach)
    count = len(padded) - 2 * reach
    out: Floats = taps[reach] * padded[reach:-reach]
    pair = np.empty_like(out)
    for k in range(reach):  # symmetric: one product for two taps
        np.add(padded[k : k + count], padded[2 * reach - k :][:count], out=pair)
        pair *= taps[k]
        out += pair
    return joined.kept(out, reach)


def eased(knots: Doubles, step: float, joined: Ragged, start: Doubles | None = None) -> Doubles:
    """(frames,) for each piece a smooth curve through its knots `step` apart, used over and over.

    knots : (pieces, knots).   start : (pieces,) how many steps after the first knot each begins."""
    count = knots.shape[1]
    at = joined.local / step
    if start is not None:
        at += joined.spread(start)
    whole = at.astype(np.intp)
    part = at - whole
    part *= part * (3.0 - 2.0 * part)
    row = joined.spread(count * np.arange(len(knots)))
    left, right = knots.take(row + whole % count), knots.take(row + (whole + 1) % count)
    curve: Doubles = left + part * (right - left)
    return curve


def clamp_runs(pace: Doubles, quiet: npt.NDArray[np.bool_], longest: Doubles, joined: Ragged) -> Doubles:
    """`pace` with every run of quiet frames brought to at most `longest` frames of output.

    pace : (n,) frames of output for each frame of input.   longest : (pieces,)."""
    changes = quiet[1:] != quiet[:-1]
    changes[joined.starts[1:] - 1] = True
    edges = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(quiet)]))
    firsts = edges[:-1]
    factor = np.minimum(1.0, longest[joined.which[firsts]] / np.maximum(np.add.reduceat(pace, firsts), 1e-9))
    factor[~quiet[firsts]] = 1.0
    out: Doubles = pace * np.repeat(factor, np.diff(edges))
    return out


def places(pace: Doubles, joined: Ragged, into: Ragged) -> Doubles:
    """(frames of output,) for the middle of each, the place among the frames of input, in between included.

    joined, into : of the frames of input, and of output."""
    ends = np.concatenate(([0.0], np.cumsum(pace)))
    at = into.local + (into.spread(ends[joined.starts]) + 0.5)
    at = np.interp(at, ends, np.arange(len(ends), dtype=np.float64)) - 0.5
    within: Doubles = np.clip(at, into.spread(joined.starts), into.spread(joined.stops - 1.0))
    return within


def rows_at(rows: Floats, at: Doubles) -> Floats:
    """(count, ...) float32: the rows at these places, in between by straight lines."""
    left = at.astype(np.intp)
    right = np.minimum(left + 1, len(rows) - 1)
    part = (at - left).astype(np.float32).reshape(-1, *(1,) * (rows.ndim - 1))
    from_left = rows[left]
    return from_left + part * (rows[right] - from_left)
