"""Trials, the back end and the attackers, on vectors of known make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from deident.audio import RATE, Audio
from deident.errors import SettingError
from deident.evaluation import backend, metrics
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.attackers import (
    ATTACKERS,
    Aligned,
    Ignorant,
    LazyInformed,
    SameRecording,
    SemiInformed,
    with_attackers,
)
from deident.evaluation.corpus import Corpus, InMemory, Utterance, divide, prepare
from deident.evaluation.fusion import fuse
from deident.evaluation.scoring import _Remembered
from deident.evaluation.trials import Pairs, Trials, folds
from tests.contracts import ATTACKER_CONTRACTS

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


def make_evidence(offset: float, seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    train, trials = Trials.of(utterances(30, 4)), Trials.of(utterances(30, 4, first=30))
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


def enumerate_names(attacks: list[Attack]) -> list[tuple[str, Attack]]:
    return [(str(number), attack) for number, attack in enumerate(attacks)]


def rate(attack: Attack, trials: Trials | Pairs) -> float:
    return metrics.eer(attack.scores[:, trials.target], attack.scores[:, trials.nontarget])


class TestTrials:
    def test_no_model_holds_the_utterance_on_trial(self) -> None:
        trials = Trials.of(utterances(5, 4))
        for most, pooled in ((1_000, 1), (2, 1), (2, 2), (1, 3)):
            view = trials.grown(most, pooled)
            assert not ((view.probes > 0) & (view.members > 0)).any()
            assert ((view.members > 0).sum(1) <= most).all()
            assert ((view.probes > 0).sum(1) == pooled).all()

    def test_models_and_probes_are_means_of_one_speaker(self) -> None:
        trials = Trials.of(utterances(5, 4))
        own = trials.speakers[:, None] == trials.speakers[None]
        for weights in (trials.members, trials.grown(2, 2).probes):
            np.testing.assert_allclose(weights.sum(1), 1.0)
            assert not weights[~own].any()

    def test_every_model_is_of_as_many_utterances(self) -> None:
        trials = Trials.of(utterances(4, 3), across=False)
        assert set(trials.sizes[trials.model_of].ravel().tolist()) == {2}
        trials = Trials.of(utterances(4, 6))  # two of each recording
        assert set(trials.sizes[trials.model_of].ravel().tolist()) == {4}

    def test_enrolment_shares_no_recording_with_the_trial_where_a_speaker_has_several(self) -> None:
        rows = [*utterances(3, 6), *[replace(u, recording=u.speaker) for u in utterances(2, 4, first=3)]]
        trials = Trials.of(rows)
        for row, model in zip(*np.nonzero(trials.members), strict=True):
            if trials.speakers[row] < 3:
                assert trials.recordings[row] != trials.recordings[model]
        assert (trials.sizes[trials.speakers >= 3] == 3).all()  # there is no other recording
        assert (Trials.of(rows, across=False).sizes[trials.speakers < 3] == 5).all()

    def test_the_table_takes_each_speakers_own_model(self) -> None:
        trials = Trials.of(utterances(4, 3))
        which = trials.table(np.broadcast_to(trials.speakers.astype(float), (12, 12)))
        np.testing.assert_array_equal(which, np.broadcast_to(np.arange(4.0), (12, 4)))

    def test_nontargets_are_of_the_same_sex_unless_blind(self) -> None:
        trials = Trials.of(utterances(6, 2))
        sexes = np.asarray(trials.strata)
        for row, column in zip(*np.nonzero(trials.nontarget), strict=True):
            assert sexes[row] == trials.speaker_strata[column]
        assert trials.nontarget.sum() == 12 * 2
        assert trials.blind().nontarget.sum() == 12 * 5
        assert trials.target.sum() == 12

    def test_enrolment_files_are_enrolled_and_never_tried(self) -> None:
        rows = [*utterances(3, 2, "trial"), *[u for u in utterances(3, 5, "enrol") if u.name[-1] in "234"]]
        trials = Trials.of(rows)
        assert trials.target.sum() == 6
        assert not trials.target[6:].any()
        assert not trials.members[:, :6].any()

    def test_somebody_who_is_not_enrolled_is_an_impostor_and_no_model(self) -> None:
        rows = [*utterances(4, 2, "trial"), *[u for u in utterances(3, 4, "enrol") if u.name[-1] in "23"]]
        trials = Trials.of(rows)
        assert not trials.target[:, 3].any()
        assert not trials.nontarget[:, 3].any()
        assert trials.nontarget[trials.speakers == 3, 1].sum() == 2
        assert trials.nontarget.sum() == 6

    def test_with_enrolment_apart_models_and_trials_grow_by_their_own_files(self) -> None:
        rows = [*utterances(5, 4, "trial"), *[u for u in utterances(5, 9, "enrol") if u.name[-1] in "45678"]]
        trials = Trials.of(rows)
        for enrolled, pooled in ((1, 1), (3, 1), (2, 4)):
            view = trials.grown(enrolled, pooled)
            tried = trials.tried
            assert ((view.members > 0).sum(1) == enrolled).all()
            assert ((view.probes[tried] > 0).sum(1) == pooled).all()
            assert not view.probes[tried][:, trials.enrolled].any()
        assert trials.reaches(5, 4)
        assert not trials.reaches(6)
        assert not trials.reaches(5, 5)

    def test_reaching_counts_what_four_speakers_in_five_have(self) -> None:
        trials = Trials.of([*utterances(8, 5), *utterances(1, 2, first=8)], across=False)
        assert trials.reaches(4)
        assert trials.reaches(2, 2)
        assert not trials.reaches(5)
        assert not Trials.of([*utterances(7, 5), *utterances(2, 2, first=7)], across=False).reaches(4)

    def test_reaching_counts_no_snippets_of_the_recording_on_trial(self) -> None:
        trials = Trials.of(utterances(8, 6))
        assert trials.reaches(4)
        assert not trials.reaches(5)

    def test_pairs_ask_about_recordings(self) -> None:
        pairs = Pairs(Trials.of(utterances(4, 4)))
        assert pairs.target.sum() == 4 * 2 * 2  # two recordings a speaker, two ordered pairs each
        own = pairs.trials.speakers[:, None] == pairs.trials.speakers[None]
        assert (pairs.nontarget & own).any()  # one speaker's two recordings are two recordings

    def test_folds_keep_speakers_apart_and_lose_none(self) -> None:
        trials = Trials.of(utterances(10, 3))
        parts = folds(trials, 3, 0)
        for fit_on, held in parts:
            assert not set(trials.speakers[fit_on]) & set(trials.speakers[held])
        assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(30))


class TestCorpus:
    def test_speakers_are_divided_by_sex_and_disjoint(self) -> None:
        corpus = divide(Corpus("c", tuple(utterances(20, 2))))
        train, tests = {u.speaker for u in corpus.train}, {u.speaker for u in corpus.tests}
        assert not train & tests
        assert [sum(u.sex == sex for u in corpus.train) for sex in "FM"] == [10, 10]

    def test_one_speaker_more_moves_nobody(self) -> None:
        before = divide(Corpus("c", tuple(utterances(20, 2))))
        after = divide(Corpus("c", tuple(utterances(22, 2))))
        moved = {u.name: u.role for u in before.utterances}
        assert sum(moved.get(u.name, u.role) != u.role for u in after.utterances) <= 4

    def test_too_few_speakers_are_refused_with_the_number(self) -> None:
        with pytest.raises(SettingError, match="got 2"):
            divide(Corpus("c", tuple(utterances(6, 2))))

    def test_a_speaker_on_both_sides_is_refused(self) -> None:
        rows = (*utterances(8, 2, "train"), *utterances(8, 2, "trial", first=7))
        with pytest.raises(SettingError, match="1 speakers"):
            divide(Corpus("c", rows))

    def test_enrolment_does_not_crowd_out_trials(self) -> None:
        rows = (*utterances(8, 5, "enrol"), *utterances(8, 2, "trial"), *utterances(8, 2, "train", first=8))
        loud = InMemory(Audio(np.ones(RATE), RATE))
        corpus = prepare(Corpus("c", tuple(replace(u, load=loud) for u in rows)), most=3)
        assert Counter(u.role for u in corpus.utterances) == {"enrol": 24, "trial": 16, "train": 16}

    def test_what_cannot_be_told_apart_is_said(self) -> None:
        def said(*rows: Utterance) -> str:
            return " ".join(divide(Corpus("c", rows)).remarks)

        rows = utterances(20, 4)
        assert "sex" not in said(*rows)
        assert "recording" not in said(*rows)
        assert "same-sex trials are all" in said(*(replace(u, sex="") for u in rows))
        some = [replace(u, sex="" if u.speaker < "s010" else u.sex) for u in rows]
        assert "with each other only" in said(*some)
        assert "one recording a speaker" in said(*(replace(u, recording=u.speaker) for u in rows))

    def test_what_is_left_out_is_said(self) -> None:
        alone = Utterance("x/0", "x", SILENCE, "F")
        short = Utterance("0/9", "s000", InMemory(Audio(np.zeros(100), RATE)), "F")
        long = Utterance("0/8", "s000", InMemory(Audio(np.zeros(11 * RATE), RATE)), "F", "many words")
        corpus = prepare(Corpus("c", (alone, short, long, *utterances(20, 2))))
        said = " ".join(corpus.remarks)
        assert "1 speakers with a single utterance" in said
        assert "1 utterances shorter" in said
        assert "1 utterances of 10 s" in said
        cut = next(u for u in corpus.utterances if u.name == "0/8")
        assert cut.load().seconds < 10.0
        assert cut.transcript == ""


class TestBackend:
    def test_scores_are_the_two_covariance_likelihood_ratio(self) -> None:
        rng = np.random.default_rng(0)
        between = np.array([3.0, 0.5])
        plda = backend.Backend({"": np.zeros(2)}, np.ones(2), np.eye(2), between)
        trial, model, counts, pooled = rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), [1, 4], 2
        found = plda.score(trial, model, counts, pooled)
        for row, column in np.ndindex(3, 2):
            pair = np.concatenate((trial[row], model[column]))
            a, b = np.diag(between + 1 / pooled), np.diag(between + 1 / counts[column])
            cross = np.diag(between)
            one = multivariate_normal(np.zeros(4), np.block([[a, cross], [cross, b]])).logpdf(pair)
            two = multivariate_normal(np.zeros(2), a).logpdf(trial[row])
            two += multivariate_normal(np.zeros(2), b).logpdf(model[column])
            assert found[row, column] == pytest.approx(one - two)

    def test_what_an_utterance_shares_with_itself_is_no_speaker(self) -> None:
        trials = Trials.of(utterances(40, 3))
        rng = np.random.default_rng(1)
        words = 3.0 * rng.normal(size=(120, 1, 4)) + 0.1 * rng.normal(size=(120, 5, 4))
        known = backend.moments(words, trials.speakers, trials.strata)
        assert np.abs(np.linalg.eigvalsh(known.between)).max() < 0.35 * np.trace(known.total) / 4

    def test_a_voice_that_a_copys_utterances_share_is_no_speaker(self) -> None:
        trials = Trials.of(utterances(40, 3))
        rng = np.random.default_rng(1)
        voices = 3.0 * rng.normal(size=(40, 4, 4))[trials.speakers] + 0.1 * rng.normal(size=(120, 4, 4))
        known = backend.moments(voices, trials.speakers, trials.strata)
        assert abs(np.trace(known.between)) < 0.1 * np.trace(known.total)

    def test_between_is_the_mean_product_of_other_utterances_in_other_copies(self) -> None:
        trials = Trials.of(utterances(6, 3))
        vectors = np.random.default_rng(2).normal(size=(18, 2, 5))
        known = backend.moments(vectors, trials.speakers, trials.strata)
        names = np.asarray(trials.strata)
        centre = np.stack([vectors[names == sex].mean((0, 1)) for sex in trials.strata])
        standard = (vectors - centre[:, None]) / (vectors - centre[:, None]).std((0, 1))
        products = [
            np.outer(standard[u, c], standard[v, d])
            for u in range(18) for v in range(18) for c in range(2) for d in range(2)
            if trials.speakers[u] == trials.speakers[v] and u != v and c != d
        ]  # fmt: skip
        np.testing.assert_allclose(known.between, np.mean(products, axis=0), atol=1e-5)

    def test_few_training_speakers_in_many_dimensions_do_not_blind_the_back_end(self) -> None:
        """Twelve speakers span twelve directions; those on trial differ in all sixty."""
        rng = np.random.default_rng(4)
        train, trials = Trials.of(utterances(12, 4)), Trials.of(utterances(30, 4, first=50))

        def heard(view: Trials) -> np.ndarray:
            voices = rng.normal(size=(view.count, 60))[view.speakers]
            return voices[:, None] + 1.5 * rng.normal(size=(len(view.speakers), 3, 60))

        known, others = heard(train), heard(trials)
        shape = backend.choose(known, train)[0]
        assert shape.prior > 0.0

        def found(shape: backend.Shape) -> float:
            plda = backend.fit(backend.moments(known, train.speakers, train.strata), shape)
            scores = plda.compare(others[:, 0], others[:, 1], trials)
            return metrics.eer(scores[trials.target], scores[trials.nontarget])

        assert found(shape) < 0.7 * found(replace(shape, prior=0.0))

    def test_directions_of_the_disguise_are_ignored(self) -> None:
        e = make_evidence(offset=4.0)
        plda = backend.fit(
            backend.moments(e.train, e.train_trials.speakers, e.train_trials.strata),
            backend.Shape(12, 11, 0.1),
        )
        shift = np.ones((1, 12)) / plda.scale
        along = np.linalg.norm(shift @ plda.projection) / np.linalg.norm(shift)
        other = np.linalg.norm(plda.projection, axis=0).max()
        assert along < 0.5 * other


class Mirror(SemiInformed):
    """Somebody's own."""


