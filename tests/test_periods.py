"""Periods that are cancelled: one for a voice, two for two at once."""

import numpy as np
import pytest

from deident.audio import RATE
from deident.dsp.periods import SIZE, power_left
from tests.voices import pulses

LOW, HIGH = pulses(110.0, RATE), pulses(173.0, RATE)
NOISE = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)


@pytest.mark.parametrize("hz", [90.0, 110.0, 173.0, 260.0, 380.0])
def test_one_period_explains_one_voice(hz: float) -> None:
    left = power_left(pulses(hz, RATE))
    assert np.abs(left).max() < 0.01


def test_two_voices_at_once_need_two_periods() -> None:
    both = LOW / LOW.std() + HIGH / HIGH.std()
    left = power_left(both)
    assert left[:, 0].min() > 0.3
    assert left[:, 1].max() < 0.01
    assert power_left(both * np.float32(1e-3)) == pytest.approx(left, abs=1e-3)


def test_no_period_explains_noise() -> None:
    left = power_left(NOISE)
    assert np.median(left[:, 0]) > 0.5
    assert np.median(left[:, 1]) > 0.3


def test_pauses_are_left_out_and_silence_is_nothing() -> None:
    pause = np.concatenate([LOW, np.float32(1e-4) * NOISE])
    assert len(power_left(pause)) < 0.6 * len(power_left(np.concatenate([LOW, LOW])))
    for nothing in (np.zeros(RATE, np.float32), LOW[:0], LOW[:1], LOW[: SIZE - 1]):
        assert power_left(nothing).shape == (0, 2)


def test_a_long_piece_is_as_its_parts() -> None:
    """Frames are taken in blocks."""
    long = np.tile(LOW / LOW.std() + HIGH / HIGH.std(), 8)
    assert len(power_left(long)) == (long.size - SIZE) // 640 + 1
    assert power_left(long)[:20] == pytest.approx(power_left(long[:RATE])[:20], abs=1e-5)
