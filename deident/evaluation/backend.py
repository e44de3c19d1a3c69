"""From vectors to log-likelihood ratios: centring, principal components, discriminants, two covariances.

Shapes: vectors are (utterances, copies, dims), each copy under its own voice; speakers are (utterances,)
integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deident.audio import Doubles, Ints
from deident.evaluation.trials import Comparison, Trials, folds

CLIP = 6.0  # deviations: one wild statistic of one snippet must not decide


@dataclass(frozen=True)
class Shape:
    """The settings of a back end that cross-validation chooses.

    components : principal components kept before the discriminants.
    discriminants : kept after them, those with most speaker information first.
    shrinkage : weight of a multiple of the identity in the within-speaker covariance.
    prior : the same in the between-speaker covariance, which few training speakers span only a part of.
    """

    components: int
    discriminants: int
    shrinkage: float
    prior: float = 0.0


COMPONENTS = (60, 200)
DISCRIMINANTS = (12, 44, 200)
SHRINKAGES = (0.3, 0.6)
PRIORS = (0.0, 0.6, 0.9)


@dataclass(frozen=True, eq=False)
class Backend:
    """Two-covariance PLDA in the space where both covariances are diagonal (`fit` makes it).

    A vector is x = y + e, y ~ N(0, between) the speaker and e ~ N(0, 1) the rest, each discriminant on its
    own. Brümmer & de Villiers, "The speaker partitioning problem", Odyssey 2010; Ioffe, ECCV 2006.
    """

    centres: dict[str, Doubles]
    scale: Doubles
    projection: Doubles
    between: Doubles

    def cut(self, discriminants: int) -> Backend:
        """The same with the strongest discriminants only."""
        kept = slice(0, discriminants)
        return Backend(self.centres, self.scale, self.projection[:, kept], self.between[kept])

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles:
        """The table of scores of trial vectors against models of enrolment vectors."""
        probes = comparison.probes @ self.project(trial, comparison.strata)
        models = comparison.members @ self.project(enrol, comparison.strata)
        return comparison.table(self.score(probes, models, comparison.sizes, comparison.pooled))

    def project(self, vectors: npt.ArrayLike, strata: Sequence[str] | None = None) -> Doubles:
        """(n, dims) to (n, discriminants), each stratum about its own centre where there is one."""
        return _standardised(vectors, self.centres, self.scale, strata) @ self.projection

    def score(self, trials: Doubles, models: Doubles, counts: npt.ArrayLike, pooled: int = 1) -> Doubles:
        """(trials, models) log-likelihood ratios of one speaker against two.

        trials : (trials, discriminants) means of `pooled` snippets.   models : (models, discriminants)
        means of `counts` snippets.
        """
        between = self.between[None]
        noise = 1.0 / np.asarray(counts, np.float64)[:, None]
        a, b = between + 1.0 / pooled, between + noise
        determinant = a * b - between**2
        # log N([t m]; 0, [[a, y], [y, b]]) - log N(t; 0, a) - log N(m; 0, b), discriminant by discriminant
        constant = 0.5 * (np.log(a * b) - np.log(determinant)).sum(1)
        square_t = -0.5 * (b / determinant - 1.0 / a)
        square_m = -0.5 * (a / determinant - 1.0 / b)
        cross = between / determinant
        ratios: Doubles = (
            constant[None]
            + (trials**2) @ square_t.T
            + (models**2 * square_m).sum(1)[None]
            + trials @ (models * cross).T
        )
        return ratios


def _standardised(
    vectors: npt.ArrayLike, centres: dict[str, Doubles], scale: Doubles, strata: Sequence[str] | None
) -> Doubles:
    """Centre and scale vectors, by stratum where given, and clip outliers."""
    whole = centres[""]
    centre = whole[None] if strata is None else np.stack([centres.get(stratum, whole) for stratum in strata])
    return np.clip((np.asarray(vectors, np.float64) - centre) / scale, -CLIP, CLIP)


@dataclass(frozen=True, eq=False)
class Scale:
    """Centre and deviation of each column, to standardise vectors by."""

    centre: Doubles
    deviation: Doubles

    @classmethod
    def of(cls, vectors: npt.ArrayLike) -> Scale:
        """From (utterances, copies, dims)."""
        array = np.asarray(vectors, np.float64)
        return cls(array.mean((0, 1)), array.std((0, 1)) + 1e-6)

    def __call__(self, vectors: npt.ArrayLike) -> Doubles:
        """(..., dims) standardised."""
        return np.clip((np.asarray(vectors, np.float64) - self.centre) / self.deviation, -CLIP, CLIP)


@dataclass(frozen=True, eq=False)
class Moments:
    """Statistics of training vectors that a back end of any shape is made from."""

    centres: dict[str, Doubles]
    scale: Doubles
    total: Doubles
    between: Doubles


def moments(vectors: npt.ArrayLike, speakers: Ints, strata: Sequence[str]) -> Moments:
    """Centre, scale, total and between-speaker covariance of standardised training vectors.

    The between-speaker covariance is the mean product of *different* utterances, in *different* copies, of one
    speaker: what a drawn voice, which all utterances of a copy may share, and the words of an utterance have in
    common with themselves is no speaker. A single copy has nothing drawn.
    """
    array = np.asarray(vectors, np.float64)
    utterances, copies, dims = array.shape
    names = np.asarray(strata)
    centres = {"": array.mean((0, 1))}
    centre = np.broadcast_to(centres[""], (utterances, dims)).copy()
    for stratum in sorted(set(strata) - {""}):
        centres[stratum] = array[names == stratum].mean((0, 1))
        centre[names == stratum] = centres[stratum]
    centred = array - centre[:, None]
    scale = centred.std((0, 1)) + 1e-6
    standard = np.clip(centred / scale, -CLIP, CLIP)
    flat = standard.reshape(-1, dims)
    total = flat.T @ flat / len(flat)
    names, index, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    pairs = np.maximum(counts - 1, 1) * max(copies * (copies - 1), 1)
    weight = np.where(counts > 1, pairs**-0.5, 0.0)  # of a speaker's vectors: either side of a product has it
    weighted = standard * weight[index, None, None]
    summed = np.zeros((len(names), copies, dims))
    np.add.at(summed, index, weighted)
    between = _squared(summed.sum(1)) - _squared(weighted.sum(1))
    if copies > 1:
        between -= _squared(summed.reshape(-1, dims)) - _squared(weighted.reshape(-1, dims))
    return Moments(centres, scale, total, between / max(int(counts[counts > 1].sum()), 1))


def _squared(rows: Doubles) -> Doubles:
    """(dims, dims) sum of the products of rows with themselves."""
    return np.asarray(rows.T @ rows)


def fit(known: Moments, shape: Shape) -> Backend:
    """The back end of these moments and this shape."""
    grid = _grid(known, (shape.components,), (shape.shrinkage,), (shape.prior,))
    return next(grid)[1].cut(shape.discriminants)


def _grid(
    known: Moments, components: Sequence[int], shrinkages: Sequence[float], priors: Sequence[float]
) -> Iterator[tuple[Shape, Backend]]:
    """A back end with all its discriminants for each of the settings, sharing what they share."""
    values, vectors = np.linalg.eigh(known.total)
    order = np.argsort(values)[::-1]
    for size in components:
        keep = order[:size]
        basis, kept = vectors[:, keep], values[keep]
        between = basis.T @ known.between @ basis
        within = np.diag(kept) - between
        # Estimated from few speakers, the difference may have negative directions; none may explode.
        w_values, w_vectors = np.linalg.eigh((within + within.T) / 2.0)
        within = (w_vectors * np.maximum(w_values, 0.02 * kept.mean())) @ w_vectors.T
        for shrinkage in shrinkages:
            root = np.linalg.inv(np.linalg.cholesky(_mixed(within, shrinkage)))
            for prior in priors:
                power, directions = np.linalg.eigh(root @ _mixed(between, prior) @ root.T)
                best = np.argsort(power)[::-1]
                projection = basis @ root.T @ directions[:, best]
                backend = Backend(known.centres, known.scale, projection, np.maximum(power[best], 1e-6))
                yield Shape(size, len(best), shrinkage, prior), backend


def _mixed(covariance: Doubles, share: float) -> Doubles:
    """The covariance, a share of it spread evenly over all directions. Ledoit & Wolf, J. Multivar. Anal. 88 (2004)."""
    even = np.trace(covariance) / len(covariance)
    return np.asarray((1.0 - share) * covariance + share * even * np.eye(len(covariance)))


def choose(vectors: npt.ArrayLike, trials: Trials, repeats: int = 2, parts: int = 3) -> tuple[Shape, float]:
    """The best shape by cross-validation over training speakers, and the area under its ROC there.

    Models and trials of held-out speakers come from different copies. The area is used, not the equal
    error rate: on a few dozen speakers the latter is too coarse to choose by.
    """
    array = np.asarray(vectors, np.float64)
    found: dict[Shape, list[float]] = {}
    for seed in range(repeats):
        for fit_on, held in folds(trials, parts, seed):
            inner, outer = trials.subset(fit_on), trials.subset(held)
            known = moments(array[fit_on], inner.speakers, inner.strata)
            copies = [
                _standardised(array[held, k], known.centres, known.scale, outer.strata)
                for k in range(array.shape[1])
            ]
            for shape, backend in _grid(known, _sizes(COMPONENTS, array.shape[2]), SHRINKAGES, PRIORS):
                for trial, enrol in copy_pairs(array.shape[1])[:2]:
                    probes = copies[trial] @ backend.projection
                    models = outer.members @ (copies[enrol] @ backend.projection)
                    for kept in _sizes(DISCRIMINANTS, len(backend.between)):
                        ratios = backend.cut(kept).score(probes[:, :kept], models[:, :kept], outer.sizes)
                        scores = outer.table(ratios)
                        key = replace(shape, discriminants=kept)
                        found.setdefault(key, []).append(area(scores[outer.target], scores[outer.nontarget]))
    best = max(found, key=lambda shape: float(np.mean(found[shape])))
    return best, float(np.mean(found[best]))


def copy_pairs(copies: int) -> list[tuple[int, int]]:
    """(trial copy, enrolment copy), never the same copy where there is more than one."""
    return [(0, 0)] if copies == 1 else [(k, (k + 1) % copies) for k in range(copies)][:4]


def _sizes(wanted: Sequence[int], most: int) -> list[int]:
    return sorted({min(size, most) for size in wanted})


def area(target: Doubles, nontarget: Doubles) -> float:
    """Area under the ROC: the share of (target, nontarget) pairs in the right order, ties half."""
    ordered = np.sort(nontarget)
    below = np.searchsorted(ordered, target, "left") + np.searchsorted(ordered, target, "right")
    return float(below.mean() / (2.0 * max(len(ordered), 1)))
