"""Snippets disguised in one batch equal those disguised alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from deident.audio import RATE, Audio
from deident.disguise import DISGUISES, Chain, Method
from deident.disguise.base import apply_all, as_method
from deident.disguise.vocoder import Vocoder, VocoderVoice
from deident.dsp.excitation import STEPS
from deident.dsp.pitch import PitchTracker
from deident.dsp.ragged import Ragged
from deident.dsp.stft import Stft
from tests.methods import Sine
from tests.voices import CHILD, MAN, WOMAN, Speaker, speech

METHOD = Vocoder()
RNG = np.random.default_rng(8)
WORDS = speech(MAN, 9.0, seed=3)
SNIPPETS = {
    "nine seconds": WORDS,
    "one second": speech(WOMAN, 1.0, seed=4),
    "a bit longer": speech(CHILD, 1.3, seed=5)[: 80 * 256],
    "one sample": np.full(1, 0.4, np.float32),
    "a hop": WORDS[20_000:20_256],
    "a hop and one": WORDS[30_000:30_257],
    "silence": np.zeros(5_000, np.float32),
    # All but a sine: of one alone, the bands beside it hold nothing but the rounding of the transform.
    "tone": (np.sin(np.arange(9_000) / 5.0) + 1e-3 * RNG.standard_normal(9_000)).astype(np.float32),
    "clipped noise": np.clip(RNG.standard_normal(8_000), -1.0, 1.0).astype(np.float32),
    "hardly anything": np.float32(1e-5) * speech(WOMAN, 0.8, seed=6),
    "much too loud": np.float32(50.0) * speech(Speaker(90.0), 0.7, seed=7),
    "noise and silence": np.concatenate((np.zeros(9_000), RNG.standard_normal(9_000))).astype(np.float32),
}


def revoiced(
    snippets: Sequence[np.ndarray], method: Method[Any] = METHOD, seed: int = 1
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Disguise snippets in one batch, and each alone."""
    audios = [Audio(samples, RATE) for samples in snippets]
    voices = [method.draw(np.random.default_rng(seed + k)) for k in range(len(audios))]
    alone = [
        method.apply(audio, voice, np.random.default_rng(0)).mono
        for audio, voice in zip(audios, voices, strict=True)
    ]
    return [
        audio.mono for audio in method.apply_all(audios, voices, [np.random.default_rng(0) for _ in audios])
    ], alone


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    """Compare snippets up to rounding, which may move single pulses to the next position between two samples."""
    assert one.size == other.size
    away, peak = np.abs(one - other), float(np.abs(other).max(initial=0.0))
    assert np.mean(away > max(1e-4, 1e-3 * peak)) < 0.01
    # A band-limited signal changes by π times its peak a sample at most, and a step is a part of a sample.
    assert away.max(initial=0.0) < max(0.02, np.pi / STEPS * peak)


@pytest.mark.parametrize("seed", [1, 50])
def test_a_batch_equals_its_snippets_alone(seed: int) -> None:
    together, alone = revoiced(list(SNIPPETS.values()), seed=seed)
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("name", SNIPPETS)
def test_neighbours_and_order_change_nothing(name: str) -> None:
    """Between a loud voice and noise, behind them, and before them."""
    loud, noise, own = SNIPPETS["much too loud"], SNIPPETS["clipped noise"], SNIPPETS[name]
    voices = [METHOD.draw(np.random.default_rng(seed)) for seed in range(3)]
    alone = METHOD.apply(Audio(own, RATE), voices[0], np.random.default_rng(0)).mono
    for order in ((loud, own, noise), (loud, noise, own), (own, loud, noise)):
        drawn = iter(voices[1:])
        those = [voices[0] if samples is own else next(drawn, voices[2]) for samples in order]
        out = METHOD.apply_all(
            [Audio(samples, RATE) for samples in order],
            those,
            [np.random.default_rng(0) for _ in [Audio(samples, RATE) for samples in order]],
        )
        assert_same(out[[samples is own for samples in order].index(True)].mono, alone)


def test_unvoiced_snippets_are_equal_to_the_sample() -> None:
    names = ("clipped noise", "one sample", "noise and silence", "silence")
    together, alone = revoiced([SNIPPETS[name] for name in names] * 2)
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"tract": (0.8, 1.25), "warp": 0.4},
        {"colour": 0.0},
        {"delay_seconds": 0.004},
        {"tract_norm": 0.0},
        {"noise": 0.0},
        {"mean": 0.5, "spread": 0.5},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_batches_are_equal_under_all_settings(settings: dict[str, Any]) -> None:
    method = dataclasses.replace(METHOD, **settings)
    names = ("one second", "a bit longer", "clipped noise", "a hop", "much too loud")
    together, alone = revoiced([SNIPPETS[name] for name in names], method)
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("name", DISGUISES)
def test_nothing_gives_nothing(name: str) -> None:
    assert DISGUISES[name]().apply_all([], [], []) == []
    assert Chain((DISGUISES[name](),)).apply_all([], [], []) == []


