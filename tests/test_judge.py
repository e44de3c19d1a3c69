"""Verdicts, gates and reports on vectors of known make: what is counted, what is withheld, what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from deident.evaluation import gates
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.attackers import ATTACKERS
from deident.evaluation.corpus import Corpus
from deident.evaluation.identification import identify
from deident.evaluation.intervals import draw_weights
from deident.evaluation.judge import (
    NETWORK,
    Case,
    Material,
    attack_all,
    judge,
    same_recording,
    unaware,
    word_use,
)
from deident.evaluation.ranking import compare, rank
from deident.evaluation.report import EER, SAME_RECORDING, TOP_1, WITHHELD, Report
from deident.evaluation.report_html import page
from deident.evaluation.scoring import Untrained
from deident.evaluation.trials import Trials
from deident.evaluation.verdict import Verdict
from deident.evaluation.words import text_by
from tests.vectors import make_evidence, utterances

SAID = " ".join("abcdefghij")


def make_case(blind: bool = False, **others: Any) -> Case:
    """One family of statistics, which tells speakers or, to the blind, nothing."""
    e = make_evidence(0.5)
    rng = np.random.default_rng(8)

    def measured(vectors: Any, wrong: int, every: int = 1) -> dict[str, Any]:
        count = vectors.shape[:2]
        costs = {
            "seconds": np.full(count, 0.5),
            "duration_ratio": np.ones(count),
            "f0_correlation": np.ones(count),
        }
        texts = np.full(count, SAID)
        texts[::every, 0] = " ".join(["x"] * wrong + SAID.split()[wrong:])
        return {
            "pitch": rng.normal(size=vectors.shape) if blind else vectors, text_by("deaf"): np.full(count, "x"),
            text_by("good"): texts, **costs,
        }  # fmt: skip

    original = Material(*(measured(v, 2, 2) for v in (e.train_original, e.enrol_original, e.enrol_original)))
    disguised = Material(*(measured(v, 3) for v in (e.train, e.trial, e.enrol)))
    made: dict[str, Any] = {"draws": 20, "recognisers": ("good",), "transcripts": (SAID,) * 120, **others}
    return Case(e.train_trials, e.trials, original, disguised, None, (), np.ones(120), **made)


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return judge(make_case())


@pytest.fixture(scope="module")
def blind() -> Verdict:
    return judge(make_case(blind=True))


def make_report(verdicts: dict[str, Verdict], found: list[gates.Gate]) -> Report:
    corpus = {"name": "made", "synthetic": False, "train_speakers": 30, "train_utterances": 120}
    corpus |= {"trial_speakers": 30, "trial_utterances": 120}
    return Report(corpus, {"seed": 0}, {}, verdicts, found, [], {}, {})


def cells(report: Report, method: str) -> dict[str, str]:
    head, *rows = report.summary()
    return dict(zip(head, next(row for row in rows if row[0] == method), strict=True))


def test_every_number_of_an_attacker_that_fails_undisguised_is_withheld(
    verdict: Verdict, blind: Verdict
) -> None:
    report = make_report({"undisguised": blind, "good": verdict}, gates.strong_enough(blind, ATTACKERS))
    assert report.exit_code == 3
    for attack in verdict.attacks:  # the single family and what is fused of it are no better than the whole
        assert report.distrust("good", attack), attack
    row = cells(report, "good")
    for column in (EER, TOP_1, SAME_RECORDING):
        assert row[column] == WITHHELD
    assert all(cells[2] == WITHHELD for cells in report.attacks()[1:])
    assert page(report).count(WITHHELD) > page(make_report({"good": verdict}, [])).count(WITHHELD) + 10


class Failing(Attacker):
    """Fails where it is let, and is as good as what it stands for elsewhere."""

    def __init__(self, error: Exception, on: Any) -> None:
        self.error, self.on = error, on

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        if evidence.trial is self.on:
            raise self.error
        return ATTACKERS["semi-informed"].attack(evidence, comparable)


@pytest.mark.parametrize("error", [np.linalg.LinAlgError(), ValueError("in it"), ZeroDivisionError()])
def test_an_attacker_that_fails_costs_its_method_and_no_other(error: Exception) -> None:
    case = make_case()
    plain = replace(case, disguised=case.original)
    mine = Failing(error, case.disguised.trial["pitch"])
    attackers = {**ATTACKERS, "mine": mine}
    verdicts = {
        "undisguised": judge(replace(plain, attackers=attackers)),
        "bad": judge(replace(case, attackers=attackers)),
        "good": judge(replace(case, attackers={**ATTACKERS, "mine": Failing(error, None)})),
    }
    assert verdicts["bad"].failed == {"mine": type(error).__name__}
    assert verdicts["good"].failed == {}
    report = make_report(verdicts, gates.check(verdicts, plain, synthetic=True))
    assert cells(report, "bad")[EER] == cells(report, "bad")[TOP_1] == WITHHELD
    assert WITHHELD not in cells(report, "good")[EER]
    assert report.exit_code == 3
    assert any(type(error).__name__ in gate.detail for gate in report.gates if not gate.passed)
    assert "in it" not in report.to_json()


def test_an_attacker_that_fails_on_undisguised_speech_is_believed_nowhere() -> None:
    case = make_case()
    plain = replace(case, disguised=case.original)
    attackers = {**ATTACKERS, "mine": Failing(ValueError(), case.original.trial["pitch"])}
    verdicts = {"undisguised": judge(replace(plain, attackers=attackers))}
    verdicts["good"] = judge(replace(case, attackers=attackers))
    report = make_report(verdicts, gates.check(verdicts, plain, synthetic=True))
    assert report.distrust("good", "mine/statistics")
    assert report.distrust("good", "all/fusion")
    assert not report.distrust("good", "semi-informed/statistics")


@pytest.mark.parametrize("package", ["onnxruntime", "kaldi-native-fbank", "faster-whisper"])
def test_a_report_says_which_version_of_an_instrument_it_was_made_with(package: str) -> None:
    pytest.importorskip(package.replace("-", "_"))
    report = Report.of(Corpus("made", ()), {}, {}, {}, [], (), {}, {}, make_case().trials)
    assert report.versions[package] == version(package)


def test_a_failed_family_leaves_the_others_their_numbers(verdict: Verdict) -> None:
    attacks = {
        f"{k}/{f}": verdict.headline
        for k in ("semi-informed", "all")
        for f in ("statistics", "fusion", "pitch")
    }
    weak = replace(verdict.headline, eer=0.3)
    failed = gates.strong_enough(
        replace(verdict, attacks={**attacks, "semi-informed/statistics": weak}), ATTACKERS
    )
    blocked = {a for a in attacks if gates.blocking(failed, "any", a)}
    assert blocked == {"semi-informed/statistics", "all/statistics", "semi-informed/pitch", "all/pitch"}


def test_comparing_says_what_differs_besides_the_method(verdict: Verdict, blind: Verdict) -> None:
    now = make_report({"good": verdict}, [])
    before = json.loads(now.to_json())
    assert compare(now, before).count("note") == 0
    other = {**before, "settings": {"seed": 1}}
    assert "other settings" in compare(now, other)
    attacks = before["verdicts"]["good"]["attacks"]
    others = {
        **before,
        "verdicts": {
            "good": {**before["verdicts"]["good"], "attacks": {**attacks, "lazy-informed/more": {}}}
        },
    }
    assert "attackers" in compare(now, others)
    doubtful = make_report({"undisguised": blind, "good": verdict}, gates.strong_enough(blind, ATTACKERS))
    assert f"good: {WITHHELD}" in compare(doubtful, before)
    assert f"good: {WITHHELD}" in compare(now, json.loads(doubtful.to_json()))


def test_more_snippets_single_out_more_people(verdict: Verdict) -> None:
    grown = verdict.identification.growth
    assert list(grown) == list(verdict.growth["enrolled"]) == [1, 2]  # of the other recording
    assert grown[2] == pytest.approx(verdict.identification.top_1.value)
    assert grown[1] < grown[2]


def test_who_is_not_enrolled_is_nobodys_model() -> None:
    rng = np.random.default_rng(2)
    rows = [*utterances(12, 2, "trial"), *[u for u in utterances(8, 6, "enrol") if u.name[-1] in "2345"]]
    trials = Trials.of(rows)
    voices = 3.0 * rng.normal(size=(trials.count, 12))
    case = make_case()
    family = (voices[trials.speakers] + 3.0)[:, None] + 0.3 * rng.normal(size=(len(rows), 2, 12))
    tests = {"pitch": family}
    case = replace(case, trials=trials, disguised=Material(case.disguised.train, tests, tests))
    case = replace(case, original=Material(case.original.train, tests, tests))
    found = identify(unaware(case, attack_all(case)[0]), trials, draw_weights(12, 20, 0))
    assert found.speakers == 8
    assert found.top_1.value > 0.95
    assert list(found.growth) == [1, 2, 3]
    assert found.eer_mixed < 0.05


def test_words_and_time_are_counted_over_all_utterances(verdict: Verdict) -> None:
    use = verdict.utility.words["good"]
    assert (use.words, verdict.utility.speed) == (1_200, pytest.approx(2.0))
    assert use.error.value == pytest.approx(0.3)
    assert use.added.value == pytest.approx(0.2)  # of every other utterance, two words were wrong before
    assert use.added.low <= 0.2 <= use.added.high
    assert use.own.value == pytest.approx(0.2)  # one word more where two were wrong, three where none was


@pytest.mark.parametrize(
    "runaway", ["eight, " * 150, "j the words " * 60, f"{SAID} and then {'k l m n ' * 20}"], ids=len
)
def test_a_snippet_has_at_most_all_its_words_wrong_however_long_its_text(runaway: str) -> None:
    def recognised(material: Material, text: str) -> Material:
        texts = np.full(material.trial["seconds"].shape, SAID, f"U{len(runaway)}")
        texts[7] = text
        return replace(material, trial={**material.trial, text_by("good"): texts})

    case = make_case()
    for disguised, plain, error, added, bounded in (
        (runaway, SAID, 10, 10, 1), (SAID, runaway, 0, -10, 0), (runaway, runaway, 10, 0, 1),
    ):  # fmt: skip
        both = {
            "disguised": recognised(case.disguised, disguised),
            "original": recognised(case.original, plain),
        }
        use = word_use(replace(case, **both), "good", draw_weights(30, 20, 0))
        assert use is not None
        assert (use.error.value, use.added.value) == (
            pytest.approx(error / 1_200),
            pytest.approx(added / 1_200),
        )
        assert use.bounded == bounded
        assert use.own.value <= 10 / 1_200


def test_a_recogniser_that_answers_the_same_to_everything_gets_no_number() -> None:
    case = make_case(recognisers=("good", "deaf"))
    plain = judge(replace(case, disguised=case.original))
    failed = {gate.name: gate.passed for gate in gates.understands(plain)}
    assert failed == {"recogniser understands: good": True, "recogniser understands: deaf": False}
    report = make_report({"undisguised": plain, "mine": judge(case)}, gates.understands(plain))
    row = cells(report, "mine")
    assert row["words added by deaf, points [95 %]"] == WITHHELD
    assert row["words added by good, points [95 %]"].startswith("+20.0 ")
    assert row[EER] != WITHHELD


class Gullible(Attacker):
    summary = "believes in angles"
    improves_on = "lazy-informed"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        return evidence.attack(Untrained(), evidence.train, evidence.enrol, evidence.train)


class Aside(Gullible):
    fused = "none"


def test_a_new_attacker_is_fused_checked_shown_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    before = judge(make_case()).attacks["all/fusion"]
    for kind, is_fused in ((Gullible, True), (Aside, False)):
        monkeypatch.setitem(ATTACKERS, "mine", kind())
        case = make_case()
        verdict = judge(case)
        assert {"mine/pitch", "mine/statistics"} <= verdict.attacks.keys()
        assert (verdict.attacks["all/fusion"].note != before.note) == is_fused
        found = [
            *gates.strong_enough(verdict, case.attackers),
            *gates.retraining("m", verdict, case.attackers),
        ]
        names = {gate.name for gate in found}
        assert {"attacker strong enough: mine/statistics", "retraining helps: mine/statistics"} <= names
        failed = gates.strong_enough(judge(make_case(blind=True)), case.attackers)
        assert gates.blocking(failed, "any", "mine/pitch")
        assert bool(gates.blocking([g for g in failed if "mine" in g.name], "any", "all/fusion")) == is_fused
        report = make_report({"undisguised": verdict, "m": verdict}, found)
        assert "mine/statistics" in [row[0] for row in report.attacks()]
        assert "mine/statistics" in page(report)


def test_a_network_that_learned_less_than_a_back_end_is_noted(verdict: Verdict) -> None:
    class Network(Gullible):
        trains = True

    known = {**ATTACKERS, "mine": Network()}
    for eer, passed in ((0.0, True), (0.3, False)):
        attacks = {**verdict.attacks, "mine/network": replace(verdict.headline, eer=eer)}
        (gate,) = gates.learned("m", replace(verdict, attacks=attacks), known)
        assert (gate.passed, gate.blocks, gate.attacks) == (passed, False, ("mine/network",))
    assert not gates.learned("m", verdict, ATTACKERS)


@pytest.mark.parametrize("recognises", [True, False])
def test_a_network_that_recognises_is_joined_with_all_others(recognises: bool) -> None:
    class Network(Gullible):
        trains = True
        fused = "none"
        must_recognise = recognises

    case = make_case()
    rng = np.random.default_rng(4)

    def blurred(material: Material) -> Material:
        return Material(
            *({NETWORK: arrays["pitch"] + rng.normal(size=arrays["pitch"].shape)}
              for arrays in (material.train, material.trial, material.enrol))
        )  # fmt: skip

    own = {"mine": (blurred(case.original), blurred(case.disguised))}
    found = judge(replace(case, attackers={**ATTACKERS, "mine": Network()}, own=own))
    assert ("mine/fusion" in found.attacks) == recognises
    assert found.attacks["mine/network"].eer > 0.01
    if recognises:
        assert found.attacks["mine/fusion"].note == "mine/network and all/fusion, evenly"
        assert found.attacks["mine/fusion"].eer < found.attacks["mine/network"].eer
        checked = {gate.name for gate in gates.strong_enough(found, {"mine": Network()})}
        assert checked == {"attacker strong enough: mine/network", "attacker strong enough: mine/fusion"}
        (gate,) = gates.learned("m", found, {**ATTACKERS, "mine": Network()})
        assert gate.attacks == ("mine/network",)


def test_numbers_are_given_for_every_group_of_speakers() -> None:
    speakers = make_case().trials.speakers
    labels = tuple(("F" if s % 2 == 0 else "M", "child" if s < 15 else "adult") for s in speakers)
    verdict = judge(make_case(labels=labels))
    assert verdict.groups.keys() == {"F", "M", "adult", "child"}
    assert all(found.low <= found.value <= found.high + 1e-9 for found in verdict.groups.values())
    assert verdict.utility.words["good"].by_group == {label: pytest.approx(0.2) for label in verdict.groups}
    rows = [row[0] for row in make_report({"m": verdict}, []).groups()]
    assert "child: EER %, strongest attack" in rows
    assert "child: words added by good, points" in rows


def test_risks_are_shown_by_method_and_snippets_and_withheld_with_their_attacker(
    verdict: Verdict, blind: Verdict
) -> None:
    report = make_report({"m": verdict}, [])
    head, *rows = report.risks()
    assert head[3:] == ("of 20", "of 100", "of 1,000", "of 10,000")
    assert [row[:3] for row in rows][:2] == [("m", "semi-informed/statistics", n) for n in ("1", "2")]
    assert not rows[0][3].startswith("(")  # 30 speakers are more than 20
    assert all(cell.startswith("(") for row in rows for cell in row[4:])
    doubtful = make_report({"undisguised": blind, "m": verdict}, gates.strong_enough(blind, ATTACKERS))
    assert {cell for row in doubtful.risks()[1:] for cell in row[3:]} == {WITHHELD}


def test_enrolment_is_averaged_over_its_draws() -> None:
    case, rng = make_case(), np.random.default_rng(5)
    noisy = {
        k: v + 1.5 * rng.normal(size=v.shape) if k == "pitch" else v for k, v in case.disguised.enrol.items()
    }
    many = {**noisy, "pitch": np.repeat(case.disguised.enrol["pitch"], 8, axis=1)}
    many["pitch"] = many["pitch"] + 1.5 * rng.normal(size=many["pitch"].shape)

    def rate(enrol: Any) -> float:
        return (
            judge(replace(case, disguised=replace(case.disguised, enrol=enrol)))
            .attacks["semi-informed/pitch"]
            .eer
        )

    assert rate(many) < rate(noisy)


def test_methods_are_ranked_over_several_reports(verdict: Verdict, blind: Verdict) -> None:
    def report(name: str, found: Verdict, seed: int = 0) -> dict[str, Any]:
        made = make_report({"undisguised": verdict, name: found}, [])
        return json.loads(replace(made, settings={"seed": seed}).to_json())

    table, notes = rank([report("open", verdict), report("closed", blind)])
    assert [row[1] for row in table[1:]] == ["closed", "open", "undisguised"]
    assert notes == []
    other = report("more", blind, 1)
    other["verdicts"]["more"][WITHHELD] = "because"
    table, notes = rank([report("open", verdict), other])
    assert [row[1] for row in table[1:]] == ["open", "undisguised", "more"]
    assert table[-1][3] == WITHHELD
    assert len(notes) == 1
    assert "other settings" in notes[0]


def test_exposure_is_a_share_of_others(verdict: Verdict, blind: Verdict) -> None:
    assert len(verdict.exposure) == 30
    assert np.mean(verdict.exposure) > 0.95
    assert 0.4 < np.mean(blind.exposure) < 0.65


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
    leaky = replace(case, trials=Leaky(t.speakers, t.recordings, t.strata, t.tried, t.enrolled))
    assert not gates.chance(leaky).passed


def test_a_path_that_changes_identity_is_noticed(verdict: Verdict, blind: Verdict) -> None:
    case = make_case()
    plain = replace(case, disguised=case.original)
    undisguised = judge(plain)
    assert gates.identity(plain, undisguised).passed
    assert not gates.identity(plain, blind).passed


def test_scatter_of_few_trials_is_no_failure_and_a_broken_attacker_is(
    verdict: Verdict, blind: Verdict
) -> None:
    one, recognised = "semi-informed/statistics", judge(replace(make_case(), disguised=make_case().original))

    def with_error(rate: float) -> Verdict:
        return replace(
            recognised, attacks={**recognised.attacks, one: replace(recognised.attacks[one], eer=rate)}
        )

    def gate(found: Verdict, trials: int) -> gates.Gate:
        by_name = {gate.name: gate for gate in gates.strong_enough(found, ATTACKERS, trials)}
        return by_name[f"attacker strong enough: {one}"]

    assert [gate(with_error(0.093), trials).passed for trials in (24, 240)] == [True, False]
    assert "undisguised equal error rate 9.3 % (at most 14 %)" in gate(with_error(0.093), 24).detail
    assert [gate(with_error(rate), 366).passed for rate in (0.079, 0.082)] == [True, False]
    assert not gate(blind, 24).passed
    plain = replace(make_case(), disguised=make_case().original)
    off = with_error(recognised.attacks[one].eer + 0.03)
    assert [gates.identity(plain, off, 1.0 / trials).passed for trials in (24, 240)] == [True, False]
    assert not gates.identity(plain, blind, 1.0 / 24).passed


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
