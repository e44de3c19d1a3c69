"""A forecast of how long an evaluation takes, from one snippet that goes all its ways."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from deident.disguise.base import as_method
from deident.evaluation.channels import EACH
from deident.evaluation.copies import CopyJob, Embedding, Measure, Statistics, Undisguised, make
from deident.evaluation.corpus import Corpus, Utterance
from deident.evaluation.settings import Settings, Tools

ATTACKING_SECONDS = 15.0  # a method, after its copies are made
TRAINING_SECONDS = 900.0  # a method and attacker that trains a network


def forecast(
    corpus: Corpus,
    disguises: Mapping[str, Any],
    how: Settings,
    tools: Tools,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Seconds of one processor core that `evaluate` takes with an empty cache, about.

    Parameters
    ----------
    corpus : Corpus
    disguises : mapping of str to Disguise
    how : Settings
    tools : Tools
    clock : callable, optional

    Returns
    -------
    float
    """
    kept = _kept(corpus, how.most)
    train: float = kept["train"]
    tests: float = kept["trial"]
    if not train:
        train = tests = kept[""] / 2
    speakers = len({u.speaker for u in corpus.utterances}) / 2
    example = sorted(corpus.utterances[:50], key=lambda u: len(u.load()))[len(corpus.utterances[:50]) // 2]
    features: dict[str, Measure] = {"statistics": Statistics()}
    features |= {name: Embedding(name, encoder) for name, encoder in tools.encoders.items()}

    def spent(method: Any, measures: Mapping[str, Measure]) -> float:
        job = CopyJob(method, "forecast", 1, how.seed, "snippet", dict(measures))
        make(job, [example])  # whatever is loaded once
        started = clock()
        make(job, [example])
        return clock() - started

    def listening() -> float:
        started = clock()
        for recogniser in tools.recognisers.values():
            recogniser(example.load().mono)
        return clock() - started

    copies = train * how.train_draws + tests * how.runs * (1 + how.enrol_draws)
    networks = sum(attacker.trains for attacker in tools.attackers.values())
    has_words = any(u.transcript for u in corpus.utterances)
    words = listening() * speakers * how.spoken if has_words and tools.recognisers else 0.0
    total = spent(Undisguised(), features) * (train + tests)
    for disguise in disguises.values():
        method = as_method(disguise)
        total += copies * spent(method, features) + networks * TRAINING_SECONDS
        if how.channels:
            total += EACH * (train + tests) * spent(method, {"statistics": Statistics()})
    return total + (1 + len(disguises)) * (ATTACKING_SECONDS + words)


def _kept(corpus: Corpus, most: int) -> Counter[str]:
    """Utterances that count, by role; those to be enrolled count as trials."""

    def role(utterance: Utterance) -> str:
        return "trial" if utterance.role == "enrol" else utterance.role

    counts = Counter((u.speaker, role(u)) for u in corpus.utterances)
    found: Counter[str] = Counter()
    for (_, which), count in counts.items():
        found[which] += min(count, most)
    return found
