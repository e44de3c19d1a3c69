"""A second voice in a piece."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import numpy.typing as npt
import pytest

from deident.audio import RATE, Audio, Samples, Segment
from deident.errors import SettingError
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Tally
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.voices import (
    MARGIN_SECONDS,
    MOST_APART,
    MOST_CHANGE,
    MOST_OVERLAP,
    WINDOWS_POWER,
    Change,
    Encoder,
    change_of_embedding,
    change_of_spectrum,
    overlap,
    parts_of_one_voice,
)
from tests.methods import Sine
from tests.voices import MAN, WOMAN, speech

ONE_VOICE = Policy(disguise=Sine(), cutting=CuttingSettings(one_voice=True))


def spoken(formants: tuple[float, ...], seconds: float, seed: int, syllable: float = 0.1) -> Samples:
    """Noise with formants that move from syllable to syllable."""
    rng = np.random.default_rng(seed)
    parts = []
    size = round(syllable * RATE)
    for _ in range(round(seconds / syllable)):
        spectrum = np.fft.rfft(rng.standard_normal(size))
        hz = np.fft.rfftfreq(size, 1 / RATE)
        peaks = [1.0 / (1.0 + ((hz - f * rng.uniform(0.8, 1.25)) / 120.0) ** 2) for f in formants]
        parts.append(np.fft.irfft(spectrum * np.sum(peaks, axis=0)))
    samples = np.concatenate(parts)
    return np.asarray(0.1 * samples / samples.std(), np.float32)


LOW, HIGH = (400.0, 1_200.0, 2_300.0), (600.0, 1_900.0, 3_400.0)


def is_whole(samples: Samples, encoder: Encoder | None = None) -> bool:
    return parts_of_one_voice(samples, encoder) == [Segment(0, samples.size)]


def edges_of(change: Change, samples: Samples) -> list[float]:
    """Return the edges of a part that differs in its piece, in seconds."""
    return sorted(edge / RATE for edge in {change.start, change.stop} - {0, samples.size})


def test_a_change_of_voice_is_found_wherever_it_is() -> None:
    for seed in range(3):
        assert change_of_spectrum(spoken(LOW, 6.0, seed)).size < MOST_CHANGE
        for first in (1.0, 3.0, 5.0):
            both = np.concatenate([spoken(LOW, first, seed), spoken(HIGH, 6.0 - first, seed + 9)])
            change = change_of_spectrum(both)
            assert change.size > MOST_CHANGE
            assert edges_of(change, both) == pytest.approx([first], abs=0.2)
            assert not is_whole(both)
            assert change_of_spectrum(both * np.float32(0.01)).size == pytest.approx(change.size, rel=0.01)


def test_a_voice_between_two_turns_of_another_is_found() -> None:
    """Compared with all behind it, a turn would be of half the same voice."""
    for seed in range(3):
        turns = np.concatenate(
            [spoken(LOW, 2.0, seed), spoken(HIGH, 2.0, seed + 9), spoken(LOW, 2.0, seed + 19)]
        )
        change = change_of_spectrum(turns)
        assert change.size > MOST_CHANGE
        assert edges_of(change, turns) == pytest.approx([2.0, 4.0], abs=0.2)
    turns = np.concatenate([tone(100, 3.0), tone(500, 3.0), tone(100, 3.0)])
    assert edges_of(change_of_embedding(turns, by_pitch), turns) == pytest.approx([3.0, 6.0], abs=0.5)


def test_slow_speech_is_no_change_of_voice() -> None:
    """Of a long vowel, many frames say the same."""
    for seed in range(5):
        assert is_whole(spoken(LOW, 9.0, seed, syllable=0.25))


@pytest.mark.parametrize("encoder", [None, "by_pitch"])
def test_a_piece_is_cut_at_a_change_of_voice(encoder: str | None) -> None:
    embed = by_pitch if encoder else None
    one, other = (tone(100, 4.0), tone(500, 4.0)) if encoder else (spoken(LOW, 4.0, 1), spoken(HIGH, 4.0, 2))
    first, second = parts_of_one_voice(np.concatenate([one, other]), embed)
    assert (first.start, second.stop) == (0, 8 * RATE)
    assert first.stop < 4 * RATE < second.start
    assert (second.start - first.stop) / RATE == pytest.approx(2 * MARGIN_SECONDS)
    parts = parts_of_one_voice(np.concatenate([one, other, one]), embed)
    assert [part.start > 0 for part in parts] == [False, True, True]
    for part, turn in zip(parts, (0, 4, 8), strict=True):
        assert turn * RATE <= part.start < part.stop <= (turn + 4) * RATE


def test_nothing_is_kept_beside_a_short_turn_or_of_a_side_with_two_voices() -> None:
    low, high = spoken(LOW, 5.0, 1), spoken(HIGH, 5.0, 2)
    assert parts_of_one_voice(np.concatenate([low, high[: round(1.3 * RATE)]])) == []
    other = spoken((900.0, 1_500.0, 4_500.0), 5.0, 3)
    assert (
        parts_of_one_voice(np.concatenate([low[: 3 * RATE], other[: 3 * RATE], high[: 3 * RATE], other]))
        == []
    )
    man, woman = speech(MAN, 3.0, 1), speech(WOMAN, 3.0, 2)
    side = man[: 2 * RATE] / man.std()
    side[RATE : round(1.8 * RATE)] += woman[: round(0.8 * RATE)] / woman.std()
    piece = np.concatenate([spoken(LOW, 6.0, 1), np.float32(0.1) * side.astype(np.float32)])
    assert overlap(piece) < MOST_OVERLAP  # so much of one voice is beside it
    assert parts_of_one_voice(piece) == []


def test_a_pause_or_a_change_of_level_is_no_change_of_voice() -> None:
    samples = spoken(LOW, 6.0, 1)
    samples[2 * RATE : 3 * RATE] = 0.0
    samples[4 * RATE :] *= 0.3
    assert is_whole(samples)


@pytest.mark.parametrize("encoder", [None, "by_nothing"])
def test_two_pitches_at_once_are_two_voices(encoder: str | None) -> None:
    embed = by_nothing if encoder else None
    man, woman = speech(MAN, 5.0, 1), speech(WOMAN, 5.0, 2)
    size = min(man.size, woman.size)
    both = man[:size] / man.std() + woman[:size] / woman.std()
    assert overlap(both) > 2 * MOST_OVERLAP
    assert parts_of_one_voice(np.asarray(both, np.float32), embed) == []
    for one in (man, woman):
        assert overlap(one) < MOST_OVERLAP
        assert is_whole(one, by_nothing)


@pytest.mark.parametrize("size", [1, 511, 6_000])
def test_what_is_too_short_or_silent_is_one_voice(size: int) -> None:
    assert is_whole(np.zeros(size, np.float32))
    assert is_whole(spoken(LOW, 1.0, 1)[:size])
    assert is_whole(spoken(LOW, 1.0, 1)[:size], by_pitch)


def by_pitch(samples: Samples) -> npt.NDArray[np.float64]:
    """Embed a tone by its frequency."""
    hz = np.fft.rfftfreq(samples.size, 1 / RATE)[np.abs(np.fft.rfft(samples)).argmax()]
    return np.array([np.cos(hz / 300.0), np.sin(hz / 300.0)])


def tone(hz: float, seconds: float) -> Samples:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_an_encoder_compares_a_part_with_the_rest() -> None:
    both = np.concatenate([tone(100.0, 3.0), tone(500.0, 3.0)])
    assert change_of_embedding(tone(100.0, 6.0), by_pitch).size == pytest.approx(0.0, abs=1e-6)
    change = change_of_embedding(both, by_pitch)
    assert change.size == pytest.approx(
        (1.0 - np.cos(400 / 300)) * (30 / 11) ** WINDOWS_POWER, abs=0.1
    )  # 5 windows of 11
    assert edges_of(change, both) == pytest.approx([3.0], abs=0.3)
    assert change_of_embedding(tone(100.0, 1.4), by_pitch) == Change(0.0)
    for wrong in (lambda samples: 1.0, lambda samples: np.array([np.nan])):
        with pytest.raises(SettingError, match="one vector"):
            change_of_embedding(both, wrong)


@pytest.mark.parametrize("first", [2.3, 3.3, 5.3])
def test_an_encoder_finds_a_turn_that_is_shorter_than_a_second(first: float) -> None:
    turns = [tone(100.0, first), tone(700.0, 0.7)]
    for both in (np.concatenate(turns), np.concatenate(turns[::-1])):
        assert change_of_embedding(both, by_pitch).size > MOST_APART
        assert not is_whole(both, by_pitch)


def seconds_of(policy: Policy, *turns: Samples, seed: int = 1) -> tuple[list[float], Tally]:
    """Return the seconds of snippets of turns without a pause between them, and the tally, in which all is counted."""
    tally, pause = Tally(), np.zeros(RATE, np.float32)
    snippets = list(deidentify(Audio(np.concatenate([pause, *turns, pause]), RATE), policy, tally=tally))
    dropped = sum(tally.dropped_seconds.values())
    assert tally.speech_seconds == pytest.approx(tally.released_seconds + dropped + tally.shortened_seconds)
    assert tally.released_seconds == pytest.approx(sum(snippet.seconds for snippet in snippets))
    return [snippet.seconds for snippet in snippets], tally


def test_a_piece_with_two_voices_is_cut_or_dropped_and_counted() -> None:
    low, high, short = spoken(LOW, 4.0, 1), spoken(HIGH, 4.0, 2), spoken(HIGH, 1.2, 2)
    given = replace(ONE_VOICE, detector=loud)
    everything, tally = seconds_of(replace(given, cutting=CuttingSettings()), low, high)
    assert (everything, tally.dropped_seconds) == ([pytest.approx(8.0, abs=0.5)], {})
    cut, tally = seconds_of(given, low, high)
    assert cut == pytest.approx([4.0 - MARGIN_SECONDS] * 2, abs=0.3)
    assert tally.dropped_seconds == {"two_voices": pytest.approx(2 * MARGIN_SECONDS)}
    for settings, turns in (
        ({}, (low, short)),
        ({"whole_turns": True}, (low, high)),
        ({"min_seconds": 5.0}, (low, high)),
    ):
        policy = replace(given, cutting=CuttingSettings(one_voice=True, **settings))
        none, tally = seconds_of(policy, *turns)
        assert none == []
        assert tally.dropped_seconds == {"two_voices": pytest.approx(tally.speech_seconds)}
    whole, tally = seconds_of(replace(given, encoder=by_nothing), low, high)
    assert len(whole) == 1  # the encoder takes the place of the spectrum


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
