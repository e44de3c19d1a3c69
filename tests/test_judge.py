"""Verdicts, gates and reports on vectors of known make: what is counted, what is withheld, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from deident.evaluation import gates
from deident.evaluation.intervals import draw_weights
from deident.evaluation.judge import Case, Material, Verdict, identify, judge, same_recording
from deident.evaluation.report import COLUMNS, WITHHELD, Report
from deident.evaluation.report_html import page
from deident.evaluation.trials import Trials
from tests.test_attackers import make_evidence, utterances


def make_case(deaf: bool = False) -> Case:
    """One family of statistics, which tells speakers or, to the deaf, nothing."""
    e = make_evidence(0.5)
    rng = np.random.default_rng(8)

    def heard(vectors: Any) -> dict[str, Any]:
        count = vectors.shape[:2]
        costs = {
            "seconds": np.full(count, 0.5),
            "duration_ratio": np.ones(count),
            "f0_correlation": np.ones(count),
        }
        costs |= {"words": np.zeros(count), "word_errors": np.zeros(count)}
        costs["words"][:, 0] = 10.0
        return {"pitch": rng.normal(size=vectors.shape) if deaf else vectors, **costs}

    original = Material(heard(e.train_original), heard(e.enrol_original), heard(e.enrol_original))
    disguised = Material(heard(e.train), heard(e.trial), heard(e.enrol))
    original.trial["word_errors"][::2, 0] = 2.0  # of twenty words one in ten
    disguised.trial["word_errors"][:, 0] = 3.0
    return Case(e.train_trials, e.trials, original, disguised, None, (), np.ones(120), draws=20)


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return judge(make_case())


@pytest.fixture(scope="module")
def deaf() -> Verdict:
    return judge(make_case(deaf=True))


def make_report(verdicts: dict[str, Verdict], found: list[gates.Gate]) -> Report:
    corpus = {"name": "made", "synthetic": False, "train_speakers": 30, "train_utterances": 120}
    corpus |= {"trial_speakers": 30, "trial_utterances": 120}
    return Report(corpus, {"seed": 0}, {}, verdicts, found, [], {}, {})


def cells(report: Report, method: str) -> dict[str, str]:
    return dict(zip(COLUMNS, report.row(method), strict=True))


def test_every_number_of_an_attacker_that_fails_undisguised_is_withheld(
    verdict: Verdict, deaf: Verdict
) -> None:
    report = make_report({"undisguised": deaf, "good": verdict}, gates.strong_enough(deaf))
    assert report.exit_code == 3
    for attack in verdict.attacks:  # the single family and what is fused of it are no better than the whole
        assert report.distrust("good", attack), attack
    row = cells(report, "good")
    assert row["strongest attack, EER % [95 %]"].startswith(WITHHELD)
    for column in ("informed statistics", "top-1 [95 %]", "same recording EER %"):
        assert row[column] == WITHHELD
    assert page(report).count(WITHHELD) > page(make_report({"good": verdict}, [])).count(WITHHELD) + 10


def test_a_failed_family_leaves_the_others_their_numbers(verdict: Verdict) -> None:
    attacks = {
        f"{k}/{f}": verdict.headline for k in ("informed", "all") for f in ("statistics", "fusion", "pitch")
    }
    weak = replace(verdict.headline, eer=0.3)
    failed = gates.strong_enough(replace(verdict, attacks={**attacks, "informed/statistics": weak}))
    blocked = {a for a in attacks if gates.blocking(failed, "any", a)}
    assert blocked == {"informed/statistics", "all/statistics", "informed/pitch", "all/pitch"}


def test_comparing_says_what_differs_besides_the_method(verdict: Verdict, deaf: Verdict) -> None:
    now = make_report({"good": verdict}, [])
    before = json.loads(now.to_json())
    assert now.compare(before).count("note") == 0
    other = {**before, "settings": {"seed": 1}}
    assert "other settings" in now.compare(other)
    attacks = before["verdicts"]["good"]["attacks"]
    heard = {
        **before,
        "verdicts": {"good": {**before["verdicts"]["good"], "attacks": {**attacks, "lazy/more": {}}}},
    }
    assert "attackers" in now.compare(heard)
    doubtful = make_report({"undisguised": deaf, "good": verdict}, gates.strong_enough(deaf))
    assert f"good: {WITHHELD}" in doubtful.compare(before)
    assert f"good: {WITHHELD}" in now.compare(json.loads(doubtful.to_json()))


def test_more_snippets_single_out_more_people(verdict: Verdict) -> None:
    grown = verdict.identification.growth
    assert list(grown) == list(verdict.growth["enrolled"]) == [1, 2, 3]
    assert grown[3] == pytest.approx(verdict.identification.top_1.value)
    assert grown[1] < grown[3]


def test_who_is_not_enrolled_is_nobodys_model() -> None:
    rng = np.random.default_rng(2)
    rows = [*utterances(12, 2, "trial"), *[u for u in utterances(8, 6, "enrol") if u.name[-1] in "2345"]]
    trials = Trials.of(rows)
    voices = 3.0 * rng.normal(size=(trials.count, 12))
    case = make_case()
    family = (voices[trials.speakers] + 3.0)[:, None] + 0.3 * rng.normal(size=(len(rows), 2, 12))
    tests = {"pitch": family}
    case = replace(case, trials=trials, disguised=Material(case.disguised.train, tests, tests))
    found = identify(
        replace(case, original=Material(case.original.train, tests, tests)), draw_weights(12, 20, 0)
    )
    assert found.speakers == 8
    assert found.top_1.value > 0.95
    assert list(found.growth) == [1, 2, 3]
    assert found.eer_mixed < 0.05


def test_words_and_time_are_counted_over_all_that_was_heard(verdict: Verdict) -> None:
    use = verdict.utility
    assert use.word_error is not None
    assert use.relative_word_error is not None
    assert (use.words, use.speed) == (1_200, pytest.approx(2.0))
    assert (use.word_error.value, use.relative_word_error.value) == (pytest.approx(0.3), pytest.approx(3.0))


def test_exposure_is_a_share_of_others(verdict: Verdict, deaf: Verdict) -> None:
    assert len(verdict.exposure) == 30
    assert np.mean(verdict.exposure) > 0.95
    assert 0.4 < np.mean(deaf.exposure) < 0.65


class Leaky(Trials):
    """Models that hold the utterance on trial."""

    @cached_property
    def members(self) -> np.ndarray:
        own = self.speakers[:, None] == self.speakers[None]
        return own / own.sum(1, keepdims=True)


def test_random_vectors_show_a_trial_within_its_model() -> None:
    case = make_case()
    assert gates.chance(case).passed
    t = case.trials
    leaky = replace(case, trials=Leaky(t.speakers, t.recordings, t.sexes, t.tried, t.enrolled))
    assert not gates.chance(leaky).passed


def test_a_path_that_changes_identity_is_noticed(verdict: Verdict, deaf: Verdict) -> None:
    case = make_case()
    plain = replace(case, disguised=case.original)
    undisguised = judge(plain)
    assert gates.identity(plain, undisguised).passed
    assert not gates.identity(plain, deaf).passed


def test_recordings_are_told_by_the_strongest_attack_not_by_the_fusion() -> None:
    """Beside a family that says nothing, the fusion is a little worse than the one that does."""
    case, rng = make_case(), np.random.default_rng(3)

    def more(material: Material) -> Material:
        parts = (material.train, material.trial, material.enrol)
        return Material(*({**part, "voice": rng.normal(size=part["pitch"].shape)} for part in parts))

    case = replace(case, original=more(case.original), disguised=more(case.disguised))
    found, rates = same_recording(case, draw_weights(case.trials.count, 20, 0))
    assert found is not None
    assert found.eer == pytest.approx(rates["pitch"])
    assert rates["pitch"] < rates["fusion"]
