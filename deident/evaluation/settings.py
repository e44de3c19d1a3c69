"""Settings of an evaluation, and the encoders, recognisers and attackers that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deident.errors import ExtraMissingError, SettingError
from deident.evaluation.attack import Attacker
from deident.evaluation.attackers import ATTACKERS

NO_ENCODER = (
    "no speaker encoder (pip install 'deident[attackers]'): the attackers are weaker than they could be, so every "
    "equal error rate here is only an upper bound on the protection"
)
NO_TRANSCRIPTS = "no transcripts: the recogniser had nothing to be judged by, so word error was not measured"
NO_RECOGNISER = "no recogniser (pip install 'deident[attackers]'): word error was not measured"


@dataclass(frozen=True)
class Settings:
    """Sizes of an evaluation.

    Attributes
    ----------
    seed : int
        Of every draw in it.
    runs : int
        Times the speakers on trial are disguised, each with enrolments of its own.
    train_draws : int
        Disguised copies of every training utterance.
    enrol_draws : int
        Disguised copies of every enrolment utterance that a run averages over.
    bootstrap : int
        Bootstrap samples of an interval.
    most : int
        Utterances kept a speaker.
    spoken : int
        Of these, how many the recognisers get.
    invert : bool
        Attack one-parameter methods by undoing them, too.
    across : bool
        Enrolment shares no recording with the trial, where a speaker has several.
    channels : bool
        Attack the channel of a recording, too.
    """

    seed: int = 0
    runs: int = 2
    train_draws: int = 3
    enrol_draws: int = 2
    bootstrap: int = 300
    most: int = 12
    spoken: int = 2
    invert: bool = True
    across: bool = True
    channels: bool = True

    def __post_init__(self) -> None:
        least = {"runs": 1, "train_draws": 2, "enrol_draws": 1, "bootstrap": 20, "most": 2}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise SettingError(f"expected {name} of at least {bound}; got {getattr(self, name)}")


@dataclass(frozen=True)
class Tools:
    """Encoders, recognisers and attackers of an evaluation, besides statistics.

    Attributes
    ----------
    encoders : mapping of str to callable
        From (samples,) float32 at 16 kHz to an embedding. One with `many` takes a list of them.
    recognisers : mapping of str to callable
        From (samples,) float32 at 16 kHz to text.
    attackers : mapping of str to Attacker
    lacking : tuple of str
        What is not installed, in words.
    """

    encoders: Mapping[str, Any] = field(default_factory=dict)
    recognisers: Mapping[str, Any] = field(default_factory=dict)
    attackers: Mapping[str, Attacker] = field(default_factory=lambda: dict(ATTACKERS))
    lacking: tuple[str, ...] = ()

    @classmethod
    def installed(cls) -> Tools:
        """The encoder and the recogniser of the extra `attackers`, as far as they are there."""
        from deident.evaluation.encoders import Equalised, Resemblyzer
        from deident.evaluation.words import Pocketsphinx

        encoders: dict[str, Any] = {}
        recognisers: dict[str, Any] = {}
        lacking = []
        try:
            encoders = {Resemblyzer.name: Resemblyzer()}
            encoders |= {f"{name}, equalised": Equalised(encoder) for name, encoder in encoders.items()}
        except ExtraMissingError:
            lacking.append(NO_ENCODER)
        try:
            recognisers = {Pocketsphinx.name: Pocketsphinx()}
        except ExtraMissingError:
            lacking.append(NO_RECOGNISER)
        return cls(encoders, recognisers, lacking=tuple(lacking))
