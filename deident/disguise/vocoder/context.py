"""A learned map of the envelopes: each frame, seen in its context, moves to where speakers are harder to tell apart.

Two convolutions see a frame among its neighbours, and an average over the snippet says how its speaker differs. The
weights are fitted by `benchmarks/fit_context.py`: they keep the words that a recogniser reads, and defy a speaker
encoder that is trained on the outcome in turn.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import resources

import numpy as np

from deident.audio import Floats
from deident.disguise.vocoder.analysis import CEPSTRUM, Analysis
from deident.dsp.ragged import Ragged

FURTHEST = np.float32(1.5)  # common standard deviations by which a cepstrum moves at most
HIDDEN, POOLED, SIDE = 128, 32, 3
TAPS, DILATED_TAPS, DILATION = 5, 3, 3
SHAPES = {
    "near": (TAPS, CEPSTRUM.order + SIDE, HIDDEN),
    "near_bias": (HIDDEN,),
    "far": (DILATED_TAPS, HIDDEN, HIDDEN),
    "far_bias": (HIDDEN,),
    "pool": (2 * HIDDEN, POOLED),
    "pool_bias": (POOLED,),
    "mix": (HIDDEN, HIDDEN),
    "mix_snippet": (POOLED, HIDDEN),
    "mix_bias": (HIDDEN,),
    "out": (HIDDEN, CEPSTRUM.order),
    "out_bias": (CEPSTRUM.order,),
}


def move_in_context(deviations: Floats, speech: Analysis, amount: float) -> Floats:
    """Move normalised envelopes by the learned map.

    Parameters
    ----------
    deviations : (frames, order) float32
        From the means of the snippet, in common standard deviations.
    speech : Analysis
    amount : float
        Fraction of the move that is made, 0 to 1.

    Returns
    -------
    (frames, order) float32
    """
    weights, ragged = _weights(), speech.ragged
    side = np.stack((speech.voiced, speech.presence, speech.weight), axis=1)
    frames: Floats = np.concatenate((deviations, side), axis=1)
    hidden = _convolved(frames, weights["near"], weights["near_bias"], 1, ragged)
    hidden = _convolved(hidden, weights["far"], weights["far_bias"], DILATION, ragged)
    snippet = _pooled(hidden, speech, weights) @ weights["mix_snippet"]
    mixed: Floats = hidden @ weights["mix"]
    mixed += ragged.spread(snippet + weights["mix_bias"])
    np.maximum(mixed, np.float32(0.0), out=mixed)
    moved: Floats = mixed @ weights["out"]
    moved += weights["out_bias"]
    moved /= FURTHEST
    np.tanh(moved, out=moved)
    moved *= FURTHEST * np.float32(amount)
    moved += deviations
    return moved


def _pooled(hidden: Floats, speech: Analysis, weights: dict[str, Floats]) -> Floats:
    """(snippets, POOLED): from the mean and the deviation of the hidden features over each snippet."""
    count = speech.evidence[:, None] + np.float32(1e-3)
    mean = speech.ragged.segment_product(speech.weight[None], hidden)[:, 0] / count
    from_mean = np.square(hidden - speech.ragged.spread(mean))
    variance = speech.ragged.segment_product(speech.weight[None], from_mean)[:, 0] / count
    both = np.concatenate((mean, np.sqrt(variance + np.float32(1e-4))), axis=1)
    pooled: Floats = np.maximum(both @ weights["pool"] + weights["pool_bias"], np.float32(0.0))
    return pooled


def _convolved(rows: Floats, taps: Floats, bias: Floats, dilation: int, ragged: Ragged) -> Floats:
    """Convolve (frames, a) rows with (taps, a, b) in each segment, zeros around it, and clip below 0."""
    reach = dilation * (len(taps) // 2)
    padded = np.zeros((len(rows) + reach * (len(ragged.counts) + 1), rows.shape[1]), dtype=np.float32)
    places = [
        slice(own.start + reach * (k + 1), own.stop + reach * (k + 1)) for k, own in enumerate(ragged.slices)
    ]
    for own, place in zip(ragged.slices, places, strict=True):
        padded[place] = rows[own]
    out = np.zeros((len(padded) - 2 * reach, taps.shape[2]), dtype=np.float32)
    for number, tap in enumerate(taps):
        out += padded[number * dilation :][: len(out)] @ tap
    out += bias
    np.maximum(out, np.float32(0.0), out=out)
    if len(places) == 1:
        return out
    return np.concatenate([out[place.start - reach : place.stop - reach] for place in places])


@lru_cache
def _weights() -> dict[str, Floats]:
    """Load the fitted weights, float16 in the file, one array after the other in the order of `SHAPES`."""
    with resources.files("deident.disguise.vocoder").joinpath("context.npy").open("rb") as file:
        flat = np.load(file, allow_pickle=False).astype(np.float32)
    parts = np.split(flat, np.cumsum([math.prod(shape) for shape in SHAPES.values()])[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}
