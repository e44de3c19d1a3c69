"""When a number may be printed: checks that an evaluation must pass before anyone believes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from deident.evaluation import metrics
from deident.evaluation.attackers import Evidence, SemiInformed, fuse
from deident.evaluation.features import FAMILIES
from deident.evaluation.judge import Case, Material, Verdict, evidence, families

UNDISGUISED = "undisguised"
WEAK = {"statistics": 0.06, "fusion": 0.05}  # undisguised equal error rates over this: no number
WEAK_ENCODER = 0.06
SCATTER = 1.2  # of chance, over the root of the number of target trials (those of a speaker are alike)
SAME = 0.01
KNOWLEDGE = ("ignorant", "lazy", "informed", "inversion", "all")


@dataclass(frozen=True)
class Gate:
    """One check. `method` and `attacks` say which cells it speaks for ("" and none: all)."""

    name: str
    passed: bool
    detail: str
    method: str = ""
    attacks: tuple[str, ...] = ()
    blocks: bool = True


def check(verdicts: Mapping[str, Verdict], plain: Case, synthetic: bool) -> list[Gate]:
    """All gates, passed or not."""
    gates = [*strong_enough(verdicts[UNDISGUISED]), identity(plain, verdicts[UNDISGUISED]), chance(plain)]
    for name, verdict in verdicts.items():
        if name != UNDISGUISED:
            gates += retraining(name, verdict)
        if name == "mcadams" and not synthetic:
            gates += published_region(name, verdict)
    return gates


def strong_enough(verdict: Verdict) -> list[Gate]:
    """An attacker who fails on undisguised speech says nothing about a disguise, nor do its parts."""
    gates = []
    parts = {"statistics": FAMILIES.keys() | (set() if "informed/fusion" in verdict.attacks else {"fusion"})}
    for attack, result in verdict.attacks.items():
        knowledge, family = attack.split("/")
        if knowledge != "informed" or (family not in WEAK and not np.isfinite(result.low)):
            continue
        bar = WEAK.get(family, WEAK_ENCODER)
        says = f"undisguised equal error rate {100 * result.eer:.1f} % (at most {100 * bar:g} %)"
        weak = sorted({family} | parts.get(family, set()))
        touched = tuple(f"{knowledge}/{name}" for knowledge in KNOWLEDGE for name in weak)
        gates.append(Gate(f"attacker strong enough: {family}", result.eer <= bar, says, "", touched))
    return gates


def identity(plain: Case, verdict: Verdict) -> Gate:
    """A disguise that does nothing, sent through the path of a disguise, scores as undisguised."""

    def repeated(arrays: dict[str, np.ndarray], copies: int) -> dict[str, np.ndarray]:
        return {name: np.repeat(array, copies, axis=1) for name, array in arrays.items()}

    many = Material(
        repeated(plain.disguised.train, 2),
        repeated(plain.disguised.trial, 2),
        repeated(plain.disguised.enrol, 2),
    )
    case = replace(plain, disguised=many)
    found = fuse(
        [
            SemiInformed().attack(evidence(case, family, many), comparable=False)
            for family in families(case)
            if family in FAMILIES
        ]
    ).scores
    trials = plain.trials
    got = metrics.eer(found[:, trials.target], found[:, trials.nontarget])
    want = verdict.attacks["informed/statistics"].eer
    says = f"equal error rate {100 * got:.1f} %, undisguised {100 * want:.1f} %"
    return Gate("identity scores as undisguised", abs(got - want) <= SAME, says)


def chance(plain: Case) -> Gate:
    """Random vectors in place of features score as nothing: no label leaks into the path, nor a trial into its
    model, which would know it by its vector."""
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


def retraining(name: str, verdict: Verdict) -> list[Gate]:
    """Retraining helps on held-out training speakers; where it does not, the better attacker counts, and
    a note says so. It blocks nothing: the headline is the strongest attacker either way."""
    gates = []
    for attack, area in verdict.held_areas.items():
        knowledge, family = attack.split("/")
        untrained = verdict.held_areas.get(f"lazy/{family}")
        if knowledge != "informed" or untrained is None or not np.isfinite(verdict.attacks[attack].low):
            continue
        passed = area >= untrained - 0.01
        says = f"area under the ROC on held-out training speakers {area:.3f}, untrained {untrained:.3f}"
        says += "" if passed else ": the untrained attacker is the better one and counts"
        gates.append(Gate(f"retraining helps: {family}", passed, says, name, (attack,), blocks=False))
    return gates


def published_region(name: str, verdict: Verdict) -> list[Gate]:
    """McAdams as the field knows it: high for the ignorant, low for the informed."""
    ignorant = min(
        r.eer for a, r in verdict.attacks.items() if a in ("ignorant/encoder", "ignorant/statistics")
    )
    informed = verdict.headline.eer
    return [
        Gate(
            "McAdams, ignorant: over 20 %", ignorant > 0.2, f"{100 * ignorant:.1f} %", name, ("ignorant/*",)
        ),
        Gate("McAdams, strongest informed: under 10 %", informed < 0.1, f"{100 * informed:.1f} %", name),
    ]


def blocking(gates: list[Gate], method: str, attack: str) -> Gate | None:
    """The failed gate that makes this cell untrustworthy, if any."""
    for gate in gates:
        if gate.passed or not gate.blocks or gate.method not in ("", method):
            continue
        if not gate.attacks or attack in gate.attacks or f"{attack.split('/')[0]}/*" in gate.attacks:
            return gate
    return None
