"""Disguised copies of utterances, measured where they are made: a copy never leaves its process.

Who draws what is decided by name: the voice of a copy follows from the seed, what the copy is for, the
utterance (or the speaker, where a method keeps one voice a speaker) and its number."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deident.audio import Audio
from deident.evaluation.cache import Arrays, Cache, digest, fingerprint
from deident.evaluation.corpus import Utterance
from deident.secret import Key

SCOPES = ("snippet", "recording", "speaker")


def voice_of(utterance: Utterance, scope: str) -> str:
    """The name that decides an utterance's voice: all of one name share it."""
    if scope == "speaker":
        return utterance.speaker
    return utterance.recording or utterance.name if scope == "recording" else utterance.name


@dataclass(frozen=True)
class Scoped:
    """A disguise whose voice lasts longer than a snippet."""

    disguise: Any
    scope: str

    @property
    def fingerprint(self) -> str:
        return digest(self.scope, fingerprint(self.disguise))

    def draw(self, rng: np.random.Generator) -> Any:
        return self.disguise.draw(rng)

    def apply(self, audio: Audio, voice: Any) -> Audio:
        disguised: Audio = self.disguise.apply(audio, voice)
        return disguised


@dataclass(frozen=True)
class Undisguised:
    """Speech as it is: what every disguise is compared with, and the first gate an attacker must pass."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None) -> Audio:
        return audio


class Measure(Protocol):
    """Something measured of copies: arrays whose first axis is the copies, by name."""

    def __call__(self, original: Audio, utterance: Utterance, copies: Sequence[Audio]) -> Arrays: ...


@dataclass(frozen=True)
class Batch:
    """Copies to make of every utterance.

    purpose : "train", "trial" or "enrol"; keeps their voices apart.   scope : what keeps one voice.
    measures : by name."""

    disguise: Any
    purpose: str
    copies: int
    seed: int
    scope: str
    measures: dict[str, Measure]

    def voice_of(self, utterance: Utterance) -> str:
        return voice_of(utterance, self.scope)


def key_of(seed: int) -> Key:
    """The key of an evaluation: public, because its draws must be repeatable and protect no one."""
    return Key(hashlib.sha256(f"deident evaluation {seed}".encode()).digest())


def disguise(batch: Batch, utterance: Utterance) -> list[Audio]:
    """The copies of one utterance."""
    original, key, whose = utterance.load(), key_of(batch.seed), batch.voice_of(utterance)
    return [
        batch.disguise.apply(original, batch.disguise.draw(key.rng("voice", batch.purpose, whose, number)))
        for number in range(batch.copies)
    ]


def make(batch: Batch, utterance: Utterance) -> dict[str, Arrays]:
    """Each measure of one utterance's copies. Raises what the disguise raises."""
    started = time.process_time()
    copies = disguise(batch, utterance)
    spent = (time.process_time() - started) / batch.copies
    original = utterance.load()
    found: dict[str, Arrays] = {"cost": {"seconds": np.full(batch.copies, spent)}}
    for name, take in batch.measures.items():
        found[name] = take(original, utterance, copies)
    return found


def gather(
    batch: Batch,
    utterances: Sequence[Utterance],
    executor: Executor | None = None,
    cache: Cache | None = None,
    tick: Callable[[int], None] = lambda count: None,
) -> Arrays:
    """All measures of all utterances' copies: arrays of (utterances, copies, ...). Made only if not cached.

    tick : called with the number of utterances that are done since the last call."""
    return begin(batch, utterances, executor, cache, tick)()


def begin(
    batch: Batch,
    utterances: Sequence[Utterance],
    executor: Executor | None,
    cache: Cache | None,
    tick: Callable[[int], None],
) -> Callable[[], Arrays]:
    """`gather` in two steps: the executor has its work, and what is returned waits for it. Without an executor
    the work is done then."""
    store = cache or Cache(None)
    names = {utterance.name: _names(batch, utterance) for utterance in utterances}
    known: dict[str, Arrays] = {}
    missing: list[tuple[Utterance, Batch]] = []
    for utterance in utterances:
        parts = {measure: store.get(name) for measure, name in names[utterance.name].items()}
        known[utterance.name] = {k: v for part in parts.values() if part is not None for k, v in part.items()}
        wanted = {m: batch.measures[m] for m, part in parts.items() if part is None and m != "cost"}
        if wanted or parts["cost"] is None:
            missing.append((utterance, _with(batch, wanted)))
    batches, rest = [part for _, part in missing], [utterance for utterance, _ in missing]
    results = map(make, batches, rest) if executor is None else executor.map(make, batches, rest)

    def wait() -> Arrays:
        tick(len(utterances) - len(missing))
        for utterance, made in zip(rest, results, strict=True):
            for measure, arrays in made.items():
                store.put(names[utterance.name][measure], arrays)
                known[utterance.name].update(arrays)
            tick(1)
        return {
            name: np.stack([known[u.name][name] for u in utterances]) for name in known[utterances[0].name]
        }

    return wait


def _with(batch: Batch, measures: dict[str, Measure]) -> Batch:
    return Batch(batch.disguise, batch.purpose, batch.copies, batch.seed, batch.scope, measures)


def _names(batch: Batch, utterance: Utterance) -> dict[str, str]:
    """The cache's name for every measure of this utterance's copies."""
    made_of = (
        utterance.digest(),
        utterance.transcript,
        batch.voice_of(utterance),
        fingerprint(batch.disguise),
    )
    how = (batch.purpose, batch.copies, batch.seed, batch.scope)
    measures = {"cost": "cost", **{name: fingerprint(measure) for name, measure in batch.measures.items()}}
    return {name: digest(made_of, how, name, print_) for name, print_ in measures.items()}


@dataclass(frozen=True)
class Statistics:
    """`features.statistics`, a family an array."""

    @property
    def fingerprint(self) -> str:
        from deident.evaluation import features
        from deident.evaluation.cache import source_digest

        return source_digest(features.__name__)

    def __call__(self, original: Audio, utterance: Utterance, copies: Sequence[Audio]) -> Arrays:
        from deident.evaluation.features import statistics

        rows = [statistics(copy.mono) for copy in copies]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class Embedding:
    """An encoder's embeddings, as a family of its name."""

    name: str
    encoder: Any

    @property
    def fingerprint(self) -> str:
        return digest(self.name, fingerprint(self.encoder))

    def __call__(self, original: Audio, utterance: Utterance, copies: Sequence[Audio]) -> Arrays:
        snippets = [copy.mono for copy in copies]
        if hasattr(self.encoder, "many"):
            return {self.name: np.asarray(self.encoder.many(snippets))}
        return {self.name: np.stack([np.asarray(self.encoder(snippet)) for snippet in snippets])}
