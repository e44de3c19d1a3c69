"""The attacker that compares words and their timing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.pitch_shift import PitchShift
from deident.disguise.psola import Psola
from deident.evaluation.attack import Attacker
from deident.evaluation.attackers import ATTACKERS
from deident.evaluation.cache import Cache
from deident.evaluation.content import BUCKETS, TIMINGS, Content, Reader, TimedWord, timing_of
from deident.evaluation.copies import Undisguised
from deident.evaluation.corpus import Corpus, InMemory, Utterance
from deident.evaluation.judge import NETWORK
from deident.evaluation.run import _Run, evaluate
from deident.evaluation.settings import Settings, Tools
from tests.contracts import ATTACKER_CONTRACTS

WORDS = (
    "the", "boat", "came", "over", "a", "wide", "river", "while", "people", "waited", "on", "shore", "for", "bread",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A recogniser that reads what was written into the samples: the speaker's pace, and a seed of words."""

    def timed(self, samples: np.ndarray) -> list[TimedWord]:
        pace, seed = float(samples[-2]), round(1e4 * float(samples[-1]))
        rng, at, found = np.random.default_rng(seed), 0.1, []
        for word in rng.permutation(WORDS)[:8]:
            length = pace * (0.08 + 0.05 * len(word)) * float(np.exp(0.1 * rng.normal()))
            found.append((str(word), at, at + length))
            at += length + (0.2 * pace if rng.random() < 0.3 else 0.0)
        return found

    def __call__(self, samples: np.ndarray) -> str:
        return " ".join(word for word, _, _ in self.timed(samples))


@dataclass(frozen=True)
class Says:
    """A recogniser without times."""

    text: str

    def __call__(self, samples: np.ndarray) -> str:
        return self.text


def talk(pace: float, number: int) -> Audio:
    samples = 0.1 * np.random.default_rng(number).normal(size=2 * RATE)
    samples[-2:] = pace, number / 1e4
    return Audio(samples.clip(-1.0, 1.0), RATE)


@pytest.mark.parametrize("contract", ATTACKER_CONTRACTS, ids=lambda contract: contract.__name__)
def test_contract(contract: Callable[[Attacker], None]) -> None:
    contract(Content(Written()))


def test_timing_tells_a_slow_speaker_and_long_pauses() -> None:
    quick, slow = (timing_of(Written().timed(talk(pace, 7).mono), 8.0) for pace in (0.4, 0.8))
    assert slow.shape == (TIMINGS,)
    assert slow[0] == pytest.approx(quick[0] + np.log(2.0))
    assert slow[9] == pytest.approx(quick[9] + np.log(2.0))
    assert quick[6] == pytest.approx(slow[6] + np.log(2.0))
    assert not timing_of([], 1.0).any()


def test_rare_words_weigh_more_and_nothing_said_is_no_word() -> None:
    silence = InMemory(Audio(np.zeros(RATE), RATE))
    said = [
        Utterance(f"{k}", f"s{k}", silence, transcript="the boat" if k else "the river") for k in range(8)
    ]
    reader = Content(Written()).encoder(Undisguised(), said, 0, Cache(None))
    assert reader.rarity["the"] < reader.rarity["boat"] < reader.rarity["river"]
    the, rare = (Reader(Says(text), reader.rarity)(np.zeros(RATE)) for text in ("the the river", ""))
    weights = np.array([2.0 * reader.rarity["the"], reader.rarity["river"]])
    assert sorted(np.abs(the[TIMINGS:]))[-2:] == pytest.approx(weights / np.linalg.norm(weights))
    assert rare.shape == (TIMINGS + BUCKETS,)
    assert not rare.any()


@pytest.mark.parametrize("methods", [1, 2, 3])
def test_undisguised_speech_is_read_once_however_many_methods_there_are(methods: int) -> None:
    times: Counter[bytes] = Counter()

    def counting(samples: np.ndarray) -> str:
        times[samples.tobytes()] += 1
        return "the boat"

    utterances = tuple(
        Utterance(f"{s}/{k}", f"s{s}", InMemory(talk(0.5, 10 * s + k)), role="train" if s < 2 else "trial")
        for s in range(4)
        for k in range(2)
    )
    disguises = {"undisguised": Undisguised(), "psola": Psola(), "pitch_shift": PitchShift()}
    run = _Run(
        Corpus("made", utterances), Settings(runs=1, enrol_draws=1),
        Tools(attackers={"content": Content(counting)}), Cache(None), Cache(None), None,
        lambda stage, done, of: None,
    )  # fmt: skip
    run.methods = dict(list(disguises.items())[:methods])
    reader = Reader(counting, {"boat": 1.0})
    begun = [run.begin_embedding(name, {"content": lambda: reader}) for name in run.methods]
    originals = [embedded()["content"][0].trial[NETWORK] for embedded in begun]
    assert [times[u.load().mono.tobytes()] for u in utterances] == [1] * len(utterances)
    assert all(np.array_equal(found, originals[0]) for found in originals)
    assert len(times) == len(utterances) + (methods - 1) * (4 + 4 + 4)


@pytest.mark.slow
def test_speakers_with_a_pace_of_their_own_are_told_and_its_weakness_withholds_nothing() -> None:
    rng = np.random.default_rng(0)
    utterances = tuple(
        Utterance(
            f"{s}/{k}", f"s{s:02}", InMemory(talk(pace, 100 * s + k)), "FM"[s % 2], recording=f"{s}/{k}"
        )
        for s, pace in enumerate(np.exp(rng.uniform(np.log(0.4), np.log(1.4), 24)) * 0.6)
        for k in range(4)
    )
    tools = Tools(attackers={**ATTACKERS, "content": Content(Written())})
    settings = Settings(runs=1, train_draws=2, enrol_draws=1, bootstrap=20, channels=False)
    report = evaluate(Corpus("made", utterances), {}, settings=settings, tools=tools)
    found = report.verdicts["undisguised"].attacks["content/words and timing"]
    assert found.eer < 0.2
    assert not [g for g in report.gates if "content" in g.name]
