"""The cost of a disguise: melody, length, and use as training material.

No measure of naturalness is here: those that follow listeners are networks trained on votes, and the
plain ones (cepstral distance to the original) count every change of voice as damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deident.audio import Floats
from deident.errors import SettingError
from deident.evaluation.cache import Arrays, digest, source_digest
from deident.evaluation.copies import Analysed
from deident.evaluation.corpus import Utterance
from deident.evaluation.features import Frames


@dataclass(frozen=True)
class Melody:
    """Correlation of the F0 contours before and after, where both are voiced, and the change of length.

    Time is scaled evenly to the original's; a copy without enough common voicing gives NaN.
    """

    @property
    def fingerprint(self) -> str:
        from deident.evaluation import features

        return digest("melody", source_digest(__name__, features.__name__))

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
        found = [_contour_correlation(original.frames, copy.frames) for copy in copies]
        ratios = [len(copy.audio) / max(len(original.audio), 1) for copy in copies]
        return {"f0_correlation": np.array(found), "duration_ratio": np.array(ratios)}


def _contour_correlation(before: Frames, after: Frames) -> float:
    """Correlate log pitch contours where both are voiced; NaN where too little is."""
    count = len(before.voiced)
    at = np.round(np.linspace(0, len(after.voiced) - 1, count)).astype(int)
    both = before.voiced & after.voiced[at]
    if both.sum() < 20:
        return float("nan")
    one, two = np.log(before.pitch[0][both]), np.log(after.pitch[0][at][both])
    if one.std() < 1e-6 or two.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


@dataclass(frozen=True)
class TrainingUse:
    """Accuracy, 0 to 1, of a small word classifier by what it was trained and tested on.

    Speakers tested are never those trained on. `chance` is one over the number of words.
    """

    original: float
    trained_on_disguised: float
    tested_on_disguised: float
    both_disguised: float
    chance: float


@dataclass(frozen=True)
class WordShape:
    """(192,) a copy: twelve cepstra at sixteen places over a single spoken word, about their mean."""

    @property
    def fingerprint(self) -> str:
        from deident.evaluation import features

        return digest("word shape", source_digest(__name__, features.__name__))

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
        return {"word": np.stack([_word_vector(copy.frames) for copy in copies])}


def training_use(words: Sequence[Utterance], plain: Floats, hidden: Floats) -> TrainingUse:
    """Train on disguised single words and test on undisguised ones, and the reverse.

    words : utterances of one word each (`transcript`), of two speakers or more.   plain, hidden : (words,
    dims) of `WordShape`, before and after. Raises `SettingError`.
    """
    labels = np.unique([u.transcript for u in words], return_inverse=True)[1]
    speakers = np.unique([u.speaker for u in words], return_inverse=True)[1]
    if labels.max(initial=0) < 1 or speakers.max(initial=0) < 1:
        raise SettingError("expected single words, of two kinds and two speakers at least")

    def accuracy(train: Floats, test: Floats) -> float:
        right = [
            nearest_class(train[speakers != s], labels[speakers != s], test[speakers == s])
            == labels[speakers == s]
            for s in np.unique(speakers)
        ]
        return float(np.concatenate(right).mean())

    return TrainingUse(
        accuracy(plain, plain), accuracy(hidden, plain), accuracy(plain, hidden), accuracy(hidden, hidden),
        1.0 / (int(labels.max()) + 1),
    )  # fmt: skip


def _word_vector(frames: Frames) -> Floats:
    """Describe a word by 16 mean normalised cepstra over its length."""
    span = np.flatnonzero(frames.speech)
    inside = frames.cepstra[span[0] : span[-1] + 1, 1:13]
    inside = (inside - inside.mean(0)) / (inside.std(0) + 0.1)
    edges = np.linspace(0, len(inside), 17).astype(int)
    rows = [inside[a : max(b, a + 1)].mean(0) for a, b in pairwise(edges.clip(max=len(inside) - 1))]
    return np.concatenate(rows).astype(np.float32)


def nearest_class(train: Floats, labels: npt.NDArray[np.intp], test: Floats) -> npt.NDArray[np.intp]:
    """Labels by linear discriminants with a shrunken common covariance. Friedman, JASA 84 (1989)."""
    classes = np.unique(labels)
    means = np.stack([train[labels == c].mean(0) for c in classes])
    spread = train - means[np.searchsorted(classes, labels)]
    covariance = spread.T @ spread / len(train)
    covariance = 0.5 * covariance + 0.5 * np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    weights = np.linalg.solve(covariance, means.T)
    return np.asarray(classes[np.argmax(test @ weights - 0.5 * (means.T * weights).sum(0), axis=1)])
