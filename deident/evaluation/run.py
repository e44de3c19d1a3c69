"""An evaluation from corpus to scores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from deident.evaluation import metrics
from deident.evaluation.attackers import ATTACKERS, Attack, Evidence, fuse
from deident.evaluation.copies import Array, Batch, Measure, Undisguised, measure
from deident.evaluation.trials import Corpus, Trials

TRAIN_COPIES, RUNS = 4, 2


@dataclass(frozen=True, eq=False)
class Material:
    """Every measure of every copy of one method."""

    train: dict[str, Array]
    trial: dict[str, Array]
    enrol: dict[str, Array]


def gather(
    corpus: Corpus,
    disguise: Any,
    measures: Sequence[Measure],
    executor: Executor | None = None,
    seed: int = 0,
    train_copies: int = TRAIN_COPIES,
    runs: int = RUNS,
    scope: str = "snippet",
) -> Material:
    plain = isinstance(disguise, Undisguised)

    def copies(purpose: str, count: int) -> dict[str, Array]:
        batch = Batch(disguise, purpose, 1 if plain else count, seed, scope, tuple(measures))
        return measure(batch, corpus.train if purpose == "train" else corpus.tests, executor)

    trial = copies("trial", runs)
    return Material(copies("train", train_copies), trial, trial if plain else copies("enrol", runs))


def attack_all(corpus: Corpus, original: Material, disguised: Material) -> dict[str, Attack]:
    """Every attack, by "knowledge/family", with the fusions."""
    train_trials, trials = Trials.of(corpus.train), Trials.of(corpus.tests)
    families = [name for name, array in disguised.train.items() if array.ndim == 3]
    found: dict[str, Attack] = {}
    for family in families:
        evidence = Evidence(
            disguised.train[family], original.train[family], disguised.trial[family],
            disguised.enrol[family], original.trial[family], train_trials, trials,
        )  # fmt: skip
        for name, attacker in ATTACKERS.items():
            found[f"{name}/{family}"] = attacker.attack(evidence, family == "encoder")
    for name in ATTACKERS:
        plain = {k: v for k, v in found.items() if k.startswith(name + "/") and k != f"{name}/encoder"}
        found[f"{name}/statistics"] = fuse(plain)
        if f"{name}/encoder" in found:
            found[f"{name}/fusion"] = fuse({**plain, "encoder": found[f"{name}/encoder"]})
    return found


def eers(corpus: Corpus, attacks: dict[str, Attack]) -> dict[str, float]:
    """Equal error rate, per cent, of every attack on same-sex trials, runs pooled."""
    trials = Trials.of(corpus.tests)
    return {
        name: 100.0 * metrics.eer(a.scores[:, trials.target], a.scores[:, trials.nontarget])
        for name, a in attacks.items()
    }


def strength(
    corpus: Corpus, disguise: Any, measures: Sequence[Measure], original: Material, **options: Any
) -> dict[str, float]:
    return eers(corpus, attack_all(corpus, original, gather(corpus, disguise, measures, **options)))
