"""Level, comfort noise, fades and quantisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deident import DISGUISES, Key, Policy, deidentify
from deident.audio import RATE
from deident.dsp.level import (
    LEVEL_DB,
    bend_peaks,
    fade,
    random_bytes,
    remove_offset,
    replace_quiet,
    rms,
    round_to_pcm,
    set_level,
)
from tests.voices import WOMAN, speech

RNG = np.random.default_rng(1)


def speechlike(gain: float) -> np.ndarray:
    envelope = np.abs(np.sin(np.arange(32_000) / 3_000)) + 0.05
    return (gain * envelope * RNG.standard_normal(32_000)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.001, 0.03, 0.5])
@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_level_is_constant_and_without_dc(gain: float, offset: float) -> None:
    out = set_level(speechlike(gain) + np.float32(offset))
    assert 20 * np.log10(rms(out)) == pytest.approx(LEVEL_DB, abs=0.2)
    assert abs(out.mean()) < 1e-4


@pytest.mark.parametrize("offset", [0.05, -0.3, 0.6])
def test_an_offset_changes_no_level_through_disguise_and_pipeline(offset: float) -> None:
    """Also where a disguise is called as a function, at its own level and at another rate."""
    sound = speech(WOMAN, 4.0, seed=3)
    sound -= sound.mean()
    shifted = sound + np.float32(offset)
    policy = Policy(disguise=DISGUISES["psola"](), repeatable=True)
    for snippet in deidentify((shifted, RATE), policy, key=Key(bytes(32))):
        assert 20 * np.log10(rms(snippet.samples)) == pytest.approx(LEVEL_DB, abs=0.3)
        assert abs(snippet.samples.mean()) < 2e-3
    for rate in (RATE, 22_050):
        out = DISGUISES["pitch_shift"]()(shifted, rate)
        assert abs(out.mean()) < 0.01
        assert rms(out) == pytest.approx(rms(sound), rel=0.1)


def test_a_small_offset_is_left() -> None:
    sound = speechlike(0.1)
    sound -= sound.mean()
    assert remove_offset(sound) is sound
    assert abs(remove_offset(sound + np.float32(0.1)).mean()) < 1e-6


def test_silence_stays_silent() -> None:
    assert not set_level(np.zeros(1_000, np.float32)).any()
    quiet = speechlike(1e-5)
    assert rms(set_level(quiet)) == pytest.approx(rms(quiet), rel=0.01)
    assert set_level(np.zeros(0, np.float32)).size == 0


def test_peaks_are_limited_without_clipping() -> None:
    ramp = np.linspace(-5, 5, 10_001, dtype=np.float32)
    out = bend_peaks(ramp)
    assert np.abs(out).max() <= 1
    assert (np.diff(out) >= 0).all()
    inner = np.abs(ramp) <= 0.7
    assert (out[inner] == ramp[inner]).all()


@given(st.integers(0, 50), st.integers(0, 30))
def test_fades_start_and_end_near_zero(size: int, length: int) -> None:
    out = fade(np.ones(size, np.float32), length)
    assert out.size == size
    used = min(length, size // 2)
    if used > 1:
        assert out[0] < 0.5
        assert out[-1] < 0.5
    assert (out[used : size - used] == 1).all()


def test_rounding_leaves_no_dc_and_no_distortion() -> None:
    quarter_step = np.full(200_000, 0.25 / 32_766, np.float32)
    pcm = round_to_pcm(quarter_step, np.random.default_rng(2))
    assert pcm.mean() == pytest.approx(0.25, abs=0.01)  # truncation would give 0, or -0.25
    noise = round_to_pcm(np.zeros(200_000, np.float32), np.random.default_rng(3))
    assert noise.var() == pytest.approx(1 / 6 + 1 / 12, rel=0.05)  # triangular, and rounding on top
    rails = round_to_pcm(np.array([-1, 1] * 1_000, np.float32), np.random.default_rng(4))
    assert rails.min() >= -32_768
    assert rails.max() <= 32_767
    assert abs(int(rails.max()) - 32_766) <= 1


@pytest.mark.parametrize("room", [1e-5, 1e-3, 0.01])
def test_comfort_noise_does_not_depend_on_the_room(room: float) -> None:
    """Any background between words becomes the same faint noise; the words stay."""
    speech = np.zeros(48_100, np.float32)  # ends within a frame
    speech[8_000:16_000] = 0.1 * RNG.standard_normal(8_000)
    speech[30_000:40_000] = 0.1 * RNG.standard_normal(10_000)
    spot = np.sin(np.arange(48_100) / 3.0).astype(np.float32)  # the room's own note
    out = replace_quiet(speech + np.float32(room) * spot, np.random.default_rng(2))
    gap = out[18_000:28_000]
    assert 20 * np.log10(rms(gap)) == pytest.approx(-70.0, abs=0.3)
    note = abs(np.dot(gap, np.exp(1j * np.arange(18_000, 28_000) / 3.0))) / np.linalg.norm(gap)
    assert note < 4.0  # of 70 where nothing else sounds
    assert np.abs(out - speech)[8_500:15_500].max() < 1.2 * room + 2e-3
    assert np.abs(out[:8_000]).max() < 0.01 + room
    assert not out[48_000:].any()


def test_comfort_noise_fades_in_and_out() -> None:
    """The sound fades within 10 ms, 30 ms after the word and before the next one."""
    words = np.full(
        24_000, 0.004, np.float32
    )  # 42 dB below them: a constant, so that only the fade changes it
    words[:8_000] = words[16_000:] = 0.5
    out = replace_quiet(words, np.random.default_rng(2))
    rise = (np.arange(160) + 0.5) / 160
    np.testing.assert_allclose(out[8_320:8_480], 0.004 * (1.0 - rise), atol=1e-3)
    np.testing.assert_allclose(out[15_360:15_520], 0.004 * rise, atol=1e-3)
    assert np.abs(out[8_480:15_360]).max() < 1e-3
    np.testing.assert_allclose(out[8_000:8_320], 0.004, atol=1e-3)


def test_a_snippet_without_pauses_keeps_its_sound() -> None:
    for loud in (speechlike(0.1), np.zeros(1_000, np.float32), np.ones(200, np.float32) * np.float32(0.1)):
        out = replace_quiet(loud, np.random.default_rng(2))
        assert out.shape == loud.shape
        assert rms(out - loud) < 0.05 * rms(loud) + 5e-4


@pytest.mark.parametrize("count", [1, 7, 8, 1_001])
def test_random_bytes_are_those_of_the_generator(count: int) -> None:
    there = np.random.default_rng(4).bytes(count)
    assert random_bytes(count, np.random.default_rng(4)).tobytes() == there


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"])
def test_random_bytes_are_all_those_of_any_generator(bits: str) -> None:
    first, second = (np.random.Generator(getattr(np.random, bits)(4)) for _ in range(2))
    there = second.integers(0, 2**64, 126, dtype=np.uint64).astype("<u8").tobytes()[:1_001]
    assert random_bytes(1_001, first).tobytes() == there
