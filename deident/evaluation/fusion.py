"""The scores of several attacks joined into those of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deident.audio import Doubles
from deident.errors import SettingError
from deident.evaluation.attack import Attack
from deident.evaluation.trials import Comparison, Trials


def fuse(attacks: Mapping[str, Attack]) -> Attack:
    """Join attacks by logistic regression, trained on held-out scores of training speakers alone.

    Parameters
    ----------
    attacks : mapping of str to Attack
        By name. All on the same trials, with their held-out scores in the same order.

    Returns
    -------
    Attack
        Target and nontarget trials weigh the same in its training.

    Raises
    ------
    SettingError
        When there are too few training speakers, or the held-out scores of an attack do not match the others'.

    References
    ----------
    Brümmer et al., IEEE Trans. Audio, Speech and Language Processing 15 (2007).
    """
    parts = list(attacks.values())
    for name, part in attacks.items():
        if part.held_target.shape != parts[0].held_target.shape or (
            part.held_nontarget.shape != parts[0].held_nontarget.shape
        ):
            raise SettingError(
                f"expected the attacker {name.split('/')[0]} to score the held-out trials that Evidence.attack makes; "
                f"got {part.held_target.size} target and {part.held_nontarget.size} nontarget scores"
            )
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

    whole = join([part.scores for part in parts])
    note = f"logistic regression over {len(parts)} attacks"
    return Attack(whole, same @ weights + offset, other @ weights + offset, again, note)


def evenly(attacks: Mapping[str, Attack], trials: Trials) -> Attack:
    """Fuse attacks that no held-out scores can weigh: the sum of their z-normalised scores.

    Parameters
    ----------
    attacks : mapping of str to Attack
        By name. All on the same trials.
    trials : Trials
        Those whose scores, target or not, each attack is normalised by to a mean of zero and a deviation of one.

    Returns
    -------
    Attack
        It has no held-out scores.
    """
    tried = trials.target | trials.nontarget
    scales = [(part.scores[:, tried].mean(), part.scores[:, tried].std() + 1e-9) for part in attacks.values()]

    def join(scores: Sequence[Doubles]) -> Doubles:
        return np.asarray(
            sum((s - mean) / deviation for s, (mean, deviation) in zip(scores, scales, strict=True))
        )

    def again(comparison: Comparison) -> Doubles:
        return join([part.again(comparison) for part in attacks.values()])

    whole = join([part.scores for part in attacks.values()])
    return Attack(whole, np.zeros(0), np.zeros(0), again, f"{' and '.join(attacks)}, evenly")


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
