"""Traits of a speaker told from vectors of known make."""

from __future__ import annotations

import numpy as np
import pytest

from deident.evaluation import backend
from deident.evaluation.intervals import draw_weights
from deident.evaluation.traits import _area_samples, recover

SPEAKERS = np.repeat(np.arange(24), 4)
SEX = tuple("FM"[s % 2] for s in SPEAKERS)
AGE = tuple("" if s < 6 else "child" if s % 3 else "adult" for s in SPEAKERS)
LABELS = {"sex": (SEX, SEX), "group": (AGE, AGE)}
BOTH = (SPEAKERS, SPEAKERS)
WEIGHTS = draw_weights(24, 100, 0)


def vectors(seed: int, sex: float = 0.0, age: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    speaker = 0.5 * rng.normal(size=(24, 1, 8))[SPEAKERS]
    tells = (
        sex * (np.array(SEX) == "F")[:, None, None] * np.eye(8)[0]
        + age * (np.array(AGE) == "child")[:, None, None] * np.eye(8)[3]
    )
    return speaker + rng.normal(size=(96, 2, 8)) + tells


def test_what_vectors_tell_is_told_and_nothing_else() -> None:
    found = recover({"x": vectors(0, sex=4.0)}, {"x": vectors(1, sex=4.0)}, LABELS, BOTH, WEIGHTS)
    assert found.keys() == {"F or M", "adult or child"}
    assert found["F or M"].area.value > 0.95
    assert 0.3 < found["adult or child"].area.value < 0.7
    assert all(one.area.low <= one.area.value <= one.area.high for one in found.values())


def test_the_family_that_tells_most_counts() -> None:
    train, tests = ({"dull": vectors(k), "telling": vectors(k + 5, age=4.0)} for k in (0, 1))
    found = recover(train, tests, LABELS, BOTH, WEIGHTS)
    assert found["adult or child"].family == "telling"
    assert found["adult or child"].area.value > 0.95


def test_what_is_learned_the_other_way_round_is_not_turned_to_the_right() -> None:
    found = recover({"x": vectors(0, sex=4.0)}, {"x": vectors(1, sex=-4.0)}, LABELS, BOTH, WEIGHTS)
    assert found["F or M"].area.value < 0.1


def test_one_value_or_too_few_speakers_are_left_out() -> None:
    alone = ("F",) * 96
    few = tuple("F" if s < 2 else "M" for s in SPEAKERS)
    for sex in (alone, few):
        assert not recover({"x": vectors(0)}, {"x": vectors(1)}, {"sex": (sex, sex)}, BOTH, WEIGHTS)


def test_of_more_than_two_values_each_is_told_from_the_others() -> None:
    where = tuple("abc"[s % 3] for s in SPEAKERS)
    found = recover({"x": vectors(0)}, {"x": vectors(1)}, {"corpus": (where, where)}, BOTH, WEIGHTS)
    assert found.keys() == {"a or not", "b or not", "c or not"}


def test_every_speaker_once_is_the_plain_area_and_one_drawn_twice_counts_twice() -> None:
    rng = np.random.default_rng(3)
    scores, positive = rng.normal(size=(96, 2)), np.array(SEX) == "F"
    plain = backend.area(scores[positive].ravel(), scores[~positive].ravel())
    twice = np.ones(24)
    twice[4] = 2.0
    rows = np.concatenate((np.arange(96), np.flatnonzero(SPEAKERS == 4)))
    expected = backend.area(scores[rows][positive[rows]].ravel(), scores[~positive].ravel())
    found = _area_samples(scores, positive, SPEAKERS, np.stack((np.ones(24), twice)))
    assert found == pytest.approx([plain, expected])
