"""The contract of attackers: functions that assert what each must do."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable

import numpy as np

from deident.evaluation.attack import Attacker, Evidence
from deident.evaluation.attackers import ATTACKERS, SemiInformed
from deident.evaluation.fusion import fuse
from tests.vectors import make_evidence, rate


def _evidence(offset: float) -> Evidence:
    return make_evidence(offset, speakers=16)


def _rate(attacker: Attacker, evidence: Evidence, comparable: bool) -> float:
    return rate(attacker.attack(evidence, comparable), evidence.trials)


def recognises_undisguised_voices(attacker: Attacker) -> None:
    for comparable in (False, True):
        assert _rate(attacker, _evidence(0.0), comparable) < 0.1


def learns_nothing_from_noise(attacker: Attacker) -> None:
    evidence, rng = _evidence(0.0), np.random.default_rng(2)
    noise = {
        name: rng.normal(size=getattr(evidence, name).shape) for name in ("trial", "enrol", "enrol_original")
    }
    for comparable in (False, True):
        assert _rate(attacker, dataclasses.replace(evidence, **noise), comparable) > 0.35


def scores_every_trial(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    found, other = (one.attack(evidence, comparable=False) for one in (attacker, SemiInformed()))
    assert found.scores.shape == (evidence.runs, *evidence.trials.target.shape)
    assert np.isfinite(found.scores).all()
    for name in ("held_target", "held_nontarget"):
        assert getattr(found, name).shape == getattr(other, name).shape, (
            "a fusion needs the same held-out trials"
        )
        assert np.isfinite(getattr(found, name)).all()
    assert 0.0 <= found.held_area <= 1.0
    np.testing.assert_allclose(found.again(evidence.trials), found.scores)
    assert found.again(evidence.trials.grown(1)).shape == found.scores.shape


def can_be_fused(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    attacks = {f"{k}/x": one.attack(evidence, False) for k, one in enumerate((attacker, SemiInformed()))}
    assert np.isfinite(fuse(attacks).scores).all()


def is_repeatable_and_travels(attacker: Attacker) -> None:
    evidence = _evidence(1.0)
    before = {name: getattr(evidence, name).copy() for name in ("train", "trial", "enrol")}
    first = attacker.attack(evidence, comparable=False)
    again = pickle.loads(pickle.dumps(attacker)).attack(evidence, comparable=False)
    np.testing.assert_array_equal(first.scores, again.scores)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(evidence, name), array)


def declares_its_traits(attacker: Attacker) -> None:
    assert attacker.summary
    assert attacker.fused in ("all", "encoders", "none")
    assert isinstance(attacker.undoes, bool)
    assert attacker.improves_on in ("", *ATTACKERS)


ATTACKER_CONTRACTS: list[Callable[[Attacker], None]] = [
    recognises_undisguised_voices,
    learns_nothing_from_noise,
    scores_every_trial,
    can_be_fused,
    is_repeatable_and_travels,
    declares_its_traits,
]
