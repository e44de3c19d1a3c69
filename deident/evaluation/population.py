"""Scores of many speakers against each other, and what they say of a population of any size.

Up to the number of speakers at hand all is counted. Beyond, the score of every trial is given in standard deviations of
the scores that others get against the same snippet (or model), and the share of others above it is read off all these
scores together, with a generalised Pareto tail.

References
----------
Hosking & Wallis, "Parameter and quantile estimation for the generalized Pareto distribution", Technometrics 29 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln

from deident.audio import Bools, Doubles, Ints
from deident.evaluation.trials import Trials

TAIL = 0.05  # share of nontarget scores that the tail is fitted to
GRID = 600  # thresholds tried


@dataclass(frozen=True, eq=False)
class Crowd:
    """Scores of trials, and of all others, in standard deviations of the others'.

    Attributes
    ----------
    own : (runs, trials) float64
        Of a trial's own speaker among the models, in those of the other models.
    beaten : (runs, trials) float64
        How many others score higher; half of those that score the same count.
    whose : (trials,) int
        Their speakers.
    others : int
        Number of other speakers in a trial.
    rows : Tail
        Of the others' scores.
    columns : tuple of Columns
        The same by model: of the snippets that set its threshold, and of those it is tried on.
    tail : Tail
        Of the others' scores against a model.
    """

    own: Doubles
    beaten: Doubles
    whose: Ints
    others: int
    rows: Tail
    columns: tuple[Columns, Columns]
    tail: Tail

    @classmethod
    def of(cls, scores: Doubles, trials: Trials, among: Bools | None = None) -> Crowd:
        """From (runs, utterances, speakers) scores, of all speakers or those `among`."""
        half = np.ones(trials.count, np.bool_) if among is None else among
        inside = half[trials.speakers][:, None] & half[None]
        target, nontarget = trials.target & inside, trials.nontarget & inside
        tried = np.flatnonzero(target.any(1))
        others = nontarget[tried]
        rows = scores[:, tried]
        own = rows[:, np.arange(len(tried)), trials.speakers[tried]]
        beaten = ((rows > own[..., None]) & others).sum(2) + 0.5 * ((rows == own[..., None]) & others).sum(2)
        columns = _split(scores, trials, target, nontarget)
        return cls(
            _standard(own[..., None], rows, others)[..., 0], beaten, trials.speakers[tried],
            int(np.median(others.sum(1))), Tail.of(_standard(rows, rows, others, itself=True)[:, others]), columns,
            Tail.of(np.concatenate([values for side in columns for values in side.others])),
        )  # fmt: skip

    @property
    def distance(self) -> float:
        """Mean distance of a trial's own speaker from the others."""
        return float(self.own.mean())

    def moved(self, by: float) -> Crowd:
        """The same with own scores further from the others'."""
        one, other = (replace(side, own=[values + by for values in side.own]) for side in self.columns)
        return replace(self, own=self.own + by, columns=(one, other))

    def linked_counted(self, population: int) -> Doubles:
        """(runs, trials) probability that none of the drawn others scores higher: hypergeometric."""
        drawn = min(population - 1, self.others)
        left = np.maximum(self.others - self.beaten - drawn, -1.0)
        log = (
            gammaln(self.others - self.beaten + 1.0) - gammaln(np.maximum(left, 0.0) + 1.0)
            - gammaln(self.others + 1.0) + gammaln(self.others - drawn + 1.0)
        )  # fmt: skip
        return np.asarray(np.where(left > -1.0, np.exp(log), 0.0))

    def linked(self, population: int) -> Doubles:
        """(runs, trials) the same from the share of others that scores higher."""
        return np.asarray((1.0 - self.rows(self.own)) ** (population - 1))

    def singled_out(self, population: int, counted: bool) -> Doubles:
        """(speakers,) probability that exactly one of a population scores above the threshold; NaN without trials."""
        setting, tried = self.columns
        grid = self._thresholds(population, counted)
        found = np.full(len(setting.own), np.nan)
        for k in range(len(found)):
            if not len(setting.own[k]) or not len(tried.own[k]):
                continue
            own_set, own = _passing(setting.own[k], grid), _passing(tried.own[k], grid)
            others_set = _passing(setting.others[k], grid) if counted else self.tail(grid)
            others = _passing(tried.others[k], grid) if counted else self.tail(grid)
            away = np.abs(own_set + (population - 1) * others_set - 1.0)
            nearest = np.flatnonzero(away <= away.min() + 1e-6)
            at = nearest[len(nearest) // 2]  # in the middle, where nobody scores
            p, q = own[at], others[at]
            nobody = (1.0 - q) ** max(population - 2, 0)
            found[k] = p * nobody * (1.0 - q) + (1.0 - p) * (population - 1) * q * nobody
        return found

    def _thresholds(self, population: int, counted: bool) -> Doubles:
        """Thresholds from below the others to above every own score, many of them where one in a population passes."""
        top = max(float(values.max(initial=0.0)) for side in self.columns for values in side.own)
        even = np.linspace(0.0, max(top, 6.0) + 0.5, GRID)
        if counted:
            return even
        near = self.tail.inverse(np.linspace(0.02, 3.0, GRID) / population)
        return np.sort(np.concatenate((even, near)))


@dataclass(frozen=True, eq=False)
class Columns:
    """Scores of one's own and of others' snippets against each model, in standard deviations of the others'."""

    own: list[Doubles]
    others: list[Doubles]


def _passing(scores: Doubles, thresholds: Doubles) -> Doubles:
    """Share of scores above each threshold."""
    return np.asarray(1.0 - np.searchsorted(np.sort(scores), thresholds, "right") / len(scores))


def _split(scores: Doubles, trials: Trials, target: Bools, nontarget: Bools) -> tuple[Columns, Columns]:
    """Scores by model: one run's, for the thresholds, and another's; of one run, every other snippet of a speaker."""
    runs, odd = len(scores), trials.order % 2 == 1
    sides = ((0, ~odd), (0, odd)) if runs == 1 else ((0, odd | ~odd), (runs - 1, odd | ~odd))
    made = []
    for run, rows in sides:
        own, others = [], []
        for k in range(trials.count):
            rest = scores[run, nontarget[:, k] & rows, k]
            if rest.size < 4:
                own.append(np.zeros(0))
                others.append(np.zeros(0))
                continue
            everyone = np.ones(rest.size, np.bool_)
            own.append(_standard(scores[run, target[:, k] & rows, k], rest, everyone))
            others.append(_standard(rest, rest, everyone, itself=True))
        made.append(Columns(own, others))
    return made[0], made[1]


def _standard(values: Doubles, scores: Doubles, others: Bools, itself: bool = False) -> Doubles:
    """Values in standard deviations of the others' scores, over the last axis.

    itself : the values are those scores, and each is compared with the rest: so they are as far off as an own score
    is that is nobody's.
    """
    count = others.sum(-1, keepdims=True) - itself
    first = np.where(others, scores, 0.0).sum(-1, keepdims=True) - (values if itself else 0.0)
    second = np.where(others, scores**2, 0.0).sum(-1, keepdims=True) - (values**2 if itself else 0.0)
    centre = first / np.maximum(count, 1)
    variance = np.maximum(second / np.maximum(count, 1) - centre**2, 0.0)
    return np.asarray((values - centre) / (np.sqrt(variance) + 1e-9))


@dataclass(frozen=True, eq=False)
class Tail:
    """Share of standardised nontarget scores above a value: counted below a threshold, a fitted tail above."""

    ordered: Doubles
    threshold: float
    scale: float
    shape: float

    @classmethod
    def of(cls, values: Doubles) -> Tail:
        ordered = np.sort(np.asarray(values, np.float64).ravel())
        ordered = ordered[np.isfinite(ordered)]
        if not ordered.size:
            return cls(np.zeros(1), 0.0, 1.0, 0.0)
        threshold = float(np.quantile(ordered, 1.0 - TAIL))
        excess = ordered[ordered > threshold] - threshold
        if excess.size < 2 or excess.std() < 1e-9:
            return cls(ordered, threshold, 1e-6, 0.0)
        ratio = float(excess.mean() ** 2 / excess.var())
        # A few hundred scores can feign a tail that ends; none of a speaker's scores is known to be that safe.
        shape = float(np.clip(0.5 * (1.0 - ratio), -0.1, 0.4))
        return cls(ordered, threshold, float(excess.mean()) * (1.0 - shape), shape)

    def __call__(self, values: Doubles) -> Doubles:
        below = np.searchsorted(self.ordered, values, "left") + np.searchsorted(self.ordered, values, "right")
        counted = 1.0 - below / (2.0 * len(self.ordered))
        beyond = np.maximum(values - self.threshold, 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            far = np.exp(-beyond)
        else:
            far = np.maximum(1.0 + self.shape * beyond, 0.0) ** (-1.0 / self.shape)
        return np.asarray(np.where(values > self.threshold, TAIL * far, counted))

    def inverse(self, shares: Doubles) -> Doubles:
        """Values that such shares lie above; the threshold of the tail for more than are in it."""
        inside = np.minimum(shares / TAIL, 1.0)
        if abs(self.shape) < 1e-6:
            return np.asarray(self.threshold - self.scale * np.log(inside))
        return np.asarray(self.threshold + self.scale * (inside**-self.shape - 1.0) / self.shape)
