"""Re-identification as a regulator asks for it: people linked, and singled out, by the size of the population.

A snippet is *linked* when its own speaker's model scores highest among N speakers. A speaker is *singled out* when
"scores above a threshold" is true of exactly one of N people's snippets; the threshold is set on other snippets, where
it is true of one in N. Whoever guesses links 1/N and singles out 1/e, 37 %.

References
----------
Vauquier et al., "Legally validated evaluation framework for voice anonymization", Interspeech 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deident.audio import Bools, Doubles, Ints
from deident.evaluation import metrics
from deident.evaluation.attack import Attack
from deident.evaluation.intervals import Interval, interval, ratio_samples
from deident.evaluation.population import Crowd
from deident.evaluation.trials import Trials

POPULATIONS = (20, 100, 1_000, 10_000)
SNIPPETS = (1, 2, 3, 5, 10, 30)  # of a speaker, that an attacker may have


@dataclass(frozen=True)
class Risk:
    """Risk to whoever is one of a population.

    Attributes
    ----------
    population : int
        Number of speakers.
    snippets : int
        Snippets of each that the attacker has enrolled.
    linked, singled_out : Interval
    measured : bool
        False where extrapolated.
    """

    population: int
    snippets: int
    linked: Interval
    singled_out: Interval
    measured: bool


@dataclass(frozen=True)
class Identification:
    """The attacker who names most speakers and is told no sex or group, among all on trial that can be enrolled.

    Attributes
    ----------
    attack : str
        Its name.
    speakers : int
    top_1 : Interval
        Share of snippets whose speaker is ranked first.
    top_5, eer_mixed : float
    growth : dict of int to float
        Top-1 by the number of snippets enrolled.
    risks : list of Risk
        By population and number of snippets.
    checks : dict of str to (float, float)
        What is extrapolated to all speakers from half of them, and to the largest number of snippets from the lower
        ones; and what is measured there. Where half of the speakers are too few to extrapolate from, it is left out.
    """

    attack: str
    speakers: int
    top_1: Interval
    top_5: float
    eer_mixed: float
    growth: dict[int, float]
    risks: list[Risk]
    checks: dict[str, tuple[float, float]]


def identify(
    attacks: Mapping[str, Attack], trials: Trials, weights: Doubles, seed: int = 0
) -> Identification:
    """Rank all speakers for every snippet by the strongest of several attacks, and measure the risks.

    Parameters
    ----------
    attacks : mapping of str to Attack
        That were not told the sex.
    trials : Trials
        Within strata; here everybody is compared with everybody.
    weights : (draws, speakers) float64
        Of the bootstrap.
    seed : int
        Of the halves that the check leaves out.

    Returns
    -------
    Identification
    """
    trials = trials.blind()
    tried = trials.target.any(1)
    true = trials.speakers[tried]

    def hits(attack: Attack) -> Doubles:
        ranked = _ranked(attack.scores, trials)
        return np.asarray(np.mean([_first(run[tried], true) for run in ranked], axis=0))

    found = {name: hits(attack) for name, attack in attacks.items()}
    name = max(found, key=lambda attack: float(found[attack].mean()))
    attack, first = attacks[name], found[name]
    of_speaker = np.bincount(true, first, trials.count), np.bincount(true, minlength=trials.count)

    def top(table: Doubles, k: int) -> float:
        return float(np.mean([metrics.top(run[tried], true, k) for run in table]))

    views = {n: trials.grown(n) for n in SNIPPETS if trials.reaches(n)}
    tables = {n: _ranked(attack.again(view), view) for n, view in views.items()}
    scores = _ranked(attack.scores, trials)
    risks, checks = _risks(tables, trials, weights, seed)
    return Identification(
        attack=name,
        speakers=int(trials.modelled.any(0).sum()),
        top_1=interval(float(first.mean()), ratio_samples(*of_speaker, weights)),
        top_5=top(scores, min(5, trials.count)),
        eer_mixed=metrics.eer(attack.scores[:, trials.target], attack.scores[:, trials.nontarget]),
        growth={n: top(table, 1) for n, table in tables.items()},
        risks=risks,
        checks=checks,
    )


def _ranked(scores: Doubles, trials: Trials) -> Doubles:
    """Scores with whoever has no model last."""
    return np.where(trials.modelled[None], scores, -np.inf)


def _first(scores: Doubles, true: Ints) -> Doubles:
    """(trials,) probability that the true speaker is ranked first; ties are broken by a coin."""
    own = scores[np.arange(len(true)), true][:, None]
    return np.asarray(np.where((scores > own).any(1), 0.0, 1.0 / (scores == own).sum(1)))


def _risks(
    tables: Mapping[int, Doubles], trials: Trials, weights: Doubles, seed: int
) -> tuple[list[Risk], dict[str, tuple[float, float]]]:
    """The risks by snippets and population, and what became of extrapolations to where something was measured."""
    found: list[Risk] = []
    checks: dict[str, tuple[float, float]] = {}
    crowds = {n: Crowd.of(table, trials) for n, table in tables.items()}
    if not crowds:
        return found, checks
    most = max(crowds)
    means = {n: crowd.distance for n, crowd in crowds.items()}
    for n in SNIPPETS:
        crowd = crowds.get(n) or (
            crowds[most].moved(_grown(means, n) - means[most]) if len(crowds) > 1 else None
        )
        if crowd is None:
            continue
        for population in POPULATIONS:
            counted = n in crowds and population <= crowd.others + 1
            linked = crowd.linked_counted(population) if counted else crowd.linked(population)
            found.append(
                Risk(
                    population, n,
                    _over_speakers(linked, crowd.whose, weights),
                    _over_speakers(crowd.singled_out(population, counted), np.arange(trials.count), weights),
                    counted,
                )
            )  # fmt: skip
    whole = crowds[most]
    everybody = whole.others + 1
    halves = _halves(trials, seed)
    parts = [Crowd.of(tables[most], trials, half) for half in halves]
    compared = {
        "linked": ([part.linked(everybody) for part in parts], whole.linked_counted(everybody)),
        "singled out": (
            [part.singled_out(everybody, counted=False) for part in parts],
            whole.singled_out(everybody, counted=True),
        ),
    }
    for what, (guesses, counted_out) in compared.items():
        if all(np.isfinite(values).any() for values in (np.concatenate(guesses, None), counted_out)):
            checks[what] = _mean(guesses), _mean([counted_out])  # a handful of speakers has no threshold
    if len(crowds) > 2:
        *fewer, last = sorted(crowds)
        known = {n: means[n] for n in fewer}
        guess = crowds[fewer[-1]].moved(_grown(known, last) - means[fewer[-1]])
        checks["linked, snippets"] = _mean([guess.linked(everybody)]), checks["linked"][1]
    return found, checks


def _mean(parts: list[Doubles]) -> float:
    values = np.concatenate([part.ravel() for part in parts])
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _over_speakers(values: Doubles, whose: Ints, weights: Doubles) -> Interval:
    """Mean of (..., trials) values with its interval over the speakers that they belong to; NaN counts as missing."""
    flat = np.nanmean(values.reshape(-1, len(whose)), axis=0) if values.ndim > 1 else values
    there = np.isfinite(flat)
    count = weights.shape[1]
    sums = np.bincount(whose[there], flat[there], count), np.bincount(whose[there], minlength=count)
    return interval(float(flat[there].mean()), ratio_samples(*sums, weights))


def _halves(trials: Trials, seed: int) -> list[Bools]:
    """(speakers,) each half of the speakers that have a model."""
    there = np.random.default_rng(seed).permutation(np.flatnonzero(trials.target.any(0)))
    halves = []
    for part in np.array_split(there, 2):
        half = np.zeros(trials.count, np.bool_)
        half[part] = True
        halves.append(half)
    return halves


def _grown(means: Mapping[int, float], snippets: int) -> float:
    """Mean distance with so many snippets: its inverse square falls with one over their number.

    So it does where a model is a mean of snippets, each a speaker and noise.
    """
    counts = np.array(list(means), np.float64)
    inverse = np.array([max(mean, 0.05) for mean in means.values()]) ** -2.0
    slope, offset = np.polyfit(1.0 / counts, inverse, 1)
    slope = max(float(slope), 0.0)
    least = 0.25 * inverse.min()  # a fit to few points must not promise more than twice the distance
    return float(max(offset + slope / snippets, least) ** -0.5)
