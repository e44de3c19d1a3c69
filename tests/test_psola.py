"""PSOLA: pitch and formants move by the drawn ratios, and nothing else does."""

import numpy as np
import numpy.typing as npt
import pytest

from deident.audio import RATE, Audio
from deident.disguise.pitch_shift import PitchShift, PitchShiftVoice
from deident.disguise.psola import Psola, PsolaVoice
from deident.dsp.lpc import burg, poles
from deident.dsp.pitch import PitchTracker
from deident.dsp.psola import pulse_offsets, repitch
from deident.dsp.resample import exact_ratio, resample
from tests.voices import MAN, VOWELS, WOMAN, hiss, pulses, speech, vowel

TRACKER = PitchTracker(hop=256)
INSIDE = slice(3_000, -3_000)


def median_hz(samples: npt.NDArray[np.float32]) -> float:
    return TRACKER.track(samples[INSIDE]).median_hz


def formants_hz(samples: npt.NDArray[np.float32], count: int = 3) -> npt.NDArray[np.float64]:
    """The lowest formants of a vowel: medians over frames of 46 ms of linear prediction at 11 kHz, as Praat does."""
    from scipy.signal import resample_poly

    rate = 11_000
    clear = np.append(0.0, np.diff(resample_poly(samples.astype(np.float64), 11, 16)))[2_000:-2_000]
    frames = np.lib.stride_tricks.sliding_window_view(clear, 512)[::60] * np.hanning(512)
    re, im = poles(burg(frames, 12))
    hz = np.arctan2(im, re) * rate / (2.0 * np.pi)
    width = -np.log(np.hypot(re, im)) * rate / np.pi
    hz[(hz < 90.0) | (width > 600.0)] = np.inf
    found: npt.NDArray[np.float64] = np.median(np.sort(hz, axis=0)[:count], axis=1)
    return found


def glide(low_hz: float, high_hz: float, seconds: float = 1.5) -> npt.NDArray[np.float64]:
    """Make a slowly varying pitch, whose harmonics sample the formants."""
    time = np.arange(round(seconds * RATE)) / RATE
    return low_hz + (high_hz - low_hz) * (0.5 - 0.5 * np.cos(2.0 * np.pi * 2.0 * time))


@pytest.mark.parametrize("name", ["a", "e", "o"])
@pytest.mark.parametrize(
    ("semitones", "ratio"), [(4.0, 1.15), (-4.0, 1.15), (4.0, 1 / 1.15), (-4.0, 1 / 1.15), (2.5, 1.22)]
)
def test_pitch_and_formants_move_by_the_drawn_ratios(name: str, semitones: float, ratio: float) -> None:
    before = vowel(name, glide(95.0, 125.0), 1.5)
    after = Psola().apply(Audio(before, RATE), PsolaVoice(semitones, ratio), np.random.default_rng(0)).mono
    assert 12.0 * np.log2(median_hz(after) / median_hz(before)) == pytest.approx(semitones, abs=0.5)
    assert formants_hz(after) == pytest.approx(ratio * np.array(VOWELS[name][:3]), rel=0.05)
    assert len(after) == len(before)


def test_the_formant_measure_is_right_on_known_vowels() -> None:
    assert formants_hz(vowel("a", glide(95.0, 125.0), 1.5)) == pytest.approx(VOWELS["a"][:3], rel=0.05)


@pytest.mark.parametrize("f0_hz", [60.0, 110.0, 210.0, 320.0, 430.0])
@pytest.mark.parametrize("semitones", [-5.0, -2.5, 2.5, 5.0])
def test_pitch_moves_in_every_voice(f0_hz: float, semitones: float) -> None:
    before = vowel("e", f0_hz, 1.0, tract=1.0 + (f0_hz - 60.0) / 1_000.0)
    after = Psola().apply(Audio(before, RATE), PsolaVoice(semitones, 1.1), np.random.default_rng(0)).mono
    wanted = f0_hz * 2.0 ** (semitones / 12.0)
    found = PitchTracker(hop=256, floor_hz=40.0, ceiling_hz=640.0).track(after[INSIDE]).median_hz
    assert 12.0 * np.log2(found / wanted) == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("semitones", [-4.0, 3.0])
