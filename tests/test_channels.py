"""Who speaks on which channel: no two share a voice, a turn or a name, and nobody's words go to another."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deident.audio import RATE, Audio, Segment
from deident.datasets.annotations import Note, with_words
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


def test_what_is_left_of_a_turn_is_not_joined_across_what_overlaps() -> None:
    long, short = Turn(seconds(0, 10), "a"), Turn(seconds(4, 6), "b")
    assert [part.segment for part in separate_turns([long, short], drop=True)] == [
        seconds(0, 4),
        seconds(6, 10),
    ]


def test_where_three_speak_is_no_meeting_of_two() -> None:
    turns = [Turn(seconds(0, 2), "a"), Turn(seconds(1.8, 4), "a"), Turn(seconds(1.8, 3), "a")]
    assert not any(part.segment.overlap(seconds(1.8, 2)) for part in separate_turns(turns, drop=True))


def test_words_of_two_speakers_are_nobodys() -> None:
    words = (Word(seconds(0, 1), "x"),)
    (one,) = merge_word_turns([Turn(speaker="a", words=words), Turn(speaker="b", words=words)])
    assert one.speaker is None


def test_a_fifth_of_a_short_turn_is_too_much_to_miss() -> None:
    turn = Turn(seconds(0, 1), text="no I did not")
    assert transcript_within(turn, seconds(0.24, 1.0), end=None, muted=lambda _: [])[0] is None


def test_a_word_at_an_edge_is_in_one_piece() -> None:
    turn = Turn(seconds(0, 2), words=(Word(seconds(0.98, 1.04), "no"),))
    pieces = seconds(0, 1), seconds(1, 2)
    assert sum(len(transcript_within(turn, piece, end=None, muted=lambda _: [])[1]) for piece in pieces) == 1


def test_words_go_to_the_turn_of_their_channel() -> None:
    turns = tuple(Turn(seconds(0, 5), channel=channel) for channel in (0, 1))
    notes = [Note("a", seconds(1, 2), 0, text="mine"), Note("a", seconds(3, 4), 1, text="theirs")]
    (one,) = with_words([Recording("a.wav", turns=turns)], notes)
    assert [[word.text for word in turn.words] for turn in one.turns] == [["mine"], ["theirs"]]


def test_a_turn_without_a_speaker_has_nobodys_voice() -> None:
    policy = Policy(disguise=Sine(), scope="speaker")
    with pytest.raises(RecordingError) as caught:
        out(Audio(noise(5), RATE), policy, Turn(seconds(0, 2), "a"), Turn(seconds(3, 4)))
    assert caught.value.code == "no-speaker"


def test_a_turns_speaker_goes_before_the_recordings() -> None:
    policy = Policy(disguise=Sine(), scope="speaker")
    turns = Turn(seconds(0, 2), "a"), Turn(seconds(3, 5), "b")
    snippets = out(Audio(noise(5), RATE), policy, *turns, speaker="z")
    assert len({round(frequency(s.samples)) for s in snippets}) == 2


def test_equal_channels_have_names_of_their_own() -> None:
    policy = Policy(disguise=Sine(), channels="split", repeatable=True)
    found = deidentify(both(4.0, 3, 3), policy, key=KEY, segments=[seconds(0, 3)])
    assert len({snippet.name for snippet in found}) == 2


def test_a_turn_without_a_channel_is_on_the_one_that_was_chosen() -> None:
    assert len(out(both(), Policy(disguise=Sine(), channels=1), Turn(seconds(1, 3)))) == 1


def test_nothing_is_found_on_a_channel_without_turns() -> None:
    audio = Audio(np.stack([noise(4), speech(seconds=4.0)]), RATE)
    assert len(list(deidentify(audio, SPLIT))) > 0
    assert len(out(audio, SPLIT, Turn(seconds(1, 3), channel=0))) == 1


def test_one_turn_without_a_channel_is_one_too_many() -> None:
    with pytest.raises(RecordingError) as caught:
        out(both(), SPLIT, Turn(seconds(1, 2), channel=0), Turn(seconds(2, 3)))
    assert caught.value.code == "no-channel"


def test_recordings_that_differ_in_one_channel_are_two(tmp_path: Path) -> None:
    silence = np.zeros(4 * RATE)
    for seed in (1, 2):
        soundfile.write(tmp_path / f"{seed}.wav", np.stack([silence, noise(4, seed)], axis=1), RATE)
    policy = Policy(disguise=Sine(), channels="split", detector=lambda s, r: [(0, 2 * r)] if s.any() else [])
    assert run(tmp_path, tmp_path / "s", policy, jobs=1).states["released"] == 2


def test_a_turn_whose_channel_was_corrected_is_looked_for_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", both().samples.T, RATE)

    def states(channel: int) -> dict[str, int]:
        recording = Recording(str(tmp_path / "a.wav"), turns=(Turn(seconds(1, 3), channel=channel),))
        return run([recording], tmp_path / "s", Policy(disguise=Sine(), channels=0), jobs=1).states

    assert states(1)["no-speech"] == 1
    assert states(0)["released"] == 1
