"""The attacker that trains a network: it learns what a disguise leaves, and keeps its weights."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Audio, Floats
from deident.disguise.base import Method
from deident.errors import SettingError
from deident.evaluation.attack import Attack, Evidence
from deident.evaluation.attackers import SemiInformed
from deident.evaluation.cache import Cache
from deident.evaluation.corpus import Corpus, InMemory, Utterance
from deident.evaluation.network import CROP, Recipe, Trained, TrainedEncoder, attacker_named, train
from deident.evaluation.run import evaluate
from deident.evaluation.scoring import Cosine
from deident.evaluation.settings import Settings, Tools

pytest.importorskip("torch")
pytest.importorskip("kaldi_native_fbank")


@dataclass(frozen=True)
class Louder(Method[float]):
    """Nothing is hidden, and the voice is a level."""

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.2, 0.9))

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        return Audio(audio.samples * np.float32(voice), RATE)


@dataclass(frozen=True)
class Same(Louder):
    """Another method."""


def tones(speakers: int, each: int = 3) -> Corpus:
    """Speakers who are noise in a band of their own."""
    rng = np.random.default_rng(0)
    made = []
    for speaker in range(speakers):
        for number in range(each):
            spectrum = np.fft.rfft(rng.normal(size=round(1.2 * RATE)))
            hz = np.arange(len(spectrum)) / 1.2
            centre = 300.0 * 1.2**speaker
            spectrum *= np.exp(-0.5 * (np.log(np.maximum(hz, 1.0) / centre) / 0.08) ** 2)
            # On and off: a network gets no constant spectrum.
            seconds = np.arange(round(1.2 * RATE)) / RATE
            samples = np.fft.irfft(spectrum) * (np.sin(6.28 * (4.0 * seconds + rng.random())) > 0.0)
            samples += 0.01 * samples.std() * rng.normal(size=len(samples))
            audio = Audio(0.5 * samples / np.abs(samples).max(), RATE)
            role = "train" if speaker % 2 else "trial"
            made.append(Utterance(f"{speaker}/{number}", f"s{speaker:02}", InMemory(audio), role=role))
    return Corpus("tones", tuple(made))


QUICK = Recipe(crops=900, rate=1e-2)


def separation(encoder: TrainedEncoder, utterances: Sequence[Utterance]) -> float:
    """Cosine of two utterances of a speaker, beyond that of two speakers."""
    embedded = np.stack([encoder(u.load().mono) for u in utterances])
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    own = np.equal.outer(*[[u.speaker for u in utterances]] * 2)
    alike = unit @ unit.T
    return float(alike[own & ~np.eye(len(own), dtype=bool)].mean() - alike[~own].mean())


def test_a_network_learns_speakers_and_is_trained_once(tmp_path: Path) -> None:
    corpus, cache = tones(12), Cache(tmp_path)
    encoder = train(QUICK, Louder(), corpus.train, 0, cache)
    short = Recipe(crops=1)
    untrained = train(short, Louder(), corpus.train, 0, cache)
    assert separation(encoder, corpus.tests) > separation(untrained, corpus.tests) + 0.3
    weights = Path(encoder.weights)
    before = weights.stat()
    assert stat.S_IMODE(before.st_mode) == 0o600
    assert train(QUICK, Louder(), corpus.train, 0, cache) == encoder
    assert weights.stat().st_mtime_ns == before.st_mtime_ns
    for other in (
        train(short, Louder(), corpus.train, 1, cache),
        train(short, Louder(), corpus.train[3:], 1, cache),
        train(replace(short, rate=1e-3), Louder(), corpus.train, 1, cache),
    ):
        assert other.weights != encoder.weights
    assert len({p.name for p in tmp_path.rglob("*.pt")}) == 5


@pytest.mark.slow
def test_it_attacks_with_its_own_embeddings_and_is_shown() -> None:
    tools = Tools(attackers={"semi-informed": SemiInformed(), "trained": Trained(QUICK)})
    how = Settings(runs=1, train_draws=2, enrol_draws=1, bootstrap=20, channels=False)
    report = evaluate(tones(16), {"louder": Louder()}, settings=how, tools=tools)
    for verdict in report.verdicts.values():
        assert {a for a in verdict.attacks if a.startswith("trained/")} == {
            "trained/network",
            "trained/fusion",
        }
        assert verdict.attacks["trained/network"].eer < 0.1
    assert "trained/network" in [row[0] for row in report.attacks()]
    assert "attacker strong enough: trained/network" in [gate.name for gate in report.gates]


@dataclass(frozen=True)
class Loudness:
    """An encoder that is another for every method."""

    method: str

    def __call__(self, samples: Floats) -> Floats:
        return np.array([np.std(samples), np.abs(samples).max(), 1.0], np.float32)


class Noting(Trained):
    """Notes what it is given, by the number of copies, and attacks with an encoder that needs no training."""

    def __init__(self, uses: tuple[str, ...]) -> None:
        super().__init__()
        self.uses = uses  # type: ignore[misc]  # a trait of classes

    def encoder(self, method: Any, utterances: Any, seed: int, cache: Cache) -> Any:
        return Loudness(type(method).__name__)

    def attack(self, evidence: Evidence, comparable: bool) -> Attack:
        given = (
            evidence.train,
            evidence.train_original,
            evidence.trial,
            evidence.enrol,
            evidence.enrol_original,
        )
        return replace(evidence.compare(Cosine(), ""), note=str([vectors.shape[1:] for vectors in given]))


def test_embeddings_that_an_attacker_does_not_use_are_not_made() -> None:
    attackers = {
        "semi-informed": SemiInformed(),
        **{f"uses {' '.join(uses)}": Noting(uses) for uses in ((), ("train",), ("train", "originals"))},
    }
    how = Settings(runs=2, train_draws=2, enrol_draws=1, bootstrap=20, channels=False)
    report = evaluate(tones(16), {"louder": Louder()}, settings=how, tools=Tools(attackers=attackers))
    notes = {name: attack.note for name, attack in report.verdicts["louder"].attacks.items()}
    none, one, two = "(0, 3)", "(1, 3)", "(2, 3)"
    assert notes["uses /network"] == f"[{none}, {none}, {two}, {two}, {none}]"
    assert notes["uses train/network"] == f"[{one}, {none}, {two}, {two}, {none}]"
    assert notes["uses train originals/network"] == f"[{one}, {one}, {two}, {two}, {one}]"
    assert np.isnan(report.verdicts["louder"].attacks["uses /network"].held_out_eer)
    json.loads(report.to_json(), parse_constant=pytest.fail)


class Untrainable(Trained):
    """Its training fails for one method."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Recipe(crops=1))
        self.error = error

    def encoder(self, method: Any, utterances: Any, seed: int, cache: Cache) -> Any:
        if type(method) is Louder:
            raise self.error
        return super().encoder(method, utterances, seed, cache)


