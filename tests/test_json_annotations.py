"""Output of speech recognisers, read as it is: turns with texts, speakers and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deident.audio import RATE, Segment
from deident.datasets.annotation_files import read_annotations
from deident.datasets.annotations import with_mute, with_turns, with_words
from deident.errors import SettingError
from deident.recording import Recording


def word(text: str, start: float | None = None, end: float | None = None, **more: Any) -> dict[str, Any]:
    times = {} if start is None else {"start": start, "end": end}
    return {"word": text, **times, **more}


def whisper(words: bool = True) -> dict[str, Any]:
    """The JSON of openai-whisper, with --word_timestamps True or without."""
    common = {"seek": 0, "tokens": [50364], "temperature": 0.0, "avg_logprob": -0.2, "no_speech_prob": 0.01}
    first = [word(" Hello", 1.0, 1.3, probability=0.9), word(" there", 1.4, 1.6, probability=0.9)]
    segments: list[dict[str, Any]] = [
        {"id": 0, "start": 1.0, "end": 2.0, "text": " Hello there", **common},
        {"id": 1, "start": 4.5, "end": 6.0, "text": " Bye", **common},
    ]
    if words:
        segments[0]["words"] = first
        segments[1]["words"] = [word(" Bye", 5.0, 5.0, probability=0.9)]
    return {"text": " Hello there Bye", "segments": segments, "language": "en"}


def faster_whisper() -> list[dict[str, Any]]:
    """Segments of faster-whisper as `dataclasses.asdict` gives them."""
    rows = whisper()["segments"]
    return [{**row, "compression_ratio": 1.0, "words": row["words"]} for row in rows]


def whisperx() -> dict[str, Any]:
    """The JSON of whisperX, aligned and with speakers; numbers have no times."""
    first = [
        word("Hello", 1.0, 1.3, score=0.9, speaker="S0"),
        word("2014."),
        word("there", 1.4, 1.6, score=0.9),
    ]
    segments = [
        {"start": 1.0, "end": 2.0, "text": " Hello 2014. there", "words": first, "speaker": "SPEAKER_00"},
        {
            "start": 4.5,
            "end": 6.0,
            "text": "Bye",
            "words": [word("Bye", 5.0, 5.0, score=0.1)],
            "speaker": "SPEAKER_01",
        },
    ]
    flat = [row for segment in segments for row in segment["words"]]  # type: ignore[attr-defined]
    return {"segments": segments, "word_segments": flat, "language": "en"}


def vosk() -> list[dict[str, Any]]:
    """Results of vosk with SetWords, one an utterance."""
    first = [word("Hello", 1.0, 1.3, conf=1.0), word("there", 1.4, 1.6, conf=1.0)]
    return [
        {"result": first, "text": "Hello there"},
        {"text": ""},
        {"result": [word("Bye", 4.5, 6.0, conf=0.5)], "text": "Bye"},
    ]


def saved(place: Path, value: Any) -> Path:
    path = place / "transcript.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


FORMS = {
    "whisper": whisper(),
    "faster-whisper": faster_whisper(),
    "faster-whisper, wrapped": {"segments": faster_whisper()},
    "whisperX": whisperx(),
    "vosk": vosk(),
    "vosk, as it is printed": "\n".join(json.dumps(row, indent=2) for row in vosk()),
    "vosk, with alternatives": [{"alternatives": [{"confidence": 1.0, **row}]} for row in vosk()],
}


@pytest.mark.parametrize("form", FORMS)
def test_utterances_are_turns(form: str, tmp_path: Path) -> None:
    (one,) = with_turns([Recording("/x/a.wav")], read_annotations(saved(tmp_path, FORMS[form])))
    first, second = one.turns
    assert first.text == ("Hello 2014. there" if form == "whisperX" else "Hello there")
    assert [w.text for w in first.words if w.text != "2014."] == ["Hello", "there"]
    assert first.segment.start == RATE
    assert (second.text, second.words[0].text) == ("Bye", "Bye")
    assert [turn.speaker for turn in one.turns] == (
        ["SPEAKER_00", "SPEAKER_01"] if form == "whisperX" else [None] * 2
    )


@pytest.mark.parametrize("form", FORMS)
def test_words_have_their_times(form: str, tmp_path: Path) -> None:
    (one,) = with_words([Recording("/x/a.wav")], read_annotations(saved(tmp_path, FORMS[form])))
    words = {w.text: w.segment for turn in one.turns for w in turn.words}
    assert words.pop("2014.", None) == (
        Segment(round(1.3 * RATE), round(1.4 * RATE)) if form == "whisperX" else None
    )
    assert words["Hello"] == Segment(RATE, round(1.3 * RATE))
    assert list(words) == ["Hello", "there", "Bye"]
    assert len(words["Bye"]) >= RATE // 100


def test_output_without_times_of_words_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, whisper(words=False))
    assert [t.text for t in with_turns([Recording("a.wav")], read_annotations(path))[0].turns] == [
        "Hello there",
        "Bye",
    ]
    with pytest.raises(SettingError, match="word_timestamps"):
        with_words([Recording("a.wav")], read_annotations(path))


@pytest.mark.parametrize(
    "value",
    [
        {"segments": [{"start": 1.0, "text": "x"}]},
        {"segments": [{"start": 2.0, "end": 1.0, "text": "x"}]},
        {"segments": [{"start": 1.0, "end": "late", "text": "x"}]},
        {"segments": [{"start": 1.0, "end": 2.0, "text": "x", "words": [{"start": 1.0, "end": 2.0}]}]},
        {"segments": [{"words": [{"word": "x"}], "text": "x"}]},
        [{"text": "x", "result": [{"word": "x"}]}],
        {"text": "x", "language": "en"},
    ],
)
def test_output_that_is_not_understood_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        with_words([Recording("a.wav")], read_annotations(saved(tmp_path, value)))


def test_output_names_no_recording(tmp_path: Path) -> None:
    found = read_annotations(saved(tmp_path, whisper()))
    two = [Recording("a.wav"), Recording("b.wav")]
    for attach in (with_turns, with_words):
        with pytest.raises(SettingError, match="names no recording, and this run has 2"):
            attach(two, found)
    with pytest.raises(SettingError, match="with every range to mute"):
        with_mute(two[:1], found)