def test_pitch_shift_moves_formants_along(semitones: float) -> None:
    ratio = 2.0 ** (semitones / 12.0)
    before = vowel("e", glide(95.0, 125.0), 1.5)
    after = PitchShift().apply(Audio(before, RATE), PitchShiftVoice(semitones), np.random.default_rng(0)).mono
    assert 12.0 * np.log2(median_hz(after) / median_hz(before)) == pytest.approx(semitones, abs=0.5)
    assert formants_hz(after) == pytest.approx(ratio * np.array(VOWELS["e"][:3]), rel=0.05)
    assert len(after) == len(before)


def test_timing_is_kept() -> None:
    before = np.zeros(2 * RATE, np.float32)
    for start in (4_000, 15_000, 26_000):
        before[start : start + 3_200] = vowel("a", 120.0, 0.2) * np.hanning(3_200)
    after = Psola().apply(Audio(before, RATE), PsolaVoice(4.0, 1.2), np.random.default_rng(0)).mono
    for start in (4_000, 15_000, 26_000):
        energy = after[start - 1_000 : start + 4_200].astype(np.float64) ** 2
        assert (energy * np.arange(5_200)).sum() / energy.sum() == pytest.approx(1_000 + 1_600, abs=128)
    assert np.abs(after[8_500:14_000]).max() < 1e-3


@pytest.mark.parametrize("speaker", [MAN, WOMAN], ids=["man", "woman"])
def test_crossfades_add_no_high_frequencies(speaker: object) -> None:
    """Steps at crossfades would add energy above the highest formant."""
    before = vowel("a", 120.0 if speaker is MAN else 215.0, 1.0, 1.0 if speaker is MAN else 1.17)
    for semitones in (-4.0, 4.0):
        after = Psola().apply(Audio(before, RATE), PsolaVoice(semitones, 1.1), np.random.default_rng(0)).mono
        steps = [np.abs(np.diff(x[INSIDE], 2)).max() / np.abs(x[INSIDE]).max() for x in (before, after)]
        assert steps[1] < 1.5 * steps[0]


@pytest.mark.parametrize(("f0_hz", "tract"), [(110.0, 1.0), (220.0, 1.17), (330.0, 1.35)])
def test_a_steady_pitch_stays_steady(f0_hz: float, tract: float) -> None:
    """Energy between the harmonics stays 28 dB below them, for high voices too."""
    semitones, count = 3.3, 12_000
    after = (
        Psola()
        .apply(
            Audio(vowel("o", f0_hz, 1.0, tract), RATE), PsolaVoice(semitones, 1.15), np.random.default_rng(0)
        )
        .mono
    )
    power = np.abs(np.fft.rfft(after[2_000 : 2_000 + count] * np.hanning(count))) ** 2
    place = np.arange(len(power)) * RATE / count / (f0_hz * 2.0 ** (semitones / 12.0))
    between = np.abs(place - np.rint(place)) > 0.15
    assert 10.0 * np.log10(power[~between].sum() / power[between].sum()) > 28.0


def test_a_lower_pitch_has_no_echoes() -> None:
    """There is one pulse a period, and none of its old neighbours in between."""
    before = pulses(100.0, RATE, tilt_db=-1.0)
    after = repitch(before, TRACKER.track(before), 0.68)[4_000:12_000]
    period = RATE / 68.0
    first = int(np.argmax(after[: int(period)]))
    place = (np.arange(len(after)) - first) / period
    away = np.abs(place - np.rint(place)) > 0.15
    assert (after[away] ** 2).sum() / (after**2).sum() < 0.03


def test_hiss_keeps_its_spectrum_and_level() -> None:
    before = hiss(2.0, 4_000.0)
    pitch = TRACKER.track(before)
    after = repitch(before, pitch, ratio=1.3, stretch=1.2)
    assert len(after) == round(1.2 * len(before))

    def bands(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::128] * np.hanning(512)
        power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
        return 10.0 * np.log10(power[1:].reshape(16, -1).mean(axis=1))

    assert bands(after)[4:] == pytest.approx(bands(before)[4:], abs=2.5)


