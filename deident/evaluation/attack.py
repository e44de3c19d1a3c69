"""The base of attackers: what one gets to know, what it answers with, and its place in the report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from deident.audio import Doubles
from deident.disguise.base import Method
from deident.evaluation import backend
from deident.evaluation.cache import Cache
from deident.evaluation.corpus import Utterance
from deident.evaluation.scoring import Scorer, Scoring, Vectors
from deident.evaluation.trials import Comparison, Trials, folds


@dataclass(frozen=True, eq=False)
class Attack:
    """The scores of one attack.

    Attributes
    ----------
    scores : (runs, utterances, models) float64
        Higher means more alike.
    held_target, held_nontarget : (trials,) float64
        Scores of training speakers by back ends that never saw them, in the same order for every attack on the same
        evidence, so that a fusion can be trained on them. None where the attack knows them all.
    again : callable
        From another `Comparison` of the same utterances to the scores of the same attacker.
    note : str
        The scoring in words, for the report.
    """

    scores: Doubles
    held_target: Doubles
    held_nontarget: Doubles
    again: Callable[[Comparison], Doubles]
    note: str = ""

    @property
    def held_area(self) -> float:
        """Area under the ROC on held-out training speakers; NaN where none are held out."""
        return backend.area(self.held_target, self.held_nontarget) if len(self.held_target) else np.nan


def _whole(trials: Trials) -> Trials:
    return trials


@dataclass(frozen=True, eq=False)
class Evidence:
    """One feature family (an embedding, or statistics) of one disguise, as an attacker gets it.

    Trial, enrolment and training copies never share a voice. The originals have one copy.

    Attributes
    ----------
    train : (training utterances, copies, dims)
        Disguised speech of the attacker's own training speakers.
    train_original : (training utterances, 1, dims)
        The same undisguised.
    trial, enrol : (utterances, runs, dims)
        Disguised speech of the speakers on trial.
    enrol_original : (utterances, 1, dims)
        The same undisguised.
    train_trials, trials : Trials
        Who speaks in which utterance, and who is compared with whom.
    """

    train: Vectors
    train_original: Vectors
    trial: Vectors
    enrol: Vectors
    enrol_original: Vectors
    train_trials: Trials
    trials: Trials

    @property
    def runs(self) -> int:
        """Number of times the speakers on trial were disguised."""
        return int(self.trial.shape[1])

    def scored(self, scorer: Scorer, enrol: Vectors, comparison: Comparison) -> Doubles:
        """Score the trials of every run.

        Parameters
        ----------
        scorer : Scorer
            A trained one.
        enrol : (utterances, runs, dims)
            Vectors of the models. With fewer runs than trials have, they are used in turn.
        comparison : Comparison

        Returns
        -------
        (runs, utterances, models) float64
        """
        return np.stack(
            [
                scorer.compare(self.trial[:, run], enrol[:, run % enrol.shape[1]], comparison)
                for run in range(self.runs)
            ]
        )

    def compare(self, scorer: Scorer, note: str) -> Attack:
        """Score all trials, disguised against disguised, by a scorer that needs no training speakers.

        For embeddings by an encoder that has seen them all: no score of theirs says anything, and no fusion can
        learn by it.

        Parameters
        ----------
        scorer : Scorer
        note : str
            The scoring in words.

        Returns
        -------
        Attack
        """

        def again(comparison: Comparison) -> Doubles:
            return self.scored(scorer, self.enrol, comparison)

        return Attack(again(self.trials), np.zeros(0), np.zeros(0), again, note)

    def attack(
        self,
        scoring: Scoring,
        fit_on: Vectors,
        enrol: Vectors,
        held_enrol: Vectors,
        *,
        view: Callable[[Trials], Comparison] = _whole,
        classes: Callable[[Trials], Trials] = _whole,
        same_copy: bool = False,
    ) -> Attack:
        """Score all trials, and those of held-out training speakers for the fusion.

        Parameters
        ----------
        scoring : Scoring
            Cosine or PLDA, or another way from training vectors to a scorer.
        fit_on : (training utterances, copies, dims)
            Vectors to train the scorer on.
        enrol : (utterances, runs, dims)
            Vectors of the models. With fewer runs than trials have, they are used in turn.
        held_enrol : (training utterances, copies, dims)
            The like of `enrol` for held-out training speakers.
        view : callable, optional
            From trials to the comparison that is scored.
        classes : callable, optional
            From trials to those whose speakers the scorer learns to tell apart.
        same_copy : bool, optional
            Both sides of a comparison come from one run (two utterances of it still have their own voices).

        Returns
        -------
        Attack
        """
        settled, note = scoring.settle(fit_on, classes(self.train_trials))
        scorer = settled.fit(fit_on, classes(self.train_trials))

        def again(comparison: Comparison) -> Doubles:
            return self.scored(scorer, enrol, comparison)

        same, other = [], []
        for seed in (100, 101):  # other divisions than those that chose the shape
            for fit_rows, held in folds(self.train_trials, 3, seed):
                inner, outer = self.train_trials.subset(fit_rows), view(self.train_trials.subset(held))
                fold_scorer = settled.fit(fit_on[fit_rows], classes(inner))
                for one, two in backend.copy_pairs(self.train.shape[1]):
                    model = held_enrol[held, (one if same_copy else two) % held_enrol.shape[1]]
                    table = fold_scorer.compare(self.train[held, one], model, outer)
                    same.append(table[outer.target])
                    other.append(table[outer.nontarget])
        return Attack(again(view(self.trials)), np.concatenate(same), np.concatenate(other), again, note)


class Attacker(ABC):
    """The base of all attackers: what one knows, and its place in the report.

    Add one: a subclass with an `attack`, and an instance in `ATTACKERS`, or `--attacker package.module:NAME`.
    Fusions, gates, figures and tables follow from these traits.

    Attributes
    ----------
    summary : str
        Knowledge of the attacker, in words.
    fused : "all", "encoders" or "none"
        Attacks that count in the fusion of everything: all, those on encoders, or none.
    improves_on : str
        Name of the attacker whose score on held-out training speakers this one should reach; a note in the report says
        where it does not. "" for none.
    undoes : bool
        Attacks copies after the method's parameter was estimated and undone, where a method has one.
    trains : bool
        Attacks the embeddings of an encoder that it makes for every method, and nothing else.
    family : str
        Name of those embeddings.
    uses : tuple of str
        Which of them it uses besides those of disguised speech on trial: "train", of the training speakers' disguised
        speech, and "originals", of all undisguised speech. The others are not made.
    must_recognise : bool
        Its numbers are withheld where it does not recognise undisguised speech.

    Examples
    --------
    >>> class Gullible(Attacker):
    ...     summary = "compares disguised speech by its angle alone"
    ...
    ...     def attack(self, evidence, comparable):
    ...         return evidence.attack(Untrained(), evidence.train, evidence.enrol, evidence.train)
    >>> Gullible().fused
    'all'
    """

    summary: ClassVar[str] = ""
    fused: ClassVar[Literal["all", "encoders", "none"]] = "all"
    improves_on: ClassVar[str] = ""
    undoes: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    family: ClassVar[str] = "network"
    uses: ClassVar[tuple[str, ...]] = ("train", "originals")
    must_recognise: ClassVar[bool] = True

    def encoder(self, method: Method[Any], utterances: Sequence[Utterance], seed: int, cache: Cache) -> Any:
        """Make an encoder for a method. Asked of attackers whose trait `trains` is true.

        Parameters
        ----------
        method : Method
        utterances : sequence of Utterance
            Undisguised speech of the training speakers.
        seed : int
        cache : Cache
            Keeps what is costly, by content.

        Returns
        -------
        callable
            From (samples,) float32 at 16 kHz to an embedding. It travels to other processes.
        """
        raise NotImplementedError

    @abstractmethod
    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        """Attack one feature family of one disguise.

        Parameters
        ----------
        evidence : Evidence
            Vectors of training and trial speakers, undisguised and disguised.
        comparable : bool
            The family is an embedding, whose angles mean something without training.

        Returns
        -------
        Attack
            Best by `Evidence.attack`, which scores the held-out trials that a fusion is trained on.
        """
