"""One method's verdict: every attack on its copies, measured, and what the method costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deident.audio import Bools, Doubles
from deident.evaluation import metrics
from deident.evaluation.attackers import ATTACKERS, Attack, Evidence, SameRecording, SemiInformed, fuse
from deident.evaluation.cache import Arrays
from deident.evaluation.features import FAMILIES
from deident.evaluation.intervals import Interval, draw_weights, eer_samples, interval, ratio_samples
from deident.evaluation.trials import Pairs, Trials

GROWTH = (1, 2, 3, 5, 10, 30)  # snippets an attacker may have of a speaker


@dataclass(frozen=True, eq=False)
class Material:
    """Every measure of every copy of one method."""

    train: Arrays
    trial: Arrays
    enrol: Arrays


@dataclass(frozen=True)
class AttackResult:
    """One attack in numbers. Rates are 0 to 1.

    low, high : 95 % interval of the equal error rate over speakers.   note : how the attacker scored.
    by_run, by_sex : equal error rates apart.   Measures after them: `metrics`."""

    eer: float
    low: float
    high: float
    by_run: list[float]
    by_sex: dict[str, float]
    cllr: float
    min_cllr: float
    linkability: float
    disclosure: float
    worst_disclosure: float
    zebra: str
    accept_at_1_percent: float
    accept_at_1_permille: float
    held_out_eer: float
    note: str = ""


@dataclass(frozen=True)
class Identification:
    """An informed attacker who is not told the sex, among all speakers on trial that can be enrolled.

    growth : top-1 by snippets enrolled."""

    speakers: int
    top_1: Interval
    top_5: float
    eer_mixed: float
    growth: dict[int, float]


@dataclass(frozen=True)
class Utility:
    """What remains of the speech. None where it was not measured.

    word_error : share of words wrong.   relative_word_error : over that of the undisguised speech.
    speed : times real time on one core.   duration_ratio : (5th, 50th, 95th percentile)."""

    word_error: Interval | None
    words: int
    f0_correlation: float | None
    duration_ratio: tuple[float, float, float]
    speed: float | None
    relative_word_error: Interval | None = None
    training: dict[str, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is known of one method.

    attacks : by "knowledge/family".   strongest : the name of the one with the least equal error rate.
    exposure : share of others that each trial speaker is told from, by the strongest attack; 0.5 is chance.
    growth : equal error rate of the strongest attack by snippets, "enrolled" with one on trial, and
    "both" with as many on either side.   scores : of the strongest, "target" and "nontarget".
    tables : (runs, utterances, speakers) the scores of every attack."""

    attacks: dict[str, AttackResult]
    strongest: str
    same_recording: AttackResult | None
    same_recording_families: dict[str, float]
    identification: Identification
    exposure: list[float]
    growth: dict[str, dict[int, float]]
    utility: Utility
    scores: dict[str, list[float]] = field(repr=False, default_factory=dict)
    held_areas: dict[str, float] = field(default_factory=dict)
    tables: dict[str, npt.NDArray[np.float32]] = field(repr=False, default_factory=dict)

    @property
    def headline(self) -> AttackResult:
        return self.attacks[self.strongest]


@dataclass(frozen=True, eq=False)
class Case:
    """All that a verdict needs. It crosses process boundaries, so it holds arrays and plain values only.

    inverted : the copies after the method's own parameters were searched and undone, where possible."""

    train_trials: Trials
    trials: Trials
    original: Material
    disguised: Material
    inverted: Material | None
    encoders: tuple[str, ...]
    seconds: Doubles
    seed: int = 0
    draws: int = 300


def evidence(case: Case, family: str, material: Material, blind: bool = False) -> Evidence:
    train, trials = case.train_trials, case.trials
    return Evidence(
        material.train[family], case.original.train[family], material.trial[family],
        material.enrol[family], case.original.trial[family],
        train.blind() if blind else train, trials.blind() if blind else trials,
    )  # fmt: skip


def families(case: Case) -> list[str]:
    return [name for name in (*FAMILIES, *case.encoders) if name in case.disguised.train]