def test_repitch_moves_pitch_alone() -> None:
    before = vowel("a", 110.0, 1.0)
    pitch = TRACKER.track(before)
    assert median_hz(repitch(before, pitch, 1.25)) == pytest.approx(137.5, rel=0.01)
    assert median_hz(repitch(before, pitch, 1.0, stretch=1.3)) == pytest.approx(110.0, rel=0.01)


def test_a_ratio_of_one_delays_by_less_than_a_period() -> None:
    before = vowel("a", 110.0, 1.0)
    after = repitch(before, TRACKER.track(before), 1.0)
    likeness = [
        np.corrcoef(before[2_000 + lag : 12_000 + lag], after[2_000:12_000])[0, 1] for lag in range(-74, 75)
    ]
    assert max(likeness) > 0.98


@pytest.mark.parametrize("f0_hz", [70.0, 140.0, 350.0])
def test_glottal_pulses_are_located(f0_hz: float) -> None:
    samples = pulses(f0_hz, RATE, tilt_db=-3.0)  # its pulses are at whole periods
    pitch = TRACKER.track(samples)
    places = np.arange(len(pitch.f0_hz)) * 256 + pulse_offsets([samples], [pitch])[0]
    phase = (places * f0_hz / RATE + 0.5) % 1.0 - 0.5
    assert np.abs(phase[4:-4]).max() < 0.05


@pytest.mark.parametrize("ratio", [0.75, 0.8789, 1.1367, 1.375])
@pytest.mark.parametrize("hz", [200.0, 2_000.0, 4_500.0])
def test_resample_multiplies_every_frequency(ratio: float, hz: float) -> None:
    ratio = exact_ratio(ratio)
    time = np.arange(round(RATE * ratio))
    played = resample(np.sin(2.0 * np.pi * hz / RATE * time).astype(np.float32), ratio, RATE)
    expected = np.sin(2.0 * np.pi * hz * ratio / RATE * np.arange(RATE))
    assert len(played) == RATE
    assert np.abs(played - expected)[100:-100].max() < 2.0 * 10.0 ** (-53.0 / 20.0)  # of a Hamming window


def test_resample_does_not_alias() -> None:
    tone = np.sin(2.0 * np.pi * 7_500.0 / RATE * np.arange(20_000)).astype(np.float32)
    assert np.abs(resample(tone, 1.25, RATE)[100:-100]).max() < 10.0 ** (-50.0 / 20.0)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 5_000])
def test_resample_returns_the_requested_length(length: int) -> None:
    for ratio in (0.75, 1.25):
        played = resample(np.ones(1_000, np.float32), ratio, length)
        assert len(played) == length
        assert np.abs(played[int(1_000 / ratio) + 32 :]).max(initial=0.0) < 1e-6


def test_the_exact_ratio_is_near() -> None:
    ratios = np.geomspace(0.5, 2.0, 999)
    assert max(abs(exact_ratio(ratio) / ratio - 1.0) for ratio in ratios) < 0.004


def test_a_voice_is_never_the_original() -> None:
    rng = np.random.default_rng(0)
    voices = [Psola().draw(rng) for _ in range(500)]
    semitones = np.array([voice.semitones for voice in voices])
    ratios = np.array([voice.formant_ratio for voice in voices])
    assert np.abs(semitones).min() >= 2.5
    assert np.abs(np.log(ratios)).min() >= np.log(1.1) * (1 - 1e-12)
    for side in (semitones > 0, ratios > 1):
        assert side.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(500))
    assert abs(np.corrcoef(semitones, np.log(ratios))[0, 1]) < 4 / np.sqrt(500)


def test_nothing_gets_louder_than_full_scale() -> None:
    loud = np.clip(20.0 * speech(MAN, 1.0), -1.0, 1.0)
    after = Psola().apply(Audio(loud, RATE), PsolaVoice(5.0, 1.22), np.random.default_rng(0)).mono
    assert 0.5 < np.abs(after).max() <= 1.0
