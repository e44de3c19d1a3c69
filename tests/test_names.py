"""Names of people in any form of Unicode: one voice, one pseudonym, and one withdrawal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deident.audio import RATE, Audio
from deident.cli import main
from deident.datasets.huggingface import MapBatch
from deident.keys import Key
from deident.pipeline import deidentify
from deident.policy import Policy
from deident.recording import Recording
from deident.runs.run import run
from deident.segmentation.turns import Turn
from deident.store import Linkage
from tests.methods import Sine, frequency
from tests.test_tables import seconds
from tests.voices import WOMAN, speech

NAMES = ["José", "Ångström", "한국"]
KEY = Key.fresh()


def forms(name: str) -> Iterator[str]:
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_one_voice_and_pseudonym(name: str) -> None:
    one, other = forms(name)
    assert one != other
    assert Turn(speaker=one) == Turn(speaker=other)
    assert Recording("a.wav", one).speaker == Recording("a.wav", other).speaker
    audio, policy = Audio(speech(WOMAN, 3.0), RATE), Policy(disguise=Sine(), scope="speaker")
    voices = {
        round(frequency(snippet.samples))
        for who in (one, other)
        for snippet in deidentify(audio, policy, key=KEY, turns=[Turn(seconds(0, 3), who)])
    }
    assert len(voices) == 1
    batch: dict[str, list[Any]] = {
        "audio": [{"array": audio.mono, "sampling_rate": RATE}] * 2,
        "speaker": [one, other],
    }
    assert len(set(MapBatch(policy, KEY)(batch)["speaker"])) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--speaker", "--withdrawn"])
def test_whoever_withdraws_is_known_in_another_form(
    option: str, name: str, recordings: Path, tmp_path: Path
) -> None:
    key, links, store = tmp_path / "key", tmp_path / "links", tmp_path / "s"
    KEY.write(key)
    one, other = forms(name)
    own, policy = str(recordings / "reading.mp3"), Policy(disguise=Sine())
    run([Recording(own, one)], store, policy, key=KEY, jobs=1, linkage=links)
    (tmp_path / "list").write_text(f"{other}\n", encoding="utf-8")
    asked = other if option == "--speaker" else str(tmp_path / "list")
    arguments = ["erase", str(store), "--linkage", str(links), "--key-file", str(key), option, asked]
    assert main(arguments) == 0
    assert not list(store.glob("*.wav"))
    assert not list(Linkage(links, KEY).links())
    if option == "--withdrawn":
        again = Recording(str(recordings / "meeting.flac"), one)
        assert run([again], store, policy, key=KEY, jobs=1, linkage=links).codes == {"withdrawn": 1}


def test_a_number_may_name_a_speaker() -> None:
    who: Any = 7
    assert [Turn(speaker=who).speaker, Recording("a.wav", who).speaker] == [who, who]
