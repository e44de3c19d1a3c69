"""Channels: no two share a voice, a turn, a name or words."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Audio, Segment
from deident.datasets.annotation_files import Annotation
from deident.datasets.annotations import with_words
from deident.errors import RecordingError
from deident.keys import Key
from deident.pipeline import Snippet, deidentify
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import Turn, Word, merge_word_turns, separate_turns, transcript_within
from tests.methods import Sine, frequency
from tests.voices import speech

KEY = Key(bytes(32))
SPLIT = Policy(disguise=Sine(), channels="split")


def seconds(start: float, stop: float) -> Segment:
    return Segment(round(start * RATE), round(stop * RATE))


def noise(length: float, seed: int = 3) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(length * RATE))


def both(length: float = 4.0, *seeds: int) -> Audio:
    return Audio(np.stack([noise(length, seed) for seed in seeds or (3, 5)]), RATE)


def out(audio: Audio, policy: Policy, *turns: Turn, speaker: str | None = None) -> list[Snippet]:
    return list(deidentify(audio, policy, key=KEY, turns=turns, speaker=speaker))


def test_parts_of_a_turn_are_not_merged_across_an_overlap() -> None:
    long, short = Turn(seconds(0, 10), "a"), Turn(seconds(4, 6), "b")
    assert [part.segment for part in separate_turns([long, short], drop=True)] == [
        seconds(0, 4),
        seconds(6, 10),
    ]


def test_an_overlap_of_three_speakers_is_not_divided() -> None:
    turns = [Turn(seconds(0, 2), "a"), Turn(seconds(1.8, 4), "a"), Turn(seconds(1.8, 3), "a")]
    assert not any(part.segment.overlap(seconds(1.8, 2)) for part in separate_turns(turns, drop=True))


def test_words_of_two_speakers_have_no_speaker() -> None:
    words = (Word(seconds(0, 1), "x"),)
    (one,) = merge_word_turns([Turn(speaker="a", words=words), Turn(speaker="b", words=words)])
    assert one.speaker is None


def test_a_short_turn_must_be_covered_to_a_fifth() -> None:
    turn = Turn(seconds(0, 1), text="no I did not")
    assert transcript_within(turn, seconds(0.24, 1.0), end=None, muted=lambda _: [])[0] is None


def test_a_word_at_an_edge_belongs_to_one_piece() -> None:
    turn = Turn(seconds(0, 2), words=(Word(seconds(0.98, 1.04), "no"),))
    pieces = seconds(0, 1), seconds(1, 2)
    assert sum(len(transcript_within(turn, piece, end=None, muted=lambda _: [])[1]) for piece in pieces) == 1


def test_words_are_assigned_to_the_turn_of_their_channel() -> None:
    turns = tuple(Turn(seconds(0, 5), channel=channel) for channel in (0, 1))
    annotations = [
        Annotation("a", seconds(1, 2), 0, text="mine"),
        Annotation("a", seconds(3, 4), 1, text="theirs"),
    ]
    (one,) = with_words([Recording("a.wav", turns=turns)], annotations)
    assert [[word.text for word in turn.words] for turn in one.turns] == [["mine"], ["theirs"]]


def test_a_turn_without_a_speaker_shares_no_voice() -> None:
    policy = Policy(disguise=Sine(), scope="speaker")
    with pytest.raises(RecordingError) as caught:
        out(Audio(noise(5), RATE), policy, Turn(seconds(0, 2), "a"), Turn(seconds(3, 4)))
    assert caught.value.code == "no-speaker"


def test_a_turns_speaker_overrides_the_recordings() -> None:
    policy = Policy(disguise=Sine(), scope="speaker")
    turns = Turn(seconds(0, 2), "a"), Turn(seconds(3, 5), "b")
    snippets = out(Audio(noise(5), RATE), policy, *turns, speaker="z")
    assert len({round(frequency(s.samples)) for s in snippets}) == 2


def test_equal_channels_have_different_names() -> None:
    policy = Policy(disguise=Sine(), channels="split", repeatable=True)
    turns = [Turn(seconds(0, 3), channel=channel) for channel in (0, 1)]
    found = deidentify(both(4.0, 3, 3), policy, key=KEY, turns=turns)
    assert len({snippet.name for snippet in found}) == 2


def test_a_turn_without_a_channel_applies_to_the_chosen_one() -> None:
    assert len(out(both(), Policy(disguise=Sine(), channels=1), Turn(seconds(1, 3)))) == 1


def test_no_speech_is_detected_on_a_channel_without_turns() -> None:
    audio = Audio(np.stack([noise(4), speech(seconds=4.0)]), RATE)
    assert len(list(deidentify(audio, SPLIT))) > 0
    assert len(out(audio, SPLIT, Turn(seconds(1, 3), channel=0))) == 1


def test_one_turn_without_a_channel_is_refused() -> None:
    with pytest.raises(RecordingError) as caught:
        out(both(), SPLIT, Turn(seconds(1, 2), channel=0), Turn(seconds(2, 3)))
    assert caught.value.code == "no-channel"


def test_recordings_that_differ_in_one_channel_are_different(tmp_path: Path) -> None:
    silence = np.zeros(4 * RATE)
    for seed in (1, 2):
        soundfile.write(tmp_path / f"{seed}.wav", np.stack([silence, noise(4, seed)], axis=1), RATE)
    policy = Policy(disguise=Sine(), channels="split", detector=lambda s, r: [(0, 2 * r)] if s.any() else [])
    assert run(tmp_path, tmp_path / "s", policy, jobs=1).states["released"] == 2


def test_a_corrected_channel_is_processed_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", both().samples.T, RATE)

    def states(channel: int) -> dict[str, int]:
        recording = Recording(str(tmp_path / "a.wav"), turns=(Turn(seconds(1, 3), channel=channel),))
        return run([recording], tmp_path / "s", Policy(disguise=Sine(), channels=0), jobs=1).states

    assert states(1)["no-speech"] == 1
    assert states(0)["released"] == 1
