"""Pitch tracking on vowels of known pitch, on unvoiced sounds, and on real speech."""

from pathlib import Path

import numpy as np
import pytest

from deident.dsp.pitch import Pitch, PitchTracker, _best_path
from deident.errors import SettingError
from tests.voices import RATE, hiss, pulses, speech, vowel

INSIDE = slice(5, -5)  # frames that reach past neither end


@pytest.mark.parametrize("f0_hz", [55.0, 70.0, 110.0, 165.0, 230.0, 310.0, 400.0, 450.0])
@pytest.mark.parametrize("name", ["a", "e", "i", "o", "u"])
def test_sustained_vowel(name: str, f0_hz: float) -> None:
    found = PitchTracker().track(vowel(name, f0_hz, 0.5, tract=1.2)).f0_hz[INSIDE]
    assert found == pytest.approx(f0_hz, rel=0.02)


@pytest.mark.parametrize(("start_hz", "stop_hz"), [(90.0, 180.0), (320.0, 160.0)])
def test_gliding_vowel(start_hz: float, stop_hz: float) -> None:
    track = np.geomspace(start_hz, stop_hz, RATE)
    found = PitchTracker(hop=160).track(vowel("a", track)).f0_hz
    assert found[INSIDE] == pytest.approx(track[::160][5:96], rel=0.03)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE, np.float32),
        np.full(RATE, 0.5, np.float32),
        np.random.default_rng(0).normal(0.0, 0.3, RATE).astype(np.float32),
        hiss(1.0),
    ],
    ids=["silence", "offset", "white noise", "hiss"],
)
def test_sounds_without_pitch_are_unvoiced(samples: np.ndarray) -> None:
    assert PitchTracker().track(samples).voiced.mean() <= 0.02


def test_quiet_hum_between_words_is_unvoiced() -> None:
    samples = np.concatenate((vowel("a", 110.0, 0.5), 0.002 * vowel("i", 120.0, 0.5), vowel("a", 110.0, 0.5)))
    voiced = PitchTracker().track(samples).voiced
    assert voiced[10:55].all()
    assert not voiced[70:118].any()


def test_frames_are_centred_and_cover_the_samples() -> None:
    samples = np.concatenate((np.zeros(8_000, np.float32), vowel("a", 140.0, 0.5)))
    pitch = PitchTracker(hop=256).track(samples)
    assert len(pitch.f0_hz) == len(pitch.strength) == 16_000 // 256 + 1
    assert abs(int(np.argmax(pitch.voiced)) * 256 - 8_000) <= 512


def test_reversed_sound_has_the_reversed_pitch() -> None:
    """This holds only for frames that are centred."""
    samples = vowel("a", np.geomspace(90.0, 360.0, 128 * 60 + 1), (128 * 60 + 1) / RATE)
    there, back = (PitchTracker().track(x).f0_hz[INSIDE] for x in (samples, samples[::-1].copy()))
    assert back[::-1] == pytest.approx(there, rel=4e-3)


def test_a_few_alternating_pulses_do_not_halve_the_pitch() -> None:
    """In creaky speech every second pulse is weak for a while; the pitch has not halved."""
    time = np.arange(RATE) / RATE
    weak = 0.25 * (np.abs(time - 0.5) < 0.04)
    source = pulses(150.0, RATE) * (1.0 - weak) + weak * pulses(75.0, RATE)
    found = PitchTracker().track(source.astype(np.float32)).f0_hz[INSIDE]
    assert found == pytest.approx(150.0, rel=0.03)


@pytest.mark.parametrize("samples", [0, 1, 100, 1_023])
def test_short_input(samples: int) -> None:
    pitch = PitchTracker().track(np.zeros(samples, np.float32))
    assert len(pitch.f0_hz) == samples // 128 + 1
    assert not pitch.voiced.any()


def test_pitch_does_not_depend_on_the_level() -> None:
    samples = speech(seconds=1.0)
    one, two = (PitchTracker().track(samples * np.float32(gain)) for gain in (1.0, 2.0**-9))
    assert np.mean(one.voiced == two.voiced) > 0.98
    both = one.voiced & two.voiced
    assert one.f0_hz[both] == pytest.approx(two.f0_hz[both], rel=1e-3)


def test_best_path_equals_that_of_a_viterbi_loop() -> None:
    rng = np.random.default_rng(3)
    for frames in (1, 2, 3, 8, 57):
        states = rng.standard_normal((4, frames)).astype(np.float32)
        steps = rng.standard_normal((4, 4, frames - 1)).astype(np.float32)
        best, came_from = states[:, 0], []
        for frame in range(1, frames):
            sums = best[:, None] + steps[:, :, frame - 1]
            came_from.append(sums.argmax(axis=0))
            best = sums.max(axis=0) + states[:, frame]
        path = [int(best.argmax())]
        for back in reversed(came_from):
            path.append(int(back[path[-1]]))
        assert _best_path(states, steps).tolist() == path[::-1]


def test_path_scores_stay_precise_after_minutes() -> None:
    """Four thousand frames come before the last four, and do not influence them."""
    states = np.full((3, 4_004), 0.9, np.float32)
    states[1, -4:] += np.float32(1e-5)
    steps = np.full((3, 3, 4_003), -0.5, np.float32)
    steps[range(3), range(3)] = steps[:, :, -4] = 0.0
    assert _best_path(states, steps)[-4:].tolist() == [1] * 4


def test_median_is_of_voiced_frames() -> None:
    f0_hz = np.array([0.0, 100.0, 120.0, 110.0, 0.0], np.float32)
    assert Pitch(f0_hz, np.ones(5, np.float32), 128).median_hz == 110.0
    assert Pitch(np.zeros(2, np.float32), np.ones(2, np.float32), 128).median_hz == 0.0


@pytest.mark.parametrize("settings", [{"hop": 100}, {"hop": 0}, {"floor_hz": 20.0}, {"ceiling_hz": 90.0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        PitchTracker(**settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_agrees_with_pyin_on_real_speech(speech: Path) -> None:
    import soundfile

    from benchmarks.pitch import agreement, speech_files

    total = np.zeros(5, np.int64)
    for path in speech_files(speech, 3)[:3]:
        total += agreement(soundfile.read(path, dtype="float32", stop=48_000)[0], 1_024)
    near, both, theirs, _, _ = total
    assert near / both >= 0.93
    assert both / theirs > 0.75
