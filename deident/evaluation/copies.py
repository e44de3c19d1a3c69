"""Disguised copies of utterances, measured where they are made: a copy never leaves its process.

Who draws what is decided by name: the voice of a copy follows from the seed, what the copy is for, the
utterance (or the speaker, where a method keeps one voice a speaker) and its number."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deident.audio import Audio
from deident.evaluation.trials import Utterance
from deident.secret import Key

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Undisguised:
    """Speech as it is: what every disguise is compared with, and the first gate an attacker must pass."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None) -> Audio:
        return audio


class Measure(Protocol):
    """Something measured of copies: arrays whose first axis is the copies, by name."""

    def __call__(
        self, original: Audio, utterance: Utterance, copies: Sequence[Audio]
    ) -> dict[str, Array]: ...


@dataclass(frozen=True)
class Batch:
    """Copies to make of every utterance.

    purpose : "train", "trial" or "enrol"; keeps their voices apart.   scope : "snippet" or "speaker"."""

    disguise: Any
    purpose: str
    copies: int
    seed: int = 0
    scope: str = "snippet"
    measures: tuple[Measure, ...] = field(default=())


def key_of(seed: int) -> Key:
    """The key of an evaluation: public, because its draws must be repeatable and protect no one."""
    return Key(hashlib.sha256(f"deident evaluation {seed}".encode()).digest())


def make(batch: Batch, utterance: Utterance) -> dict[str, Array]:
    """The measures of one utterance's copies, with the seconds their disguise took."""
    original, key = utterance.load(), key_of(batch.seed)
    whose = utterance.speaker if batch.scope == "speaker" else utterance.name
    voices = [
        batch.disguise.draw(key.rng("voice", batch.purpose, whose, number)) for number in range(batch.copies)
    ]
    started = time.process_time()
    copies = [batch.disguise.apply(original, voice) for voice in voices]
    spent = (time.process_time() - started) / batch.copies
    found: dict[str, Array] = {"seconds": np.full(batch.copies, spent)}
    for measure in batch.measures:
        found.update(measure(original, utterance, copies))
    return found


def measure(
    batch: Batch,
    utterances: Sequence[Utterance],
    executor: Executor | None = None,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Array]:
    """The measures of all utterances' copies: arrays of (utterances, copies, ...)."""
    results: list[dict[str, Array]] = []
    calls: Iterable[dict[str, Array]]
    if executor is None:
        calls = (make(batch, utterance) for utterance in utterances)
    else:
        calls = executor.map(make, [batch] * len(utterances), utterances)
    for result in calls:
        results.append(result)
        tick()
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


class Statistics:
    """`features.statistics`, a family an array."""

    def __call__(self, original: Audio, utterance: Utterance, copies: Sequence[Audio]) -> dict[str, Array]:
        from deident.evaluation.features import statistics

        rows = [statistics(copy.mono) for copy in copies]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class Embedding:
    """An encoder's embeddings, under its name."""

    name: str
    encoder: Any

    def __call__(self, original: Audio, utterance: Utterance, copies: Sequence[Audio]) -> dict[str, Array]:
        snippets = [copy.mono for copy in copies]
        if hasattr(self.encoder, "many"):
            return {self.name: np.asarray(self.encoder.many(snippets))}
        return {self.name: np.stack([np.asarray(self.encoder(snippet)) for snippet in snippets])}
