"""Sex, age group and accent of a speaker, told from disguised snippets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deident.audio import Bools, Doubles, Ints
from deident.evaluation import backend
from deident.evaluation.intervals import Interval, interval
from deident.evaluation.scoring import Vectors

LEAST = 3  # speakers of either kind, among those trained and those tried on
SHRINKAGE = 0.5


@dataclass(frozen=True)
class TraitResult:
    """A trait told from others.

    Attributes
    ----------
    area : Interval
        Area under the ROC, over speakers; 0.5 is chance.
    family : str
        The vectors that told it best.
    """

    area: Interval
    family: str


def recover(
    train: Mapping[str, Vectors],
    tests: Mapping[str, Vectors],
    labels: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    speakers: tuple[Ints, Ints],
    weights: Doubles,
) -> dict[str, TraitResult]:
    """Learn traits from disguised snippets of training speakers, and tell those of the speakers on trial.

    Parameters
    ----------
    train, tests : mapping of str to (utterances, copies, dims)
        By family of vectors. The family that tells a trait best counts, which errs on the attacker's side.
    labels : mapping of str to (sequence of str, sequence of str)
        Of each property, its values by training and by trial utterance; "" where it is not known.
    speakers : tuple of (utterances,) int
        Of the training and the trial utterances.
    weights : (draws, speakers) float64
        Of the bootstrap over those on trial.

    Returns
    -------
    dict of str to TraitResult
        By "value or value" of a property with two, and by "value or not" of one with more.
    """
    found: dict[str, TraitResult] = {}
    for of_train, of_tests in (tuple(np.asarray(side) for side in sides) for sides in labels.values()):
        values = sorted((set(of_train.tolist()) & set(of_tests.tolist())) - {""})
        for value in values[:1] if len(values) == 2 else values if len(values) > 2 else ():
            sides = [(labelled != "", labelled == value) for labelled in (of_train, of_tests)]
            if not all(_enough(whose, *side) for whose, side in zip(speakers, sides, strict=True)):
                continue
            scores = {name: _told(train[name], tests[name], *sides) for name in train}
            areas = {name: _area(s, sides[1][1][sides[1][0]]) for name, s in scores.items()}
            best = max(areas, key=lambda name: areas[name])
            rows, positive = sides[1]
            samples = _area_samples(scores[best], positive[rows], speakers[1][rows], weights)
            name = f"{values[0]} or {values[1]}" if len(values) == 2 else f"{value} or not"
            found[name] = TraitResult(interval(areas[best], samples), best)
    return found


def _enough(speakers: Ints, known: Bools, positive: Bools) -> bool:
    """Tell whether enough speakers are known on both sides."""
    return min(len(np.unique(speakers[known & which])) for which in (positive, ~positive)) >= LEAST


def _told(
    train: Vectors, tests: Vectors, learned: tuple[Bools, Bools], asked: tuple[Bools, Bools]
) -> Doubles:
    """(utterances, copies) scores by a linear discriminant with a shrunken covariance. Friedman, JASA 84 (1989)."""
    rows, positive = learned
    scale = backend.Scale.of(train[rows])
    known = scale(train[rows]).reshape(-1, train.shape[-1])
    own = np.repeat(positive[rows], train.shape[1])
    means = known[own].mean(0), known[~own].mean(0)
    spread = known - np.where(own[:, None], *means)
    covariance = spread.T @ spread / len(spread)
    even = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    direction = np.linalg.solve((1.0 - SHRINKAGE) * covariance + SHRINKAGE * even, means[0] - means[1])
    return np.asarray(scale(tests[asked[0]]) @ direction)


def _area(scores: Doubles, positive: Bools) -> float:
    return backend.area(scores[positive].ravel(), scores[~positive].ravel())


def _area_samples(
    scores: Doubles, positive: Bools, speakers: Ints, weights: Doubles
) -> npt.NDArray[np.float64]:
    """(draws,) areas of bootstrap samples: the share of pairs in order, by pair of speakers, weighted."""
    sides = []
    for which in (positive, ~positive):
        names = np.unique(speakers[which])
        sides.append((names, [scores[which & (speakers == name)].ravel() for name in names]))
    (own, target), (other, nontarget) = sides
    wins = np.array([[backend.area(a, b) * len(a) * len(b) for b in nontarget] for a in target])
    pairs = np.array([[len(a) * len(b) for b in nontarget] for a in target], np.float64)

    def total(table: Doubles) -> Doubles:
        return np.asarray(((weights[:, own] @ table) * weights[:, other]).sum(1))

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total(wins) / total(pairs))
