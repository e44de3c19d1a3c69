"""Linear prediction of all frames at once: Burg's method, the poles, and filtering by them.

Polynomials are (order + 1, frames) float64, z to the minus row, row 0 all ones: with frames last, every step
of a recursion over the order is one operation on whole rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.dsp import fft

Doubles = npt.NDArray[np.float64]

BLOCK = 1_024  # frames; a row of them is long enough for a call to cost little
_FFT_BLOCK = 64  # frames; their float64 spectra stay in the cache
_COARSE = 8  # root-finding steps in float32, after which float64 has one to three left
_FINE = 40  # and this many it may take at most
_EXACT = 1e-5  # a pole that moves less is found: what remains is of the order of the cube


def burg(frames: Doubles, order: int) -> Doubles:
    """Prediction-error filters of (frames, size), as (order + 1, frames).

    Burg's method by way of the autocorrelation, O(size + order²) a frame instead of O(size · order).
    A frame that is predicted to rounding, silence for one, gets no further coefficients.
    Vos (2013), A fast implementation of Burg's method."""
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
    """(order + 1, frames) of (frames, size)."""
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
    """(order + 1, bins): from the power spectrum of `size` samples to their circular autocorrelation."""
    bins = np.arange(size // 2 + 1)
    twice = np.where((bins == 0) | (2 * bins == size), 1.0, 2.0)  # the others stand for their mirror images
    matrix: Doubles = twice / size * np.cos(2.0 * np.pi / size * np.outer(np.arange(order + 1), bins))
    return matrix


def poles(filters: Doubles) -> tuple[Doubles, Doubles]:
    """Real and imaginary part of the roots of (order + 1, frames), each (order, frames).

    Aberth's simultaneous Newton steps (Ehrlich, 1967; Aberth, 1973), on all roots of all frames: coarsely in
    float32, then in float64 until a step changes nothing; then no pole is further off than `numpy.roots`
    would leave it."""
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
    """What to take from each root, (2, order, frames), real and imaginary part.

    The polynomial and its derivative at z follow from dividing it twice by the real quadratic
    (s - z)(s - z*): half the multiplications of Horner's scheme in complex numbers."""
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
    """Sum over the other roots of 1 / (z - other), each pair once, (order, frames) each."""
    order = len(x)
    re, im, scratch = np.zeros_like(x), np.zeros_like(x), np.empty_like(x)
    ring_x, ring_y = np.concatenate((x, x)), np.concatenate((y, y))
    for apart in range(1, order // 2 + 1):
        dx, dy = x - ring_x[apart : apart + order], y - ring_y[apart : apart + order]
        size = dx * dx
        size += np.multiply(dy, dy, out=scratch)
        dx /= size
        dy /= size
        re += dx
        im -= dy
        if 2 * apart < order:  # at half the ring each pair has been met from both sides
            re[apart:] -= dx[: order - apart]
            re[:apart] -= dx[order - apart :]
            im[apart:] += dy[: order - apart]
            im[:apart] += dy[order - apart :]
    return re, im


def from_poles(re: Doubles, im: Doubles) -> Doubles:
    """(order + 1, frames): the polynomials with these roots, which are real or in conjugate pairs."""
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
    """Each of (frames, size) through its inverse filter, then through 1 / its forward filter.

    inverse, forward : (order + 1, frames). For any stable forward filter the same, to about 1e-9 of the
    loudest sample, as recursing over the samples from rest: the spectra are taken on a circle outside the
    unit circle, where the response has died out before it comes round again."""
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
    """What takes samples there, (size,), and polynomials, (rows, 2·bins), real and imaginary in turn."""
    decay = 10.0 ** (-9.0 / padded)
    row = np.arange(rows)[:, None]
    turn = np.exp(-2j * np.pi / padded * row * np.arange(padded // 2 + 1)) * decay**row
    return decay ** np.arange(size), turn.view(np.float64)
