"""The numbers that an evaluation finds of one method. Rates are 0 to 1; intervals are 95 % over speakers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deident.evaluation.channels import ChannelResult
from deident.evaluation.effort import Effort
from deident.evaluation.identification import Identification
from deident.evaluation.intervals import Interval
from deident.evaluation.traits import TraitResult


@dataclass(frozen=True)
class AttackResult:
    """One attack in numbers.

    Attributes
    ----------
    eer, low, high : float
        Equal error rate, and its interval; NaN bounds where none was asked for.
    by_run : list of float
        Equal error rates of each run.
    by_group : dict of str to float
        Equal error rates of each sex, corpus and group of speakers.
    held_out_eer : float
        Of training speakers that the attacker's back end never saw; NaN where it has seen all.
    note : str
        The scoring in words.

    The measures between them are described in `metrics`.
    """

    eer: float
    low: float
    high: float
    by_run: list[float]
    by_group: dict[str, float]
    cllr: float
    min_cllr: float
    disclosure: float
    accept_at_1_percent: float
    accept_at_1_permille: float
    held_out_eer: float
    note: str = ""


@dataclass(frozen=True)
class WordUse:
    """Words that one recogniser gets wrong, as shares of the words spoken; of a snippet, at most all of its words.

    Attributes
    ----------
    words : int
    error : Interval
        Of the disguised speech against the transcripts.
    added : Interval
        That minus the error of the same undisguised utterances, paired.
    own : Interval
        Of the disguised speech against the recogniser's text of the undisguised, where that is not bounded.
    bounded : int
        Snippets with more errors than words, which count as all words wrong.
    by_group : dict of str to float
        What is added for each sex, corpus and group of speakers.
    """

    words: int
    error: Interval
    added: Interval
    own: Interval
    bounded: int
    by_group: dict[str, float]


@dataclass(frozen=True)
class Utility:
    """The use that remains of the speech. None, or no entry, where it was not measured.

    Attributes
    ----------
    words : dict of str to WordUse
        By recogniser.
    f0_correlation : float or None
    duration_ratio : tuple of float
        5th, 50th and 95th percentile.
    speed : float or None
        Times real time on one core.
    training : dict of str to float, or None
        Accuracy of a small word classifier, by the speech that it was trained and tested on.
    """

    words: dict[str, WordUse]
    f0_correlation: float | None
    duration_ratio: tuple[float, float, float]
    speed: float | None
    training: dict[str, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """Everything known of one method.

    Attributes
    ----------
    attacks : dict of str to AttackResult
        By "attacker/family".
    strongest : str
        Name of the attack with the least equal error rate.
    same_recording : AttackResult or None
    same_recording_families : dict of str to float
    identification : Identification
    exposure : list of float
        Share of others that each speaker on trial is told from, by the strongest attack; 0.5 is chance.
    growth : dict
        Equal error rate of the strongest attack by snippets: "enrolled" with one on trial, "both" with as many on
        either side.
    effort : Effort
        Equal error rate of the semi-informed attack by training speakers and draws.
    groups : dict of str to Interval
        Equal error rate of the strongest attack for each sex, corpus and group of speakers.
    traits : dict of str to TraitResult
        Sex, group and corpus told from disguised snippets.
    utility : Utility
    channels : ChannelResult or None
        The channel that a snippet came through, told by an attacker.
    scores : dict of str to list of float
        Of the strongest attack, "target" and "nontarget".
    held_areas : dict of str to float
        Area under the ROC of each attack on held-out training speakers.
    tables : dict of str to (runs, utterances, speakers) float32
        Scores of every attack.
    failed : dict of str to str
        Attackers that raised an error in place of attacking, and its kind.
    """

    attacks: dict[str, AttackResult]
    strongest: str
    same_recording: AttackResult | None
    same_recording_families: dict[str, float]
    identification: Identification
    exposure: list[float]
    growth: dict[str, dict[int, float]]
    effort: Effort
    groups: dict[str, Interval]
    traits: dict[str, TraitResult]
    utility: Utility
    channels: ChannelResult | None = None
    scores: dict[str, list[float]] = field(repr=False, default_factory=dict)
    held_areas: dict[str, float] = field(default_factory=dict)
    tables: dict[str, npt.NDArray[np.float32]] = field(repr=False, default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def headline(self) -> AttackResult:
        """The strongest attack."""
        return self.attacks[self.strongest]
