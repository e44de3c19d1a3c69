"""Vectors of known make: speakers, utterances and a disguise that shifts."""

from __future__ import annotations

import numpy as np

from deident.audio import RATE, Audio
from deident.evaluation import metrics
from deident.evaluation.attack import Attack, Evidence
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.trials import Pairs, Trials

SILENCE = InMemory(Audio(np.zeros(RATE), RATE))


def utterances(speakers: int, each: int, role: str = "", first: int = 0) -> list[Utterance]:
    return [
        Utterance(f"{s}/{k}", f"s{s:03d}", SILENCE, "FM"[s % 2], recording=f"{s}/{k // 2}", role=role)
        for s in range(first, first + speakers)
        for k in range(each)
    ]


def make_vectors(trials: Trials, copies: int, rng: np.random.Generator, offset: float = 0.0) -> np.ndarray:
    """Speaker plus utterance plus copy; a disguise that shifts adds one direction, as much as it draws."""
    dims = 12
    speaker = 1.5 * rng.normal(size=(trials.count, dims))[trials.speakers][:, None]
    utterance = 0.6 * rng.normal(size=(len(trials.speakers), 1, dims))
    copy = 0.2 * rng.normal(size=(len(trials.speakers), copies, dims))
    shift = offset * rng.uniform(0.5, 1.5, (len(trials.speakers), copies, 1)) * np.eye(dims)[0]
    return speaker + utterance + copy + shift


def make_evidence(offset: float, seed: int = 0, speakers: int = 30) -> Evidence:
    rng = np.random.default_rng(seed)
    train, trials = Trials.of(utterances(speakers, 4)), Trials.of(utterances(speakers, 4, first=speakers))
    return Evidence(*_pair(train, 3, rng, offset), *_three(trials, rng, offset), train, trials)


def _pair(
    trials: Trials, copies: int, rng: np.random.Generator, offset: float
) -> tuple[np.ndarray, np.ndarray]:
    plain = make_vectors(trials, 1, rng)
    dims = plain.shape[2]
    shift = offset * rng.uniform(0.0, 2.0, (len(plain), copies, 1)) * np.ones(dims)
    return plain + shift + 0.2 * rng.normal(size=(len(plain), copies, dims)), plain


def _three(
    trials: Trials, rng: np.random.Generator, offset: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    plain = make_vectors(trials, 1, rng)

    def run() -> np.ndarray:
        shift = offset * rng.uniform(0.0, 2.0, (len(plain), 2, 1)) * np.ones(plain.shape[2])
        return plain + shift + 0.2 * rng.normal(size=(len(plain), 2, plain.shape[2]))

    return run(), run(), plain


def rate(attack: Attack, trials: Trials | Pairs) -> float:
    return metrics.eer(attack.scores[:, trials.target], attack.scores[:, trials.nontarget])
