"""Every setting reaches what it sets."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Audio, Segment
from deident.codec import read
from deident.disguise import Chain
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Tally
from deident.runs.run import dry_run
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.turns import Turn, Word
from deident.segmentation.vad import VadSettings, find_speech
from tests.methods import Anew, Sine, Through
from tests.voices import speech


def noise(length: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(3).standard_normal(round(length * RATE))


def test_speech_is_found_as_the_policy_says() -> None:
    audio = Audio(speech(seconds=12.0), RATE)

    def found(padding: float) -> float:
        policy = Policy(disguise=Sine(), vad=VadSettings(padding_seconds=padding))
        return sum(snippet.seconds for snippet in deidentify(audio, policy))

    assert found(0.14) > found(0.0) + 0.2


def test_webrtcvad_is_as_aggressive_as_it_was_told_to_be(recordings: Path) -> None:
    audio = read(recordings / "meeting.flac")
    lax, strict = (sum(map(len, find_speech(audio, VadSettings(aggressiveness=mode)))) for mode in (0, 3))
    assert lax > strict


def test_what_is_far_below_the_loudest_is_speech_within_the_range() -> None:
    samples = np.array(speech(seconds=8.0))
    samples[4 * RATE :] *= 0.02
    near, far = (find_speech(Audio(samples, RATE), VadSettings(range_db=db)) for db in (20.0, 80.0))
    assert max(s.stop for s in far) > 6 * RATE > max(s.stop for s in near)


def test_a_detector_may_change_its_argument() -> None:
    def detector(samples: np.ndarray, rate: int) -> list[tuple[int, int]]:
        samples *= 2
        return [(0, rate)]

    assert len(list(deidentify((noise(3), RATE), Policy(disguise=Sine(), detector=detector)))) == 1


def test_snippets_are_faded_as_long_as_the_cutting_says() -> None:
    def start(fade_seconds: float) -> float:
        policy = Policy(disguise=Anew(), cutting=CuttingSettings(fade_seconds=fade_seconds))
        (snippet,) = deidentify((noise(2), RATE), policy, segments=[Segment(0, 2 * RATE)])
        return float(np.sqrt(np.mean(snippet.samples[:800] ** 2)))

    assert start(0.1) < 0.5 * start(0.01)


def test_room_is_left_for_a_disguise_that_makes_things_longer() -> None:
    samples, tally = noise(9.5), Tally()
    samples[4 * RATE : 5 * RATE] *= 1e-4
    policy = Policy(disguise=Sine(stretch=1.3, by=1.3))
    whole = [Segment(0, samples.size)]
    assert len(list(deidentify((samples, RATE), policy, segments=whole, tally=tally))) == 2
    assert not tally.dropped_seconds


def test_a_whole_recording_that_is_one_turn_stays_whole() -> None:
    samples = noise(6)
    samples[2 * RATE : 4 * RATE] *= 1e-4
    policy = Policy(disguise=Sine(), cutting=CuttingSettings(whole_turns=True))
    turn = Turn(words=(Word(Segment(0, RATE), "a"),))
    assert [s.pcm.size for s in deidentify((samples, RATE), policy, turns=[turn])] == [6 * RATE]


def test_a_disguise_of_the_protocol_alone_does_not_let_the_room_through() -> None:
    class Own:
        def draw(self, rng: np.random.Generator) -> None:
            return None

        def apply(self, audio: Audio, voice: None, rng: np.random.Generator) -> Audio:
            return audio

    samples = noise(28_000 / RATE)
    samples[10_000:18_000] = 0.0
    samples += 0.001 * np.sin(np.arange(28_000) / 9.0)  # the room's own note
    (snippet,) = deidentify((samples, RATE), Policy(disguise=Own()), segments=[Segment(0, 28_000)])
    gap = snippet.samples[12_000:16_000]
    assert abs(np.dot(gap, np.exp(1j * np.arange(gap.size) / 3.0))) / np.linalg.norm(gap) < 5.0  # of 45


def test_a_chain_keeps_time_if_all_do_and_is_as_long_as_all_make_it() -> None:
    class Keeps(Through):
        keeps_time = True

    assert Chain((Keeps(),)).keeps_time
    assert not Chain((Keeps(), Sine())).keeps_time
    assert Chain((Sine(stretch=1.2), Sine(stretch=1.3))).stretch == pytest.approx(1.56)


def test_strict_refuses_what_is_cut_in_a_dry_run_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", noise(8), RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[: 10 * RATE])
    for strict, state in ((False, "partial"), (True, "refused")):
        summary = dry_run([tmp_path / "a.wav"], Policy(disguise=Sine(), strict=strict))
        assert (summary.states[state], summary.codes) == (1, {"truncated": 1})


def test_a_text_is_not_that_of_a_recording_whose_end_is_missing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", noise(8), RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[: 10 * RATE])
    policy = Policy(disguise=Sine(), carry=("text",))
    (snippet,) = deidentify(tmp_path / "a.wav", policy, turns=[Turn(text="all of it")])
    assert snippet.text is None
