"""Equal error rates by an attacker's effort, on vectors of known make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deident.evaluation.attack import Evidence
from deident.evaluation.effort import _order, effort
from deident.evaluation.trials import Trials
from tests.vectors import make_evidence, utterances


def noisy(train_speakers: int) -> Evidence:
    """A speaker in 6 of 60 dimensions, under noise that only training tells from them."""
    rng = np.random.default_rng(1)
    train, trials = Trials.of(utterances(train_speakers, 4)), Trials.of(utterances(24, 4, first=500))
    loud = np.where(np.arange(60) < 6, 1.0, 4.0)
    mixing = loud[:, None] * np.linalg.qr(rng.normal(size=(60, 60)))[0]

    known, others = (np.pad(rng.normal(size=(view.count, 6)), ((0, 0), (0, 54))) for view in (train, trials))

    def copies(view: Trials, speakers: np.ndarray, count: int) -> np.ndarray:
        noise = rng.normal(size=(len(view.speakers), count, 60))
        return (3.0 * speakers[view.speakers][:, None] + noise) @ mixing

    return Evidence(
        copies(train, known, 3), copies(train, known, 1), copies(trials, others, 2), copies(trials, others, 2),
        copies(trials, others, 1), train, trials,
    )  # fmt: skip


def test_more_training_speakers_make_a_stronger_attacker() -> None:
    found = effort("x", noisy(60))
    assert list(found.speakers) == [10, 20, 45, 60]
    assert list(found.draws) == [1, 2, 3]
    assert found.speakers[60] == found.draws[3]
    assert found.speakers[10] > found.speakers[60] + 0.03
    assert found.per_doubling < -0.01


def test_where_no_speaker_is_to_be_found_effort_buys_nothing() -> None:
    e, rng = make_evidence(0.0), np.random.default_rng(2)
    found = effort(
        "x", replace(e, trial=rng.normal(size=e.trial.shape), enrol=rng.normal(size=e.enrol.shape))
    )
    assert list(found.speakers) == [10, 20, 30]
    assert min(found.speakers.values()) > 0.4
    assert found.per_doubling == pytest.approx(0.0, abs=0.03)


def test_every_beginning_of_the_order_has_both_sexes() -> None:
    trials = Trials.of(utterances(30, 2))
    for seed in range(3):
        order = _order(trials, seed)
        assert sorted(order) == list(range(30))
        for count in (4, 10, 20):
            sexes = [trials.speaker_strata[s] for s in order[:count]]
            assert abs(sexes.count("F") - sexes.count("M")) <= 1
