"""One method's verdict: every attack on its copies, measured, and what the method costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Bools, Doubles
from deident.errors import SettingError, debug_traceback
from deident.evaluation import metrics
from deident.evaluation.attack import Attack, Attacker, Evidence
from deident.evaluation.attackers import ATTACKERS, SameRecording, SemiInformed
from deident.evaluation.cache import Arrays
from deident.evaluation.effort import Effort, effort
from deident.evaluation.features import FAMILIES
from deident.evaluation.fusion import evenly, fuse
from deident.evaluation.identification import SNIPPETS, identify
from deident.evaluation.intervals import Interval, draw_weights, eer_samples, interval, ratio_samples
from deident.evaluation.traits import TraitResult, recover
from deident.evaluation.trials import Pairs, Trials
from deident.evaluation.verdict import AttackResult, Utility, Verdict, WordUse
from deident.evaluation.words import is_runaway, text_by, words_of, words_wrong

NETWORK = "network"  # measure of the embeddings by an encoder that an attacker has made


@dataclass(frozen=True, eq=False)
class Material:
    """Every measure of every copy of one method."""

    train: Arrays
    trial: Arrays
    enrol: Arrays


@dataclass(frozen=True, eq=False)
class Case:
    """All that a verdict needs. It crosses process boundaries, so it holds arrays and plain values only.

    Attributes
    ----------
    original, disguised : Material
    inverted : Material or None
        Measures of the copies after the method's parameter was estimated and undone, where possible.
    encoders, recognisers : tuple of str
    seconds : (utterances,) float64
    labels : tuple of tuple of str
        Sex, group and corpus of each utterance on trial.
    properties : mapping of str to (tuple of str, tuple of str)
        Sex, group and corpus by training and by trial utterance; "" where not known.
    transcripts : tuple of str
    attackers : mapping of str to Attacker
    own : mapping of str to (original, disguised) Material
        Embeddings by the encoders that attackers have trained, by attacker; their family is `NETWORK`.
    failed : mapping of str to str
        Attackers whose training failed, and the kind of error.
    """

    train_trials: Trials
    trials: Trials
    original: Material
    disguised: Material
    inverted: Material | None
    encoders: tuple[str, ...]
    seconds: Doubles
    seed: int = 0
    draws: int = 300
    attackers: Mapping[str, Attacker] = field(default_factory=lambda: dict(ATTACKERS))
    recognisers: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()
    transcripts: tuple[str, ...] = ()
    own: Mapping[str, tuple[Material, Material]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, Bools]:
        """Utterances of each label, where there are several."""
        found = sorted({label for labels in self.labels for label in labels})
        which = {label: np.array([label in labels for labels in self.labels]) for label in found}
        return {label: rows for label, rows in which.items() if not rows.all()}

    @property
    def trials_by_group(self) -> dict[str, tuple[Bools, Bools]]:
        """Target and nontarget trials of these utterances."""
        return {
            label: (self.trials.target & rows[:, None], self.trials.nontarget & rows[:, None])
            for label, rows in self.groups.items()
        }


def evidence(case: Case, family: str, material: Material, blind: bool = False) -> Evidence:
    """Collect what an attacker gets of one kind of vectors; no copies of what it does not use, which was not made."""
    train, trials = case.train_trials, case.trials
    trial = material.trial[family]

    def made(arrays: Arrays, whose: Trials) -> npt.NDArray[Any]:
        none = np.zeros((len(whose.speakers), 0, trial.shape[2]), trial.dtype)
        return arrays.get(family, none)

    return Evidence(
        made(material.train, train), made(case.original.train, train), trial,
        _averaged(material.enrol[family], trial.shape[1]), made(case.original.trial, trials),
        train.blind() if blind else train, trials.blind() if blind else trials,
    )  # fmt: skip


def _averaged(enrol: npt.NDArray[Any], runs: int) -> npt.NDArray[Any]:
    """(utterances, runs, dims) means over the draws that a run's enrolment has of each utterance."""
    draws = max(enrol.shape[1] // runs, 1)
    return np.asarray(enrol.reshape(enrol.shape[0], -1, draws, enrol.shape[2]).mean(2))


def families(case: Case) -> list[str]:
    """Names of all kinds of vectors that were computed."""
    return [name for name in (*FAMILIES, *case.encoders) if name in case.disguised.train]


def attack_each(case: Case, attacker: Attacker, material: Material, blind: bool = False) -> dict[str, Attack]:
    """The attacks of one attacker, by feature family."""
    return {
        family: attacker.attack(evidence(case, family, material, blind), family in case.encoders)
        for family in families(case)
    }


def attack_all(case: Case) -> tuple[dict[str, Attack], dict[str, str]]:
    """Every attack by "attacker/family", the fusions of each attacker's, that of all, and of this with networks.

    And the attackers that failed, in training or here, with the kind of error: what the others did, in an hour perhaps,
    is not lost by it.
    """
    found: dict[str, Attack] = {}
    counted: dict[str, Attack] = {}
    failed = dict(case.failed)
    for name, attacker in case.attackers.items():
        try:
            own = attacks_of(case, name, attacker)
        except Exception as error:
            debug_traceback()
            failed[name] = type(error).__name__
            continue
        found |= own
        encoders = {f"{name}/{family}" for family in case.encoders}
        single = {f"{name}/{family}" for family in families(case)} & own.keys()
        counts = {"all": single, "encoders": single & encoders, "none": set()}[attacker.fused]
        counted |= {attack: own[attack] for attack in own if attack in counts}
    if not counted:
        raise SettingError(f"expected an attacker that works; all failed ({', '.join(sorted(failed))})")
    found["all/fusion"] = fuse(counted)
    return found | with_networks(case, found, "all/fusion"), failed


def with_networks(case: Case, found: Mapping[str, Attack], beside: str) -> dict[str, Attack]:
    """Each network that tells speakers, joined with an attack that does without, by "attacker/fusion"."""
    return {
        f"{name}/fusion": evenly({own: found[own], beside: found[beside]}, case.trials)
        for name, attacker in case.attackers.items()
        if attacker.trains and attacker.must_recognise and (own := f"{name}/{attacker.family}") in found
    }


def attacks_of(case: Case, name: str, attacker: Attacker) -> dict[str, Attack]:
    """The attacks of one attacker, by "attacker/family", and their fusions; none where it has nothing to attack."""
    if attacker.trains:
        if name not in case.own:
            return {}
        original, disguised = case.own[name]
        seen = evidence(replace(case, original=original), NETWORK, disguised)
        return {f"{name}/{attacker.family}": attacker.attack(seen, comparable=True)}
    material = case.inverted if attacker.undoes else case.disguised
    if material is None:
        return {}
    single = attack_each(case, attacker, material)
    statistics = {family: attack for family, attack in single.items() if family not in case.encoders}
    found = {f"{name}/{family}": attack for family, attack in single.items()}
    found[f"{name}/statistics"] = fuse(statistics)
    if len(statistics) < len(single):
        found[f"{name}/fusion"] = fuse(single)
    return found


def judge(case: Case) -> Verdict:
    """Attack and measure one method."""
    found, failed = attack_all(case)
    weights = draw_weights(case.trials.count, case.draws, case.seed)
    results = {
        name: measure(attack, case, weights if _reported(name) else None) for name, attack in found.items()
    }
    # The strongest is chosen on the trials themselves, which errs on the attacker's side.
    strongest = min(results, key=lambda name: (results[name].eer, not _reported(name)))
    attack = found[strongest]
    if not _reported(strongest):
        results[strongest] = measure(attack, case, weights)
    together, by_family = same_recording(case, weights)
    trials = case.trials
    return Verdict(
        attacks=results,
        strongest=strongest,
        same_recording=together,
        same_recording_families=by_family,
        identification=identify(unaware(case, found), trials, weights, case.seed),
        exposure=exposure(attack, trials),
        growth=growth(attack, trials),
        effort=effort_of(case, results),
        traits=traits(case, weights),
        groups=rates_by_group(attack, case, weights),
        utility=utility(case, weights),
        scores={
            "target": np.round(attack.scores[:, trials.target].ravel(), 4).tolist(),
            "nontarget": np.round(attack.scores[:, trials.nontarget].ravel(), 4).tolist(),
        },
        held_areas={name: attack.held_area for name, attack in found.items()},
        tables={name: attack.scores.astype(np.float32) for name, attack in found.items()},
        failed=failed,
    )


def unaware(case: Case, found: Mapping[str, Attack]) -> dict[str, Attack]:
    """Attacks that are told no sex or group: the semi-informed ones, made anew, and networks, which never are."""
    family = "fusion" if "semi-informed/fusion" in found else "statistics"
    single = attack_each(case, SemiInformed(), case.disguised, blind=True)
    encoders = {f"semi-informed/{name}": single[name] for name in case.encoders if name in single}
    networks = {
        name: attack
        for name, attack in found.items()
        if name.split("/")[0] in case.own and name.split("/")[1] != "fusion"
    }
    blind = {f"semi-informed/{family}": fuse(single), **encoders, **networks}
    return blind | with_networks(case, blind, f"semi-informed/{family}")


def effort_of(case: Case, results: Mapping[str, AttackResult]) -> Effort:
    """The semi-informed attack on the family where it is strongest, with less to train on."""
    family = min(families(case), key=lambda name: results[f"semi-informed/{name}"].eer)
    return effort(family, evidence(case, family, case.disguised), case.seed)


def traits(case: Case, weights: Doubles) -> dict[str, TraitResult]:
    """Sex, group and corpus as told by all statistics, and by each encoder."""

    def vectors(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        statistics = np.concatenate([arrays[name] for name in FAMILIES if name in arrays], axis=2)
        return {"statistics": statistics, **{name: arrays[name] for name in case.encoders}}

    material, whose = case.disguised, (case.train_trials.speakers, case.trials.speakers)
    return recover(vectors(material.train), vectors(material.trial), case.properties, whose, weights)


def _reported(name: str) -> bool:
    """Tell if the report shows it with an interval: not each single family of statistics."""
    return name.split("/")[1] not in FAMILIES


def measure(attack: Attack, case: Case, weights: Doubles | None) -> AttackResult:
    """The attack's numbers; an interval only where weights are given."""
    trials = case.trials
    bounds = Interval(0.0, float("nan"), float("nan"))
    if weights is not None:
        bounds = _eer(attack, trials, trials.target, trials.nontarget, weights)
    by_group = {label: _rate(attack.scores, *kinds) for label, kinds in case.trials_by_group.items()}
    return _result(attack, trials.target, trials.nontarget, bounds, by_group)


def _eer(attack: Attack, trials: Trials, target: Bools, nontarget: Bools, weights: Doubles) -> Interval:
    """Equal error rate of these trials with its interval."""
    models = np.arange(trials.count, dtype=np.intp)
    samples = eer_samples(attack.scores, target, nontarget, trials.speakers, models, weights)
    return interval(_rate(attack.scores, target, nontarget), samples)


def rates_by_group(attack: Attack, case: Case, weights: Doubles) -> dict[str, Interval]:
    """Equal error rate of an attack for each sex, corpus and group of speakers."""
    return {
        label: _eer(attack, case.trials, target, nontarget, weights)
        for label, (target, nontarget) in case.trials_by_group.items()
        if target.any() and nontarget.any()
    }


def _rate(scores: Doubles, target: Bools, nontarget: Bools) -> float:
    if not target.any() or not nontarget.any():
        return float("nan")
    return metrics.eer(scores[:, target], scores[:, nontarget])


def _result(
    attack: Attack, target: Bools, nontarget: Bools, bounds: Interval, by_group: dict[str, float]
) -> AttackResult:
    """Summarise an attack with all metrics."""
    same, other = attack.scores[:, target].ravel(), attack.scores[:, nontarget].ravel()
    return AttackResult(
        eer=metrics.eer(same, other),
        low=bounds.low,
        high=bounds.high,
        by_run=[_rate(run[None], target, nontarget) for run in attack.scores],
        by_group=by_group,
        cllr=metrics.cllr(same, other),
        min_cllr=metrics.min_cllr(same, other),
        disclosure=metrics.disclosure(same, other),
        accept_at_1_percent=metrics.accept_rate(same, other, 0.01),
        accept_at_1_permille=metrics.accept_rate(same, other, 0.001),
        held_out_eer=metrics.eer(attack.held_target, attack.held_nontarget)
        if len(attack.held_target)
        else np.nan,
        note=attack.note,
    )


def same_recording(case: Case, weights: Doubles) -> tuple[AttackResult | None, dict[str, float]]:
    """Two disguised snippets of one recording, told from two of different recordings of the same sex."""
    pairs = Pairs(case.trials)
    learned = Pairs(case.train_trials)
    if not all(view.target.any() and view.nontarget.any() for view in (pairs, learned)):
        return None, {}
    single = attack_each(case, SameRecording(), case.disguised)
    found = {**single, "fusion": fuse(single)}
    rates = {name: _rate(attack.scores, pairs.target, pairs.nontarget) for name, attack in found.items()}
    strongest = found[min(rates, key=lambda name: rates[name])]  # as in `judge`, on the attacker's side
    speakers = case.trials.speakers
    samples = eer_samples(strongest.scores, pairs.target, pairs.nontarget, speakers, speakers, weights)
    return _result(strongest, pairs.target, pairs.nontarget, interval(0.0, samples), {}), rates


def exposure(attack: Attack, trials: Trials) -> list[float]:
    """Of each speaker on trial, the mean share of others (same sex) whose models fit their snippets less."""
    own = np.where(trials.target[None], attack.scores, -np.inf).max(2, keepdims=True)
    beaten = (own > attack.scores) + 0.5 * (own == attack.scores)
    counts = trials.nontarget.sum(1)
    share = np.where(trials.nontarget[None], beaten, 0.0).sum(2) / np.maximum(counts, 1)
    tried = trials.target.any(1) & (counts > 0)
    per_run = share.mean(0)
    return [
        round(float(per_run[tried & (trials.speakers == s)].mean()), 4)
        for s in range(trials.count)
        if (tried & (trials.speakers == s)).any()
    ]


def growth(attack: Attack, trials: Trials) -> dict[str, dict[int, float]]:
    """Equal error rate by the number of snippets an attacker has; only numbers that most speakers have."""

    def rate(view: Trials) -> float:
        return _rate(attack.again(view), view.target, view.nontarget)

    return {
        "enrolled": {n: rate(trials.grown(n)) for n in SNIPPETS if trials.reaches(n)},
        "both": {n: rate(trials.grown(n, n)) for n in SNIPPETS if trials.reaches(n, n)},
    }


def utility(case: Case, weights: Doubles) -> Utility:
    """The cost of the method."""
    trial = case.disguised.trial
    spent, count = trial["seconds"], trial["seconds"].size
    correlation = trial["f0_correlation"]
    audio = float(case.seconds.sum()) * spent.shape[1]
    low, middle, high = (float(q) for q in np.percentile(trial["duration_ratio"], (5, 50, 95)))
    words = {name: word_use(case, name, weights) for name in case.recognisers}
    return Utility(
        words={name: use for name, use in words.items() if use is not None},
        f0_correlation=float(np.nanmean(correlation)) if np.isfinite(correlation).any() else None,
        duration_ratio=(low, middle, high),
        speed=audio / float(spent.sum()) if spent.sum() > 1e-9 * count else None,
    )


def word_use(case: Case, recogniser: str, weights: Doubles) -> WordUse | None:
    """Words that a recogniser gets wrong in one copy of each utterance with a transcript; None where none has one."""
    rows = [k for k, text in enumerate(case.transcripts) if words_of(text)]
    if not rows:
        return None
    said = case.disguised.trial[text_by(recogniser)][:, 0]
    plain = case.original.trial[text_by(recogniser)][:, 0]
    errors, before, own, length, plain_length, bounded = np.zeros((6, len(case.transcripts)))
    for k in rows:
        spoken, text, plain_text = case.transcripts[k], str(said[k]), str(plain[k])
        length[k] = len(words_of(spoken))
        errors[k], before[k] = words_wrong(spoken, text), words_wrong(spoken, plain_text)
        bounded[k] = is_runaway(spoken, text)
        if not is_runaway(spoken, plain_text):  # or there is no text of the original to compare with
            plain_length[k] = len(words_of(plain_text))
            own[k] = words_wrong(plain_text, text)

    def share(wrong: Doubles, of: npt.NDArray[Any]) -> Interval:
        def per_speaker(values: npt.NDArray[Any]) -> Doubles:
            return np.bincount(case.trials.speakers, values, case.trials.count).astype(np.float64)

        value = float(wrong.sum() / max(of.sum(), 1.0))
        return interval(value, ratio_samples(per_speaker(wrong), per_speaker(of), weights))

    return WordUse(
        words=int(length.sum()),
        error=share(errors, length),
        added=share(errors - before, length),
        own=share(own, plain_length),
        bounded=int(bounded.sum()),
        by_group={
            label: float((errors - before)[which].sum() / length[which].sum())
            for label, which in case.groups.items()
            if length[which].any()
        },
    )
