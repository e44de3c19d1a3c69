"""The background of a snippet: the power that lies under its speech in each band."""

from __future__ import annotations

import numpy as np

from deident.audio import Floats
from deident.dsp.ragged import Ragged

QUIETEST, QUIET, SOFT = 3, 10, 15  # percentiles of the frames' powers
STEADY_DB, STEADY_SOFTNESS = -27.0, 1.5  # quiet frames of steady noise lie above this, below the loud ones
EVEN_DB, EVEN_SOFTNESS = 3.5, 0.4  # and differ by less than this; those of clean speech differ by more
MEAN_SHARE = np.float32(3.0)  # of steady noise, times its mean is subtracted beside its floor


def percentile(values: Floats, percent: int) -> Floats:
    """Percentile of (..., n) values along the last axis, without interpolation."""
    rank = percent * (values.shape[-1] - 1) // 100
    ranked: Floats = np.partition(values, rank, axis=-1)[..., rank]
    return ranked


def find_background(powers: Floats, total: Floats, level: Floats, ragged: Ragged) -> tuple[Floats, Floats]:
    """Estimate the power under the speech in every band.

    Where there are no pauses, the quietest frames are soft speech. So the mean of these frames counts only as far as
    they are what steady noise is: loud, and alike. The floor of each band counts always.

    Parameters
    ----------
    powers : (frames, bands) float32
    total : (frames,) float32
        Mean of all bands.
    level : (snippets,) float32
        Of the loud frames.
    ragged : Ragged

    Returns
    -------
    background : (snippets, bands) float32
    steadiness : (snippets,) float32
        0 to 1, how much the quiet frames are those of steady noise.
    """
    background = np.empty((len(level), powers.shape[1]), dtype=np.float32)
    steadiness = np.empty(len(level), dtype=np.float32)
    for snippet, own in enumerate(ragged.slices):
        background[snippet] = percentile(powers[own].T, QUIET)
        db = np.float32(10.0) * np.log10(total[own] / level[snippet] + np.float32(1e-7))
        ranks = [percent * (db.size - 1) // 100 for percent in (QUIETEST, QUIET, SOFT)]
        quietest, quiet, soft = np.partition(db, ranks)[ranks]
        steady = _above(quiet - STEADY_DB, STEADY_SOFTNESS) * _above(
            EVEN_DB - (soft - quietest), EVEN_SOFTNESS
        )
        steadiness[snippet] = steady
        if steady > 0.01:
            background[snippet] += MEAN_SHARE * np.float32(steady) * powers[own][db <= soft].mean(axis=0)
    return background, steadiness


def _above(db: np.float32, softness: float) -> float:
    """Map decibels above a threshold to 0 to 1."""
    return float(0.5 + 0.5 * np.tanh(0.5 * db / softness))