@pytest.mark.parametrize("name", ["psola", "pitch_shift"])
@pytest.mark.parametrize("seed", [1, 50])
def test_a_batch_of_psola_equals_its_snippets_alone(name: str, seed: int) -> None:
    together, alone = revoiced(list(SNIPPETS.values()), DISGUISES[name](), seed)
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


# The parts


@pytest.mark.parametrize("hop", [80, 128, 160, 256, 1_024])
def test_a_batch_of_pitches_equals_those_of_its_snippets(hop: int) -> None:
    tracker = PitchTracker(hop=hop)
    pieces = [*SNIPPETS.values(), np.zeros(0, np.float32)]
    for found, piece in zip(tracker.track_all(pieces), pieces, strict=True):
        alone = tracker.track(piece)
        assert found.hop == hop
        assert found.f0_hz == pytest.approx(alone.f0_hz, rel=1e-4, abs=1e-3)
        assert found.strength == pytest.approx(alone.strength, abs=1e-4)


@pytest.mark.parametrize("counts", [(5,), (1, 4, 2)])
def test_ragged_methods_work_segment_by_segment(counts: tuple[int, ...]) -> None:
    ragged = Ragged(counts)
    rows = RNG.standard_normal((sum(counts), 3)).astype(np.float32)
    weights = RNG.standard_normal((2, sum(counts))).astype(np.float32)
    matrices = RNG.standard_normal((len(counts), 3, 4)).astype(np.float32)
    edges = np.cumsum((0, *counts))
    pieces = [slice(start, stop) for start, stop in itertools.pairwise(edges)]

    def each(values: list[np.ndarray]) -> Any:
        return pytest.approx(np.concatenate(values), abs=1e-5)

    assert ragged.slices == pieces
    assert ragged.local_index.tolist() == [k for count in counts for k in range(count)]
    assert ragged.segment_sum(weights[0]) == each([weights[:1, own].sum(axis=1) for own in pieces])
    assert ragged.segment_product(weights, rows) == each(
        [(weights[:, own] @ rows[own])[None] for own in pieces]
    )
    assert ragged.transform(rows, matrices) == each(
        [rows[own] @ m for own, m in zip(pieces, matrices, strict=True)]
    )
    padded = ragged.pad(rows, 2)
    assert padded == each([np.pad(rows[own], ((2, 2), (0, 0)), mode="edge") for own in pieces])
    assert ragged.unpad(padded[2:-2], 2) == pytest.approx(rows)
    spread = np.broadcast_to(ragged.spread(matrices[:, 0, 0]), (sum(counts),))
    assert spread == each([np.full(count, m[0, 0]) for count, m in zip(counts, matrices, strict=True)])


@pytest.mark.parametrize("stft", [Stft(512, 256), Stft(512, 128)])
def test_no_frame_spans_two_segments(stft: Stft) -> None:
    lengths = [1, 255, 256, 257, 700]
    ragged = stft.ragged(lengths)
    laid = stft.concatenate([np.ones(length, np.float32) for length in lengths], ragged)
    for length, first, piece in zip(lengths, stft.offsets(ragged), ragged.slices, strict=True):
        assert laid[first : first + length].all()
        own = laid[piece.start * stft.hop : (piece.stop - 1) * stft.hop + stft.size]
        assert own.sum() == length
        assert own == pytest.approx(stft.pad(np.ones(length, np.float32)))


# Methods


class Foreign:
    """A third-party method with draw and apply alone."""

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform())

    def apply(self, audio: Audio, voice: float, rng: np.random.Generator) -> Audio:
        return Audio(np.float32(voice) * audio.mono, RATE)


class Halved(Vocoder):
    """One that adds something to ours."""

    def apply(self, audio: Audio, voice: VocoderVoice, rng: np.random.Generator) -> Audio:
        return Audio(np.float32(0.5) * super().apply(audio, voice, rng).mono, RATE)


@pytest.mark.parametrize(
    "method",
    [Foreign(), Sine(), Halved(), Chain((METHOD, Foreign(), Sine())), Chain((Chain((METHOD,)),))],
    ids=["foreign", "sine", "inherited", "chain", "chain of chains"],
)
def test_every_method_can_be_asked_for_several(method: Any) -> None:
    audios = [Audio(SNIPPETS[name], RATE) for name in ("one second", "silence", "clipped noise")]
    voices = [method.draw(np.random.default_rng(seed)) for seed in range(3)]
    rngs = [np.random.default_rng(7) for _ in voices]
    for one, audio, voice in zip(
        apply_all(as_method(method), audios, voices, rngs), audios, voices, strict=True
    ):
        assert_same(one.mono, method.apply(audio, voice, np.random.default_rng(7)).mono)
