"""Linking and singling out: counted against brute force, and extrapolated to a world that is there to be counted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import expon, norm

from deident.evaluation.attack import Attack
from deident.evaluation.identification import Identification, Risk, identify
from deident.evaluation.intervals import draw_weights
from deident.evaluation.population import Crowd, Tail
from deident.evaluation.scoring import Cosine
from deident.evaluation.trials import Comparison, Trials

NOTHING = np.zeros(2)


@dataclass(frozen=True, eq=False)
class Same:
    """Scores that do not depend on the snippets enrolled."""

    scores: np.ndarray

    def __call__(self, comparison: Comparison) -> np.ndarray:
        return self.scores


def trials_of(speakers: int, each: int) -> Trials:
    rows = np.repeat(np.arange(speakers), each)
    everybody = np.ones(len(rows), np.bool_)
    return Trials(rows, rows, ("",) * len(rows), everybody, everybody, across=False)


def world(speakers: int, each: int, noise: float, seed: int, runs: int = 2) -> Identification:
    """People who are points in thirty dimensions, and an attacker who compares angles."""
    rng, trials = np.random.default_rng(seed), trials_of(speakers, each)
    voices = rng.normal(size=(speakers, 30))[trials.speakers][:, None]
    trial, enrol = (voices + noise * rng.normal(size=(len(voices), 2, 30)) for _ in range(2))

    def again(view: Comparison) -> np.ndarray:
        return np.stack([Cosine().compare(trial[:, run], enrol[:, run], view) for run in range(runs)])

    attack = Attack(again(trials), NOTHING, NOTHING, again)
    return identify({"mine/points": attack}, trials, draw_weights(speakers, 20, 0))


def at(found: Identification, population: int, snippets: int) -> Risk:
    (risk,) = [r for r in found.risks if (r.population, r.snippets) == (population, snippets)]
    return risk


@pytest.fixture(scope="module")
def small() -> Identification:
    return world(50, 4, 2.0, 1)


@pytest.fixture(scope="module")
def large() -> Identification:
    return world(300, 4, 2.0, 2)


def test_linked_is_the_share_of_drawn_populations_in_which_nobody_scores_higher() -> None:
    trials = trials_of(7, 2)
    scores = np.random.default_rng(3).normal(size=(1, 14, 7)) + 0.8 * trials.own
    found = Crowd.of(scores, trials).linked_counted(4)[0]
    for row, own in enumerate(trials.speakers):
        others = np.delete(scores[0, row], own)
        drawn = [scores[0, row, own] > max(some) for some in combinations(others, 3)]
        assert found[row] == pytest.approx(np.mean(drawn))


def test_what_is_extrapolated_from_few_speakers_is_found_among_many(
    small: Identification, large: Identification
) -> None:
    for snippets in (1, 2, 3):
        guess, counted = at(small, 100, snippets), at(large, 100, snippets)
        assert (guess.measured, counted.measured) == (False, True)
        assert guess.linked.value == pytest.approx(counted.linked.value, abs=0.06)
        assert guess.singled_out.value == pytest.approx(counted.singled_out.value, abs=0.08)
    guess, further = at(small, 1_000, 3), at(large, 1_000, 3)  # a step of three, and of twenty
    assert guess.linked.value == pytest.approx(further.linked.value, abs=0.06)


def test_more_snippets_are_extrapolated_as_they_are_found() -> None:
    few, many = world(90, 4, 3.0, 4), world(90, 11, 3.0, 4)
    guess, counted = at(few, 20, 10), at(many, 20, 10)
    assert (guess.measured, counted.measured) == (False, True)
    assert guess.linked.value == pytest.approx(counted.linked.value, abs=0.12)
    assert guess.linked.value > at(few, 20, 3).linked.value


def test_larger_populations_hide_and_more_snippets_expose(small: Identification) -> None:
    linked = {(r.population, r.snippets): r.linked.value for r in small.risks}
    assert linked[20, 1] > linked[100, 1] > linked[1_000, 1] > linked[10_000, 1]
    assert linked[1_000, 1] < linked[1_000, 3] < linked[1_000, 30]
    assert all(r.linked.low <= r.linked.value <= r.linked.high for r in small.risks)


def test_the_extrapolation_is_checked_on_half_of_the_speakers(large: Identification) -> None:
    assert large.checks.keys() == {"linked", "singled out", "linked, snippets"}
    for what in ("linked", "linked, snippets"):
        guess, counted = large.checks[what]
        assert guess == pytest.approx(counted, abs=0.08)
    assert large.checks["linked"][1] == pytest.approx(large.top_1.value, abs=0.01)


def test_what_a_handful_of_speakers_cannot_check_is_left_out() -> None:
    found = world(8, 3, 2.0, 1, runs=1)
    assert found.checks.keys() == {"linked"}
    assert all(np.isfinite(found.checks["linked"]))


def test_who_knows_nothing_links_by_chance_and_singles_out_a_third() -> None:
    trials, rng = trials_of(50, 4), np.random.default_rng(5)
    scores = rng.normal(size=(2, 200, 50))
    noise = Attack(scores, NOTHING, NOTHING, Same(scores))
    found = identify({"mine/noise": noise}, trials, draw_weights(50, 20, 0))
    assert at(found, 20, 1).linked.value == pytest.approx(1 / 20, abs=0.02)
    assert at(found, 1_000, 1).linked.value == pytest.approx(1 / 1_000, abs=0.002)
    for population in (100, 10_000):
        assert at(found, population, 1).singled_out.value == pytest.approx(np.exp(-1.0), abs=0.02)


def test_a_constant_score_links_nobody() -> None:
    trials = trials_of(50, 2)
    flat = Attack(np.zeros((1, 100, 50)), NOTHING, NOTHING, Same(np.zeros((1, 100, 50))))
    found = identify({"mine/flat": flat}, trials, draw_weights(50, 20, 0))
    assert found.top_1.value == pytest.approx(1 / 50)
    assert at(found, 20, 1).linked.value < 0.05
    assert at(found, 1_000, 1).linked.value < 0.01


def test_the_attack_that_names_most_is_taken() -> None:
    trials, rng = trials_of(30, 3), np.random.default_rng(6)
    weak = rng.normal(size=(1, 90, 30)) + trials.own
    attacks = {
        name: Attack(scores, NOTHING, NOTHING, Same(scores))
        for name, scores in (("a/x", weak), ("b/x", weak + 3.0 * trials.own))
    }
    assert identify(attacks, trials, draw_weights(30, 20, 0)).attack == "b/x"


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_a_tail_is_foretold_beyond_the_scores_at_hand(law: str) -> None:
    rng = np.random.default_rng(7)
    quantiles = {"normal": norm.ppf, "exponential": expon.ppf}[law]
    known = quantiles(rng.uniform(size=8_000))
    tail = Tail.of(known)
    for share, factor in ((0.02, 1.2), (1e-3, 2.0), (1e-4, 5.0)):  # of 8,000 scores 8, and 1, lie there
        assert tail(tail.inverse(np.array([share])))[0] == pytest.approx(share, rel=1e-6)
        found = tail(np.array([quantiles(1.0 - share)]))[0]
        assert share / factor < found < share * factor
