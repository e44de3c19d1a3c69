"""Trials and the division of a corpus."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.errors import SettingError
from deident.evaluation.corpus import Corpus, InMemory, Utterance, divide, prepare
from deident.evaluation.trials import Pairs, Trials, folds
from tests.vectors import SILENCE, utterances


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
