"""A second voice in a piece."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import numpy.typing as npt
import pytest

from deident.audio import RATE, Audio, Samples
from deident.errors import SettingError
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Tally
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.voices import (
    MOST_CHANGE,
    MOST_OVERLAP,
    change_of_spectrum,
    has_one_voice,
    likeness,
    overlap,
)
from tests.methods import Sine
from tests.voices import MAN, WOMAN, speech

ONE_VOICE = Policy(disguise=Sine(), cutting=CuttingSettings(one_voice=True))


def spoken(formants: tuple[float, ...], seconds: float, seed: int) -> Samples:
    """Noise with formants that move from syllable to syllable."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(round(seconds / 0.1)):
        spectrum = np.fft.rfft(rng.standard_normal(RATE // 10))
        hz = np.fft.rfftfreq(RATE // 10, 1 / RATE)
        peaks = [1.0 / (1.0 + ((hz - f * rng.uniform(0.8, 1.25)) / 120.0) ** 2) for f in formants]
        parts.append(np.fft.irfft(spectrum * np.sum(peaks, axis=0)))
    samples = np.concatenate(parts)
    return np.asarray(0.1 * samples / samples.std(), np.float32)


LOW, HIGH = (400.0, 1_200.0, 2_300.0), (600.0, 1_900.0, 3_400.0)


def test_a_change_of_voice_is_found_wherever_it_is() -> None:
    for seed in range(3):
        assert change_of_spectrum(spoken(LOW, 6.0, seed)) < MOST_CHANGE
        for first in (1.0, 3.0, 5.0):
            both = np.concatenate([spoken(LOW, first, seed), spoken(HIGH, 6.0 - first, seed + 9)])
            assert change_of_spectrum(both) > MOST_CHANGE
            assert not has_one_voice(both)
            assert change_of_spectrum(both * np.float32(0.01)) == pytest.approx(
                change_of_spectrum(both), rel=0.01
            )


def test_a_pause_or_a_change_of_level_is_no_change_of_voice() -> None:
    samples = spoken(LOW, 6.0, 1)
    samples[2 * RATE : 3 * RATE] = 0.0
    samples[4 * RATE :] *= 0.3
    assert has_one_voice(samples)


@pytest.mark.parametrize("encoder", [None, "by_nothing"])
def test_two_pitches_at_once_are_two_voices(encoder: str | None) -> None:
    embed = by_nothing if encoder else None
    man, woman = speech(MAN, 5.0, 1), speech(WOMAN, 5.0, 2)
    size = min(man.size, woman.size)
    both = man[:size] / man.std() + woman[:size] / woman.std()
    assert overlap(both) > 2 * MOST_OVERLAP
    assert not has_one_voice(both, embed)
    for one in (man, woman):
        assert overlap(one) < MOST_OVERLAP
        assert has_one_voice(one, by_nothing)


@pytest.mark.parametrize("size", [0, 1, 511, 6_000])
def test_what_is_too_short_or_silent_is_one_voice(size: int) -> None:
    assert has_one_voice(np.zeros(size, np.float32))
    assert has_one_voice(spoken(LOW, 1.0, 1)[:size])
    assert has_one_voice(spoken(LOW, 1.0, 1)[:size], by_pitch)


def by_pitch(samples: Samples) -> npt.NDArray[np.float64]:
    """Embed a tone by its frequency."""
    hz = np.fft.rfftfreq(samples.size, 1 / RATE)[np.abs(np.fft.rfft(samples)).argmax()]
    return np.array([np.cos(hz / 300.0), np.sin(hz / 300.0)])


def tone(hz: float, seconds: float) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_an_encoder_compares_all_before_with_all_behind() -> None:
    both = np.concatenate([tone(100.0, 3.0), tone(500.0, 3.0)])
    assert likeness(tone(100.0, 6.0), by_pitch) == pytest.approx(1.0)
    assert likeness(both, by_pitch) == pytest.approx(np.cos(400 / 300), abs=0.1)
    assert has_one_voice(tone(100.0, 6.0), by_pitch)
    assert not has_one_voice(both, by_pitch)
    for wrong in (lambda samples: 1.0, lambda samples: np.array([np.nan])):
        with pytest.raises(SettingError, match="one vector"):
            likeness(both, wrong)


def test_a_piece_with_two_voices_is_dropped_and_counted() -> None:
    low, high = spoken(LOW, 4.0, 1), spoken(HIGH, 3.0, 2)
    pause = np.zeros(RATE, np.float32)
    audio = Audio(np.concatenate([pause, low, pause, low, high, pause]), RATE)
    everything, one = Tally(), Tally()
    given = replace(ONE_VOICE, detector=loud)
    assert len(list(deidentify(audio, replace(given, cutting=CuttingSettings()), tally=everything))) == 2
    [snippet] = deidentify(audio, given, tally=one)
    assert snippet.seconds == pytest.approx(4.0, abs=0.3)
    assert one.dropped_seconds.keys() == {"two_voices"}
    assert one.dropped_seconds["two_voices"] == pytest.approx(7.0, abs=0.3)
    kept = list(deidentify(audio, replace(given, encoder=by_nothing), tally=Tally()))
    assert len(kept) == 2  # the encoder takes the place of the spectrum


def loud(samples: Samples, rate: int) -> npt.NDArray[np.bool_]:
    return np.abs(samples).reshape(-1, rate // 10).max(axis=1) > 0


def by_nothing(samples: Samples) -> npt.NDArray[np.float64]:
    return np.ones(3)


def test_an_encoder_goes_with_one_voice_alone() -> None:
    assert replace(ONE_VOICE, encoder=by_nothing).fingerprint() != ONE_VOICE.fingerprint()
    assert ONE_VOICE.fingerprint() != Policy(disguise=Sine()).fingerprint()
    with pytest.raises(SettingError, match="one_voice"):
        Policy(encoder=by_nothing)
    with pytest.raises(SettingError, match="callable"):
        replace(ONE_VOICE, encoder="onnx")  # type: ignore[arg-type]
    assert Policy.from_mapping({"cutting": {"one_voice": True}}).cutting.one_voice


def test_it_is_an_option_of_a_run(
    deident: Callable[..., CompletedProcess[str]], tmp_path: Path, recordings: Path
) -> None:
    arguments = ["run", recordings / "call.wav", "--out", tmp_path / "s", "--dry-run", "--jobs", "1"]
    named = ["--voice-encoder", "tests.test_voices:by_nothing"]
    assert deident(*arguments, "--one-voice").returncode == deident(*arguments, *named).returncode == 0
    assert deident(*arguments, "--voice-encoder", "no.such:thing").returncode == 2
