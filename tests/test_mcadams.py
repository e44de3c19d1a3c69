"""The McAdams baseline, all frames at once, against the same written frame by frame."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from benchmarks.peers import b2
from deident.audio import RATE, Audio
from deident.disguise.mcadams import McAdams, McAdamsVoice, turn_poles
from deident.dsp.lpc import burg, from_poles, poles, refilter
from tests.voices import MAN, WOMAN, Speaker, speech, vowel


def frames_of(speaker: Speaker = MAN, count: int = 150) -> npt.NDArray[np.float64]:
    samples = speech(speaker, 3.0).astype(np.float64)
    return np.lib.stride_tricks.sliding_window_view(samples, 320)[::160][:count] * np.hanning(320)


def test_burg_is_the_lattice_recursion() -> None:
    frames = frames_of()
    for frame, found in zip(frames[::10], burg(frames, 20).T[::10], strict=True):
        forward, backward, known = frame[1:], frame[:-1], np.ones(1)
        for _ in range(20):
            reflection = -2.0 * forward @ backward / (forward @ forward + backward @ backward)
            known = np.append(known, 0.0) + reflection * np.append(known, 0.0)[::-1]
            forward, backward = forward + reflection * backward, backward + reflection * forward
            forward, backward = forward[1:], backward[:-1]
        assert found == pytest.approx(known, abs=1e-7)


def test_poles_are_those_of_numpy() -> None:
    filters = burg(frames_of(), 20)
    re, im = poles(filters)
    for frame in range(0, filters.shape[1], 7):
        left = list(np.roots(filters[:, frame]))
        for pole in re[:, frame] + 1j * im[:, frame]:
            nearest = min(left, key=lambda other: abs(other - pole))
            assert abs(nearest - pole) < 1e-7
            left.remove(nearest)


def test_poles_that_resist_are_found_too() -> None:
    roots = np.array([0.9, 0.9, 0.9, -0.5, -0.5, 0.3 + 0.4j, 0.3 - 0.4j, 0.0, 0.0, 0.1])
    re, im = poles(np.real(np.poly(roots))[:, None])
    assert np.real(np.poly(re[:, 0] + 1j * im[:, 0])) == pytest.approx(np.real(np.poly(roots)), abs=1e-6)


def test_polynomials_come_back_from_their_poles() -> None:
    filters = burg(frames_of(), 20)
    assert from_poles(*poles(filters)) == pytest.approx(filters, abs=1e-7)


def test_refilter_is_the_recursion() -> None:
    frames = frames_of()
    inverse = burg(frames, 20)
    forward = np.roll(inverse, 1, axis=1)
    expected = [
        lfilter([1.0], bottom, lfilter(top, [1.0], frame))
        for frame, top, bottom in zip(frames, inverse.T, forward.T, strict=True)
    ]
    peak = np.abs(expected).max(axis=1, keepdims=True)
    assert np.abs((refilter(frames, inverse, forward) - expected) / peak).max() < 1e-6


def test_power_of_one_changes_nothing() -> None:
    frames = frames_of()
    assert turn_poles(frames, 1.0) == pytest.approx(frames, abs=1e-7)


@pytest.mark.parametrize("alpha", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("speaker", [MAN, WOMAN], ids=["man", "woman"])
def test_is_the_baseline(speaker: Speaker, alpha: float) -> None:
    samples = speech(speaker, 2.0)
    found = McAdams().apply(Audio(samples, RATE), McAdamsVoice(alpha), np.random.default_rng(0)).mono
    expected = b2(samples, alpha)
    expected /= max(1.0, np.abs(expected).max())
    inside = slice(320, -480)  # the baseline leaves out both ends
    error = found[inside] - expected[inside]
    # It adds float32's epsilon to every sample and again to every frame; what is left is what that does.
    assert np.sqrt(np.mean(error**2)) < 20 * np.finfo(np.float32).eps
    assert np.abs(error).max() < 1e-3 * np.abs(expected).max()


def test_formants_move_by_the_power_of_their_angle() -> None:
    alpha = 0.8
    before = vowel((700.0, 1_900.0), 100.0, 0.5)
    after = McAdams().apply(Audio(before, RATE), McAdamsVoice(alpha), np.random.default_rng(0)).mono
    angle = 2.0 * np.pi * 1_900.0 / RATE
    expected_hz = angle**alpha * RATE / (2.0 * np.pi)
    spectrum = np.abs(np.fft.rfft(after[2_000:6_000] * np.hanning(4_000)))
    hz = np.fft.rfftfreq(4_000, 1.0 / RATE)
    near = (hz > 1_500.0) & (hz < 3_500.0)
    assert hz[near][spectrum[near].argmax()] == pytest.approx(expected_hz, abs=150.0)


def test_alpha_is_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([McAdams().draw(rng).alpha for _ in range(2_000)])
    assert drawn.min() >= 0.5
    assert drawn.max() <= 0.9
    assert drawn.mean() == pytest.approx(0.7, abs=4 * 0.4 / np.sqrt(12 * 2_000))
