"""Linear prediction of many frames: Burg's method, poles, and filtering by them.

Polynomials are (order + 1, frames) float64, z to the minus row, row 0 all ones: with frames last, every step
of a recursion over the order is one operation on whole rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Doubles
from deident.dsp import fft

BLOCK = 1_024  # frames; a row of them is long enough for a call to cost little
_FFT_BLOCK = 64  # frames; their float64 spectra stay in the cache
_COARSE = 8  # root-finding steps in float32, after which float64 has one to three left
_FINE = 40  # and this many it may take at most
_EXACT = 1e-5  # a pole that moves less has converged: the remaining error is of the order of the cube


def burg(frames: Doubles, order: int) -> Doubles:
    """Estimate the prediction-error filter of each frame.

    Burg's method by way of the autocorrelation, O(size + order²) a frame instead of O(size · order).
    A frame that is predicted to rounding, such as silence, gets no further coefficients.

    Parameters
    ----------
    frames : (frames, size) float64
    order : int

    Returns
    -------
    (order + 1, frames) float64

    References
    ----------
    Vos (2013), A fast implementation of Burg's method.
    """
    count = len(frames)
    lagged = _autocorrelation(frames, order)
    head, tail = (
        np.ascontiguousarray(frames[:, :order].T),
        np.ascontiguousarray(frames[:, : -order - 1 : -1].T),
    )
    filters = np.zeros((order + 1, count))
    filters[0] = 1.0
    gain = np.empty((order + 2, count))  # the covariance of the filter's output with its inputs
    gain[0] = 2.0 * lagged[0] - head[0] ** 2 - tail[0] ** 2
    gain[1] = 2.0 * lagged[1]
    border = np.empty((order + 2, count))  # the covariance's new row, by lag
    border[1] = gain[1]
    floor = 1e-13 * lagged[0] + np.finfo(np.float64).tiny
    for last in range(order):
        known = slice(0, last + 1)
        error = np.einsum("kf,kf->f", filters[known], gain[known])
        turned = np.einsum("kf,kf->f", filters[known], gain[last + 1 : 0 : -1])
        reflection = np.where(error > floor, -turned / np.maximum(error, floor), 0.0)
        np.clip(reflection, -1.0, 1.0, out=reflection)
        filters[1 : last + 2] += reflection * filters[known][::-1]
        if last == order - 1:
            break
        now = slice(0, last + 2)
        gain[now] += reflection * gain[now][::-1]
        for edge in (head[now][::-1], tail[now][::-1]):
            gain[now] -= edge * np.einsum("kf,kf->f", edge, filters[now])
        border[1 : last + 2] -= tail[last + 1] * tail[known][::-1] + head[last + 1] * head[known][::-1]
        border[last + 2] = 2.0 * lagged[last + 2]
        gain[last + 2] = np.einsum("kf,kf->f", border[1 : last + 3][::-1], filters[now])
    return filters


def _autocorrelation(frames: Doubles, order: int) -> Doubles:
    """Compute the autocorrelation of (frames, size), as (order + 1, frames)."""
    padded = fft.next_fast_len(frames.shape[1] + order, real=True)
    to_lags = _lag_matrix(padded, order)
    lagged = np.empty((order + 1, len(frames)))
    for start in range(0, len(frames), _FFT_BLOCK):
        block = slice(start, start + _FFT_BLOCK)
        spectra = fft.rfft(frames[block], padded)
        power = np.square(spectra.real)
        power += np.square(spectra.imag)
        lagged[:, block] = to_lags @ power.T
    return lagged


@lru_cache(maxsize=8)
def _lag_matrix(size: int, order: int) -> Doubles:
    """Make the (order + 1, bins) matrix from the power spectrum of `size` samples to their circular autocorrelation."""
    bins = np.arange(size // 2 + 1)
    twice = np.where((bins == 0) | (2 * bins == size), 1.0, 2.0)  # the others stand for their mirror images
    matrix: Doubles = twice / size * np.cos(2.0 * np.pi / size * np.outer(np.arange(order + 1), bins))
    return matrix


def poles(filters: Doubles) -> tuple[Doubles, Doubles]:
    """Find the roots of all filters at once, as exactly as `numpy.roots`.

    Aberth's simultaneous Newton steps on all roots of all frames: coarsely in float32, then in float64 until
    a step changes nothing.

    Parameters
    ----------
    filters : (order + 1, frames) float64

    Returns
    -------
    real, imaginary : (order, frames) float64

    References
    ----------
    Ehrlich (1967); Aberth (1973).
    """
    order, count = filters.shape[0] - 1, filters.shape[1]
    angle = 2.0 * np.pi * (np.arange(order) + 0.4) / order  # not symmetric, or real roots could not form
    start = 0.9 * np.stack((np.cos(angle), np.sin(angle)))
    z = np.repeat(start[:, :, None], count, axis=2).astype(np.float32)
    with np.errstate(all="ignore"):  # a frame that goes astray starts again below
        for _ in range(_COARSE):
            z -= _aberth_step(filters.astype(np.float32), z)
    found = z.astype(np.float64)
    found[:, :, ~np.isfinite(found).all(axis=(0, 1))] = start[:, :, None]
    left = np.arange(count)
    for attempt in range(_FINE):
        some = found if attempt == 0 else found[:, :, left]
        with np.errstate(all="ignore"):
            step = _aberth_step(filters[:, left] if attempt else filters, some)
        found[:, :, left] = some - step
        left = left[~(np.abs(step).max(axis=(0, 1)) < _EXACT)]
        if not left.size:
            return found[0], found[1]
    for frame in left:
        exact = np.roots(filters[:, frame])
        exact = np.concatenate((exact, np.zeros(order - len(exact))))
        found[:, :, frame] = exact.real, exact.imag
    return found[0], found[1]


def _aberth_step(filters: npt.NDArray[Any], z: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute the step of each root, (2, order, frames), real and imaginary part.

    The polynomial and its derivative at z follow from dividing it twice by the real quadratic
    (s - z)(s - z*): half the multiplications of Horner's scheme in complex numbers.
    """
    x, y = z
    order = len(x)
    sum_, product, scratch = x + x, x * x + y * y, np.empty_like(x)
    b_before, b = np.ones_like(x), filters[1] + sum_
    c_before, c = b_before, b + sum_
    for row in range(2, order + 1):
        after = sum_ * b
        after -= np.multiply(product, b_before, out=scratch)
        after += filters[row]
        b_before, b = b, after
        if row <= order - 2:
            after = sum_ * c
            after -= np.multiply(product, c_before, out=scratch)
            after += b
            c_before, c = c, after
    value = b - x * b_before, y * b_before
    quotient = c - x * c_before, y * c_before
    slope_re = b_before - 2.0 * y * quotient[1]
    slope_im = 2.0 * y * quotient[0]
    pull_re, pull_im = _repulsion(x, y)
    slope_re -= value[0] * pull_re - value[1] * pull_im
    slope_im -= value[0] * pull_im + value[1] * pull_re
    size = slope_re * slope_re + slope_im * slope_im
    return np.stack(
        (
            (value[0] * slope_re + value[1] * slope_im) / size,
            (value[1] * slope_re - value[0] * slope_im) / size,
        )
    )


