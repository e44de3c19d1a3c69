"""Normalisation of cepstra: what tells speakers apart is brought to the averages of `tables`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from deident.audio import Doubles, Floats
from deident.disguise.vocoder.analysis import Analysis
from deident.disguise.vocoder.tables import CENTRES, MEANS, SHARES, SPREADS, WIDTHS
from deident.dsp.mel import HIGHEST_HZ, MelCepstrum, mel
from deident.dsp.ragged import Ragged
from deident.dsp.timing import smooth

PRIOR_FRAMES = 4.0  # frames at which a snippet's own statistics count as much as the common ones
STRIDE = 2  # every second voiced frame is enough to estimate the vocal tract from
SHAPES = slice(1, 13)  # the cepstra it is estimated from: without loudness and without detail
_LOG_RATIOS = 0.06 * np.arange(-4, 5)
RATIOS = np.exp(_LOG_RATIOS)  # of vocal tracts that are tried
TRACT_SPREAD = 0.12  # standard deviation of a speaker's vocal tract, in nepers


def tract_ratio(speech: Analysis, cepstrum: MelCepstrum) -> Doubles:
    """Estimate (snippets,) ratios of the formants to those of the average speaker: the likeliest under the mixture of
    average speech, each tried on some voiced frames (Lee & Rose, 1998).
    """
    strong = speech.voiced * speech.weight > 0.25
    chosen = [np.flatnonzero(strong[own])[::STRIDE] + own.start for own in speech.ragged.slices]
    enough = [index for index, frames in enumerate(chosen) if len(frames) >= 3]
    ratios = np.ones(len(chosen))
    if enough:
        ragged = Ragged(tuple(len(chosen[index]) for index in enough))
        frames = np.concatenate([chosen[index] for index in enough])
        ratios[enough] = _likeliest(_log_likelihoods(speech.cepstra[frames], ragged, cepstrum))
    return ratios


def _log_likelihoods(cepstra: Floats, ragged: Ragged, cepstrum: MelCepstrum) -> Doubles:
    """Compute (snippets, ratios) log likelihoods of each ratio from voiced frames."""
    shapes = slice(SHAPES.start, min(SHAPES.stop, cepstrum.order))
    moved = cepstra @ _rewarps(cepstrum, shapes)
    count = np.array(ragged.counts, dtype=np.float32)[:, None]
    ones = np.ones((1, len(moved)), dtype=np.float32)
    moved -= ragged.spread(ragged.segment_product(ones, moved)[:, 0] / count)
    found = ragged.segment_product(ones, np.square(moved))[:, 0]
    found += np.float32(PRIOR_FRAMES) * np.tile(SPREADS[0, shapes] ** 2, len(RATIOS))
    moved *= ragged.spread(np.sqrt((count + np.float32(PRIOR_FRAMES)) / found))
    likelihood = _log_sounds(moved.reshape(len(moved) * len(RATIOS), -1), shapes.start)
    peak = likelihood.max(axis=0)
    likelihood -= peak
    np.exp(likelihood, out=likelihood)
    peak += np.log(likelihood.sum(axis=0))
    evidence = (
        ragged.segment_product(ones, peak.reshape(len(moved), -1))[:, 0] / 1.5
    )  # frames are not independent
    return evidence - _LOG_RATIOS**2 / (2.0 * TRACT_SPREAD**2)


def _likeliest(evidence: Doubles) -> Doubles:
    """Interpolate by a parabola (snippets,) inverses of the ratios at which (snippets, ratios) are largest."""
    best = np.minimum(np.maximum(evidence.argmax(axis=1), 1), len(RATIOS) - 2)
    at = best + np.arange(0, evidence.size, len(RATIOS))
    below, middle, above = (evidence.take(at + step) for step in (-1, 0, 1))
    bend = 2.0 * middle - below - above
    shift = np.divide(0.5 * (above - below), bend, out=np.zeros_like(bend), where=bend > 0.0)
    ratios: Doubles = np.exp(-_LOG_RATIOS[best] - 0.06 * np.minimum(np.maximum(shift, -1.0), 1.0))
    return ratios


def rewarp(cepstrum: MelCepstrum, ratio: Doubles | float, knots: Doubles | None = None) -> Floats:
    """Build (..., order, order) matrices M for (...,) ratios: cepstra @ M has every formant at ratio times its
    frequency.

    knots : (snippets, knots) of a piecewise linear warp of the mel scale, 0 to 1, applied to the source.
    """
    source = mel(np.minimum(cepstrum.bands_hz / np.asarray(ratio)[..., None], HIGHEST_HZ))
    if knots is not None:
        highest, even = mel(HIGHEST_HZ), np.linspace(0.0, 1.0, knots.shape[1] + 1)
        for row, own in zip(source, knots, strict=True):
            row[:] = np.interp(row, even * highest, highest * np.concatenate(((0.0,), own)))
    matrices: Floats = cepstrum.basis_at(source) @ cepstrum.analysis
    return matrices


def normalise_means(cepstra: Floats, speech: Analysis, amount: float) -> tuple[Floats, Floats]:
    """Move the mean of each snippet to the common one.

    Returns (frames, order) means about which the frames now move, and their deviations in common standard deviations.
    amount : 0 to 1. Voiced and unvoiced frames have means of their own; the common ones count as a few frames of a
    snippet, which may be short.
    """
    ragged, order = speech.ragged, cepstra.shape[1]
    common = MEANS[::-1, :order].copy()
    common[1] -= common[0]
    kinds = np.ones((len(cepstra), 2), dtype=np.float32)  # a mean for all frames, and what voicing adds
    kinds[:, 1] = speech.voiced
    weights = kinds.T * speech.weight
    weights[0] -= weights[1]  # of others, and of voiced ones
    counts = ragged.segment_product(weights, kinds)
    offset = ragged.segment_product(weights, cepstra) - counts @ common
    share = counts[:, :, :1]
    own = np.zeros_like(offset)
    own[:, 0] = offset.sum(axis=1) / (speech.evidence[:, None] + np.float32(1e-3))
    offset -= share * own[:, :1]
    offset /= share + np.float32(PRIOR_FRAMES)
    offset[:, 1] -= offset[:, 0]
    own += offset
    moved = cepstra - ragged.transform(kinds, common + own)
    moved /= SPREADS[0, :order]
    own *= np.float32(1.0 - amount)
    return ragged.transform(kinds, common + own), moved


def normalise_spread(deviations: Floats, speech: Analysis, amount: float) -> Floats:
    """Scale the variance of each cepstrum to the common one by an amount of 0 to 1."""
    ragged, order = speech.ragged, deviations.shape[1]
    total = speech.evidence[:, None]
    share = ragged.segment_sum(speech.weight * speech.voiced)[:, None] / (total + np.float32(1e-3))
    target = share + (np.float32(1.0) - share) * (SPREADS[1, :order] / SPREADS[0, :order]) ** 2
    found = ragged.segment_product(speech.weight[None], np.square(deviations))[:, 0]
    found += np.float32(PRIOR_FRAMES) * target
    gain = (target * (total + np.float32(PRIOR_FRAMES)) / found) ** np.float32(0.5 * amount)
    scaled: Floats = deviations * ragged.spread(gain)
    return scaled


def contour(speech: Analysis, octaves: Floats) -> Floats:
    """Smooth the pitch contour and scale it to a standard deviation of (snippets,) octaves about its median."""
    ragged, weight = speech.ragged, speech.voiced
    slow = smooth(weight * speech.octaves, 3.0, ragged) / (smooth(weight, 3.0, ragged) + np.float32(0.05))
    spread = np.sqrt(
        ragged.segment_sum(weight * np.square(slow)) / (ragged.segment_sum(weight) + np.float32(1e-3))
    )
    slow *= ragged.spread(octaves / (spread + np.float32(0.03)))
    return slow


def _log_sounds(deviations: Floats, first: int) -> Floats:
    """Compute (sounds, frames) log likelihoods up to a constant, of (frames, cepstra) from number `first` on."""
    of_squares, of_values, constant = log_weights(first, first + deviations.shape[1])
    likelihood: Floats = of_squares @ np.square(deviations).T
    likelihood += of_values @ deviations.T
    likelihood += constant
    return likelihood


@lru_cache
def log_weights(first: int, stop: int) -> tuple[Floats, Floats, Floats]:
    """Weights of squares and of values, (sounds, cepstra), and constants, (sounds, 1), in the log likelihood."""
    precision = WIDTHS[:, first:stop] ** -2
    centre = CENTRES[:, first:stop]
    constant = np.log(SHARES) - np.log(WIDTHS[:, first:stop]).sum(axis=1)
    constant -= 0.5 * (centre**2 * precision).sum(axis=1)
    return np.float32(-0.5) * precision, centre * precision, constant[:, None].astype(np.float32)


_REWARPS: dict[tuple[MelCepstrum, int], Floats] = {}


def _rewarps(cepstrum: MelCepstrum, shapes: slice) -> Floats:
    """Cache (order, ratios·shapes) float32: the matrices of `rewarp` for every ratio side by side."""
    key = (cepstrum, shapes.stop)
    if key not in _REWARPS:
        _REWARPS[key] = np.hstack([rewarp(cepstrum, ratio)[:, shapes] for ratio in RATIOS])
    return _REWARPS[key]
