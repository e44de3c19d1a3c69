"""What a disguise costs: words, melody, length, time, and use as training material.

No measure of naturalness is here: those that follow listeners are networks trained on votes, and the
plain ones (cepstral distance to the original) count every change of voice as damage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Floats
from deident.errors import ExtraMissingError, SettingError
from deident.evaluation.cache import Arrays, digest, fingerprint, source_digest
from deident.evaluation.copies import Heard
from deident.evaluation.corpus import Utterance
from deident.evaluation.features import Frames


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation; apostrophes stay."""
    return re.findall(r"[\w']+", text.lower())


def word_errors(reference: str, heard: str) -> int:
    """Least number of words to insert, drop or replace. Levenshtein (1966), over words."""
    said, got = words_of(reference), words_of(heard)
    row = np.arange(len(got) + 1)
    places = np.arange(len(got) + 1)
    for number, word in enumerate(said, start=1):
        change = row[:-1] + np.array([word != other for other in got], dtype=row.dtype)
        best = np.concatenate(([number], np.minimum(change, row[1:] + 1)))
        # An insertion costs one a place: the running minimum of cost minus place gives all of them at once.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


@cache
def _decoder() -> Any:
    """One a process, however often the recogniser is sent there."""
    from pocketsphinx import Decoder

    # A third of the default's 30,000 states a frame hears the same words, of clear and of disguised speech, and
    # takes a quarter less time: most of it goes where it cannot make anything out.
    return Decoder(loglevel="FATAL", maxhmmpf=10_000)


class Pocketsphinx:
    """The recogniser of the `pocketsphinx` package, US English, large vocabulary.

    Raises `ExtraMissingError` without the extra `attackers`."""

    name = "pocketsphinx"

    def __init__(self) -> None:
        try:
            import pocketsphinx  # noqa: F401
        except ImportError:
            raise ExtraMissingError.of("attackers", "the recogniser") from None

    @property
    def fingerprint(self) -> str:
        import pocketsphinx

        return digest(self.name, getattr(pocketsphinx, "__version__", ""), source_digest(__name__))

    def __call__(self, samples: Floats) -> str:
        decoder = _decoder()
        pcm = np.clip(np.rint(samples * 32_767.0), -32_768, 32_767).astype("<i2")
        if not pcm.size:
            return ""
        decoder.reinit_feat()  # the running cepstral mean of the last utterance must not help this one
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""


@dataclass(frozen=True)
class Recognition:
    """Word errors of the first copy of each utterance that has a transcript; zero words for the others."""

    recogniser: Any

    @property
    def fingerprint(self) -> str:
        return digest("recognition", fingerprint(self.recogniser))

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays:
        errors, words = np.zeros(len(copies)), np.zeros(len(copies))
        if words_of(utterance.transcript):
            words[0] = len(words_of(utterance.transcript))
            errors[0] = word_errors(utterance.transcript, self.recogniser(copies[0].audio.mono))
        return {"word_errors": errors, "words": words}


@dataclass(frozen=True)
class Melody:
    """Correlation of the F0 contours before and after, where both are voiced, and the change of length.

    Time is scaled evenly to the original's; a copy without enough common voicing gives NaN."""

    @property
    def fingerprint(self) -> str:
        from deident.evaluation import features

        return digest("melody", source_digest(__name__, features.__name__))

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays:
        found = [_contour_correlation(original.frames, copy.frames) for copy in copies]
        ratios = [len(copy.audio) / max(len(original.audio), 1) for copy in copies]
        return {"f0_correlation": np.array(found), "duration_ratio": np.array(ratios)}


def _contour_correlation(before: Frames, after: Frames) -> float:
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

    Speakers tested are never those trained on. `chance` is one over the number of words."""

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

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays:
        return {"word": np.stack([_word_vector(copy.frames) for copy in copies])}


def training_use(words: Sequence[Utterance], plain: Floats, hidden: Floats) -> TrainingUse:
    """Train on disguised single words and test on undisguised ones, and the reverse.

    words : utterances of one word each (`transcript`), of two speakers or more.   plain, hidden : (words,
    dims) of `WordShape`, before and after. Raises `SettingError`."""
    labels = np.unique([u.transcript for u in words], return_inverse=True)[1]
    speakers = np.unique([u.speaker for u in words], return_inverse=True)[1]
    if labels.max(initial=0) < 1 or speakers.max(initial=0) < 1:
        raise SettingError("expected single words, of two kinds and two speakers at least")

    def accuracy(train: Floats, test: Floats) -> float:
        right = [
            _nearest(train[speakers != s], labels[speakers != s], test[speakers == s])
            == labels[speakers == s]
            for s in np.unique(speakers)
        ]
        return float(np.concatenate(right).mean())

    return TrainingUse(
        accuracy(plain, plain), accuracy(hidden, plain), accuracy(plain, hidden), accuracy(hidden, hidden),
        1.0 / (int(labels.max()) + 1),
    )  # fmt: skip


def _word_vector(frames: Frames) -> Floats:
    span = np.flatnonzero(frames.speech)
    inside = frames.cepstra[span[0] : span[-1] + 1, 1:13]
    inside = (inside - inside.mean(0)) / (inside.std(0) + 0.1)
    edges = np.linspace(0, len(inside), 17).astype(int)
    rows = [inside[a : max(b, a + 1)].mean(0) for a, b in pairwise(edges.clip(max=len(inside) - 1))]
    return np.concatenate(rows).astype(np.float32)


def _nearest(train: Floats, labels: npt.NDArray[np.intp], test: Floats) -> npt.NDArray[np.intp]:
    """Labels by linear discriminants with a shrunken common covariance. Friedman, JASA 84 (1989)."""
    classes = np.unique(labels)
    means = np.stack([train[labels == c].mean(0) for c in classes])
    spread = train - means[np.searchsorted(classes, labels)]
    covariance = spread.T @ spread / len(train)
    covariance = 0.5 * covariance + 0.5 * np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    weights = np.linalg.solve(covariance, means.T)
    return np.asarray(classes[np.argmax(test @ weights - 0.5 * (means.T * weights).sum(0), axis=1)])
