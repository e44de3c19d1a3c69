"""Attackers: what each knows, and how it scores.

All hold undisguised speech of the people they look for. They differ in what they know of the disguise, in the words of
the VoicePrivacy challenges: `Ignorant` compares with that speech as it is; `LazyInformed` disguises it by the same
method first; `SemiInformed` has also retrained on other speakers disguised by it. None knows a voice that was drawn.

References
----------
Tomashenko et al., "The VoicePrivacy 2020 challenge", Computer Speech & Language 74 (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name

import numpy as np

from deident.errors import SettingError, kind_of
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.scoring import Retrained, Rotated, Scoring, Untrained
from deident.evaluation.trials import Pairs, Trials


class Ignorant(Attacker):
    summary = "does not know of the disguise: compares with undisguised speech"
    fused = "none"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        e = evidence
        return e.attack(_off_the_shelf(comparable), e.train_original, e.enrol_original, e.train_original)


class LazyInformed(Attacker):
    summary = "disguises the speech it compares with, but scores as if nothing had happened"
    fused = "encoders"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        e = evidence
        return e.attack(_off_the_shelf(comparable), e.train_original, e.enrol, e.train)


class Aligned(Attacker):
    """Champion et al., "Evaluating x-vector-based speaker anonymization under white-box assessment", SPECOM 2021."""

    summary = (
        "rotates undisguised speech to where other speakers' disguised speech lies, and compares with that"
    )
    fused = "none"
    improves_on = "ignorant"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        e = evidence
        return e.attack(
            Rotated(_off_the_shelf(comparable)),
            np.concatenate((e.train, e.train_original), axis=1),
            e.enrol_original,
            e.train_original,
        )


class SemiInformed(Attacker):
    summary = "has retrained on other speakers disguised by the same method"
    improves_on = "lazy-informed"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        return evidence.attack(Retrained(), evidence.train, evidence.enrol, evidence.train)


class Inversion(SemiInformed):
    summary = "estimates the method's one parameter, undoes the disguise, and then does as the semi-informed"
    improves_on = ""
    undoes = True


class SameRecording(Attacker):
    summary = "asks of two disguised snippets whether they were cut from one recording"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        e = evidence
        return e.attack(
            Retrained(), e.train, e.trial, e.train, view=Pairs, classes=Trials.by_recording, same_copy=True
        )


_MODULES = {
    "ignorant": "deident.evaluation.attackers:Ignorant",
    "lazy-informed": "deident.evaluation.attackers:LazyInformed",
    "aligned": "deident.evaluation.attackers:Aligned",
    "semi-informed": "deident.evaluation.attackers:SemiInformed",
    "inversion": "deident.evaluation.attackers:Inversion",
}
ATTACKERS: dict[str, Attacker] = {name: resolve_name(place)() for name, place in _MODULES.items()}


def with_attackers(own: Mapping[str, object]) -> dict[str, Attacker]:
    """`ATTACKERS` and somebody's own, by name. Raises `SettingError` unless each is an `Attacker` or a class of one."""
    found = dict(ATTACKERS)
    for name, value in own.items():
        attacker = value() if isinstance(value, type) and issubclass(value, Attacker) else value
        if not isinstance(attacker, Attacker) or "/" in name or name in (*ATTACKERS, "all"):
            raise SettingError(
                "expected a subclass of deident.evaluation.attack.Attacker with a name of its own; got "
                f"{kind_of(attacker)}"
            )
        found[name] = attacker
    return found


def _off_the_shelf(comparable: bool) -> Scoring:
    """Score without training where angles mean something, else with PLDA."""
    return Untrained() if comparable else Retrained()
