"""The learned map of the vocoder: what its arithmetic must be, and that no snippet sees another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deident.audio import RATE
from deident.disguise.vocoder import context
from deident.disguise.vocoder.analysis import TRACKER, Analysis, analyse
from deident.disguise.vocoder.context import FURTHEST, SHAPES, move_in_context
from tests.voices import CHILD, MAN, WOMAN, speech

SNIPPETS = [
    speech(who, seconds, seed=seed)
    for who, seconds, seed in ((MAN, 1.5, 1), (WOMAN, 3.0, 2), (CHILD, 0.4, 3))
]


def analysis(*snippets: np.ndarray) -> Analysis:
    rngs = [np.random.default_rng(k) for k in range(len(snippets))]
    return analyse(snippets, TRACKER.track_all(list(snippets)), rngs, floor_db=25.0, noise=0.5, gate_db=50.0)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_frame(deviations: np.ndarray, speech: Analysis) -> np.ndarray:
    """The map of one snippet as its definition says it: a frame, a tap and a neuron at a time where it can be."""
    w = {name: array.astype(np.float64) for name, array in context._weights().items()}
    rows = np.column_stack((deviations, speech.voiced, speech.presence, speech.weight)).astype(np.float64)
    for name, dilation in (("near", 1), ("far", context.DILATION)):
        taps = w[name]
        out = np.tile(w[f"{name}_bias"], (len(rows), 1))
        for frame in range(len(rows)):
            for tap in range(len(taps)):
                at = frame + dilation * (tap - len(taps) // 2)
                if 0 <= at < len(rows):
                    out[frame] += rows[at] @ taps[tap]
        rows = np.maximum(out, 0.0)
    share = speech.weight / (speech.weight.sum() + 1e-3)
    mean = share @ rows
    deviation = np.sqrt(share @ (rows - mean) ** 2 + 1e-4)
    pooled = np.maximum(np.concatenate((mean, deviation)) @ w["pool"] + w["pool_bias"], 0.0)
    fixed = pooled @ w["mix_snippet"] + w["mix_bias"]
    moved = np.maximum(rows @ w["mix"] + fixed, 0.0) @ w["out"] + w["out_bias"]
    return deviations + FURTHEST * np.tanh(moved / FURTHEST)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["man", "woman", "shorter than the context"])
def test_the_map_is_what_its_definition_says(snippet: np.ndarray) -> None:
    speech_ = analysis(snippet)
    given = normal(1, *speech_.cepstra.shape)
    expected = by_frame(given, speech_)
    assert np.abs(expected - given).max() > 0.1
    np.testing.assert_allclose(move_in_context(given, speech_, 1.0), expected, atol=2e-3)


def test_no_snippet_of_a_batch_sees_another() -> None:
    together = analysis(*SNIPPETS)
    given = normal(3, *together.cepstra.shape)
    moved = move_in_context(given, together, 1.0)
    for own, snippet in zip(together.ragged.slices, SNIPPETS, strict=True):
        alone = move_in_context(given[own], analysis(snippet), 1.0)
        np.testing.assert_allclose(moved[own], alone, atol=2e-3)


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3])
def test_no_frame_moves_further_than_the_bound(size: float) -> None:
    speech_ = analysis(SNIPPETS[1])
    given = np.float32(size) * normal(5, *speech_.cepstra.shape)
    moved = move_in_context(given, speech_, 1.0)
    assert np.isfinite(moved).all()
    assert np.abs(moved - given).max() <= 1.001 * FURTHEST + 1e-6 * size


def test_the_amount_is_the_fraction_of_the_move() -> None:
    speech_ = analysis(SNIPPETS[0])
    given = normal(7, *speech_.cepstra.shape)
    whole, half = (move_in_context(given, speech_, amount) - given for amount in (1.0, 0.5))
    np.testing.assert_allclose(half, 0.5 * whole, atol=1e-5)


def test_the_input_is_not_changed() -> None:
    speech_ = analysis(SNIPPETS[0])
    given = normal(12, *speech_.cepstra.shape)
    before = given.copy()
    move_in_context(given, speech_, 1.0)
    assert np.array_equal(given, before)


def test_the_file_holds_just_these_weights() -> None:
    weights = context._weights()
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert all(np.isfinite(array).all() for array in weights.values())
    assert len(SNIPPETS[2]) < RATE


def test_what_is_fitted_is_what_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map of the fit, written by it and read by the vocoder, gives the same envelopes."""
    torch = pytest.importorskip("torch")
    from benchmarks.fit_context import Map

    torch.manual_seed(0)
    fitted = Map()
    torch.nn.init.normal_(fitted.out.weight, std=0.3)
    fitted.save(tmp_path / "context.npy")
    monkeypatch.setattr(context.resources, "files", lambda package: tmp_path)
    context._weights.cache_clear()
    speech_ = analysis(SNIPPETS[1])
    given = normal(14, *speech_.cepstra.shape)
    side = np.stack((speech_.voiced, speech_.presence, speech_.weight), axis=1)
    with torch.no_grad():
        expected = fitted(torch.from_numpy(given), torch.from_numpy(side)).numpy()
    moved = move_in_context(given, speech_, 1.0)
    monkeypatch.undo()
    context._weights.cache_clear()
    assert np.abs(expected - given).max() > 0.1
    np.testing.assert_allclose(moved, expected, atol=0.02)  # the file has half precision
