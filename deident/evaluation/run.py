"""An evaluation from originals to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache as memoised
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np

from deident.disguise.base import Scope, as_method
from deident.errors import DeidentError, SettingError, debug_traceback
from deident.evaluation.cache import Cache, fingerprint
from deident.evaluation.channels import CHANNELS, ChannelResult, share_of, tell_channels
from deident.evaluation.copies import (
    CopyJob,
    Embedding,
    Measure,
    Statistics,
    Undisguised,
    begin,
    begin_each,
    disguise,
)
from deident.evaluation.corpus import Corpus, InMemory, Utterance, prepare
from deident.evaluation.gates import UNDISGUISED, check
from deident.evaluation.intervals import draw_weights
from deident.evaluation.inversion import undo
from deident.evaluation.judge import NETWORK, Case, Material, judge
from deident.evaluation.report import Report
from deident.evaluation.settings import NO_TRANSCRIPTS, Settings, Tools
from deident.evaluation.trials import Trials
from deident.evaluation.utility import Melody, WordShape, training_use
from deident.evaluation.verdict import Verdict
from deident.evaluation.words import Recognition
from deident.process import worker_environment

Tick = Callable[[str, int, int], None]
Waiting = Callable[[], Material]


@contextmanager
def workers(jobs: int) -> Iterator[Executor | None]:
    """Processes with one thread each; none for a single job. Spawned, so nothing is shared by accident."""
    if jobs <= 1:
        yield None
        return
    with worker_environment():
        executor = ProcessPoolExecutor(jobs, get_context("spawn"))
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)  # after an error or an interrupt nobody waits for the rest


def evaluate(
    originals: Corpus,
    disguises: Mapping[str, Any],
    *,
    settings: Settings | None = None,
    tools: Tools | None = None,
    words: Sequence[Utterance] = (),
    cache: Cache | None = None,
    jobs: int = 1,
    tick: Tick = lambda stage, done, of: None,
) -> Report:
    """Attack disguises and measure what they protect and what they cost.

    Parameters
    ----------
    originals : Corpus
        Undisguised speech. Speakers without a role are divided into training and trial speakers.
    disguises : mapping of str to Disguise
        By the name the report shows. A `scope` of "speaker" keeps one voice a speaker.
    settings : Settings, optional
    tools : Tools, optional
        Those that are installed, when not given.
    words : sequence of Utterance, optional
        Single spoken words of several speakers, to train and test a small recogniser on.
    cache : Cache, optional
        Keeps copies' measures, so that one method more costs that method.
    jobs : int, optional
        Processes.
    tick : callable, optional
        Called with (stage, done, of) as work proceeds.

    Returns
    -------
    Report

    Raises
    ------
    SettingError
        When the corpus is too small for any trial.
    """
    how, have, store = settings or Settings(), tools or Tools.installed(), cache or Cache(None)
    tick("reading originals", 0, len(originals.utterances))
    corpus = prepare(
        originals, how.most, how.spoken, tick=_counter(tick, "reading originals", len(originals.utterances))
    )
    with workers(jobs) as executor, TemporaryDirectory(prefix="deident-") as scratch:
        weights = store if store.folder else Cache(Path(scratch))
        run = _Run(corpus, how, have, store, weights, executor, tick)
        methods = {name: as_method(disguise) for name, disguise in disguises.items()}
        attacked = run.begin_attacks({UNDISGUISED: Undisguised(), **methods})
        # Handed out after the attacks and waited for after the gates: so no worker is idle at the end.
        trained = (
            run.begin_training(tuple(replace(u, load=InMemory(u.load())) for u in words)) if words else dict
        )
        channels = run.begin_channels() if how.channels else dict
        verdicts = attacked()
        gates = check(verdicts, run.cases[UNDISGUISED], corpus.synthetic)
        training = trained()
        told = channels()
    for name, use in training.items():
        verdicts[name] = replace(verdicts[name], utility=replace(verdicts[name].utility, training=use))
    for name, result in told.items():
        verdicts[name] = replace(verdicts[name], channels=result)
    lacking = have.lacking
    if have.recognisers and not any(u.transcript for u in corpus.tests):
        lacking += (NO_TRANSCRIPTS,)
    return Report.of(
        corpus, asdict(how), run.methods, verdicts, gates, lacking, run.recovered, run.pictures(),
        run.cases[UNDISGUISED].trials,
    )  # fmt: skip


def _counter(tick: Tick, stage: str, of: int) -> Callable[[int], None]:
    """Return a function that adds to a stage's progress."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        tick(stage, done, of)

    return count


