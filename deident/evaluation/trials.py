"""Speakers, models and trials: which utterances are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deident.audio import Bools, Doubles, Ints
from deident.evaluation.corpus import Utterance


class Comparison(Protocol):
    """Trials, and models averaged from enrolment utterances.

    Attributes
    ----------
    strata : tuple of str
        Of each utterance.
    members : (utterances, utterances) float64
        Weights, a row a model.
    sizes : (utterances,) int
        Utterances in each model.
    probes : (utterances, utterances) float64
        Weights, a row a trial.
    pooled : int
        Utterances averaged in a trial.
    target, nontarget : bool
        The entries of a table of scores that are trials.
    """

    @property
    def strata(self) -> tuple[str, ...]: ...
    @property
    def members(self) -> Doubles: ...
    @property
    def sizes(self) -> Ints: ...
    @property
    def probes(self) -> Doubles: ...
    @property
    def pooled(self) -> int: ...
    @property
    def target(self) -> Bools: ...
    @property
    def nontarget(self) -> Bools: ...

    def table(self, scores: Doubles) -> Doubles:
        """From (utterances, utterances as models) to the scores of trials."""
        ...


@dataclass(frozen=True, eq=False)
class Trials:
    """Every utterance against a model of every speaker.

    The model of a speaker is the mean of enrolment utterances, never the utterance on trial and, where the speaker has
    several recordings, none of its recording. Nontarget models leave as much out, so that no model is better for being
    of another speaker.

    Attributes
    ----------
    speakers, recordings : (utterances,) int
        Numbers from 0.
    strata : tuple of str
        Sex, group and corpus of each utterance: speakers of one stratum are compared with each other.
    tried, enrolled : (utterances,) bool
        The utterances that are tried, and those that may enter a model.
    across : bool
        Enrolment shares no recording with the trial, where the speaker has several.
    most : int
        Utterances that a model averages at most.
    pooled : int
        Utterances that a trial averages.
    """

    speakers: Ints
    recordings: Ints
    strata: tuple[str, ...]
    tried: Bools
    enrolled: Bools
    across: bool = True
    most: int = 1_000_000
    pooled: int = 1

    @classmethod
    def of(cls, utterances: Sequence[Utterance], across: bool = True) -> Trials:
        apart = any(u.role == "enrol" for u in utterances)
        tried = np.array([u.role != "enrol" for u in utterances])
        enrolled = ~tried if apart else np.ones(len(utterances), np.bool_)
        speakers = _number([u.speaker for u in utterances])
        recordings = _number([f"{u.speaker} {u.recording or u.name}" for u in utterances])
        return cls(speakers, recordings, tuple(u.stratum for u in utterances), tried, enrolled, across)

    def subset(self, which: npt.ArrayLike) -> Trials:
        """Keep some utterances, and number their speakers and recordings anew."""
        index = np.asarray(which)
        return replace(
            self,
            speakers=_number(self.speakers[index]),
            recordings=_number(self.recordings[index]),
            strata=tuple(np.asarray(self.strata)[index].tolist()),
            tried=self.tried[index],
            enrolled=self.enrolled[index],
        )

    def grown(self, enrolled: int, pooled: int = 1) -> Trials:
        """The same trials for an attacker with this many snippets a model and a trial."""
        return replace(self, most=enrolled, pooled=pooled)

    def reaches(self, enrolled: int, pooled: int = 1) -> bool:
        """Tell if more than four speakers in five have so many snippets for a model and, others, for a trial."""
        view = self.grown(enrolled, pooled)
        full = ((view.members > 0.0).sum(1) == enrolled) & ((view.probes > 0.0).sum(1) == pooled)
        counts = [full[self.target[:, s]].all() for s in range(self.count) if self.target[:, s].any()]
        return bool(counts) and bool(np.mean(counts) > 0.8)

    def by_recording(self) -> Trials:
        """The same utterances for whoever learns recordings: each is a speaker of its own."""
        return replace(self, speakers=self.recordings)

    def blind(self) -> Trials:
        """The same for an attacker who is told no sex or group: everyone else is a nontarget."""
        return replace(self, strata=("",) * len(self.strata))

    @cached_property
    def count(self) -> int:
        return int(self.speakers.max()) + 1

    @cached_property
    def order(self) -> Ints:
        """(utterances,) the number of each among those of its speaker."""
        order = np.zeros(len(self.speakers), np.intp)
        for speaker in range(self.count):
            rows = np.flatnonzero(self.speakers == speaker)
            order[rows] = np.arange(len(rows))
        return order

    @cached_property
    def _after(self) -> Ints:
        """(utterances, utterances) how many places, cyclically, one is after the other in its speaker's."""
        counts = np.bincount(self.speakers)[self.speakers]
        return np.asarray((self.order[None] - self.order[:, None]) % counts[:, None])

    @cached_property
    def probes(self) -> Doubles:
        """(utterances, utterances) weights: row u averages u and the next tried of its speaker, `pooled` in all."""
        itself = np.eye(len(self.speakers))
        return itself if self.pooled == 1 else self._mean_of(self.tried[None] | (itself > 0.0), self.pooled)

    @cached_property
    def members(self) -> Doubles:
        """(utterances, utterances) weights: row u averages enrolled ones of u's speaker, none of its trial."""
        return self._mean_of(self.enrolled[None] & ~self._shared, self.most)

    @cached_property
    def _shared(self) -> Bools:
        """(utterances, utterances) True where the second is in the first's trial, or of a recording that is in it."""
        shared = (self.probes > 0.0) & self.tried[None]
        if not self.across:
            return np.asarray(shared)
        which = np.eye(int(self.recordings.max()) + 1)[self.recordings]
        among = (which.T @ (np.arange(self.count) == self.speakers[:, None]) > 0.0).sum(
            0
        )  # recordings a speaker has
        several = (among > 1)[self.speakers]
        return np.asarray(shared | ((shared @ which @ which.T > 0.0) & several[:, None]))

    def _mean_of(self, allowed: Bools, most: int) -> Doubles:
        """(utterances, utterances) weights: row u averages the first `most` allowed of its speaker, from u on."""
        own = (self.speakers[:, None] == self.speakers[None]) & allowed
        if own.sum(1).max(initial=0) > most:
            own &= np.where(own, self._after, len(self.speakers)).argsort(1).argsort(1) < most
        return np.asarray(own / np.maximum(own.sum(1, keepdims=True), 1), np.float64)

    @cached_property
    def sizes(self) -> Ints:
        """(utterances,) how many utterances are averaged in each row of `members`."""
        return np.asarray(np.maximum((self.members > 0).sum(1), 1), np.intp)

    @cached_property
    def model_of(self) -> Ints:
        """(utterances, speakers): the row of `members` that trial u uses for speaker s."""
        own = [np.flatnonzero(self.speakers == s) for s in range(self.count)]
        table = np.stack([rows[self.order % len(rows)] for rows in own], axis=1)
        table[np.arange(len(self.speakers)), self.speakers] = np.arange(len(self.speakers))
        return np.asarray(table)

    @cached_property
    def own(self) -> Bools:
        """(utterances, speakers) True at the utterance's own speaker."""
        return np.asarray(self.speakers[:, None] == np.arange(self.count)[None])

    @cached_property
    def modelled(self) -> Bools:
        """(utterances, speakers) True where there is a model: somebody on trial may have nothing enrolled."""
        return np.asarray((self.members.sum(1) > 0.0)[self.model_of])

    @cached_property
    def target(self) -> Bools:
        """(utterances, speakers) True where the model is the speaker's own."""
        return np.asarray(self.own & self.tried[:, None] & self.modelled)

    @cached_property
    def speaker_strata(self) -> tuple[str, ...]:
        return tuple(self.strata[int(np.flatnonzero(self.speakers == s)[0])] for s in range(self.count))

    @cached_property
    def nontarget(self) -> Bools:
        """(utterances, speakers) True for other speakers of the same stratum."""
        same = np.asarray(self.strata)[:, None] == np.asarray(self.speaker_strata)[None]
        return np.asarray(~self.own & self.tried[:, None] & same & self.modelled)

    def table(self, scores: Doubles) -> Doubles:
        """(utterances, utterances as models) to (utterances, speakers): the score of each trial."""
        return np.take_along_axis(scores, self.model_of, axis=1)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every utterance against every other, to tell whether two were cut from one recording.

    The other recordings are of the same stratum; where a speaker has several, they count as different.
    """

    trials: Trials

    @property
    def strata(self) -> tuple[str, ...]:
        return self.trials.strata

    @property
    def pooled(self) -> int:
        return 1

    @cached_property
    def members(self) -> Doubles:
        return np.eye(len(self.trials.speakers))

    @property
    def probes(self) -> Doubles:
        return self.members

    @cached_property
    def sizes(self) -> Ints:
        return np.ones(len(self.trials.speakers), np.intp)

    @cached_property
    def _together(self) -> Bools:
        """(utterances, utterances): both were cut from one recording."""
        return np.asarray(self.trials.recordings[:, None] == self.trials.recordings[None])

    @cached_property
    def target(self) -> Bools:
        return self._together & ~np.eye(len(self.trials.speakers), dtype=np.bool_)

    @cached_property
    def nontarget(self) -> Bools:
        strata = np.asarray(self.strata)
        return np.asarray(~self._together & (strata[:, None] == strata[None]))

    def table(self, scores: Doubles) -> Doubles:
        return scores


def _number(names: npt.ArrayLike) -> Ints:
    """Number names from 0."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.intp)


def folds(trials: Trials, count: int, seed: int) -> list[tuple[Ints, Ints]]:
    """Speaker-disjoint (fit, held out) utterance indices, each stratum spread evenly."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(trials.count, np.intp)
    strata = np.asarray(trials.speaker_strata)
    for stratum in np.unique(strata):
        names = rng.permutation(np.flatnonzero(strata == stratum))
        fold[names] = (np.arange(len(names)) + int(rng.integers(count))) % count
    of_utterance = fold[trials.speakers]
    return [
        (np.flatnonzero(of_utterance != k).astype(np.intp), np.flatnonzero(of_utterance == k).astype(np.intp))
        for k in range(count)
        if (of_utterance == k).any()
    ]
