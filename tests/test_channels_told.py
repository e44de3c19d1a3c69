"""The attack on channels: it tells them undisguised, and tells nothing where nothing is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from deident.audio import RATE, Audio
from deident.disguise.base import Method
from deident.disguise.mcadams import McAdams
from deident.evaluation.attackers import SemiInformed
from deident.evaluation.channels import CHANNELS, EACH, NARROW, PLAIN, Passed, share_of
from deident.evaluation.copies import CopyJob, Statistics, begin_each, gather
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
    counts = Counter(u.name for channel in CHANNELS for u in share_of(some, channel, 0))
    assert len(counts) == 26
    assert set(counts.values()) == {EACH}
    assert {len(share_of(some, channel, 0)) for channel in CHANNELS} == {26 * EACH // len(CHANNELS)}


def utterance(samples: npt.ArrayLike, name: str = "u") -> Utterance:
    return Utterance(name, "s", InMemory(Audio(samples, RATE)))


def test_a_disguise_gets_what_came_through_the_channel() -> None:
    samples = speech(WOMAN, 1.0)
    (out,) = share_of([utterance(samples)], PLAIN, 0)
    np.testing.assert_allclose(out.load().mono, samples, atol=1e-6)
    narrow = Passed(utterance(samples), NARROW, 0)().mono
    np.testing.assert_allclose(narrow, CHANNELS[NARROW](samples, np.random.default_rng(0)), atol=1e-6)


def test_noise_of_a_channel_is_the_same_for_all_methods_and_another_for_every_utterance() -> None:
    samples = speech(WOMAN, 1.0)
    same, again, other, seeded = (
        Passed(utterance(samples, name), "white noise, 15 dB", seed)().mono
        for name, seed in (("u", 0), ("u", 0), ("v", 0), ("u", 1))
    )
    np.testing.assert_array_equal(same, again)
    assert np.abs(same - other).max() > 0.01
    assert np.abs(same - seeded).max() > 0.01


def test_what_is_kept_depends_on_the_channel_the_speech_the_seed_and_the_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = utterance(speech(WOMAN, 0.5)), utterance(speech(MAN, 0.5))
    passed = [Passed(one, "hum", 0), Passed(one, "hall", 0), Passed(other, "hum", 0), Passed(one, "hum", 1)]
    before = [loader.digest() for loader in passed]
    assert len(set(before)) == 4
    assert before == [Utterance("u", "s", loader).digest() for loader in passed]
    monkeypatch.setattr("deident.evaluation.channels.source_digest", lambda name: "of other code")
    assert passed[0].digest() not in before


def test_a_channel_is_passed_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(Passed, "__call__", lambda self: loaded.append(self) or self.utterance.load())
    some = [utterance(speech(WOMAN, 0.5, seed=k), str(k)) for k in range(13)]
    jobs = [
        CopyJob(method, "channel", 1, 0, "snippet", {"s": Statistics()}) for method in (Nothing(), McAdams())
    ]
    share = share_of(some, "hum", 0)
    nothing, mcadams = begin_each(jobs, share, None, None, lambda count: None)()
    assert len(loaded) == len(share) == EACH
    for job, found in zip(jobs, (nothing, mcadams), strict=True):
        alone = gather(job, share)
        np.testing.assert_array_equal(found["spectrum"], alone["spectrum"])
    assert np.abs(nothing["spectrum"] - mcadams["spectrum"]).max() > 0.1


@pytest.mark.parametrize("speaker", [MAN, WOMAN, CHILD], ids=["man", "woman", "child"])
def test_hum_is_removed_before_a_disguise_as_in_a_run(speaker: Speaker) -> None:
    """A channel that a run cleans would else count as one that a disguise lets through."""

    quiet = np.zeros(RATE // 2, np.float32)
    voice = np.concatenate([part for seed in range(3) for part in (speech(speaker, 1.0, seed=seed), quiet)])
    out = Passed(utterance(voice), "hum", 0)().mono
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