class TestAttackers:
    @pytest.mark.parametrize("contract", ATTACKER_CONTRACTS, ids=lambda contract: contract.__name__)
    @pytest.mark.parametrize("name", ["Mirror", *ATTACKERS])
    def test_contract(self, name: str, contract: Callable[[Attacker], None]) -> None:
        contract(with_attackers({"Mirror": Mirror})[name])

    @pytest.mark.parametrize("value", [object(), Attack, lambda e, c: None, Attacker])
    def test_something_else_is_no_attacker(self, value: object) -> None:
        with pytest.raises((SettingError, TypeError)):
            with_attackers({"mine": value})

    @pytest.mark.parametrize("name", ["ignorant", "all", "a/b"])
    def test_a_name_that_means_something_else_is_refused(self, name: str) -> None:
        with pytest.raises(SettingError, match="name of its own"):
            with_attackers({name: Mirror()})

    def test_held_out_scores_of_other_trials_cannot_be_fused(self) -> None:
        parts = {
            f"{name}/x": Attack(
                np.zeros((1, 2, 2)), np.zeros(size), np.zeros(size), lambda c: np.zeros((1, 2, 2))
            )
            for name, size in (("one", 5), ("mine", 6))
        }
        with pytest.raises(SettingError, match="attacker mine"):
            fuse(parts)

    def test_too_few_training_speakers_are_told(self) -> None:
        nothing = np.zeros(0)
        attack = Attack(np.zeros((1, 2, 2)), nothing, nothing, lambda comparison: np.zeros((1, 2, 2)))
        with pytest.raises(SettingError, match="training speakers"):
            fuse({"one": attack})

    def test_undisguised_everyone_succeeds(self) -> None:
        e = make_evidence(offset=0.0)
        assert all(rate(a.attack(e, comparable=False), e.trials) < 0.05 for a in ATTACKERS.values())

    def test_only_retraining_sees_through_an_offset(self) -> None:
        e = make_evidence(offset=5.0)
        ignorant, lazy, informed = (
            rate(a.attack(e, False), e.trials) for a in (Ignorant(), LazyInformed(), SemiInformed())
        )
        assert informed < 0.08
        assert lazy > informed + 0.1
        assert ignorant > informed + 0.1

    def test_only_alignment_sees_through_a_rotation_that_never_changes(self) -> None:
        e = make_evidence(offset=0.0)
        turn = np.linalg.qr(np.random.default_rng(8).normal(size=(12, 12)))[0]
        turned = replace(
            e, train=e.train @ turn + 2.0, trial=e.trial @ turn + 2.0, enrol=e.enrol @ turn + 2.0
        )
        aligned, ignorant = (rate(a.attack(turned, True), e.trials) for a in (Aligned(), Ignorant()))
        assert aligned < 0.08
        assert ignorant > aligned + 0.2

    def test_training_and_trial_speakers_share_nothing_but_the_method(self) -> None:
        rng = np.random.default_rng(3)
        e = make_evidence(offset=0.0)
        noise = Evidence(
            e.train, e.train_original, rng.normal(size=e.trial.shape), rng.normal(size=e.enrol.shape),
            rng.normal(size=e.enrol_original.shape), e.train_trials, e.trials,
        )  # fmt: skip
        assert rate(SemiInformed().attack(noise, comparable=False), e.trials) > 0.4

    def test_held_out_scores_foretell_the_trials(self) -> None:
        e = make_evidence(offset=2.0)
        attack = SemiInformed().attack(e, comparable=False)
        assert metrics.eer(attack.held_target, attack.held_nontarget) == pytest.approx(
            rate(attack, e.trials), abs=0.05
        )

    def test_a_fusion_is_no_worse_than_its_best_part(self) -> None:
        good, noise = make_evidence(2.0), make_evidence(2.0, seed=9)
        rng = np.random.default_rng(4)
        blank = Evidence(
            rng.normal(size=noise.train.shape), rng.normal(size=noise.train_original.shape),
            rng.normal(size=noise.trial.shape), rng.normal(size=noise.enrol.shape),
            rng.normal(size=noise.enrol_original.shape), noise.train_trials, noise.trials,
        )  # fmt: skip
        parts = [SemiInformed().attack(e, comparable=False) for e in (good, blank)]
        fused = fuse(dict(enumerate_names(parts)))
        assert rate(parts[1], good.trials) > 0.35
        assert rate(fused, good.trials) <= rate(parts[0], good.trials) + 0.01

    def test_two_families_together_beat_either(self) -> None:
        e = make_evidence(1.0)
        halves = [
            SemiInformed().attack(
                Evidence(
                    *(array[..., part] for array in (e.train, e.train_original, e.trial, e.enrol, e.enrol_original)),
                    e.train_trials, e.trials,
                ),
                comparable=False,
            )
            for part in (slice(0, 3), slice(3, 6))
        ]  # fmt: skip
        assert rate(fuse(dict(enumerate_names(halves))), e.trials) < min(
            rate(half, e.trials) for half in halves
        )

    def test_scoring_again_is_the_same_score(self) -> None:
        e = make_evidence(1.0)
        attack = fuse({"one": SemiInformed().attack(e, comparable=False)})
        np.testing.assert_allclose(attack.again(e.trials), attack.scores)

    def test_more_snippets_help_the_attacker(self) -> None:
        e = make_evidence(1.0)
        attack = SemiInformed().attack(e, comparable=False)

        def grown(*counts: int) -> float:
            view = e.trials.grown(*counts)
            return rate(
                Attack(attack.again(view), attack.held_target, attack.held_nontarget, attack.again), view
            )

        assert grown(2, 2) < grown(1, 1)

    def test_one_recording_is_told_from_two(self) -> None:
        e = make_evidence(0.5)
        rng = np.random.default_rng(5)
        room = 3.0 * rng.normal(size=(e.trials.recordings.max() + 1, 1, 12))
        train_room = 3.0 * rng.normal(size=(e.train_trials.recordings.max() + 1, 1, 12))
        heard = Evidence(
            e.train + train_room[e.train_trials.recordings], e.train_original,
            e.trial + room[e.trials.recordings], e.enrol, e.enrol_original, e.train_trials, e.trials,
        )  # fmt: skip
        pairs = Pairs(e.trials)
        assert rate(SameRecording().attack(heard, comparable=False), pairs) < 0.25

    def test_recordings_of_one_speaker_are_told_apart_by_their_rooms(self) -> None:
        """Who learns speakers instead of recordings takes the room for a nuisance."""
        rng = np.random.default_rng(6)
        train, trials = Trials.of(utterances(30, 8)), Trials.of(utterances(30, 8, first=30))

        def heard(view: Trials, copies: int) -> np.ndarray:
            dims = np.arange(12) < 6  # half for the speaker, half for the room
            speaker = 2.0 * rng.normal(size=(view.count, 12))[view.speakers] * dims
            room = 2.0 * rng.normal(size=(view.recordings.max() + 1, 12))[view.recordings] * ~dims
            return (speaker + room)[:, None] + rng.normal(size=(len(view.speakers), copies, 12))

        learned, tried = heard(train, 2), heard(trials, 2)
        e = Evidence(learned, learned[:, :1], tried, tried, tried[:, :1], train, trials)
        scores = SameRecording().attack(e, comparable=False).scores[0]
        own = trials.speakers[:, None] == trials.speakers[None]
        pairs = Pairs(trials)
        assert metrics.eer(scores[pairs.target], scores[pairs.nontarget & own]) < 0.17

    def test_what_was_fitted_and_asked_for_again_is_kept_longest(self) -> None:
        trials = Trials(
            np.zeros(1, np.intp), np.zeros(1, np.intp), ("F",), np.ones(1, bool), np.ones(1, bool)
        )
        known, made = _Remembered(2), []
        for number in (0, 1, 0, 2, 0):  # the third vectors push out the second, not the first
            vectors = np.full((1, 1, 1), float(number))
            known.once("fit", vectors, trials, lambda number=number: made.append(number))
        assert made == [0, 1, 2]
