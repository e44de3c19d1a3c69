"""Channels that are cut on their own: the same speech comes out once, and two people both do."""

from pathlib import Path

import numpy as np
import pytest

from deident import Policy
from deident.audio import RATE, Audio, Segment, mask_of
from deident.codec import read
from deident.pipeline import deidentify
from deident.recording import Tally
from deident.segmentation.echo import EchoDetector
from deident.segmentation.mute import NO_MUTE
from deident.segmentation.vad import find_speech
from tests.methods import Sine

SPLIT = Policy(disguise=Sine(), channels="split")


@pytest.fixture(scope="module")
def reading(recordings: Path) -> np.ndarray:
    return read(recordings / "reading.mp3").mono


@pytest.fixture(scope="module")
def other(recordings: Path) -> np.ndarray:
    both = read(recordings / "call.wav").mono
    return np.concatenate([both[::-1], both])  # backwards, it has the same voice and other words


def room(samples: np.ndarray, seed: int) -> np.ndarray:
    return samples + 3e-5 * np.random.default_rng(seed).standard_normal(samples.size)


def released(*channels: np.ndarray, policy: Policy = SPLIT) -> Tally:
    tally = Tally()
    length = min(map(len, channels))
    rows = np.stack([room(channel[:length], seed) for seed, channel in enumerate(channels)])
    list(deidentify((rows, RATE), policy, tally=tally))
    return tally


def copy(samples: np.ndarray, level_db: float, delay: int = 0) -> np.ndarray:
    return np.concatenate([np.zeros(delay), samples])[: samples.size] * 10 ** (level_db / 20)


@pytest.mark.parametrize(
    ("level_db", "delay"),
    [(0, 0), (-0.5, 0), (-3, 7), (-3, 1_600), (-15, 803), (-25, 0), (-25, 37), (-35, 0), (-35, 1_599)],
)
def test_a_copy_on_another_channel_is_dropped_as_echo(
    reading: np.ndarray, level_db: float, delay: int
) -> None:
    once = released(reading, np.zeros(reading.size))
    for channels in ((reading, copy(reading, level_db, delay)), (copy(reading, level_db, delay), reading)):
        twice = released(*channels)
        assert twice.released_seconds == pytest.approx(once.released_seconds, abs=0.3)
        assert twice.dropped_seconds["echo"] > 0.85 * once.released_seconds
        assert twice.speech_seconds == pytest.approx(
            twice.released_seconds + sum(twice.dropped_seconds.values()) + twice.shortened_seconds
        )


@pytest.mark.parametrize(("channels", "delay"), [(16, 48), (8, 160), (12, 100)])
def test_an_array_of_microphones_is_released_once(reading: np.ndarray, channels: int, delay: int) -> None:
    once = released(reading, np.zeros(reading.size))
    several = released(*(copy(reading, 0.0, delay * number) for number in range(channels)))
    assert several.released_seconds == pytest.approx(once.released_seconds, abs=0.3)


@pytest.mark.parametrize("loud", [4, 6, 9])
def test_a_copy_is_found_beside_louder_channels_of_others(
    reading: np.ndarray, other: np.ndarray, loud: int
) -> None:
    once = released(other, copy(reading, -12.0))
    louder = [copy(other, -0.1 * number, 30 * number) for number in range(loud)]
    softer = [copy(reading, -12.0, 40 * number) for number in range(3)]
    several = released(*louder, *softer)
    assert several.released_seconds == pytest.approx(once.released_seconds, abs=0.6)  # a soft half second


def test_identical_channels_are_one(reading: np.ndarray) -> None:
    rows = np.stack([reading] * 3)
    tally = Tally()
    list(deidentify((rows, RATE), SPLIT, tally=tally))
    single = Tally()
    list(deidentify((reading, RATE), SPLIT, tally=single))
    assert tally.released_seconds == pytest.approx(single.released_seconds, abs=0.1)
    assert tally.dropped_seconds["echo"] == pytest.approx(2 * single.speech_seconds, abs=0.2)


@pytest.mark.parametrize("crosstalk_db", [None, -25, -35])
def test_two_people_who_talk_at_the_same_time_are_both_released(
    reading: np.ndarray, other: np.ndarray, crosstalk_db: float | None
) -> None:
    length = min(reading.size, other.size)
    one, two = reading[:length], other[:length]
    leak = 0.0 if crosstalk_db is None else 10 ** (crosstalk_db / 20)
    mixed = np.stack([one + leak * two, two + leak * one]).astype(np.float32)
    detector = EchoDetector(2, NO_MUTE)
    detector.push(mixed)
    for channel, own in enumerate((one, two)):
        segments = find_speech(Audio(mixed[channel], RATE))
        lost = mask_of(detector.echoes(channel, segments), length)
        assert np.square(own[lost]).sum() < 0.01 * np.square(own).sum()


