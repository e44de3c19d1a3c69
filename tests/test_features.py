"""Families of statistics of a snippet, from which attackers tell speakers and channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deident.evaluation.features import FAMILIES, frames_of, statistics
from deident.evaluation.synthetic import draw_speaker, speak


@pytest.mark.parametrize("hz", [90.0, 150.0, 260.0])
def test_pitch_is_found(hz: float) -> None:
    voice = replace(draw_speaker("M", np.random.default_rng(0)), f0_hz=hz, f0_range=0.0, breath=0.02)
    frames = frames_of(speak(voice, 1.5, np.random.default_rng(1)).mono)
    assert frames.voiced.mean() > 0.2
    assert np.median(frames.pitch[0][frames.voiced]) == pytest.approx(hz, rel=0.04)


def test_pitch_does_not_depend_on_the_level() -> None:
    samples = speak(draw_speaker("F", np.random.default_rng(2)), 1.5, np.random.default_rng(3)).mono
    loud, soft = statistics(frames_of(samples)), statistics(frames_of(samples * np.float32(0.1)))
    for name in FAMILIES:
        np.testing.assert_allclose(soft[name], loud[name], atol=0.05)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(9_000), np.ones(9_000), np.eye(1, 9_000)[0]])
def test_odd_sounds_give_finite_numbers(samples: np.ndarray) -> None:
    found = statistics(frames_of(samples.astype(np.float32)))
    assert found.keys() == FAMILIES.keys()
    assert all(np.isfinite(vector).all() for vector in found.values())
