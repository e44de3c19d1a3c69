"""An attacker that estimates a method's own parameter from its output and applies the method backwards.

Possible where one number decides the voice. That number is drawn in secret, but the output shows it: a
kernel regression trained on the attacker's own copies, whose parameters the attacker drew, finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Audio, Doubles
from deident.disguise.base import Method, Scope
from deident.evaluation.cache import Arrays, digest, fingerprint
from deident.evaluation.copies import key_of, voice_of
from deident.evaluation.corpus import Utterance
from deident.evaluation.features import frames_of, spectrum

WIDTH, RIDGE = 0.3, 0.05  # of the kernel, on standardised features; good for every range tried


@dataclass(frozen=True)
class Parameter:
    """The number that decides a voice.

    name : the voice's attribute.   backwards : the number that undoes it.   tolerance : counts as found.
    """

    name: str
    backwards: Callable[[float], float]
    tolerance: float


def _inverse(value: float) -> float:
    return 1.0 / value


def _negative(value: float) -> float:
    return -value


PARAMETERS: dict[str, Parameter] = {
    "McAdams": Parameter("alpha", _inverse, 0.05),
    "PitchShift": Parameter("semitones", _negative, 0.5),
}


@dataclass(frozen=True, eq=False)
class Regression:
    """Gaussian-kernel ridge regression from the spectrum of a copy to the parameter of its voice.

    Saunders, Gammerman & Vovk, ICML 1998.
    """

    centre: Doubles
    scale: Doubles
    rows: Doubles
    weights: Doubles
    mean: float

    @classmethod
    def fit(cls, vectors: Doubles, values: Doubles) -> Regression:
        """Fit kernel ridge regression from vectors, (rows, dimensions), to values."""
        centre, scale = vectors.mean(0), vectors.std(0) + 1e-6
        rows = np.clip((vectors - centre) / scale, -6.0, 6.0)
        kernel = _kernel(rows, rows) + RIDGE * np.eye(len(rows))
        return cls(centre, scale, rows, np.linalg.solve(kernel, values - values.mean()), float(values.mean()))

    def __call__(self, vectors: npt.ArrayLike) -> Doubles:
        rows = np.clip((np.asarray(vectors, np.float64) - self.centre) / self.scale, -6.0, 6.0)
        return np.asarray(_kernel(rows, self.rows) @ self.weights + self.mean)


def _kernel(one: Doubles, two: Doubles) -> Doubles:
    """Gaussian kernel of all pairs of rows."""
    squares = (one**2).sum(1)[:, None] + (two**2).sum(1)[None] - 2.0 * one @ two.T
    return np.asarray(np.exp(-WIDTH * squares / one.shape[1]))


@dataclass(frozen=True, eq=False)
class Undone(Method[Any]):
    """A disguise followed by the attempt to undo it: what the inverting attacker works on."""

    method: Method[Any]
    parameter: Parameter
    regression: Regression
    scope: Scope

    @property
    def fingerprint(self) -> str:
        trained = digest(self.regression.weights.tobytes().hex(), self.regression.rows.tobytes().hex())
        return digest("undone", fingerprint(self.method), self.parameter.name, trained)

    def draw(self, rng: np.random.Generator) -> Any:
        return self.method.draw(rng)

    def apply(self, audio: Audio, voice: Any, rng: np.random.Generator) -> Audio:
        disguised = self.method.apply(audio, voice, rng)
        found = float(self.regression(spectrum(frames_of(disguised.mono))[None])[0])
        backwards = replace(voice, **{self.parameter.name: self.parameter.backwards(found)})
        return self.method.apply(disguised, backwards, rng)

    def recovery(self, utterances: Sequence[Utterance], trial: Arrays, seed: int) -> float:
        """Share of trial copies whose parameter was found within the tolerance."""
        true = _drawn(
            self.method, self.parameter, self.scope, utterances, "trial", trial["spectrum"].shape[1], seed
        )
        found = self.regression(trial["spectrum"].reshape(true.size, -1))
        return float((np.abs(found - true.ravel()) <= self.parameter.tolerance).mean())


def undo(method: Method[Any], utterances: Sequence[Utterance], train: Arrays, seed: int) -> Undone | None:
    """The method undone, trained on the attacker's own copies; None where no one number decides a voice."""
    parameter = PARAMETERS.get(type(method).__name__)
    if parameter is None:
        return None
    values = _drawn(method, parameter, method.scope, utterances, "train", train["spectrum"].shape[1], seed)
    if values.std() < 1e-6:
        return None
    vectors = train["spectrum"].reshape(values.size, -1).astype(np.float64)
    return Undone(method, parameter, Regression.fit(vectors, values.ravel()), method.scope)


def _drawn(
    method: Any,
    parameter: Parameter,
    scope: str,
    utterances: Sequence[Utterance],
    purpose: str,
    copies: int,
    seed: int,
) -> Doubles:
    """(utterances, copies): the parameters of these copies, drawn once more."""
    key = key_of(seed)
    names = [voice_of(u, scope) for u in utterances]
    return np.array(
        [
            [getattr(method.draw(key.rng("voice", purpose, name, k)), parameter.name) for k in range(copies)]
            for name in names
        ]
    )