def attack_all(case: Case) -> dict[str, Attack]:
    """Every attack by "knowledge/family", and the fusions of each knowledge and of all."""
    found: dict[str, Attack] = {}
    for name, attacker in ATTACKERS.items():
        single = {
            family: attacker.attack(evidence(case, family, case.disguised), family in case.encoders)
            for family in families(case)
        }
        found |= _with_fusions(name, single, case.encoders)
    extra: dict[str, Attack] = {}
    if case.inverted is not None:
        single = {
            family: SemiInformed().attack(evidence(case, family, case.inverted), family in case.encoders)
            for family in families(case)
        }
        extra = _with_fusions("inversion", single, case.encoders)
        found |= extra
    every = {k: v for k, v in found.items() if k.startswith(("informed/", "inversion/")) and _single(k, case)}
    every |= {k: v for k, v in found.items() if k in {f"lazy/{name}" for name in case.encoders}}
    found["all/fusion"] = fuse(every)
    return found


def _single(name: str, case: Case) -> bool:
    return name.split("/")[1] in families(case)


def _with_fusions(
    knowledge: str, single: Mapping[str, Attack], encoders: tuple[str, ...]
) -> dict[str, Attack]:
    statistics = {name: attack for name, attack in single.items() if name not in encoders}
    found = {f"{knowledge}/{name}": attack for name, attack in single.items()}
    found[f"{knowledge}/statistics"] = fuse(statistics)
    if len(statistics) < len(single):
        found[f"{knowledge}/fusion"] = fuse(single)
    return found


def judge(case: Case) -> Verdict:
    """Attack and measure one method."""
    found = attack_all(case)
    weights = draw_weights(case.trials.count, case.draws, case.seed)
    results = {
        name: measure(attack, case.trials, weights if _reported(name, case) else None)
        for name, attack in found.items()
    }
    # The strongest is chosen on the trials themselves, which errs on the attacker's side.
    strongest = min(results, key=lambda name: results[name].eer)
    attack = found[strongest]
    if not _reported(strongest, case):
        results[strongest] = measure(attack, case.trials, weights)
    together, by_family = same_recording(case, weights)
    trials = case.trials
    return Verdict(
        attacks=results,
        strongest=strongest,
        same_recording=together,
        same_recording_families=by_family,
        identification=identify(case, weights),
        exposure=exposure(attack, trials),
        growth=growth(attack, trials),
        utility=utility(case, weights),
        scores={
            "target": np.round(attack.scores[:, trials.target].ravel(), 4).tolist(),
            "nontarget": np.round(attack.scores[:, trials.nontarget].ravel(), 4).tolist(),
        },
        held_areas={name: attack.held_area for name, attack in found.items()},
        tables={name: attack.scores.astype(np.float32) for name, attack in found.items()},
    )


def _reported(name: str, case: Case) -> bool:
    """Whether the report shows it with an interval: not each single family of statistics."""
    return name.split("/")[1] not in FAMILIES


def measure(attack: Attack, trials: Trials, weights: Doubles | None) -> AttackResult:
    """The attack's numbers; an interval only where weights are given."""
    speakers = np.arange(trials.count, dtype=np.intp)
    bounds = Interval(0.0, float("nan"), float("nan"))
    if weights is not None:
        samples = eer_samples(
            attack.scores, trials.target, trials.nontarget, trials.speakers, speakers, weights
        )
        bounds = interval(0.0, samples)
    sexes = np.asarray(trials.sexes)
    by_sex = {
        sex: _rate(attack.scores, trials.target & (sexes == sex)[:, None], trials.nontarget & (sexes == sex)[:, None])
        for sex in sorted(set(trials.sexes))
        if len(set(trials.sexes)) > 1
    }  # fmt: skip
    return _result(attack, trials.target, trials.nontarget, bounds, by_sex)


def _rate(scores: Doubles, target: Bools, nontarget: Bools) -> float:
    if not target.any() or not nontarget.any():
        return float("nan")
    return metrics.eer(scores[:, target], scores[:, nontarget])


def _result(
    attack: Attack, target: Bools, nontarget: Bools, bounds: Interval, by_sex: dict[str, float]
) -> AttackResult:
    same, other = attack.scores[:, target].ravel(), attack.scores[:, nontarget].ravel()
    worst = metrics.worst_disclosure(same, other)
    return AttackResult(
        eer=metrics.eer(same, other),
        low=bounds.low,
        high=bounds.high,
        by_run=[_rate(run[None], target, nontarget) for run in attack.scores],
        by_sex=by_sex,
        cllr=metrics.cllr(same, other),
        min_cllr=metrics.min_cllr(same, other),
        linkability=metrics.linkability(same, other),
        disclosure=metrics.disclosure(same, other),
        worst_disclosure=worst,
        zebra=metrics.zebra_category(worst),
        accept_at_1_percent=metrics.accept_rate(same, other, 0.01),
        accept_at_1_permille=metrics.accept_rate(same, other, 0.001),
        held_out_eer=metrics.eer(attack.held_target, attack.held_nontarget),
        note=attack.note,
    )


