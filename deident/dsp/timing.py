"""When things happen: smoothing over frames, and the same frames at other times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deident.dsp.stft import Floats

Doubles = npt.NDArray[np.float64]


def smooth(rows: Floats, frames: float) -> Floats:
    """(n,) or (n, columns) float32 under a Gaussian of standard deviation `frames` along the first axis; ends
    repeat."""
    reach = int(np.ceil(2.5 * frames))
    if reach == 0:
        return rows
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    padded = np.empty((len(rows) + 2 * reach, *rows.shape[1:]), dtype=np.float32)
    padded[reach:-reach] = rows
    padded[:reach], padded[-reach:] = rows[0], rows[-1]
    if rows.ndim == 1:
        return np.convolve(padded, taps, "valid")
    out: Floats = taps[reach] * rows
    pair = np.empty_like(out)
    for k in range(reach):  # symmetric: one product for two taps
        np.add(padded[k : k + len(rows)], padded[2 * reach - k :][: len(rows)], out=pair)
        pair *= taps[k]
        out += pair
    return out


def eased(knots: Doubles, step: float, count: int, start: float = 0.0) -> Doubles:
    """(count,) a smooth curve through knots `step` apart, used over and over; from `start` steps on."""
    at = np.arange(count) / step + start
    whole = at.astype(np.intp)
    part = at - whole
    part *= part * (3.0 - 2.0 * part)
    left, right = knots[whole % len(knots)], knots[(whole + 1) % len(knots)]
    return left + part * (right - left)


def clamp_runs(pace: Doubles, quiet: npt.NDArray[np.bool_], longest: float) -> Doubles:
    """`pace` with every run of quiet frames brought to at most `longest` frames of output.

    pace : (n,) frames of output for each frame of input."""
    changes = np.flatnonzero(quiet[1:] != quiet[:-1]) + 1
    edges = np.concatenate(([0], changes, [len(quiet)]))
    lasts = np.add.reduceat(pace, edges[:-1])
    factor = np.minimum(1.0, longest / np.maximum(lasts, 1e-9))
    factor[int(quiet[0]) :: 2] = 1.0
    out: Doubles = pace * np.repeat(factor, np.diff(edges))
    return out


def places(pace: Doubles, at: Doubles) -> Doubles:
    """(count,) for each time of output, in frames from the beginning of its first, the place among the frames
    of input, in between included."""
    ends = np.concatenate(([0.0], np.cumsum(pace)))
    at = np.interp(at, ends, np.arange(len(pace) + 1.0)) - 0.5
    within: Doubles = np.clip(at, 0.0, len(pace) - 1.0)
    return within


def rows_at(rows: Floats, at: Doubles) -> Floats:
    """(count, ...) float32: the rows at these places, in between by straight lines."""
    left = at.astype(np.intp)
    right = np.minimum(left + 1, len(rows) - 1)
    part = (at - left).astype(np.float32).reshape(-1, *(1,) * (rows.ndim - 1))
    from_left = rows[left]
    return from_left + part * (rows[right] - from_left)
