"""Disguised copies of utterances, measured where they are made: a copy never leaves its process.

Who draws what is decided by name: the voice of a copy follows from the seed, what the copy is for, the
utterance (or the speaker, where a method keeps one voice a speaker) and its number."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import Any, Protocol

import numpy as np

from deident.audio import Audio
from deident.disguise.base import Method
from deident.evaluation import features
from deident.evaluation.cache import Arrays, Cache, digest, fingerprint, source_digest
from deident.evaluation.corpus import Utterance
from deident.evaluation.features import Frames, frames_of, statistics
from deident.keys import Key

TOGETHER = (
    3  # utterances a task: with their copies a few dozen windows of an encoder, which halves its overhead
)


def voice_of(utterance: Utterance, scope: str) -> str:
    """The name that decides an utterance's voice: all of one name share it."""
    if scope == "speaker":
        return utterance.speaker
    return utterance.recording or utterance.name if scope == "recording" else utterance.name


@dataclass(frozen=True)
class Undisguised(Method[None]):
    """Speech as it is: what every disguise is compared with, and the first gate an attacker must pass."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        return audio


@dataclass(frozen=True, eq=False)
class Heard:
    """Sound, and the views of it that several measures share."""

    audio: Audio

    @cached_property
    def frames(self) -> Frames:
        return frames_of(self.audio.mono)


class Measure(Protocol):
    """Something measured of copies: arrays whose first axis is the copies, by name."""

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays: ...


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
    copies = []
    for number in range(batch.copies):
        voice = batch.disguise.draw(key.rng("voice", batch.purpose, whose, number))
        noise = key.rng("noise", batch.purpose, utterance.name, number)
        copies.append(batch.disguise.apply(original, voice, noise))
    return copies


def make(batch: Batch, utterances: Sequence[Utterance]) -> list[dict[str, Arrays]]:
    """Each measure of each utterance's copies. Raises what the disguise raises."""
    made: list[list[Heard]] = []
    found: list[dict[str, Arrays]] = []
    for utterance in utterances:
        started = time.process_time()
        made.append([Heard(copy) for copy in disguise(batch, utterance)])
        spent = (time.process_time() - started) / batch.copies
        found.append({"cost": {"seconds": np.full(batch.copies, spent)}})
    for name, measure in batch.measures.items():
        if isinstance(measure, Embedding):
            taken = measure.many(made)
        else:
            taken = [measure(Heard(u.load()), u, copies) for u, copies in zip(utterances, made, strict=True)]
        for row, arrays in zip(found, taken, strict=True):
            row[name] = arrays
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
    missing: list[tuple[Utterance, list[str]]] = []
    for utterance in utterances:
        parts = {measure: store.get(name) for measure, name in names[utterance.name].items()}
        known[utterance.name] = {k: v for part in parts.values() if part is not None for k, v in part.items()}
        wanted = [measure for measure, part in parts.items() if part is None]
        if wanted:
            missing.append((utterance, wanted))
    tasks = list(_tasks(batch, missing))
    batches, groups = [one for one, _ in tasks], [group for _, group in tasks]
    results = map(make, batches, groups) if executor is None else executor.map(make, batches, groups)

    def wait() -> Arrays:
        tick(len(utterances) - len(missing))
        for group, rows in zip(groups, results, strict=True):
            for utterance, row in zip(group, rows, strict=True):
                for measure, arrays in row.items():
                    store.put(names[utterance.name][measure], arrays)
                    known[utterance.name].update(arrays)
            tick(len(group))
        return {
            name: np.stack([known[u.name][name] for u in utterances]) for name in known[utterances[0].name]
        }

    return wait


def _tasks(
    batch: Batch, missing: Sequence[tuple[Utterance, list[str]]]
) -> Iterator[tuple[Batch, list[Utterance]]]:
    """A few utterances of which the same is missing, and what that is."""
    for wanted, group in groupby(missing, key=lambda one: one[1]):
        measures = {name: batch.measures[name] for name in wanted if name != "cost"}
        utterances = iter([utterance for utterance, _ in group])
        while some := list(islice(utterances, TOGETHER)):
            yield replace(batch, measures=measures), some


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
        return source_digest(features.__name__)

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays:
        rows = [statistics(copy.frames) for copy in copies]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class Embedding:
    """An encoder's embeddings, as a family of its name."""

    name: str
    encoder: Any

    @property
    def fingerprint(self) -> str:
        return digest(self.name, fingerprint(self.encoder))

    def __call__(self, original: Heard, utterance: Utterance, copies: Sequence[Heard]) -> Arrays:
        return self.many([copies])[0]

    def many(self, made: Sequence[Sequence[Heard]]) -> list[Arrays]:
        """Of the copies of several utterances: a network is faster on more sound at once."""
        snippets = [copy.audio.mono for copies in made for copy in copies]
        if hasattr(self.encoder, "many"):
            embedded = np.asarray(self.encoder.many(snippets))
        else:
            embedded = np.stack([np.asarray(self.encoder(snippet)) for snippet in snippets])
        ends = np.cumsum([len(copies) for copies in made])
        return [{self.name: part} for part in np.split(embedded, ends[:-1])]
