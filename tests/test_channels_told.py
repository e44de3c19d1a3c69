"""The attack on channels: it tells them undisguised, and tells nothing where nothing is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise.base import Method
from deident.evaluation.attackers import SemiInformed
from deident.evaluation.channels import CHANNELS, EACH, NARROW, PLAIN, Through, share_of
from deident.evaluation.corpus import InMemory, Utterance
from deident.evaluation.run import evaluate
from deident.evaluation.settings import Settings, Tools
from deident.evaluation.synthetic import synthetic_corpus
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech


@dataclass(frozen=True)
class Nothing(Method[None]):
    """Nothing of the input is left but its length."""

    def draw(self, rng: np.random.Generator) -> None:
        return None

    def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
        return Audio(0.1 * rng.standard_normal(len(audio)).clip(-4, 4), RATE)


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_changes_sound_and_keeps_its_length(name: str) -> None:
    samples = speech(WOMAN, 1.5)
    for given in (samples, samples[:3_000], np.zeros(4_000, np.float32)):
        out = CHANNELS[name](given, np.random.default_rng(0))
        assert out.shape == given.shape
        assert np.isfinite(out).all()
    changed = CHANNELS[name](samples, np.random.default_rng(0))
    likeness = np.corrcoef(changed, samples)[0, 1]
    assert (likeness > 0.999999) == (name == PLAIN)
    again = CHANNELS[name](samples, np.random.default_rng(0))
    np.testing.assert_allclose(changed, again, atol=1e-6)


def test_8_khz_has_nothing_above_4_khz() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    power = np.abs(np.fft.rfft(CHANNELS[NARROW](noise, np.random.default_rng(0)))) ** 2
    assert power[4_300:].mean() < 1e-4 * power[100:3_500].mean()


def test_every_utterance_goes_through_as_many_channels_and_every_channel_gets_as_many() -> None:
    silence = InMemory(Audio(np.zeros(RATE), RATE))
    some = [Utterance(str(k), "s", silence) for k in range(26)]
    counts = Counter(u.name for channel in CHANNELS for u in share_of(some, channel))
    assert len(counts) == 26
    assert set(counts.values()) == {EACH}
    assert {len(share_of(some, channel)) for channel in CHANNELS} == {26 * EACH // len(CHANNELS)}


class Same(Method[int]):
    def draw(self, rng: np.random.Generator) -> int:
        return 1

    def apply(self, audio: Audio, voice: int, rng: np.random.Generator) -> Audio:
        return audio


def test_a_disguise_gets_what_came_through_the_channel() -> None:
    audio = Audio(speech(WOMAN, 1.0), RATE)
    out = Through(Same(), NARROW).apply(audio, 1, np.random.default_rng(0))
    np.testing.assert_allclose(out.mono, CHANNELS[NARROW](audio.mono, np.random.default_rng(0)), atol=1e-6)


@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD], ids=["man", "woman", "child"])
def test_hum_is_removed_before_a_disguise_as_in_a_run(speaker: Speaker) -> None:
    """A channel that a run cleans would else count as one that a disguise lets through."""

    quiet = np.zeros(RATE // 2, np.float32)
    voice = np.concatenate([part for seed in range(3) for part in (speech(speaker, 1.0, seed=seed), quiet)])
    out = Through(Same(), "hum").apply(Audio(voice, RATE), 1, np.random.default_rng(0)).mono
    hum = CHANNELS["hum"](voice, np.random.default_rng(0)) - voice
    pause = slice(RATE + 800, RATE + RATE // 2 - 800)
    assert out[pause].std() < 0.1 * hum[pause].std()


@pytest.mark.slow
def test_channels_are_told_undisguised_and_not_from_nothing() -> None:
    corpus = synthetic_corpus(speakers=16, utterances=4, seconds=1.5)
    settings = Settings(runs=1, train_draws=2, enrol_draws=1, bootstrap=20, invert=False)
    tools = Tools(attackers={"semi-informed": SemiInformed()})
    report = evaluate(corpus, {"nothing": Nothing()}, settings=settings, tools=tools)
    plain, gone = (report.verdicts[name].channels for name in ("undisguised", "nothing"))
    assert plain is not None
    assert gone is not None
    assert plain.accuracy.value > 0.6
    assert plain.narrow_area > 0.95
    assert gone.accuracy.value < 0.2
    assert plain.chance == gone.chance == pytest.approx(1 / 13)
    head, *rows = report.summary()
    assert rows[0][head.index("channel of 13 told, % [95 %]")].startswith(
        f"{100 * plain.accuracy.value:.1f} ["
    )
    assert [row[0] for row in report.channels()[1:14]] == list(CHANNELS)
