"""Attackers: what each knows, how each scores, and how their scores are joined.

All hold undisguised speech of the people they look for. They differ in what they know of the disguise:
`Ignorant` compares with that speech as it is; `LazyInformed` disguises it by the same method first;
`SemiInformed` has also retrained on other speakers disguised by it (Tomashenko et al., "The VoicePrivacy
2020 challenge", Computer Speech & Language 74, 2022). None knows a voice that was drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deident.audio import Doubles
from deident.errors import SettingError
from deident.evaluation import backend
from deident.evaluation.trials import Comparison, Pairs, Trials, folds

Vectors = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One feature family of one disguise: arrays of (utterances, copies, dims).

    train : disguised copies of the attacker's own training speakers.   trial, enrol : of the speakers on
    trial, one copy a run; trial and enrolment never share a voice.   The originals have one copy."""

    train: Vectors
    train_original: Vectors
    trial: Vectors
    enrol: Vectors
    enrol_original: Vectors
    train_trials: Trials
    trials: Trials

    @property
    def runs(self) -> int:
        return int(self.trial.shape[1])


@dataclass(frozen=True, eq=False)
class Attack:
    """What came out of an attack.

    scores : (runs, utterances, models), higher = more alike.
    again : the same attacker's scores for another comparison of the same utterances.
    held_target, held_nontarget : scores of training speakers by back ends that never saw them, in the
    same order for every attack on the same evidence, so that a fusion can be trained on them.
    note : how the attacker scored, for the report."""

    scores: Doubles
    held_target: Doubles
    held_nontarget: Doubles
    again: Callable[[Comparison], Doubles]
    note: str = ""

    @property
    def held_area(self) -> float:
        return backend.area(self.held_target, self.held_nontarget)


class Scorer(Protocol):
    """Compares vectors of trials with models averaged from vectors of enrolment."""

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles: ...


class Cosine:
    """The angle between a trial and the mean of its model, as speaker encoders are used off the shelf."""

    def compare(self, trial: npt.ArrayLike, enrol: npt.ArrayLike, comparison: Comparison) -> Doubles:
        probe = comparison.probes @ np.asarray(trial, np.float64)
        model = comparison.members @ np.asarray(enrol, np.float64)
        return comparison.table(_unit(probe) @ _unit(model).T)


def _unit(rows: Doubles) -> Doubles:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9))


class Scoring(Protocol):
    """How an attacker gets from training vectors to a scorer."""

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]: ...

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer: ...


class Untrained:
    """Cosine, which needs no training: for embeddings that were made for it."""

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        return self, "cosine"

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        return Cosine()


@dataclass(frozen=True)
class Retrained:
    """Centring, discriminants and two-covariance PLDA; the shape by cross-validation when not given."""

    shape: backend.Shape | None = None

    def settle(self, fit_on: Vectors, trials: Trials) -> tuple[Scoring, str]:
        shape = _REMEMBERED.once("shape", fit_on, trials, lambda: backend.choose(fit_on, trials)[0])
        words = f"PLDA, {shape.components} components, {shape.discriminants} discriminants"
        return Retrained(shape), f"{words}, shrinkage {shape.shrinkage:g}"

    def fit(self, fit_on: Vectors, trials: Trials) -> Scorer:
        shape = self.shape or backend.choose(fit_on, trials)[0]

        def make() -> backend.Backend:
            return backend.fit(backend.moments(fit_on, trials.speakers, trials.sexes), shape)

        scorer: Scorer = _REMEMBERED.once(shape, fit_on, trials, make)
        return scorer


