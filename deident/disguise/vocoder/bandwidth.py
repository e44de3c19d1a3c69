"""Bandwidth extension: bands that a line has cut, or that noise hides, are predicted from the others.

A band that is missing, that hardly moves or that moves as its neighbour does, tells the line. The prediction is what
such bands do in average speech where the others are as they are (a Gaussian's mean), and a draw of what is left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import numpy as np

from deident.audio import Bools, Doubles, Floats
from deident.disguise.vocoder.tables import BANDS
from deident.dsp.ragged import Ragged

# Times the common power of a band: less is a band that a line has cut. Below 500 Hz, where all speech is strong, a
# line that is companded leaves more noise than it would leave of speech at 8 kHz.
LEAST, LEAST_LOW, LOW_HZ = np.float32(1e-3), np.float32(6e-3), 500.0
FOLLOWING, FOLLOWING_HZ = 0.85, 3_000.0  # noise of a companded line follows the level; fricatives do not
ENOUGH = 10.0  # loud frames, fewer of which say nothing of what moves with what
MOST = 0.7  # of the bands; with fewer left there is nothing to predict from
RIDGE = 0.05  # variance of what a recording adds to each band, in squared nepers
SLOW = (np.hanning(7)[1:-1] / np.sqrt(np.sum(np.hanning(7) ** 2))).astype(np.float32)  # of variance 1


def find_missing(
    logs: Floats, relative: Floats, total: Floats, weight: Floats, hz: Doubles, ragged: Ragged
) -> Bools:
    """Find bands that hold no speech.

    Parameters
    ----------
    logs : (frames, bands) float32
        Log powers.
    relative : (snippets, bands) float32
        Average power of the loud frames over that of all bands.
    total : (frames,) float32
        Mean power of all bands over that of the loud frames.
    weight : (frames,) float32
        0 to 1, of frames in the statistics.
    hz : (bands,) float64
        Centre of each band.
    ragged : Ragged

    Returns
    -------
    (snippets, bands) bool
    """
    missing: Bools = relative < np.where(hz < LOW_HZ, LEAST_LOW, LEAST) * BANDS
    high = np.flatnonzero(hz > FOLLOWING_HZ)
    level = np.log(total + np.float32(1e-4))
    rows = np.concatenate((logs[:, high], level[:, None]), axis=1)
    evidence = ragged.segment_sum(weight)[:, None] + np.float32(1e-3)
    rows -= ragged.spread(ragged.segment_product(weight[None], rows)[:, 0] / evidence)
    together = ragged.segment_product((weight * rows[:, -1])[None], rows)[:, 0]
    squares = ragged.segment_product(weight[None], np.square(rows))[:, 0] + np.float32(1e-6)
    follows = together[:, :-1] > FOLLOWING * np.sqrt(squares[:, :-1] * squares[:, -1:])
    missing[:, high] |= follows & (evidence > ENOUGH)
    return missing


def predict_missing(
    logs: Floats, missing: Bools, voiced: Floats, rngs: Sequence[np.random.Generator], ragged: Ragged
) -> None:
    """Replace bands that are missing, and those beside them, by what the others foretell, in place.

    Parameters
    ----------
    logs : (frames, bands) float32
        Log powers, which average speech brings to `BANDS`.
    missing : (snippets, bands) bool
    voiced : (frames,) float32
        0 to 1.
    rngs : sequence of Generator
        One of each snippet, for what the others leave open.
    ragged : Ragged
    """
    for own, lacking, rng in zip(ragged.slices, missing, rngs, strict=True):
        if not lacking.any() or lacking.mean() > MOST:
            continue
        beside = lacking.copy()
        beside[1:] |= lacking[:-1]
        beside[:-1] |= lacking[1:]
        known = logs[own][:, ~beside] - np.log(BANDS[~beside])
        noise = rng.standard_normal((len(known) + len(SLOW) - 1, beside.sum()), dtype=np.float32)
        slow = sum(tap * noise[k:][: len(known)] for k, tap in enumerate(SLOW))
        of_voiced, of_others = (
            known @ regression + offset + slow @ factor
            for regression, offset, factor in _predictors(beside.tobytes())
        )
        share = voiced[own][:, None]
        logs[own, beside] = share * of_voiced + (1 - share) * of_others + np.log(BANDS[beside])


@lru_cache(maxsize=64)
def _predictors(missing: bytes) -> list[tuple[Floats, Floats, Floats]]:
    """Make the regression, offset and factor of the remaining covariance, for voiced and for other frames."""
    lacking = np.frombuffer(missing, dtype=np.bool_)
    out = []
    for mean, *covariance in _statistics().astype(np.float64):
        rows = np.array(covariance)
        of_known = rows[np.ix_(~lacking, ~lacking)] + RIDGE * np.eye(int((~lacking).sum()))
        shared = rows[np.ix_(~lacking, lacking)]
        regression = np.linalg.solve(of_known, shared)
        remaining = rows[np.ix_(lacking, lacking)] - shared.T @ regression
        values, vectors = np.linalg.eigh(0.5 * (remaining + remaining.T))
        factor = (vectors * np.sqrt(np.maximum(values, 0.0))).T
        offset = mean[lacking] - mean[~lacking] @ regression
        out.append((regression.astype(np.float32), offset.astype(np.float32), factor.astype(np.float32)))
    return out


@lru_cache
def _statistics() -> Floats:
    """(2, 1 + bands, bands): the mean and the covariance of average speech, of voiced and of other frames."""
    with resources.files("deident.disguise.vocoder").joinpath("bands.npy").open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False), np.float32)
