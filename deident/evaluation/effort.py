"""Gains of an attacker by training material: the semi-informed attack again, with less to train on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deident.audio import Ints
from deident.evaluation import backend, metrics
from deident.evaluation.attack import Evidence
from deident.evaluation.scoring import Retrained
from deident.evaluation.trials import Trials

SPEAKERS = (10, 20, 45, 119, 300)  # of which as many are tried as there are, and then all
DRAWS = (1, 2, 3, 5, 9)


@dataclass(frozen=True)
class Effort:
    """Equal error rates of the semi-informed attack on one family, by the material it was trained on.

    Attributes
    ----------
    family : str
    speakers : dict of int to float
        By the number of training speakers, with all draws.
    draws : dict of int to float
        By the number of disguised copies of each training utterance, with all speakers.
    per_doubling : float
        Change of the equal error rate when the number of training speakers doubles, by regression.
    """

    family: str
    speakers: dict[int, float]
    draws: dict[int, float]
    per_doubling: float


def effort(family: str, evidence: Evidence, seed: int = 0) -> Effort:
    """Attack with parts of the training speakers, each part within the next, and with some of the draws.

    Parameters
    ----------
    family : str
        Its name, for the report.
    evidence : Evidence
    seed : int
        Of the order of speakers.

    Returns
    -------
    Effort
    """
    trials, copies = evidence.train_trials, evidence.train.shape[1]
    order = _order(trials, seed)
    by_speakers = {
        count: _rate(evidence, np.flatnonzero(np.isin(trials.speakers, order[:count])), copies)
        for count in _counts(SPEAKERS, len(order), 2)
    }
    everybody = np.arange(len(trials.speakers))
    by_draws = {count: _rate(evidence, everybody, count) for count in _counts(DRAWS, copies, 0)}
    slope = (
        np.polyfit(np.log2(list(by_speakers)), list(by_speakers.values()), 1)[0]
        if len(by_speakers) > 1
        else 0.0
    )
    return Effort(family, by_speakers, by_draws, float(slope))


def _counts(wanted: tuple[int, ...], all_of_them: int, apart: int) -> list[int]:
    """Those that are less by more than a few, and all."""
    return [count for count in wanted if count < all_of_them - apart] + [all_of_them]


def _order(trials: Trials, seed: int) -> Ints:
    """Speakers in an order whose every beginning has about the same share of each stratum."""
    rng, strata = np.random.default_rng(seed), np.asarray(trials.speaker_strata)
    place = np.zeros(trials.count)
    for stratum in np.unique(strata):
        names = rng.permutation(np.flatnonzero(strata == stratum))
        place[names] = (np.arange(len(names)) + 0.5) / len(names)
    return np.argsort(place, kind="stable").astype(np.intp)


def _rate(evidence: Evidence, rows: Ints, copies: int) -> float:
    """Compute the equal error rate of an attacker who trained on these rows and copies."""
    trials, fit_on = evidence.train_trials.subset(rows), evidence.train[rows, :copies]
    # The shape by trials between all strata, as a dozen speakers are too few for any within them.
    scorer = Retrained(backend.choose(fit_on, trials.blind())[0]).fit(fit_on, trials)
    scores = evidence.scored(scorer, evidence.enrol, evidence.trials)
    return metrics.eer(scores[:, evidence.trials.target], scores[:, evidence.trials.nontarget])
