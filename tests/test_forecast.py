"""The forecast of an evaluation's cost, by a clock that tells what it is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.evaluation.corpus import Corpus, InMemory, few_speakers
from deident.evaluation.forecast import ATTACKING_SECONDS, TRAINING_SECONDS, forecast
from deident.evaluation.network import Trained
from deident.evaluation.settings import Settings, Tools
from tests.methods import Pair
from tests.vectors import utterances

LOUD = InMemory(Audio(0.1 * np.random.default_rng(0).normal(size=RATE).clip(-3, 3), RATE))
CORPUS = Corpus("c", tuple(replace(u, load=LOUD, transcript="a b") for u in utterances(20, 4)))
HOW = Settings(runs=1, train_draws=2, enrol_draws=1, channels=False)


def seconds(corpus: Corpus = CORPUS, how: Settings = HOW, tools: Tools | None = None) -> float:
    """Every thing that is timed takes a second."""
    clock = map(float, count())
    return forecast(corpus, {"one": Pair(), "two": Pair()}, how, tools or Tools(), lambda: next(clock))


def test_copies_are_counted_for_every_method() -> None:
    undisguised, method = 80.0, 40.0 * 2 + 40.0 * 2
    assert seconds() == pytest.approx(undisguised + 2 * method + 3 * ATTACKING_SECONDS)
    assert seconds(how=replace(HOW, most=2)) == pytest.approx(
        (undisguised + 2 * method) / 2 + 3 * ATTACKING_SECONDS
    )


def test_roles_channels_words_and_networks_are_counted() -> None:
    apart = [
        replace(u, role="train" if u.speaker >= "s005" else "enrol" if u.name[-1] in "23" else "trial")
        for u in CORPUS.utterances
    ]
    plain = seconds(replace(CORPUS, utterances=tuple(apart)))
    assert plain == pytest.approx(80.0 + 2 * (60.0 * 2 + 20.0 * 2) + 3 * ATTACKING_SECONDS)
    assert seconds(how=replace(HOW, channels=True)) - seconds() == pytest.approx(2 * 4 * 80.0)
    assert seconds(tools=Tools(recognisers={"r": lambda samples: "a"})) - seconds() == pytest.approx(
        3 * 10 * HOW.spoken
    )
    assert seconds(tools=Tools(attackers={"trained": Trained()})) - seconds() == pytest.approx(
        2 * TRAINING_SECONDS
    )


def test_few_speakers_are_of_every_stratum_and_role() -> None:
    rows = [replace(u, role="train" if u.speaker < "s060" else "trial") for u in utterances(90, 3)]
    kept = few_speakers(Corpus("c", tuple(rows)), 24)
    counts = Counter({u.speaker: (u.role, u.sex) for u in kept.utterances}.values())
    assert sum(counts.values()) == 24
    assert counts["train", "F"] == counts["train", "M"] == 8
    assert len(kept.utterances) == 72
    assert few_speakers(CORPUS, 24).utterances == CORPUS.utterances