def test_real_people_who_talk_at_the_same_time_are_both_released(speech: Path) -> None:
    files = sorted((speech / "verify").glob("*/*_00.flac"))[:12]
    for first, second in zip(files[::2], files[1::2], strict=True):
        one, two = read(first).mono, read(second).mono
        length = min(one.size, two.size)
        rows = np.stack([one[:length], two[:length]])
        detector = EchoDetector(2, NO_MUTE)
        detector.push(rows)
        for channel in (0, 1):
            assert detector.echoes(channel, find_speech(Audio(rows[channel], RATE))) == []


def test_an_answer_beside_crosstalk_is_kept(reading: np.ndarray) -> None:
    """A short word on the other channel, while this one speaks."""
    answer = np.zeros(reading.size)
    word = reading[round(1.0 * RATE) : round(1.4 * RATE)][::-1]
    at = 6 * RATE
    answer[at : at + word.size] = word
    mixed = np.stack([reading, answer + copy(reading, -25)]).astype(np.float32)
    detector = EchoDetector(2, NO_MUTE)
    detector.push(mixed)
    echoes = mask_of(detector.echoes(1, find_speech(Audio(mixed[1], RATE))), reading.size)
    assert not echoes[at : at + word.size].any()
    assert echoes[: 4 * RATE].mean() > 0.8


def is_echo(channels: list[np.ndarray], number: int) -> bool:
    """Tell that a channel of four seconds is an echo, all of it; raise where a part is."""
    detector = EchoDetector(len(channels), NO_MUTE)
    detector.push(np.stack(channels).astype(np.float32))
    echoes = detector.echoes(number, [Segment(RATE // 2, 7 * RATE // 2)])
    assert echoes in ([], [Segment(RATE // 2, 7 * RATE // 2)])
    return bool(echoes)


def white(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(4 * RATE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("share", "echo"), [(0.3, False), (0.52, False), (0.68, True), (0.9, True)])
def test_most_of_an_echo_is_the_copy(seed: int, share: float, echo: bool) -> None:
    original, own = white(seed), white(seed + 9)
    mixed = 0.3 * (share**0.5 * original + (1.0 - share) ** 0.5 * own)
    assert is_echo([original, mixed], 1) == is_echo([mixed, original], 0) == echo


@pytest.mark.parametrize(("level_db", "kept"), [(-6.0, 0), (-0.8, 0), (0.0, 0), (0.8, 0), (1.3, 1), (6.0, 1)])
def test_of_two_channels_the_louder_is_kept_and_the_first_within_a_decibel(
    level_db: float, kept: int
) -> None:
    channels = [white(1), copy(white(1), level_db, 40)]
    assert [is_echo(channels, number) for number in (0, 1)] == [kept == 1, kept == 0]


@pytest.mark.parametrize("delay", [0, 4, 40])
def test_an_echo_may_have_its_polarity_turned(delay: int) -> None:
    assert is_echo([white(1), copy(-white(1), -12.0, delay)], 1)


@pytest.mark.parametrize("hz", [50.0, 60.0, 100.0])
def test_a_hum_that_all_channels_have_is_no_echo(hz: float) -> None:
    hum = 0.1 * np.sin(2 * np.pi * hz * np.arange(4 * RATE) / RATE)
    assert not is_echo([0.3 * white(1) + hum, 0.2 * white(2) + 0.6 * hum], 1)


@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_original_may_be_the_fourth_loudest(place: int) -> None:
    others = [1.2 * white(seed) for seed in range(5, 8)]
    channels = [*others[:place], 0.9 * white(1), *others[place:], copy(white(1), -12.0, 8)]
    assert is_echo(channels, 4)


def test_echoes_do_not_depend_on_block_sizes_or_forgetting(reading: np.ndarray) -> None:
    rows = np.stack([reading, copy(reading, -20, 100)]).astype(np.float32)
    segments = find_speech(Audio(rows[1], RATE))
    whole = EchoDetector(2, NO_MUTE)
    whole.push(rows)
    parts = EchoDetector(2, NO_MUTE)
    for at in range(0, reading.size, 7_001):
        parts.push(rows[:, at : at + 7_001])
    parts.forget(segments[-1].start)
    assert parts.echoes(1, segments[-1:]) == whole.echoes(1, segments[-1:]) != []


def test_the_history_of_many_channels_is_bounded() -> None:
    detector = EchoDetector(64, NO_MUTE)
    block = np.random.default_rng(0).standard_normal((64, 4 * RATE)).astype(np.float32)
    for number in range(1, 10):
        detector.push(block)
        detector.forget((4 * number - 2) * RATE)
    assert sum(block.nbytes for block in detector._history) < 64 * 4 * RATE * 4
