"""Excitation: power, whiteness and rate of pulses and noise."""

from __future__ import annotations

import numpy as np
import pytest

from deident.audio import RATE
from deident.dsp.excitation import LEAD, SHAPE, add_pulses, fill_with_noise, noise_share, pulse_shapes
from deident.dsp.ragged import Ragged
from deident.dsp.timing import limit_runs

HZ = np.linspace(0.0, RATE / 2, 257)
NO_DELAY = np.zeros(9)


def spectrum(samples: np.ndarray) -> np.ndarray:
    """(257,) mean power at `HZ`, 1 for white noise of power 1."""
    frames = samples[: samples.size // 512 * 512].reshape(-1, 512) * np.hanning(512)
    return (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0) / (np.hanning(512) ** 2).sum()


def noise(voiced: np.ndarray, breath: float) -> np.ndarray:
    out, rng = np.empty(voiced.size * 256, np.float32), np.random.default_rng(1)
    fill_with_noise(out, [rng], voiced, np.array([breath]), 256, Ragged((voiced.size,)))
    return out


def rendered(voiced: float, breath: float) -> np.ndarray:
    return spectrum(noise(np.full(2_500, voiced, np.float32), breath))


def test_noise_is_white_where_unvoiced() -> None:
    assert rendered(0.0, 0.25)[2:-1] == pytest.approx(np.ones(254), abs=0.15)


@pytest.mark.parametrize("breath", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("voiced", [0.4, 1.0])
def test_voiced_noise_has_its_share_of_the_power(voiced: float, breath: float) -> None:
    expected = 1.0 - voiced * (1.0 - noise_share(breath, HZ))
    assert rendered(voiced, breath)[8:-1] == pytest.approx(expected[8:-1], rel=0.2)
    assert noise_share(breath, HZ).max() <= 0.95


def test_noise_follows_the_voice_frame_by_frame() -> None:
    voiced = np.repeat(np.float32([0.0, 1.0]), 500)
    off, on = noise(voiced, 0.0).reshape(2, -1)
    assert off.std() == pytest.approx(1.0, abs=0.02)
    assert on.std() ** 2 == pytest.approx(noise_share(0.0, HZ).mean(), abs=0.02)


@pytest.mark.parametrize("breath", [0.0, 0.25])
def test_pulses_have_the_rest_of_the_power(breath: float) -> None:
    shape = pulse_shapes(breath, NO_DELAY)[0]
    power = np.abs(np.fft.rfft(shape, 512)) ** 2
    inside = slice(4, 208)  # up to 6.5 kHz, where the band limit of the pulse begins
    assert power[inside] == pytest.approx(1.0 - noise_share(breath, HZ)[inside], abs=0.05)


def test_pulses_have_the_requested_group_delay() -> None:
    """The group delay is the requested one at both ends of the band."""
    delays = np.linspace(0.0, 0.0015, 9)
    plain, late = (pulse_shapes(0.0, d)[0] for d in (NO_DELAY, delays))
    turn = np.unwrap(np.angle(np.fft.rfft(late, 512) / np.fft.rfft(plain, 512)))
    seconds = -np.diff(turn) / (2 * np.pi * RATE / 512)
    assert seconds[32] == pytest.approx(0.0015 / 8, abs=1e-4)
    assert seconds[192] == pytest.approx(0.0015 * 6 / 8, abs=1e-4)
    assert pulse_shapes(0.0, np.full(9, 0.004)).shape[1] > SHAPE


@pytest.mark.parametrize("delay", [0.0, 0.003])  # so late that the next pulse has begun
@pytest.mark.parametrize("f0_hz", [60.0, 150.0, 420.0])
def test_pulses_have_their_rate_and_power_one(f0_hz: float, delay: float) -> None:
    out = np.zeros(4 * RATE, np.float32)
    frames = out.size // 256
    shapes = pulse_shapes(np.zeros(1), np.full((1, 9), delay))
    rate, gain, phase = np.full(frames, f0_hz), np.ones(frames, np.float32), np.array([0.5])
    add_pulses(out, rate, gain, 256, phase, shapes, Ragged((frames,)))
    middle = out[RATE : 3 * RATE] * np.hanning(2 * RATE)
    power = np.abs(np.fft.rfft(middle)) ** 2
    strongest = power[20:].argmax() + 20  # in half Hz
    assert strongest / 2 / f0_hz == pytest.approx(round(strongest / 2 / f0_hz), abs=0.02)
    share = (1.0 - noise_share(0.0, HZ)[:208]).mean() * 208 / 257
    assert (out[RATE : 3 * RATE] ** 2).mean() == pytest.approx(share, rel=0.25)


def test_the_first_pulse_of_each_segment_has_the_drawn_phase() -> None:
    counts, phase = (20, 30, 25), np.array([0.0, 0.25, 0.8])
    ragged = Ragged(counts)
    out = np.zeros(ragged.frames * 256, np.float32)
    shapes = pulse_shapes(np.zeros(3), np.zeros((3, 9)))
    add_pulses(out, np.full(75, 100.0), np.ones(75, np.float32), 256, phase, shapes, ragged)
    for piece, first in zip(ragged.slices, phase, strict=True):
        own = np.abs(out[piece.start * 256 : piece.stop * 256])
        pulses = np.flatnonzero(own > 0.5 * own.max())
        expected = (1.0 - first) * 160 + LEAD + 160 * np.arange(own.size // 160 - 1)
        assert all(np.abs(pulses - place).min() <= 1 for place in expected)
        assert pulses[0] >= expected[0] - 1


def test_only_quiet_runs_are_limited() -> None:
    pace = np.linspace(0.8, 1.2, 12)
    quiet = np.array([1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0], dtype=np.bool_)
    for mask in (quiet, ~quiet):
        out = limit_runs(pace, mask, np.array([2.0]), Ragged((12,)))
        assert out[~mask] == pytest.approx(pace[~mask])
        edges = np.flatnonzero(np.diff(np.concatenate(([0], mask, [0])).astype(int)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            assert out[start:stop].sum() == pytest.approx(min(2.0, pace[start:stop].sum()))
