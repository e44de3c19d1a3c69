"""A data folder, the store that is made of it, and what tests of data sets share."""

from pathlib import Path

import pytest
import soundfile

from deident.audio import RATE
from deident.cli import main
from deident.codec import read
from deident.datasets import kaldi
from deident.datasets.items import Item
from deident.keys import Key
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import Word
from tests.methods import Sine

KEY = Key(bytes(32))
TEXTS = {
    "anna-1": "hello there",
    "anna-2": "more words",
    "bob-1": "and so",
    "bob-2": 'a "good" day\u2028für dich',
}
CANARIES = ("anna", "bob", "rec1", "rec2", "1970-01-01T")


@pytest.fixture(scope="module")
def folder(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Kaldi data folder of two recordings, two speakers and four utterances."""
    place = tmp_path_factory.mktemp("data") / "dev"
    place.mkdir()
    audio = read(recordings / "reading.mp3").mono
    soundfile.write(place / "rec1.flac", audio[: 12 * RATE], RATE)
    soundfile.write(place / "rec2.wav", audio[12 * RATE : 20 * RATE], RATE)
    files = {
        "wav.scp": "rec1 rec1.flac\nrec2 rec2.wav\n",
        "segments": "anna-1 rec1 0.0 4.0\nanna-2 rec1 4.0 7.5\nbob-1 rec2 0.5 4\nbob-2 rec2 4.1 7\n",
        "utt2spk": "anna-1 anna\nanna-2 anna\nbob-1 bob\nbob-2 bob\n",
        "text": "".join(f"{id} {text}\n" for id, text in TEXTS.items()),
        "spk2gender": "anna f\nbob m\n",
        "trials": "anna bob-1 nontarget\nanna anna-2 target\n",
        "enrolls": "anna-1\n",
    }
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store") / "s"
    policy = Policy(disguise=Timed(), scope="speaker", carry=("text", "words"), repeatable=True)
    recordings = [with_first_word(recording) for recording in kaldi.read(folder, ["gender"])]
    run(recordings, place, policy, key=KEY, jobs=1)
    return place


class Timed(Sine):
    keeps_time = True


def with_first_word(recording: Recording) -> Recording:
    from dataclasses import replace

    turns = (
        replace(
            turn, words=(Word(turn.segment.__class__(turn.segment.start, turn.segment.start + 8_000), "one"),)
        )
        for turn in recording.turns
    )
    return replace(recording, turns=tuple(turns))


def spread(items: list[Item]) -> set[tuple[object, ...]]:
    return {(i.id, i.text, i.speaker, i.labels.get("gender"), round(i.seconds, 6)) for i in items}


def turns(recordings: list[Recording]) -> set[tuple[object, ...]]:
    """The same of what was read back."""
    return {
        (turn.id, turn.text, turn.speaker, turn.labels.get("gender"), round(len(read(r.path)) / RATE, 6))
        for r in recordings
        for turn in r.turns
    }


def deident(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])