@dataclass(eq=False)
class _Run:
    """The work of one evaluation, method by method; verdicts are made while the next one is disguised."""

    corpus: Corpus
    how: Settings
    tools: Tools
    store: Cache
    weights: Cache
    executor: Executor | None
    tick: Tick
    methods: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    recovered: dict[str, float] = field(default_factory=dict)
    # By method, and attacker whose training failed.
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    # Undisguised, by the fingerprint of their encoder, and whether the training speech is among them.
    originals: dict[tuple[str, bool], Waiting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        encoders, recognisers = self.tools.encoders.items(), self.tools.recognisers.items()
        self.features: dict[str, Measure] = {"statistics": Statistics()}
        self.features |= {name: Embedding(name, encoder) for name, encoder in encoders}
        self.costs: dict[str, Measure] = {"melody": Melody()}
        self.costs |= {f"words by {name}": Recognition(name, one) for name, one in recognisers}
        self.seconds = np.array([u.load().seconds for u in self.corpus.tests])

    def begin_attacks(self, methods: Mapping[str, Any]) -> Callable[[], dict[str, Verdict]]:
        """Have copies made, wait for them, and have them attacked; what is returned waits for the verdicts."""
        self.methods = dict(methods)
        # All work is handed out before any is waited for: no worker idles while a method's last copies are made.
        made = {
            name: self.begin(name, method, self.features, self.costs) for name, method in self.methods.items()
        }
        training = {name: self.begin_networks(name, method) for name, method in self.methods.items()}
        found: dict[str, tuple[Material, Waiting | None]] = {}
        for name, method in self.methods.items():
            material = made.pop(name)()
            found[name] = material, self.begin_undoing(name, method, material)
        embedded = {name: self.begin_embedding(name, networks) for name, networks in training.items()}
        pending: dict[str, Future[Verdict] | Verdict] = {}
        for name, (material, undone) in found.items():
            case = self.cases[name] = self.case(name, material, undone and undone(), embedded.pop(name)())
            pending[name] = judge(case) if self.executor is None else self.executor.submit(judge, case)
        self.tick("attacking", 0, len(pending))
        counted = _counter(self.tick, "attacking", len(pending))

        def wait() -> dict[str, Verdict]:
            verdicts = {}
            for name, verdict in pending.items():
                verdicts[name] = verdict.result() if isinstance(verdict, Future) else verdict
                counted(1)
            return verdicts

        return wait

    def case(self, name: str, material: Material, inverted: Material | None, own: Mapping[str, Any]) -> Case:
        """Collect all that judging a method needs."""
        original = self.cases[UNDISGUISED].original if self.cases else material
        return Case(
            Trials.of(self.corpus.train), Trials.of(self.corpus.tests, self.how.across), original, material, inverted,
            tuple(self.tools.encoders), self.seconds, self.how.seed, self.how.bootstrap, self.tools.attackers,
            tuple(self.tools.recognisers), tuple(u.labels for u in self.corpus.tests),
            tuple(u.transcript for u in self.corpus.tests), own, self.failed.get(name, {}), self.properties(),
        )  # fmt: skip

    def properties(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Sex, group and corpus of the training and of the trial utterances."""
        train, tests = self.corpus.train, self.corpus.tests
        return {
            name: (tuple(getattr(u, name) for u in train), tuple(getattr(u, name) for u in tests))
            for name in ("sex", "group", "corpus")
        }

    def begin(
        self,
        name: str,
        method: Any,
        features: Mapping[str, Measure],
        costs: Mapping[str, Measure],
        train_draws: int | None = None,
    ) -> Waiting:
        """Have copies made; what is returned waits for them. No copies of training speech are none of its measures."""
        plain = isinstance(method, Undisguised)
        if method.scope not in get_args(Scope):
            raise SettingError(f"expected the scope of a disguise to be one of {', '.join(get_args(Scope))}")
        draws = self.how.train_draws if train_draws is None else train_draws
        copies = {"train": draws, "trial": self.how.runs, "enrol": self.how.runs * self.how.enrol_draws}
        if plain:
            copies = {"train": min(draws, 1), "trial": 1}  # undisguised copies are all the same
        copies = {purpose: count for purpose, count in copies.items() if count}
        total = sum(len(self.corpus.train if p == "train" else self.corpus.tests) for p in copies)
        counter = _counter(self.tick, name, total)
        waiting = {}
        for purpose, count in copies.items():
            measures = {**features, **(costs if purpose == "trial" else {})}
            job = CopyJob(method, purpose, count, self.how.seed, method.scope, measures)
            utterances = self.corpus.train if purpose == "train" else self.corpus.tests
            waiting[purpose] = begin(job, utterances, self.executor, self.store, counter)

        def wait() -> Material:
            found = {purpose: made() for purpose, made in waiting.items()}
            return Material(found.get("train", {}), found["trial"], found.get("enrol", found["trial"]))

        return wait

    def begin_networks(self, name: str, method: Any) -> dict[str, Callable[[], Any]]:
        """Have attackers that train an encoder for a method do so; the values wait for the encoders."""
        found: dict[str, Callable[[], Any]] = {}
        for attacker, one in self.tools.attackers.items():
            if one.trains:
                self.tick(f"{name}, training {attacker}", 0, 1)
                train = partial(one.encoder, method, self.corpus.train, self.how.seed, self.weights)
                found[attacker] = self.executor.submit(train).result if self.executor else train
        return found

    def begin_embedding(
        self, name: str, networks: Mapping[str, Callable[[], Any]]
    ) -> Callable[[], dict[str, Any]]:
        """Have the copies of a method, and the originals, embedded by networks that were trained for it."""
        waiting: dict[str, tuple[Waiting | None, Waiting | None]] = {}
        for attacker, made in networks.items():
            try:
                encoder = made()
            except DeidentError:  # says what is asked for
                raise
            except Exception as error:
                debug_traceback()
                self.failed.setdefault(name, {})[attacker] = type(error).__name__
                continue
            features: dict[str, Measure] = {NETWORK: Embedding(NETWORK, encoder)}
            stage, method = f"{name}, {attacker}", self.methods[name]
            plain, uses = isinstance(method, Undisguised), self.tools.attackers[attacker].uses
            # One copy of the training speech: no back end learns from what a network was trained on.
            draws = 1 if "train" in uses else 0
            disguised = None if plain else self.begin(stage, method, features, {}, draws)
            embedder = fingerprint(encoder), bool(uses)
            if (plain or "originals" in uses) and embedder not in self.originals:
                # An encoder that is the same for all methods embeds them once.
                self.originals[embedder] = memoised(
                    self.begin(stage, Undisguised(), features, {}, 1 if uses else 0)
                )
            waiting[attacker] = self.originals.get(embedder), disguised

        def wait() -> dict[str, Any]:
            found = {}
            for attacker, (original, disguised) in waiting.items():
                plain = original() if original else Material({}, {}, {})
                found[attacker] = plain, disguised() if disguised else plain
            return found

        return wait

    def begin_undoing(self, name: str, method: Any, material: Material) -> Waiting | None:
        """The same copies after the method's parameter was estimated and undone; None where that is no attack."""
        inverts = self.how.invert and any(attacker.undoes for attacker in self.tools.attackers.values())
        if not inverts or isinstance(method, Undisguised):
            return None
        undone = undo(method, self.corpus.train, material.train, self.how.seed)
        if undone is None:
            return None
        self.recovered[name] = undone.recovery(self.corpus.tests, material.trial, self.how.seed)
        return self.begin(f"{name}, undone", undone, self.features, {})

    def begin_training(self, words: Sequence[Utterance]) -> Callable[[], dict[str, dict[str, float]]]:
        """The use of single words as training material, by method, once it is waited for."""
        made = {}
        for name, method in self.methods.items():
            job = CopyJob(method, "words", 1, self.how.seed, method.scope, {"word": WordShape()})
            counter = _counter(self.tick, f"{name}, words", len(words))
            made[name] = begin(job, words, self.executor, self.store, counter)

        def wait() -> dict[str, dict[str, float]]:
            shapes = {name: waiting()["word"][:, 0] for name, waiting in made.items()}
            plain = shapes[UNDISGUISED]
            return {name: asdict(training_use(words, plain, hidden)) for name, hidden in shapes.items()}

        return wait

    def begin_channels(self) -> Callable[[], dict[str, ChannelResult]]:
        """Have each method's copies of speech through every channel made; what is returned tells the channels."""
        sides = {"train": self.corpus.train, "trial": self.corpus.tests}
        numbers = {name: k for k, name in enumerate(dict.fromkeys(u.speaker for u in self.corpus.tests))}
        seed = self.how.seed
        measures: dict[str, Measure] = {"statistics": Statistics()}
        shares = {
            (side, channel): share_of(sides[side], channel, seed) for side in sides for channel in CHANNELS
        }
        counter = _counter(self.tick, "channels", sum(map(len, shares.values())))
        made = {
            (side, channel): begin_each(
                [
                    CopyJob(method, f"channel {side}", 1, seed, method.scope, measures)
                    for method in self.methods.values()
                ],
                share, self.executor, self.store, counter,
            )
            for (side, channel), share in shares.items()
        }  # fmt: skip

        def tell(found: Mapping[tuple[str, str], Any]) -> ChannelResult:
            train, tests = ({channel: found[side, channel] for channel in CHANNELS} for side in sides)
            speakers = {
                c: np.array([numbers[u.speaker] for u in shares["trial", c]], np.intp) for c in CHANNELS
            }
            return tell_channels(
                train, tests, speakers, draw_weights(len(numbers), self.how.bootstrap, self.how.seed)
            )

        def wait() -> dict[str, ChannelResult]:
            found = {key: waiting() for key, waiting in made.items()}
            return {
                name: tell({key: of_methods[k] for key, of_methods in found.items()})
                for k, name in enumerate(self.methods)
            }

        return wait

    def pictures(self) -> dict[str, Any]:
        """The samples of one snippet of a speaker on trial, under every method."""
        lengths = np.abs(self.seconds - 3.0)
        utterance = self.corpus.tests[int(np.argmin(lengths))]
        return {
            name: disguise(CopyJob(method, "trial", 1, self.how.seed, "snippet", {}), utterance)[0].mono
            for name, method in self.methods.items()
        }
