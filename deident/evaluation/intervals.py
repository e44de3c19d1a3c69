"""Intervals by the bootstrap over speakers.

Trials of one speaker depend on each other, so whole speakers are drawn again, never trials: a target trial
counts as often as its speaker was drawn, a nontarget trial as often as both of its speakers were together
(Poh & Bengio, "Estimating the confidence interval of expected performance curve", ICASSP 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deident.audio import Bools, Doubles, Ints

EDGES = 160  # thresholds tried in a bootstrap sample


@dataclass(frozen=True)
class Interval:
    """A number and the bounds that hold 95 % of its bootstrap."""

    value: float
    low: float
    high: float

    @property
    def bars(self) -> list[list[float]]:
        """Lengths of the error bars below and above, as matplotlib takes them."""
        return [[max(0.0, self.value - self.low)], [max(0.0, self.high - self.value)]]

    def scaled(self, factor: float) -> Interval:
        """The same in another unit."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def draw_weights(speakers: int, draws: int, seed: int) -> Doubles:
    """(draws, speakers): how often each speaker is in each bootstrap sample."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(speakers, np.full(speakers, 1.0 / speakers), size=draws).astype(np.float64)


def interval(value: float, samples: npt.ArrayLike) -> Interval:
    """Percentile interval; samples without a value (no such trials drawn) do not count."""
    array = np.asarray(samples, np.float64)
    array = array[np.isfinite(array)]
    if not array.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(array, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def eer_samples(
    scores: Doubles, target: Bools, nontarget: Bools, rows: Ints, columns: Ints, weights: Doubles
) -> Doubles:
    """(draws,) equal error rates of bootstrap samples, each as `metrics.eer` of the weighted trials.

    scores : (runs, utterances, models).   target, nontarget : (utterances, models).
    rows, columns : the speaker of every utterance and model.   weights : (draws, speakers).
    At most `EDGES` thresholds are tried, at quantiles of the target scores.
    """
    same = np.unique(scores[:, target])
    if same.size > EDGES:
        same = same[np.linspace(0, same.size - 1, EDGES).round().astype(int)]
    missed = _under(scores, target, same, rows, columns, weights)
    passed = _under(scores, nontarget, same, rows, columns, weights)
    ends = np.ones((len(weights), 1))
    # The hull needs no thresholds but those at target scores, and the one that accepts none.
    return _hull_eer(np.hstack((missed, ends)), np.hstack((1.0 - passed, 0.0 * ends)))


def _under(
    scores: Doubles, kind: Bools, edges: Doubles, rows: Ints, columns: Ints, weights: Doubles
) -> Doubles:
    """(draws, edges): the weighted share of these trials that score below each edge.

    A trial weighs the product of its speakers' weights (a target trial, that of its one speaker), so the
    share is a quadratic form in the weights with the counts by pair of speakers in the middle.
    """
    speakers = weights.shape[1]
    row, column = np.nonzero(kind)
    pair = rows[row] * speakers + columns[column]
    single = bool((rows[row] == columns[column]).all())
    place = np.searchsorted(edges, scores[:, kind], "right")  # the edges above the score, from here on
    cell = pair[None] * (len(edges) + 1) + place
    counts = np.bincount(cell.ravel(), minlength=speakers**2 * (len(edges) + 1))
    below = np.cumsum(counts.reshape(speakers, speakers, -1), axis=2).astype(np.float64)
    if single:
        totals = weights @ below[np.arange(speakers), np.arange(speakers)]
    else:
        totals = np.stack(
            [((weights @ layer) * weights).sum(1) for layer in np.moveaxis(below, 2, 0)], axis=1
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals[:, :-1] / totals[:, -1:])


def _hull_eer(miss: Doubles, false: Doubles) -> Doubles:
    """Max over p of min over thresholds of p·miss + (1 - p)·false: concave in p, so thirds find it."""
    low, high = np.zeros((len(miss), 1)), np.ones((len(miss), 1))
    gap = miss - false

    def least(p: Doubles) -> Doubles:
        return np.asarray((false + p * gap).min(1, keepdims=True))

    for _ in range(36):
        third = (high - low) / 3.0
        rising = least(low + third) < least(high - third)
        low, high = np.where(rising, low + third, low), np.where(rising, high, high - third)
    return np.asarray(least((low + high) / 2.0)[:, 0])


def ratio_samples(numerators: npt.ArrayLike, denominators: npt.ArrayLike, weights: Doubles) -> Doubles:
    """(draws,) ratios of sums, each speaker's share counted as often as the speaker was drawn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ np.asarray(numerators)) / (weights @ np.asarray(denominators)))