@pytest.mark.slow
def test_a_training_that_fails_costs_its_method_and_no_other() -> None:
    how = Settings(runs=1, train_draws=2, enrol_draws=1, bootstrap=20, channels=False)
    corpus = tones(16)
    for error in (SettingError("expected more"), RuntimeError("no memory")):
        attackers = {"semi-informed": SemiInformed(), "trained": Untrainable(error)}
        tools = Tools(attackers=attackers)
        if isinstance(error, SettingError):
            with pytest.raises(SettingError, match="expected more"):
                evaluate(corpus, {"louder": Louder()}, settings=how, tools=tools)
            continue
        report = evaluate(corpus, {"louder": Louder(), "same": Same()}, settings=how, tools=tools)
        assert report.verdicts["louder"].failed == {"trained": "RuntimeError"}
        assert report.distrust("louder").startswith("attacker works: trained")
        assert not report.verdicts["same"].failed
        assert "trained/network" in report.verdicts["same"].attacks


def test_a_network_of_ones_own_is_fine_tuned() -> None:
    name, attacker = attacker_named("trained:tests.test_network:own")
    assert (name, type(attacker)) == ("trained", Trained)


def own() -> object:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(CROP * 80, 8))


@pytest.mark.parametrize(
    "text", ["trained:nothing.pt", "trained:no.module:here", "nothing", "tests.test_network:gone"]
)
def test_what_is_no_attacker_is_said_before_any_work(text: str) -> None:
    with pytest.raises((SettingError, ImportError)):
        attacker_named(text)
