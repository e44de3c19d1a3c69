"""Scores of trials against models: cosine as it is, or PLDA that was trained first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.linalg

from deident.audio import Doubles
from deident.evaluation import backend
from deident.evaluation.trials import Comparison, Trials

Vectors = npt.NDArray[np.floating]


class Scorer(Protocol):
    """Compares vectors of trials with models averaged from vectors of enrolment."""

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles:
        """Score every trial against every model.

        Parameters
        ----------
        trial, enrol : (utterances, dims)
            One copy of each utterance.
        comparison : Comparison
            The utterances that are averaged into a trial and into a model.

        Returns
        -------
        (trials, models) float64
            Higher means more alike.
        """
        ...


class Scoring(Protocol):
    """A way from training vectors to a scorer."""

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        """Choose all settings on training speakers.

        Returns
        -------
        scoring : Scoring
            The same with its settings fixed.
        note : str
            The choice in words, for the report.
        """
        ...

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        """Train on (utterances, copies, dims) vectors of the training speakers."""
        ...


class Cosine:
    """The angle between a trial and the mean of its model, as speaker encoders are used off the shelf."""

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles:
        probe = comparison.probes @ np.asarray(trial, np.float64)
        model = comparison.members @ np.asarray(enrol, np.float64)
        return comparison.table(_unit(probe) @ _unit(model).T)


def _unit(rows: Doubles) -> Doubles:
    """Scale rows to unit length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9))


class Untrained:
    """Cosine, which needs no training: for embeddings that were made for it."""

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        return self, "cosine"

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        return Cosine()


@dataclass(frozen=True)
class Retrained:
    """Centring, discriminants and two-covariance PLDA; the shape by cross-validation when not given."""

    shape: backend.Shape | None = None

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        shape = _REMEMBERED.once("shape", fit_on, trials, lambda: backend.choose(fit_on, trials)[0])
        words = f"PLDA, {shape.components} components, {shape.discriminants} discriminants"
        return Retrained(shape), f"{words}, shrinkage {shape.shrinkage:g}, prior {shape.prior:g}"

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        shape = self.shape or backend.choose(fit_on, trials)[0]

        def make() -> backend.Backend:
            return backend.fit(backend.moments(fit_on, trials.speakers, trials.strata), shape)

        scorer: Scorer = _REMEMBERED.once(shape, fit_on, trials, make)
        return scorer


@dataclass(frozen=True)
class Rotated:
    """Orthogonal Procrustes: models are rotated from the space of undisguised vectors to that of disguised ones.

    The rotation takes the undisguised training vectors nearest to their disguised copies; the last copy of what it is
    fitted to is the undisguised one. Schönemann, Psychometrika 31 (1966).
    """

    inner: Scoring

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        inner, note = self.inner.settle(backend.Scale.of(fit_on[:, :-1])(fit_on[:, :-1]), trials)
        return Rotated(inner), f"orthogonal Procrustes, {note}"

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        copies, plain = fit_on[:, :-1], backend.Scale.of(fit_on[:, -1:])
        disguised = backend.Scale.of(copies)
        product = plain(fit_on[:, -1]).T @ disguised(copies.mean(1))
        left, _, right = scipy.linalg.svd(product, lapack_driver="gesvd")  # gesdd may not converge
        return _RotatedScorer(self.inner.fit(disguised(copies), trials), plain, disguised, left @ right)


@dataclass(frozen=True, eq=False)
class _RotatedScorer:
    inner: Scorer
    plain: backend.Scale
    disguised: backend.Scale
    rotation: Doubles

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles:
        return self.inner.compare(self.disguised(trial), self.plain(enrol) @ self.rotation, comparison)


class _Remembered:
    """Back ends by the vectors they were fitted to: several attackers train on the same ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, Any] = {}

    def once(self, subject: object, fit_on: Vectors, trials: Trials, make: Callable[[], Any]) -> Any:
        """Return what was made for the same subject and data, or make it."""
        named = repr((subject, fit_on.shape, fit_on.dtype, trials.strata)).encode()
        speakers = trials.speakers.tobytes()
        name = hashlib.sha256(named + speakers + np.ascontiguousarray(fit_on).tobytes()).hexdigest()
        # The one asked for last goes last: the next method is attacked with the same originals.
        found = self._known.pop(name) if name in self._known else make()
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[name] = found
        return found


_REMEMBERED = _Remembered(400)
