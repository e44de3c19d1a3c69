"""Turns, and the part of a transcript that a piece contains."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deident.audio import RATE, Audio, Segment
from deident.datasets.annotation_files import Annotation
from deident.datasets.annotations import with_mute, with_turns, with_words
from deident.errors import RecordingError, SettingError
from deident.keys import Key
from deident.pipeline import Snippet, deidentify, plan
from deident.policy import Policy
from deident.recording import Observer, Recording, Tally
from deident.segmentation.cutting import CuttingSettings
from deident.segmentation.turns import (
    WHOLE,
    Turn,
    Word,
    separate_turns,
    transcript_within,
    words_from_json,
    words_to_json,
)
from tests.methods import Sine

KEY = Key(bytes(32))
TEXT = Policy(disguise=Sine(), carry=("text", "words"))


def seconds(start: float, stop: float) -> Segment:
    return Segment(round(start * RATE), round(stop * RATE))


def noise(length: float) -> Audio:
    return Audio(0.1 * np.random.default_rng(3).standard_normal(round(length * RATE)), RATE)


def out(audio: Audio, turns: list[Turn], policy: Policy = TEXT, **more: object) -> list[Snippet]:
    return list(deidentify(audio, policy, turns=turns, **more))  # type: ignore[arg-type]


def words(*placed: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(seconds(start, stop), text) for text, start, stop in placed)


def test_every_turn_is_a_snippet_with_its_text() -> None:
    turns = [Turn(seconds(1, 3), "a", "one"), Turn(seconds(3, 5.5), "b", "two"), Turn(seconds(6, 7), "a")]
    snippets = out(noise(9), turns)
    assert [(s.text, s.pcm.size) for s in snippets] == [
        ("one", 2 * RATE), ("two", 5 * RATE // 2), (None, RATE),
    ]  # fmt: skip
    assert [s.turn.speaker for s in snippets if s.turn] == ["a", "b", "a"]
    silent = out(noise(9), turns, Policy(disguise=Sine()))
    assert [s.text for s in silent] == [None, None, None]


def test_a_text_belongs_to_the_whole_turn() -> None:
    gaps = np.array(noise(9).mono)
    gaps[4 * RATE : 5 * RATE] *= 1e-4
    short = Policy(disguise=Sine(), carry=("text",), cutting=CuttingSettings(max_seconds=6))
    divided = out(Audio(gaps, RATE), [Turn(seconds(0, 9), text="all of it")], short)
    assert len(divided) == 2
    assert [s.text for s in divided] == [None, None]
    by_word = Turn(
        seconds(0, 9), text="all of it", words=words(("all", 1, 2), ("of", 3.9, 5.1), ("it", 6, 7))
    )
    assert [s.text for s in out(Audio(gaps, RATE), [by_word], short)] == ["all", "it"]  # "of" is in neither
    whole = Policy(disguise=Sine(), carry=("text",), cutting=CuttingSettings(max_seconds=6, whole_turns=True))
    tally = Tally()
    assert out(Audio(gaps, RATE), [by_word], whole, tally=tally) == []
    assert tally.dropped_seconds == {"over_limit": 9.0}


LONG = Turn(seconds(0, 9), text="all of it")
WORDS = words(("all", 1, 2), ("it", 6, 7))


@pytest.mark.parametrize(
    ("turns", "left_out", "more"),
    [
        ([Turn(seconds(1, 3), text="one"), Turn(seconds(6, 8), text="two")], 0, {}),
        ([Turn(seconds(1, 3), text="one"), Turn(seconds(4, 4.2), text="too short")], 1, {}),
        ([Turn(seconds(1, 3), text="one"), Turn(seconds(4, 4.2)), Turn(seconds(5, 5.2), text="")], 0, {}),
        ([LONG], 1, {}),
        ([Turn(LONG.segment, text=LONG.text, words=WORDS)], 0, {}),
        ([LONG], 1, {"whole_turns": True}),
        ([Turn(seconds(1, 3), text="one"), Turn(seconds(5, 6), text="muted"), Turn(seconds(7, 8), text="two")], 1, {}),
        ([Turn(seconds(1, 1.1), text="one", channel=0), Turn(seconds(1, 1.1), text="one", channel=1)], 2, {}),
    ],
)  # fmt: skip
def test_texts_that_no_snippet_has_are_counted(
    turns: list[Turn], left_out: int, more: dict[str, Any]
) -> None:
    gaps = np.array(noise(9).mono)
    gaps[4 * RATE : 5 * RATE] *= 1e-4
    split = any(turn.channel for turn in turns)
    audio = Audio(np.array([gaps, gaps]) if split else gaps, RATE)
    cutting = CuttingSettings(max_seconds=6, **more)
    for carry, count in ((("text",), left_out), ((), 0)):
        policy = Policy(disguise=Sine(), carry=carry, cutting=cutting, channels="split" if split else "mix")
        made, planned = Tally(), Observer()
        out(audio, turns, policy, tally=made, mute=[seconds(5.2, 5.4)])
        plan(audio, Recording("", turns=tuple(turns), mute=(seconds(5.2, 5.4),)), policy, None, planned)
        assert made.texts_left_out == planned.tally.texts_left_out == count


def test_texts_of_channels_that_are_not_read_are_not_counted() -> None:
    turns = [Turn(seconds(1, 3), text="one", channel=0), Turn(seconds(1, 3), text="two", channel=1)]
    audio = Audio(np.tile(noise(4).mono, (2, 1)), RATE)
    places: tuple[Any, ...] = (0, 1, "split")
    for channels in places:
        tally = Tally()
        out(audio, turns, Policy(disguise=Sine(), carry=("text",), channels=channels), tally=tally)
        assert (tally.texts_left_out, tally.snippets) == (0, 2 if channels == "split" else 1)


def test_a_turn_past_the_end_has_no_text() -> None:
    turn = Turn(seconds(1, 5), text="longer than there is")
    assert [s.text for s in out(noise(4), [turn])] == [None]
    assert [s.text for s in out(noise(4.9), [turn])] == [turn.text]


def test_a_whole_recording_is_one_turn() -> None:
    assert [(s.text, s.pcm.size) for s in out(noise(4), [Turn(text="all")])] == [("all", 4 * RATE)]
    audio = np.array(noise(6).mono)
    audio[: 2 * RATE] *= 1e-4
    audio[4 * RATE :] *= 1e-4
    found = Policy(disguise=Sine(), detector=lambda s, r: [(2 * r, 4 * r)], carry=("text", "words"))
    said_when = words(("quiet", 0.5, 1), ("loud", 2.5, 3))
    (only,) = out(Audio(audio, RATE), [Turn(words=said_when)], found)
    assert (only.text, only.pcm.size) == ("loud", 2 * RATE)


def test_words_keep_their_times_where_the_disguise_keeps_time() -> None:
    from deident.disguise import DISGUISES

    turn = Turn(seconds(1, 3), words=words(("one", 1.25, 1.5), ("two", 2, 3.02)))
    psola = Policy(disguise=DISGUISES["psola"](), carry=("text", "words"))
    (snippet,) = out(noise(4), [turn], psola)
    assert snippet.text == "one two"
    assert [(w.text, w.segment) for w in snippet.words] == [
        ("one", seconds(0.25, 0.5)), ("two", seconds(1, 2)),
    ]  # fmt: skip
    assert words_from_json(words_to_json(snippet.words)) == [(0.25, 0.5, "one"), (1.0, 2.0, "two")]
    (moved,) = out(noise(4), [turn], Policy(disguise=DISGUISES["vocoder"](), carry=("text", "words")))
    assert (moved.text, moved.words) == ("one two", ())


def test_the_preset_for_training_keeps_words_and_lengths_to_the_sample() -> None:
    pauses = np.array(noise(8).mono)
    pauses[2 * RATE : 6 * RATE] *= 1e-4  # longer than any pause that the vocoder leaves by itself
    said = words(("one", 1.0001, 1.5), ("two", 6.25, 7.5))
    turns = [Turn(seconds(0.5, 7.9), "a", words=said)]
    policy = Policy.preset("training", carry=("text", "words"))
    tally = Tally()
    [snippet] = deidentify(Audio(pauses, RATE), policy, turns=turns, key=KEY, tally=tally)
    assert snippet.pcm.size == len(turns[0].segment)
    assert [w.segment.shift(turns[0].segment.start) for w in snippet.words] == [w.segment for w in said]
    assert tally.shortened_seconds == pytest.approx(0.0, abs=1e-9)
    level = np.sqrt(np.mean(snippet.samples[: 7 * RATE].reshape(-1, RATE // 10) ** 2, axis=1))
    loud = level > 0.1 * level.max()
    assert loud[:14].all()
    assert not loud[18:52].any()
    assert loud[56:].all()


def test_every_speaker_has_a_voice() -> None:
    from tests.methods import frequency

    turns = [Turn(seconds(at, at + 2), "ab"[at % 4 // 2]) for at in (0, 2, 4, 6)]
    policy = Policy(disguise=Sine(), scope="speaker")
    a, b, again, other = (round(frequency(s.samples), -1) for s in out(noise(9), turns, policy, key=KEY))
    assert (a, b) == (again, other)
    assert a != b
    with pytest.raises(RecordingError, match="needs the speaker"):
        out(noise(9), [Turn(seconds(0, 2))], policy, key=KEY)


def test_each_channel_has_its_own_turns() -> None:
    two = Audio(np.stack([noise(4).mono, 0.5 * noise(4).mono]), RATE)
    turns = [Turn(seconds(0, 2), text="left", channel=0), Turn(seconds(0, 3), text="right", channel=1)]
    split = Policy(disguise=Sine(), channels="split", carry=("text",))
    assert {(s.text, s.seconds) for s in out(two, turns, split)} == {("left", 2.0), ("right", 3.0)}
    assert [s.text for s in out(two, turns, Policy(disguise=Sine(), channels=1, carry=("text",)))] == [
        "right"
    ]
    assert [s.text for s in out(two, turns[:1], split)] == ["left"]
    with pytest.raises(RecordingError, match="channel"):
        out(two, [Turn(seconds(0, 2), text="of whom?")], split)


def test_words_of_mixed_channels_are_in_order() -> None:
    found = Policy(disguise=Sine(), detector=lambda s, r: [(r, 4 * r)], carry=("text",))
    two = Audio(np.stack([noise(5).mono, noise(5).mono]), RATE)
    turns = [
        Turn(words=words(("you", 2, 2.5), ("gone", 0.2, 0.4)), channel=1),
        Turn(words=words(("hello", 1.2, 1.5), ("too", 3, 3.5)), channel=0),
    ]
    assert [s.text for s in out(two, turns, found)] == ["hello you too"]
    split = Policy(disguise=Sine(), channels="split", detector=found.detector, carry=("text",))
    assert {s.text for s in out(two, turns, split)} == {"hello too", "you"}


def test_overlaps_are_refused_or_dropped() -> None:
    turns = [
        Turn(seconds(0, 4), "a", "one"),
        Turn(seconds(3, 6), "b", "two"),
        Turn(seconds(7, 8), "a", "three"),
    ]
    with pytest.raises(RecordingError, match="drop-overlap"):
        out(noise(9), turns)
    drop = Policy(disguise=Sine(), carry=("text",), cutting=CuttingSettings(overlap="drop"))
    snippets = out(noise(9), turns, drop)
    assert [(s.seconds, s.text) for s in snippets] == [(3.0, None), (2.0, None), (1.0, "three")]
    padded = [Turn(seconds(0, 4.1), "a", "one"), Turn(seconds(3.9, 6), "a", "two")]
    assert [(s.seconds, s.text) for s in out(noise(9), padded)] == [(4.0, "one"), (2.0, "two")]


@given(
    st.lists(
        st.tuples(st.integers(0, 90), st.integers(1, 40), st.sampled_from("abc")), min_size=1, max_size=8
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_no_sample_belongs_to_two_turns(drawn: list[tuple[int, int, str]], drop: bool) -> None:
    turns = [Turn(Segment(1_000 * a, 1_000 * (a + n)), who) for a, n, who in drawn]
    try:
        parts = separate_turns(turns, drop=drop)
    except RecordingError:
        assert not drop
        return
    owner = [-1] * 140
    for number, part in enumerate(parts):
        assert part.turn.segment.overlap(part.segment) == len(part.segment)
        for at in range(part.segment.start // 1_000, -(-part.segment.stop // 1_000)):
            middle = 1_000 * at + 250
            if part.segment.start <= middle < part.segment.stop:
                assert owner[at] == -1
                owner[at] = number
    for at, number in enumerate(owner):
        inside = [t for t in turns if t.segment.start <= 1_000 * at + 250 < t.segment.stop]
        if len(inside) == 1:
            assert number >= 0
            assert parts[number].turn is inside[0]
        if drop and len({t.speaker for t in inside}) > 1:
            assert number == -1


def test_muted_words_are_not_in_the_text() -> None:
    def text_left(turn: Turn, *muted: Segment, end: int | None = None) -> str | None:
        return transcript_within(
            turn, seconds(0, 4), end=end, muted=lambda s: [m for m in muted if m.overlap(s)]
        )[0]

    turn = Turn(seconds(0, 4), text="call me anna please")
    assert text_left(turn) == turn.text
    assert text_left(turn, seconds(2, 3)) is None
    placed = words(("call", 0, 1), ("me", 1, 2), ("anna", 2, 3), ("please", 3, 4))
    timed = Turn(turn.segment, text=turn.text, words=placed)
    assert text_left(timed, seconds(2.2, 2.9)) == "call me please"
    assert text_left(Turn(WHOLE, text="all"), end=4 * RATE) == "all"
    assert text_left(Turn(WHOLE, text="all"), seconds(1, 2), end=4 * RATE) is None


def test_annotations_name_their_recordings() -> None:
    annotations = [Annotation("b", seconds(1, 2), speaker="x"), Annotation("b", seconds(3, 4), text="y")]
    (alone,) = with_turns([Recording("/x/b.wav")], annotations)
    assert [(t.speaker, t.text) for t in alone.turns] == [("x", None), (None, "y")]
    assert "b" not in repr(annotations[0]).removeprefix("Annotation")
    with pytest.raises(SettingError, match="not in this run"):
        with_turns([Recording("/x/a.wav"), Recording("/x/c.wav")], annotations)
    with pytest.raises(SettingError, match="not in this run"):
        with_mute([Recording("/x/a.wav")], annotations)
    silent, spoken = with_turns([Recording("/x/a.wav"), Recording("/x/b.wav")], annotations)
    assert (silent.turns, silent.segments, len(spoken.turns)) == ((), (), 2)


def test_words_are_assigned_to_their_turns() -> None:
    annotations = [Annotation("a", seconds(at, at + 0.4), text=str(at)) for at in (5, 1, 3, 2)]
    annotations += [
        Annotation("a", seconds(0.5, 5.5), text="long"),
        Annotation("a", seconds(3.2, 3.4), channel=1, text="other"),
    ]
    turns = (Turn(seconds(1, 2.5), channel=0), Turn(seconds(2.9, 9)))
    (recording,) = with_words([Recording("/x/a.wav", turns=turns)], annotations)
    assert [[w.text for w in t.words] for t in recording.turns] == [
        ["long", "1", "2"], ["long", "3", "other", "5"],
    ]  # fmt: skip


def test_reprs_hide_texts_and_names() -> None:
    assert "anna" not in repr(Turn(speaker="anna", text="anna", words=words(("anna", 0, 1))))
    assert "anna" not in repr(words(("anna", 0, 1)))
