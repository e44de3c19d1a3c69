"""Time-scale modification of frames: smoothing over time, and time warps."""

from __future__ import annotations

import numpy as np

from deident.audio import Bools, Doubles, Floats
from deident.dsp.ragged import Ragged


def smooth(rows: Floats, frames: float, ragged: Ragged) -> Floats:
    """Smooth rows over time by a Gaussian; the ends of each segment repeat.

    Parameters
    ----------
    rows : (frames,) or (frames, columns) float32
    frames : float
        Standard deviation.
    ragged : Ragged
        Layout of the rows.

    Returns
    -------
    float32, of the same shape
    """
    reach = int(np.ceil(2.5 * frames))
    if reach == 0:
        return rows
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    padded = ragged.pad(rows, reach)
    if rows.ndim == 1:
        return ragged.unpad(np.convolve(padded, taps, "valid"), reach)
    count = len(padded) - 2 * reach
    out: Floats = taps[reach] * padded[reach:-reach]
    pair = np.empty_like(out)
    for k in range(reach):  # symmetric: one product for two taps
        np.add(padded[k : k + count], padded[2 * reach - k :][:count], out=pair)
        pair *= taps[k]
        out += pair
    return ragged.unpad(out, reach)


def smooth_curve(knots: Doubles, step: float, ragged: Ragged) -> Doubles:
    """Draw a smooth, periodic curve through the knots of each segment.

    Parameters
    ----------
    knots : (segments, knots) float64
    step : float
        Frames from one knot to the next.
    ragged : Ragged
        Layout of the frames.

    Returns
    -------
    (frames,) float64
    """
    count = knots.shape[1]
    at = ragged.local_index / step
    whole = at.astype(np.intp)
    part = at - whole
    part *= part * (3.0 - 2.0 * part)
    row = ragged.spread(count * np.arange(len(knots)))
    left, right = knots.take(row + whole % count), knots.take(row + (whole + 1) % count)
    curve: Doubles = left + part * (right - left)
    return curve


def limit_runs(rate: Doubles, quiet: Bools, longest: Doubles, ragged: Ragged) -> Doubles:
    """Shorten every run of quiet frames to at most `longest` frames of output.

    Parameters
    ----------
    rate : (frames,) float64
        Frames of output for each frame of input.
    quiet : (frames,) bool
    longest : (segments,) float64
    ragged : Ragged

    Returns
    -------
    (frames,) float64
    """
    changes = quiet[1:] != quiet[:-1]
    changes[ragged.starts[1:] - 1] = True
    edges = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(quiet)]))
    firsts = edges[:-1]
    lengths = np.maximum(np.add.reduceat(rate, firsts), 1e-9)
    factor = np.minimum(1.0, longest[ragged.segment_ids[firsts]] / lengths)
    factor[~quiet[firsts]] = 1.0
    out: Doubles = rate * np.repeat(factor, np.diff(edges))
    return out


def source_positions(rate: Doubles, ragged: Ragged, into: Ragged) -> Doubles:
    """Find the position among the input frames that each output frame shows, by inverting the time warp.

    Parameters
    ----------
    rate : (frames,) float64
        Frames of output for each frame of input.
    ragged, into : Ragged
        Layouts of the input and of the output.

    Returns
    -------
    (frames of output,) float64
        Between two frames where it is no whole number.
    """
    ends = np.concatenate(([0.0], np.cumsum(rate)))
    at = into.local_index + (into.spread(ends[ragged.starts]) + 0.5)
    at = np.interp(at, ends, np.arange(len(ends), dtype=np.float64)) - 0.5
    within: Doubles = np.clip(at, into.spread(ragged.starts), into.spread(ragged.stops - 1.0))
    return within


def interpolate_rows(rows: Floats, at: Doubles) -> Floats:
    """Interpolate (frames, ...) rows linearly at (count,) positions, to (count, ...) float32."""
    left = at.astype(np.intp)
    right = np.minimum(left + 1, len(rows) - 1)
    part = (at - left).astype(np.float32).reshape(-1, *(1,) * (rows.ndim - 1))
    from_left = rows[left]
    return from_left + part * (rows[right] - from_left)
