"""Disguised copies of utterances, measured where they are made: a copy never leaves its process.

Names decide the draws: the voice of a copy follows from the seed, the purpose of the copy, the utterance (or the
speaker, where a method keeps one voice a speaker) and its number.
"""

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
from deident.evaluation.corpus import InMemory, Utterance
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
class Analysed:
    """Audio, and the frames of it that several measures share."""

    audio: Audio

    @cached_property
    def frames(self) -> Frames:
        """Its time-frequency views."""
        return frames_of(self.audio.mono)


class Measure(Protocol):
    """Something measured of copies. A `fingerprint` attribute names it in the cache."""

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
        """Measure the copies of one utterance.

        Returns
        -------
        dict of str to (copies, ...) array
        """
        ...


@dataclass(frozen=True)
class CopyJob:
    """Copies to make of every utterance.

    Attributes
    ----------
    disguise : Method
    purpose : "train", "trial", "enrol" or "words"
        Keeps their voices apart.
    copies : int
    seed : int
    scope : "snippet", "recording" or "speaker"
        How long one voice is kept.
    measures : dict of str to Measure
    """

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


def disguise(job: CopyJob, utterance: Utterance) -> list[Audio]:
    """The copies of one utterance."""
    original, key, whose = utterance.load(), key_of(job.seed), job.voice_of(utterance)
    copies = []
    for number in range(job.copies):
        voice = job.disguise.draw(key.rng("voice", job.purpose, whose, number))
        noise = key.rng("noise", job.purpose, utterance.name, number)
        copies.append(job.disguise.apply(original, voice, noise))
    return copies


def make_each(jobs: Sequence[CopyJob], utterances: Sequence[Utterance]) -> list[list[dict[str, Arrays]]]:
    """`make` for several jobs on the same utterances, which are loaded once."""
    loaded = [replace(u, load=InMemory(u.load())) for u in utterances]
    return [make(job, loaded) for job in jobs]


def make(job: CopyJob, utterances: Sequence[Utterance]) -> list[dict[str, Arrays]]:
    """Each measure of each utterance's copies. Raises what the disguise raises."""
    made: list[list[Analysed]] = []
    found: list[dict[str, Arrays]] = []
    for utterance in utterances:
        started = time.process_time()
        made.append([Analysed(copy) for copy in disguise(job, utterance)])
        spent = (time.process_time() - started) / job.copies
        found.append({"cost": {"seconds": np.full(job.copies, spent)}})
    for name, measure in job.measures.items():
        if isinstance(measure, Embedding):
            taken = measure.many(made)
        else:
            taken = [
                measure(Analysed(u.load()), u, copies) for u, copies in zip(utterances, made, strict=True)
            ]
        for row, arrays in zip(found, taken, strict=True):
            row[name] = arrays
    return found


def gather(
    job: CopyJob,
    utterances: Sequence[Utterance],
    executor: Executor | None = None,
    cache: Cache | None = None,
    tick: Callable[[int], None] = lambda count: None,
) -> Arrays:
    """All measures of all utterances' copies: arrays of (utterances, copies, ...). Made only if not cached.

    tick : called with the number of utterances that are done since the last call.
    """
    return begin(job, utterances, executor, cache, tick)()


def begin(
    job: CopyJob,
    utterances: Sequence[Utterance],
    executor: Executor | None,
    cache: Cache | None,
    tick: Callable[[int], None],
) -> Callable[[], Arrays]:
    """`gather` in two steps: the executor has its work, and what is returned waits for it. Without an executor
    the work is done then.
    """
    wait = begin_each([job], utterances, executor, cache, tick)
    return lambda: wait()[0]


def begin_each(
    jobs: Sequence[CopyJob],
    utterances: Sequence[Utterance],
    executor: Executor | None,
    cache: Cache | None,
    tick: Callable[[int], None],
) -> Callable[[], list[Arrays]]:
    """`begin` for several jobs on the same utterances, each of which is loaded once for all: where loading costs more
    than a job.
    """
    store = cache or Cache(None)
    known: list[dict[str, Arrays]] = [{} for _ in jobs]
    names = [{u.name: _names(job, u) for u in utterances} for job in jobs]
    missing: list[tuple[Utterance, list[list[str]]]] = []
    for utterance in utterances:
        wanted = []
        for found, of_job in zip(known, names, strict=True):
            parts = {measure: store.get(name) for measure, name in of_job[utterance.name].items()}
            found[utterance.name] = {
                k: v for part in parts.values() if part is not None for k, v in part.items()
            }
            wanted.append([measure for measure, part in parts.items() if part is None])
        if any(wanted):
            missing.append((utterance, wanted))
    tasks = list(_tasks(jobs, missing))
    todo, groups = [one for _, one, _ in tasks], [group for _, _, group in tasks]
    results = map(make_each, todo, groups) if executor is None else executor.map(make_each, todo, groups)

    def wait() -> list[Arrays]:
        tick(len(utterances) - len(missing))
        for (numbers, _, group), made in zip(tasks, results, strict=True):
            for number, rows in zip(numbers, made, strict=True):
                for utterance, row in zip(group, rows, strict=True):
                    for measure, arrays in row.items():
                        store.put(names[number][utterance.name][measure], arrays)
                        known[number][utterance.name].update(arrays)
            tick(len(group))
        return [
            {name: np.stack([found[u.name][name] for u in utterances]) for name in found[utterances[0].name]}
            for found in known
        ]

    return wait


def _tasks(
    jobs: Sequence[CopyJob], missing: Sequence[tuple[Utterance, list[list[str]]]]
) -> Iterator[tuple[list[int], list[CopyJob], list[Utterance]]]:
    """Tasks of a few utterances of which the same measures are missing: the numbers of the jobs, these, utterances."""
    for wanted, group in groupby(missing, key=lambda one: one[1]):
        numbers = [number for number, names in enumerate(wanted) if names]
        todo = [
            replace(jobs[k], measures={n: jobs[k].measures[n] for n in wanted[k] if n != "cost"})
            for k in numbers
        ]
        utterances = iter([utterance for utterance, _ in group])
        while some := list(islice(utterances, TOGETHER)):
            yield numbers, todo, some


def _names(job: CopyJob, utterance: Utterance) -> dict[str, str]:
    """The cache's name for every measure of this utterance's copies."""
    made_of = (
        utterance.digest(),
        utterance.transcript,
        job.voice_of(utterance),
        fingerprint(job.disguise),
    )
    how = (job.purpose, job.copies, job.seed, job.scope)
    measures = {"cost": "cost", **{name: fingerprint(measure) for name, measure in job.measures.items()}}
    return {name: digest(made_of, how, name, print_) for name, print_ in measures.items()}


@dataclass(frozen=True)
class Statistics:
    """`features.statistics`, a family an array."""

    @property
    def fingerprint(self) -> str:
        return source_digest(features.__name__)

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
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

    def __call__(self, original: Analysed, utterance: Utterance, copies: Sequence[Analysed]) -> Arrays:
        return self.many([copies])[0]

    def many(self, made: Sequence[Sequence[Analysed]]) -> list[Arrays]:
        """Of the copies of several utterances: a network is faster on more sound at once."""
        snippets = [copy.audio.mono for copies in made for copy in copies]
        if hasattr(self.encoder, "many"):
            embedded = np.asarray(self.encoder.many(snippets))
        else:
            embedded = np.stack([np.asarray(self.encoder(snippet)) for snippet in snippets])
        ends = np.cumsum([len(copies) for copies in made])
        return [{self.name: part} for part in np.split(embedded, ends[:-1])]