def _repulsion(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Sum 1 / (z - other) over the other roots, each pair once, (order, frames) each."""
    order = len(x)
    re, im, scratch = np.zeros_like(x), np.zeros_like(x), np.empty_like(x)
    ring_x, ring_y = np.concatenate((x, x)), np.concatenate((y, y))
    for distance in range(1, order // 2 + 1):
        dx, dy = x - ring_x[distance : distance + order], y - ring_y[distance : distance + order]
        size = dx * dx
        size += np.multiply(dy, dy, out=scratch)
        dx /= size
        dy /= size
        re += dx
        im -= dy
        if 2 * distance < order:  # at half the ring each pair has been met from both sides
            re[distance:] -= dx[: order - distance]
            re[:distance] -= dx[order - distance :]
            im[distance:] += dy[: order - distance]
            im[:distance] += dy[order - distance :]
    return re, im


def from_poles(re: Doubles, im: Doubles) -> Doubles:
    """Expand roots, real or in conjugate pairs, (order, frames) each, into polynomials (order + 1, frames)."""
    order, count = re.shape
    whole = np.zeros((2, order + 1, count))
    whole[0, 0] = 1.0
    for row in range(order):
        known = whole[:, : row + 1]
        x, y = re[row], im[row]
        whole[:, 1 : row + 2] -= np.stack((known[0] * x - known[1] * y, known[0] * y + known[1] * x))
    polynomials: Doubles = whole[0]
    return polynomials


def refilter(frames: Doubles, inverse: Doubles, forward: Doubles) -> Doubles:
    """Filter each frame by its inverse filter, then by 1 / its forward filter.

    For any stable forward filter this is, to about 1e-9 of the loudest sample, the recursion over the samples
    from rest: the spectra are taken on a circle outside the unit circle, where the response has decayed before
    it wraps around.

    Parameters
    ----------
    frames : (frames, size) float64
    inverse, forward : (order + 1, frames) float64

    Returns
    -------
    (frames, size) float64
    """
    size = frames.shape[1]
    padded = fft.next_fast_len(size + size // 4, real=True)
    shrink, to_circle = _circle(size, padded, len(inverse))
    out = np.empty_like(frames)
    for start in range(0, len(frames), _FFT_BLOCK):
        block = slice(start, start + _FFT_BLOCK)
        spectra = fft.rfft(frames[block] * shrink, padded)
        spectra *= (inverse[:, block].T @ to_circle).view(np.complex128)
        spectra /= (forward[:, block].T @ to_circle).view(np.complex128)
        np.divide(fft.irfft(spectra, padded)[:, :size], shrink, out=out[block])
    return out


@lru_cache(maxsize=8)
def _circle(size: int, padded: int, rows: int) -> tuple[Doubles, Doubles]:
    """Make the factors that map samples, (size,), and polynomials, (rows, 2·bins), to the circle."""
    decay = 10.0 ** (-9.0 / padded)
    row = np.arange(rows)[:, None]
    turn = np.exp(-2j * np.pi / padded * row * np.arange(padded // 2 + 1)) * decay**row
    return decay ** np.arange(size), turn.view(np.float64)