def same_recording(case: Case, weights: Doubles) -> tuple[AttackResult | None, dict[str, float]]:
    """Two disguised snippets of one recording, told from two of different recordings of the same sex."""
    pairs = Pairs(case.trials)
    learned = Pairs(case.train_trials)
    if not all(view.target.any() and view.nontarget.any() for view in (pairs, learned)):
        return None, {}
    single = {
        family: SameRecording().attack(evidence(case, family, case.disguised), family in case.encoders)
        for family in families(case)
    }
    found = {**single, "fusion": fuse(single)}
    rates = {name: _rate(attack.scores, pairs.target, pairs.nontarget) for name, attack in found.items()}
    strongest = found[min(rates, key=lambda name: rates[name])]  # as in `judge`, on the attacker's side
    speakers = case.trials.speakers
    samples = eer_samples(strongest.scores, pairs.target, pairs.nontarget, speakers, speakers, weights)
    return _result(strongest, pairs.target, pairs.nontarget, interval(0.0, samples), {}), rates


def identify(case: Case, weights: Doubles) -> Identification:
    """Rank all speakers for every snippet, with back ends that are not told the sex."""
    fused = fuse(
        {
            family: SemiInformed().attack(
                evidence(case, family, case.disguised, True), family in case.encoders
            )
            for family in families(case)
        }
    )
    trials = case.trials.blind()
    tried = trials.target.any(1)
    true = trials.speakers[tried]
    scores = _ranked(fused.scores, trials)
    hits = np.mean(
        [
            [metrics.top(row[None], [own]) for row, own in zip(run[tried], true, strict=True)]
            for run in scores
        ],
        axis=0,
    )
    of_speaker = np.bincount(true, hits, trials.count), np.bincount(true, minlength=trials.count)

    def top(table: Doubles, k: int = 1) -> float:
        return float(np.mean([metrics.top(run[tried], true, k) for run in table]))

    return Identification(
        speakers=int(trials.modelled.any(0).sum()),
        top_1=interval(float(hits.mean()), ratio_samples(*of_speaker, weights)),
        top_5=top(scores, min(5, trials.count)),
        eer_mixed=_rate(fused.scores, trials.target, trials.nontarget),
        growth={
            n: top(_ranked(fused.again(view), view))
            for n, view in ((n, trials.grown(n)) for n in GROWTH if trials.reaches(n))
        },
    )


def _ranked(scores: Doubles, trials: Trials) -> Doubles:
    """Scores with whoever has no model last."""
    return np.where(trials.modelled[None], scores, -np.inf)


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
        "enrolled": {n: rate(trials.grown(n)) for n in GROWTH if trials.reaches(n)},
        "both": {n: rate(trials.grown(n, n)) for n in GROWTH if trials.reaches(n, n)},
    }


def utility(case: Case, weights: Doubles) -> Utility:
    trial, trials = case.disguised.trial, case.trials
    spent, count = trial["seconds"], trial["seconds"].size
    ratios = trial["duration_ratio"]
    correlation = trial["f0_correlation"]
    audio = float(case.seconds.sum()) * spent.shape[1]
    spoken = float(trial["words"].sum()) if "words" in trial else 0.0
    found: dict[str, Any] = {"word_error": None, "relative_word_error": None}
    if spoken:

        def per_speaker(material: Material, name: str) -> npt.NDArray[np.float64]:
            return np.bincount(trials.speakers, material.trial[name].sum(1), trials.count).astype(np.float64)

        errors, words = per_speaker(case.disguised, "word_errors"), per_speaker(case.disguised, "words")
        plain = per_speaker(case.original, "word_errors")
        rate, base = errors.sum() / words.sum(), plain.sum() / words.sum()
        found["word_error"] = interval(float(rate), ratio_samples(errors, words, weights))
        if base > 0.0:
            samples = ratio_samples(errors, plain, weights)
            found["relative_word_error"] = interval(float(rate / base), samples)
    low, middle, high = (float(q) for q in np.percentile(ratios, (5, 50, 95)))
    return Utility(
        words=int(spoken),
        f0_correlation=float(np.nanmean(correlation)) if np.isfinite(correlation).any() else None,
        duration_ratio=(low, middle, high),
        speed=audio / float(spent.sum()) if spent.sum() > 1e-9 * count else None,
        **found,
    )
