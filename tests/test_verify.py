"""Verification of snippets in their new voices: what is still found in one drops it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Samples
from deident.errors import SettingError
from deident.policy import Policy
from deident.programme.finding import VERIFY_SILENCES, Finder
from deident.runs.run import run
from tests.methods import Sine
from tests.test_find import Says, noise


def test_a_snippet_in_which_something_is_left_is_dropped(tmp_path: Path, recordings: Path) -> None:
    calls = []

    def verify(samples: Samples, rate: int) -> bool:
        calls.append(samples.size)
        return len(calls) % 2 == 0

    policy = Policy(disguise=Sine(), verify=verify)
    summary = run([recordings / "call.wav"], tmp_path / "s", policy, jobs=1)
    assert summary.snippets == len(calls) // 2 > 0
    assert summary.dropped_seconds["found"] > 0
    assert policy.fingerprint() != replace(policy, verify=None).fingerprint()
    finder = Finder(Says(("4", 0.1, 0.2, 0.1), ("217", 0.2, 0.4, 0.1)))
    assert not finder.is_clean(noise(1), RATE)
    assert Finder(Says(("well", 0.1, 0.2, 0.1))).is_clean(noise(1), RATE)
    with pytest.raises(SettingError, match="verify"):
        Policy(verify="yes")  # type: ignore[arg-type]


def test_a_snippet_is_read_as_it_is_stored(tmp_path: Path, recordings: Path) -> None:
    """The sound that a reader of the store gets, to the bit, was searched."""
    read: set[bytes] = set()

    def recognise(samples: Samples) -> list[tuple[str, float, float, float]]:
        read.add(samples.tobytes())
        return []

    policy = Policy(verify=Finder(recognise).is_clean)
    assert run([recordings / "call.wav"], tmp_path / "s", policy, jobs=1).snippets
    for file in (tmp_path / "s").glob("*.wav"):
        samples, _ = soundfile.read(file, dtype="float32")
        for silence in VERIFY_SILENCES:
            padded = np.pad(samples, [round(seconds * RATE) for seconds in silence])
            assert padded.tobytes() in read


def test_a_snippet_is_searched_wherever_it_lies_in_what_is_read() -> None:
    """Whisper may find with silence before a snippet what it does not find without, and the other way round."""
    samples = noise(1)
    for sizes in ((16_000,), (32_000,)):

        def recognise(
            given: Samples, sizes: tuple[int, ...] = sizes
        ) -> list[tuple[str, float, float, float]]:
            return [("4217", 0.1, 0.9, 0.9)] if given.size in sizes else []

        silent = Says(("well", 0.1, 0.2, 0.9))
        for finder in (Finder(recognise), Finder(silent, again=(recognise,))):
            assert not finder.is_clean(samples, RATE)
            assert finder.is_clean(samples[:-1], RATE)


def test_a_snippet_is_read_with_half_a_second_of_silence_before_and_behind() -> None:
    for seconds in (0.5, 1.0, 3.0):
        samples, read = noise(seconds), list[Samples]()

        def recognise(given: Samples, read: list[Samples] = read) -> tuple[()]:
            read.append(given)
            return ()

        assert Finder(recognise).is_clean(samples, RATE)
        as_it_is, between = read
        np.testing.assert_array_equal(as_it_is, samples)
        silence = np.zeros(RATE // 2, np.float32)
        np.testing.assert_array_equal(between, np.concatenate([silence, samples, silence]))


def test_a_snippet_is_read_again_by_other_recognisers() -> None:
    """A beam search may find what a greedy one does not."""
    silent, number = Says(("well", 0.1, 0.2, 0.9)), Says(("4217", 0.1, 0.9, 0.9))
    spelled = Says(("m", 0.1, 0.2, 0.9), ("t", 0.3, 0.4, 0.9), ("b", 0.5, 0.6, 0.9))
    assert Finder(silent, again=(silent,)).is_clean(noise(1), RATE)
    for again in ((number,), (spelled,), (silent, number)):
        assert not Finder(silent, again=again).is_clean(noise(1), RATE)
        assert Finder(silent, again=again).in_samples(noise(1)) == Finder(silent).in_samples(noise(1))
    with pytest.raises(SettingError, match="callables"):
        Finder(silent, again=("beam",))  # type: ignore[arg-type]