class _Remembered:
    """What was fitted to which vectors: several attackers train on the same ones, and differ afterwards."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, Any] = {}

    def once(self, what: object, fit_on: Vectors, trials: Trials, make: Callable[[], Any]) -> Any:
        named = repr((what, fit_on.shape, fit_on.dtype, trials.sexes)).encode()
        speakers = trials.speakers.tobytes()
        name = hashlib.sha256(named + speakers + np.ascontiguousarray(fit_on).tobytes()).hexdigest()
        # What was asked for last goes last: the next method is attacked with the same originals.
        found = self._known.pop(name) if name in self._known else make()
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[name] = found
        return found


_REMEMBERED = _Remembered(400)


class Attacker(Protocol):
    """An attacker by what it knows. Add one: a class with these members, and an entry in `ATTACKERS`."""

    summary: str

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        """comparable : the family is an embedding whose angles mean something without training."""
        ...


class Ignorant:
    summary = "does not know of the disguise: compares with undisguised speech"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        scoring: Scoring = Untrained() if comparable else Retrained()
        e = evidence
        return _attack(e, scoring, e.train_original, e.train_original, e.enrol_original)


class LazyInformed:
    summary = "disguises the speech it compares with, but scores as if nothing had happened"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        scoring: Scoring = Untrained() if comparable else Retrained()
        return _attack(evidence, scoring, evidence.train_original, evidence.train, evidence.enrol)


class SemiInformed:
    summary = "has retrained on other speakers disguised by the same method"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        return _attack(evidence, Retrained(), evidence.train, evidence.train, evidence.enrol)


class SameRecording:
    summary = "asks of two disguised snippets whether they were cut from one recording"

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        e = evidence
        return _attack(e, Retrained(), e.train, e.train, e.trial, Pairs, Trials.by_recording, same_copy=True)


ATTACKERS: dict[str, Attacker] = {
    "ignorant": Ignorant(),
    "lazy": LazyInformed(),
    "informed": SemiInformed(),
}


def _whole(trials: Trials) -> Trials:
    return trials


def _attack(
    e: Evidence,
    scoring: Scoring,
    fit_on: Vectors,
    held_enrol: Vectors,
    enrol: Vectors,
    view: Callable[[Trials], Comparison] = _whole,
    classes: Callable[[Trials], Trials] = _whole,
    same_copy: bool = False,
) -> Attack:
    """view : what is compared.   classes : what a back end learns to tell.   same_copy : both sides of a pair
    come from one run (two utterances of it still have their own voices)."""
    settled, note = scoring.settle(fit_on, e.train_trials)
    scorer = settled.fit(fit_on, classes(e.train_trials))

    def again(comparison: Comparison) -> Doubles:
        runs = [
            scorer.compare(e.trial[:, run], enrol[:, run % enrol.shape[1]], comparison)
            for run in range(e.runs)
        ]
        return np.stack(runs)

    same, other = [], []
    for seed in (100, 101):  # other divisions than those that chose the shape
        for fit_rows, held in folds(e.train_trials, 3, seed):
            inner, outer = e.train_trials.subset(fit_rows), view(e.train_trials.subset(held))
            fold_scorer = settled.fit(fit_on[fit_rows], classes(inner))
            for one, two in backend.copy_pairs(e.train.shape[1]):
                model = held_enrol[held, (one if same_copy else two) % held_enrol.shape[1]]
                table = fold_scorer.compare(e.train[held, one], model, outer)
                same.append(table[outer.target])
                other.append(table[outer.nontarget])
    return Attack(again(view(e.trials)), np.concatenate(same), np.concatenate(other), again, note)


def fuse(attacks: Mapping[str, Attack] | Sequence[Attack]) -> Attack:
    """The attacks joined by logistic regression, trained on held-out scores of training speakers alone.

    Both kinds of trial weigh the same. Brümmer et al., IEEE Trans. Audio, Speech and Language 15 (2007).
    Raises `SettingError` when there are too few training speakers."""
    parts = list(attacks.values()) if isinstance(attacks, Mapping) else list(attacks)
    same = np.stack([part.held_target for part in parts], axis=1)
    other = np.stack([part.held_nontarget for part in parts], axis=1)
    if not len(same) or not len(other):
        raise SettingError(
            "expected enough training speakers to hold a third of each sex out, two of them at least; add speakers"
        )
    weights, offset = _logistic(same, other)

    def join(scores: Sequence[Doubles]) -> Doubles:
        return np.asarray(sum(w * s for w, s in zip(weights, scores, strict=True)) + offset)

    def again(comparison: Comparison) -> Doubles:
        return join([part.again(comparison) for part in parts])

    words = f"logistic regression over {len(parts)} attacks"
    whole = join([part.scores for part in parts])
    return Attack(whole, same @ weights + offset, other @ weights + offset, again, words)


def _logistic(same: Doubles, other: Doubles, ridge: float = 1e-3) -> tuple[Doubles, float]:
    """Weights and offset of a balanced logistic regression, by Newton's method on standardised columns."""
    both = np.concatenate((same, other))
    centre, scale = both.mean(0), both.std(0) + 1e-9
    x = np.column_stack(((both - centre) / scale, np.ones(len(both))))
    y = np.concatenate((np.ones(len(same)), np.zeros(len(other))))
    weight = np.concatenate((np.full(len(same), 0.5 / len(same)), np.full(len(other), 0.5 / len(other))))
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 0.0
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30.0, 30.0)))
        slope = x.T @ (weight * (chance - y)) + penalty * beta
        curve = (x.T * (weight * np.maximum(chance * (1.0 - chance), 1e-6))) @ x + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, slope)
        beta -= step * min(1.0, 5.0 / float(np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    weights = beta[:-1] / scale
    return weights, float(beta[-1] - weights @ centre)
