"""Attackers, on vectors of known make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deident.errors import SettingError
from deident.evaluation import metrics
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
from deident.evaluation.fusion import evenly, fuse
from deident.evaluation.scoring import _Remembered
from deident.evaluation.trials import Pairs, Trials
from tests.contracts import ATTACKER_CONTRACTS
from tests.vectors import make_evidence, rate, utterances


def enumerate_names(attacks: list[Attack]) -> list[tuple[str, Attack]]:
    return [(str(number), attack) for number, attack in enumerate(attacks)]


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

    def test_attacks_of_any_scale_are_joined_evenly_and_do_better_together(self) -> None:
        trials = make_evidence(0.0).trials
        rng = np.random.default_rng(3)
        tables = [trials.target * 1.5 + rng.normal(size=(2, *trials.target.shape)) for _ in range(2)]
        parts = {
            name: Attack(
                scale * table + 7.0, np.zeros(0), np.zeros(0), lambda c, t=table, k=scale: k * t + 7.0
            )
            for name, table, scale in zip(("a/x", "b/x"), tables, (1.0, 1_000.0), strict=True)
        }
        joined = evenly(parts, trials)
        alone = [rate(part, trials) for part in parts.values()]
        assert (
            rate(joined, trials) < min(alone) - 0.04
        )  # of 23 %; the root of two fewer deviations apart: 14 %
        np.testing.assert_array_equal(joined.again(trials), joined.scores)
        assert joined.scores[:, trials.target | trials.nontarget].std() == pytest.approx(
            np.sqrt(2.0), rel=0.1
        )
        assert joined.note == "a/x and b/x, evenly"

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

    def test_alignment_does_without_the_routine_that_may_not_converge(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stuck(*_: object, **__: object) -> None:
            raise np.linalg.LinAlgError("SVD did not converge")

        monkeypatch.setattr(np.linalg, "svd", stuck)
        self.test_only_alignment_sees_through_a_rotation_that_never_changes()

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
        in_rooms = Evidence(
            e.train + train_room[e.train_trials.recordings], e.train_original,
            e.trial + room[e.trials.recordings], e.enrol, e.enrol_original, e.train_trials, e.trials,
        )  # fmt: skip
        pairs = Pairs(e.trials)
        assert rate(SameRecording().attack(in_rooms, comparable=False), pairs) < 0.25

    def test_recordings_of_one_speaker_are_told_apart_by_their_rooms(self) -> None:
        """An attacker who learns speakers instead of recordings takes the room for a nuisance."""
        rng = np.random.default_rng(6)
        train, trials = Trials.of(utterances(30, 8)), Trials.of(utterances(30, 8, first=30))

        def vectors_of(view: Trials, copies: int) -> np.ndarray:
            dims = np.arange(12) < 6  # half for the speaker, half for the room
            speaker = 2.0 * rng.normal(size=(view.count, 12))[view.speakers] * dims
            room = 2.0 * rng.normal(size=(view.recordings.max() + 1, 12))[view.recordings] * ~dims
            return (speaker + room)[:, None] + rng.normal(size=(len(view.speakers), copies, 12))

        learned, tried = vectors_of(train, 2), vectors_of(trials, 2)
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
