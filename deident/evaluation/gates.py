"""Checks that an evaluation must pass before anyone believes a number of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from deident.errors import DEBUG_HINT
from deident.evaluation import metrics
from deident.evaluation.attack import Attacker, Evidence
from deident.evaluation.attackers import SemiInformed
from deident.evaluation.features import FAMILIES
from deident.evaluation.fusion import fuse
from deident.evaluation.judge import Case, Material, attack_each
from deident.evaluation.verdict import Verdict

UNDISGUISED = "undisguised"
WEAK = {"statistics": 0.06, "fusion": 0.05}  # undisguised equal error rates over this: no number
WEAK_ENCODER = 0.06
SCATTER = 1.2  # of chance, over the root of the number of target trials (those of a speaker are alike)
SURE = 1.64  # standard errors over a bar beyond which an error rate is above it, and not by chance (95 %)
SAME = 0.01
MOST_WORDS_WRONG = 0.7  # of undisguised speech; a recogniser that answers the same to everything has 1


@dataclass(frozen=True)
class Gate:
    """One check.

    Attributes
    ----------
    name : str
    passed : bool
    detail : str
        The number that was found, and the one that was asked for.
    method : str
        The method whose cells it speaks for; "" for all.
    attacks : tuple of str
        The attacks whose cells it speaks for, as "attacker/family", "attacker/*" or "words/recogniser"; none for all
        attacks.
    blocks : bool
        A failure makes these cells untrustworthy. Otherwise it is a note.
    """

    name: str
    passed: bool
    detail: str
    method: str = ""
    attacks: tuple[str, ...] = ()
    blocks: bool = True


def check(verdicts: Mapping[str, Verdict], plain: Case, synthetic: bool) -> list[Gate]:
    """All gates, passed or not."""
    undisguised, attackers = verdicts[UNDISGUISED], plain.attackers
    count = int(plain.trials.target.sum())
    gates = [
        *strong_enough(undisguised, attackers, count),
        identity(plain, undisguised, 1.0 / count),
        chance(plain),
    ]
    gates += understands(undisguised)
    for name, verdict in verdicts.items():
        gates += works(name, verdict)
        if name != UNDISGUISED:
            gates += retraining(name, verdict, attackers)
            gates += learned(name, verdict, attackers)
        if name == "mcadams" and not synthetic:
            gates += published_region(name, verdict)
    return gates


def strong_enough(verdict: Verdict, attackers: Mapping[str, Attacker], count: float = math.inf) -> list[Gate]:
    """An attacker who fails on undisguised speech says nothing about a disguise, nor does what rests on it.

    count : of target trials. Where they are few, a rate above the bar may be one of an attacker who is good enough.
    """
    gates = []
    undoing = [name for name, attacker in attackers.items() if attacker.undoes]
    fusion = {f"{name}/fusion" for name in attackers} & verdict.attacks.keys()
    parts = {"statistics": FAMILIES.keys() | (set() if fusion else {"fusion"})}
    for attack, result in verdict.attacks.items():
        name, family = attack.split("/")
        if name not in attackers or not attackers[name].must_recognise or not np.isfinite(result.low):
            continue
        bar = WEAK.get(family, WEAK_ENCODER)
        bar += SURE * math.sqrt(bar * (1.0 - bar) / count)
        says = f"undisguised equal error rate {100 * result.eer:.1f} % (at most {100 * bar:.3g} %)"
        weak = sorted({family} | parts.get(family, set()))
        touched = [name, *undoing, *(["all"] if attackers[name].fused == "all" else [])]
        cells = tuple(f"{other}/{part}" for other in touched for part in weak)
        gates.append(Gate(f"attacker strong enough: {attack}", result.eer <= bar, says, "", cells))
    return gates


def works(name: str, verdict: Verdict) -> list[Gate]:
    """An attacker that failed leaves open which is the strongest on that method.

    Where it fails on undisguised speech, nothing shows how strong it is, and its cells of all methods are withheld.
    """
    return [
        Gate(
            f"attacker works: {attacker}",
            False,
            f"it failed on {name} ({kind}; {DEBUG_HINT})",
            "" if name == UNDISGUISED else name,
            (f"{attacker}/*", "all/*") if name == UNDISGUISED else (),
        )
        for attacker, kind in verdict.failed.items()
    ]


def understands(verdict: Verdict) -> list[Gate]:
    """A recogniser that does not understand undisguised speech says nothing about what a disguise costs."""
    return [
        Gate(
            f"recogniser understands: {name}",
            words.error.value <= MOST_WORDS_WRONG,
            f"{100 * words.error.value:.0f} % of undisguised words wrong (at most {100 * MOST_WORDS_WRONG:.0f} %)",
            "",
            (f"words/{name}",),
        )
        for name, words in verdict.utility.words.items()
    ]


def identity(plain: Case, verdict: Verdict, one_trial: float = 0.0) -> Gate:
    """A disguise that does nothing, sent through the path of a disguise, scores as undisguised, but for one trial."""

    def repeated(arrays: dict[str, np.ndarray], copies: int) -> dict[str, np.ndarray]:
        return {name: np.repeat(arrays[name], copies, axis=1) for name in FAMILIES.keys() & arrays}

    original = plain.disguised
    many = Material(repeated(original.train, 2), repeated(original.trial, 2), repeated(original.enrol, 2))
    found = fuse(attack_each(replace(plain, disguised=many, encoders=()), SemiInformed(), many)).scores
    trials = plain.trials
    got = metrics.eer(found[:, trials.target], found[:, trials.nontarget])
    want = verdict.attacks["semi-informed/statistics"].eer
    says = f"equal error rate {100 * got:.1f} %, undisguised {100 * want:.1f} %"
    return Gate("identity scores as undisguised", abs(got - want) <= max(SAME, one_trial), says)


def chance(plain: Case) -> Gate:
    """Random vectors in place of features score as nothing: no label leaks into the path, nor a trial into its
    model, which would know it by its vector.
    """
    rng = np.random.default_rng(plain.seed)

    def noise(rows: int) -> np.ndarray:
        return rng.normal(size=(rows, 2, 24))

    train, tests = noise(len(plain.train_trials.speakers)), noise(len(plain.trials.speakers))
    random = Evidence(train, train, tests, tests, tests, plain.train_trials, plain.trials)
    scores = SemiInformed().attack(random, comparable=False).scores
    got = metrics.eer(scores[:, plain.trials.target], scores[:, plain.trials.nontarget])
    least = max(0.1, 0.5 - SCATTER / np.sqrt(plain.trials.target.sum()))
    says = f"equal error rate {100 * got:.1f} % (at least {100 * least:.1f} %)"
    return Gate("random vectors score chance", bool(got >= least), says)


def retraining(name: str, verdict: Verdict, attackers: Mapping[str, Attacker]) -> list[Gate]:
    """More knowledge helps on held-out training speakers; where it does not, the better attacker counts, and a note
    says so. It blocks nothing: the headline is the strongest attacker either way.
    """
    gates = []
    for attack, area in verdict.held_areas.items():
        knowledge, family = attack.split("/")
        before = attackers[knowledge].improves_on if knowledge in attackers else ""
        lesser = verdict.held_areas.get(f"{before}/{family}")
        if lesser is None or not np.isfinite(verdict.attacks[attack].low):
            continue
        passed = area >= lesser - 0.01
        says = f"area under the ROC on held-out training speakers {area:.3f}, {before} {lesser:.3f}"
        says += "" if passed else f": the {before} attacker is the better one and counts"
        gates.append(Gate(f"retraining helps: {attack}", passed, says, name, (attack,), blocks=False))
    return gates


def learned(name: str, verdict: Verdict, attackers: Mapping[str, Attacker]) -> list[Gate]:
    """A network that was trained for a method does as well as what needs no training of weights; a note where not."""
    others = [
        result.eer
        for attack, result in verdict.attacks.items()
        if attack.startswith("semi-informed/") and np.isfinite(result.low)
    ]
    gates = []
    for attack, result in verdict.attacks.items():
        knowledge, family = attack.split("/")
        if (
            others
            and family != "fusion"
            and knowledge in attackers
            and attackers[knowledge].trains
            and attackers[knowledge].must_recognise
        ):
            says = f"equal error rate {100 * result.eer:.1f} %, semi-informed {100 * min(others):.1f} %"
            passed = result.eer <= min(others) + 0.02
            says += "" if passed else ": the network was not trained enough, and a better one may exist"
            gates.append(Gate(f"training helps: {attack}", passed, says, name, (attack,), blocks=False))
    return gates


def published_region(name: str, verdict: Verdict) -> list[Gate]:
    """McAdams as the field knows it: high for the ignorant with instruments of its day, low for the semi-informed."""
    ignorant = min(
        r.eer for a, r in verdict.attacks.items() if a in ("ignorant/resemblyzer", "ignorant/statistics")
    )
    strongest = verdict.headline.eer
    return [
        Gate(
            "McAdams, ignorant: over 20 %", ignorant > 0.2, f"{100 * ignorant:.1f} %", name, ("ignorant/*",)
        ),
        Gate("McAdams, strongest attack: under 10 %", strongest < 0.1, f"{100 * strongest:.1f} %", name),
    ]


def blocking(gates: list[Gate], method: str, attack: str) -> Gate | None:
    """The failed gate that makes this cell untrustworthy, if any."""
    for gate in gates:
        if gate.passed or not gate.blocks or gate.method not in ("", method):
            continue
        everything = not gate.attacks and not attack.startswith("words/")
        if everything or attack in gate.attacks or f"{attack.split('/')[0]}/*" in gate.attacks:
            return gate
    return None
